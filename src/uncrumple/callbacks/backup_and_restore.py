"""Go on where an interrupted training was."""

from __future__ import annotations

import contextlib
import glob
import os
import warnings
from typing import Any

from uncrumple.callbacks import checks, files, training_state
from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.screen import message
from uncrumple.core.errors import UncrumpleWarning, explain


class BackupAndRestore(Callback):
    """Back up a training run, and go on from the backup when the same program is started again.

    A backup holds the weights, the optimizer, the metrics so far, all random
    states and the place in the run. The rest of the run is then the same as
    if it had not been interrupted, also in the middle of an epoch, as long as
    the data are drawn with the global random numbers. The states of other
    callbacks (what `EarlyStopping` has counted) are not in it.

    A file is complete or is not used: it is written under a temporary name,
    brought to the disk, renamed, and carries a checksum.

    Args:
        backup_dir: A folder for this run alone. It is made, and removed at
            the end, unless it holds something else.
        save_freq: `"epoch"`, a number of batches, or False: restore, but
            write no backups.
        double_checkpoint: Whether to keep the backup before the latest too,
            for the case that the latest cannot be read.
        delete_checkpoint: Whether to remove the backups when training is
            finished; after Ctrl-C they stay.

    Raises:
        ValueError: The model is not built yet, or the backup is of another model.
        OSError: The folder cannot be written to, or no backup in it can be read.

    Example:
        >>> backup = BackupAndRestore("runs/first/backup", save_freq=1000, double_checkpoint=True)
        >>> backup.path
        'runs/first/backup/training_state.pt'
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError(
                explain(
                    f"BackupAndRestore got backup_dir={backup_dir!r}.",
                    "Expected the path of a folder.",
                    "BackupAndRestore('backup')",
                )
            )
        checks.save_frequency("BackupAndRestore", save_freq, may_be_false=True)
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.path = os.path.join(self.backup_dir, "training_state.pt")
        self.previous_path = f"{self.path}.bkp"
        self._epoch = 0
        self._in_epoch = False
        self._batches_since_backup = 0
        self._last_batch = -1
        self._random_at_epoch: dict[str, Any] | None = None
        # What was read, until the moments come at which it is to be put in place.
        self._restored: dict[str, Any] | None = None

    def _idle_batch_hooks(self) -> tuple[Any, ...]:
        mine = BackupAndRestore
        begin = () if self._restored is not None else (mine.on_train_batch_begin,)
        return begin if self._saves_by_batch() else (*begin, mine.on_train_batch_end)

    def _saves_by_batch(self) -> bool:
        return self.save_freq is not False and self.save_freq != "epoch"

    # --- going on -------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        model = self.model
        if not getattr(model, "built", True):
            raise ValueError(
                explain(
                    f"BackupAndRestore got the model '{getattr(model, 'name', type(model).__name__)}', "
                    "which is not built yet.",
                    "Expected a model whose weights exist.",
                    "begin the model with Input(shape=...), or call it on one batch before fit()",
                )
            )
        files.check_writable(self.backup_dir, "BackupAndRestore")
        self._in_epoch = False
        self._remove_unfinished()
        self._batches_since_backup = 0
        self._last_batch = -1
        self._restored = None
        self._forget_place()
        state = self._read()
        if state is not None:
            self._restore(state)

    def _read(self) -> dict[str, Any] | None:
        """Return the latest backup that can be read, or None if there is none."""
        if not os.path.exists(self.path):
            # Between the two renames of a backup only the earlier one is there.
            return training_state.read(self.previous_path) if os.path.exists(self.previous_path) else None
        try:
            return training_state.read(self.path)
        except OSError as error:
            if not os.path.exists(self.previous_path):
                raise
            state = training_state.read(self.previous_path)
            warnings.warn(f"{error}\nThe backup before it is used.", UncrumpleWarning, stacklevel=4)
            return state

    def _restore(self, state: dict[str, Any]) -> None:
        model, optimizer = self.model, self.model.optimizer
        training_state.set_weights_of(model, state["weights"], self.path)
        if optimizer is not None and state["optimizer"] is not None:
            if not getattr(optimizer, "built", True):
                optimizer.build(model.trainable_variables)
            optimizer.load_state_dict(state["optimizer"])
        model._initial_epoch = state["epoch"]
        model._initial_step = state["batch"] or None
        self._restored = state
        if self.params and self.params.get("verbose"):
            where = f", after {state['batch']} of its batches" if state["batch"] else ""
            message(f"Going on with epoch {state['epoch'] + 1}{where}, from the backup in {self.backup_dir}")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._in_epoch = True
        self._last_batch = -1
        if self._restored is not None:
            # In the middle of an epoch its data must be shuffled as they were: first the state of its beginning.
            state = self._restored
            training_state.set_random_state(state["random_at_epoch"] or state["random"], self.model)
            training_state.set_metrics_of(self.model, state["metrics"])
            if not state["batch"]:
                self._restored = None
                self._forget_place()
        if self._saves_by_batch():
            self._random_at_epoch = training_state.random_state(self.model)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._continue_epoch()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._continue_epoch()

    def _continue_epoch(self) -> None:
        """Now that the batches done before are skipped, go on with the random numbers and metrics of that moment."""
        if self._restored is not None:
            state, self._restored = self._restored, None
            training_state.set_random_state(state["random"], self.model)
            training_state.set_metrics_of(self.model, state["metrics"])
            self._last_batch = state["batch"] - 1
            self._forget_place()

    # --- backing up -----------------------------------------------------------------

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        # Several batches may have passed since the last call.
        self._batches_since_backup += batch - self._last_batch
        self._last_batch = batch
        if self._saves_by_batch() and self._batches_since_backup >= int(self.save_freq):
            self._batches_since_backup = 0
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._in_epoch = False
        self._continue_epoch()  # if no batch of the epoch was left
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._restored = None
        self._forget_place()
        # Training that ends in order within an epoch was interrupted by Ctrl-C: it can still be gone on with.
        interrupted, self._in_epoch = self._in_epoch, False
        if self.delete_checkpoint and not interrupted:
            self._remove_unfinished()
            for path in (self.path, self.previous_path):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
            with contextlib.suppress(OSError):  # something of somebody else's is in it
                os.rmdir(self.backup_dir)

    def _save(self, epoch: int, batch: int) -> None:
        model, optimizer = self.model, self.model.optimizer
        state = {
            "epoch": epoch,
            "batch": batch,
            "weights": training_state.weights_of(model),
            "optimizer": None if optimizer is None else training_state.plain(optimizer.state_dict(), "optimizer"),
            "metrics": training_state.metrics_of(model) if batch else [],
            "random": training_state.random_state(model),
            "random_at_epoch": self._random_at_epoch if batch else None,
        }
        try:
            os.makedirs(self.backup_dir, exist_ok=True)
            if self.double_checkpoint and os.path.exists(self.path):
                os.replace(self.path, self.previous_path)
            training_state.write(self.path, state)
        except OSError as error:
            raise files.named(error, self.path, "BackupAndRestore") from error

    def _forget_place(self) -> None:
        """The loop has begun at the right place; a later fit of the same model must not skip anything."""
        for name in ("_initial_epoch", "_initial_step"):
            if getattr(self.model, name, None) is not None:
                setattr(self.model, name, None)

    def _remove_unfinished(self) -> None:
        """Remove what a run that was killed while writing has left."""
        for path in glob.glob(os.path.join(glob.escape(self.backup_dir), f".{os.path.basename(self.path)}.*.tmp")):
            with contextlib.suppress(OSError):
                os.remove(path)
