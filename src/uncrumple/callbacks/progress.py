"""Progress of training, evaluation and prediction: on a terminal, in a notebook, in a log file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from time import perf_counter
from typing import Any

from uncrumple.callbacks import screen
from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.progress_line import Drawing, Reading, epoch_line, plain_line
from uncrumple.core.errors import explain

# Seconds between two redraws on a terminal, and in a notebook, to which each one is a message.
_BETWEEN = {"live": 0.1, "notebook": 0.25, "lines": 1.0}
# In a log file: never two lines of one epoch within this time, and at most one for each quarter of an epoch.
_LOG_SECONDS = 10.0


class Progbar:
    """A progress bar for any loop.

    On a terminal or in a notebook one line is redrawn; elsewhere a few plain
    lines are printed.

    Args:
        target: How many steps there will be; None if that is not known.
        width: Columns of the bar.
        verbose: 1 a bar, 2 one line at the end, 0 nothing.
        interval: Seconds that must pass between two redraws.
        stateful_metrics: Names of values to show as they are; all others are
            averaged over the steps.
        stateless_metrics: The other way round: names of the values to average.
        unit_name: What a step is called.

    Raises:
        ValueError: Both lists of names were given.

    Example:
        >>> bar = Progbar(2, verbose=2)
        >>> bar.update(1, [("loss", 0.5)])
        >>> bar.update(2, [("loss", 0.25)])  # doctest: +ELLIPSIS
        2/2 - 0s - ... - loss: 0.2500
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                explain(
                    "Progbar got both stateful_metrics and stateless_metrics.",
                    "Expected at most one of them; the metrics that are not named are of the other kind.",
                    "Progbar(target, stateful_metrics=['loss'])",
                )
            )
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ()) if stateless_metrics is None else None
        self.stateless_metrics = set(stateless_metrics) if stateless_metrics is not None else None
        self.seen = 0
        # {name: [sum, weight]}, in the order in which they came.
        self._values: dict[str, list[Any]] = {}
        self._start = perf_counter()
        self._first: tuple[int, float] | None = None
        self._worked_until: float | None = None
        self._last_drawn = -1e9
        self._printed: tuple[int, float] = (0, self._start)
        # What only ProgbarLogger knows.
        self.samples_per_step: float | None = None
        self.left_of_later_epochs: float | None = None
        self.note = ""

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        """Show that `current` steps are done.

        Args:
            current: Steps done so far.
            values: [(name, value of this step)].
            finalize: Whether this was the last update; None means once `target` is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._add(name, value, current, finalize)
        now = perf_counter()
        self.pass_step(current, now)
        if self.verbose == 1 and (finalize or now - self._last_drawn >= self.interval):
            self._last_drawn = now
            self._show(now, finalize)
        elif self.verbose == 2 and finalize and self.target:
            screen.message(epoch_line(self._reading(now, finalize)))

    def add(self, n: int, values: Any = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self.seen + n, values)

    def pass_step(self, current: int, now: float) -> None:
        """Note that `current` steps are done, and show nothing."""
        self.seen = current
        if self._first is None and current > 0:
            self._first = (current, now)

    def stop_clock(self) -> None:
        """Count no time after now as time of steps: what follows is validation."""
        self._worked_until = perf_counter()

    def _add(self, name: str, value: Any, current: int, finalize: bool) -> None:
        if self.stateless_metrics is not None:
            averaged = name in self.stateless_metrics
        else:
            averaged = name not in (self.stateful_metrics or ())
        if finalize or not averaged:
            self._values[name] = [value, 1]
            return
        steps = max(current - self.seen, 1)
        total = self._values.setdefault(name, [0.0, 0])
        total[0] = total[0] + value * steps
        total[1] += steps

    def _reading(self, now: float, finalize: bool) -> Reading:
        worked = (now if self._worked_until is None else self._worked_until) - self._start
        per_unit = worked / self.seen if self.seen else 0.0
        if self._first is not None and self.seen > self._first[0]:
            # The first step builds and warms up what the others use.
            per_unit = (self._start + worked - self._first[1]) / (self.seen - self._first[0])
        left = left_of_all = samples = None
        if self.target and not finalize and not self.note:
            left = max(0, self.target - self.seen) * per_unit
            if self.left_of_later_epochs is not None:
                left_of_all = left + self.left_of_later_epochs
        if self.samples_per_step and per_unit > 0:
            samples = self.samples_per_step / per_unit
        return Reading(
            current=self.seen,
            target=self.target,
            elapsed=now - self._start,
            per_unit=per_unit,
            left=left,
            left_of_all=left_of_all,
            samples_per_second=samples,
            metrics=[(name, total / weight if weight > 1 else total) for name, (total, weight) in self._values.items()],
            unit=self.unit_name,
            note="" if finalize else self.note,
            bar=self.width,
        )

    def _show(self, now: float, finalize: bool) -> None:
        stream = sys.stdout
        how = screen.style(stream)
        reading = self._reading(now, finalize)
        if how == "lines":
            if finalize or self.is_time_for_a_line(now):
                self._printed = (self._quarter(), now)
                screen.message(plain_line(reading))
            return
        drawing = Drawing(reading, screen.width(how), screen.has_colours(stream), screen.has_unicode(stream))
        if finalize:
            first, _, more = drawing.final().partition("\n")
            screen.redraw(stream, how, first, screen.columns(first), end=True)
            if more:
                screen.message(more)
        else:
            screen.redraw(stream, how, *drawing.live())

    def _quarter(self) -> int:
        return 4 * self.seen // self.target if self.target else 0

    def is_time_for_a_line(self, now: float) -> bool:
        quarter, when = self._printed
        if now - when < _LOG_SECONDS:
            return False
        if self.target:
            return quarter < self._quarter() < 4
        # How long it takes is not known: after 10 s, 20 s, 40 s, ...
        return now - self._start >= 2 * (when - self._start)


class ProgbarLogger(Callback):
    """Show how training, evaluation or prediction goes; `fit` adds one unless `verbose=0`.

    What is shown depends on where. On a terminal and in a notebook one line
    for each epoch is redrawn: steps, time, time left, time for a step, samples
    per second and the metrics. In a log file it is plain lines, at most a few
    for each epoch. `verbose=2` is one line for each epoch everywhere.

    Time for a step and samples per second leave out the validation.

    Example:
        >>> logger = ProgbarLogger()
        >>> logger.set_params({"verbose": 2, "epochs": 2, "steps": 10})
        >>> logger.on_epoch_begin(0)
        Epoch 1/2
        >>> logger.on_epoch_end(0, {"loss": 0.25})  # doctest: +ELLIPSIS
        10/10 - 0s - ... - loss: 0.2500
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.target: int | None = None
        self.verbose = 1
        self.epochs = 1
        self.progbar: Progbar | None = None
        self._in_fit = False
        self._samples_per_step: float | None = None
        self._counted_itself = False
        self._next_look = 0.0
        self._next_draw = 0.0
        self._between = 0.1
        self._style: screen.Style = "lines"
        self._began: float | None = None
        self._epochs_done = 0

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs = params.get("epochs") or 1
        self.target = params.get("steps")
        self._samples_per_step = params.get("batch_size")
        self._counted_itself = self.target is None

    def _idle_batch_hooks(self) -> tuple[Any, ...]:
        if self.verbose == 1:
            return ()
        mine = ProgbarLogger
        if self.verbose == 2 and self._counted_itself:  # the line at the end needs a count
            return (mine.on_test_batch_end,) if self._in_fit else ()
        return (mine.on_train_batch_end, mine.on_test_batch_end, mine.on_predict_batch_end)

    # --- beginnings and ends ------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit = True
        self._began = None
        self._epochs_done = 0

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False
        self._abandon()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.verbose and self.epochs > 1:
            screen.message(f"Epoch {epoch + 1}/{self.epochs}")
        bar = self._start_bar()
        now = perf_counter()
        if self._began is None:
            self._began = now
        elif self._epochs_done:
            later = self.epochs - epoch - 1
            bar.left_of_later_epochs = (now - self._began) / self._epochs_done * later if later > 0 else None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._epochs_done += 1
        self._finish(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._start_bar()
        elif self.progbar is not None and self.verbose:
            self.progbar.stop_clock()
            self._show_validation(0)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._start_bar()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish(None)

    # --- batches: nothing but a look at the clock, unless it is time to redraw ----

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.seen = batch + 1
        if perf_counter() >= self._next_look:
            self._look(logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self.on_train_batch_end(batch, logs)
        elif perf_counter() >= self._next_look:
            self._show_validation(batch + 1)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        # The logs of prediction are its outputs, which are not for the screen.
        self.seen = batch + 1
        if perf_counter() >= self._next_look:
            self._look(None)

    # --- the bar ------------------------------------------------------------------

    def _start_bar(self) -> Progbar:
        self._abandon()
        self.seen = 0
        self._next_look = 0.0  # at the first batch, to know when it was done
        self._style = screen.style(sys.stdout)
        self._between = _BETWEEN[self._style]
        self.progbar = Progbar(self.target, verbose=self.verbose, interval=0.0, stateless_metrics=())
        self.progbar.samples_per_step = self._samples_per_step
        return self.progbar

    def _look(self, logs: Logs | None) -> None:
        """Redraw if it is time, or print a line if one is due; the logs are read only then."""
        now = perf_counter()
        self._next_look = max(now + self._between / 10, self._next_draw)
        bar = self.progbar
        if bar is None or self.verbose != 1:
            return
        bar.pass_step(self.seen, now)
        if bar.is_time_for_a_line(now) if self._style == "lines" else now >= self._next_draw:
            self._next_draw = self._next_look = now + self._between
            bar.update(self.seen, list(logs.items()) if logs is not None else None, finalize=False)

    def _show_validation(self, batch: int) -> None:
        now = perf_counter()
        bar = self.progbar
        self._next_look = self._next_draw
        if bar is not None and self.verbose == 1 and self._style != "lines" and now >= self._next_draw:
            self._next_draw = self._next_look = now + self._between
            bar.note = f"validating, step {batch}" if batch else "validating"
            bar.update(self.seen, finalize=False)

    def _finish(self, logs: Logs | None) -> None:
        if self.progbar is None:
            return
        if self._counted_itself:
            # How many steps an epoch has is known from now on, and corrected after each epoch.
            self.target = self.progbar.target = self.seen
        done = self.seen or self.target or 0
        self.progbar.update(done, list(logs.items()) if logs is not None else None, finalize=True)
        self.progbar = None

    def _abandon(self) -> None:
        """Leave a line that was never finished, as after Ctrl-C."""
        if self.progbar is not None and screen.is_open(sys.stdout):
            screen.leave()
        self.progbar = None
