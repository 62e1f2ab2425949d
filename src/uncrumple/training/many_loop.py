"""The loop over epochs for many networks: native calls, callbacks, and a line of progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from uncrumple.callbacks import History
from uncrumple.callbacks.callback_list import _wanted
from uncrumple.callbacks.csv_logger import CSVLogger
from uncrumple.callbacks.early_stopping import EarlyStopping
from uncrumple.callbacks.progress import Progbar
from uncrumple.callbacks.progress_line import number
from uncrumple.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from uncrumple.callbacks.screen import message
from uncrumple.data.batches import EndlessEpochs
from uncrumple.training import loop
from uncrumple.training.interrupt import Interrupt
from uncrumple.training.many_steps import Crew, Network, torchs_state

# One call of the kernels should last about so long: Ctrl-C waits for it, and so does the line of progress.
_SECONDS_PER_CALL = 0.1
_MOST_EPOCHS_PER_CALL = 64
# Callbacks that change nothing of a model but the learning rate, until training ends.
_HARMLESS = (History, EarlyStopping, ReduceLROnPlateau, CSVLogger)


class Run:
    """The training of one network: its callbacks and its logs.

    Args:
        network: The network.
        batches: Returns its data as the ordinary loop takes them, should it have to go on there.
    """

    def __init__(self, network: Network, batches: Callable[[], Any]) -> None:
        self.network, self.model, self.callbacks = network, network.model, network.callbacks
        self._batches = batches
        self.logs: dict[str, Any] = {}
        self.history = self.model.history
        plan = network.plan
        columns = [("loss", 0)]
        if plan._accuracy is not None:
            columns.append((self.model._compile_metrics.names[0], 1))
        if network.held is not None:
            columns += [(f"val_{name}", column + 2) for name, column in columns]
        self.columns = sorted(columns)  # as logs are sorted
        kinds = [type(callback) for callback in self.callbacks.callbacks]
        self.watched = kinds != [History]  # whether anybody looks at each epoch
        self.harmless = network.settled = all(kind in _HARMLESS for kind in kinds)
        self._epoch_ends = [
            _noting(callback) if type(callback) is History else callback.on_epoch_end
            for callback in self.callbacks.callbacks
        ]
        self._begins = any(_is_given(callback, "on_epoch_begin") for callback in self.callbacks.callbacks)

    def begin_epoch(self, epoch: int, epochs: int) -> bool:
        """Call what is to be called before an epoch; return False if the network has been trained to its end alone."""
        if self.harmless:
            return True
        if self._begins:
            self.model.train()
            self.callbacks.on_epoch_begin(epoch)
            self.model.train(False)
        if self.network.plan.holds() and not self.model.stop_training and not self.callbacks.has_train_batch_hooks:
            return True
        self._go_on_alone(epoch, epochs)
        return False

    def _go_on_alone(self, epoch: int, epochs: int) -> None:
        """Do all further epochs in the ordinary loop: a callback has made of the network what the kernels do not know."""
        self.network.leave()
        torch.set_rng_state(torchs_state(self.network.random))
        training, validation = self._batches()
        held = None if validation is None else EndlessEpochs(validation, None)
        shim: Any = _Begun(self.callbacks, self.model, epoch, self._begins)
        loop.fit(self.model, EndlessEpochs(training, None), held, shim, epoch, epochs)
        self.model.train(False)

    def take(self, epoch: int, values: list[list[float]]) -> None:
        """Note the metrics of epochs, from `epoch` on, and let callbacks see them."""
        if self.watched:
            for place, row in enumerate(values, start=epoch):
                self.logs = {name: row[column] for name, column in self.columns}
                if self.harmless:  # they need no copies of the logs, and no error of theirs needs a name
                    for method in self._epoch_ends:
                        method(place, self.logs)
                else:
                    self.network.leave()
                    self.callbacks.on_epoch_end(place, self.logs)
            return
        self.history.epoch.extend(range(epoch, epoch + len(values)))
        for name, column in self.columns if values else ():
            self.history.history.setdefault(name, []).extend([row[column] for row in values])
            self.logs[name] = values[-1][column]

    def end(self) -> None:
        """Leave everything as `fit` leaves it."""
        self.network.leave()
        if self.model.training:
            self.model.train(False)
        self.callbacks.on_train_end(self.logs)


def _noting(history: History) -> Callable[..., None]:
    """Return what a `History` does at the end of an epoch, in fewer steps: the model has this one already."""

    def note(epoch: int, logs: dict[str, float]) -> None:
        history.epoch.append(epoch)
        kept = history.history
        for name, value in logs.items():
            if name not in kept:
                kept[name] = []
            kept[name].append(value)

    return note


def _is_given(callback: Any, name: str) -> bool:
    """Return whether a callback has something to do at a moment."""
    return getattr(getattr(type(callback), name, None), "_is_default", False) is not True and (
        _wanted(callback, name) is not None
    )


class _Begun:
    """The callbacks of a training that has begun, for the ordinary loop to go on with."""

    def __init__(self, callbacks: Any, model: Any, epoch: int, begun: bool) -> None:
        self._callbacks, self._model = callbacks, model
        self._begun = epoch if begun else None
        self._stops = model.stop_training

    def __getattr__(self, name: str) -> Any:
        return getattr(self._callbacks, name)

    def on_train_begin(self, logs: Any = None) -> None:
        self._model.stop_training = self._stops

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch != self._begun:
            self._callbacks.on_epoch_begin(epoch, logs)


def train(runs: list[Run], epochs: int, verbose: int) -> bool:
    """Train networks together for some epochs; return False if Ctrl-C ended that."""
    if not runs:
        return True
    for run in runs:
        run.model.stop_training = False
        run.callbacks.on_train_begin()
    crew = Crew([run.network for run in runs], _MOST_EPOCHS_PER_CALL)
    shown = _Progress(epochs, len(runs), verbose)
    active, epoch = list(runs), 0
    asking = SimpleNamespace()
    with Interrupt(asking) as interrupt:
        while active and epoch < epochs:
            going = [run for run in active if run.begin_epoch(epoch, epochs)]
            if len(going) < len(active):
                crew.keep([run.network for run in going])
                active = going
                if not active:
                    break
            count = 1
            if verbose != 2 and not any(run.watched for run in active):
                count = crew.epochs_within(_SECONDS_PER_CALL, min(epochs - epoch, _MOST_EPOCHS_PER_CALL))
            crew.begin(count)
            while not crew.finished and not interrupt.asked:
                crew.run(_SECONDS_PER_CALL)
            values, whole = crew.end()
            for run, rows, many in zip(active, values.tolist(), whole):
                run.take(epoch, rows[:many])
            epoch += min(whole)
            if interrupt.asked:
                break
            shown.show(epoch, active, values[:, -1])
            stopped = [run for run in active if run.model.stop_training]
            if stopped:
                for run in stopped:
                    run.end()
                active = [run for run in active if not run.model.stop_training]
                crew.keep([run.network for run in active])
        for run in active:
            run.end()
    shown.finish()
    if interrupt.asked:
        message(
            f"Stopped by Ctrl-C in epoch {min(epoch + 1, epochs)} of {epochs}. The models keep what they have learned."
        )
    return not interrupt.asked


class _Progress:
    """A line of progress for all networks: epochs, and the means of their metrics."""

    def __init__(self, epochs: int, models: int, verbose: int) -> None:
        self._epochs, self._models, self._verbose = epochs, models, verbose
        self._bar = Progbar(epochs, verbose=min(verbose, 1), unit_name="epoch", stateless_metrics=())
        self._next = 0.0
        self._last: Any = None

    def show(self, epoch: int, runs: list[Run], values: np.ndarray) -> None:
        """Show the metrics of `runs` after `epoch` epochs: (networks, 4 columns)."""
        if not self._verbose:
            return
        self._last = epoch, runs, values
        now = time.perf_counter()
        if self._verbose == 2 or now >= self._next:
            self._next = now + self._bar.interval
            self._draw(epoch, runs, values)

    def _draw(self, epoch: int, runs: list[Run], values: np.ndarray, finalize: bool = False) -> None:
        means = values.mean(0, dtype=np.float64).tolist()
        shown: list[tuple[str, Any]] = [("training", f"{len(runs)} of {self._models} models")]
        shown += [(name, means[column]) for name, column in runs[0].columns]
        if self._verbose == 2:
            if not finalize:
                parts = [f"{name}: {value if isinstance(value, str) else number(value)}" for name, value in shown]
                message(" - ".join([f"Epoch {epoch}/{self._epochs}", *parts]))
        else:
            self._bar.update(epoch, shown, finalize=finalize)

    def finish(self) -> None:
        if self._last is not None:
            epoch, runs, values = self._last
            self._draw(epoch, runs, values, finalize=True)
