"""Gradients that vanish, explode, or reach nothing.

At initialisation the root mean square of the gradient of the first kernels is compared with that of the last ones.
The comparison says little about a trained network: clean ones end with ratios of .02.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.data.checks.report import figure, listed
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.look import Look, Seen
from uncrumple.training.diagnosis.watched import activation_of, own_weights

LEAST_RATIO = 0.01
MOST_RATIO = 100.0
# Differences between samples in front of the last layer, as a share of those behind the first.
LEAST_SIGNAL = 0.001
# Each step's gradient, as a multiple of the one before training, that is too much if the loss has grown as well.
MOST_GROWTH = 100.0
_SQUASHING = ("sigmoid", "tanh", "hard_sigmoid", "softsign")


def at_start(look: Look) -> list[Finding]:
    """Return what the gradients before training say."""
    if not look.gradients:
        return []
    lost = _unreached(look)
    return lost or _ratio(look) or _signal(look)


def cannot_tell(look: Look) -> str | None:
    """Return why the gradients of the first and last layers cannot be compared, or None if they can."""
    if not look.gradients:
        return "the loss has no gradient here"
    if len(look.weighted) < 2:
        return "the model has fewer than two layers with kernels"
    if _starts_at_zero(look.weighted[-1]):
        return f"{look.weighted[-1].label} starts with zeros: no gradient passes it before the first step"
    return None


def _ratio(look: Look) -> list[Finding]:
    if cannot_tell(look) is not None:
        return []
    sizes = [(one, look.gradient_size(one.part)) for one in look.weighted]
    known = [(one, size) for one, size in sizes if size is not None and math.isfinite(size)]
    if len(known) < 2 or not known[-1][1]:
        return []
    last, last_size = known[-1]
    weakest = [pair for pair in known[:-1] if pair[1] < LEAST_RATIO * last_size]
    largest, large = max(known[:-1], key=lambda pair: pair[1])
    if weakest:
        (smallest, small), weak = weakest[0], [one.label for one, _ in weakest]
        return [
            Finding(
                "vanishing-gradients",
                "error" if small < 1e-4 * last_size else "warning",
                f"Before training, the gradient of {smallest.label} is {figure(small / last_size)} of that of "
                f"{last.label}; {len(weak)} of {len(known)} layers get less than 1 %: {listed(_bare(weak), 4)}.",
                small / last_size,
                LEAST_RATIO,
                "gradient of this layer / gradient of the last layer",
                "The first layers hardly learn: what the layers behind them get stays as random as it began.",
                _against_vanishing(look),
                layer=smallest.label,
                details={"gradients": {one.label: size for one, size in known}},
            )
        ]
    if large > MOST_RATIO * last_size:
        return [
            Finding(
                "exploding-gradients",
                "error" if large > 1e4 * last_size else "warning",
                f"Before training, the gradient of {largest.label} is {figure(large / last_size)} times that of "
                f"{last.label}.",
                large / last_size,
                MOST_RATIO,
                "gradient of this layer / gradient of the last layer",
                "A rate that suits the last layer throws the first ones far away: the loss jumps or becomes NaN.",
                _against_exploding(largest),
                layer=largest.label,
                details={"gradients": {one.label: size for one, size in known}},
            )
        ]
    return []


def _signal(look: Look) -> list[Finding]:
    """Return the layer up to which the differences between samples have all but died out.

    Gradients do not always tell: where the signal shrinks forward as the gradient shrinks back, their product is as
    small in the last layer as in the first.
    """
    hidden = [one for one in look.weighted[:-1] if one.output.is_floating_point() and len(one.output) > 1]
    if len(hidden) < 2 or _starts_at_zero(look.weighted[-1]):
        return []
    spreads = [(one, _differences(one.output)) for one in hidden]
    first, last = spreads[0][1], _differences(look.weighted[-1].inputs[0]) if look.weighted[-1].inputs else math.nan
    if not first or not math.isfinite(last) or last >= LEAST_SIGNAL * first:
        return []
    faint = next((one for one, size in spreads if size < LEAST_SIGNAL * first), hidden[-1])
    return [
        Finding(
            "vanishing-signal",
            "warning",
            f"Before training, samples differ by {figure(first)} behind {hidden[0].label} and by {figure(last)} in front "
            f"of {look.weighted[-1].label}; {faint.label} is where less than a thousandth is left.",
            last / first,
            LEAST_SIGNAL,
            "of the differences between samples are left",
            "The last layers see nearly the same for every sample, and have nothing to learn from.",
            'the default kernel_initializer ("glorot_uniform"), or BatchNormalization() between the layers',
            layer=faint.label,
        )
    ]


def _differences(values: torch.Tensor) -> float:
    """Return the standard deviation between samples, over all numbers that a layer gives."""
    return float(values.detach().float().var(0).mean().sqrt())


def _bare(labels: list[str]) -> list[str]:
    """Return names without classes, for lists."""
    return [label.split("'")[1] if "'" in label else label for label in labels]


def _against_vanishing(look: Look) -> str:
    hidden = [one for one in look.weighted[:-1] if one.activation in _SQUASHING or _follows(look, one, _SQUASHING)]
    if len(hidden) > 1:
        return 'activation="relu" and kernel_initializer="he_normal" in the hidden layers'
    if any(one.activation == "relu" or _follows(look, one, ("relu",)) for one in look.weighted[:-1]):
        return 'kernel_initializer="he_normal" in the hidden layers, or BatchNormalization() between them'
    return "fewer layers, or BatchNormalization() between them, or additions that go past some"


def _follows(look: Look, one: Seen, names: tuple[str, ...]) -> bool:
    place = look.layers.index(one)
    return place + 1 < len(look.layers) and activation_of(look.layers[place + 1].part) in names


def _against_exploding(largest: Seen) -> str:
    if "RNN" in largest.label or "LSTM" in largest.label or "GRU" in largest.label:
        return 'recurrent_initializer="orthogonal" with activation="tanh", and clipnorm=1.0 in the optimizer'
    return "clipnorm=1.0 in the optimizer, and the default kernel_initializer"


def _starts_at_zero(one: Seen) -> bool:
    return all(not bool(weight.detach().any()) for weight in own_weights(one.part))


def _unreached(look: Look) -> list[Finding]:
    """Return the layers that no gradient reaches, told by the first of them."""
    if not look.weighted or _starts_at_zero(look.weighted[-1]):
        return []
    missed = [one for one in look.layers if own_weights(one.part) and not look.gradient_size(one.part)]
    if not missed:
        return []
    names = [one.label for one in missed]
    none = all(look.gradients.get(id(weight)) is None for one in missed for weight in own_weights(one.part))
    what = "no gradient" if none else "a gradient of exactly 0"
    few = f"{names[-1]} and all before it" if len(names) == len(look.weighted) else listed(_bare(names), 4)
    return [
        Finding(
            "no-gradient",
            "error",
            f"{len(names)} of {len(look.weighted)} layers with weights get {what}: {few}.",
            0.0,
            0.0,
            "is the size of the gradient; it has to be above",
            "These weights never change.",
            "torch functions between them and the loss, without .detach(), argmax or round"
            if none
            else f"look at what stands behind {names[-1]}: units that are 0 for every sample, or a product with 0",
            layer=names[-1],
        )
    ]


def grown(look: Look, first: Look, rate: float | None) -> list[Finding]:
    """Return whether gradients have exploded while training: far larger than before it, and the loss is too."""
    if not look.gradients or not first.gradients or not math.isfinite(look.loss):
        return []
    size, before = _norm(look), _norm(first)
    if not before or not math.isfinite(size) or size < MOST_GROWTH * before or look.loss < 1.5 * first.loss:
        return []
    worst = max(look.weighted or look.layers, key=lambda one: look.gradient_size(one.part) or 0.0)
    slower = "" if rate is None else f", and learning_rate={figure(rate / 10)} in place of {figure(rate)}"
    return [
        Finding(
            "exploding-gradients",
            "error",
            f"The gradient has grown to {figure(size / before)} times its size before training, and the loss from "
            f"{figure(first.loss)} to {figure(look.loss)}; {worst.label} has the largest.",
            size / before,
            MOST_GROWTH,
            "times the gradient before training",
            "Steps along such gradients throw the weights far away.",
            f"clipnorm=1.0 in the optimizer{slower}",
            layer=worst.label,
        )
    ]


def _norm(look: Look) -> float:
    squares = [float(one.float().square().sum()) for one in look.gradients.values() if one is not None]
    return math.sqrt(sum(squares))


def first_broken(look: Look) -> tuple[str, Any] | None:
    """Return the weight whose gradient is not finite, nearest to the loss, as (label of the layer, weight)."""
    for one in reversed(look.layers):
        for weight in one.part.parameters():
            gradient = look.gradients.get(id(weight))
            if gradient is not None and not bool(torch.isfinite(gradient).all()):
                return one.label, weight
    return None
