"""Constraints: aliases, configs, bounds and errors."""

import doctest

import pytest
import torch

from uncrumple import constraints

WEIGHT = torch.tensor([[3.0, 0.1, 0.0], [4.0, -0.2, 0.0]])


def test_examples_in_docstrings_run():
    assert doctest.testmod(constraints).failed == 0


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("max_norm", constraints.MaxNorm),
        ("MaxNorm", constraints.MaxNorm),
        ("non_neg", constraints.NonNeg),
        ("unit_norm", constraints.UnitNorm),
        ("min_max_norm", constraints.MinMaxNorm),
        ({"class_name": "MaxNorm", "config": {"max_value": 3}}, constraints.MaxNorm),
        (constraints.UnitNorm, constraints.UnitNorm),
    ],
)
def test_get(name, cls):
    assert type(constraints.get(name)) is cls


def test_get_passes_on_functions_and_none():
    assert constraints.get(torch.abs) is torch.abs
    assert constraints.get(None) is None


@pytest.mark.parametrize(
    "made",
    [
        constraints.MaxNorm(3, axis=[0, 1]),
        constraints.NonNeg(),
        constraints.UnitNorm(1),
        constraints.MinMaxNorm(0.1, 2.0, 0.5, 1),
    ],
)
def test_config_round_trip(made):
    config = constraints.serialize(made)
    assert config["module"] == "keras.constraints"
    assert constraints.deserialize(config).get_config() == made.get_config()


def test_lengths_end_up_within_bounds():
    torch.testing.assert_close(constraints.MaxNorm(1.0)(WEIGHT).norm(dim=0), torch.tensor([1.0, 0.05**0.5, 0.0]))
    torch.testing.assert_close(constraints.UnitNorm()(WEIGHT).norm(dim=0), torch.tensor([1.0, 1.0, 0.0]))
    within = constraints.MinMaxNorm(0.5, 2.0)(WEIGHT).norm(dim=0)
    torch.testing.assert_close(within, torch.tensor([2.0, 0.5, 0.0]))
    assert constraints.NonNeg()(WEIGHT).min() == 0


@pytest.mark.parametrize(
    ("make", "first_line"),
    [
        (lambda: constraints.MaxNorm(-1), "MaxNorm got max_value=-1."),
        (lambda: constraints.MinMaxNorm(min_value=-1), "MinMaxNorm got min_value=-1."),
        (lambda: constraints.MinMaxNorm(2.0, 1.0), "MinMaxNorm got min_value=2.0, max_value=1.0."),
        (lambda: constraints.MinMaxNorm(rate=2), "MinMaxNorm got rate=2."),
        (lambda: constraints.get("maxnrm"), "Unknown constraint: 'maxnrm'."),
    ],
)
def test_errors(make, first_line):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).splitlines()[0] == first_line
    assert len(str(caught.value).splitlines()) == 3
