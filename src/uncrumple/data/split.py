"""Dividing rows into a training, a validation and a test part.

The training part is learnt from, the validation part decides when to stop,
and the test part is looked at once, at the end. A class has the same share in
each, as exactly as whole rows allow.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from uncrumple.core.errors import UncrumpleWarning, explain


@dataclass(frozen=True)
class Split:
    """The row numbers of the three parts, each in shuffled order; unpacks as train, validation, test.

    Example:
        >>> train, validation, test = split(100, seed=0)
        >>> len(train), len(validation), len(test)
        (70, 15, 15)
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.train, self.validation, self.test))

    @property
    def sizes(self) -> dict[str, int]:
        """The number of rows of each part by its name."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}

    def in_words(self, y: np.ndarray | None = None) -> str:
        """Return the sizes, and with class labels `y` how evenly the classes are spread.

        Example:
            >>> y = np.repeat([0, 1], 50)
            >>> split(y).in_words(y)
            'training 70 · validation 15 · test 15 rows; class shares within 3.3 points of the whole'
        """
        named = zip(("training", "validation", "test"), self)
        text = " · ".join(f"{name} {len(rows):,}" for name, rows in named if len(rows)) + " rows"
        if y is None:
            return text
        labels = np.asarray(y).reshape(-1)
        kinds = np.unique(labels)
        whole = np.array([np.mean(labels == kind) for kind in kinds])
        gaps = [
            np.abs(np.array([np.mean(labels[rows] == kind) for kind in kinds]) - whole).max()
            for rows in self
            if len(rows)
        ]
        return f"{text}; class shares within {100 * max(gaps):.1f} points of the whole"


def split(
    y: int | Sequence | np.ndarray,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    stratify: bool | None = None,
    test_rows: np.ndarray | None = None,
) -> Split:
    """Divide rows at random, the same way for the same seed.

    Args:
        y: The answers, one per row; or the number of rows.
        validation: The share of rows for validation, 0 <= validation < 1. With `test_rows`, the
            share of the rows that are left.
        test: The share of rows for testing, 0 <= test < 1; not used with `test_rows`.
        seed: A whole number, 0 <= seed < 2**32.
        stratify: Whether each class gets its exact share of every part. By default yes if `y`
            holds whole numbers, strings or booleans, and no otherwise.
        test_rows: The rows that are the test part already, as with MNIST.

    Raises:
        ValueError: A share is out of range, a part would be empty, or `y` holds no classes.

    Warns:
        UncrumpleWarning: A class has too few rows to be in every part.

    Example:
        >>> train, validation, test = split([0, 0, 0, 0, 1, 1, 1, 1], validation=0.25, test=0.25)
        >>> sorted(np.array([0, 0, 0, 0, 1, 1, 1, 1])[test].tolist())
        [0, 1]
    """
    rows, labels = _rows_and_labels(y, stratify)
    _check_share("validation", validation)
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(
            explain(f"split got seed={seed!r}.", "Expected a whole number from 0 to 2**32 - 1.", "split(y, seed=0)")
        )
    random = np.random.default_rng(int(seed))
    if test_rows is None:
        _check_share("test", test)
        left, tested = np.arange(rows), round(rows * test)
        validated = round(rows * validation)
        fixed = None
    else:
        fixed = _checked_rows(test_rows, rows)
        left, tested = np.setdiff1d(np.arange(rows), fixed), 0
        validated = round(len(left) * validation)
    wanted = (("validation", validation, validated), ("test", test if fixed is None else 0, tested))
    for name, share, size in wanted:
        if share > 0 and size == 0:
            raise ValueError(
                explain(
                    f"split got {len(left)} rows and {name}={share}, which rounds to no row at all.",
                    "Expected at least one row for a part whose share is not 0.",
                    f"a larger {name}, more rows, or {name}=0.",
                )
            )
    if validated + tested >= len(left):
        raise ValueError(
            explain(
                f"split got validation={validation} and test={test}: no row of {len(left)} is left to learn from.",
                "Expected shares that leave rows for training.",
                "split(y, validation=0.15, test=0.15)",
            )
        )
    groups = [left] if labels is None else [left[labels[left] == kind] for kind in np.unique(labels[left])]
    groups = [random.permutation(group) for group in groups]
    sizes = np.array([len(group) for group in groups])
    for_test = _apportion(sizes, tested)
    for_validation = _apportion(sizes - for_test, validated)
    parts: list[list[np.ndarray]] = [[], [], []]
    for group, first, second in zip(groups, for_test, for_validation):
        parts[2].append(group[:first])
        parts[1].append(group[first : first + second])
        parts[0].append(group[first + second :])
    train, held_out, held_back = (random.permutation(np.concatenate(part)) for part in parts)
    made = Split(train, held_out, held_back if fixed is None else fixed)
    if labels is not None:
        _warn_of_absent_classes(made, labels)
    return made


def _apportion(sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Return how many rows of each class to take, so that they sum to `wanted` (largest remainders first).

    Every class that has a row keeps one, as long as the rest suffices.
    """
    exact = sizes * wanted / sizes.sum()
    taken = np.floor(exact).astype(int)
    most = np.maximum(sizes - 1, 0)
    taken = np.minimum(taken, most)
    # Largest remainder first; where they are equal the larger class, then the first.
    order = np.lexsort((np.arange(len(sizes)), -sizes, -(exact - taken)))
    for limit in (most, sizes):
        while taken.sum() < wanted and np.any(taken < limit):
            for index in order:
                if taken.sum() < wanted and taken[index] < limit[index]:
                    taken[index] += 1
    return taken


def _rows_and_labels(y: int | Sequence | np.ndarray, stratify: bool | None) -> tuple[int, np.ndarray | None]:
    if isinstance(y, (int, np.integer)) and not isinstance(y, bool):
        if stratify:
            raise ValueError(
                explain(
                    f"split got the number of rows, y={y}, and stratify=True.",
                    "Expected the class of each row.",
                    "split(labels, stratify=True)",
                )
            )
        rows, labels = int(y), None
    else:
        answers = np.asarray(y)
        if answers.ndim == 2 and answers.shape[1] == 1:
            answers = answers[:, 0]
        if answers.ndim != 1:
            raise ValueError(
                explain(
                    f"split got y of shape {answers.shape}.",
                    "Expected one answer per row, or the number of rows.",
                    "split(y.argmax(axis=1)) for one-hot labels, or split(len(y)).",
                )
            )
        rows = len(answers)
        if stratify is None:
            stratify = answers.dtype.kind in "iubSUO"
        labels = answers if stratify else None
        kinds = len(np.unique(answers)) if stratify else 0
        if stratify and kinds > 20 and kinds > rows / 2:
            raise ValueError(
                explain(
                    f"split got y with {kinds} different values in {rows} rows: these are not classes.",
                    "Expected class labels, each in several rows.",
                    "split(y, stratify=False)",
                )
            )
    if rows < 1:
        raise ValueError(
            explain(f"split got {rows} rows.", "Expected at least one.", "split(y) with the data's labels")
        )
    return rows, labels


def _check_share(name: str, share: float) -> None:
    if isinstance(share, bool) or not isinstance(share, (int, float, np.number)) or not 0 <= share < 1:
        raise ValueError(
            explain(f"split got {name}={share!r}.", f"Expected 0 <= {name} < 1.", f"split(y, {name}=0.15)")
        )


def _checked_rows(test_rows: np.ndarray, rows: int) -> np.ndarray:
    fixed = np.asarray(test_rows)
    whole = fixed.ndim == 1 and fixed.dtype.kind in "iu" and len(fixed) > 0
    if not whole or fixed.min() < 0 or fixed.max() >= rows or len(np.unique(fixed)) != len(fixed):
        raise ValueError(
            explain(
                f"split got test_rows of {fixed.dtype} and shape {fixed.shape} for {rows} rows.",
                f"Expected different row numbers from 0 to {rows - 1}.",
                "test_rows=np.arange(60000, 70000)",
            )
        )
    return fixed


def _warn_of_absent_classes(made: Split, labels: np.ndarray) -> None:
    parts = [("training", made.train), ("validation", made.validation), ("test", made.test)]
    absent = []
    for kind, count in zip(*np.unique(labels, return_counts=True)):
        lacking = [name for name, rows in parts if len(rows) and not np.any(labels[rows] == kind)]
        if lacking:
            absent.append(f"{kind!s} ({count} rows) is not in the {' or '.join(lacking)} part")
    if absent:
        shown = "; ".join(absent[:5]) + (f"; and {len(absent) - 5} more" if len(absent) > 5 else "")
        warnings.warn(
            explain(
                f"Class {shown}.",
                "Expected every class in every part: what is absent can be neither learnt nor judged.",
                "more rows of that class, larger parts, or leave the class out.",
            ),
            UncrumpleWarning,
            stacklevel=3,
        )
