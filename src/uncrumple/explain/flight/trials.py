"""Steps that are tried before training, and taken back: the first ones of an epoch, and a few samples learned by heart."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from uncrumple.core.quick_torch import without_compiler
from uncrumple.data.batches import unpack_x_y_sample_weight
from uncrumple.data.checks.report import figure
from uncrumple.explain.flight.optimizer import copy_of_optimizer
from uncrumple.layers.modes import told
from uncrumple.training.diagnosis import labels, numbers, rates
from uncrumple.training.diagnosis.finding import Finding

SAMPLES = 32
STEPS = 400
# What is left of the loss of a constant answer when samples are known by heart; of several answers per sample, which
# may contradict each other (the first letters of a text), less is asked.
LEARNED = 0.1
LEARNED_OF_MANY = 0.6
_LADDER = (10.0, 100.0, 1000.0)


@dataclass
class Tried:
    """What a run of steps showed.

    Attributes:
        losses: The loss of each step, without penalties on weights.
        changed: Change of the largest kernel in a step, as a share of its size.
        seconds: How long it took.
        reached: Whether the wanted loss was reached.
        lost: Share of the updates of weights in half precision that were rounded away, and of how many.
    """

    losses: list[float]
    changed: float | None
    seconds: float
    reached: bool
    lost: tuple[float, int] = (0.0, 0)

    @property
    def broke(self) -> bool:
        """Whether a loss was NaN or infinite."""
        return not all(map(math.isfinite, self.losses))


def run(
    model: Any,
    batches: Iterator[Any],
    steps: int,
    seconds: float,
    *,
    learning_rate: float | None = None,
    until: float | None = None,
    dropout: bool = True,
) -> Tried:
    """Do some steps of training with a fresh copy of the optimizer.

    Args:
        model: A compiled and built model. It changes; the caller puts it back.
        batches: Batches, as many as are needed.
        steps, seconds: How many, and for how long at most.
        learning_rate: Another rate than the optimizer's.
        until: Stop when the loss is below.
        dropout: Whether layers that draw random numbers do so; batch normalization learns in any case.
    """
    optimizer = copy_of_optimizer(model, learning_rate)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    updates = rates.Updates(weights)
    updates.measure(0)
    model.train(dropout)
    for module in model.modules():
        if "BatchNorm" in type(module).__name__:
            module.train(True)
    begin = time.perf_counter()
    tried = Tried([], None, 0.0, False)
    with told(model), torch.enable_grad(), without_compiler():
        for step in range(steps):
            x, y, sample_weight = unpack_x_y_sample_weight(next(batches))
            outputs = model(x)
            total = model.compute_loss(x, y, outputs, sample_weight)
            plain = float(total.detach())
            if model._compile_loss is not None and (sample_weight is not None or model._extra_losses()):
                with torch.no_grad():
                    plain = float(model._compile_loss(y, outputs))
            tried.losses.append(plain)
            if until is not None and plain < until:
                tried.reached = True
                break
            if not math.isfinite(plain) or time.perf_counter() - begin > seconds:
                break
            optimizer.zero_grad()
            before = [weight.detach().clone() for weight in weights] if not step else []
            (optimizer.scale_loss(total) if model._scales_loss else total).backward()
            optimizer.step()
            if not step:
                tried.lost = numbers.unmoved(before, model, [weight.grad for weight in weights])
                tried.changed = updates.measure(1)
    optimizer.zero_grad()
    tried.seconds = time.perf_counter() - begin
    return tried


def first_steps(tried: Tried, first_loss: float, rate: float | None) -> list[Finding]:
    """Return what the first steps of an epoch say about the learning rate."""
    some = tried.losses[1 : rates.FIRST_STEPS + 1]
    if tried.broke:
        return rates.too_high(first_loss, math.nan, rate, f"{len(tried.losses)} steps")
    if not some:
        return []
    found = rates.too_high(first_loss, sum(some) / len(some), rate, f"the first {len(some)} steps")
    return found + numbers.lost_updates(*tried.lost)


def rate_instead(tried: Tried, rate: float, seconds: float, again: Any, ease: float) -> Finding | None:
    """Return that another learning rate would do, after samples could not be learned by heart with the given one.

    Args:
        tried: What was seen with the given rate.
        rate: The rate.
        seconds: How long may be tried.
        again: Called with a rate and seconds; does the same steps from the same weights.
        ease: The loss that was wanted.
    """
    begin = time.perf_counter()
    rose = tried.broke or max(tried.losses) > 1.5 * tried.losses[0]
    falls = min(tried.losses) < 0.995 * tried.losses[0]
    lower, higher = [1 / times for times in _LADDER[:2]], list(_LADDER)
    slow = tried.changed is not None and tried.changed < rates.LEAST_UPDATE * 10
    order = lower + higher[:1] if rose else higher + lower if slow or falls else lower + higher
    for times in order:
        left = seconds - (time.perf_counter() - begin)
        if left <= 0:
            return None
        if not again(rate * times, left / 2).reached:
            continue
        name = "learning-rate-low" if times > 1 else "learning-rate-high"
        end = f"{figure(tried.losses[-1])}" if math.isfinite(tried.losses[-1]) else "NaN"
        return Finding(
            name,
            "warning",
            f"{len(tried.losses)} steps with learning_rate={figure(rate)} do not teach {SAMPLES} samples by heart (loss "
            f"{figure(tried.losses[0])}, then {end}); with {figure(rate * times)} they do.",
            tried.losses[-1],
            ease,
            "is the loss in the end",
            "At this pace training takes far longer than it has to." if times > 1 else "Steps go past the goal.",
            f"learning_rate={figure(rate * times)} in place of {figure(rate)}",
        )
    return None


def cannot_learn(tried: Tried, base: labels.Baseline, wanted: float, cause: Finding | None) -> Finding:
    """Return that a few samples could not be learned by heart."""
    end = figure(tried.losses[-1]) if math.isfinite(tried.losses[-1]) else "NaN"
    place = "" if cause is None or not cause.layer else f" ({cause.layer})"
    return Finding(
        "one-batch",
        "error",
        f"After {len(tried.losses)} steps on the same {SAMPLES} samples, without dropout, the loss is {end}; it began at "
        f"{figure(tried.losses[0])}, and a constant answer gives {figure(base.best)}.",
        tried.losses[-1],
        wanted,
        "is the loss in the end",
        "A network that cannot learn a few samples by heart will not learn many."
        if cause is None
        else f"Most likely because of {cause.name}{place}.",
        "look at the path from the inputs to the loss: inputs, last activation, loss, layers that are frozen"
        if cause is None
        else cause.try_this,
        layer="" if cause is None else cause.layer,
    )
