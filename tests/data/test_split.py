"""Splits: nothing is lost, nothing is twice, and every class has its share."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncrumple.core.errors import UncrumpleWarning
from uncrumple.data.named import load
from uncrumple.data.split import split


@settings(max_examples=200, deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    validation=st.floats(0, 0.45),
    test=st.floats(0, 0.45),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_split_is_a_partition_with_exact_sizes_and_shares(counts, validation, test, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    rows = len(y)
    sizes = round(rows * validation), round(rows * test)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncrumpleWarning)
            made = split(y, validation, test, seed, stratify=True)
    except ValueError:
        empty = (validation > 0 and sizes[0] == 0) or (test > 0 and sizes[1] == 0)
        assert empty or sum(sizes) >= rows or len(counts) > max(20, rows / 2)
        return
    assert sorted(np.concatenate(list(made)).tolist()) == list(range(rows))
    assert (len(made.validation), len(made.test)) == sizes
    if sum(sizes) <= rows - len(counts):  # there is a row left for every class to learn from
        assert set(y[made.train]) == set(y)
    for kind, count in enumerate(counts):
        for part, size in ((made.test, sizes[1]), (made.validation, sizes[0])):
            exact = count * size / rows
            # Whole rows, and the one that a small class keeps for training, move it by less than 2.
            assert abs(int((y[part] == kind).sum()) - exact) < 2 + len(counts) * (count < 5 or min(counts) < 5)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_same_seed_gives_the_same_split(seed):
    y = np.arange(90) % 3
    assert all(np.array_equal(one, other) for one, other in zip(split(y, seed=seed), split(y, seed=seed)))


def test_other_seeds_give_other_splits():
    y = np.arange(90) % 3
    assert not np.array_equal(np.sort(split(y, seed=0).test), np.sort(split(y, seed=1).test))


@pytest.mark.parametrize("name", ["iris", "digits", "breast-cancer"])
def test_real_labels_are_within_a_row_of_their_share(name):
    y = load(name).y
    made = split(y)
    for part in made:
        for kind in np.unique(y):
            assert abs((y[part] == kind).sum() - (y == kind).sum() * len(part) / len(y)) < 1.5


def test_sorted_labels_do_not_make_one_class_the_test_part():
    y = np.repeat([0, 1, 2], 50)
    made = split(y)
    assert np.bincount(y[made.test]).tolist() in ([8, 7, 7], [7, 8, 7], [7, 7, 8])
    assert (np.diff(y[made.train]) != 0).sum() > 30  # and the training part is shuffled


def test_strings_and_columns_are_labels_too():
    y = np.array(["yes", "no"] * 20)[:, None]
    made = split(y)
    assert sorted(y[made.test, 0].tolist()) == ["no"] * 3 + ["yes"] * 3


def test_values_of_a_regression_are_not_stratified():
    y = np.linspace(0, 1, 100)
    assert split(y).sizes == {"train": 70, "validation": 15, "test": 15}
    assert split(100).sizes == {"train": 70, "validation": 15, "test": 15}


def test_given_test_rows_are_kept():
    y = np.arange(700) % 10
    rows = np.arange(600, 700)
    made = split(y, validation=0.1, test_rows=rows)
    assert np.array_equal(made.test, rows)
    assert made.sizes == {"train": 540, "validation": 60, "test": 100}
    assert np.bincount(y[made.validation]).tolist() == [6] * 10
    assert not set(made.train) & set(rows) and not set(made.validation) & set(rows)


def test_a_class_with_too_few_rows_is_named():
    y = np.array([0] * 50 + [1] * 50 + [2])
    with pytest.warns(UncrumpleWarning) as caught:
        made = split(y)
    assert str(caught[0].message) == (
        "Class 2 (1 rows) is not in the validation or test part.\n"
        "Expected every class in every part: what is absent can be neither learnt nor judged.\n"
        "Fix: more rows of that class, larger parts, or leave the class out."
    )
    assert 100 in made.train


def test_no_validation_or_no_test_part():
    assert split(10, validation=0, test=0.2).sizes == {"train": 8, "validation": 0, "test": 2}
    assert split(10, validation=0.2, test=0).sizes == {"train": 8, "validation": 2, "test": 0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"y": 10, "test": 1.0}, "split got test=1.0.\nExpected 0 <= test < 1.\nFix: split(y, test=0.15)"),
        ({"y": 10, "validation": -0.1}, "split got validation=-0.1.\nExpected 0 <= validation < 1."),
        ({"y": 10, "test": True}, "split got test=True."),
        ({"y": 10, "validation": 0.5, "test": 0.5}, "no row of 10 is left to learn from."),
        ({"y": 10, "test": 0.01}, "split got 10 rows and test=0.01, which rounds to no row at all."),
        ({"y": 0}, "split got 0 rows."),
        ({"y": 10, "stratify": True}, "split got the number of rows, y=10, and stratify=True."),
        ({"y": np.arange(100)}, "split got y with 100 different values in 100 rows: these are not classes."),
        ({"y": np.zeros((5, 3))}, "split got y of shape (5, 3)."),
        ({"y": 10, "seed": -1}, "split got seed=-1."),
        ({"y": 10, "seed": 0.5}, "split got seed=0.5."),
        ({"y": 10, "test_rows": np.array([3, 3])}, "split got test_rows of int64 and shape (2,) for 10 rows."),
        ({"y": 10, "test_rows": np.array([10])}, "Expected different row numbers from 0 to 9."),
        ({"y": 3, "test_rows": np.array([0, 1, 2]), "validation": 0.0}, "no row of 0 is left to learn from."),
    ],
)
def test_what_cannot_be_split_is_refused(arguments, said):
    with pytest.raises(ValueError) as caught:
        split(**arguments)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3
