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
_DEALS = 1999
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


def compare_right(first: np.ndarray, second: np.ndarray, *, groups: np.ndarray | None = None, seed: int = 0) -> Paired:
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
        groups: A group for each row, where rows of one group belong together. McNemar's test takes
            every row for a new witness; with groups, whole groups change sides instead
            (as in `compare_errors`), and the interval is a bootstrap of groups.
        seed: For what is drawn with `groups`.

    Example:
        >>> first, second = np.ones(100, bool), np.arange(100) >= 10
        >>> found = compare_right(first, second)
        >>> round(found.difference.score, 2), found.p_value < 0.01
        (0.1, True)
    """
    one, other = _pair("compare_right", first, second, bool)
    first_only, second_only = int((one & ~other).sum()), int((other & ~one).sum())
    if groups is not None:
        apart = one.astype(np.float64) - other
        found = bootstrap(np.mean, apart, seed=seed, groups=groups)
        return Paired(_flipped(apart, seed, groups), found, first_only, second_only)
    middle, half = _bonett_price(first_only, second_only, len(one))
    difference = Interval((first_only - second_only) / len(one), max(-1.0, middle - half), min(1.0, middle + half))
    return Paired(mcnemar(first_only, second_only), difference, first_only, second_only)


def compare_balanced(
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Paired:
    """Compare two classifiers by balanced accuracy, the mean of the classes' recalls.

    A row of a class of `n_c` rows counts `1 / (classes * n_c)`. Were neither better, each row's
    two answers could change sides: a sign-flip test. The interval puts together those of the
    classes (Bonett and Price's), `mean of the middles ± sqrt(sum of half²) / classes`.

    Args:
        truth: The right class of each test row.
        first: Whether the first was right on it.
        second: Whether the second was.
        groups: A group for each row, as in `compare_right`.
        seed: For what is drawn.

    Example:
        >>> truth = np.repeat([0, 1], [95, 5])
        >>> found = compare_balanced(truth, np.ones(100, bool), truth == 0)
        >>> found.difference.score, round(found.p_value, 2)
        (0.5, 0.06)
    """
    one, other = _pair("compare_balanced", first, second, bool)
    kinds, of_row, counts = np.unique(np.asarray(truth), return_inverse=True, return_counts=True)
    if len(of_row) != len(one):
        raise ValueError(
            explain(
                f"compare_balanced got {len(of_row)} labels and {len(one)} rows.",
                "Expected a label for each row.",
                "compare_balanced(y_test, first == y_test, second == y_test)",
            )
        )
    apart = one.astype(np.float64) - other
    p_value = _flipped(apart / counts[of_row], seed, groups)
    middles, halves = np.transpose(
        [
            _bonett_price(int((one & ~other & mine).sum()), int((other & ~one & mine).sum()), int(mine.sum()))
            for mine in (of_row == kind for kind in range(len(kinds)))
        ]
    )
    score = float(np.mean([apart[of_row == kind].mean() for kind in range(len(kinds))]))
    if groups is None:
        middle, half = float(middles.mean()), float(np.sqrt((halves**2).sum())) / len(kinds)
        difference = Interval(score, max(-1.0, middle - half), min(1.0, middle + half))
    else:

        def of_classes(values: np.ndarray, classes: np.ndarray) -> float:
            rows = np.bincount(classes, minlength=len(kinds))
            return float(np.mean((np.bincount(classes, values, len(kinds)) / np.maximum(rows, 1))[rows > 0]))

        difference = bootstrap(of_classes, apart, of_row, seed=seed, groups=groups)
    return Paired(p_value, difference, int((one & ~other).sum()), int((other & ~one).sum()))


def _bonett_price(first_only: int, second_only: int, rows: int) -> tuple[float, float]:
    """Return the middle of the interval of the difference, and half its width."""
    gained, lost = (first_only + 1) / (rows + 2), (second_only + 1) / (rows + 2)
    z = float(norm.ppf(0.975))
    return gained - lost, z * math.sqrt((gained + lost - (gained - lost) ** 2) / (rows + 2))


def _flipped(differences: np.ndarray, seed: int, groups: np.ndarray | None) -> float:
    """Return how often random signs, one for each row or group, give a sum at least as far from 0."""
    if groups is not None:
        _, of_row = np.unique(np.asarray(groups), return_inverse=True)
        differences = np.bincount(of_row, differences)
    apart = differences[differences != 0]  # the others add nothing, whatever their sign
    if not len(apart):
        return 1.0
    # Rounding must not make a sum that equals the observed one look smaller.
    limit = abs(apart.sum()) * (1 - 1e-12)
    random = np.random.default_rng(seed)
    hits, left = 0, _FLIPS
    while left:
        now = min(left, max(1, _FLIPS_AT_ONCE // len(apart)))
        signs = random.integers(0, 2, size=(now, len(apart)), dtype=np.int8) * 2.0 - 1
        hits += int((np.abs(signs @ apart) >= limit).sum())
        left -= now
    return (1 + hits) / (1 + _FLIPS)


def compare_errors(first: np.ndarray, second: np.ndarray, seed: int = 0, *, groups: np.ndarray | None = None) -> Paired:
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
        groups: A group for each row: whole groups then get one sign, because rows of one patient,
            say, err together.

    Returns:
        `difference` is below 0 when the first has the smaller errors.

    Example:
        >>> near, far = np.full(20, 1.0), np.full(20, 2.0)
        >>> compare_errors(near, far).p_value
        0.0001
    """
    one, other = _pair("compare_errors", first, second, np.float64)
    differences = one - other
    difference = bootstrap(np.mean, differences, seed=seed, groups=groups)
    return Paired(
        _flipped(differences, seed, groups), difference, int((differences < 0).sum()), int((differences > 0).sum())
    )


def against_chance(truth: np.ndarray, answers: np.ndarray, *, seed: int = 0) -> float:
    """Return how often answers that have nothing to do with the truth are right as often as these: a permutation test.

    The answers are dealt out to the rows at random, 1,999 times, and the mean of the classes'
    recalls is compared. A model can pass it and still be right less often than one that always gives
    the most frequent class.

    Args:
        truth: The right class of each test row.
        answers: The model's class for each.
        seed: For the permutations.

    Example:
        >>> truth = np.arange(60) % 2
        >>> against_chance(truth, np.where(np.arange(60) < 40, truth, 1 - truth)) < 0.05
        True
    """
    kinds, codes = np.unique(np.concatenate([np.asarray(truth), np.asarray(answers)]), return_inverse=True)
    right, given = codes[: len(codes) // 2], codes[len(codes) // 2 :]
    weights = 1 / np.bincount(right, minlength=len(kinds))[right]
    observed = float(weights[right == given].sum())
    random, hits = np.random.default_rng(seed), 0
    for _ in range(_DEALS):
        hits += bool(weights[right == random.permutation(given)].sum() >= observed - 1e-9)
    return (1 + hits) / (1 + _DEALS)


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
