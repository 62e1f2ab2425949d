"""Stop as soon as the loss is no number."""

from __future__ import annotations

import math

from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.screen import message
from uncrumple.core.errors import explain


class TerminateOnNaN(Callback):
    """Stop training at the first batch after which the loss is NaN or infinite.

    It reads the loss of every batch, so it waits for the device at every
    batch: on a GPU this costs some speed.

    Args:
        raise_error: Whether to raise an error at once, so that no other
            callback's `on_train_end` runs (and `BackupAndRestore` keeps its
            file), instead of ending the training in order.

    Raises:
        RuntimeError: With `raise_error=True`, when the loss is NaN or infinite.

    Example:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(stop_training=False)
        >>> guard = TerminateOnNaN()
        >>> guard.set_model(model)
        >>> guard.on_batch_end(7, {"loss": float("nan")})
        Batch 7: the loss is nan, training ends here
        >>> model.stop_training
        True
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = None if logs is None else logs.get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                explain(
                    f"The loss is {float(loss)} after batch {batch}.",
                    "Expected a finite number.",
                    "look for NaN in the data; try a smaller learning rate, or clipnorm=1.0 in the optimizer",
                )
            )
        message(f"Batch {batch}: the loss is {float(loss)}, training ends here")
        self.model.stop_training = True
