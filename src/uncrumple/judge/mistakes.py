"""The test rows that a model got most wrong: the first thing to look at after the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.words import decimals, percent


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Args:
        row: Its place in the test part, from 0.
        truth: The right answer, in words.
        answer: The model's answer, in words.
        confidence: The probability the model gave its answer; None for a regression.
        truth_probability: The probability it gave the right answer; None for a regression.
        error: Answer less truth, for a regression; otherwise None.

    Example:
        >>> Mistake(3, "cat", "dog", confidence=0.98, truth_probability=0.01).in_words()
        'cat → dog (98 %)'
    """

    row: int
    truth: str
    answer: str
    confidence: float | None = None
    truth_probability: float | None = None
    error: float | None = None

    def in_words(self) -> str:
        """Return truth, answer and how sure or how far off, such as `cat → dog (98 %)`."""
        if self.confidence is not None:
            return f"{self.truth} → {self.answer} ({percent(self.confidence)})"
        return f"{self.truth} → {self.answer} ({self.error:+.{decimals(self.error or 0.0)}f})"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return asdict(self)


def class_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return probabilities of shape (rows, classes), whether the model gives one column or several.

    A single column is the probability of the second of two classes.

    Raises:
        ValueError: A value is not a probability, as NaN, or the rows do not sum to 1.

    Example:
        >>> class_probabilities(np.array([[0.25], [1.0]])).tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    shares = np.asarray(outputs, dtype=np.float64)
    if shares.ndim == 1:
        shares = shares[:, None]
    if shares.ndim == 2 and shares.shape[1] == 1:
        shares = np.concatenate([1 - shares, shares], axis=1)
    lost = len(shares) - int(np.isfinite(shares).all(axis=-1).sum()) if shares.ndim == 2 else 0
    if lost:
        raise ValueError(
            explain(
                f"Judging got outputs of shape {np.shape(outputs)} that are not probabilities: {lost:,} of "
                f"{len(shares):,} rows are NaN or infinite.",
                "Expected values from 0 to 1 that sum to 1 in each row.",
                "train again: uncrumple.preflight(model, (x, y)) and fit(..., diagnose=True) say where NaN begins",
            )
        )
    right = shares.ndim == 2 and len(shares) > 0 and shares.min() >= 0
    if not right or np.abs(shares.sum(axis=1) - 1).max() > 1e-2:
        raise ValueError(
            explain(
                f"Judging got outputs of shape {np.shape(outputs)} that are not probabilities.",
                "Expected values from 0 to 1 that sum to 1 in each row.",
                "for a model that ends in logits: softmax(outputs, axis=-1)",
            )
        )
    return shares


def worst_mistakes(
    truth: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], count: int = 12
) -> list[Mistake]:
    """Return the wrong answers, those first in which the truth was thought least likely.

    Args:
        truth: The right class of each test row, a whole number from 0.
        probabilities: What the model gave each class, of shape (rows, classes), or one column.
        class_names: A name for each class.
        count: The most mistakes to return, at least 1.

    Example:
        >>> shares = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        >>> [mistake.in_words() for mistake in worst_mistakes(np.array([1, 1, 1]), shares, ("cat", "dog"))]
        ['dog → cat (90 %)', 'dog → cat (60 %)']
    """
    _check_count(count)
    shares = class_probabilities(probabilities)
    right = np.asarray(truth).reshape(-1)
    if len(right) != len(shares) or len(class_names) != shares.shape[1] or right.max() >= shares.shape[1]:
        raise ValueError(
            explain(
                f"worst_mistakes got {len(right)} labels up to {right.max()}, outputs of shape {shares.shape} "
                f"and {len(class_names)} class names.",
                "Expected one row of outputs for each label, one column and one name for each class.",
                "worst_mistakes(y_test, model.predict(x_test), class_names)",
            )
        )
    answers = shares.argmax(axis=1)
    of_truth = shares[np.arange(len(right)), right]
    wrong = np.flatnonzero(answers != right)
    worst = wrong[np.argsort(of_truth[wrong], kind="stable")][:count]
    return [
        Mistake(
            row=int(row),
            truth=str(class_names[right[row]]),
            answer=str(class_names[answers[row]]),
            confidence=float(shares[row, answers[row]]),
            truth_probability=float(of_truth[row]),
        )
        for row in worst
    ]


def largest_errors(truth: np.ndarray, answers: np.ndarray, count: int = 12) -> list[Mistake]:
    """Return the rows whose values a regression missed by most, farthest first.

    Example:
        >>> largest_errors(np.array([10.0, 20.0]), np.array([11.0, 15.0]), count=1)[0].in_words()
        '20.0 → 15.0 (-5.00)'
    """
    _check_count(count)
    right, given = (np.asarray(values, dtype=np.float64).reshape(-1) for values in (truth, answers))
    if len(right) != len(given):
        raise ValueError(
            explain(
                f"largest_errors got {len(right)} values and {len(given)} answers.",
                "Expected one answer for each value.",
                "largest_errors(y_test, model.predict(x_test))",
            )
        )
    errors = given - right
    places = decimals(float(np.abs(right).max())) if len(right) else 0
    return [
        Mistake(int(row), f"{right[row]:.{places}f}", f"{given[row]:.{places}f}", error=float(errors[row]))
        for row in np.argsort(-np.abs(errors), kind="stable")[:count]
    ]


def _check_count(count: int) -> None:
    if count < 1:
        raise ValueError(explain(f"Judging got count={count} mistakes.", "Expected at least 1.", "count=12"))
