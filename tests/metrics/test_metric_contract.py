"""What every metric must do, and that it equals Keras's. A new metric joins with one line in `CASES`.

A case is (class, settings, y_true, y_pred); `SETTINGS` has a line for each class with settings, for its config.
"""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from uncrumple import metrics
from uncrumple.core import registry

RANDOM = np.random.default_rng(0)
N, C = 8, 4


def _softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype("float32")


BITS = RANDOM.integers(0, 2, (N, C)).astype("float32")
CHANCES = np.round(RANDOM.random((N, C)), 1).astype("float32")
BIT, CHANCE = BITS[:, :1], CHANCES[:, :1]
NUMBERS = RANDOM.normal(size=(N, C)).astype("float32")
OTHERS = RANDOM.normal(size=(N, C)).astype("float32")
LOGITS = (2 * RANDOM.normal(size=(N, C))).astype("float32")
ROWS = _softmax(LOGITS)
LABELS = RANDOM.integers(0, C, N)
ONE_HOT = np.eye(C, dtype="float32")[LABELS]
SEQUENCE_LABELS = RANDOM.integers(0, C, (N, 5))
SEQUENCE = _softmax(RANDOM.normal(size=(N, 5, C)))
GUESSES = RANDOM.integers(0, C, N)
PIXELS, GUESSED_PIXELS = RANDOM.integers(0, C, (N, 3, 3)), RANDOM.integers(0, C, (N, 3, 3))
PIXEL_ROWS = RANDOM.random((N, 3, 3, C)).astype("float32")
RANKED = np.argsort(-LOGITS, -1).astype("float32")

CASES = [
    ("Accuracy", {}, LABELS, GUESSES),
    ("Accuracy", {}, LABELS[:, None], GUESSES),
    ("BinaryAccuracy", {}, BIT, CHANCE),
    ("BinaryAccuracy", {}, BIT[:, 0], CHANCE),
    ("BinaryAccuracy", {"threshold": 0.3}, BITS, CHANCES),
    ("BinaryAccuracy", {}, BITS.astype("int32"), CHANCES),
    ("CategoricalAccuracy", {}, ONE_HOT, ROWS),
    ("SparseCategoricalAccuracy", {}, LABELS, ROWS),
    ("SparseCategoricalAccuracy", {}, LABELS[:, None], ROWS),
    ("SparseCategoricalAccuracy", {}, LABELS.astype("float32"), ROWS),
    ("SparseCategoricalAccuracy", {}, SEQUENCE_LABELS, SEQUENCE),
    ("SparseCategoricalAccuracy", {}, SEQUENCE_LABELS[..., None], SEQUENCE),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, ROWS),
    ("TopKCategoricalAccuracy", {"k": 2}, np.eye(C, dtype="float32")[SEQUENCE_LABELS], SEQUENCE),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, LABELS, ROWS),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, SEQUENCE_LABELS, SEQUENCE),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, LABELS, RANKED),
    ("BinaryCrossentropy", {}, BITS, CHANCES),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, BITS, LOGITS),
    ("CategoricalCrossentropy", {}, ONE_HOT, ROWS),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, LOGITS),
    ("SparseCategoricalCrossentropy", {}, LABELS, ROWS),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, SEQUENCE_LABELS, SEQUENCE),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, LABELS, ROWS),
    ("KLDivergence", {}, _softmax(NUMBERS), ROWS),
    ("Poisson", {}, np.abs(NUMBERS), CHANCES + 0.1),
    ("Hinge", {}, BITS, OTHERS),
    ("SquaredHinge", {}, 2 * BITS - 1, OTHERS),
    ("CategoricalHinge", {}, ONE_HOT, OTHERS),
    ("MeanSquaredError", {}, NUMBERS, OTHERS),
    ("MeanSquaredError", {}, NUMBERS[:, 0], OTHERS[:, :1]),
    ("MeanAbsoluteError", {}, NUMBERS, OTHERS),
    ("MeanAbsolutePercentageError", {}, NUMBERS, OTHERS),
    ("MeanSquaredLogarithmicError", {}, np.abs(NUMBERS), OTHERS),
    ("RootMeanSquaredError", {}, NUMBERS, OTHERS),
    ("RootMeanSquaredError", {}, NUMBERS[:, 0], OTHERS[:, :1]),
    ("CosineSimilarity", {}, NUMBERS, OTHERS),
    ("LogCoshError", {}, NUMBERS, OTHERS),
    ("PearsonCorrelation", {}, NUMBERS, OTHERS),
    ("ConcordanceCorrelation", {}, NUMBERS, OTHERS),
    ("R2Score", {}, NUMBERS, OTHERS),
    ("R2Score", {"class_aggregation": None}, NUMBERS, OTHERS),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, NUMBERS, OTHERS),
    ("TruePositives", {}, BIT, CHANCE),
    ("FalsePositives", {"thresholds": [0.2, 0.8]}, BITS, CHANCES),
    ("TrueNegatives", {"thresholds": [0.0, 0.5, 1.0]}, BITS, CHANCES),
    ("FalseNegatives", {"thresholds": 0.3}, BIT[:, 0], CHANCE[:, 0]),
    ("Precision", {}, BIT, CHANCE),
    ("Precision", {"thresholds": [0.1, 0.5, 0.6]}, BITS, CHANCES),
    ("Precision", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, BITS, CHANCES),
    ("Precision", {"top_k": 2}, ONE_HOT, ROWS),
    ("Precision", {"top_k": 2, "class_id": 1}, ONE_HOT, ROWS),
    ("Precision", {"class_id": 2}, BITS, CHANCES),
    ("Recall", {}, BIT, CHANCE),
    ("Recall", {"top_k": 3}, ONE_HOT, ROWS),
    ("Recall", {"class_id": 2, "thresholds": 0.3}, BITS, CHANCES),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, BIT, CHANCE),
    ("SensitivityAtSpecificity", {"specificity": 0.4, "num_thresholds": 1}, BIT, CHANCE),
    ("SpecificityAtSensitivity", {"sensitivity": 0.7, "num_thresholds": 9}, BITS, CHANCES),
    ("PrecisionAtRecall", {"recall": 0.6}, BITS, CHANCES),
    ("PrecisionAtRecall", {"recall": 0.6, "class_id": 1}, BITS, CHANCES),
    ("RecallAtPrecision", {"precision": 0.6}, BITS, CHANCES),
    ("AUC", {}, BIT, CHANCE),
    ("AUC", {"num_thresholds": 7}, BITS, CHANCES),
    ("AUC", {"curve": "PR"}, BITS, CHANCES),
    ("AUC", {"curve": "PR", "summation_method": "minoring"}, BITS, CHANCES),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}, BITS, CHANCES),
    ("AUC", {"summation_method": "majoring"}, BITS, CHANCES),
    ("AUC", {"curve": "PRGAIN"}, BITS, CHANCES),
    ("AUC", {"thresholds": [0.9, 0.15, 0.5]}, BITS, CHANCES),
    ("AUC", {"thresholds": [0.25, 0.5, 0.75]}, BITS, CHANCES),
    ("AUC", {"from_logits": True}, BITS, LOGITS),
    ("AUC", {"multi_label": True}, BITS, CHANCES),
    ("AUC", {"multi_label": True, "num_labels": C, "curve": "PR"}, BITS, CHANCES),
    ("AUC", {"multi_label": True, "thresholds": [0.2, 0.7]}, BITS, CHANCES),
    ("AUC", {"multi_label": True, "label_weights": [0.1, 0.4, 0.2, 0.3]}, BITS, CHANCES),
    ("AUC", {"label_weights": [0.1, 0.4, 0.2, 0.3]}, BITS, CHANCES),
    ("AUC", {"label_weights": [0.1, 0.4, 0.2, 0.3], "thresholds": [0.2, 0.7]}, BITS, CHANCES),
    ("F1Score", {}, ONE_HOT, ROWS),
    ("F1Score", {"threshold": 0.5}, BITS, CHANCES),
    ("F1Score", {"average": "micro", "threshold": 0.4}, BITS, CHANCES),
    ("F1Score", {"average": "macro"}, ONE_HOT, ROWS),
    ("FBetaScore", {"average": "weighted", "beta": 2.0, "threshold": 0.4}, BITS, CHANCES),
    ("IoU", {"num_classes": C, "target_class_ids": [0, 2]}, PIXELS, GUESSED_PIXELS),
    ("IoU", {"num_classes": C, "target_class_ids": [0, 2], "sparse_y_pred": False}, PIXELS, PIXEL_ROWS),
    ("MeanIoU", {"num_classes": C}, PIXELS, GUESSED_PIXELS),
    ("MeanIoU", {"num_classes": C, "ignore_class": 1}, PIXELS, GUESSED_PIXELS),
    ("MeanIoU", {"num_classes": 3}, PIXELS, GUESSED_PIXELS),
    ("MeanIoU", {"num_classes": C, "dtype": "float32"}, PIXELS, GUESSED_PIXELS),
    ("BinaryIoU", {"threshold": 0.3}, BITS, CHANCES),
    ("BinaryIoU", {"target_class_ids": [1]}, BITS, CHANCES),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [1]}, ONE_HOT, ROWS),
    ("OneHotMeanIoU", {"num_classes": C}, ONE_HOT, ROWS),
    ("OneHotMeanIoU", {"num_classes": C, "sparse_y_pred": True}, ONE_HOT, GUESSES),
]
BY_PIXEL = {"IoU", "MeanIoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU"}


SETTINGS = {
    "BinaryAccuracy": {"threshold": 0.3},
    "TopKCategoricalAccuracy": {"k": 3},
    "SparseTopKCategoricalAccuracy": {"k": 3, "from_sorted_ids": True},
    "BinaryCrossentropy": {"label_smoothing": 0.1},
    "CategoricalCrossentropy": {"axis": 1},
    "SparseCategoricalCrossentropy": {"ignore_class": 2},
    "Precision": {"thresholds": [0.2, 0.7], "class_id": 1},
    "Recall": {"top_k": 2},
    "TruePositives": {"thresholds": 0.3},
    "AUC": {"thresholds": [0.3, 0.6], "curve": "PR", "label_weights": [0.2, 0.8], "multi_label": True},
    "SensitivityAtSpecificity": {"specificity": 0.3, "num_thresholds": 20},
    "SpecificityAtSensitivity": {"sensitivity": 0.3},
    "PrecisionAtRecall": {"recall": 0.3, "class_id": 1},
    "RecallAtPrecision": {"precision": 0.3},
    "FBetaScore": {"beta": 2.0, "average": "macro"},
    "F1Score": {"threshold": 0.3},
    "R2Score": {"num_regressors": 2, "class_aggregation": None},
    "CosineSimilarity": {"axis": 0},
    "PearsonCorrelation": {"axis": 0},
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2], "ignore_class": 1},
    "MeanIoU": {"num_classes": 3, "sparse_y_pred": False},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 3, "axis": 1},
    "BinaryIoU": {"threshold": 0.2, "target_class_ids": [1]},
}
every = pytest.mark.parametrize(("name", "settings", "y_true", "y_pred"), CASES)
CLASSES = sorted(
    name
    for name, thing in registry.builtins("metrics").items()
    if isinstance(thing, type) and name != "MeanMetricWrapper"
)
# One batch for each class: the first case, or numbers for metrics that take them alone.
FIRST = {name: (given, y_true, y_pred) for name, given, y_true, y_pred in reversed(CASES)}
FIRST["Mean"] = FIRST["Sum"] = ({}, None, None)
one_each = pytest.mark.parametrize("name", CLASSES)


def test_every_metric_has_a_case():
    assert sorted(FIRST) == CLASSES


def first(name: str) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """Return a metric and a batch for it."""
    settings, y_true, y_pred = FIRST[name]
    batch = (torch.tensor(NUMBERS[:, 0]),) if y_true is None else (torch.tensor(y_true), torch.tensor(y_pred))
    return getattr(metrics, name)(**settings), batch


# --- numbers of Keras --------------------------------------------------------------------


def _results(room: Any, name: str, settings: Any, y_true: Any, y_pred: Any, weights: Any, mask: Any = None) -> Any:
    metric = getattr(room, name)(**settings)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rows in (slice(0, 5), slice(5, None), slice(2, 4)):
            weight = None if weights is None else torch.tensor(weights[rows])
            predicted = torch.tensor(y_pred[rows])
            if mask is not None:
                predicted._keras_mask = torch.tensor(mask[rows])  # type: ignore[attr-defined]
            metric.update_state(torch.tensor(y_true[rows]), predicted, sample_weight=weight)
            found.append(np.array(metric.result().detach()))
    return found, metric


def _assert_same(name: str, settings: Any, y_true: Any, y_pred: Any, weights: Any = None, mask: Any = None) -> None:
    ours, metric = _results(metrics, name, settings, y_true, y_pred, weights, mask)
    theirs, keras_metric = _results(keras.metrics, name, settings, y_true, y_pred, weights, mask)
    for mine, other in zip(ours, theirs):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)
    assert [variable.name for variable in metric.variables] == [variable.name for variable in keras_metric.variables]
    for mine, other in zip(metric.variables, keras_metric.variables):
        assert str(mine.dtype) == f"torch.{other.dtype}"
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-5, atol=1e-5)
    metric.reset_state()
    keras_metric.reset_state()
    for mine, other in zip(metric.variables, keras_metric.variables):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


@every
def test_result_over_several_batches(name, settings, y_true, y_pred):
    _assert_same(name, settings, y_true, y_pred)


@every
def test_weighted_result(name, settings, y_true, y_pred):
    weights = np.random.default_rng(1).random(N).astype("float32")
    if name in BY_PIXEL:
        shape = np.shape(y_true)[:-1] if name.startswith("OneHot") else np.shape(y_true)
        weights = np.random.default_rng(1).integers(0, 4, shape)
        if settings.get("dtype") == "float32":
            weights = weights.astype("float32") / 4
    _assert_same(name, settings, y_true, y_pred, weights)


@one_each
def test_a_config_goes_to_keras_and_back(name):
    settings = SETTINGS.get(name, {})
    metric = getattr(metrics, name)(name="mine", **settings)
    config = json.loads(json.dumps(metrics.serialize(metric)))
    assert (config["module"], config["class_name"]) == ("keras.metrics", name)
    theirs = getattr(keras.metrics, name).from_config(dict(config["config"]))
    # Keras leaves some settings out, and writes a tensor as it is.
    written = json.loads(json.dumps(theirs.get_config(), default=lambda tensor: tensor.tolist()))
    assert all(config["config"][key] == value for key, value in written.items() if key != "label_weights")
    assert type(metrics.deserialize(keras.saving.serialize_keras_object(theirs))) is type(metric)
    again = metrics.deserialize(config)
    assert type(again) is type(metric)
    assert json.dumps(again.get_config()) == json.dumps(metric.get_config())
    assert again.name == "mine"


# --- by itself ---------------------------------------------------------------------------


@one_each
def test_life_of_a_metric(name):
    """Update, copy, pickle, reset; under inference mode and with gradients around."""
    metric, batch = first(name)
    fresh = metric.result()
    with torch.inference_mode():
        metric.update_state(*batch)
    once = metric.result().clone()
    assert not once.requires_grad
    learned = [one.clone().requires_grad_() if one.is_floating_point() else one for one in batch]
    metric.update_state(*learned)
    assert not metric.result().requires_grad
    assert not any(variable.requires_grad for variable in metric.variables)
    kept = metric.result()
    value = kept.clone()
    for again in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        torch.testing.assert_close(again.result(), value, equal_nan=True)
        again.reset_state()
        again.update_state(*batch)
        torch.testing.assert_close(again.result(), once, equal_nan=True)
    metric.reset_state()
    # A result stays what it was when it was asked for.
    torch.testing.assert_close(kept, value, equal_nan=True)
    assert all(not variable.any() for variable in metric.variables)
    if name not in ("R2Score", "FBetaScore", "F1Score"):
        torch.testing.assert_close(metric.result(), fresh, equal_nan=True)
    torch.testing.assert_close(metric(*batch), once, equal_nan=True)


@one_each
def test_the_state_moves_from_one_metric_to_another(name):
    """What is kept in a file, or in another process, gives the same result, and can be added to."""
    metric, batch = first(name)
    metric.update_state(*batch)
    expected = metric.result().clone()
    state = [variable.clone() for variable in metric.variables]
    other, _ = first(name)
    if name in ("R2Score", "FBetaScore", "F1Score"):  # these make their variables when they see a batch
        other.update_state(*batch)
    for variable, value in zip(other.variables, state, strict=True):
        variable.assign(value)
    torch.testing.assert_close(other.result(), expected, equal_nan=True)
    torch.testing.assert_close(metric.stateless_result(state), expected, equal_nan=True)
    metric.update_state(*batch)
    other.update_state(*batch)
    torch.testing.assert_close(other.result(), metric.result(), equal_nan=True)


@one_each
def test_stateless(name):
    metric, batch = first(name)
    metric.update_state(*batch)
    state = [variable.clone() for variable in metric.variables]
    metric.reset_state()
    before = [variable.clone() for variable in metric.variables]
    start = metric.stateless_reset_state()
    torch.testing.assert_close(
        metric.stateless_update_state(start, *batch), [one.as_subclass(torch.Tensor) for one in state]
    )
    for variable, value in zip(metric.variables, before):
        assert torch.equal(variable, value)
    with pytest.raises(ValueError, match="metric variables"):
        metric.stateless_result([torch.zeros(())] * (len(state) + 1))


@one_each
def test_numpy_and_torch_alike(name):
    metric, batch = first(name)
    other, _ = first(name)
    metric.update_state(*batch)
    other.update_state(*[one.numpy() for one in batch])
    torch.testing.assert_close(metric.result(), other.result(), equal_nan=True)


@one_each
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_predictions_of_another_type(name, dtype):
    if name in ("Accuracy", "IoU", "MeanIoU"):
        return  # compare whole numbers
    settings, _, _ = FIRST[name]
    metric, (*others, predicted) = first(name)
    theirs = getattr(keras.metrics, name)(**settings)
    for one in (metric, theirs):
        one.update_state(*others, predicted.to(getattr(torch, dtype)))
    assert metric.result().dtype == theirs.result().dtype
    rtol = 1e-5 if dtype == "float64" else 0.005
    torch.testing.assert_close(metric.result(), theirs.result(), rtol=rtol, atol=1e-6, equal_nan=True)


class Watcher(TorchDispatchMode):
    """Refuses the operations that make a program wait for its device."""

    waits = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select", "aten::bincount"}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function.name().split(".")[0] not in self.waits, function.name()
        return function(*args, **(kwargs or {}))


@one_each
def test_no_value_is_looked_at(name):
    metric, batch = first(name)
    weights = torch.ones(batch[0].shape[: 3 if name in BY_PIXEL else 1], dtype=torch.int32)
    if name.startswith("OneHot"):
        weights = torch.ones(len(batch[0]), dtype=torch.int32)
    with Watcher():
        metric.update_state(*batch)
        metric.update_state(*batch, sample_weight=weights)
        metric.result()
        metric.reset_state()
    with pytest.raises(AssertionError), Watcher():
        float(weights.flatten()[0])


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_gpu
@one_each
def test_nothing_waits_for_the_device(name):
    metric, batch = first(name)
    there = [one.cuda() for one in batch]
    metric.update_state(*there)
    metric.reset_state()
    # The first batch moved the variables; from then on, waiting is an error.
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            metric.update_state(*there)
        found = metric.result()
        metric.reset_state()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert found.device.type == "cuda"
    assert all(variable.device.type == "cuda" for variable in metric.variables)
    here, _ = first(name)
    here.update_state(*batch)
    here.update_state(*batch)
    torch.testing.assert_close(found.cpu(), here.result(), rtol=1e-4, atol=1e-5, equal_nan=True)
