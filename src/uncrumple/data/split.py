"""Dividing rows into a training, a validation and a test part.

The training part is learnt from, the validation part decides when to stop,
and the test part is looked at once, at the end. A class has the same share in
each, as exactly as whole rows (or whole groups of them) allow. Rows with a
time are divided by it: what is tested comes after what is learnt from.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from uncrumple.core.errors import UncrumpleWarning, explain
from uncrumple.data.dealing import by_group, by_time, checked
from uncrumple.data.seal import Seal


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
    how: str = ""

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
        text += self.how
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


class Parts:
    """Data in three parts of the same kind: what `split(data)` returns.

    The test part is sealed: each time `test` is asked for is a use, and uses
    are counted. A score on rows that were looked at before is optimistic: what
    was chosen by it, was chosen by these rows.

    Args:
        data: A `Table`, `Images`, `Text` or `Series`.
        rows: Which rows are in which part.
        folder: Where uses are counted across programs; None counts them in this one.

    Attributes:
        data: The undivided data.
        rows: The `Split`.

    Example:
        >>> from uncrumple.data import Table
        >>> parts = split(Table({"x": np.arange(100) % 7, "y": ["no", "yes"] * 50}, target="y"))
        >>> len(parts.train), parts.test_uses
        (70, 0)
        >>> test = parts.test
        >>> len(test), parts.test_uses
        (15, 1)
    """

    def __init__(self, data: Any, rows: Split, folder: str | os.PathLike[str] | None = None) -> None:
        self.data, self.rows = data, rows
        self._seal = Seal(folder)
        self._fingerprint: str | None = None

    @property
    def train(self) -> Any:
        """The part to learn from: the only one whose pictures `fit` augments, if the data say how."""
        return self.data.take(self.rows.train)

    @property
    def validation(self) -> Any:
        """The part that decides when to stop, and between models."""
        return self.peek("validation")

    @property
    def test(self) -> Any:
        """The part to be judged by. Asking for it is a use, which is counted."""
        self._seal.use(self.fingerprint)
        return self.peek("test")

    def peek(self, part: str) -> Any:
        """Return a part without counting a use: for checks of the data, which choose no model."""
        found = self.data.take(getattr(self.rows, part))
        found.augment = ()
        return found

    @property
    def test_uses(self) -> int:
        """How often the test part was asked for; with a folder, by all programs that counted there."""
        return self._seal.uses(self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """What the uses of the test part are counted under: the same for the same rows and answers."""
        if self._fingerprint is None:
            self._fingerprint = self.peek("test").fingerprint if len(self.rows.test) else "none"
        return self._fingerprint

    @property
    def sizes(self) -> dict[str, int]:
        """The number of rows of each part by its name."""
        return self.rows.sizes

    def in_words(self) -> str:
        """Return the sizes, how evenly the classes are spread, and what else was heeded."""
        return self.rows.in_words(self.data.y if self.data.task == "classification" else None)

    def __repr__(self) -> str:
        return f"<Parts of {self.data.name}: {self.in_words()}>"


@overload
def split(
    y: int | Sequence | np.ndarray,
    validation: float = ...,
    test: float = ...,
    seed: int = ...,
    stratify: bool | None = ...,
    test_rows: np.ndarray | None = ...,
    *,
    groups: Any = ...,
    times: Any = ...,
    ends: Any = ...,
    folder: None = ...,
) -> Split: ...


@overload
def split(
    y: Any,
    validation: float = ...,
    test: float = ...,
    seed: int = ...,
    stratify: bool | None = ...,
    test_rows: np.ndarray | None = ...,
    *,
    groups: Any = ...,
    times: Any = ...,
    ends: Any = ...,
    folder: str | os.PathLike[str] | None = ...,
) -> Any: ...


def split(
    y: Any,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    stratify: bool | None = None,
    test_rows: np.ndarray | None = None,
    *,
    groups: Any = None,
    times: Any = None,
    ends: Any = None,
    folder: str | os.PathLike[str] | None = None,
) -> Any:
    """Divide rows at random, the same way for the same seed; by group or by time where these are given.

    Args:
        y: The answers, one per row; or the number of rows; or a `Table`, `Images`, `Text` or
            `Series`, which brings its classes, groups and times.
        validation: The share of rows for validation, 0 <= validation < 1. With `test_rows`, the
            share of the rows that are left.
        test: The share of rows for testing, 0 <= test < 1; not used with `test_rows`.
        seed: A whole number, 0 <= seed < 2**32.
        stratify: Whether each class gets its exact share of every part. By default yes if `y`
            holds whole numbers, strings or booleans, and no otherwise.
        test_rows: The rows that are the test part already, as with MNIST; data that were loaded by
            name bring theirs.
        groups: What each row belongs to, such as a patient: no group is in two parts. Classes are
            then spread as evenly as whole groups allow.
        times: When each row was: the oldest rows are the training part, the latest the test part,
            and rows of one time stay together. Nothing is drawn at random.
        ends: With `times`: when the answer of each row was known. Rows whose answer was known only
            after the next part begins are in no part.
        folder: With a `Table` or the like: where the uses of the test part are counted across
            programs, in the file `test_uses.json`.

    Returns:
        A `Split` of row numbers; for a `Table` or the like, `Parts`.

    Raises:
        ValueError: A share is out of range, a part would be empty, or `y` holds no classes.

    Warns:
        UncrumpleWarning: A class has too few rows to be in every part.

    Example:
        >>> train, validation, test = split([0, 0, 0, 0, 1, 1, 1, 1], validation=0.25, test=0.25)
        >>> sorted(np.array([0, 0, 0, 0, 1, 1, 1, 1])[test].tolist())
        [0, 1]
    """
    if hasattr(y, "take") and hasattr(type(y), "raw"):  # asking for `raw` itself would read all files
        classes = y.task == "classification"
        if test_rows is None and groups is None and times is None and y.groups is None and y.times is None:
            test_rows = getattr(y, "test_rows", None)
        made = _rows_of_parts(
            y.y if classes and stratify is not False else len(y),
            validation,
            test,
            seed,
            stratify if classes else None,
            test_rows,
            y.groups if groups is None else groups,
            # A time that was given for a language or a series orders it; groups say more where both are there.
            y.times if times is None and (y.groups if groups is None else groups) is None else times,
            y.ends if ends is None else ends,
        )
        return Parts(y, made, folder)
    if folder is not None:
        raise ValueError(
            explain(
                f"split got a {type(y).__name__}, and folder={str(folder)!r}.",
                "Expected a Table, Images, Text or Series: the uses of their test part are counted.",
                "leave out folder",
            )
        )
    return _rows_of_parts(y, validation, test, seed, stratify, test_rows, groups, times, ends)


def _rows_of_parts(
    y: Any,
    validation: float,
    test: float,
    seed: int,
    stratify: bool | None,
    test_rows: np.ndarray | None,
    groups: Any,
    times: Any,
    ends: Any,
) -> Split:
    rows, labels = _rows_and_labels(y, stratify)
    _check_share("validation", validation)
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(
            explain(f"split got seed={seed!r}.", "Expected a whole number from 0 to 2**32 - 1.", "split(y, seed=0)")
        )
    groups, times, ends = checked(groups, rows, "groups"), checked(times, rows, "times"), checked(ends, rows, "ends")
    if sum(given is not None for given in (groups, times, test_rows)) > 1:
        given = [
            name for name, it in (("groups", groups), ("times", times), ("test_rows", test_rows)) if it is not None
        ]
        raise ValueError(
            explain(f"split got {' and '.join(given)}.", "Expected one of them.", f"split(y, {given[0]}={given[0]})")
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
    shares = (1 - validation - test, validation, test)
    if times is not None:
        return _by_time(times, ends, shares)
    if groups is not None:
        part = by_group(groups, labels, shares, random)
        first, second, third = (random.permutation(np.flatnonzero(part == number)) for number in range(3))
        made = Split(first, second, third, f"; {len(np.unique(groups)):,} groups, none in two parts")
        if labels is not None:
            _warn_of_absent_classes(made, labels)
        return made
    classes = [left] if labels is None else [left[labels[left] == kind] for kind in np.unique(labels[left])]
    classes = [random.permutation(group) for group in classes]
    sizes = np.array([len(group) for group in classes])
    for_test = _apportion(sizes, tested)
    for_validation = _apportion(sizes - for_test, validated)
    parts: list[list[np.ndarray]] = [[], [], []]
    for group, first, second in zip(classes, for_test, for_validation):
        parts[2].append(group[:first])
        parts[1].append(group[first : first + second])
        parts[0].append(group[first + second :])
    train, held_out, held_back = (random.permutation(np.concatenate(part)) for part in parts)
    made = Split(train, held_out, held_back if fixed is None else fixed)
    if labels is not None:
        _warn_of_absent_classes(made, labels)
    return made


def _by_time(times: np.ndarray, ends: np.ndarray | None, shares: tuple[float, float, float]) -> Split:
    train, validation, test = by_time(times, ends, shares)
    for name, part, share in zip(("training", "validation", "test"), (train, validation, test), shares):
        if share > 0 and not len(part):
            raise ValueError(
                explain(
                    f"split got times with too few different values: no row is left for the {name} part.",
                    "Expected times that tell at least three parts apart.",
                    "split(y) without times, or a larger share",
                )
            )
    left_out = len(times) - len(train) - len(validation) - len(test)
    said = f", {left_out:,} rows at the borders in no part" if left_out else ""
    return Split(train, validation, test, f"; in the order of time{said}")


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
