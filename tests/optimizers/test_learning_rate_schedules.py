"""Schedules: values, arrays of steps, refusals and configs. Parity with Keras is in tests/parity."""

import numpy as np
import pytest
import torch

from uncrumple.optimizers import schedules
from uncrumple.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

EVERY = [
    ExponentialDecay(0.1, 10, 0.5),
    PiecewiseConstantDecay([2, 5], [0.1, 0.01, 0.001]),
    PolynomialDecay(0.1, 10),
    InverseTimeDecay(0.1, 10, 1.0),
    CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=2),
    CosineDecayRestarts(0.1, 3),
]
every = pytest.mark.parametrize("schedule", EVERY, ids=lambda one: type(one).__name__)


@every
def test_any_kind_of_step(schedule):
    expected = [float(schedule(step)) for step in range(12)]
    assert schedule(torch.tensor(3)) == expected[3] == schedule(np.int64(3)) == schedule(3.0)
    assert schedule(3).numpy().dtype == np.float32
    np.testing.assert_allclose(schedule(np.arange(12).reshape(3, 4)), np.reshape(expected, (3, 4)), rtol=1e-6)
    found = schedule(torch.arange(12))
    assert found.shape == (12,)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@every
def test_config_round_trip(schedule):
    again = schedules.deserialize(schedules.serialize(schedule))
    assert type(again) is type(schedule) and again.get_config() == schedule.get_config()
    by_hand = {"class_name": type(schedule).__name__, "config": schedule.get_config()}
    assert schedules.deserialize(by_hand).get_config() == schedule.get_config()


def test_restarts_are_at_exact_steps():
    """float32 logarithms put some of these into the period before; the formula does not."""
    for t_mul in (1.0, 2.0, 3.0, 10.0):
        schedule = CosineDecayRestarts(0.1, 7, t_mul=t_mul)
        start, length = 0.0, 7.0
        for _ in range(12):
            assert schedule(start) == pytest.approx(0.1, rel=1e-9)
            assert schedule(start + length / 2) == pytest.approx(0.05, rel=1e-9)
            start, length = start + length, length * t_mul


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: ExponentialDecay(0.1, 0, 0.5),
            "ExponentialDecay got decay_steps=0.\nExpected a number with decay_steps > 0.\nFix: decay_steps=1000",
        ),
        (
            lambda: PolynomialDecay(-0.1, 10),
            "PolynomialDecay got initial_learning_rate=-0.1.\nExpected a number with initial_learning_rate >= 0.\n"
            "Fix: initial_learning_rate=0.1",
        ),
        (
            lambda: InverseTimeDecay(0.1, 10, -1),
            "InverseTimeDecay got decay_rate=-1.\nExpected a number with decay_rate >= 0.\nFix: decay_rate=0.5",
        ),
        (
            lambda: CosineDecay(0.1, -5),
            "CosineDecay got decay_steps=-5.\nExpected a number with decay_steps > 0.\nFix: decay_steps=1000",
        ),
        (
            lambda: CosineDecayRestarts(0.1, 10, t_mul=0.5),
            "CosineDecayRestarts got t_mul=0.5.\nExpected a number with t_mul >= 1.\nFix: t_mul=2.0",
        ),
        (
            lambda: PiecewiseConstantDecay([1, 2], [0.1]),
            "PiecewiseConstantDecay got 2 boundaries and 1 values.\n"
            "Expected one value more than boundaries: a rate before, between and after them.\n"
            "Fix: PiecewiseConstantDecay([1000, 2000], [0.1, 0.01, 0.001])",
        ),
        (
            lambda: PiecewiseConstantDecay([5, 2], [0.1, 0.2, 0.3]),
            "PiecewiseConstantDecay got boundaries=[5, 2].\nExpected each boundary to be greater than the one before.\n"
            "Fix: boundaries=[2, 5]",
        ),
    ],
)
def test_impossible_values(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_a_schedule_must_be_written():
    class Empty(schedules.LearningRateSchedule):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has no __call__\(self, step\)"):
        Empty()(0)
    with pytest.raises(NotImplementedError, match=r"Empty has no get_config\(\)"):
        Empty().get_config()


def test_an_own_schedule_is_found_by_name():
    class Mine(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5

        def get_config(self):
            return {}

    config = schedules.serialize(Mine())
    assert schedules.deserialize(config, custom_objects={"Mine": Mine})(0) == 0.5
