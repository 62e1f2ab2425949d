"""The statistics keep their word: coverage of the intervals and false alarms of the tests, simulated.

The functions are those of `benchmarks/judge_statistics.py`, whose long version is in docs/judging.md.
The seeds are fixed; the limits leave room for the few repeats.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

_FILE = Path(__file__).parents[2] / "benchmarks" / "judge_statistics.py"
_SPEC = importlib.util.spec_from_file_location("judge_statistics", _FILE)
simulated = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(simulated)


@pytest.mark.parametrize(("rows", "share"), [(100, 0.97), (20, 0.9), (1000, 0.8)])
def test_wilson_holds_the_truth(rows, share):
    assert 0.93 < simulated.wilson_coverage(4000, rows=rows, share=share) < 0.99


def test_the_usual_interval_does_not_and_this_simulation_sees_it():
    assert simulated.wald_coverage(4000) < 0.85


@pytest.mark.parametrize("rare", [20, 5])
def test_balanced_accuracy(rare):
    assert simulated.balanced_coverage(400, rare=rare) > 0.92


def test_bootstrap_of_a_mean_error():
    assert 0.89 < simulated.bootstrap_coverage(150) < 0.99


def test_rows_that_belong_together():
    assert simulated.grouped_coverage(80) > 0.87
    assert simulated.grouped_coverage(80, by_group=False) < 0.8  # ten rows of a patient are not ten witnesses


def test_difference_of_accuracies():
    assert 0.92 < simulated.difference_coverage(600) < 0.99


def test_mcnemar():
    assert simulated.mcnemar_alarms(1500) < 0.05
    assert simulated.mcnemar_power(400) > 0.8


def test_answers_that_have_nothing_to_do_with_the_truth():
    assert simulated.chance_alarms(40) < 0.15


def test_a_series_is_taken_in_stretches():
    assert simulated.series_alarms(60) < 0.15
    assert simulated.series_alarms(60, stretches=None) > 0.2


def test_sign_flips():
    assert simulated.sign_flip_alarms(25) < 0.17
    assert simulated.balanced_alarms(30) < 0.15
    assert simulated.grouped_alarms(30) < 0.15
    assert simulated.grouped_alarms(80, by_group=False) > 0.25


def test_holm():
    assert simulated.holm_alarms(3000) < 0.06
    assert simulated.holm_alarms(3000, corrected=False) > 0.2


def test_corrected_t():
    assert simulated.fold_alarms(300) < 0.06
    assert simulated.fold_alarms(40, times=5) < 0.13
    assert simulated.fold_alarms(40, times=5, corrected=False) > 0.25


def test_calibration():
    assert simulated.calibration_alarms(60) < 0.12
    assert simulated.calibration_alarms(20, logits=5.0) > 0.9
    ece, floor = simulated.calibration_floor(30)
    assert ece == pytest.approx(floor, rel=0.1)
    assert floor == pytest.approx(0.063, abs=0.006)


def test_slices_fairness_and_shift():
    assert simulated.slice_alarms(60) < 0.12
    assert simulated.slice_alarms(12, shares=False) < 0.2
    assert simulated.fairness_alarms(12) < 0.2
    assert simulated.gap_coverage(400) > 0.93
    assert simulated.shift_alarms(60) < 0.1


def test_every_line_of_the_table_runs():
    for what, promised, repeats, measure in simulated.LINES:
        share = measure(2)
        assert 0 <= share <= 1, what
        assert promised in ("", "holds .95", "alarms ≤ .05", "finds") and repeats >= 300
    assert np.isfinite(simulated.calibration_floor(2)).all()
