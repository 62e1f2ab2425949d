"""Unequal classes: how unequal they are, what to score them by, and what to weigh them with.

Where 99 of 100 rows are of one class, always answering with it is right 99 % of
the time. Accuracy then says nothing about the rare class, and is not put first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain

# A class counts as rare below this share of an even one, or if another has more than the second share of all rows.
_RARE_OF_EVEN = 0.2
_ALMOST_ALL = 0.8


@dataclass(frozen=True)
class Imbalance:
    """How unequal the classes of some rows are.

    Args:
        rows: The rows of each class, by its name.
        rare: Whether a class is so rare that accuracy says little.

    Example:
        >>> found = imbalance_of(np.repeat([0, 1], [99, 1]), ("no", "yes"))
        >>> found.rare, found.headline
        (True, 'balanced accuracy')
    """

    rows: dict[str, int]
    rare: bool

    @property
    def headline(self) -> str:
        """The score to put first: `"accuracy"`, or `"balanced accuracy"` where a class is rare."""
        return "balanced accuracy" if self.rare else "accuracy"

    @property
    def class_weights(self) -> dict[int, float]:
        """Weights for `fit(class_weight=...)` with which every class counts the same: rows / (classes * its rows)."""
        present = {number: rows for number, rows in enumerate(self.rows.values()) if rows}
        total = sum(present.values())
        return {number: total / (len(present) * rows) for number, rows in present.items()}

    def in_words(self) -> str:
        """Return what it means for the score; empty where no class is rare."""
        if not self.rare:
            return ""
        total = sum(self.rows.values())
        most, least = max(self.rows, key=lambda name: self.rows[name]), min(self.rows, key=lambda name: self.rows[name])
        return (
            f"Always answering {most!r} is right on {100 * self.rows[most] / total:.1f} % of the rows, and {least!r} is "
            f"{100 * self.rows[least] / total:.1f} % of them: accuracy says little here. The score is balanced "
            "accuracy, the mean of the classes' recalls."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        weights = {str(number): weight for number, weight in self.class_weights.items()}
        return {"rows": dict(self.rows), "rare": self.rare, "headline": self.headline, "class_weights": weights}


def imbalance_of(labels: np.ndarray, class_names: Sequence[str] = ()) -> Imbalance:
    """Count the classes and say whether one is rare.

    A class is rare if it has less than a fifth of an even share (below 10 % with two classes,
    2 % with ten), or if another has more than 80 % of all rows.

    Args:
        labels: The class of each row, whole numbers from 0.
        class_names: A name for each class; its number by default.

    Example:
        >>> imbalance_of(np.repeat([0, 1], [60, 40])).in_words()
        ''
        >>> imbalance_of(np.repeat([0, 1], [99, 1])).class_weights[1]
        50.0
    """
    codes = np.asarray(labels).reshape(-1)
    if not len(codes) or codes.dtype.kind not in "iub" or codes.min() < 0:
        raise ValueError(
            explain(
                f"imbalance_of got labels of {codes.dtype} and shape {np.shape(labels)}.",
                "Expected whole numbers from 0, at least one.",
                "imbalance_of(y)",
            )
        )
    counts = np.bincount(codes.astype(np.int64), minlength=len(class_names))
    names = [str(name) for name in class_names] or [str(number) for number in range(len(counts))]
    shares = counts[counts > 0] / counts.sum()
    rare = len(shares) > 1 and bool(shares.min() < _RARE_OF_EVEN / len(shares) or shares.max() > _ALMOST_ALL)
    return Imbalance(dict(zip(names, counts.tolist())), rare)
