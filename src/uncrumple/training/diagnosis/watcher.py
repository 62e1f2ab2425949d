"""`Diagnosis`: what `fit(diagnose=True)` adds to training.

Most steps are left alone, so that they take the fast ways that they would take without it. From time to time the
model is looked at: a few samples, kept from the beginning, are run forward and back. When that is due is settled by
steps (1, 2, 4, 8 ... and the ends of epochs), and done only while all looks together have taken less than a given
share of the time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from uncrumple.callbacks import Callback, EarlyStopping
from uncrumple.callbacks.screen import message
from uncrumple.core import tree
from uncrumple.data.batches import unpack_x_y_sample_weight
from uncrumple.data.checks.report import figure
from uncrumple.layers.modes import told
from uncrumple.training.diagnosis import curves, gradients, inputs, labels, numbers, outputs, pairs, rates, units
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.look import Look, as_it_is, few, kind_of, probe_of, take_look, terms_of

_PROBES = 64
# Share of the processor time that looks may take, and seconds of it that they may take in any case.
SHARE = 0.015
ALLOWANCE = 0.03
# Labels that the loss of a constant answer is computed from.
_LABELS = 10_000
_NAN_EVERY = 8
_FEWEST_STEPS = 200
# So many epochs are each looked at; of those that follow, one in four, one in eight, and so on.
_EACH_EPOCH = 64


class Diagnosis(Callback):
    """Watches training, says what goes wrong, and keeps it.

    Args:
        model: The model, compiled and built.
        training: Where its batches come from.
        validation: Where those of the validation come from, or None.
        loud: Whether findings are printed as they are made.
        clock: What time is told by.
        callbacks: What else looks on: EarlyStopping may take the best weights back.

    Attributes:
        findings: What was found, in the order in which it was.
        looks: How often the model was looked at.
        seconds: How long that took.
    """

    def __init__(
        self,
        model: Any,
        training: Any,
        validation: Any = None,
        loud: bool = True,
        clock: Any = time.process_time,
        callbacks: Iterable[Any] = (),
    ) -> None:
        super().__init__()
        self.findings: list[Finding] = []
        self.looks = 0
        self.seconds = 0.0
        self._watched_model, self._training, self._validation, self._loud = model, training, validation, loud
        self._clock = clock
        # Overfitting is no harm where the best weights are taken back.
        self._takes_back = any(isinstance(one, EarlyStopping) and one.restore_best_weights for one in callbacks)
        self._begin = clock()
        self._last_cost = 0.0
        self._known: set[tuple[str, str]] = set()
        self._first: Look | None = None
        self._base: labels.Baseline | None = None
        self._validation_base: labels.Baseline | None = None
        self._losses: list[float] = []
        self._held_losses: list[float] = []
        self._steps = 0
        self._epoch = 0
        self._updates: rates.Updates | None = None
        self._updates_before = 0
        self._start: dict[int, torch.Tensor] = {}
        self._broken = False
        self._error: float | None = None
        self._batch: Any = None

    # --- called by the loop and by the list of callbacks -------------------------------------

    def on_train_begin(self, logs: Any = None) -> None:
        history = getattr(self._watched_model, "history", None)
        if history is not None:
            history.findings = self.findings
        self._updates_before = self._updates_done()
        self._begin = begin = self._clock()
        self._look_before_training()
        self._last_cost = self._clock() - begin
        self.seconds += self._last_cost

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def watched(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Return the batches of an epoch, and look at the model between some of them."""
        total = self._watched_model._loss_tracker.total
        # A step of the native kernels takes little longer than to ask; a GPU has to be waited for.
        every = 1 if self._watched_model._plan is None and total.device.type == "cpu" else _NAN_EVERY
        due, ask = 1 << self._steps.bit_length(), self._steps + every
        for batch in batches:
            yield batch
            self._steps += 1
            if self._steps >= due:
                self._batch = batch
                self._after_step()
                due = self._steps * 2 if self._steps < 64 else self._steps + 64
            elif self._steps >= ask:
                ask = self._steps + every
                if not math.isfinite(total.item()):
                    self._batch = batch
                    self._check_finite(math.nan)
        self._batch = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        if "loss" in logs:
            self._losses.append(float(logs["loss"]))
        if "val_loss" in logs:
            self._held_losses.append(float(logs["val_loss"]))
        # An epoch that native calls do, `watched` sees nothing of.
        self._steps = max(self._steps, self._updates_done() - self._updates_before)
        count = len(self._losses)
        if count > _EACH_EPOCH and count % (count // _EACH_EPOCH * 4) and math.isfinite(self._losses[-1]):
            return  # epochs may be many, and take a millisecond
        begin = self._clock()
        self._check_finite(self._losses[-1] if self._losses else 0.0)
        self._judge_losses()
        self.seconds += self._clock() - begin
        self._maybe_look()

    def on_train_end(self, logs: Any = None) -> None:
        took = max(self._clock() - self._begin, 1e-9)
        self._first = None
        self._start.clear()
        if self._loud and not self.findings:
            message(
                f"diagnose: nothing found in {self._steps:,} steps; looked {self.looks} times, "
                f"{100 * self.seconds / took:.1f} % of the time."
            )

    # --- looking -----------------------------------------------------------------------------

    def _look_before_training(self) -> None:
        model = self._watched_model
        self._updates = rates.Updates([weight for weight in model.parameters() if weight.requires_grad])
        self._updates.measure(0)
        x, y, weight = unpack_x_y_sample_weight(probe_of(self._training.batches, _PROBES))
        if _keeps_state(model) or not _can_look(model, y):
            return
        first = take_look(model, x, y, weight, untrained=True)
        self.looks += 1
        self._first = first
        self._keep_weights()
        self._base = labels.baseline(model, self._all_labels(self._training, y), first.outputs)
        if self._validation is not None:
            held = unpack_x_y_sample_weight(few(self._validation.batches.first(), _PROBES))[1]
            self._validation_base = labels.baseline(model, self._all_labels(self._validation, held), first.outputs)
        broken = numbers.first_nan(first)
        if broken:
            self._say(broken)
            return
        self._say(inputs.unscaled(first))
        self._say(inputs.unscaled_targets(model, first))
        self._say(pairs.pairs(model, first))
        self._say(outputs.ignored(first))
        self._say(units.identical(first))
        self._say(units.dead(first))
        self._say(units.saturated(first))
        self._say(gradients.at_start(first))
        said = {one.name for one in self.findings}
        if self._base is not None and not said & {"loss-and-activation", "unscaled-inputs"}:
            self._say(labels.too_large_at_start(first, self._base))
        # What layers gave is not needed any more, and may be large.
        for one in first.layers:
            one.inputs = []

    def _all_labels(self, source: Any, y: Any) -> Any:
        given = getattr(source.batches, "y", None)
        rows = getattr(source.batches, "samples", None)
        if given is None or not rows:
            return y
        step = max(1, rows // _LABELS)
        try:
            return tree.map_structure(lambda leaf: None if leaf is None else leaf[::step], given)
        except (TypeError, ValueError, IndexError):  # labels that stay in a file
            return y

    def _keep_weights(self) -> None:
        for weight in self._watched_model.parameters():
            self._start[id(weight)] = weight.detach().clone()

    def _maybe_look(self) -> None:
        first = self._first
        if first is None or self._broken or not self._steps:
            return
        begin = self._clock()
        if self.seconds + self._last_cost > ALLOWANCE + SHARE * (begin - self._begin):
            return
        model = self._watched_model
        look = take_look(model, first.x, first.y, first.sample_weight)
        self.looks += 1
        rate = rates.rate_of(model)
        broken = numbers.first_nan(look)
        if broken:
            self._found_nan(broken)
        else:
            self._say(units.dead(look, rate))
            self._say(units.saturated(look, units.MOST_SATURATED_LATER))
            self._say(outputs.said_of_collapse(look, first, rate))
            self._say(gradients.grown(look, first, rate))
            ratio = None if self._updates is None else self._updates.measure(self._steps)
            if self._steps >= 32 and self._cause() is None:
                self._say(rates.too_low(ratio, first.loss, look.loss, rate, self._steps))
            self._keep_weights()
        self._last_cost = self._clock() - begin
        self.seconds += self._last_cost

    # --- what costs nothing --------------------------------------------------------------------

    def _after_step(self) -> None:
        begin = self._clock()
        tracker = self._watched_model._loss_tracker
        total, count = float(tracker.total), float(tracker._count) + tracker._counted
        self._check_finite(total)
        if not self._broken and self._first is not None and self._epoch_began_here():
            if self._steps >= rates.FIRST_STEPS and count:
                self._say(rates.too_high(self._first.loss, total / count, rates.rate_of(self._watched_model)))
        self.seconds += self._clock() - begin
        self._maybe_look()

    def _epoch_began_here(self) -> bool:
        """Return whether the sums of the loss are those of the first steps: they are set back at each epoch."""
        return not self._losses and self._steps <= 4 * rates.FIRST_STEPS

    def _check_finite(self, value: float) -> None:
        if self._broken or math.isfinite(value):
            return
        first = self._first
        if first is None:
            self._found_nan([])
            return
        model = self._watched_model
        batch = self._batch
        x, y, weight = (first.x, first.y, first.sample_weight) if batch is None else unpack_x_y_sample_weight(batch)
        found = numbers.first_nan(self._at_last_look(x, y, weight))
        self._found_nan(found or numbers.first_nan(take_look(model, x, y, weight)), before=bool(found))

    def _at_last_look(self, x: Any, y: Any, weight: Any) -> Look:
        """Look at a batch with the weights of the last look, when they were finite."""
        model = self._watched_model
        kept = [(one, one.detach().clone()) for one in model.parameters()]
        with torch.no_grad():
            for one, _ in kept:
                one.copy_(self._start[id(one)])
        try:
            return take_look(model, x, y, weight)
        finally:
            with torch.no_grad():
                for one, value in kept:
                    one.copy_(value)

    def _found_nan(self, found: list[Finding], before: bool = False) -> None:
        self._broken = True
        first = self._first
        if not before and first is not None and not any(one.name == "nan" for one in self.findings):
            # Weights that had been finite, on inputs that are: they were thrown away by steps.
            rate = rates.rate_of(self._watched_model)
            self._say(rates.too_high(first.loss, math.nan, rate, f"{self._steps:,} steps"))
        if not found:
            found = [numbers._nan("The loss is NaN or infinite.", 1, "loss that is none", "learning_rate=0.001")]
        self._say(found)

    def _updates_done(self) -> int:
        optimizer = self._watched_model.optimizer
        return int(getattr(getattr(optimizer, "inner_optimizer", optimizer), "_iterations", 0))

    def _judge_losses(self) -> None:
        model, first = self._watched_model, self._first
        rate = rates.rate_of(model)
        losses, held = self._losses, self._held_losses
        if self._broken or not losses:
            return
        rising = curves.rises(losses, held)
        if first is not None:
            self._say(rates.too_high(first.loss, losses[-1], rate, f"epoch {self._epoch + 1}"))
            extra = first.loss - (first.data_loss if first.data_loss is not None else first.loss)
            if self._base is not None and first.sample_weight is None and not extra:
                if len(losses) >= 3 and self._steps >= _FEWEST_STEPS:
                    self._say(labels.not_learning(losses[-1], self._base, self._steps, self._cause(), rate))
                self._say(curves.plateau(losses, self._base))
                if rising and self._error is None:
                    self._error = self._standard_error()
                self._say(labels.shuffled(losses, held, self._base, self._validation_base, rising, self._error))
        if rising and not any(one.name == "shuffled-labels" for one in self.findings):
            found = curves.overfits(losses, held, self._error, self._base)
            self._say([curves.taken_back(one) for one in found] if self._takes_back else found)

    def _cause(self) -> Finding | None:
        """Return what was found before that may keep the model from learning."""
        for severity in ("error", "warning"):
            for one in self.findings:
                if one.severity == severity and one.name != "not-learning":
                    return one
        return None

    def _standard_error(self) -> float | None:
        """Return the standard error of the validation loss, from the losses of its single samples."""
        model = self._watched_model
        assert self._validation is not None
        batch = few(self._validation.batches.first(), 512)
        x, y, _ = unpack_x_y_sample_weight(batch)
        if _keeps_state(model):
            return None
        with as_it_is(model), torch.no_grad(), told(model):
            terms = terms_of(model, y, model(x))
            if len(terms) != 1 or kind_of(terms[0][1]) is None:
                return None
            _, loss, target, output, _ = terms[0]
            values = loss.call(target, output).float()
        values = values.reshape(len(values), -1).mean(1)
        rows = getattr(self._validation.batches, "samples", None) or len(values)
        return float(values.std()) / math.sqrt(rows) if len(values) > 1 else None

    # --- saying -----------------------------------------------------------------------------

    def _say(self, found: list[Finding]) -> None:
        for one in found:
            if one.key in self._known or (one.name, "*") in self._known:
                continue
            self._known.add(one.key)
            if one.name in ("dead-units", "saturated-units", "nan", "vanishing-gradients", "exploding-gradients"):
                self._known.add((one.name, "*"))  # said of one layer, it is said
            if self._steps:
                one = one.at(self._steps - 1, self._epoch)
            self.findings.append(one)
            if self._loud and not (one.name == "overfitting" and self._takes_back):
                message(one.in_words())


def _keeps_state(model: Any) -> bool:
    return any(getattr(module, "stateful", False) is True for module in model.modules())


def _can_look(model: Any, y: Any) -> bool:
    """Return whether a step of the model is what a look does: run, loss, gradient."""
    return y is not None or model._compile_loss is None


def in_short(diagnosis: Diagnosis) -> str:
    """Return how often the model was looked at, for tables."""
    return f"{diagnosis.looks} looks, {figure(diagnosis.seconds)} s"
