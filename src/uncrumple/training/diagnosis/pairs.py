"""Losses and last activations that do not go together."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.data.checks.report import figure
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.look import Look, kind_of, terms_of
from uncrumple.training.diagnosis.watched import own_weights
from uncrumple.training.last_layer import activation_of_output, last_layer, typed

_CROSSENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")
_OF_NUMBERS = ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "mean_absolute_percentage_error")
_PROBABILITIES = ("softmax", "sigmoid")
# What an activation can give at least and at most.
_REACH = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
}
# A few targets out of reach may be noise.
_FEW = 0.1


def pairs(model: Any, look: Look) -> list[Finding]:
    """Return what is wrong between each loss and the activation that its output went through."""
    found = []
    for index, loss, target, output, _ in terms_of(model, look.y, look.outputs):
        kind = kind_of(loss)
        ending = activation_of_output(model, index, None) or _by_values(output)
        layer = last_layer(model, index) or (look.layers[-1].label if look.layers else "the last layer")
        one: Finding | None = None
        if kind in _CROSSENTROPIES:
            one = _crossentropy(model, index, str(kind), loss, output, ending, layer)
        elif kind in _OF_NUMBERS:
            one = _reach(model, index, target, output, ending, layer)
        if one is None:
            one = _twice_inside(look)
        found += [] if one is None else [one]
    return found


def is_from_logits(loss: Any) -> bool:
    """Return whether a loss turns what it gets into probabilities by itself."""
    return bool(getattr(loss, "from_logits", False) or getattr(loss, "_fn_kwargs", {}).get("from_logits", False))


def _by_values(output: torch.Tensor) -> str | None:
    """Return which activation made these numbers, as far as they tell."""
    values = output.detach().float()
    if values.dim() < 2 or not bool(torch.isfinite(values).all()):
        return None
    if bool((values < 0).any()) or bool((values > 1).any()):
        return "linear"
    if bool(((values.sum(-1) - 1).abs() < 1e-3).all()) and (values.shape[-1] > 1 or bool((values == 1).all())):
        return "softmax"
    return None


def _finding(seen: str, number: float, measure: str, why: str, fix: str, layer: str) -> Finding:
    return Finding("loss-and-activation", "error", seen, number, 0, measure, why, fix, layer=layer)


def _crossentropy(
    model: Any, index: int, kind: str, loss: Any, output: torch.Tensor, ending: str | None, layer: str
) -> Finding | None:
    units = output.shape[-1]
    wanted = "sigmoid" if kind == "binary_crossentropy" else "softmax"
    logits = is_from_logits(loss)
    if ending == "softmax" and units == 1:
        return _finding(
            f"{layer} has one unit and softmax.",
            float(output.detach().float().max() - output.detach().float().min()),
            "is the range of its outputs; it has to be above",
            "A softmax over one unit is always 1, whatever the inputs are: nothing can be learned.",
            typed(model, index, 1, "sigmoid"),
            layer,
        )
    if logits and ending in _PROBABILITIES:
        return _finding(
            f"{layer} ends with {ending}, and the loss has from_logits=True, which applies {ending} again.",
            1,
            f"{ending} too many",
            "The loss sees probabilities squeezed together, cannot get near 0, and learns slowly.",
            f"from_logits=False in the loss, or no activation in {layer}",
            layer,
        )
    values = output.detach().float()
    outside = float(((values < 0) | (values > 1)).float().mean())
    if not logits and ending not in (*_PROBABILITIES, None) and (outside > 0 or ending in ("linear", "tanh", "relu")):
        return _finding(
            f"{layer} ends with {'no activation' if ending == 'linear' else ending}, and {kind} takes probabilities.",
            outside,
            "of its outputs are not between 0 and 1",
            "Numbers below 0 or above 1 are cut off, and no gradient comes from what is cut off.",
            f"{typed(model, index, units, wanted)}, or {type(loss).__name__}(from_logits=True)",
            layer,
        )
    if not logits and ending == "sigmoid" and wanted == "softmax":
        return _finding(
            f"{layer} ends with sigmoid, and {kind} is for one of {units} classes.",
            float((values.sum(-1) - 1).abs().mean()),
            "is how far the sum of a sample's probabilities is from 1",
            "Only the answer of the right class is looked at; the others are not pushed down as they should be.",
            f'{typed(model, index, units, wanted)}, or loss="binary_crossentropy" if several can be true at once',
            layer,
        )
    return None


def _reach(
    model: Any, index: int, target: torch.Tensor, output: torch.Tensor, ending: str | None, layer: str
) -> Finding | None:
    if ending not in _REACH:
        return None
    least, most = _REACH[ending]
    values = target.detach().float()
    outside = float(((values < least) | (values > most)).float().mean())
    if outside <= _FEW:
        return None
    between = f"between {figure(least)} and {figure(most)}" if most < math.inf else "never below 0"
    return _finding(
        f"{layer} ends with {ending}, whose outputs are {between}; the targets run from "
        f"{figure(float(values.min()))} to {figure(float(values.max()))}.",
        outside,
        "of the targets cannot be given",
        "However long it trains, the model cannot say these numbers.",
        f"{typed(model, index, output.shape[-1], None)} without an activation",
        layer,
    )


def _twice_inside(look: Look) -> Finding | None:
    """Return the layer that takes the softmax of numbers that are the result of one."""
    for place, one in enumerate(look.layers):
        if one.activation != "softmax" or own_weights(one.part) or not one.inputs:
            continue
        if one.inputs[0].shape == one.output.shape and _by_values(one.inputs[0]) == "softmax" and place:
            return _finding(
                f"{one.label} takes the softmax of numbers that are probabilities already.",
                1,
                "softmax too many",
                "The outputs are squeezed together: with 10 classes none can be above 0.24.",
                f"leave {one.label} out, or the activation of the layer before it",
                one.label,
            )
    return None
