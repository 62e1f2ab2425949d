"""The scores of a test part, each with its 95 % interval."""

from __future__ import annotations

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.intervals import Interval, bootstrap, wilson


def classification_scores(truth: np.ndarray, answers: np.ndarray, seed: int = 0) -> dict[str, Interval]:
    """Return accuracy (Wilson's interval) and macro F1 (bootstrap interval).

    Macro F1 is the plain mean of the classes' F1 = 2 hits / (2 hits + false alarms + misses),
    so that a rare class counts as much as a common one.

    Args:
        truth: The right class of each test row, a whole number.
        answers: The model's class for each, in the same order.
        seed: For the bootstrap.

    Example:
        >>> scores = classification_scores(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
        >>> round(scores["accuracy"].score, 2), round(scores["macro_f1"].score, 3)
        (0.75, 0.733)
    """
    right, given = checked_rows(truth, answers)
    kinds, codes = np.unique(np.concatenate([right, given]), return_inverse=True)
    first, second = codes[: len(right)], codes[len(right) :]
    count = len(kinds)

    def macro_f1(one: np.ndarray, other: np.ndarray) -> float:
        hits = np.bincount(one[one == other], minlength=count)
        seen = np.bincount(one, minlength=count) + np.bincount(other, minlength=count)
        present = seen > 0
        return float(np.mean(2 * hits[present] / seen[present]))

    return {
        "accuracy": wilson(int((right == given).sum()), len(right)),
        "macro_f1": bootstrap(macro_f1, first, second, seed=seed),
    }


def regression_scores(truth: np.ndarray, answers: np.ndarray, seed: int = 0) -> dict[str, Interval]:
    """Return mean absolute error, root of the mean squared error, and R², with bootstrap intervals.

    `R² = 1 - sum((truth - answer)²) / sum((truth - mean)²)`: the share of the spread that is
    explained; 0 is as good as always answering the mean.

    Args:
        truth: The right value of each test row.
        answers: The model's value for each, in the same order.
        seed: For the bootstrap.

    Example:
        >>> truth = np.arange(20.0)
        >>> scores = regression_scores(truth, truth + 1)
        >>> scores["mae"].score, round(scores["r2"].score, 3)
        (1.0, 0.97)
    """
    right, given = checked_rows(truth, answers)
    right, given = right.astype(np.float64), given.astype(np.float64)
    errors = given - right

    def r2(values: np.ndarray, misses: np.ndarray) -> float:
        spread = float(((values - values.mean()) ** 2).sum())
        return 1 - float((misses**2).sum()) / spread if spread > 0 else float("nan")

    return {
        "mae": bootstrap(np.mean, np.abs(errors), seed=seed),
        "rmse": bootstrap(lambda squares: float(np.sqrt(squares.mean())), errors**2, seed=seed),
        "r2": bootstrap(r2, right, errors, seed=seed),
    }


def checked_rows(truth: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as one number per row, or say what is wrong; a trailing axis of 1 is dropped.

    Raises:
        ValueError: The shapes differ, there are no rows, or an answer is NaN.
    """
    flat = []
    for array in (truth, answers):
        values = np.asarray(array)
        flat.append(values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values)
    right, given = flat
    if right.ndim != 1 or right.shape != given.shape or not len(right):
        raise ValueError(
            explain(
                f"Judging got truth of shape {np.shape(truth)} and answers of shape {np.shape(answers)}.",
                "Expected one value per test row in each, in the same order.",
                "answers = probabilities.argmax(axis=1)",
            )
        )
    for name, values in (("truth", right), ("answers", given)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(
                explain(
                    f"Judging got {name} with {int((~np.isfinite(values)).sum())} values that are NaN or infinite.",
                    "Expected finite numbers.",
                    "look at the training curves: a loss of nan means that the learning rate is too high.",
                )
            )
    return right, given
