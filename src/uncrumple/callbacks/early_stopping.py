"""Stop when nothing improves any more."""

from __future__ import annotations

from typing import Any

from uncrumple.callbacks import checks
from uncrumple.callbacks.callback import Logs
from uncrumple.callbacks.monitor import MonitorCallback
from uncrumple.callbacks.screen import message


class EarlyStopping(MonitorCallback):
    """Stop training once a metric has not improved for `patience` epochs.

    Better than best: value < best - |min_delta| with mode "min", value > best + |min_delta| with
    "max".

    Args:
        monitor: The metric to watch, as named in `History`.
        min_delta: A change must be larger than this to count as an improvement.
        patience: How many epochs in a row without improvement are borne;
            0 and 1 both stop at the first, though never at the very first epoch.
        verbose: 1 prints when it stops and restores, 0 does not.
        mode: `"min"` if less is better, `"max"` if more is, `"auto"` to let it find out.
        baseline: Improvements that stay worse than this do not count: training
            stops unless it is beaten in time.
        restore_best_weights: Whether to end with the weights of the best epoch
            instead of the last one. They are restored also when training
            ends without being stopped.
        start_from_epoch: Epochs before this one are not looked at.

    Attributes:
        stopped_epoch: The epoch (from 0) at which it stopped, or 0.
        best: The best value so far; best_epoch: when it was.

    Example:
        >>> stopping = EarlyStopping(monitor="loss", patience=2)
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(stop_training=False)
        >>> stopping.set_model(model)
        >>> stopping.on_train_begin()
        >>> for epoch, loss in enumerate([1.0, 0.5, 0.6, 0.7]):
        ...     stopping.on_epoch_end(epoch, {"loss": loss})
        >>> model.stop_training, stopping.best_epoch
        (True, 1)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        checks.number("EarlyStopping", "patience", patience, at_least=0, example="3")
        checks.number("EarlyStopping", "start_from_epoch", start_from_epoch, at_least=0, example="5")
        if baseline is not None:
            checks.number("EarlyStopping", "baseline", baseline, example="0.5")
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            # Not before: metrics know their direction only once the model has been run.
            self._set_monitor_op()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        improved = self._is_improvement(current, self.best)
        if improved or (self.restore_best_weights and self.best_weights is None):
            self._keep(epoch)
        if improved:
            self.best = current
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            best = self.best_epoch + 1
            message(f"Epoch {self.stopped_epoch + 1}: early stopping, {self.monitor} was best in epoch {best}")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                message(f"Restoring the weights of epoch {self.best_epoch + 1}, the best one")
            self.model.set_weights(self.best_weights)

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()
