"""Smaller steps when nothing improves any more."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.callbacks import checks
from uncrumple.callbacks.callback import Logs
from uncrumple.callbacks.learning_rate_scheduler import log_learning_rates, optimizers_of
from uncrumple.callbacks.monitor import MonitorCallback
from uncrumple.callbacks.screen import message
from uncrumple.core.errors import unknown_argument


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` once a metric has not improved for `patience` epochs.

    learning_rate = max(learning_rate * factor, min_lr).

    Adds `learning_rate` to the logs of each epoch.

    Args:
        monitor: The metric to watch, as named in `History`.
        factor: What the learning rate is multiplied by, 0 <= factor < 1.
        patience: Epochs in a row without improvement before each reduction.
        verbose: 1 prints each reduction, 0 does not.
        mode: `"min"` if less is better, `"max"` if more is, `"auto"` to let it find out.
        min_delta: A change must be larger than this to count as an improvement.
        cooldown: Epochs after a reduction in which nothing is counted.
        min_lr: The learning rate is never set lower than this.

    Example:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.5))
        >>> reduce = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1)
        >>> reduce.set_model(model)
        >>> reduce.on_train_begin()
        >>> for epoch, loss in enumerate([1.0, 1.0]):
        ...     reduce.on_epoch_end(epoch, {"loss": loss})
        >>> model.optimizer.learning_rate
        0.25
    """

    _consequence = "the learning rate stays as it is"

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        owner = "ReduceLROnPlateau"
        for name in kwargs:
            known = ["monitor", "factor", "patience", "verbose", "mode", "min_delta", "cooldown", "min_lr"]
            raise TypeError(unknown_argument(owner, name, known))
        checks.number(owner, "factor", factor, at_least=0, below=1, example="0.1")
        checks.number(owner, "patience", patience, at_least=0, example="10")
        checks.number(owner, "cooldown", cooldown, at_least=0, example="2")
        checks.number(owner, "min_lr", min_lr, at_least=0, example="1e-6")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Return whether the learning rate was reduced so recently that nothing is counted yet."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        logs = {} if logs is None else logs
        log_learning_rates(self.model.optimizer, logs)
        current = self.get_monitor_value(logs)
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce_all(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce_all(self, epoch: int) -> bool:
        reduced = [self._reduce(optimizer, name, epoch) for name, optimizer in optimizers_of(self.model.optimizer)]
        return any(reduced)

    def _reduce(self, optimizer: Any, name: str, epoch: int) -> bool:
        old = float(optimizer.learning_rate)
        # In float32, as learning rates are kept: else min_lr itself would look higher than it is.
        if old <= float(np.float32(self.min_lr)):
            return False
        new = max(old * self.factor, self.min_lr)
        optimizer.learning_rate = new
        if self.verbose > 0:
            whose = f"the learning rate of {name}" if name else "the learning rate"
            message(f"Epoch {epoch + 1}: {self.monitor} is on a plateau, {whose} goes from {old:.6g} to {new:.6g}")
        return True
