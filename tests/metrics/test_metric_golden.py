"""Metrics against values that Keras gave on TensorFlow: all four rows, then the first again."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import uncrumple.metrics as metrics

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((FOLDER / "golden_metrics.json").read_text(encoding="utf-8"))
INPUTS = json.loads((FOLDER / "golden_losses.json").read_text(encoding="utf-8"))["_inputs"]
INPUTS = {name: np.array(value, "float32") for name, value in INPUTS.items()}
INPUTS["sp"] = INPUTS["sp"].astype("int32")
INPUTS["ypb"] = np.array([[0.1], [0.5], [0.8], [0.3]], "float32")
INPUTS["ytb"] = np.array([[0.0], [1.0], [1.0], [1.0]], "float32")
INPUTS["guess"] = np.array([0, 2, 2, 1])
INPUTS["positive"], INPUTS["expected"] = np.abs(INPUTS["real"]), np.abs(INPUTS["realp"])

NUMBERS = {
    *("MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "R2Score"),
    *("CosineSimilarity", "LogCoshError", "PearsonCorrelation", "ConcordanceCorrelation"),
}
ONE_HOT = {"CategoricalAccuracy", "TopKCategoricalAccuracy", "OneHotMeanIoU", "CategoricalCrossentropy", "KLDivergence"}
SPARSE = {"SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "SparseCategoricalCrossentropy"}


def _inputs(name, settings):
    if name in NUMBERS:
        return "real", "realp"
    if name in ONE_HOT or settings.get("average") == "macro":
        return "oh", "pr"
    if name in SPARSE:
        return "sp", "pr"
    if name in ("Accuracy", "MeanIoU", "IoU"):
        return "sp", "guess"
    if name == "Poisson":
        return "positive", "expected"
    return "ytb", "ypb"


@pytest.mark.parametrize("key", list(GOLDEN))
def test_golden(key):
    head, weighted = key.split("|")
    name, settings = head[: head.index("{")], json.loads(head[head.index("{") :])
    metric = getattr(metrics, name)(**settings)
    y_true, y_pred = (INPUTS[which] for which in _inputs(name, settings))
    weights = INPUTS["sw"] if weighted == "sw" else None
    with warnings.catch_warnings():
        # Fractions of weights are cut off where counts are whole numbers.
        warnings.simplefilter("ignore")
        metric.update_state(y_true, y_pred, sample_weight=weights)
        metric.update_state(y_true[:1], y_pred[:1], sample_weight=None if weights is None else weights[:1])
    np.testing.assert_allclose(metric.result().numpy(), GOLDEN[key], rtol=2e-5, atol=1e-6)
