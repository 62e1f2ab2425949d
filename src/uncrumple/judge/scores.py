"""The scores of a test part, each with its 95 % interval."""

from __future__ import annotations

import math

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.intervals import Interval, bootstrap, wilson


def classification_scores(
    truth: np.ndarray, answers: np.ndarray, seed: int = 0, *, groups: np.ndarray | None = None
) -> dict[str, Interval]:
    """Return accuracy (Wilson's interval) and macro F1 (bootstrap interval).

    Macro F1 is the plain mean of the classes' F1 = 2 hits / (2 hits + false alarms + misses),
    so that a rare class counts as much as a common one.

    Args:
        truth: The right class of each test row, a whole number.
        answers: The model's class for each, in the same order.
        seed: For the bootstrap.
        groups: A group for each row, where rows of one group belong together: both intervals are
            then bootstraps of groups.

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

    hits = right == given
    return {
        "accuracy": wilson(int(hits.sum()), len(right)) if groups is None else _by_groups(hits, groups, seed),
        "macro_f1": bootstrap(macro_f1, first, second, seed=seed, groups=groups),
    }


def _by_groups(hits: np.ndarray, groups: np.ndarray, seed: int) -> Interval:
    return bootstrap(np.mean, hits.astype(np.float64), seed=seed, groups=groups)


def balanced_scores(
    truth: np.ndarray, answers: np.ndarray, seed: int = 0, *, groups: np.ndarray | None = None
) -> dict[str, Interval]:
    """Return balanced accuracy and Matthews's correlation: scores in which a rare class counts.

    Balanced accuracy is the mean of the classes' recalls; one answer for all rows reaches
    1 / classes. Its interval puts Wilson's of the recalls together (MOVER): from the mean
    `m` down to `m - sqrt(sum (recall - low)²) / classes`, and likewise up. Matthews's
    correlation is 0 for one answer for all rows, 1 for all right; its interval is a bootstrap.

    Source: G. Zou and A. Donner, 2008, Construction of confidence limits about effect measures;
    D. Chicco and G. Jurman, 2020, on Matthews's correlation.

    Args:
        truth: The right class of each test row, a whole number.
        answers: The model's class for each, in the same order.
        seed: For bootstraps.
        groups: A group for each row, as in `classification_scores`.

    Example:
        >>> truth = np.repeat([0, 1], [98, 2])
        >>> scores = balanced_scores(truth, np.zeros(100, int))
        >>> scores["balanced_accuracy"].score, scores["mcc"].score
        (0.5, 0.0)
    """
    right, given = checked_rows(truth, answers)
    kinds, codes = np.unique(np.concatenate([right, given]), return_inverse=True)
    first, second = codes[: len(right)], codes[len(right) :]
    hits, count = first == second, len(kinds)

    def recalls(one: np.ndarray, hit: np.ndarray) -> float:
        rows = np.bincount(one, minlength=count)
        return float(np.mean((np.bincount(one, hit, count) / np.maximum(rows, 1))[rows > 0]))

    if groups is None:
        classes = [wilson(int(hits[first == kind].sum()), int((first == kind).sum())) for kind in np.unique(first)]
        middle = float(np.mean([one.score for one in classes]))
        below = math.sqrt(sum((one.score - one.low) ** 2 for one in classes)) / len(classes)
        above = math.sqrt(sum((one.high - one.score) ** 2 for one in classes)) / len(classes)
        balanced = Interval(middle, max(0.0, middle - below), min(1.0, middle + above))
    else:
        balanced = bootstrap(recalls, first, hits.astype(np.float64), seed=seed, groups=groups)

    def matthews(one: np.ndarray, other: np.ndarray) -> float:
        true, said = np.bincount(one, minlength=count), np.bincount(other, minlength=count)
        rows, agreed = len(one), int((one == other).sum())
        spread = float(rows**2 - (true.astype(float) ** 2).sum()) * float(rows**2 - (said.astype(float) ** 2).sum())
        return (agreed * rows - float(true @ said)) / math.sqrt(spread) if spread > 0 else 0.0

    return {
        "balanced_accuracy": balanced,
        "mcc": bootstrap(matthews, first, second, seed=seed, groups=groups),
    }


def regression_scores(
    truth: np.ndarray, answers: np.ndarray, seed: int = 0, *, groups: np.ndarray | None = None
) -> dict[str, Interval]:
    """Return mean absolute error, root of the mean squared error, and R², with bootstrap intervals.

    `R² = 1 - sum((truth - answer)²) / sum((truth - mean)²)`: the share of the spread that is
    explained; 0 is as good as always answering the mean.

    Args:
        truth: The right value of each test row.
        answers: The model's value for each, in the same order.
        seed: For the bootstrap.
        groups: A group for each row: whole groups are then drawn.

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
        "mae": bootstrap(np.mean, np.abs(errors), seed=seed, groups=groups),
        "rmse": bootstrap(lambda squares: float(np.sqrt(squares.mean())), errors**2, seed=seed, groups=groups),
        "r2": bootstrap(r2, right, errors, seed=seed, groups=groups),
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
