"""Folds for cross-validation: each row is held back once; or, in the order of time, what comes after what is learnt from."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.dealing import by_group, by_time, checked


def k_folds(
    y: Any,
    folds: int = 5,
    *,
    seed: int = 0,
    stratify: bool | None = None,
    repeats: int = 1,
    groups: Any = None,
    times: Any = None,
    ends: Any = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide rows into parts of equal size at random, and return for each part the other rows and its own.

    Args:
        y: The answers, one per row; or the number of rows; or a `Table`, `Images`, `Text` or `Series`,
            which brings its classes, groups and times.
        folds: How many parts, at least 2.
        seed: The same seed gives the same parts.
        stratify: Whether each class is spread evenly over the parts. None does so for whole numbers and text.
        repeats: How often to divide, each time anew.
        groups: What each row belongs to: no group is both learnt from and held back.
        times: When each row was: the rows are cut into folds + 1 stretches of time, and each but the
            first is held back from what came before it. Nothing is drawn at random.
        ends: With `times`: when the answer of each row was known. Rows that were not yet answered
            when the rows held back begin are not learnt from.

    Returns:
        folds * repeats pairs of row numbers: (to learn from, held back), both in ascending order.

    Raises:
        ValueError: There are fewer rows than parts, or an argument is impossible.

    Example:
        >>> for learned, held_back in k_folds(6, 3, seed=1):
        ...     print(learned, held_back)
        [0 2 3 5] [1 4]
        [1 2 3 4] [0 5]
        [0 1 4 5] [2 3]
    """
    if hasattr(y, "take") and hasattr(type(y), "raw"):
        groups = y.groups if groups is None else groups
        if times is None and groups is None:
            times, ends = y.times, y.ends
        classes = y.task == "classification"
        y, stratify = (y.y, stratify) if classes and stratify is not False else (len(y), None)
    rows, labels = _rows_and_labels(y, stratify)
    groups, times, ends = checked(groups, rows, "groups"), checked(times, rows, "times"), checked(ends, rows, "ends")
    if groups is not None and times is not None:
        raise ValueError(explain("k_folds got groups and times.", "Expected one of them.", "k_folds(y, groups=groups)"))
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(
                explain(
                    f"k_folds got {name}={value!r}.",
                    f"Expected a whole number of at least {least}.",
                    f"k_folds(y, {name}={max(least, 5) if name == 'folds' else least})",
                )
            )
    if folds > rows:
        raise ValueError(
            explain(
                f"k_folds got {rows} rows and folds={folds}.", "Expected at least one row per part.", f"folds={rows}"
            )
        )
    random = np.random.default_rng(int(seed))
    found = []
    if times is not None:
        if repeats != 1:
            raise ValueError(
                explain(f"k_folds got times and repeats={repeats}.", "Expected repeats=1: time runs once.", "repeats=1")
            )
        return _through_time(times, ends, int(folds))
    for _ in range(repeats):
        if groups is not None:
            part = by_group(groups, labels, [1 / folds] * int(folds), random)
            found += [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(folds)]
            continue
        if labels is None:
            order = random.permutation(rows)
        else:
            # Class after class, dealt out like cards: every part gets its share of each.
            order = np.concatenate([random.permutation(np.flatnonzero(labels == kind)) for kind in np.unique(labels)])
        part = np.empty(rows, np.int64)
        part[order] = np.arange(rows) % folds
        found += [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(folds)]
    return found


def _through_time(times: np.ndarray, ends: np.ndarray | None, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    stretches = by_time(times, None, [1 / (folds + 1)] * (folds + 1))
    if any(not len(rows) for rows in stretches):
        raise ValueError(
            explain(
                f"k_folds got times with too few different values for {folds + 1} stretches.",
                "Expected rows of at least as many different times.",
                "fewer folds",
            )
        )
    found = []
    for place in range(1, folds + 1):
        before, held_back = np.concatenate(stretches[:place]), stretches[place]
        if ends is not None:
            before = before[ends[before] < times[held_back].min()]
        found.append((np.sort(before), np.sort(held_back)))
    return found


def _rows_and_labels(y: Any, stratify: bool | None) -> tuple[int, np.ndarray | None]:
    if isinstance(y, (int, np.integer)) and not isinstance(y, bool):
        if stratify:
            raise ValueError(
                explain(
                    f"k_folds got the number of rows, y={y}, and stratify=True.",
                    "Expected the class of each row.",
                    "k_folds(labels, stratify=True)",
                )
            )
        return int(y), None
    answers: np.ndarray = np.asarray(y)
    if answers.ndim == 2 and answers.shape[1] == 1:
        answers = answers[:, 0]
    if answers.ndim != 1:
        raise ValueError(
            explain(
                f"k_folds got y of shape {answers.shape}.",
                "Expected one answer per row, or the number of rows.",
                "k_folds(y.argmax(axis=1)) for one-hot labels, or k_folds(len(y))",
            )
        )
    if stratify is None:
        stratify = answers.dtype.kind in "iubSUO"
    return len(answers), answers if stratify else None
