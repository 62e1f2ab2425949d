"""Metrics against real Keras: results after each of two batches, with and without weights and masks."""

import inspect
import warnings

import keras
import numpy as np
import pytest
import torch

import uncrumple.metrics as metrics
from uncrumple.core.naming import reset_names

RANDOM = np.random.default_rng(0)
N, C = 8, 4


def _softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype("float32")


BITS = RANDOM.integers(0, 2, (N, C)).astype("float32")
CHANCES = np.round(RANDOM.random((N, C)), 1).astype("float32")
NUMBERS = RANDOM.normal(size=(N, C)).astype("float32")
OTHERS = RANDOM.normal(size=(N, C)).astype("float32")
LOGITS = (2 * RANDOM.normal(size=(N, C))).astype("float32")
ROWS = _softmax(LOGITS)
LABELS = RANDOM.integers(0, C, N)
ONE_HOT = np.eye(C, dtype="float32")[LABELS]
SEQUENCE_LABELS = RANDOM.integers(0, C, (N, 5))
SEQUENCE = _softmax(RANDOM.normal(size=(N, 5, C)))
GUESSES = RANDOM.integers(0, C, N)


def _results(room, name, settings, y_true, y_pred, weights=None, as_torch=True):
    metric = getattr(room, name)(**settings)
    found = []
    convert = torch.tensor if as_torch else np.array
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rows in (slice(0, 5), slice(5, None)):
            weight = None if weights is None else convert(weights[rows])
            metric.update_state(convert(y_true[rows]), convert(y_pred[rows]), sample_weight=weight)
            found.append(np.array(metric.result().detach()))
    return found, metric


def _assert_same(name, settings, y_true, y_pred, weights=None):
    ours, metric = _results(metrics, name, settings, y_true, y_pred, weights)
    theirs, keras_metric = _results(keras.metrics, name, settings, y_true, y_pred, weights)
    for mine, other in zip(ours, theirs):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)
    assert [variable.name for variable in metric.variables] == [variable.name for variable in keras_metric.variables]
    for mine, other in zip(metric.variables, keras_metric.variables):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["MeanSquaredError", "BinaryAccuracy", "Precision", "AUC", "TruePositives", "RootMeanSquaredError"]
)
def test_one_weight_per_value(name):
    weights = np.random.default_rng(1).random((N, C)).astype("float32")
    values = (NUMBERS, OTHERS) if name.endswith("Error") and name != "MeanSquaredError" else (BITS, CHANCES)
    if name == "MeanSquaredError":
        weights = weights[:, :1]
    _assert_same(name, {}, *values, weights)


@pytest.mark.parametrize("name", ["SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_and_masks_of_sequences(name, weighted):
    mask = np.random.default_rng(2).random((N, 5)) > 0.4
    weights = torch.rand(N, 5) if weighted else None
    found = []
    for room in (metrics, keras.metrics):
        metric = getattr(room, name)()
        y_pred = torch.tensor(SEQUENCE)
        y_pred._keras_mask = torch.tensor(mask)
        metric.update_state(torch.tensor(SEQUENCE_LABELS), y_pred, sample_weight=weights)
        found.append(float(metric.result()))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize(
    ("values", "weights"),
    [
        (2.5, None),
        (2.5, 3),
        ([1.0, 2.0, 4.0], None),
        ([1, 2, 4], None),
        ([1.0, 2.0, 4.0], [1.0, 0.0, 3.0]),
        ([1.0, 2.0, 4.0], 2.0),
        ([[1.0, 2.0], [4.0, 8.0]], None),
        ([[1.0, 2.0], [4.0, 8.0]], [1.0, 3.0]),
        ([[1.0, 2.0], [4.0, 8.0]], [[1.0], [3.0]]),
        ([[1.0, 2.0], [4.0, 8.0]], [[1.0, 0.0], [3.0, 2.0]]),
        ([[[1.0, 2.0], [4.0, 8.0]]], [[1.0, 3.0]]),
    ],
)
def test_mean_and_sum(name, values, weights):
    found = []
    for room in (metrics, keras.metrics):
        metric = getattr(room, name)()
        for given in (values, torch.tensor(values), np.array(values, "float32")):
            metric.update_state(given, sample_weight=weights)
        found.append([float(metric.result()), *(float(variable.numpy()) for variable in metric.variables)])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize(
    "function", ["accuracy", "binary_accuracy", "categorical_accuracy", "top_k_categorical_accuracy"]
)
def test_accuracy_functions(function):
    from keras.src.metrics import accuracy_metrics

    from uncrumple.metrics import accuracy

    y_true, y_pred = {
        "accuracy": (LABELS, GUESSES),
        "binary_accuracy": (BITS, CHANCES),
    }.get(function, (ONE_HOT, ROWS))
    ours, theirs = getattr(accuracy, function)(y_true, y_pred), getattr(accuracy_metrics, function)
    np.testing.assert_array_equal(
        ours.numpy(), theirs(y_true, y_pred, **({"k": 4} if "top" in function else {})).numpy()
    )


@pytest.mark.parametrize("shape", [(), (1,)])
def test_sparse_accuracy_function_keeps_shapes(shape):
    y_true = SEQUENCE_LABELS.reshape(*SEQUENCE_LABELS.shape, *shape)
    ours = metrics.sparse_categorical_accuracy(y_true, SEQUENCE)
    theirs = keras.metrics.sparse_categorical_accuracy(y_true, SEQUENCE)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_ties_in_top_k():
    scores = np.array([[0.5, 0.5, 0.5, 0.1], [0.3, 0.3, 0.2, 0.2]], "float32")
    for label in range(4):
        y_true = np.array([label, label])
        ours = metrics.sparse_top_k_categorical_accuracy(y_true, scores, k=2)
        theirs = keras.metrics.sparse_top_k_categorical_accuracy(y_true, scores, k=2)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


CLASSES = sorted(
    name
    for name in dir(keras.metrics)
    if isinstance(getattr(keras.metrics, name), type) and name not in ("Metric", "MeanMetricWrapper")
)


@pytest.mark.parametrize("name", sorted(name for name in dir(keras.metrics) if name[0] != "_"))
def test_every_name_of_keras_is_here(name):
    assert hasattr(metrics, name)


NEEDED = {
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": 3},
    "OneHotMeanIoU": {"num_classes": 3},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
}


@pytest.mark.parametrize("name", CLASSES)
def test_same_arguments_names_and_directions(name):
    ours, theirs = getattr(metrics, name), getattr(keras.metrics, name)
    expected = {key: value.default for key, value in inspect.signature(theirs.__init__).parameters.items()}
    found = {key: value.default for key, value in inspect.signature(ours.__init__).parameters.items()}
    assert list(found) == list(expected)
    assert found == expected
    settings = NEEDED.get(name, {})
    reset_names()
    keras.backend.clear_session()
    mine, other = ours(**settings), theirs(**settings)
    assert mine._direction == getattr(other, "_direction", None)
    assert mine.dtype == other.dtype
    # Ours may hold more: what Keras leaves out of a config is lost in a file.
    config = mine.get_config()
    assert {key: config[key] for key in other.get_config()} == other.get_config()
