"""A learning rate for each epoch, from a function."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.screen import message
from uncrumple.core.errors import explain


def optimizers_of(optimizer: Any) -> list[tuple[str, Any]]:
    """Return [(name, optimizer)]: those inside of an optimizer that holds several, else itself, without a name."""
    inner = getattr(optimizer, "optimizers", None)
    return [("", optimizer)] if inner is None else [(one.name, one) for one in inner]


def log_learning_rates(optimizer: Any, logs: Logs) -> None:
    """Add `learning_rate` to the logs, or `learning_rate_NAME` for each of several optimizers."""
    for name, one in optimizers_of(optimizer):
        logs[f"learning_rate_{name}" if name else "learning_rate"] = float(one.learning_rate)


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch to what a function says.

    learning_rate = schedule(epoch, learning_rate).

    Adds `learning_rate` to the logs of each epoch.

    Args:
        schedule: A function of (epoch, learning rate now), epochs counting
            from 0, or of the epoch alone, that returns a float.
        verbose: 1 prints each epoch's learning rate, 0 does not.

    Raises:
        TypeError: `schedule` is not a function.
        ValueError: It returned something other than a float, or a negative or infinite one.

    Example:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.5))
        >>> halve = LearningRateScheduler(lambda epoch, learning_rate: learning_rate / 2)
        >>> halve.set_model(model)
        >>> halve.on_epoch_begin(0)
        >>> model.optimizer.learning_rate
        0.25
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                explain(
                    f"LearningRateScheduler got schedule={schedule!r}, a {type(schedule).__name__}.",
                    "Expected a function of the epoch and the learning rate.",
                    "LearningRateScheduler(lambda epoch, learning_rate: learning_rate * 0.95)",
                )
            )
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for name, optimizer in optimizers_of(self.model.optimizer):
            if not hasattr(optimizer, "learning_rate"):
                raise ValueError(
                    explain(
                        f"LearningRateScheduler found no learning rate in the optimizer {type(optimizer).__name__}.",
                        "Expected an optimizer with a `learning_rate`.",
                        "model.compile(optimizer='adam', ...)",
                    )
                )
            new = self._checked(self._ask(epoch, float(optimizer.learning_rate)))
            optimizer.learning_rate = new
            if self.verbose > 0:
                whose = f"the learning rate of {name}" if name else "the learning rate"
                message(f"Epoch {epoch + 1}: {whose} is {new:.6g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            log_learning_rates(self.model.optimizer, logs)

    def _ask(self, epoch: int, learning_rate: float) -> Any:
        try:
            inspect.signature(self.schedule).bind(epoch, learning_rate)
        except TypeError:
            return self.schedule(epoch)
        except ValueError:  # some functions written in C tell no signature
            pass
        return self.schedule(epoch, learning_rate)

    def _checked(self, value: Any) -> float:
        if isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim == 0:
            value = value.item()
        if not isinstance(value, (float, np.floating)):
            raise ValueError(
                explain(
                    f"The schedule of LearningRateScheduler returned {value!r}, a {type(value).__name__}.",
                    "Expected a float.",
                    "return float(...) in the function",
                )
            )
        if not math.isfinite(value) or value < 0:
            raise ValueError(
                explain(
                    f"The schedule of LearningRateScheduler returned {value!r}.",
                    "Expected a learning rate that is finite and not negative.",
                    "check the formula, for example with [schedule(epoch, 0.001) for epoch in range(10)]",
                )
            )
        return float(value)
