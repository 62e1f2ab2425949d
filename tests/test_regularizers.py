"""Regularizers: aliases, configs, gradients and errors."""

import doctest

import pytest
import torch

from uncrumple import regularizers


def test_examples_in_docstrings_run():
    assert doctest.testmod(regularizers).failed == 0


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("l1", regularizers.L1),
        ("L2", regularizers.L2),
        ("l1_l2", regularizers.L1L2),
        ("l1l2", regularizers.L1L2),
        ("orthogonal_regularizer", regularizers.OrthogonalRegularizer),
        ({"class_name": "l2", "config": {"l2": 0.5}}, regularizers.L2),
        (regularizers.L1, regularizers.L1),
    ],
)
def test_get(name, cls):
    assert type(regularizers.get(name)) is cls


def test_get_passes_on_functions_and_none():
    def penalty(x):
        return x.sum()

    assert regularizers.get(penalty) is penalty
    assert regularizers.get(None) is None


@pytest.mark.parametrize(
    "made",
    [
        regularizers.L1(0.2),
        regularizers.L2(0.3),
        regularizers.L1L2(0.1, 0.2),
        regularizers.OrthogonalRegularizer(0.5, "columns"),
    ],
)
def test_config_round_trip(made):
    config = regularizers.serialize(made)
    assert config["module"] == "keras.regularizers"
    assert regularizers.deserialize(config).get_config() == made.get_config()


def test_gradient():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    regularizers.L1L2(l1=0.1, l2=0.5)(weight).backward()
    torch.testing.assert_close(weight.grad, torch.tensor([0.1 + 1.0, -0.1 - 2.0]))


def test_orthogonal_rows_cost_nothing_and_zero_rows_have_gradients():
    assert float(regularizers.OrthogonalRegularizer()(torch.eye(3))) == 0
    weight = torch.zeros(2, 3, requires_grad=True)
    regularizers.OrthogonalRegularizer()(weight).backward()
    assert weight.grad.isfinite().all()


def test_works_on_meta():
    for made in (
        regularizers.L1(),
        regularizers.L2(),
        regularizers.L1L2(0.1, 0.1),
        regularizers.OrthogonalRegularizer(),
    ):
        assert made(torch.empty(3, 4, device="meta")).shape == ()


@pytest.mark.parametrize(
    ("make", "first_line"),
    [
        (lambda: regularizers.L1(-0.1), "L1 got l1=-0.1."),
        (lambda: regularizers.L2(float("nan")), "L2 got l2=nan."),
        (lambda: regularizers.L1L2(l2="x"), "L1L2 got l2='x'."),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), "Unknown OrthogonalRegularizer mode: 'row'."),
        (
            lambda: regularizers.OrthogonalRegularizer()(torch.zeros(3)),
            "OrthogonalRegularizer got a weight of shape (3,).",
        ),
        (lambda: regularizers.get("l3"), "Unknown regularizer: 'l3'."),
    ],
)
def test_errors(make, first_line):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).splitlines()[0] == first_line
    assert len(str(caught.value).splitlines()) == 3


def test_a_class_without_config_says_what_to_write():
    class Mine(regularizers.Regularizer):
        pass

    assert Mine()(torch.ones(2)) == 0.0
    with pytest.raises(NotImplementedError, match="add def get_config"):
        Mine().get_config()
