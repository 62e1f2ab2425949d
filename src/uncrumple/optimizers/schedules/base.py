"""What every learning rate schedule is: a function of the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from uncrumple.core.arguments import NamesItsArguments
from uncrumple.core.errors import explain
from uncrumple.optimizers.host_values import FloatValue


class LearningRateSchedule(NamesItsArguments):
    """Base class: subclass it, and return the learning rate from `__call__`.

    learning_rate = schedule(step).

    An optimizer calls its schedule with the number of steps made so far (a
    Python int: 0 at the first step), once per step.

    Example:
        >>> class Halving(LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.1 * 0.5 ** step
        >>> Halving()(2)
        0.025
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at `step`, which counts from 0."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no __call__(self, step).",
                "Expected a schedule to return the learning rate at a step.",
                f"def __call__(self, step): ...  in class {type(self).__name__}",
            )
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal schedule."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no get_config(), so it cannot be saved.",
                "Expected a dict of the arguments it was made with.",
                f"def get_config(self): return {{...}}  in class {type(self).__name__}",
            )
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a schedule made with the arguments in `config`."""
        return cls(**config)


class FormulaSchedule(LearningRateSchedule):
    """A schedule given by a formula: subclasses write `rate`, in plain Python numbers.

    learning_rate = rate(step).

    Called with a number it returns a float; with an array or tensor of steps,
    one of the same shape with the rate at each, which is what a plot needs.

    Example:
        >>> class Harmonic(FormulaSchedule):
        ...     def rate(self, step):
        ...         return 1 / (1 + step)
        >>> Harmonic()(torch.tensor([0, 1, 3]))
        tensor([1.0000, 0.5000, 0.2500])
    """

    def rate(self, step: float) -> float:
        """Return the learning rate at one step."""
        raise NotImplementedError

    def __call__(self, step: Any) -> Any:
        if isinstance(step, torch.Tensor) and step.ndim:
            return torch.tensor([self.rate(one) for one in step.flatten().tolist()], device=step.device).reshape(
                step.shape
            )
        if isinstance(step, np.ndarray) and step.ndim:
            return np.array([self.rate(one) for one in step.ravel().tolist()], dtype=np.float32).reshape(step.shape)
        return FloatValue(self.rate(step if isinstance(step, (int, float)) else float(step)))
