"""Folds for cross-validation: each row is held back once."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain


def k_folds(
    y: Any, folds: int = 5, *, seed: int = 0, stratify: bool | None = None, repeats: int = 1
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide rows into parts of equal size at random, and return for each part the other rows and its own.

    Args:
        y: The answers, one per row; or the number of rows.
        folds: How many parts, at least 2.
        seed: The same seed gives the same parts.
        stratify: Whether each class is spread evenly over the parts. None does so for whole numbers and text.
        repeats: How often to divide, each time anew.

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
    rows, labels = _rows_and_labels(y, stratify)
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
    for _ in range(repeats):
        if labels is None:
            order = random.permutation(rows)
        else:
            # Class after class, dealt out like cards: every part gets its share of each.
            order = np.concatenate([random.permutation(np.flatnonzero(labels == kind)) for kind in np.unique(labels)])
        part = np.empty(rows, np.int64)
        part[order] = np.arange(rows) % folds
        found += [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(folds)]
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
