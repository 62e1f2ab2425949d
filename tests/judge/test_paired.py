"""Paired tests: known numbers, no false alarms beyond what is promised, and no blindness."""

import numpy as np
import pytest
from scipy.stats import binom

from uncrumple.judge import compare_errors, compare_right, holm, mcnemar


@pytest.mark.parametrize(
    ("first_only", "second_only", "p_value"),
    # By hand: twice the binomial tail, at most 1.
    [(1, 9, 2 * 11 / 1024), (0, 5, 2 / 32), (0, 0, 1.0), (3, 3, 1.0), (9, 1, 2 * 11 / 1024), (0, 1, 1.0)],
)
def test_mcnemar_by_hand(first_only, second_only, p_value):
    assert mcnemar(first_only, second_only) == pytest.approx(p_value)


@pytest.mark.parametrize(("first_only", "second_only"), [(5, 12), (20, 41), (100, 130)])
def test_mcnemar_is_the_binomial_tail(first_only, second_only):
    assert mcnemar(first_only, second_only) == pytest.approx(2 * binom.cdf(first_only, first_only + second_only, 0.5))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


def test_only_rows_that_differ_count():
    one = np.array([1] * 5 + [0] * 2 + [1] * 993, bool)
    other = np.array([0] * 5 + [1] * 2 + [1] * 993, bool)
    found = compare_right(one, other)
    assert (found.first_better, found.second_better) == (5, 2)
    assert found.p_value == mcnemar(5, 2)
    assert found.difference.score == pytest.approx(0.003)
    assert found.difference.low < 0 < found.difference.high


def test_the_interval_does_not_shrink_to_a_point_when_two_models_agree():
    right = np.ones(30, bool)
    found = compare_right(right, right)
    assert found.p_value == 1.0
    assert found.difference.score == 0
    assert found.difference.low == pytest.approx(-found.difference.high)
    assert 0.05 < found.difference.high < 0.12


def test_the_interval_of_the_difference_covers_the_truth():
    """Bonett and Price's interval, 2,000 times, 50 rows, the first right 90 % and the second 82 % of the time."""
    random = np.random.default_rng(0)
    covered = 0
    for both, first_only, second_only, neither in random.multinomial(50, [0.78, 0.12, 0.04, 0.06], size=2000):
        counts = [both, first_only, second_only, neither]
        found = compare_right(np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts))
        covered += found.difference.low <= 0.08 <= found.difference.high
    assert 0.935 <= covered / 2000 <= 0.99


def test_two_equal_classifiers_are_rarely_told_apart():
    random = np.random.default_rng(0)
    alarms = sum(compare_right(random.random(200) < 0.9, random.random(200) < 0.9).p_value < 0.05 for _ in range(500))
    assert alarms / 500 <= 0.05


def test_two_equal_regressions_are_rarely_told_apart():
    random = np.random.default_rng(0)
    alarms = 0
    for trial in range(200):
        errors = np.abs(random.standard_t(3, size=(2, 40)))  # heavy tails
        alarms += compare_errors(errors[0], errors[1], seed=trial).p_value < 0.05
    assert alarms / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_a_true_lead_of_two_points_is_seen_where_intervals_overlap():
    """1,000 rows; the first is right where the second is, and on 2 % more."""
    random = np.random.default_rng(0)
    seen = 0
    for _ in range(100):
        second = random.random(1000) < 0.9
        first = second | (random.random(1000) < 0.2)
        seen += compare_right(first, second).p_value < 0.05
    assert seen >= 85


def test_smaller_errors_are_seen_and_the_sign_is_right():
    random = np.random.default_rng(0)
    errors = np.abs(random.normal(size=100))
    found = compare_errors(errors, errors + 0.2)
    assert found.p_value == pytest.approx(1e-4)
    assert found.difference.score == pytest.approx(-0.2)
    assert (found.first_better, found.second_better) == (100, 0)
    assert compare_errors(errors, errors).p_value == 1.0
    assert compare_errors(errors, errors[::-1], seed=5) == compare_errors(errors, errors[::-1], seed=5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mcnemar(-1, 2), "mcnemar got -1 and 2."),
        (lambda: holm([0.1, 1.2]), "holm got [0.1, 1.2]."),
        (lambda: compare_right(np.ones(3), np.ones(4)), "compare_right got shapes (3,) and (4,)."),
        (lambda: compare_errors(np.ones((3, 1)), np.ones((3, 1))), "compare_errors got shapes (3, 1) and (3, 1)."),
    ],
)
def test_impossible_arguments(call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value)
