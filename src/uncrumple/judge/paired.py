"""Is one model better than another, on the same test rows?

Two intervals that overlap do not answer that: the rows that both models get
right, or wrong, say nothing about which is better, and only a paired test
leaves them out. With a true lead of two points and 1,000 rows, looking
whether the intervals overlap sees it 6 % of the time, McNemar's test 88 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm

from uncrumple.core.errors import explain
from uncrumple.judge.intervals import Interval, bootstrap

_FLIPS = 9999
_FLIPS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Paired:
    """What a paired test found.

    Args:
        p_value: How often chance alone gives a difference at least this large, if there is none.
        difference: The first model's mean less the second's, with its 95 % interval.
        first_better: Rows on which only the first was right (or nearer).
        second_better: Rows on which only the second was right (or nearer).

    Example:
        >>> compare_right(np.array([1, 1, 1, 0]), np.array([1, 0, 0, 0])).first_better
        2
    """

    p_value: float
    difference: Interval
    first_better: int
    second_better: int


def mcnemar(first_only: int, second_only: int) -> float:
    """Return the p-value of McNemar's exact test.

    Of the rows that exactly one of two classifiers got right, each would have half by chance:
    a two-sided binomial test.

    Source: Q. McNemar, 1947; for classifiers: T. Dietterich, 1998, Approximate statistical tests.

    Args:
        first_only: Rows that only the first got right.
        second_only: Rows that only the second got right.

    Example:
        >>> round(mcnemar(1, 9), 4)
        0.0215
    """
    if first_only < 0 or second_only < 0:
        raise ValueError(
            explain(
                f"mcnemar got {first_only} and {second_only}.",
                "Expected two counts of rows, 0 or more.",
                "mcnemar(1, 9)",
            )
        )
    differing = first_only + second_only
    return 1.0 if differing == 0 else float(binomtest(first_only, differing, 0.5).pvalue)


def compare_right(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two classifiers by which rows each got right: McNemar's exact test.

    The interval of the difference is Bonett and Price's: with `f` and `g` the rows that only the
    first, only the second got right, `p = (f+1)/(n+2)`, `q = (g+1)/(n+2)`, it is
    `p - q ± z sqrt((p + q - (p-q)²)/(n+2))`. A bootstrap would shrink to the single point 0 when
    the two are never right apart, however few the rows.

    Source: D. Bonett and R. Price, 2012, Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data.

    Args:
        first: For each test row, whether the first was right.
        second: The same for the second, in the same order.

    Example:
        >>> first, second = np.ones(100, bool), np.arange(100) >= 10
        >>> found = compare_right(first, second)
        >>> round(found.difference.score, 2), found.p_value < 0.01
        (0.1, True)
    """
    one, other = _pair("compare_right", first, second, bool)
    first_only, second_only = int((one & ~other).sum()), int((other & ~one).sum())
    rows, z = len(one), float(norm.ppf(0.975))
    gained, lost = (first_only + 1) / (rows + 2), (second_only + 1) / (rows + 2)
    half = z * math.sqrt((gained + lost - (gained - lost) ** 2) / (rows + 2))
    low, high = max(-1.0, gained - lost - half), min(1.0, gained - lost + half)
    difference = Interval((first_only - second_only) / rows, low, high)
    return Paired(mcnemar(first_only, second_only), difference, first_only, second_only)


def compare_errors(first: np.ndarray, second: np.ndarray, seed: int = 0) -> Paired:
    """Compare two regressions by their absolute errors on each row: a sign-flip permutation test.

    If neither were better, each row's difference would be as likely of either sign. The signs
    are flipped at random 9,999 times; the p-value is how often the mean difference is then at
    least as large as it is. It tests the very number that is shown, the difference of the mean
    absolute errors; Wilcoxon's signed-rank test, the other usual choice, tests the middle of
    the differences, and can point the other way when a few errors are large.

    Source: R. A. Fisher, 1935, The Design of Experiments; p = (1 + hits) / (1 + draws).

    Args:
        first: The first model's absolute errors, one per test row.
        second: The second's, in the same order.
        seed: The same seed gives the same p-value.

    Returns:
        `difference` is below 0 when the first has the smaller errors.

    Example:
        >>> near, far = np.full(20, 1.0), np.full(20, 2.0)
        >>> compare_errors(near, far).p_value
        0.0001
    """
    one, other = _pair("compare_errors", first, second, np.float64)
    differences = one - other
    observed = abs(differences.mean())
    random = np.random.default_rng(seed)
    hits, left = 0, _FLIPS
    # Rounding must not make a mean that equals the observed one look smaller.
    limit = observed * (1 - 1e-12)
    while left:
        now = min(left, max(1, _FLIPS_AT_ONCE // len(differences)))
        signs = random.integers(0, 2, size=(now, len(differences)), dtype=np.int8) * 2 - 1
        hits += int((np.abs(signs @ differences / len(differences)) >= limit).sum())
        left -= now
    p_value = (1 + hits) / (1 + _FLIPS)
    difference = bootstrap(np.mean, differences, seed=seed)
    return Paired(p_value, difference, int((differences < 0).sum()), int((differences > 0).sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many comparisons were made, in the same order.

    The smallest is multiplied by their number, the next by one less, and so on, and none may be
    below the one before: with five comparisons, one in four would otherwise look like a find.

    Source: S. Holm, 1979, A simple sequentially rejective multiple test procedure.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    if given.size and (given.min() < 0 or given.max() > 1 or np.isnan(given).any()):
        raise ValueError(explain(f"holm got {list(p_values)}.", "Expected p-values from 0 to 1.", "holm([0.01, 0.04])"))
    corrected = np.empty_like(given)
    highest = 0.0
    for rank, index in enumerate(np.argsort(given, kind="stable")):
        highest = max(highest, min(1.0, float(given[index]) * (len(given) - rank)))
        corrected[index] = highest
    return corrected.tolist()


def _pair(owner: str, first: np.ndarray, second: np.ndarray, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    one: np.ndarray = np.asarray(first, dtype=dtype)
    other: np.ndarray = np.asarray(second, dtype=dtype)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise ValueError(
            explain(
                f"{owner} got shapes {one.shape} and {other.shape}.",
                "Expected one value per test row for each, in the same order.",
                f"{owner}(first, second) on the same rows.",
            )
        )
    return one, other
