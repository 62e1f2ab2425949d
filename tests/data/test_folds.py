"""Folds: every row is held back once, classes are spread evenly, and the same seed gives the same."""

import numpy as np
import pytest

from uncrumple import k_folds

LABELS = np.repeat([0, 1, 2], [50, 31, 9])


@pytest.mark.parametrize("y", [90, LABELS, LABELS[:, None], list("ab" * 45), np.linspace(0, 1, 90)])
@pytest.mark.parametrize("folds", [2, 4, 90])
def test_every_row_is_held_back_once(y, folds):
    found = k_folds(y, folds)
    assert len(found) == folds
    assert sorted(np.concatenate([held for _, held in found])) == list(range(90))
    for learned, held in found:
        assert sorted([*learned, *held]) == list(range(90))
        assert len(held) in (90 // folds, -(-90 // folds))


def test_classes_are_spread_evenly():
    for _, held in k_folds(LABELS, 9):
        counts = np.bincount(LABELS[held], minlength=3)
        assert counts[0] in (5, 6) and counts[1] in (3, 4) and counts[2] == 1
    counts = [np.bincount(LABELS[held], minlength=3)[2] for _, held in k_folds(LABELS, 9, stratify=False)]
    assert max(counts) > 1


def test_seeds_and_repeats():
    once, again, other = k_folds(30, 3, seed=1), k_folds(30, 3, seed=1), k_folds(30, 3, seed=2)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(once, again))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(once, other))
    twice = k_folds(30, 3, seed=1, repeats=2)
    assert len(twice) == 6 and np.array_equal(twice[0][1], once[0][1])
    assert not np.array_equal(twice[3][1], once[0][1])


MISTAKES = {
    "one part": (
        {"folds": 1},
        "k_folds got folds=1.\nExpected a whole number of at least 2.\nFix: k_folds(y, folds=5)",
    ),
    "too many": ({"y": 3}, "k_folds got 3 rows and folds=5.\nExpected at least one row per part.\nFix: folds=3"),
    "seed": ({"seed": -1}, "k_folds got seed=-1.\nExpected a whole number of at least 0.\nFix: k_folds(y, seed=0)"),
    "repeats": (
        {"repeats": 1.5},
        "k_folds got repeats=1.5.\nExpected a whole number of at least 1.\nFix: k_folds(y, repeats=1)",
    ),
    "one-hot": (
        {"y": np.eye(9)},
        "k_folds got y of shape (9, 9).\nExpected one answer per row, or the number of rows.\n"
        "Fix: k_folds(y.argmax(axis=1)) for one-hot labels, or k_folds(len(y))",
    ),
    "stratified numbers": (
        {"y": 9, "stratify": True},
        "k_folds got the number of rows, y=9, and stratify=True.\nExpected the class of each row.\n"
        "Fix: k_folds(labels, stratify=True)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    given, text = MISTAKES[name]
    with pytest.raises(ValueError) as raised:
        k_folds(**{"y": LABELS, **given})
    assert str(raised.value) == text
