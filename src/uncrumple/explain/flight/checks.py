"""The checks of `preflight`, in the order in which they run."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.data.batches import EndlessEpochs, unpack_x_y_sample_weight
from uncrumple.explain.flight import trials
from uncrumple.explain.keeping import untouched
from uncrumple.training.diagnosis import gradients, inputs, labels, numbers, outputs, pairs, rates, units
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.look import Look, probe_of, take_look, terms_of
from uncrumple.training.loop import Steps

_PROBES = 128
_LABELS = 10_000


class CannotRun(Exception):
    """A check does not apply, or could not be done: its text says why."""


class Flight:
    """What the checks work on: the model, its data, one look at both, and what was found so far.

    Args:
        model: A compiled and built model.
        batches: Its data.
        seconds: How long all checks together may take.
    """

    def __init__(self, model: Any, batches: Any, seconds: float) -> None:
        self.model, self.batches, self.seconds = model, batches, seconds
        self.begin = time.perf_counter()
        self.found: list[Finding] = []
        self._look: Look | None = None
        self._base: labels.Baseline | None = None
        self.tried: trials.Tried | None = None

    @property
    def look(self) -> Look:
        """The model seen on samples from everywhere in the data."""
        if self._look is None:
            if any(getattr(module, "stateful", False) is True for module in self.model.modules()):
                raise CannotRun("a layer keeps its state from batch to batch (stateful=True)")
            batch = unpack_x_y_sample_weight(probe_of(self.batches, _PROBES))
            self._look = take_look(self.model, *batch, untrained=True)
        return self._look

    @property
    def base(self) -> labels.Baseline:
        """The losses of constant answers."""
        if self._base is None:
            y = getattr(self.batches, "y", None)
            rows = getattr(self.batches, "samples", None)
            if y is None or not rows:
                y = self.look.y
            else:
                y = tree.map_structure(lambda leaf: None if leaf is None else leaf[:: max(1, rows // _LABELS)], y)
            self._base = labels.baseline(self.model, y, self.look.outputs)
            if self._base is None:
                raise CannotRun("it is not known what a constant answer would cost with this loss")
        return self._base

    @property
    def rate(self) -> float | None:
        """The learning rate."""
        return rates.rate_of(self.model)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.perf_counter() - self.begin)

    def cause(self) -> Finding | None:
        """Return the worst that was found so far."""
        ranked = [one for level in ("error", "warning") for one in self.found if one.severity == level]
        return ranked[0] if ranked else None

    def epochs(self) -> Iterator[Any]:
        """Yield batches without an end."""
        epochs = EndlessEpochs(self.batches, None)
        while True:
            count = 0
            for batch in epochs.epoch():
                count += 1
                yield batch
            if not count:
                raise CannotRun("the data handed out no batch")


Check = Callable[[Flight], list[Finding]]


def _numbers(flight: Flight) -> list[Finding]:
    return numbers.first_nan(flight.look)


def _inputs(flight: Flight) -> list[Finding]:
    leaves = [leaf for leaf in tree.flatten(flight.look.x) if isinstance(leaf, torch.Tensor)]
    if not any(leaf.is_floating_point() or leaf.dtype is torch.uint8 for leaf in leaves):
        raise CannotRun("the inputs are whole numbers or words, which have no scale")
    return inputs.unscaled(flight.look)


def _targets(flight: Flight) -> list[Finding]:
    if flight.base.of_classes:
        raise CannotRun("the answers are classes")
    return inputs.unscaled_targets(flight.model, flight.look)


def _pairs(flight: Flight) -> list[Finding]:
    if not terms_of(flight.model, flight.look.y, flight.look.outputs):
        raise CannotRun("the model has no loss that compares targets with outputs")
    return pairs.pairs(flight.model, flight.look)


def _initial_loss(flight: Flight) -> list[Finding]:
    for one in flight.found:
        if one.name in ("loss-and-activation", "unscaled-inputs"):
            raise CannotRun(f"{one.name} was found, which changes the loss")
    return labels.too_large_at_start(flight.look, flight.base)


def _gradients(flight: Flight) -> list[Finding]:
    found = gradients.at_start(flight.look)
    if not found:
        why = gradients.cannot_tell(flight.look)
        if why is not None:
            raise CannotRun(why)
    return found


def _units(flight: Flight) -> list[Finding]:
    if not any(one.activation for one in flight.look.layers):
        raise CannotRun("no layer has an activation that is known here")
    return units.dead(flight.look) + units.saturated(flight.look) + units.identical(flight.look)


def _ignored(flight: Flight) -> list[Finding]:
    return outputs.ignored(flight.look)


def _mixed(flight: Flight) -> list[Finding]:
    leaves = [leaf for leaf in tree.flatten(flight.look.x) if isinstance(leaf, torch.Tensor)]
    if len(leaves[0]) < 3:
        raise CannotRun("there are fewer than 3 samples")
    return outputs.mixed(flight.model, flight.look)


def _halves(flight: Flight) -> list[Finding]:
    if not numbers.computes_in_half(flight.model):
        raise CannotRun("nothing is computed in half precision")
    if not flight.look.gradients:
        raise CannotRun("the loss has no gradient here")
    return numbers.underflow(flight.model, flight.look)


def _trains(flight: Flight) -> None:
    model = flight.model
    if type(model).train_step is not Steps.train_step or "train_step" in model.__dict__:
        raise CannotRun("the model has a train_step of its own")
    if not model.trainable_weights:
        raise CannotRun("the model has no weights to train")
    if any(getattr(module, "stateful", False) is True for module in model.modules()):
        raise CannotRun("a layer keeps its state from batch to batch (stateful=True)")
    if getattr(flight.batches, "once", False):
        raise CannotRun("the data is a generator: what is drawn now would be missing from training")


def _first_steps(flight: Flight) -> list[Finding]:
    _trains(flight)
    first = flight.look.data_loss
    if first is None or not math.isfinite(first):
        raise CannotRun("the loss before training is not a number")
    with untouched(flight.model):
        tried = trials.run(flight.model, flight.epochs(), 2 * rates.FIRST_STEPS, 0.25 * flight.left)
        found = trials.first_steps(tried, first, flight.rate)
        after = None
        if not tried.broke and len(tried.losses) > rates.FIRST_STEPS:
            after = take_look(flight.model, flight.look.x, flight.look.y, flight.look.sample_weight)
            if not units.dead(flight.look):
                found += units.dead(after, flight.rate)
            found += outputs.said_of_collapse(after, flight.look, flight.rate)
    flight.tried = tried
    if len(tried.losses) < rates.FIRST_STEPS and not found:
        raise CannotRun(f"only {len(tried.losses)} steps were done in {tried.seconds:.0f} s")
    return found


def _one_batch(flight: Flight) -> list[Finding]:
    _trains(flight)
    model = flight.model
    batch = probe_of(flight.batches, trials.SAMPLES, distinct=True)
    x, y, _ = unpack_x_y_sample_weight(batch)
    base = labels.baseline(model, y, flight.look.outputs)
    if base is None:
        raise CannotRun("with this loss, or with one answer for all samples, it is not known what would be enough")
    several = any(leaf.numel() > 4 * len(leaf) and base.of_classes for leaf in tree.flatten(y) if leaf is not None)
    # Of rare classes there may be none among so few samples: then always answering the others costs nothing.
    goal = max(base.best, 0.5 * base.even) if base.of_classes else base.best
    wanted = (trials.LEARNED_OF_MANY if several and _has_steps(flight) else trials.LEARNED) * goal

    def again(rate: float | None, seconds: float) -> trials.Tried:
        with untouched(model):
            return trials.run(
                model,
                itertools.repeat((x, y)),
                trials.STEPS,
                seconds,
                learning_rate=rate,
                until=wanted,
                dropout=False,
            )

    tried = again(None, 0.6 * flight.left)
    if tried.reached:
        return []
    if len(tried.losses) < trials.STEPS and not tried.broke:
        raise CannotRun(f"only {len(tried.losses)} of {trials.STEPS} steps were done in {tried.seconds:.0f} s")
    cause, rate = flight.cause(), flight.rate
    if not any(one.name in ("vanishing-gradients", "no-gradient") for one in flight.found):
        slow = rates.too_low(tried.changed, tried.losses[0], tried.losses[-1], rate, len(tried.losses), 0.5)
        if slow:
            return slow
    if cause is None and rate:
        instead = trials.rate_instead(tried, rate, 0.8 * flight.left, again, wanted)
        if instead is not None:
            return [instead]
    return [trials.cannot_learn(tried, base, wanted, cause)]


def _has_steps(flight: Flight) -> bool:
    """Return whether a sample has many answers with classes each, as a text has."""
    return any(
        target.dim() >= 2 and target.shape[1] > 1 and output.dim() >= 3
        for _, _, target, output, _ in terms_of(flight.model, flight.look.y, flight.look.outputs)
    )


# Name, what is said with a tick, and the check.
CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("numbers", "no NaN or infinity in layers, loss and gradients", _numbers),
    ("inputs", "inputs are of about 1", _inputs),
    ("targets", "targets are within reach", _targets),
    ("pairing", "loss and last activation go together", _pairs),
    ("initial loss", "the loss begins like that of knowing nothing", _initial_loss),
    ("gradients", "gradients reach the first layers, and do not explode", _gradients),
    ("units", "units are neither dead, nor saturated, nor copies of each other", _units),
    ("inputs matter", "other inputs give other outputs", _ignored),
    ("samples apart", "no sample sees another one", _mixed),
    ("half precision", "gradients are not lost in half precision", _halves),
    ("first steps", "the loss does not rise in the first steps", _first_steps),
    ("one batch", f"{trials.SAMPLES} samples can be learned by heart", _one_batch),
)
