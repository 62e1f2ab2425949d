"""Losses: the short way, weights, names, configs, errors."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
import torch

import uncrumple.losses as losses
from uncrumple.core import registry
from uncrumple.losses.base import BuiltinLoss


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(losses.__path__)])
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(f"{losses.__name__}.{name}")).failed == 0


def test_examples_of_the_room_itself_run():
    assert doctest.testmod(losses).failed == 0


CASES = {
    "MeanSquaredError": (torch.randn(8, 3), torch.randn(8, 3)),
    "MeanAbsoluteError": (torch.randn(8), torch.randn(8, 1)),
    "BinaryCrossentropy": (torch.randint(2, (8,)), torch.rand(8, 1)),
    "CategoricalCrossentropy": (torch.eye(4)[torch.randint(4, (8,))], torch.softmax(torch.randn(8, 4), -1)),
    "SparseCategoricalCrossentropy": (torch.randint(4, (8, 1)), torch.softmax(torch.randn(8, 4), -1)),
}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in CASES),
        *((name, {"from_logits": True}) for name in CASES if name.endswith("entropy")),
        ("BinaryCrossentropy", {"label_smoothing": 0.2}),
        ("CategoricalCrossentropy", {"label_smoothing": 0.2}),
    ],
)
def test_the_short_way_gives_what_the_long_way_gives(name, settings, monkeypatch):
    y_true, y_pred = CASES[name]
    loss = getattr(losses, name)(**settings)
    taken = []
    long_way = BuiltinLoss.call
    monkeypatch.setattr(BuiltinLoss, "call", lambda self, *both: taken.append(1) or long_way(self, *both))
    ones = torch.ones(8)
    mine, other = y_pred.clone().requires_grad_(), y_pred.clone().requires_grad_()
    short = loss(y_true, mine)
    assert not taken
    long = loss(y_true, other, sample_weight=ones)
    assert taken
    torch.testing.assert_close(short, long)
    short.backward()
    long.backward()
    torch.testing.assert_close(mine.grad, other.grad)


def test_a_subclass_with_its_own_call_is_heard():
    class Doubled(losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            return 2 * super().call(y_true, y_pred)

    y_true, y_pred = CASES["MeanSquaredError"]
    torch.testing.assert_close(Doubled()(y_true, y_pred), 2 * losses.MeanSquaredError()(y_true, y_pred))


def test_vectors_are_weighted_one_by_one():
    """Keras averages a vector first, and so loses which sample has which weight."""
    y_true, y_pred, weights = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 5.0]), torch.tensor([1.0, 0.0])
    assert float(losses.MeanSquaredError()(y_true, y_pred, sample_weight=weights)) == 0.5
    assert float(losses.MeanSquaredError()(y_true, y_pred)) == 5.0


def test_one_weight_per_sample_covers_its_time_steps():
    labels, rows = torch.randint(4, (3, 3)), torch.softmax(torch.randn(3, 3, 4), -1)
    weights = torch.tensor([1.0, 0.0, 2.0])
    each = losses.sparse_categorical_crossentropy(labels, rows)
    expected = (each * weights[:, None]).sum() / 9
    torch.testing.assert_close(losses.SparseCategoricalCrossentropy()(labels, rows, sample_weight=weights), expected)


def test_one_weight_per_sample_together_with_a_mask():
    labels, rows = torch.randint(4, (2, 3)), torch.softmax(torch.randn(2, 3, 4), -1)
    mask, weights = torch.tensor([[True, False, True], [True, True, False]]), torch.tensor([3.0, 1.0])
    each = losses.sparse_categorical_crossentropy(labels, rows)
    rows._keras_mask = mask
    found = losses.SparseCategoricalCrossentropy()(labels, rows, sample_weight=weights)
    torch.testing.assert_close(found, (each * weights[:, None] * mask).sum() / 4)


def test_weights_that_fit_nothing():
    with pytest.raises(ValueError) as caught:
        losses.MeanSquaredError()(torch.zeros(4, 2), torch.zeros(4, 2), sample_weight=torch.ones(3))
    assert str(caught.value).splitlines() == [
        "mean_squared_error got sample weights (or a mask) of shape (3,) for losses of shape (4,).",
        "Expected one weight per sample, or one per loss.",
        "Fix: sample_weight of shape (4,)",
    ]


def test_a_users_loss():
    class Pinball(losses.Loss):
        def __init__(self, quantile=0.5, **kwargs):
            super().__init__(**kwargs)
            self.quantile = quantile

        def call(self, y_true, y_pred):
            error = y_true - y_pred
            return torch.maximum(self.quantile * error, (self.quantile - 1) * error).mean(-1)

        def get_config(self):
            return {**super().get_config(), "quantile": self.quantile}

    loss = Pinball(0.9)
    assert loss.name == "pinball"
    assert float(loss(np.array([[1.0], [2.0]]), np.array([[0.0], [4.0]]))) == pytest.approx((0.9 + 0.2) / 2)
    assert loss([[1]], [[0]]).dtype == torch.float32
    again = losses.deserialize(losses.serialize(loss), custom_objects={"Pinball": Pinball})
    assert again.quantile == 0.9
    assert Pinball().name == "pinball_1"


def test_a_users_function_is_aligned_before_it_is_called():
    loss = losses.LossFunctionWrapper(lambda y_true, y_pred: (y_true - y_pred).abs())
    assert loss(torch.zeros(4), torch.ones(4, 1)).shape == ()
    assert losses.LossFunctionWrapper(lambda a, b: (a - b).abs(), reduction=None)(
        torch.zeros(4), torch.ones(4, 1)
    ).shape == (4, 1)


def test_a_wrapped_function_has_a_config():
    @registry.register_keras_serializable("test_losses")
    def scaled(y_true, y_pred, factor):
        return factor * (y_true - y_pred).abs().mean(-1)

    loss = losses.LossFunctionWrapper(scaled, name="scaled", factor=3.0)
    again = losses.LossFunctionWrapper.from_config(loss.get_config())
    assert float(again([[1.0]], [[0.0]])) == 3.0
    builtin = losses.LossFunctionWrapper.from_config({"fn": "mean_squared_error", "name": "x"})
    assert float(builtin([[2.0]], [[0.0]])) == 4.0
    with pytest.raises(ValueError, match="did you mean 'mean_squared_error'"):
        losses.LossFunctionWrapper.from_config({"fn": "mean_square_error"})


def test_get():
    def mine(y_true, y_pred):
        return y_pred.sum()

    for name in ("mse", "MSE", "mean_squared_error"):
        assert losses.get(name) is losses.mean_squared_error
    assert losses.get("bce") is losses.binary_crossentropy
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get(mine) is mine
    assert losses.get(None) is None
    assert isinstance(losses.get({"class_name": "Huber", "config": {"delta": 2.0}}), losses.Huber)
    with pytest.raises(ValueError, match="did you mean 'sparse_categorical_crossentropy'"):
        losses.get("sparse_categorical_crossentrpy")
    with pytest.raises(TypeError):
        losses.get(3)


def test_dtype():
    y_true, y_pred = torch.zeros(2, 2), torch.ones(2, 2)
    assert losses.MeanSquaredError(dtype="float64")(y_true, y_pred).dtype == torch.float64
    assert losses.MeanSquaredError(dtype="mixed_bfloat16")(y_true, y_pred).dtype == torch.bfloat16
    assert losses.MeanSquaredError().dtype == "float32"


def test_a_batch_without_samples_and_weights_of_zero():
    empty = torch.zeros(0, 2)
    assert losses.MeanSquaredError(reduction="sum")(empty, empty) == 0
    rows = torch.rand(2, 2, requires_grad=True)
    out = losses.MeanSquaredError(reduction="mean_with_sample_weight")(torch.zeros(2, 2), rows, torch.zeros(2))
    out.backward()
    assert out == 0
    assert rows.grad.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("make", "first_line"),
    [
        (lambda: losses.MeanSquaredError(reduction="average"), "Unknown reduction: 'average'."),
        (lambda: losses.Huber(delta=0), "Huber got delta=0."),
        (lambda: losses.BinaryCrossentropy(label_smoothing=2), "BinaryCrossentropy got label_smoothing=2."),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=-1), "CategoricalCrossentropy got label_smoothing=-1."),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "BinaryFocalCrossentropy got gamma=-1."),
        (lambda: losses.BinaryFocalCrossentropy(alpha=2), "BinaryFocalCrossentropy got alpha=2."),
        (
            lambda: losses.CategoricalGeneralizedCrossEntropy(q=1),
            "CategoricalGeneralizedCrossEntropy got q=1.",
        ),
        (lambda: losses.Tversky(alpha=-1), "Tversky got alpha=-1."),
        (lambda: losses.Circle(gamma=0), "Circle got gamma=0."),
    ],
)
def test_impossible_arguments(make, first_line):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).splitlines()[0] == first_line
    assert len(str(caught.value).splitlines()) == 3


def test_a_loss_without_call_says_what_to_write():
    class Empty(losses.Loss):
        pass

    with pytest.raises(NotImplementedError, match="add def call"):
        Empty()([[1.0]], [[1.0]])
