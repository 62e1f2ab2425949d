"""Units that do nothing: silent for every sample, stuck at the ends of their activation, or copies of each other."""

from __future__ import annotations

import torch

from uncrumple.data.checks.report import figure
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.look import Look, Seen
from uncrumple.training.diagnosis.watched import own_weights, per_unit, unit_axis

# Share of the units of a layer that are 0 for every sample: healthy networks reach .52 on 128 samples.
MOST_SILENT = 0.65
# The same after some training, on few samples: units that each know a corner of the data are silent for most.
MOST_SILENT_LATER = 0.9
# Of a layer with fewer units than this, most can be silent by chance.
_FEW_UNITS = 8
# Share of all numbers that a layer gives which lie at the ends of its activation.
MOST_SATURATED = 0.5
# The same after some training, when units may well have made up their minds.
MOST_SATURATED_LATER = 0.9
_ENDS = {"tanh": 0.97, "sigmoid": 0.485, "hard_sigmoid": 0.495, "softsign": 0.97}
_FEWEST_SAMPLES = 16


def _hidden(look: Look) -> list[Seen]:
    """Return the layers before the last one with weights: what the outputs go through may well be at its ends."""
    weighted = [place for place, one in enumerate(look.layers) if own_weights(one.part)]
    return look.layers[: weighted[-1]] if weighted else []


def dead(look: Look, rate: float | None = None) -> list[Finding]:
    """Return the layer in which most units are 0 for every sample.

    Args:
        look: What was seen.
        rate: The learning rate, if there has been training; None before it.
    """
    limit = MOST_SILENT if rate is None else MOST_SILENT_LATER
    worst: tuple[float, int, int, Seen] | None = None
    for one in _hidden(look):
        if one.activation not in ("relu", "relu6") or not one.output.is_floating_point():
            continue
        rows = per_unit(one.part, one.output.detach())
        if len(one.output) < _FEWEST_SAMPLES:
            continue
        silent, units = int((rows <= 0).all(0).sum()), rows.shape[1]
        share = silent / units
        if share >= limit and (units >= _FEW_UNITS or silent == units):
            if worst is None or share > worst[0]:
                worst = share, silent, units, one
    if worst is None:
        return []
    share, silent, units, one = worst
    if rate is None:
        why = "A unit that is 0 for every sample gets no gradient: it never learns."
        fix = 'kernel_initializer="he_normal" and zeros for the biases, or activation="leaky_relu"'
    else:
        why = f"They get no gradient and stay silent. A learning rate that is too high ({figure(rate)}) is the usual cause."
        fix = f'learning_rate={figure(rate / 10)}, or activation="leaky_relu"'
    return [
        Finding(
            "dead-units",
            "error" if silent == units else "warning",
            f"{silent} of {units} units of {one.label} are 0 for all of {len(one.output)} samples.",
            share,
            limit,
            "of the units are silent",
            why,
            fix,
            layer=one.label,
        )
    ]


def saturated(look: Look, limit: float = MOST_SATURATED) -> list[Finding]:
    """Return the layer whose units are mostly at the ends of their activation."""
    worst: tuple[float, Seen] | None = None
    for one in _hidden(look):
        end = _ENDS.get(one.activation or "")
        if end is None or not one.output.is_floating_point() or len(one.output) < _FEWEST_SAMPLES:
            continue
        values = one.output.detach().float()
        values = values - 0.5 if "sigmoid" in (one.activation or "") else values
        share = float((values.abs() > end).float().mean())
        if share >= limit and (worst is None or share > worst[0]):
            worst = share, one
    if worst is None:
        return []
    share, one = worst
    given = one.inputs[0].detach().float() if one.inputs and one.inputs[0].is_floating_point() else None
    size = "" if given is None else f" Its inputs are {figure(float(given.abs().mean()))} in the mean."
    large = given is not None and float(given.abs().mean()) > 10
    return [
        Finding(
            "saturated-units",
            "error" if share > 0.9 else "warning",
            f"{100 * share:.0f} % of what {one.label} gives lies at the ends of its {one.activation}.{size}",
            share,
            limit,
            "of the numbers are at an end",
            "There the activation is flat: the gradient that passes through is close to 0.",
            "bring its inputs to a standard deviation of 1, such as with Normalization() or BatchNormalization()"
            if large
            else 'the default kernel_initializer ("glorot_uniform") or BatchNormalization() before it',
            layer=one.label,
        )
    ]


def identical(look: Look) -> list[Finding]:
    """Return the first hidden layer all of whose units are the same."""
    for one in _hidden(look):
        kernels = [weight for weight in own_weights(one.part) if weight.shape[-1] > 1]
        if not kernels or not one.output.is_floating_point() or one.output.dim() < 2:
            continue
        if one.output.shape[unit_axis(one.part, one.output)] < 2:
            continue
        rows = per_unit(one.part, one.output.detach().float())
        gradients = [look.gradients.get(id(weight)) for weight in kernels]
        same = bool(torch.isfinite(rows).all()) and _alike(rows)
        if same and all(gradient is not None and _alike(gradient.flatten(0, -2)) for gradient in gradients):
            units = rows.shape[1]
            return [
                Finding(
                    "identical-units",
                    "error",
                    f"All {units} units of {one.label} give the same number, and get the same gradient.",
                    units,
                    1,
                    "units are one and the same",
                    "They stay the same for ever: the layer is worth a single unit.",
                    'kernel_initializer="glorot_uniform": random numbers make units differ',
                    layer=one.label,
                )
            ]
    return []


def _alike(columns: torch.Tensor) -> bool:
    """Return whether all columns are equal, up to rounding."""
    size = float(columns.abs().max())
    return float((columns - columns[:, :1]).abs().max()) <= 1e-6 * size
