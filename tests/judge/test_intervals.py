"""Intervals: equal to reference values, and as often right as they promise."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from uncrumple.core.errors import UncrumpleWarning
from uncrumple.judge import bootstrap, wilson


@pytest.mark.parametrize(("correct", "total"), [(97, 100), (0, 10), (10, 10), (1, 2), (50, 100), (9953, 10000), (1, 1)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_equals_scipy(correct, total, confidence):
    reference = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    found = wilson(correct, total, confidence)
    assert found.score == correct / total
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_wilson_by_hand():
    """Without a hit the upper end is z² / (n + z²)."""
    assert wilson(0, 10).high == pytest.approx(1.959964**2 / (10 + 1.959964**2), abs=1e-6)
    assert wilson(0, 10).low == 0.0
    assert wilson(10, 10).high == 1.0


@pytest.mark.parametrize(("share", "least"), [(0.5, 0.94), (0.9, 0.93), (0.97, 0.96), (0.99, 0.91)])
def test_wilson_covers_the_truth_as_often_as_it_says(share, least):
    """Exactly, over all 101 outcomes of 100 rows. The textbook interval covers .97 only 80 % of the time."""
    hits = np.arange(101)
    weights = binom.pmf(hits, 100, share)
    ends = [wilson(int(hit), 100) for hit in hits]
    covered = sum(weight for weight, end in zip(weights, ends) if end.low <= share <= end.high)
    assert covered >= least
    textbook = 1.96 * np.sqrt(hits / 100 * (1 - hits / 100) / 100)
    if share == 0.97:
        assert weights[np.abs(hits / 100 - share) <= textbook].sum() < 0.82


def test_bootstrap_of_a_mean_is_near_the_formula():
    values = np.random.default_rng(0).normal(10, 2, 400)
    found = bootstrap(np.mean, values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.score == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        found = bootstrap(np.mean, random.normal(0, 1, 50), resamples=1000, seed=trial)
        covered += found.low <= 0 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_bootstrap_repeats_itself_and_draws_all_arrays_alike():
    x = np.random.default_rng(0).normal(size=100)
    assert bootstrap(np.mean, x, seed=3) == bootstrap(np.mean, x, seed=3)
    assert bootstrap(np.mean, x, seed=3) != bootstrap(np.mean, x, seed=4)
    assert bootstrap(lambda one, other: float(np.abs(one - other).max()), x, x).high == 0.0


def test_groups_are_drawn_whole():
    """Twenty patients with ten equal rows each know as much as twenty rows, not as two hundred."""
    values = np.repeat(np.random.default_rng(0).normal(size=20), 10)
    by_row, by_group = bootstrap(np.mean, values), bootstrap(np.mean, values, groups=np.repeat(np.arange(20), 10))
    assert by_group.high - by_group.low > 2.5 * (by_row.high - by_row.low)


def test_resamples_without_a_value_are_reported():
    def odd(values):
        return float("nan") if values[0] > 0 else 1.0

    with pytest.warns(UncrumpleWarning, match="could not be computed on"):
        found = bootstrap(odd, np.array([0.0, 1.0]))
    assert (found.low, found.high) == (1.0, 1.0)
    with pytest.warns(UncrumpleWarning):
        assert np.isnan(bootstrap(lambda values: float("nan"), np.ones(3)).low)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: wilson(5, 4), "wilson got correct=5, total=4."),
        (lambda: wilson(0, 0), "wilson got correct=0, total=0."),
        (lambda: wilson(1, 2, confidence=95), "wilson got confidence=95."),
        (lambda: bootstrap(np.mean, np.ones(3), resamples=10), "bootstrap got resamples=10."),
        (lambda: bootstrap(np.mean, np.ones(3), np.ones(2)), "bootstrap got arrays of [3, 2] rows."),
        (lambda: bootstrap(np.mean), "bootstrap got arrays of [] rows."),
        (lambda: bootstrap(np.mean, np.ones(3), groups=np.ones(2)), "bootstrap got 2 groups for 3 rows."),
    ],
)
def test_impossible_arguments(call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_in_words():
    assert wilson(97, 100).in_words() == "97.0 % [91.5, 99.0]"
    assert bootstrap(np.mean, np.full(5, 43.21)).in_words(percent=False) == "43.2 [43.2, 43.2]"
