"""Schedules along a falling half wave of the cosine, once or again and again.

Source: Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm
Restarts", 2017, https://arxiv.org/abs/1608.03983
"""

from __future__ import annotations

import math
from typing import Any

from uncrumple.optimizers import checks
from uncrumple.optimizers.schedules.base import FormulaSchedule


def _half_wave(fraction: float) -> float:
    """Return 1 at fraction 0, falling to 0 at fraction 1."""
    return 0.5 * (1 + math.cos(math.pi * fraction))


class CosineDecay(FormulaSchedule):
    """Rise in a straight line if asked to, then fall along a cosine.

    Warm-up, for step < warmup_steps:
    rate = initial + (warmup_target - initial) * step / warmup_steps.
    Then, with top = warmup_target (or initial when there is none):
    rate = top * ((1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2 + alpha).

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: Steps (batches) to fall over, after the warm-up; > 0.
        alpha: The last rate, as a fraction of the top.
        name: A name for the schedule.
        warmup_target: The rate at the end of the warm-up; None means no warm-up.
        warmup_steps: Steps to rise over.

    Example:
        >>> schedule = CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)
        >>> schedule(0), schedule(5), schedule(10), schedule(60), schedule(110)
        (0.0, 0.05, 0.1, 0.05, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        owner = "CosineDecay"
        self.initial_learning_rate = checks.number(
            owner, "initial_learning_rate", initial_learning_rate, 0, example=0.1
        )
        self.decay_steps = checks.number(owner, "decay_steps", decay_steps, 0, above=True, example=1000)
        self.alpha = checks.number(owner, "alpha", alpha, 0, example=0.0)
        if warmup_target is not None:
            warmup_target = checks.number(owner, "warmup_target", warmup_target, 0, example=0.1)
        self.warmup_target = warmup_target
        self.warmup_steps = checks.number(owner, "warmup_steps", warmup_steps, 0, example=100)
        self.name = name

    def rate(self, step: float) -> float:
        top = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return top + (self.warmup_target - top) * step / self.warmup_steps
            top = self.warmup_target
            step -= self.warmup_steps
        wave = _half_wave(min(step, self.decay_steps) / self.decay_steps)
        return top * ((1 - self.alpha) * wave + self.alpha)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(FormulaSchedule):
    """Fall along a cosine, jump up, and fall again over a longer time.

    Period i takes first_decay_steps * t_mul ** i steps, and falls from
    initial * m_mul ** i (scaled between `alpha` and 1).

    Args:
        initial_learning_rate: The rate at step 0.
        first_decay_steps: Steps (batches) of the first period; > 0.
        t_mul: How much longer each period is than the one before; >= 1.
        m_mul: The factor on the top rate of each next period.
        alpha: The rate at the end of a period, as a fraction of the initial one.
        name: A name for the schedule.

    Example:
        >>> schedule = CosineDecayRestarts(0.1, first_decay_steps=100)
        >>> schedule(0), schedule(50), schedule(100), schedule(200)
        (0.1, 0.05, 0.1, 0.05)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        owner = "CosineDecayRestarts"
        self.initial_learning_rate = checks.number(
            owner, "initial_learning_rate", initial_learning_rate, 0, example=0.1
        )
        self.first_decay_steps = checks.number(
            owner, "first_decay_steps", first_decay_steps, 0, above=True, example=1000
        )
        # Below 1 the periods would add up to a finite number of steps, and nothing is defined after it.
        self.t_mul = checks.number(owner, "t_mul", t_mul, 1, example=2.0)
        self.m_mul = checks.number(owner, "m_mul", m_mul, 0, example=1.0)
        self.alpha = checks.number(owner, "alpha", alpha, 0, example=0.0)
        self.name = name

    def _start(self, period: int) -> float:
        """Return when a period starts, in units of the first period."""
        return period if self.t_mul == 1 else (self.t_mul**period - 1) / (self.t_mul - 1)

    def rate(self, step: float) -> float:
        passed = step / self.first_decay_steps
        if self.t_mul == 1:
            period = math.floor(passed)
        else:
            period = math.floor(math.log(1 + passed * (self.t_mul - 1)) / math.log(self.t_mul))
            # The logarithms round: at the first step of a period they may fall short of it.
            while self._start(period + 1) <= passed:
                period += 1
            while self._start(period) > passed:
                period -= 1
        fraction = (passed - self._start(period)) / self.t_mul**period
        wave = self.m_mul**period * _half_wave(fraction)
        return self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }
