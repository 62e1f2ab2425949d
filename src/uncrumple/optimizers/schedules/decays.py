"""Schedules that only ever fall: by a factor, in steps, along a power, or as 1/t."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from uncrumple.core.errors import explain
from uncrumple.optimizers import checks
from uncrumple.optimizers.schedules.base import FormulaSchedule


class ExponentialDecay(FormulaSchedule):
    """Multiply the rate by `decay_rate` every `decay_steps` steps.

    rate = initial_learning_rate * decay_rate ** (step / decay_steps)

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: Steps (batches, not epochs) for one factor; > 0.
        decay_rate: The factor; >= 0, below 1 to fall.
        staircase: Whether the exponent is rounded down, so that the rate falls in stairs.
        name: A name for the schedule.

    Example:
        >>> schedule = ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
        >>> schedule(0), schedule(100), schedule(200)
        (0.1, 0.05, 0.025)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = checks.number(
            "ExponentialDecay", "initial_learning_rate", initial_learning_rate, 0, example=0.1
        )
        self.decay_steps = checks.number("ExponentialDecay", "decay_steps", decay_steps, 0, above=True, example=1000)
        self.decay_rate = checks.number("ExponentialDecay", "decay_rate", decay_rate, 0, example=0.9)
        self.staircase = staircase
        self.name = name

    def rate(self, step: float) -> float:
        passed = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (math.floor(passed) if self.staircase else passed)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class PiecewiseConstantDecay(FormulaSchedule):
    """Use one rate up to each boundary: `values[i]` while step <= `boundaries[i]`, then the next.

    Args:
        boundaries: Steps at which a piece ends, rising. The step itself still belongs to the piece.
        values: Rates, one more than there are boundaries.
        name: A name for the schedule.

    Example:
        >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> schedule(100), schedule(101), schedule(1000)
        (0.1, 0.01, 0.001)
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                explain(
                    f"PiecewiseConstantDecay got {len(boundaries)} boundaries and {len(values)} values.",
                    "Expected one value more than boundaries: a rate before, between and after them.",
                    "PiecewiseConstantDecay([1000, 2000], [0.1, 0.01, 0.001])",
                )
            )
        if any(later <= earlier for earlier, later in itertools.pairwise(boundaries)):
            raise ValueError(
                explain(
                    f"PiecewiseConstantDecay got boundaries={list(boundaries)}.",
                    "Expected each boundary to be greater than the one before.",
                    f"boundaries={sorted(set(boundaries))}",
                )
            )
        for value in values:
            checks.number("PiecewiseConstantDecay", "each of values", value, 0, example=0.1)
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def rate(self, step: float) -> float:
        return self.values[bisect_left(self.boundaries, step)]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal schedule."""
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


class PolynomialDecay(FormulaSchedule):
    """Go from one rate to another along (1 - step / decay_steps) ** power, then stay.

    rate = (initial - end) * (1 - step / decay_steps) ** power + end

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: Steps (batches) to get to the end; > 0.
        end_learning_rate: The rate from then on.
        power: 1 is a straight line, above 1 falls faster at first; >= 0.
        cycle: Whether to start again: each time the end is reached, decay_steps
            grows to its next multiple, and the rate jumps up.
        name: A name for the schedule.

    Example:
        >>> schedule = PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)
        >>> schedule(0), schedule(50), schedule(500)
        (0.1, 0.05, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        owner = "PolynomialDecay"
        self.initial_learning_rate = checks.number(
            owner, "initial_learning_rate", initial_learning_rate, 0, example=0.1
        )
        self.decay_steps = checks.number(owner, "decay_steps", decay_steps, 0, above=True, example=1000)
        self.end_learning_rate = checks.number(owner, "end_learning_rate", end_learning_rate, 0, example=0.0001)
        self.power = checks.number(owner, "power", power, 0, example=1.0)
        self.cycle = cycle
        self.name = name

    def rate(self, step: float) -> float:
        steps = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        else:
            step = min(step, steps)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * (1 - step / steps) ** self.power + self.end_learning_rate

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class InverseTimeDecay(FormulaSchedule):
    """Divide the rate by a number that grows with the step.

    rate = initial_learning_rate / (1 + decay_rate * step / decay_steps)

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: Steps (batches) in which the divisor grows by `decay_rate`; > 0.
        decay_rate: How much it grows; >= 0.
        staircase: Whether step / decay_steps is rounded down, so that the rate falls in stairs.
        name: A name for the schedule.

    Example:
        >>> schedule = InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)
        >>> schedule(0), schedule(100), schedule(300)
        (0.1, 0.05, 0.025)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        owner = "InverseTimeDecay"
        self.initial_learning_rate = checks.number(
            owner, "initial_learning_rate", initial_learning_rate, 0, example=0.1
        )
        self.decay_steps = checks.number(owner, "decay_steps", decay_steps, 0, above=True, example=1000)
        self.decay_rate = checks.number(owner, "decay_rate", decay_rate, 0, example=0.5)
        self.staircase = staircase
        self.name = name

    def rate(self, step: float) -> float:
        passed = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (math.floor(passed) if self.staircase else passed))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }
