"""A small part of the matrix of docs/diagnosis.md: defects of each family are found, healthy networks are left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:
    from diagnosis_defects import DEFECTS
    from diagnosis_matrix import is_right, run
    from diagnosis_sets import HEALTHY
finally:
    sys.path.remove(str(BENCHMARKS))

SOME_DEFECTS = (
    "eight sigmoid layers",
    "relu units pushed below 0",
    "all units begin alike",
    "SGD with learning rate 1e-6",
    "softmax, and from_logits=True",
    "softmax over one unit",
    "columns in raw units",
    "a mean over samples is taken away",
    "a root of 0, whose slope is infinite",
    "targets in dollars",
    "SGD with learning rate 3",
    "LSTM: all that it says is thrown away",
)
SOME_HEALTHY = (
    "mlp classes tanh momentum",
    "mlp numbers like prices",
    "mlp digits normalized",
    "mlp last layer zero",
    "mlp with shortcuts",
    "cnn digits",
    "gru series",
    "wrapped torch module",
    "two outputs",
    "half precision",
)


@pytest.mark.parametrize("name", SOME_DEFECTS)
def test_found(name):
    _, right, layer, function = DEFECTS[name]
    findings, _, _ = run(function, 51)
    assert is_right(findings, right, layer), [one.in_words() for one in findings]


@pytest.mark.parametrize("name", SOME_HEALTHY)
def test_silent(name):
    findings, seconds, _ = run(HEALTHY[name], 52)
    assert findings == []
    assert seconds < 20


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(DEFECTS) - set(SOME_DEFECTS)))
def test_found_too(name):
    _, right, layer, function = DEFECTS[name]
    findings, _, _ = run(function, 53)
    assert is_right(findings, right, layer), [one.in_words() for one in findings]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(HEALTHY) - set(SOME_HEALTHY)))
def test_silent_too(name):
    assert run(HEALTHY[name], 54)[0] == []
