"""What `fit` returns: the metrics of every epoch."""

from __future__ import annotations

from typing import Any

from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.logs import as_float


class History(Callback):
    """Keep the metrics of every epoch; `fit` adds one and returns it.

    Attributes:
        history: {metric: [one float per epoch]}. A second `fit` with the same
            object adds to the lists.
        epoch: The numbers of the epochs, from 0.
        findings: What `fit(diagnose=True)` found in the last run; empty without it.
        params: `verbose`, `epochs`, `steps`.
        model: The model that was trained.

    Example:
        >>> history = History()
        >>> history.on_train_begin()
        >>> history.on_epoch_end(0, {"loss": 0.5, "accuracy": 0.75})
        >>> history.history
        {'loss': [0.5], 'accuracy': [0.75]}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.findings: list[Any] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []
        self.findings = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(as_float(value))
        if self.model is not None:
            self.model.history = self
