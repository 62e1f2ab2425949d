"""`model.step_through(x, y)`: each number is what autograd and the optimizer use, and nothing stays changed."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers as L
from uncrumple import losses, optimizers
from uncrumple.models import Model, Sequential, load_model

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def small_net(units=2, activation="softmax"):
    return Sequential(
        [
            L.Input((4,)),
            L.Dense(5, activation="tanh", name="first"),
            L.Dense(units, activation=activation, name="last"),
        ],
        name="net",
    )


def data(rows=6):
    return torch.randn(rows, 4), torch.arange(rows) % 2


def compiled(optimizer, loss="sparse_categorical_crossentropy", model=None):
    model = small_net() if model is None else model
    model.compile(optimizer, loss)
    return model


OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: optimizers.RMSprop(0.01),
    "clipped": lambda: optimizers.SGD(0.1, clipnorm=0.01),
    "global": lambda: optimizers.Adam(0.1, global_clipnorm=0.01),
    "schedule": lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)),
    "lion": lambda: optimizers.Lion(0.01),
    "adagrad": lambda: optimizers.Adagrad(0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("trained", [False, True])
def test_numbers_are_those_of_a_step_of_fit(name, trained):
    """A twin takes the step for good, by train_on_batch; all weights, gradients and losses agree."""
    model, (x, y) = compiled(OPTIMIZERS[name]()), data()
    if trained:
        model.fit(x, y, epochs=2, verbose=0)
    twin = compiled(copy.deepcopy(model.optimizer), model=copy.deepcopy(model)) if not trained else copy.deepcopy(model)
    step = model.step_through(x, y)
    before = {weight.path: weight.detach().clone() for weight in twin.trainable_weights}
    loss = twin.train_on_batch(x, y)
    assert step.loss == pytest.approx(loss, rel=1e-5)
    found = [weight for layer in step.layers for weight in layer.weights]
    assert len(found) == len(twin.trainable_weights)
    for weight, real in zip(found, twin.trainable_weights):
        assert torch.equal(weight.before, before[real.path])
        # Adam's first step divides a gradient by its own size: of a small one, rounding is a larger share.
        torch.testing.assert_close(weight.after, real.detach(), rtol=2e-4, atol=2e-5)
        torch.testing.assert_close(weight.gradient, real.grad, rtol=1e-5, atol=1e-7)
    followed = step.followed
    assert followed.update[-1].name == "new weight"
    assert followed.update[-1].value == pytest.approx(followed.new_value, rel=1e-5)
    if name not in ("lion", "adagrad"):
        assert "makes of the gradient" not in followed.update[-1].formula
    assert twin.evaluate(x, y, verbose=0) == pytest.approx(step.loss_after, rel=1e-4)


def test_gradients_of_outputs_are_autograds():
    model, (x, y) = compiled("sgd"), data()
    step = model.step_through(x, y)
    hidden = model.layers[0](x)
    hidden.retain_grad()
    predicted = model.layers[1](hidden)
    predicted.retain_grad()
    loss = losses.SparseCategoricalCrossentropy()(y, predicted)
    loss.backward()
    torch.testing.assert_close(step["last"].gradient, predicted.grad)
    torch.testing.assert_close(step["first"].gradient, hidden.grad)
    torch.testing.assert_close(step["first"].output, hidden.detach())
    torch.testing.assert_close(step["first/kernel"].gradient, model.layers[0].kernel.grad)
    each = -torch.log(predicted.detach()[torch.arange(6), y])
    np.testing.assert_allclose(step.sample_losses, each.numpy(), rtol=1e-5)
    assert step.loss == pytest.approx(float(each.mean()), rel=1e-5)
    assert step.cost.value == pytest.approx(float(each[step.sample]), rel=1e-5)


@pytest.mark.parametrize("weight", ["first/kernel[3, 0]", "first/bias[1]", "last/kernel[2, 1]", "last.bias[0]"])
def test_chain_rule_adds_up(weight):
    model, (x, y) = compiled("sgd"), data()
    step = model.step_through(x, y, weight=weight, sample=2)
    followed = step.followed
    layer = step[followed.name.partition("/")[0]]
    assert followed.name == weight.replace(".", "/")
    assert followed.sample == 2
    for link in followed.links:
        assert link.total == pytest.approx(link.value, rel=1e-3, abs=1e-7)
    assert followed.last.value == pytest.approx(followed.parts[2], rel=1e-3, abs=1e-7)
    assert sum(followed.parts) == pytest.approx(followed.gradient, rel=1e-4, abs=1e-7)
    assert followed.witness.slope == pytest.approx(followed.gradient, rel=1e-3, abs=1e-6)
    index = tuple(int(one) for one in followed.name.partition("[")[2][:-1].split(","))
    kind = next(one for one in layer.weights if followed.name.startswith(one.name))
    assert followed.gradient == pytest.approx(float(kind.gradient[index]))


def test_the_product_is_the_gradient_where_there_is_one_way():
    model = Sequential(
        [L.Input((1,)), L.Dense(1, activation="tanh", name="a"), L.Dense(1, activation="sigmoid", name="b"),
         L.Dense(1, name="c")]
    )  # fmt: skip
    model.compile("sgd", "mse")
    followed = model.step_through(torch.tensor([[0.7]]), torch.tensor([[2.0]]), weight="a/kernel[0, 0]").followed
    product = 1.0
    for factor in followed.path:
        product *= factor.value
    assert [factor.name for factor in followed.path] == [
        "d loss / d c[0, 0]",
        "d c[0, 0] / d b[0, 0]",
        "d b[0, 0] / d sum, the slope of sigmoid there",
        "d sum / d a[0, 0]",
        "d a[0, 0] / d sum, the slope of tanh there",
        "d sum / d a/kernel[0, 0]",
    ]
    assert followed.path[-1].value == pytest.approx(0.7, rel=1e-5)  # the input
    assert followed.path[3].value == pytest.approx(float(model.layers[1].kernel.detach()), rel=1e-5)
    assert product == pytest.approx(followed.gradient, rel=1e-5)
    assert followed.witness.precision == "float64"
    assert followed.witness.slope == pytest.approx(followed.gradient, rel=1e-5)


NETWORKS = {
    "cnn": lambda: (
        Sequential([L.Input((6, 6, 1)), L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(), L.Dropout(0.4),
                    L.Flatten(), L.Dense(2, activation="softmax")]),
        torch.rand(5, 6, 6, 1), torch.tensor([0, 1, 1, 0, 1]), "sparse_categorical_crossentropy",
    ),
    "seeded dropout": lambda: (
        Sequential([L.Input((4,)), L.Dense(5), L.Dropout(0.5, seed=1), L.Dense(1)]),
        torch.randn(5, 4), torch.randn(5, 1), "mse",
    ),
    "lstm": lambda: (
        Sequential([L.Input((5,), dtype="int32"), L.Embedding(9, 4, mask_zero=True), L.LSTM(3), L.Dense(1, activation="sigmoid")]),
        torch.randint(0, 9, (4, 5)), torch.tensor([0.0, 1, 1, 0]), "binary_crossentropy",
    ),
    "batch normalization": lambda: (
        Sequential([L.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Activation("relu"), L.Dense(1)]),
        torch.randn(8, 4), torch.randn(8, 1), "mae",
    ),
    "regularized": lambda: (
        Sequential([L.Input((4,)), L.Dense(3, kernel_regularizer="l2"), L.Dense(1)]),
        torch.randn(4, 4), torch.randn(4, 1), "mse",
    ),
    "shortcut": lambda: (_shortcut(), torch.randn(4, 4), torch.randn(4, 4), "mse"),
    "attention": lambda: (_attention(), torch.randn(3, 4, 6), torch.tensor([0, 2, 1]), "sparse_categorical_crossentropy"),
    "torch": lambda: (
        Sequential([L.Input((4,)), uc.from_torch(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()), name="encoder"),
                    L.Dense(1)]),
        torch.randn(4, 4), torch.randn(4, 1), "mse",
    ),
}  # fmt: skip


def _shortcut():
    x = L.Input((4,))
    hidden = L.Dense(4, activation="tanh")(x)
    return Model(x, L.Dense(4)(L.Add()([hidden, L.Dense(4)(hidden)])))


def _attention():
    x = L.Input((4, 6))
    mixed = L.LayerNormalization()(x + L.MultiHeadAttention(2, 3)(x, x))
    return Model(x, L.Dense(3, activation="softmax")(L.GlobalAveragePooling1D()(mixed)))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network(name):
    """For the default weight and for each other one: a witness that agrees, and a model that stays as it was."""
    model, x, y, loss = NETWORKS[name]()
    model.compile(optimizers.Adam(0.01), loss)
    before = [weight.detach().clone() for weight in (*model.parameters(), *model.buffers())]
    state, seeds = torch.get_rng_state(), np.random.get_state()[1].copy()
    step = model.step_through(x, y)
    names = [weight.name for layer in step.layers for weight in layer.weights]
    assert len(names) == len(model.trainable_weights)
    for weight in (None, *names[1:3], names[-1]):
        followed = step.followed if weight is None else model.step_through(x, y, weight=weight).followed
        assert followed.witness.slope == pytest.approx(followed.gradient, rel=0.03, abs=3e-4), weight
        if name != "regularized":
            assert followed.links and followed.path and followed.last is not None
            assert followed.parts and sum(followed.parts) == pytest.approx(followed.gradient, rel=1e-3, abs=1e-6)
    after = (*model.parameters(), *model.buffers())
    assert all(torch.equal(one, other) for one, other in zip(before, after))
    assert all(weight.grad is None for weight in model.parameters())
    assert torch.equal(state, torch.get_rng_state()) and np.array_equal(seeds, np.random.get_state()[1])
    assert not model.optimizer.built and int(model.optimizer.iterations) == 0
    assert not any(part.training for part in model.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert json.dumps(step.to_dict())
    assert all(words in str(step) for words in ("1. Prediction", "2. Cost", "3. Chain rule", "4. Update", "loss after"))


def test_of_deep_networks_the_lowest_layers_are_shown():
    model = Sequential([L.Input((3,)), *[L.Dense(3, activation="tanh") for _ in range(30)], L.Dense(1)])
    model.compile("sgd", "mse")
    followed = model.step_through(torch.randn(2, 3), torch.randn(2, 1)).followed
    assert len(followed.links) == 25 and not followed.path
    assert followed.links[0].numbers == "as autograd has it, after 6 layers further up"
    assert all(link.total == pytest.approx(link.value, rel=1e-3, abs=1e-9) for link in followed.links)
    assert followed.witness.slope == pytest.approx(followed.gradient, rel=1e-3, abs=1e-9)


def test_fit_goes_on_as_if_nothing_had_happened():
    """With dropout and batch normalization, and the native plan of `fit` in between."""

    def run(looks):
        uc.utils.set_random_seed(3)
        model = Sequential(
            [L.Input((4,)), L.Dense(8, activation="relu"), L.Dropout(0.3), L.BatchNormalization(), L.Dense(1)]
        )
        model.compile("adam", "mse")
        x, y = torch.randn(20, 4), torch.randn(20, 1)
        for _ in range(3):
            model.fit(x, y, batch_size=5, verbose=0)
            if looks:
                model.step_through(x, y)
                model.trace(x)
        return [weight.detach().clone() for weight in model.weights]

    assert all(torch.equal(one, other) for one, other in zip(run(False), run(True)))


def test_regularizers_are_counted():
    model, x, y, loss = NETWORKS["regularized"]()
    model.compile("sgd", loss)
    step = model.step_through(x, y)
    penalty = 0.01 * float(model.layers[0].kernel.detach().square().sum())
    assert step.added == pytest.approx(penalty, rel=1e-3)
    assert f"regularizers add {step.added:.4g}" in str(step)


def test_costs_in_words():
    x = torch.randn(3, 4)
    for loss, activation, units, y, words in (
        ("mse", None, 1, torch.randn(3, 1), "(target - prediction) squared"),
        ("mae", None, 2, torch.randn(3, 2), "the mean of (target - prediction) without its sign"),
        ("binary_crossentropy", "sigmoid", 1, torch.tensor([1.0, 0, 1]), "since 1 is right"),
        ("categorical_crossentropy", "softmax", 2, torch.eye(2)[[0, 1, 0]], "-log(prediction[0])"),
        (
            losses.SparseCategoricalCrossentropy(from_logits=True),
            None,
            2,
            torch.tensor([1, 0, 1]),
            "softmax(prediction)[1]",
        ),
        ("hinge", "tanh", 1, torch.tensor([1.0, -1, 1]), "hinge"),
    ):
        step = compiled("sgd", loss, small_net(units, activation)).step_through(x, y, sample=0)
        assert words in step.cost.formula
        assert step.cost.value == pytest.approx(step.sample_losses[0], rel=1e-4)


def test_weights_of_samples_and_several_outputs():
    x = L.Input((4,))
    hidden = L.Dense(3, name="both")(x)
    model = Model(x, {"a": L.Dense(1, name="a")(hidden), "b": L.Dense(2, activation="softmax", name="b")(hidden)})
    model.compile("sgd", {"a": "mse", "b": "sparse_categorical_crossentropy"}, loss_weights={"a": 0.5, "b": 2.0})
    given, y = torch.randn(4, 4), {"a": torch.randn(4, 1), "b": torch.tensor([0, 1, 1, 0])}
    step = model.step_through(given, y, weight="both/kernel[1, 1]")
    assert step.loss == pytest.approx(sum(step.sample_losses) / 4, rel=1e-5)
    assert step.followed.witness.slope == pytest.approx(step.followed.gradient, rel=1e-3)
    weighted = compiled("sgd", "mse", small_net(1, None)).step_through(
        given, torch.randn(4, 1), sample_weight=torch.tensor([1.0, 0.0, 2.0, 1.0])
    )
    assert weighted.sample_losses[1] == 0 and weighted.followed.parts[1] == 0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_types_of_numbers(policy):
    model = Sequential([L.Input((4,)), L.Dense(3, dtype=policy), L.Dense(1, dtype=policy)])
    model.compile(optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=8.0), "mse")
    step = model.step_through(torch.randn(4, 4), torch.randn(4, 1))
    assert step.followed.witness.slope == pytest.approx(step.followed.gradient, rel=0.1, abs=0.02)
    assert step.followed.update[-1].formula == "weight - learning rate x gradient" and not step.notes


def test_gradients_that_overflow_are_told():
    model = Sequential([L.Input((4,)), L.Dense(3, dtype="mixed_float16"), L.Dense(1, dtype="mixed_float16")])
    model.compile("sgd", "mse")
    step = model.step_through(torch.randn(4, 4), torch.full((4, 1), 50.0))
    assert step.notes == [
        "Gradients are NaN or infinite: scaled by 32,768 they do not fit its type, and the optimizer leaves the step out."
    ]
    assert step.followed.new_value == step.followed.value


def test_optimizers_of_torch():
    model, (x, y) = small_net(), data()
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), "sparse_categorical_crossentropy")
    step = model.step_through(x, y)
    assert step.followed.new_value == pytest.approx(step.followed.value - 0.1 * step.followed.gradient, rel=1e-4)
    assert step.learning_rate == 0.1 and not model.optimizer.state


def test_files_of_keras():
    model = load_model(GOLDEN / "opt_adam.keras")
    assert model.optimizer.iterations > 0
    shape = (3, *model.input_shape[1:])
    y = torch.zeros(3, model.output_shape[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step = model.step_through(torch.randn(shape), y if "categorical" not in str(model.loss) else torch.zeros(3))
    assert [line.name for line in step.followed.update] == ["mean m", "mean square v", "rate", "new weight"]


def test_a_train_step_of_ones_own_is_told():
    class Own(Sequential):
        def train_step(self, data):
            return super().train_step(data)

    model = Own([L.Input((4,)), L.Dense(1)], name="own")
    model.compile("sgd", "mse")
    step = model.step_through(torch.randn(40, 4), torch.randn(40, 1))
    assert step.notes == [
        "The first 32 of 40 samples are the batch.",
        "Own has a train_step of its own; shown is the usual step.",
    ]


# --- mistakes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"weight": "first/kernal[0, 0]"}, "Unknown weight: 'first/kernal'.\n"
         "Expected one of: first/bias, first/kernel, last/bias, last/kernel.\nFix: did you mean 'first/kernel'?"),
        ({"weight": "first/kernel[4, 0]"}, "step_through got weight='first/kernel[4, 0]', and 'first/kernel' has the "
         "shape (4, 5).\nExpected 2 whole numbers: 0 to 3 and 0 to 4.\nFix: weight=\"first/kernel[2, 2]\""),
        ({"weight": "first/kernel[a]"}, "step_through got weight='first/kernel[a]', and 'first/kernel' has the shape "
         "(4, 5).\nExpected 2 whole numbers: 0 to 3 and 0 to 4.\nFix: weight=\"first/kernel[2, 2]\""),
        ({"weight": 3}, "step_through got weight=3.\nExpected the name of a weight, and in brackets which entry of it.\n"
         "Fix: weight=\"first/kernel[0, 0]\""),
        ({"sample": 6}, "step_through got sample=6.\nExpected a whole number from 0 to 5: there are 6 rows.\n"
         "Fix: sample=0"),
    ],
)  # fmt: skip
def test_mistakes(settings, text):
    model, (x, y) = compiled("sgd"), data()
    with pytest.raises(ValueError) as error:
        model.step_through(x, y, **settings)
    assert str(error.value) == text


def test_not_compiled_wrong_targets_frozen_and_no_model():
    x, y = data()
    with pytest.raises(ValueError, match=r"Model 'net': step_through\(\) was called before compile\(\)"):
        small_net().step_through(x, y)
    with pytest.raises(ValueError, match="y"):
        compiled("sgd").step_through(x, torch.full((6,), 7))
    with pytest.raises(ValueError):
        compiled("sgd").step_through(x, y[:4])
    with pytest.raises(ValueError):
        compiled("sgd").step_through(x)
    frozen = small_net()
    frozen.trainable = False
    with pytest.raises(ValueError, match="its loss depends on no weight that is trained"):
        compiled("sgd", model=frozen).step_through(x, y)
    with pytest.raises(TypeError, match="step_through got Linear as its model"):
        uc.step_through(torch.nn.Linear(4, 1), x, y)
    with pytest.raises(LookupError, match="did you mean 'first/kernel'"):
        compiled("sgd").step_through(x, y)["first/kernal"]
    with pytest.raises(TypeError, match="did you mean 'weight='"):
        compiled("sgd").step_through(x, y, wieght="first/kernel")
