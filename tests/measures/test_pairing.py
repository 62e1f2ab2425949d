"""Bringing y_true and y_pred together: alignment, and the words where it fails."""

import doctest
import importlib
import pkgutil
import warnings

import numpy as np
import pytest
import torch

import uncrumple.measures as measures
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.measures import pairing


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(measures.__path__)])
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(f"{measures.__name__}.{name}")).failed == 0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((4,), (4, 1), ((4, 1), (4, 1))),
        ((4, 1), (4,), ((4, 1), (4, 1))),
        ((4, 3, 1), (4, 3), ((4, 3), (4, 3))),
        ((4, 3), (4, 3, 1), ((4, 3), (4, 3))),
        ((4, 1), (4, 3), ((4, 1), (4, 3))),
        ((4,), (4, 3), ((4,), (4, 3))),
        ((), (1,), ((), ())),
    ],
)
def test_same_rank(first, second, expected):
    out = pairing.same_rank(torch.zeros(first), torch.zeros(second))
    assert tuple(tuple(one.shape) for one in out) == expected


@pytest.mark.parametrize(
    ("function", "true", "predicted", "lines"),
    [
        (
            "mean_squared_error",
            (32, 3),
            (32, 1),
            [
                "mean_squared_error got y_true of shape (32, 3) and y_pred of shape (32, 1).",
                "Expected two equal shapes; values are never repeated to make them fit.",
                "Fix: end the model with as many units as there are targets: Dense(3).",
            ],
        ),
        (
            "mean_absolute_error",
            (32,),
            (32, 4),
            [
                "mean_absolute_error got y_true of shape (32,) and y_pred of shape (32, 4).",
                "Expected two equal shapes; values are never repeated to make them fit.",
                "Fix: end the model with one unit, Dense(1), or pass targets of shape (32, 4).",
            ],
        ),
        (
            "huber",
            (31, 1),
            (32, 1),
            [
                "huber got y_true of shape (31, 1) and y_pred of shape (32, 1).",
                "Expected two equal shapes; values are never repeated to make them fit.",
                "Fix: pass one target for each prediction: the first axes must have the same length.",
            ],
        ),
        (
            "log_cosh",
            (32, 1),
            (32, 10, 1),
            [
                "log_cosh got y_true of shape (32, 1) and y_pred of shape (32, 10, 1).",
                "Expected two equal shapes; values are never repeated to make them fit.",
                "Fix: put Flatten() before the last layer, or pass targets of shape (32, 10, 1).",
            ],
        ),
        (
            "binary_crossentropy",
            (32,),
            (32, 10),
            [
                "binary_crossentropy got y_true of shape (32,) and y_pred of shape (32, 10).",
                "Expected two equal shapes; values are never repeated to make them fit.",
                "Fix: end the model with Dense(1, activation='sigmoid'), "
                "or use loss='sparse_categorical_crossentropy' for several classes.",
            ],
        ),
        (
            "categorical_crossentropy",
            (32,),
            (32, 10),
            [
                "categorical_crossentropy got y_true of shape (32,) and y_pred of shape (32, 10).",
                "Expected y_true of shape (32, 10): one row of class probabilities per sample.",
                "Fix: use loss='sparse_categorical_crossentropy', or y = to_categorical(y, 10)",
            ],
        ),
        (
            "categorical_crossentropy",
            (32, 1),
            (32, 10),
            [
                "categorical_crossentropy got y_true of shape (32, 1) and y_pred of shape (32, 10).",
                "Expected y_true of shape (32, 10): one row of class probabilities per sample.",
                "Fix: use loss='sparse_categorical_crossentropy', or y = to_categorical(y, 10)",
            ],
        ),
        (
            "categorical_crossentropy",
            (32, 9),
            (32, 10),
            [
                "categorical_crossentropy got y_true of shape (32, 9) and y_pred of shape (32, 10).",
                "Expected two equal shapes; values are never repeated to make them fit.",
                "Fix: end the model with as many units as there are targets: Dense(9).",
            ],
        ),
        (
            "categorical_hinge",
            (32,),
            (32, 10),
            [
                "categorical_hinge got y_true of shape (32,) and y_pred of shape (32, 10).",
                "Expected y_true of shape (32, 10): one row of class probabilities per sample.",
                "Fix: y = to_categorical(y, 10)",
            ],
        ),
        (
            "sparse_categorical_crossentropy",
            (32, 10),
            (32, 10),
            [
                "sparse_categorical_crossentropy got y_true of shape (32, 10) and y_pred of shape (32, 10).",
                "Expected y_true of shape (32,): one class number per sample.",
                "Fix: use loss='categorical_crossentropy', or y = y.argmax(axis=-1)",
            ],
        ),
        (
            "sparse_categorical_crossentropy",
            (32,),
            (32, 1),
            [
                "sparse_categorical_crossentropy got y_true of shape (32,) and y_pred of shape (32, 1).",
                "Expected predictions for two classes or more.",
                "Fix: use loss='binary_crossentropy', or end the model with one unit per class.",
            ],
        ),
        (
            "sparse_categorical_crossentropy",
            (32,),
            (32, 7, 10),
            [
                "sparse_categorical_crossentropy got y_true of shape (32,) and y_pred of shape (32, 7, 10).",
                "Expected y_true of shape (32, 7): one class number per sample.",
                "Fix: put Flatten() before the last layer, so that it returns (32, 10).",
            ],
        ),
        (
            "sparse_categorical_crossentropy",
            (31,),
            (32, 10),
            [
                "sparse_categorical_crossentropy got y_true of shape (31,) and y_pred of shape (32, 10).",
                "Expected y_true of shape (32,): one class number per sample.",
                "Fix: pass one label for each prediction.",
            ],
        ),
        (
            "ctc",
            (2,),
            (2, 5, 3),
            [
                "ctc got y_true of shape (2,) and y_pred of shape (2, 5, 3).",
                "Expected y_true (samples, longest text) and y_pred (samples, time steps, classes).",
                "Fix: end the model with Dense(classes) on a sequence, and fill up the texts with 0.",
            ],
        ),
    ],
)
def test_words_for_shapes_that_do_not_agree(function, true, predicted, lines):
    with pytest.raises(ValueError) as caught:
        getattr(measures, function)(torch.zeros(true), torch.rand(predicted))
    assert str(caught.value).splitlines() == lines


def test_axis_must_be_a_number():
    with pytest.raises(ValueError, match="categorical_crossentropy got axis=True"):
        measures.categorical_crossentropy(torch.zeros(2, 3), torch.rand(2, 3), axis=True)


def test_a_single_class_is_warned_of():
    with pytest.warns(UncrumpleWarning, match="a single class"):
        measures.categorical_crossentropy(torch.ones(2, 1), torch.rand(2, 1))


def test_smoothing_counts_the_classes_along_their_axis():
    y_true = torch.eye(3)[torch.tensor([[0, 1], [2, 0]])]
    y_pred = torch.softmax(torch.randn(2, 2, 3), -1)
    usual = measures.categorical_crossentropy(y_true, y_pred, label_smoothing=0.3)
    moved = measures.categorical_crossentropy(y_true.movedim(-1, 1), y_pred.movedim(-1, 1), label_smoothing=0.3, axis=1)
    torch.testing.assert_close(usual, moved)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_lists_arrays_and_tensors_give_the_same(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = measures.mean_squared_error(kind([[0, 1], [0, 0]]), kind([[1.0, 1.0], [1.0, 0.0]]))
        frozen = np.ones((2, 2))
        frozen.flags.writeable = False
        measures.mean_squared_error(frozen, frozen)
    assert out.dtype == torch.float32
    assert out.tolist() == [0.5, 0.5]


def test_lists_of_tensors_are_stacked():
    rows = [torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0])]
    assert measures.mean_absolute_error(rows, [[0.0, 0.0], [0.0, 0.0]]).tolist() == [0.5, 1.0]


def test_large_class_numbers_are_not_rounded():
    y_pred = torch.zeros(1, 2**24 + 2)
    y_pred[0, 2**24 + 1] = 1.0
    assert float(measures.sparse_categorical_crossentropy(torch.tensor([2**24 + 1]), y_pred)) < 1e-6


def test_ignored_rows_keep_gradients_finite():
    y_pred = torch.tensor([[float("inf"), 0.0], [0.5, 0.5]], requires_grad=True)
    measures.sparse_categorical_crossentropy(torch.tensor([-1, 0]), y_pred, ignore_class=-1).sum().backward()
    assert y_pred.grad.isfinite().all()
    assert y_pred.grad[0].tolist() == [0, 0]


def test_hinge_does_not_look_at_single_values():
    # On a device, looking would make the program wait; on meta it is an error.
    with torch.device("meta"):
        assert measures.hinge(torch.empty(4, 2), torch.empty(4, 2)).shape == (4,)
