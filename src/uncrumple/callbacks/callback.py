"""What every callback is: a set of methods that the loop calls, each doing nothing until overridden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from uncrumple.core.arguments import NamesItsArguments

Logs = dict[str, Any]
_Method = TypeVar("_Method", bound=Callable[..., Any])


def default(method: _Method) -> _Method:
    """Mark a method as doing nothing, so that the loop need not call it."""
    method._is_default = True  # type: ignore[attr-defined]
    return method


class Callback(NamesItsArguments):
    """Something to do while a model trains, is evaluated or predicts.

    Subclass it and override the moments that matter. `self.model` is the
    model, `self.params` a dict with `verbose`, `epochs` and `steps`.

    `logs` maps names to Python floats: in `on_epoch_end` the epoch's metrics,
    those of validation under `val_...`; in the batch methods the metrics so
    far. Reading `logs` in a batch method waits for the device, so read them
    only when they are needed.

    Example:
        >>> class CountEpochs(Callback):
        ...     seen = 0
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.seen += 1
        >>> counter = CountEpochs()
        >>> counter.on_epoch_end(0, {"loss": 0.5})
        >>> counter.seen
        1
    """

    # Defaults of the class, so that a subclass may forget super().__init__().
    params: dict[str, Any] | None = None
    _model: Any = None

    def __init__(self) -> None:
        self.params = None
        self._model = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive `verbose`, `epochs`, `steps`, before anything else is called."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive the model, before anything else is called."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model at work; inside a `DistributedDataParallel` wrapper, the model that it wraps."""
        if isinstance(self._model, torch.nn.parallel.DistributedDataParallel):
            return self._model.module
        return self._model

    def _idle_batch_hooks(self) -> tuple[Callable[..., Any], ...]:
        """Return those of its own batch methods that have nothing to do with the present settings.

        The list asks before each epoch and leaves these out of the loop.
        """
        return ()

    @default
    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called once, before the first epoch."""

    @default
    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once, after the last epoch; `logs` are those of the last epoch."""

    @default
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before each epoch; epochs count from 0."""

    @default
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after each epoch and its validation, with the metrics of both."""

    @default
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each training batch; batches count from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    @default
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each training batch, with the metrics so far in this epoch."""
        self.on_batch_end(batch, logs=logs)

    @default
    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_begin`."""

    @default
    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_end`."""

    @default
    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called before an evaluation, also before the validation of each epoch of `fit`."""

    @default
    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called after an evaluation or validation, with its metrics (without `val_`)."""

    @default
    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of an evaluation or validation."""

    @default
    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of an evaluation or validation, with the metrics so far."""

    @default
    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called before the first batch of `predict`."""

    @default
    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called after the last batch of `predict`."""

    @default
    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of `predict`."""

    @default
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of `predict`; `logs["outputs"]` are its predictions."""
