"""Losses against values that Keras gave on TensorFlow."""

import json
from pathlib import Path

import numpy as np
import pytest

import uncrumple.losses as losses

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "golden_losses.json").read_text(encoding="utf-8"))
INPUTS = {name: np.array(value, "float32") for name, value in GOLDEN["_inputs"].items()}
INPUTS["sp"] = INPUTS["sp"].astype("int32")
INPUTS["shifted"] = INPUTS["yp"] + np.float32(0.1)
INPUTS["positive"], INPUTS["expected"] = np.abs(INPUTS["real"]), np.abs(INPUTS["realp"])

# Where nothing else is said, the loss has its defaults and gets (real, realp).
HOW = {
    "BinaryCrossentropy": ({}, "yt", "yp"),
    "BinaryCrossentropy_logits_ls": ({"from_logits": True, "label_smoothing": 0.1}, "yt", "lg"),
    "BinaryFocalCrossentropy": ({"apply_class_balancing": True}, "yt", "yp"),
    "CategoricalCrossentropy": ({}, "oh", "pr"),
    "CategoricalCrossentropy_unnormalized": ({}, "oh", "shifted"),
    "CategoricalCrossentropy_logits_ls": ({"from_logits": True, "label_smoothing": 0.2}, "oh", "lg"),
    "SparseCategoricalCrossentropy": ({}, "sp", "pr"),
    "SparseCategoricalCrossentropy_ignore1": ({"ignore_class": 1, "from_logits": True}, "sp", "lg"),
    "CategoricalFocalCrossentropy": ({}, "oh", "pr"),
    "MeanSquaredLogarithmicError": ({}, "positive", "realp"),
    "Hinge": ({}, "yt", "realp"),
    "SquaredHinge": ({}, "yt", "realp"),
    "CategoricalHinge": ({}, "oh", "realp"),
    "KLDivergence": ({}, "oh", "pr"),
    "Poisson": ({}, "positive", "expected"),
    "Dice": ({}, "yt", "yp"),
    "Tversky": ({"alpha": 0.3, "beta": 0.7}, "yt", "yp"),
}


@pytest.mark.parametrize("key", [key for key in GOLDEN if key != "_inputs"])
def test_golden(key):
    name, reduction, weighted = key.split("|")
    settings, y_true, y_pred = HOW.get(name, ({}, "real", "realp"))
    loss = getattr(losses, name.split("_")[0])(reduction=reduction, **settings)
    weights = INPUTS["sw"] if weighted == "sw" else None
    value = loss(INPUTS[y_true], INPUTS[y_pred], sample_weight=weights)
    np.testing.assert_allclose(value.numpy(), GOLDEN[key], rtol=2e-5, atol=2e-6)
