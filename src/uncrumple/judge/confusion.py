"""Which classes are taken for which: the confusion matrix, precision, recall and F1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, matthews_corrcoef, precision_recall_fscore_support

from uncrumple.core.errors import explain
from uncrumple.judge.intervals import Interval, wilson
from uncrumple.judge.scores import checked_rows


@dataclass(frozen=True)
class ClassScore:
    """How well one class is recognised.

    Args:
        name: The class.
        precision: Of the rows answered with it, the share that is it; NaN if it was never answered.
        recall: Of its rows, the share that was answered with it, with Wilson's interval; NaN without rows.
        f1: `2 * precision * recall / (precision + recall)`.
        rows: Its rows in the test part.
    """

    name: str
    precision: float
    recall: Interval
    f1: float
    rows: int


@dataclass(frozen=True)
class Confusion:
    """How often each class was answered for each.

    Args:
        matrix: Counts; the row is the truth, the column the answer.
        class_names: The classes in the matrix's order.
        classes: The scores of each class.
        mcc: Matthews's correlation: 1 is all right, 0 is no better than chance, however unequal the classes.

    Example:
        >>> found = confusion_of(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), ("cat", "dog"))
        >>> found.matrix.tolist(), round(found.classes[0].recall.score, 2)
        ([[1, 1], [0, 2]], 0.5)
    """

    matrix: np.ndarray
    class_names: tuple[str, ...]
    classes: tuple[ClassScore, ...]
    mcc: float

    @property
    def row_shares(self) -> np.ndarray:
        """The matrix with each row divided by its sum: what share of a class was answered how."""
        sums = self.matrix.sum(axis=1, keepdims=True)
        return self.matrix / np.maximum(sums, 1)

    def most_confused(self, count: int = 5) -> list[tuple[str, str, int]]:
        """Return the most frequent mistakes as (truth, answer, rows), most frequent first.

        Example:
            >>> confusion_of(np.array([0, 0, 1]), np.array([0, 1, 1]), ("cat", "dog")).most_confused()
            [('cat', 'dog', 1)]
        """
        wrong = self.matrix - np.diag(np.diag(self.matrix))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = [np.unravel_index(index, wrong.shape) for index in order]
        return [
            (self.class_names[truth], self.class_names[answer], int(wrong[truth, answer]))
            for truth, answer in pairs
            if wrong[truth, answer]
        ]

    def matrix_lines(self) -> list[str]:
        """Return the matrix as lines of text, truth down and answer across; `.` stands for 0.

        Example:
            >>> for line in confusion_of(np.array([0, 0, 1]), np.array([0, 1, 1]), ("cat", "dog")).matrix_lines():
            ...     print(line)
            truth \\ answer  cat  dog
                       cat    1    1
                       dog    .    1
        """
        corner = "truth \\ answer"
        left = max(len(corner), *(len(name) for name in self.class_names))
        heads = [name if len(name) <= 12 else f"{name[:11]}…" for name in self.class_names]
        widths = [max(len(head), len(str(self.matrix[:, column].max()))) for column, head in enumerate(heads)]
        lines = ["  ".join([corner.rjust(left), *(head.rjust(width) for head, width in zip(heads, widths))])]
        for name, row in zip(self.class_names, self.matrix):
            cells = [(str(count) if count else ".").rjust(width) for count, width in zip(row, widths)]
            lines.append("  ".join([name.rjust(left), *cells]))
        return lines

    def averages(self) -> dict[str, dict[str, float]]:
        """Return precision, recall and F1 over all classes: each class alike, and each row alike.

        `macro` is the plain mean of the classes, `weighted` their mean by their rows. A class that has
        no rows counts in neither; one that was never answered counts with a precision of 0.

        Example:
            >>> found = confusion_of(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), ("no", "yes"))
            >>> round(found.averages()["macro"]["recall"], 2), round(found.averages()["weighted"]["recall"], 2)
            (0.5, 0.75)
        """
        kept = [entry for entry in self.classes if entry.rows]
        rows = np.array([entry.rows for entry in kept], dtype=np.float64)
        values = {
            "precision": [0.0 if math.isnan(entry.precision) else entry.precision for entry in kept],
            "recall": [entry.recall.score for entry in kept],
            "f1": [0.0 if math.isnan(entry.f1) else entry.f1 for entry in kept],
        }
        weights = {"macro": np.ones(len(kept)), "weighted": rows}
        return {
            name: {key: float(np.average(numbers, weights=weight)) for key, numbers in values.items()}
            for name, weight in weights.items()
        }

    def class_table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows of the table of classes, as text."""
        header = ["class", "precision", "recall", "95 % interval", "F1", "rows"]
        rows = [
            [
                entry.name,
                _share(entry.precision),
                _share(entry.recall.score),
                _between(entry.recall),
                "–" if math.isnan(entry.f1) else f"{entry.f1:.3f}",
                f"{entry.rows:,}",
            ]
            for entry in self.classes
        ]
        total = f"{int(self.matrix.sum()):,}"
        for name, mean in self.averages().items():
            shares = [_share(mean["precision"]), _share(mean["recall"])]
            rows.append([f"{name} mean", *shares, "", f"{mean['f1']:.3f}", total])
        return header, rows

    def to_dict(self) -> dict[str, Any]:
        """Return the whole as plain data that JSON can hold; what is not defined is None."""
        return {
            "matrix": self.matrix.tolist(),
            "class_names": list(self.class_names),
            "mcc": self.mcc,
            "averages": self.averages(),
            "classes": [
                {
                    "name": entry.name,
                    "precision": _known(entry.precision),
                    "recall": _known(entry.recall.score),
                    "recall_low": _known(entry.recall.low),
                    "recall_high": _known(entry.recall.high),
                    "f1": _known(entry.f1),
                    "rows": entry.rows,
                }
                for entry in self.classes
            ],
        }


def confusion_of(truth: np.ndarray, answers: np.ndarray, class_names: Sequence[str]) -> Confusion:
    """Count what was answered for what, and score each class.

    Args:
        truth: The right class of each test row: whole numbers from 0.
        answers: The model's class for each, in the same order.
        class_names: A name for each class, in the order of their numbers.

    Raises:
        ValueError: A number has no name.
    """
    right, given = checked_rows(truth, answers)
    names = tuple(str(name) for name in class_names)
    for owner, values in (("truth", right), ("answers", given)):
        if values.dtype.kind not in "iub" or values.min() < 0 or values.max() >= len(names):
            raise ValueError(
                explain(
                    f"confusion_of got {owner} from {values.min()} to {values.max()} ({values.dtype}) "
                    f"for {len(names)} class names.",
                    f"Expected whole numbers from 0 to {len(names) - 1}.",
                    "one name for each class, in the order of their numbers.",
                )
            )
    labels = list(range(len(names)))
    matrix = confusion_matrix(right, given, labels=labels)
    precision, _, f1, _ = precision_recall_fscore_support(right, given, labels=labels, zero_division=np.nan)
    classes = []
    for label, name in enumerate(names):
        rows, hits = int(matrix[label].sum()), int(matrix[label, label])
        recall = wilson(hits, rows) if rows else Interval(math.nan, math.nan, math.nan)
        classes.append(ClassScore(name, float(precision[label]), recall, float(f1[label]), rows))
    # Of one class in truth and answers there is nothing to correlate, and scikit-learn would warn.
    several = len(np.union1d(right, given)) > 1
    return Confusion(matrix, names, tuple(classes), float(matthews_corrcoef(right, given)) if several else 0.0)


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def _between(interval: Interval) -> str:
    return "–" if math.isnan(interval.low) else f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
