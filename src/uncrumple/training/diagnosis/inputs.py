"""Inputs and targets in units that a network learns badly from."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.text import Text
from uncrumple.data.checks.report import figure
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.look import Look, Seen, kind_of, terms_of
from uncrumple.training.diagnosis.watched import is_embedding, own_weights

# Root mean square of the inputs of the first layer with weights.
LEAST_SIZE, MOST_SIZE = 0.1, 10.0
# Standard deviations of two columns, the largest over the smallest.
MOST_SPREAD = 100.0
MOST_TARGET = 1000.0
_NORMALIZES = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "Normalization")
_PIXEL = 255.0


def unscaled(look: Look) -> list[Finding]:
    """Return whether what the first layer with weights gets is far from numbers of about 1."""
    first, behind = _first_weighted(look)
    if first is None or is_embedding(first.part) or not first.inputs:
        return []
    # What layers without weights make of the inputs (Rescaling, Normalization, Flatten) is what counts.
    if any(any(name in type(one.part).__name__ for name in _NORMALIZES) for one in [*behind, first]):
        return []
    given = first.inputs[0]
    raw = [leaf for leaf in tree.flatten(look.x) if isinstance(leaf, torch.Tensor)]
    if not given.is_floating_point() or any(isinstance(leaf, Text) for leaf in raw):
        return []
    if not any(leaf.is_floating_point() for leaf in raw) and any(is_embedding(one.part) for one in behind):
        return []
    values = given.detach().float()
    if not bool(torch.isfinite(values).all()):
        return []
    return _size(first, values) or _columns(first, values)


def _first_weighted(look: Look) -> tuple[Seen | None, list[Seen]]:
    for place, one in enumerate(look.layers):
        if own_weights(one.part):
            return one, look.layers[:place]
    return None, look.layers


def _size(first: Seen, values: torch.Tensor) -> list[Finding]:
    size = float(values.square().mean().sqrt())
    if LEAST_SIZE <= size <= MOST_SIZE or size == 0:
        return []
    if size < LEAST_SIZE:
        sparse = float((values == 0).float().mean()) > 0.5
        if sparse or bool(((values == 0) | (values == 1)).all()):
            return []  # rows with a few ones in them
    low, high = float(values.min()), float(values.max())
    pixels = low >= 0 and 128 <= high <= _PIXEL
    return [
        Finding(
            "unscaled-inputs",
            "warning",
            f"{first.label} gets numbers from {figure(low)} to {figure(high)}.",
            size,
            MOST_SIZE if size > MOST_SIZE else LEAST_SIZE,
            "is their root mean square",
            "Weights start out for numbers of about 1: with others the first steps are far too large or too small.",
            "x = x / 255, or Rescaling(1 / 255) as the first layer"
            if pixels
            else "Normalization() as the first layer, with normalization.adapt(x_train) before training",
            layer=first.label,
        )
    ]


def _columns(first: Seen, values: torch.Tensor) -> list[Finding]:
    if values.dim() != 2 or values.shape[1] < 2 or len(values) < 8:
        return []
    spreads = values.std(0)
    spreads[((values == 0) | (values == 1)).all(0)] = 0  # yes or no
    known = spreads[spreads > 1e-12]
    if len(known) < 2 or float(known.max() / known.min()) <= MOST_SPREAD:
        return []
    most, least = int(spreads.argmax()), int(torch.where(spreads > 1e-12, spreads, torch.inf).argmin())
    return [
        Finding(
            "unscaled-inputs",
            "warning",
            f"Column {most} has a standard deviation of {figure(float(spreads[most]))}, column {least} one of "
            f"{figure(float(spreads[least]))}.",
            float(spreads[most] / spreads[least]),
            MOST_SPREAD,
            "is the ratio of the two",
            "The column with the large numbers drowns the others, and each wants a learning rate of its own.",
            "Normalization() as the first layer, with normalization.adapt(x_train) before training",
            layer=first.label,
            columns=(str(most), str(least)),
        )
    ]


def unscaled_targets(model: Any, look: Look) -> list[Finding]:
    """Return whether the targets of a regression are too large for a network to reach in good time."""
    found = []
    for _, loss, target, output, _ in terms_of(model, look.y, look.outputs):
        if kind_of(loss) not in ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh"):
            continue
        size = float(target.detach().float().square().mean().sqrt())
        given = float(output.detach().float().square().mean().sqrt())
        if size <= MOST_TARGET or given > size / 10:
            continue
        found.append(
            Finding(
                "unscaled-targets",
                "warning",
                f"The targets run from {figure(float(target.min()))} to {figure(float(target.max()))}, and the outputs "
                f"begin at about {figure(given)}.",
                size,
                MOST_TARGET,
                "is the root mean square of the targets",
                "Steps are far too small to get there, or their gradients so large that the loss explodes.",
                "y = (y - y.mean()) / y.std(), and the other way round for predictions",
            )
        )
    return found
