"""What every loss must do, and that it equals Keras's. A new loss joins with one line in `CASES`."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import torch

from uncrumple import losses
from uncrumple.core import registry
from uncrumple.losses.base import BuiltinLoss

RANDOM = np.random.default_rng(0)
N, C = 6, 4
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]


def softmax(z: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(z - z.max(axis, keepdims=True))
    return (e / e.sum(axis, keepdims=True)).astype("float32")


BITS = RANDOM.integers(0, 2, (N, C)).astype("float32")
NUMBERS = RANDOM.normal(size=(N, C)).astype("float32")
OTHERS = RANDOM.normal(size=(N, C)).astype("float32")
LOGITS = (3 * RANDOM.normal(size=(N, C))).astype("float32")
PROBABILITIES = np.concatenate([softmax(LOGITS[:-2]), [[1, 0, 0, 0], [0.2, 0.2, 0.1, 0]]]).astype("float32")
LABELS = np.array([0, 1, 2, 3, 1, 3])
ONE_HOT = np.eye(C, dtype="float32")[LABELS]
CHANCES = np.clip(RANDOM.random((N, C)), 0, 1).astype("float32")
CHANCES[0, 0], CHANCES[1, 1] = 0.0, 1.0
MAPS_TRUE = RANDOM.integers(0, 2, (3, 5, 5, 2)).astype("float32")
MAPS = RANDOM.random((3, 5, 5, 2)).astype("float32")
SEQUENCE_LABELS = RANDOM.integers(0, C, (3, 5))
SEQUENCE = softmax(RANDOM.normal(size=(3, 5, C)))
FIRST = np.moveaxis(SEQUENCE, -1, 1).copy()
FIRST_ONE_HOT = np.moveaxis(np.eye(C, dtype="float32")[SEQUENCE_LABELS], -1, 1).copy()
UNIT = (NUMBERS / np.linalg.norm(NUMBERS, axis=-1, keepdims=True)).astype("float32")
TEXTS = np.array([[1, 2, 0], [3, 3, 1], [2, 0, 0]])
SPEECH = RANDOM.normal(size=(3, 8, C)).astype("float32")

# Saturated, empty and huge: (y_true, y_pred) that occur in bad trainings. Losses and gradients must stay finite.
HUGE_NUMBERS = (
    np.array([[0, 0, 0], [1e10, -1e10, 1], [0, 0, 0]], "float32"),
    np.array([[0, 0, 1e-20], [-1e10, 1e10, 1], [3, -4, 0]], "float32"),
)
NEGATIVE_NUMBERS = (np.array([[-1.0, 0.0, 2.0]], "float32"), np.array([[-5.0, -1.0, -2.0]], "float32"))
SATURATED_BITS = (np.eye(2, dtype="float32")[[1, 0, 1]], np.array([[1, 0], [0, 1], [0.5, 0.5]], "float32"))
SATURATED_ROWS = (np.eye(3, dtype="float32"), np.array([[0, 1, 0], [0, 0, 0], [1e-30, 1, 1e-30]], "float32"))
SATURATED_LABELS = (np.arange(3), SATURATED_ROWS[1])
HUGE_SCORES = (np.eye(3, dtype="float32"), np.array([[-1e4, 1e4, 0], [1e38, -1e38, 0], [0, 0, -1e30]], "float32"))
HUGE_LABELS = (np.arange(3), HUGE_SCORES[1])
NOTHING = (np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32"))
ALL_ALIKE = (np.zeros(3, "int32"), np.array([[1, 0]] * 3, "float32"))
SURE_SPEECH = (np.array([[1, 2, 0]]), np.array([[[1e4, -1e4, 0]] * 4], "float32"))


@dataclasses.dataclass
class Case:
    """One loss with settings.

    Attributes:
        name: Its class.
        y_true, y_pred: A batch.
        wrong: Shapes of (y_true, y_pred) that must be refused.
        extreme: Batches of which loss and gradient must be finite.
        settings: What it is made with.
    """

    name: str
    y_true: np.ndarray
    y_pred: np.ndarray
    wrong: tuple[tuple[int, ...], tuple[int, ...]]
    extreme: tuple[tuple[np.ndarray, np.ndarray], ...]
    settings: dict[str, Any]

    @property
    def id(self) -> str:
        settings = "-".join(f"{key}={value}" for key, value in self.settings.items())
        return "-".join(part for part in (self.name, settings, "x".join(map(str, self.y_pred.shape))) if part)

    def make(self, room: Any = losses, **more: Any) -> Any:
        return getattr(room, self.name)(**{**self.settings, **more})

    def smooth(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch in float64, with predictions away from where a loss has a bend."""
        true, predicted = torch.tensor(self.y_true), torch.tensor(self.y_pred, dtype=torch.float64)
        if self.y_pred.min() >= 0:
            predicted = 0.9 * predicted + 0.04 * predicted.max()
        return true.double() if true.is_floating_point() else true, predicted


def case(
    name: str,
    y_true: np.ndarray,
    y_pred: np.ndarray,
    *extreme: tuple[np.ndarray, np.ndarray],
    wrong: tuple[tuple[int, ...], tuple[int, ...]] = ((6, 3), (6, 4)),
    **settings: Any,
) -> Case:
    return Case(name, y_true, y_pred, wrong, extreme, settings)


CLASSES_WRONG = ((5,), (6, 4))
CASES = [
    case("BinaryCrossentropy", BITS, CHANCES, SATURATED_BITS),
    case("BinaryCrossentropy", BITS, CHANCES, SATURATED_BITS, label_smoothing=0.2),
    case("BinaryCrossentropy", BITS, LOGITS, HUGE_SCORES, from_logits=True),
    case("BinaryCrossentropy", BITS, LOGITS, HUGE_SCORES, from_logits=True, label_smoothing=0.1),
    case("BinaryCrossentropy", MAPS_TRUE, MAPS, axis=1),
    case("BinaryFocalCrossentropy", BITS, CHANCES, SATURATED_BITS),
    case("BinaryFocalCrossentropy", BITS, CHANCES, SATURATED_BITS, gamma=0.5),
    case("BinaryFocalCrossentropy", BITS, LOGITS, HUGE_SCORES, from_logits=True, gamma=3.0, label_smoothing=0.1),
    case("BinaryFocalCrossentropy", BITS, CHANCES, SATURATED_BITS, apply_class_balancing=True, alpha=0.4),
    case("CTC", TEXTS, SPEECH, SURE_SPEECH, wrong=((3, 2), (4, 8, 4))),
    case("CategoricalCrossentropy", ONE_HOT, PROBABILITIES, SATURATED_ROWS, NOTHING),
    case("CategoricalCrossentropy", ONE_HOT, 3 * PROBABILITIES + 0.1),
    case("CategoricalCrossentropy", ONE_HOT, PROBABILITIES, SATURATED_ROWS, label_smoothing=0.2),
    case("CategoricalCrossentropy", ONE_HOT, LOGITS, HUGE_SCORES, from_logits=True),
    case("CategoricalCrossentropy", ONE_HOT, LOGITS, from_logits=True, label_smoothing=0.2),
    case("CategoricalCrossentropy", FIRST_ONE_HOT, FIRST, axis=1),
    case("CategoricalCrossentropy", FIRST_ONE_HOT, FIRST, axis=1, from_logits=True),
    case("CategoricalFocalCrossentropy", ONE_HOT, 2 * PROBABILITIES, SATURATED_ROWS, NOTHING),
    case("CategoricalFocalCrossentropy", ONE_HOT, LOGITS, HUGE_SCORES, from_logits=True, gamma=1.5, alpha=0.5),
    case("CategoricalFocalCrossentropy", ONE_HOT, PROBABILITIES, alpha=[0.1, 0.2, 0.3, 0.4], label_smoothing=0.1),
    case("CategoricalGeneralizedCrossEntropy", LABELS, softmax(LOGITS), SATURATED_LABELS, q=0.3, wrong=CLASSES_WRONG),
    case("CategoricalHinge", ONE_HOT, OTHERS, HUGE_SCORES),
    case("Circle", LABELS, UNIT, ALL_ALIKE, wrong=CLASSES_WRONG),
    case("Circle", LABELS, UNIT, ALL_ALIKE, gamma=16.0, margin=0.25, remove_diagonal=False, wrong=CLASSES_WRONG),
    case("CosineSimilarity", NUMBERS, OTHERS, HUGE_NUMBERS, NOTHING),
    case("CosineSimilarity", NUMBERS, OTHERS, NOTHING, axis=0),
    case("Dice", MAPS_TRUE, MAPS, NOTHING),
    case("Dice", MAPS_TRUE, MAPS, axis=(1, 2, 3)),
    case("Dice", MAPS_TRUE, MAPS, axis=[1, 2]),
    case("Hinge", BITS, OTHERS, HUGE_SCORES),
    case("Hinge", 2 * BITS - 1, OTHERS),
    case("Hinge", NUMBERS, OTHERS),
    case("Huber", NUMBERS, 2 * OTHERS, HUGE_NUMBERS),
    case("Huber", NUMBERS, 2 * OTHERS, delta=0.3),
    case("KLDivergence", softmax(NUMBERS), PROBABILITIES, SATURATED_ROWS, NOTHING),
    case("LogCosh", NUMBERS, OTHERS, HUGE_NUMBERS),
    case("MeanAbsoluteError", NUMBERS, OTHERS, HUGE_NUMBERS),
    case("MeanAbsolutePercentageError", NUMBERS, OTHERS, HUGE_NUMBERS, NOTHING),
    case("MeanSquaredError", NUMBERS, OTHERS, HUGE_NUMBERS),
    case("MeanSquaredLogarithmicError", np.abs(NUMBERS), OTHERS, HUGE_NUMBERS, NEGATIVE_NUMBERS),
    case("Poisson", np.abs(NUMBERS), np.abs(OTHERS) + 0.1, NOTHING, (SATURATED_ROWS[0], 1e10 * SATURATED_ROWS[1])),
    case("SparseCategoricalCrossentropy", LABELS, PROBABILITIES, SATURATED_LABELS, wrong=CLASSES_WRONG),
    case("SparseCategoricalCrossentropy", LABELS[:, None], 3 * PROBABILITIES + 0.1, wrong=((6, 4), (6, 4))),
    case("SparseCategoricalCrossentropy", LABELS.astype("float32"), PROBABILITIES, wrong=((6, 5), (6, 5, 4, 3))),
    case("SparseCategoricalCrossentropy", LABELS, LOGITS, HUGE_LABELS, from_logits=True, wrong=((6,), (6, 1))),
    case("SparseCategoricalCrossentropy", LABELS.astype("uint8"), LOGITS, from_logits=True, wrong=CLASSES_WRONG),
    case("SparseCategoricalCrossentropy", LABELS, PROBABILITIES, SATURATED_LABELS, ignore_class=1, wrong=CLASSES_WRONG),
    case("SparseCategoricalCrossentropy", LABELS, LOGITS, ignore_class=1, from_logits=True, wrong=CLASSES_WRONG),
    case("SparseCategoricalCrossentropy", LABELS, LOGITS, ignore_class=-1, from_logits=True, wrong=CLASSES_WRONG),
    case("SparseCategoricalCrossentropy", SEQUENCE_LABELS, SEQUENCE, wrong=CLASSES_WRONG),
    case("SparseCategoricalCrossentropy", SEQUENCE_LABELS[..., None], SEQUENCE, from_logits=True, wrong=CLASSES_WRONG),
    case("SparseCategoricalCrossentropy", SEQUENCE_LABELS, FIRST, axis=1, wrong=CLASSES_WRONG),
    case("SparseCategoricalCrossentropy", SEQUENCE_LABELS, FIRST, axis=1, ignore_class=2, wrong=CLASSES_WRONG),
    case("SquaredHinge", BITS, OTHERS, SATURATED_BITS),
    case("Tversky", MAPS_TRUE, MAPS, NOTHING, alpha=0.3, beta=0.7),
    case("Tversky", MAPS_TRUE, MAPS, alpha=0.3, beta=0.7, axis=(1, 2, 3)),
]
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
CLASSES = sorted(
    name
    for name, thing in registry.builtins("losses").items()
    if isinstance(thing, type) and issubclass(thing, BuiltinLoss)
)


def test_every_loss_has_a_case():
    assert {one.name for one in CASES} == set(CLASSES)


# --- numbers of Keras --------------------------------------------------------------------


def both(case: Case, weights: Any = None, mask: Any = None, **settings: Any) -> Any:
    found = []
    for room in (losses, keras.losses):
        predicted = torch.tensor(case.y_pred, requires_grad=True)
        if mask is not None:
            predicted._keras_mask = torch.tensor(mask)  # type: ignore[attr-defined]
        value = case.make(room, **settings)(torch.tensor(case.y_true), predicted, sample_weight=weights)
        (gradient,) = torch.autograd.grad(value.sum(), predicted)
        found.append((value.detach().numpy(), gradient.numpy()))
    return found


def assert_same(case: Case, **more: Any) -> None:
    (value, gradient), (keras_value, keras_gradient) = both(case, **more)
    assert value.shape == keras_value.shape
    assert value.dtype == keras_value.dtype
    np.testing.assert_allclose(value, keras_value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, keras_gradient, rtol=2e-4, atol=1e-6)


def shape_of_values(case: Case) -> tuple[int, ...]:
    return tuple(case.make(reduction="none")(torch.tensor(case.y_true), torch.tensor(case.y_pred)).shape)


@every
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_value_and_gradient(case, reduction):
    assert_same(case, reduction=reduction)


@every
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weighted(case, reduction):
    weights = np.random.default_rng(1).random(shape_of_values(case) or (len(case.y_pred),)).astype("float32")
    assert_same(case, weights=weights, reduction=reduction)


@pytest.mark.parametrize("case", [one for one in CASES if shape_of_values(one)], ids=lambda case: case.id)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("empty", [False, True])
def test_masked(case, reduction, weighted, empty):
    shape = shape_of_values(case)
    mask = np.zeros(shape, bool) if empty else np.random.default_rng(2).random(shape) > 0.4
    weights = np.random.default_rng(3).random(shape).astype("float32") if weighted else None
    assert_same(case, weights=weights, mask=mask, reduction=reduction)


@every
def test_the_function_of_the_same_name(case):
    name = "categorical_generalized_cross_entropy" if "Generalized" in case.name else keras.losses.get(case.name).fn
    name = name if isinstance(name, str) else name.__name__
    theirs, ours = getattr(keras.losses, name), getattr(losses, name)
    given = [torch.tensor(case.y_true), torch.tensor(case.y_pred)]
    expected = theirs(*given, **case.settings)
    np.testing.assert_allclose(ours(*given, **case.settings).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    wanted, found = inspect.signature(theirs).parameters, inspect.signature(ours).parameters
    assert list(found) == list(wanted)
    assert all(one.default in (one.empty, found[key].default) for key, one in wanted.items())


@every
def test_a_config_goes_to_keras_and_back(case):
    ours = case.make(reduction="sum", name="mine")
    config = json.loads(json.dumps(losses.serialize(ours)))
    assert (config["module"], config["class_name"]) == ("keras.losses", case.name)
    theirs = getattr(keras.losses, case.name).from_config(dict(config["config"]))
    written = json.loads(json.dumps(theirs.get_config()))  # which lacks some settings in Keras
    assert {key: config["config"][key] for key in written} == written
    assert type(losses.deserialize(keras.saving.serialize_keras_object(theirs))) is type(ours)
    again = losses.deserialize(config)
    assert type(again) is type(ours)
    assert json.dumps(again.get_config()) == json.dumps(ours.get_config())
    given = [torch.tensor(case.y_true), torch.tensor(case.y_pred)]
    torch.testing.assert_close(again(*given), ours(*given), rtol=0, atol=0)
    for key, value in case.settings.items():
        held = getattr(again, key)
        assert (list(held) if isinstance(held, (list, tuple)) else held) == (
            list(value) if isinstance(value, (list, tuple)) else value
        )
    plain = losses.deserialize({"class_name": case.name, "config": {}})
    assert type(plain) is type(ours)


@every
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_predictions_of_another_type(case, dtype):
    """A loss computes in its own type, whatever the model gives."""
    given = torch.tensor(case.y_true), torch.tensor(case.y_pred).to(getattr(torch, dtype))
    ours, theirs = case.make()(*given), case.make(keras.losses)(*given)
    assert ours.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@every
@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "mixed_bfloat16"])
def test_a_type_of_its_own(case, dtype):
    y_true, y_pred = case.smooth()  # in half precision, what is cut off at 1e-7 has no place
    loss = case.make(dtype=dtype)
    value = loss(y_true, y_pred)
    assert loss.dtype == case.make(keras.losses, dtype=dtype).dtype == str(value.dtype).removeprefix("torch.")
    rounded = case.make(dtype="float64")(y_true, y_pred.to(value.dtype))
    torch.testing.assert_close(value.double(), rounded, rtol=0.05 if dtype != "float64" else 1e-9, atol=0.05)


# --- by itself ---------------------------------------------------------------------------


@every
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", None])
def test_gradient_equals_finite_differences(case, reduction):
    loss = case.make(dtype="float64", reduction=reduction)
    y_true, y_pred = case.smooth()
    assert torch.autograd.gradcheck(lambda predicted: loss(y_true, predicted), y_pred.requires_grad_())


@pytest.mark.parametrize(
    ("case", "y_true", "y_pred"),
    [(one, *given) for one in CASES for given in one.extreme],
    ids=[f"{one.id}-{number}" for one in CASES for number, _ in enumerate(one.extreme)],
)
def test_extreme_values_give_finite_losses_and_gradients(case, y_true, y_pred):
    settings = {} if case.settings.get("axis") is None else {"axis": -1 if case.settings["axis"] == 1 else 0}
    if isinstance(case.settings.get("alpha"), list):
        settings["alpha"] = [0.3] * y_pred.shape[-1]
    for reduction in ("sum_over_batch_size", None):  # the short way and the long one
        predicted = torch.tensor(y_pred, requires_grad=True)
        value = case.make(reduction=reduction, **settings)(torch.tensor(y_true), predicted)
        value.sum().backward()
        assert value.isfinite().all()
        assert predicted.grad.isfinite().all()


@every
def test_a_wrong_shape_is_refused_with_words(case):
    labels = case.y_true.dtype.kind in "iu" or len(case.wrong[0]) < len(case.wrong[1])
    y_true = torch.zeros(case.wrong[0], dtype=torch.int64 if labels else torch.float32)
    with pytest.raises(ValueError) as caught:
        case.make()(y_true, torch.zeros(case.wrong[1]))
    first, second, third = str(caught.value).split("\n")
    assert first.endswith(f"got y_true of shape {case.wrong[0]} and y_pred of shape {case.wrong[1]}.")
    assert second.startswith("Expected ")
    assert third.startswith("Fix: ")


@every
def test_without_numbers(case):
    """Shapes are found by running a loss on tensors without data."""
    y_true, y_pred = torch.tensor(case.y_true), torch.tensor(case.y_pred)
    for reduction in ("sum_over_batch_size", None):
        loss = case.make(reduction=reduction)
        found = loss(y_true.to("meta"), y_pred.to("meta"))
        assert found.is_meta
        assert found.shape == loss(y_true, y_pred).shape


@every
def test_one_sample_and_none(case):
    y_true, y_pred = torch.tensor(case.y_true), torch.tensor(case.y_pred)
    loss = case.make(reduction=None)
    if loss(y_true, y_pred).dim() == 0 or case.settings.get("axis") == 0 or case.name == "Circle":
        return  # samples are compared with each other
    torch.testing.assert_close(loss(y_true[:1], y_pred[:1]), loss(y_true, y_pred)[:1])
    for reduction in ("sum_over_batch_size", "sum"):
        assert case.make(reduction=reduction)(y_true[:1], y_pred[:1]).dim() == 0
    if case.name != "CTC":  # torch wants a text
        assert loss(y_true[:0], y_pred[:0]).shape[0] == 0
        assert float(case.make(reduction="sum")(y_true[:0], y_pred[:0])) == 0


@every
def test_copies_and_pickles(case):
    loss = case.make(reduction="sum")
    given = [torch.tensor(case.y_true), torch.tensor(case.y_pred)]
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert again.get_config() == loss.get_config()
        assert torch.equal(again(*given), loss(*given))
