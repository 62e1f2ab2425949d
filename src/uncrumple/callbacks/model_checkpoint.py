"""Save the model while it trains."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from uncrumple.callbacks import checks, files
from uncrumple.callbacks.callback import Logs
from uncrumple.callbacks.logs import as_float
from uncrumple.callbacks.monitor import MonitorCallback
from uncrumple.callbacks.screen import message
from uncrumple.core.errors import explain, warn


class _NoSuchField(KeyError):
    """A KeyError whose message keeps its lines: the usual one shows them as one line with backslashes."""

    def __str__(self) -> str:
        return str(self.args[0])


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, after each epoch or every so many batches, always or when it is the best so far.

    Whether the folder can be written to is tried before training begins.

    Args:
        filepath: Where to. May hold fields in braces: `epoch` (from 1),
            `batch` (from 1, if it saves by batches) and any metric, such as
            `"{epoch:02d}-{val_loss:.3f}.keras"`. Ends in `.keras` (the
            model), or in `.weights.h5` with `save_weights_only=True`; `.h5`
            is the model in the older format. Missing folders are made.
        monitor: The metric to watch, as named in `History`.
        verbose: 1 prints what it does, 0 does not.
        save_best_only: Whether to save only when `monitor` is better than in
            every save before.
        save_weights_only: Whether to save weights (and the optimizer) without the model's structure.
        mode: `"min"` if less is better, `"max"` if more is, `"auto"` to let it find out.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: The value that the first save has to beat.

    Attributes:
        best: The best value so far. It stays from one `fit` to the next.

    Example:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(save=lambda path, overwrite: print("saved", path))
        >>> checkpoint = ModelCheckpoint("model_{epoch}.keras", monitor="loss", save_best_only=True)
        >>> checkpoint.set_model(model)
        >>> for epoch, loss in enumerate([1.0, 2.0, 0.5]):
        ...     checkpoint.on_epoch_end(epoch, {"loss": loss})
        saved model_1.keras
        saved model_3.keras
    """

    _consequence = "it saves every time"

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        checks.save_frequency("ModelCheckpoint", save_freq)
        if initial_value_threshold is not None:
            checks.number("ModelCheckpoint", "initial_value_threshold", initial_value_threshold, example="0.5")
        self.filepath = _checked_path(filepath, save_weights_only)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._batches_seen_since_last_saving = 0
        self._last_batch_seen: int | None = None
        self._current_epoch = 0

    def _idle_batch_hooks(self) -> tuple[Any, ...]:
        return (ModelCheckpoint.on_train_batch_end,) if self.save_freq == "epoch" else ()

    def check_monitor(self, names: list[str]) -> None:
        if self.save_best_only:  # else nothing is watched
            super().check_monitor(names)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        # What follows a brace depends on the epoch; the folders before it can be tried now.
        files.check_writable(os.path.dirname(self.filepath.partition("{")[0]), "ModelCheckpoint")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._should_save_on_batch(batch):
            self._save_model(self._current_epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        if self.save_freq == "epoch":
            self._save_model(epoch, None, logs)

    def _should_save_on_batch(self, batch: int) -> bool:
        if self.save_freq == "epoch":
            return False
        # Several batches may have passed since the last call, and a smaller number means a new epoch.
        new_epoch = self._last_batch_seen is None or batch <= self._last_batch_seen
        self._batches_seen_since_last_saving += batch + 1 if new_epoch else batch - (self._last_batch_seen or 0)
        self._last_batch_seen = batch
        if self._batches_seen_since_last_saving < int(self.save_freq):
            return False
        self._batches_seen_since_last_saving = 0
        return True

    def _save_model(self, epoch: int, batch: int | None, logs: Logs | None) -> None:
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
        try:
            if folder := os.path.dirname(path):
                os.makedirs(folder, exist_ok=True)
            if os.path.isdir(path):
                raise IsADirectoryError(21, "it is a folder")
            save = self.model.save_weights if self.save_weights_only else self.model.save
            save(path, overwrite=True)
        except OSError as error:
            raise files.named(error, path, "ModelCheckpoint") from error

    def _should_save(self, epoch: int, logs: Logs | None, path: str) -> bool:
        if not self.save_best_only:
            self._say(f"Epoch {epoch + 1}: saving to {path}")
            return True
        current = self.get_monitor_value(logs)
        if current is None:
            return True
        if isinstance(current, np.ndarray):
            warn(
                f"ModelCheckpoint watches monitor={self.monitor!r}, an array of shape {current.shape}; "
                f"{self._consequence}.",
                "Expected one number.",
                "a metric that returns one number, such as its mean",
            )
            return True
        current = as_float(current)
        if not self._is_improvement(current, self.best):
            self._say(f"Epoch {epoch + 1}: {self.monitor} is {current:.5f}, not better than {self.best:.5f}")
            return False
        before = "" if self.best is None else f" went from {self.best:.5f} to"
        self._say(f"Epoch {epoch + 1}: {self.monitor}{before or ' is'} {current:.5f}, saving to {path}")
        self.best = current
        return True

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            message(text)

    def _path(self, epoch: int, batch: int | None, logs: Logs | None) -> str:
        # Only the metrics that the path names are read.
        fields = _Fields({"epoch": epoch + 1}, {} if logs is None else logs)
        if batch is not None and "batch" not in fields.logs:
            fields["batch"] = batch + 1
        try:
            return self.filepath.format_map(fields)
        except KeyError as error:
            known = ", ".join([*fields, *fields.logs])
            raise _NoSuchField(
                explain(
                    f"ModelCheckpoint cannot fill in filepath={self.filepath!r}: there is no {error.args[0]!r}.",
                    f"Expected fields among: {known}.",
                    "ModelCheckpoint('{epoch:02d}" + self.filepath[self.filepath.rfind("}") + 1 :] + "')",
                )
            ) from error


class _Fields(dict):
    """The fields of a path, those of the logs looked up only when the path asks for them."""

    def __init__(self, own: dict[str, Any], logs: Logs) -> None:
        super().__init__(own)
        self.logs = logs

    def __missing__(self, name: str) -> Any:
        return self.logs[name]


def _checked_path(filepath: Any, save_weights_only: bool) -> str:
    path = os.fspath(filepath) if isinstance(filepath, (str, os.PathLike)) else None
    if not isinstance(path, str):
        raise TypeError(
            explain(
                f"ModelCheckpoint got filepath={filepath!r}, a {type(filepath).__name__}.",
                "Expected a path.",
                "ModelCheckpoint('model.keras')",
            )
        )
    stem = path.removesuffix(".h5").removesuffix(".weights").removesuffix(".keras")
    if save_weights_only and not path.endswith(".weights.h5"):
        raise ValueError(
            explain(
                f"ModelCheckpoint got filepath={path!r} with save_weights_only=True.",
                "Expected a path that ends in '.weights.h5'.",
                f"ModelCheckpoint('{stem}.weights.h5', save_weights_only=True)",
            )
        )
    if not save_weights_only and not path.endswith((".keras", ".h5")):
        raise ValueError(
            explain(
                f"ModelCheckpoint got filepath={path!r}.",
                "Expected a path that ends in '.keras'.",
                f"ModelCheckpoint('{stem}.keras')",
            )
        )
    return path
