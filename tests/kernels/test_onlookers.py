"""Layers whose kernels are native, where torch keeps count of what happens: right, or an error, never wrong numbers."""

from __future__ import annotations

import threading

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad

import uncrumple as uc
from uncrumple import layers as L
from uncrumple.kernels import attention, dense, dense_rows, embedding, layer_normalization, native


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    monkeypatch.setattr(dense, "_WORTH_IT", 0)
    monkeypatch.setattr(layer_normalization, "_WORTH_IT", 0)
    monkeypatch.setattr(dense_rows, "_LEAST_ROWS", 0)


def attention_of_itself():
    x = uc.Input((6, 4))
    return uc.Model(x, L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 3)(x, x)])))


def block():
    x = uc.Input((6, 16))
    y = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 8)(x, x)]))
    return uc.Model(x, L.LayerNormalization()(L.Add()([y, L.Dense(16)(L.Dense(32, "relu")(y))])))


def chain(shape, *parts):
    return uc.Sequential([uc.Input(shape), *parts])


# By name: the shape of a sample, and how a model is made.
MODELS = {
    "dense": ((5,), lambda: chain((5,), L.Dense(7, activation="relu"), L.Dense(3))),
    "convolution": ((8, 7, 2), lambda: chain((8, 7, 2), L.Conv2D(5, 3, activation="relu"))),
    "pooled": ((8, 7, 2), lambda: chain((8, 7, 2), L.Conv2D(5, 3, activation="relu"), L.MaxPooling2D())),
    "greatest": ((9, 3), lambda: chain((9, 3), L.Conv1D(4, 2, activation="relu"), L.GlobalMaxPooling1D())),
    "batch": ((6,), lambda: chain((6,), L.BatchNormalization(), L.ReLU())),
    "layer": ((6,), lambda: chain((6,), L.LayerNormalization())),
    "attention": ((6, 4), attention_of_itself),
    "block": ((6, 16), block),
    "simple_rnn": ((5, 3), lambda: chain((5, 3), L.SimpleRNN(4))),
    "gru": ((5, 3), lambda: chain((5, 3), L.GRU(4))),
    "lstm": ((5, 3), lambda: chain((5, 3), L.LSTM(4, return_sequences=True))),
}


@pytest.fixture(params=MODELS)
def model_and_x(request):
    shape, make = MODELS[request.param]
    model = make()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.weights:
            weight.add_(torch.rand(weight.shape, generator=generator) * 0.3)
    return model, torch.randn(4, *shape, generator=generator)


def plainly(monkeypatch, run, again=False):
    """Return what torch's own functions give; `again` where it is to be differentiated again."""
    with monkeypatch.context() as patch:
        patch.setattr(native, "takes", lambda *tensors, half=False: False)
        if again:
            patch.setattr(attention, "_torchs", attention.attend_plain)  # torch's own has no second derivative
        return run()


def near(found, expected, **bounds):
    torch.testing.assert_close(found, expected, **(bounds or {"rtol": 1e-3, "atol": 1e-4}))


def test_gradient_penalty(model_and_x, monkeypatch):
    """The gradient of the size of a gradient, through layers and shortcuts."""
    model, x = model_and_x
    weights = [one for one in model.weights if one.requires_grad]
    if any(isinstance(layer, L.MultiHeadAttention) for layer in model.layers) and not native.available():
        pytest.skip("torch's own attention has no second derivative, and says so")

    def penalty():
        inputs = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(model(inputs.sin()).square().sum(), inputs, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), [inputs, *weights], allow_unused=True)

    for one, other in zip(penalty(), plainly(monkeypatch, penalty, again=True), strict=True):
        if one is not None or other is not None:
            near(one, other, rtol=1e-3, atol=1e-3)


def test_transforms(model_and_x):
    model, x = model_and_x
    weights = {name: one for name, one in model.named_parameters() if one.requires_grad}

    def cost(weights, sample):
        return torch.func.functional_call(model, weights, (sample[None],)).square().sum()

    each = torch.func.vmap(torch.func.grad(cost), (None, 0))(dict(weights), x)
    for row, sample in enumerate(x):
        grads = torch.autograd.grad(model(sample[None]).square().sum(), list(weights.values()))
        for one, other in zip(each.values(), grads, strict=True):
            near(one[row], other)
    near(torch.func.vmap(lambda sample: model(sample[None])[0])(x), model(x))


@pytest.mark.parametrize("frozen", [False, True])
def test_forward_gradients(model_and_x, frozen):
    model, x = model_and_x
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(4))
    for weight in model.parameters():
        weight.requires_grad_(not frozen and weight.requires_grad)
    with forward_ad.dual_level():
        out, found = forward_ad.unpack_dual(model(forward_ad.make_dual(x, direction)))
    near(out.detach(), model(x).detach())
    inputs = x.clone().requires_grad_()
    d = torch.randn(out.shape, generator=torch.Generator().manual_seed(5))
    (slope,) = torch.autograd.grad(model(inputs), inputs, d)
    assert found is not None
    near((found.detach() * d).sum(), (slope * direction).sum(), rtol=1e-3, atol=1e-3)


def test_several_gradients_at_once(model_and_x):
    model, x = model_and_x
    inputs = x.clone().requires_grad_()
    given = [inputs, *(one for one in model.weights if one.requires_grad)]
    out = model(inputs)
    ds = torch.randn(3, *out.shape, generator=torch.Generator().manual_seed(2))
    found = torch.autograd.grad(out, given, ds, is_grads_batched=True, retain_graph=True)
    for place, d in enumerate(ds):
        for one, other in zip(found, torch.autograd.grad(out, given, d, retain_graph=True), strict=True):
            near(one[place], other)


def test_autocast(model_and_x, monkeypatch):
    model, x = model_and_x
    given = [one for one in model.weights if one.requires_grad]

    def run():
        out = model(x)
        return out, *torch.autograd.grad(out.float().square().sum(), given)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = run(), plainly(monkeypatch, run)
        with torch.no_grad():
            alone = model(x)
    near(alone.float(), found[0].detach().float(), rtol=5e-2, atol=5e-2)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype is other.dtype
        near(one.float(), other.float(), rtol=1e-2, atol=1e-2)


def test_compiled_in_one_piece(model_and_x):
    """Where torch.compile looks on, nothing of what the kernels need is in its way."""
    model, x = model_and_x
    torch.compiler.reset()
    with torch.no_grad():
        near(torch.compile(model, backend="eager", fullgraph=True)(x), model(x))


def test_numbers_without_memory(model_and_x):
    """Of a fake tensor torch knows the shape only: there is nothing for a kernel to read."""
    model, x = model_and_x
    shape = model(x).shape
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert model(mode.from_tensor(x)).shape == shape
        with torch.no_grad():
            assert model(mode.from_tensor(x)).shape == shape


def test_gradients_from_a_dropout_at_once():
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    out = L.Dropout(0.5, seed=3)(x, training=True)
    ds = torch.randn(3, 4, 5)
    (found,) = torch.autograd.grad(out, x, ds, is_grads_batched=True, retain_graph=True)
    for place, d in enumerate(ds):
        near(found[place], torch.autograd.grad(out, x, d, retain_graph=True)[0])


# --- weights that somebody has laid or changed --------------------------------------------------------------


def every_second(weight):
    return torch.stack([torch.full_like(weight, torch.nan), weight], -1)[..., 1]


def turned(weight):
    order = tuple(reversed(range(weight.dim())))
    return every_second(weight) if weight.dim() < 2 else weight.permute(order).contiguous().permute(order)


@pytest.mark.parametrize("way", [every_second, turned])
@pytest.mark.parametrize("training", [False, True])
def test_weights_that_lie_apart(model_and_x, way, training):
    model, x = model_and_x
    given = [one for one in model.weights if one.requires_grad]
    start = [one.detach().clone() for one in model.weights]

    def run():
        inputs = x.clone().requires_grad_()
        out = model(inputs, training=training)
        return [
            out,
            *torch.autograd.grad(out.square().sum(), [inputs, *given]),
            *(one.clone() for one in model.weights),
        ]

    predicted, expected = model.predict(x, verbose=0), run()
    for weight, value in zip(model.weights, start, strict=True):
        weight.data = way(value)
    for one, other in zip(run(), expected, strict=True):
        near(one, other, rtol=1e-3, atol=1e-3)
    for weight, value in zip(model.weights, start, strict=True):
        weight.data = way(value)
    near(torch.from_numpy(model.predict(x, verbose=0)), torch.from_numpy(predicted))
    near(torch.from_numpy(model.predict(x[:1], verbose=0)), torch.from_numpy(predicted[:1]))


def trained(lay=None, epochs=2, batch_size=8, optimizer=None):
    uc.utils.set_random_seed(3)
    model = chain((4,), L.Dense(8, activation="relu"), L.Dense(8, activation="tanh"), L.Dense(3))
    model.compile(optimizer or uc.optimizers.Adam(0.01), uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    if lay is not None:
        lay(model)
    generator = torch.Generator().manual_seed(6)
    x, y = torch.randn(30, 4, generator=generator), torch.randint(3, (30,), generator=generator)
    model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0)
    return model, x, y


@pytest.mark.parametrize("way", [every_second, turned])
def test_fit_with_weights_that_lie_apart(way):
    def lay(model):
        for weight in model.weights:
            weight.data = way(weight.data)

    for one, other in zip(trained(lay)[0].weights, trained()[0].weights, strict=True):
        near(one.detach(), other.detach(), rtol=1e-4, atol=1e-6)


def test_fit_with_weights_that_share_memory(monkeypatch):
    """Which of them moves first matters, so that torch's order holds."""

    def lay(model):
        second, first = model.layers[1], model.layers[0]
        whole = torch.zeros(12, 8)
        whole[:4], whole[2:10] = first.kernel.data, second.kernel.data
        first.kernel.data, second.kernel.data = whole[:4], whole[2:10]

    found = trained(lay)[0]
    expected = trained(lambda model: (lay(model), setattr(model, "run_eagerly", True), unplanned(monkeypatch)))[0]
    assert found._plan is None
    for one, other in zip(found.weights, expected.weights, strict=True):
        near(one.detach(), other.detach(), rtol=1e-4, atol=1e-6)


def unplanned(monkeypatch):
    monkeypatch.setattr("uncrumple.training.loop.make_plan", lambda model: None)


@pytest.mark.parametrize("place", [0, 1])
def test_a_weight_that_was_cut_off_is_refused(place):
    """It lies where it lay, and is shorter."""
    model, x, y = trained()
    layer = model.layers[1]
    if place:
        layer.bias.grad, layer.bias.data = None, layer.bias.data[:5]
    else:
        layer.kernel.grad, layer.kernel.data = None, layer.kernel.data[:5]
    with pytest.raises(RuntimeError):
        model.train_on_batch(x, y)
    with pytest.raises(RuntimeError):
        model.fit(x, y, verbose=0)


@pytest.mark.parametrize("make", [lambda: L.Conv2D(4, 3, activation="relu"), lambda: L.BatchNormalization()])
@pytest.mark.parametrize("shorter", [1, 3])
def test_a_bias_of_another_length_is_no_reason_to_read_on(make, shorter):
    layer = make()
    x = torch.randn(2, 6, 6, 4 if isinstance(layer, L.BatchNormalization) else 1)
    layer(x)
    name = "bias" if "bias" in layer._parameters else "beta"
    layer._parameters[name].data = torch.zeros(shorter)
    for training in (False, True):
        with torch.no_grad(), pytest.raises((RuntimeError, ValueError)):
            layer(x, training=training)


def test_a_bias_of_one_number_goes_for_all_units():
    layer = L.Dense(70, activation="relu")
    x = torch.randn(40, 5)
    layer(x)
    layer.bias.data = torch.ones(1)
    near(layer(x), torch.relu(x @ layer.kernel + 1.0))


# --- steps of optimizers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [uc.optimizers.Adam, uc.optimizers.SGD, uc.optimizers.Adagrad], ids=lambda one: one.__name__
)
def test_a_graph_from_before_a_step_is_refused(make):
    weight = torch.nn.Parameter(torch.randn(3, 3))
    optimizer = make(0.1)
    optimizer.build([weight])
    cost = (torch.randn(2, 3, requires_grad=True) @ weight).sum()
    weight.grad = torch.ones(3, 3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        cost.backward()


@pytest.mark.parametrize("learn", ["fit", "train_on_batch", "fit_many"])
def test_a_graph_from_before_training_is_refused(learn):
    model, x, y = trained()
    cost = model(x.clone().requires_grad_()).sum()
    if learn == "train_on_batch":
        model.train_on_batch(x, y)
    else:
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        cost.backward()


@pytest.mark.parametrize("make", [uc.optimizers.Adam, lambda rate: uc.optimizers.SGD(rate, 0.9)], ids=["Adam", "SGD"])
@pytest.mark.parametrize("second", [(9, torch.float32), (2, torch.float32), (4, torch.float64)], ids=str)
def test_a_weight_that_has_outgrown_its_state(make, second):
    """It is refused; another type torch's functions may take, and then rightly."""
    weights = [torch.nn.Parameter(torch.ones(4)) for _ in range(2)]
    optimizer = make(0.1)
    optimizer.build(weights)
    weights[1].data = torch.ones(second[0], dtype=second[1])
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    try:
        optimizer.step()
    except RuntimeError:
        return
    assert second[0] == 4
    near(weights[1].detach().float(), torch.full((4,), 0.9))


def test_tables_of_several_threads():
    """What one thread learns is not mixed up with what another does at the same time."""
    tables = [torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2)]
    both, done = threading.Barrier(2, timeout=30), []

    def learn(table, times):
        with embedding.gradients_as_rows({id(table): table}):
            both.wait()
            for _ in range(times):
                embedding.embedding(torch.tensor([1]), table).sum().backward()
            both.wait()
        done.append(times)

    threads = [threading.Thread(target=learn, args=pair) for pair in zip(tables, (1, 2), strict=True)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(done) == [1, 2]
    for table, times in zip(tables, (1, 2), strict=True):
        waiting = getattr(table, "row_gradient", None)
        found = table.grad if waiting is None else waiting.dense(table)
        assert torch.equal(found, torch.tensor([[0.0, 0.0], [times, times], [0.0, 0.0]]))
