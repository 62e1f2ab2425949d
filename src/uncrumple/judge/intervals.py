"""How sure a number is: 95 % intervals for what was measured on a test part.

A test part is a sample. Another one would have given a slightly different
score, and the interval says how different.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from uncrumple.core.errors import UncrumpleWarning, explain
from uncrumple.judge.words import decimals

_INDICES_AT_ONCE = 4_000_000  # resampled row numbers held in memory at a time: 32 MB


class Interval(NamedTuple):
    """A score with the lower and upper end of its interval.

    Example:
        >>> Interval(0.9, 0.8, 0.95).in_words()
        '90.0 % [80.0, 95.0]'
    """

    score: float
    low: float
    high: float

    def in_words(self, percent: bool = True, digits: int | None = None) -> str:
        """Return the score and its interval as text.

        Args:
            percent: Whether the score is a share, shown in percent.
            digits: Digits after the point; by default 1 for a share, and three significant ones otherwise.
        """
        if percent:
            places = 1 if digits is None else digits
            return f"{100 * self.score:.{places}f} % [{100 * self.low:.{places}f}, {100 * self.high:.{places}f}]"
        places = decimals(self.score) if digits is None else digits
        return f"{self.score:.{places}f} [{self.low:.{places}f}, {self.high:.{places}f}]"


def wilson(correct: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the share `correct / total` with Wilson's score interval.

    `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`. Unlike `p ± z sqrt(p(1-p)/n)` it
    keeps its word near 0 and 1: at n=100 and p=.97 that one covers the truth 80 % of the
    time, this one 97 %.

    Source: E. B. Wilson, 1927, Probable inference, the law of succession, and statistical inference.

    Args:
        correct: How many were right, 0 <= correct <= total.
        total: How many there were, at least 1.
        confidence: The share of test parts for which the interval holds the truth, 0 < confidence < 1.

    Example:
        >>> wilson(97, 100).in_words()
        '97.0 % [91.5, 99.0]'
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(
            explain(
                f"wilson got correct={correct}, total={total}.",
                "Expected 0 <= correct <= total, total >= 1.",
                "wilson(97, 100)",
            )
        )
    _check_confidence("wilson", confidence)
    z = float(norm.ppf(0.5 + confidence / 2))
    share = correct / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    low = 0.0 if correct == 0 else max(0.0, middle - half)
    high = 1.0 if correct == total else min(1.0, middle + half)
    return Interval(share, low, high)


def bootstrap(
    statistic: Callable[..., float],
    *arrays: np.ndarray,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Interval:
    """Return a statistic of the rows with its percentile bootstrap interval.

    The rows are drawn with replacement, all arrays alike, and the statistic is computed again,
    `resamples` times. The interval is what is left when the lowest and highest tails are cut off.

    Source: B. Efron and R. Tibshirani, 1993, An Introduction to the Bootstrap, chapter 13.

    Args:
        statistic: A function of the arrays that returns a number.
        *arrays: Arrays with the same number of rows.
        resamples: How many times to draw, at least 1000.
        confidence: 0 < confidence < 1.
        seed: The same seed gives the same interval.
        groups: A group for each row: whole groups are then drawn in place of rows, because rows
            of one patient, say, are not independent.

    Warns:
        UncrumpleWarning: The statistic could not be computed on some of the drawn rows.

    Example:
        >>> errors = np.array([1.0, 2.0, 3.0, 2.0] * 25)
        >>> bootstrap(np.mean, errors).in_words(percent=False)
        '2.00 [1.86, 2.14]'
    """
    columns = [np.asarray(array) for array in arrays]
    rows = len(columns[0]) if columns else 0
    if rows < 1 or any(len(column) != rows for column in columns):
        raise ValueError(
            explain(
                f"bootstrap got arrays of {[len(column) for column in columns]} rows.",
                "Expected arrays with the same number of rows, at least one.",
                "bootstrap(np.mean, errors)",
            )
        )
    if resamples < 1000:
        raise ValueError(
            explain(
                f"bootstrap got resamples={resamples}.",
                "Expected at least 1000: the tails of fewer are not steady enough for a 95 % interval.",
                "bootstrap(statistic, y, answers, resamples=2000)",
            )
        )
    _check_confidence("bootstrap", confidence)
    if statistic is np.mean and len(columns) == 1 and columns[0].ndim == 1:
        values = _means(columns[0], resamples, seed, groups)
    else:
        values = np.array(
            [statistic(*(column[drawn] for column in columns)) for drawn in _draws(rows, resamples, seed, groups)]
        )
    known = values[np.isfinite(values)]
    if len(known) < len(values):
        warnings.warn(
            explain(
                f"The statistic could not be computed on {len(values) - len(known)} of {len(values)} drawn samples.",
                "Expected few or none: the interval is of the others.",
                "more test rows.",
            ),
            UncrumpleWarning,
            stacklevel=2,
        )
    score = float(statistic(*columns))
    if not len(known):
        return Interval(score, math.nan, math.nan)
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(score, float(low), float(high))


def _means(column: np.ndarray, resamples: int, seed: int, groups: np.ndarray | None) -> np.ndarray:
    """Return the mean of each resample; many at a time, which is ten times as fast."""
    sums: np.ndarray = np.asarray(column, np.float64)
    sizes: np.ndarray | None = None
    if groups is not None:
        of_row = _groups_of_rows(groups, len(column))
        sums, sizes = np.bincount(of_row, sums), np.bincount(of_row)
    random, count = np.random.default_rng(seed), len(sums)
    at_once = max(1, _INDICES_AT_ONCE // count)
    found = []
    for start in range(0, resamples, at_once):
        drawn = random.integers(0, count, size=(min(at_once, resamples - start), count))
        found.append(sums[drawn].mean(axis=1) if sizes is None else sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(found)


def _groups_of_rows(groups: np.ndarray, rows: int) -> np.ndarray:
    """Return the number of each row's group."""
    _, of_row = np.unique(np.asarray(groups), return_inverse=True)
    if len(of_row) != rows:
        raise ValueError(
            explain(
                f"bootstrap got {len(of_row)} groups for {rows} rows.",
                "Expected a group for each row.",
                "groups=patient",
            )
        )
    return of_row


def _draws(rows: int, resamples: int, seed: int, groups: np.ndarray | None):  # type: ignore[no-untyped-def]
    """Yield the row numbers of each resample."""
    random = np.random.default_rng(seed)
    if groups is None:
        at_once = max(1, _INDICES_AT_ONCE // rows)
        for start in range(0, resamples, at_once):
            yield from random.integers(0, rows, size=(min(at_once, resamples - start), rows))
        return
    of_row = _groups_of_rows(groups, rows)
    members = [np.flatnonzero(of_row == kind) for kind in range(int(of_row.max()) + 1)]
    for _ in range(resamples):
        yield np.concatenate([members[kind] for kind in random.integers(0, len(members), size=len(members))])


def _check_confidence(owner: str, confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(
            explain(
                f"{owner} got confidence={confidence}.",
                "Expected 0 < confidence < 1.",
                f"{owner}(..., confidence=0.95)",
            )
        )
