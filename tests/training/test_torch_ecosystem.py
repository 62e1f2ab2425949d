"""What torch users do with a module works with a model: state dicts, hooks, devices, functional calls, optimizers, schedulers."""

import copy
import io
import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import uncrumple as keras
from uncrumple import layers

random = np.random.default_rng(0)
X = random.normal(size=(32, 4)).astype("float32")
Y = X.sum(1, keepdims=True)
x, y = torch.from_numpy(X), torch.from_numpy(Y)


def functional():
    inputs = keras.Input((4,))
    hidden = layers.Dense(5, activation="tanh", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(1, name="end")(layers.BatchNormalization(name="norm")(hidden)))


def stacked():
    return keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(1)])


class Written(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = layers.Dense(5, activation="tanh"), torch.nn.Linear(5, 1)

    def call(self, inputs):
        return self.last(self.first(inputs))


def written():
    model = Written()
    model(x)
    return model


KINDS = {"functional": functional, "sequential": stacked, "subclass": written}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


# --- weights --------------------------------------------------------------------------------


@every_kind
def test_a_state_dict_through_a_file(make):
    model, other = make(), make()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert other.load_state_dict(state) == torch.nn.modules.module._IncompatibleKeys([], [])
    torch.testing.assert_close(other(x), model(x))
    assert len(other.weights) == len(model.weights)


def test_buffers_and_weights_that_do_not_train_are_in_the_state_dict():
    names = list(functional().state_dict())
    assert "norm.moving_mean" in names and "norm.gamma" in names
    model = functional()
    assert {name for name, weight in model.named_parameters() if not weight.requires_grad} == {
        "norm.moving_mean",
        "norm.moving_variance",
    }


@every_kind
def test_a_state_dict_put_in_place_of_the_weights(make):
    model, other = make(), make()
    other.load_state_dict(model.state_dict(), assign=True)
    torch.testing.assert_close(other(x), model(x))
    assert len(other.weights) == len(model.weights) == len(model.state_dict())
    other.compile("sgd", "mse")
    before = other.get_weights()
    other.fit(X, Y, verbose=0)
    assert not all(np.array_equal(a, b) for a, b in zip(before, other.get_weights()))


def test_keys_do_not_depend_on_what_the_program_made_before():
    for make in (functional, stacked):
        assert list(make().state_dict()) == list(make().state_dict())
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(4, name="mine")])
    model = keras.Sequential([inner, layers.Dense(2), layers.Dense(2), layers.ReLU()])
    assert list(model.state_dict()) == [
        *["sequential.dense.kernel", "sequential.dense.bias", "sequential.mine.kernel", "sequential.mine.bias"],
        *["dense.kernel", "dense.bias", "dense_1.kernel", "dense_1.bias"],
    ]
    again = keras.Sequential.from_config(model.get_config())
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(x), model(x))


def test_names_of_parameters_and_modules():
    model = functional()
    assert [name for name, _ in model.named_children()] == ["input_layer", "hidden", "norm", "end"]
    assert next(iter(dict(model.named_parameters()))) == "hidden.kernel"
    assert sum(1 for _ in model.modules()) == 5


@every_kind
def test_number_types_and_places(make):
    model = make()
    expected = model(x).detach()
    assert model.to("cpu") is model and model.cpu() is model
    torch.testing.assert_close(model(x).detach(), expected)
    weights = [id(weight) for weight in model.weights]
    model.to(torch.device("cpu"), torch.float32)
    assert weights == [id(weight) for weight in model.weights]
    assert next(model.parameters()).is_contiguous()


@pytest.mark.parametrize(
    ("make", "kind"),
    [(functional, torch.float64)]
    + [(m, k) for m in (stacked, written) for k in (torch.float64, torch.bfloat16, torch.float16)],
)
def test_changing_the_type_of_all_weights(make, kind):
    model = make()
    expected = model(x).detach()
    model.to(kind)
    out = model(x.to(kind))
    assert out.dtype is kind
    torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.05)
    assert {weight.dtype for weight in model.weights} == {kind}
    model.float()
    assert model(x).dtype is torch.float32


@every_kind
def test_gradients_can_be_switched_off_and_on(make):
    model = make()
    model.requires_grad_(False)
    assert model.trainable_weights == [] and not model(x).requires_grad
    model.requires_grad_(True)
    assert model(x).requires_grad


def test_apply_and_initializing_by_hand():
    model = stacked()

    def ones(module):
        if isinstance(module, layers.Dense):
            torch.nn.init.ones_(module.kernel)

    model.apply(ones)
    assert all((layer.kernel == 1).all() for layer in model.layers)


def test_parametrizations_and_pruning_of_torch():
    from torch.nn.utils import parametrize, prune

    class Symmetric(torch.nn.Module):
        def forward(self, weight):
            return weight.triu() + weight.triu(1).t()

    model = keras.Sequential([keras.Input((4,)), torch.nn.Linear(4, 4), layers.Dense(1)])
    linear = model.layers[0].module
    parametrize.register_parametrization(linear, "weight", Symmetric())
    assert model(x).shape == (32, 1)
    torch.testing.assert_close(linear.weight, linear.weight.t())
    dense = model.layers[1]
    prune.l1_unstructured(dense, "kernel", amount=2)
    assert int((dense.kernel == 0).sum()) == 2
    assert model(x).shape == (32, 1)


# --- hooks ----------------------------------------------------------------------------------


@every_kind
def test_forward_hooks_fire_in_fit_and_predict(make):
    model, seen = make(), []
    layer = model.layers[-1] if make is not written else model.first
    handle = layer.register_forward_hook(lambda module, args, out: seen.append((module.training, tuple(out.shape))))
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=16, verbose=0)
    model.predict(X, batch_size=32, verbose=0)
    model.evaluate(X, Y, batch_size=32, verbose=0)
    width = 5 if make is written else 1
    assert [one for one in seen if one[1][0] == 16][-2:] == [(True, (16, width))] * 2
    assert seen[-1] == (False, (32, width))
    handle.remove()
    count = len(seen)
    model.predict(X, verbose=0)
    assert len(seen) == count


def test_hooks_may_change_what_goes_in_and_out():
    model = stacked()
    model.layers[-1].register_forward_hook(lambda module, args, out: out * 0 + 7)
    assert (model.predict(X, verbose=0) == 7).all()
    other = stacked()
    other.layers[0].register_forward_pre_hook(lambda module, args: (args[0] * 0,))
    assert (other.predict(X, verbose=0) == other.predict(X * 2, verbose=0)).all()


def test_gradient_hooks():
    model, seen = stacked(), []
    model.layers[0].register_full_backward_hook(lambda module, before, after: seen.append(after[0].shape))
    model.layers[0].kernel.register_hook(lambda gradient: gradient * 0)
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, batch_size=32, verbose=0)
    assert seen == [(32, 5)]
    assert np.array_equal(before[0], model.get_weights()[0]) and not np.array_equal(before[2], model.get_weights()[2])


# --- torch.func -----------------------------------------------------------------------------


@every_kind
def test_functional_call_and_gradients(make):
    model = make()
    parameters = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    rest = {name: weight for name, weight in model.named_parameters() if name not in parameters}
    out = torch.func.functional_call(model, (parameters, rest), (x,))
    torch.testing.assert_close(out, model(x))
    zeros = {name: torch.zeros_like(weight) for name, weight in parameters.items()}
    assert (torch.func.functional_call(model, (zeros, rest), (x,)) == 0).all()
    assert not (model(x) == 0).all()

    def loss(weights):
        return ((torch.func.functional_call(model, (weights, rest), (x,)) - y) ** 2).mean()

    gradients = torch.func.grad(loss)(parameters)
    ((model(x) - y) ** 2).mean().backward()
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            torch.testing.assert_close(gradients[name], weight.grad)


@every_kind
def test_gradients_of_each_sample_by_vmap(make):
    model = make()
    parameters = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}

    def loss(weights, sample, target):
        return ((torch.func.functional_call(model, weights, (sample[None],)) - target) ** 2).sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    mean = torch.func.grad(lambda w: ((torch.func.functional_call(model, w, (x,)) - y) ** 2).mean())(parameters)
    for name in parameters:
        assert each[name].shape == (32, *parameters[name].shape)
        torch.testing.assert_close(each[name].mean(0), mean[name], atol=1e-5, rtol=1e-4)


def test_an_ensemble_by_vmap():
    models = [stacked() for _ in range(3)]
    stack = torch.func.stack_module_state(models)
    skeleton = copy.deepcopy(models[0]).to("meta")
    outs = torch.func.vmap(lambda p, b: torch.func.functional_call(skeleton, (p, b), (x,)))(*stack)
    torch.testing.assert_close(outs, torch.stack([model(x) for model in models]))


def test_jacobians():
    model = stacked()
    found = torch.func.jacrev(lambda one: model(one[None])[0])(x[0])
    assert found.shape == (1, 4)
    one = x[0].clone().requires_grad_()
    model(one[None]).sum().backward()
    torch.testing.assert_close(found[0], one.grad)


# --- optimizers and schedulers of torch ----------------------------------------------------------


def test_an_optimizer_of_torch_in_compile():
    model = stacked()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    model.compile(optimizer, "mse", metrics=["mae"])
    losses = model.fit(X, Y, batch_size=8, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2 and model.optimizer is optimizer


def test_an_optimizer_of_torch_does_what_it_does_in_a_torch_loop():
    model, twin = stacked(), stacked()
    twin.set_weights(model.get_weights())
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), "mse")
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        for start in range(0, 32, 8):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(twin(x[start : start + 8]), y[start : start + 8]).backward()
            optimizer.step()
    for weight, other in zip(model.weights, twin.weights):
        torch.testing.assert_close(weight, other)


def test_our_optimizer_in_a_torch_loop_with_a_scheduler_of_torch():
    model = stacked()
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(model.trainable_variables)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    losses, rates = [], []
    for _ in range(6):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        rates.append(optimizer.param_groups[0]["lr"])
    assert losses[-1] < losses[0] and rates == pytest.approx([0.1, 0.05, 0.05, 0.025, 0.025, 0.0125])


def test_a_scheduler_of_torch_within_fit():
    model = stacked()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(model.optimizer, 0.5)
    rates = []

    class Schedule(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            scheduler.step()
            rates.append(float(self.model.optimizer.learning_rate))

    model.fit(X, Y, epochs=3, verbose=0, callbacks=[Schedule()])
    assert rates == pytest.approx([0.05, 0.025, 0.0125])


def test_our_layers_within_a_module_of_torch():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Sequential(layers.Dense(8, activation="relu"), torch.nn.Dropout(0.1))
            self.end = layers.Dense(1)

        def forward(self, inputs):
            return self.end(self.body(inputs))

    net = Net()
    net(x)
    assert list(net.state_dict()) == ["body.0.kernel", "body.0.bias", "end.kernel", "end.bias"]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    first = last = None
    for _ in range(30):
        net.train()
        last = torch.nn.functional.mse_loss(net(x), y)
        first = first or last.item()
        optimizer.zero_grad()
        last.backward()
        optimizer.step()
    assert last.item() < first / 2


def test_a_loader_with_a_sampler():
    weights = torch.utils.data.WeightedRandomSampler(torch.ones(32), 64)
    loader = DataLoader(TensorDataset(x, y), batch_size=8, sampler=weights, drop_last=True)
    model = stacked()
    model.compile("sgd", "mse")
    assert model.fit(loader, verbose=0).params["steps"] == 8


def test_random_split_and_subsets():
    train, test = torch.utils.data.random_split(TensorDataset(x, y), [24, 8])
    model = stacked()
    model.compile("sgd", "mse")
    history = model.fit(train, batch_size=8, verbose=0, validation_data=test)
    assert history.params["steps"] == 3 and np.isfinite(history.history["val_loss"]).all()


# --- other tools ------------------------------------------------------------------------------------


def test_gradients_clipped_by_torch():
    model = stacked()
    (model(x) * 1e3).sum().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    total = torch.sqrt(sum((weight.grad**2).sum() for weight in model.parameters()))
    assert float(total) == pytest.approx(1.0, rel=1e-4)
    vector = torch.nn.utils.parameters_to_vector(model.parameters())
    assert vector.numel() == model.count_params()


def test_autocast_of_torch():
    model = stacked()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
    assert out.dtype is torch.bfloat16
    model.compile("sgd", "mse")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()


def test_inference_mode():
    model = functional()
    with torch.inference_mode():
        assert model(x).is_inference()
        assert model.predict(X, verbose=0).shape == (32, 1)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)


def test_averaged_models_of_torch():
    model = stacked()
    averaged = torch.optim.swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    torch.testing.assert_close(averaged(x), model(x))


def test_tracing_for_export():
    model = functional()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, x)
    torch.testing.assert_close(traced(x[:3]), model(x[:3]))


def test_exporting_a_program():
    model = stacked()
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.slow
@every_kind
def test_torch_compile(make):
    model = make()
    fast = torch.compile(model)
    torch.testing.assert_close(fast(x), model(x))


@pytest.mark.slow
def test_jit_compile_trains():
    plain, fast = stacked(), stacked()
    fast.set_weights(plain.get_weights())
    plain.compile("adam", "mse")
    fast.compile("adam", "mse", jit_compile=True)
    first = plain.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]
    second = fast.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]
    assert second == pytest.approx(first, rel=1e-4)
    np.testing.assert_allclose(fast.predict(X, verbose=0), plain.predict(X, verbose=0), rtol=1e-4, atol=1e-5)
    copy.deepcopy(fast).predict(X, verbose=0)
