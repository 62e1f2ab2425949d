"""A witness for a gradient that knows nothing of the chain rule: the weight is moved a little, and the loss watched."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.explain.keeping import same_start, untouched
from uncrumple.explain.tracing.words import number
from uncrumple.layers.base import Layer

# Relative steps that are tried. The one is taken on which its half agrees with it best.
_STEPS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
_STEPS_IN_FULL = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
# A step that agrees so well with its half is taken at once, as the largest of those.
_AGREES = 1e-4


@dataclasses.dataclass
class Witness:
    """A slope of the loss by two values of it.

    Attributes:
        slope: (loss above - loss below) / (2 x step).
        step: How far the weight was moved each way.
        above, below: The loss there.
        precision: The type that the loss was computed in.
    """

    slope: float
    step: float
    above: float
    below: float
    precision: str

    def __str__(self) -> str:
        change = abs(self.above - self.below)
        digits = 4 + max(0, math.ceil(math.log10(abs(self.above) / change))) if change and self.above else 4
        losses = f"{number(self.above, digits)} - {number(self.below, digits)}"
        return f"({losses}) / (2 x {number(self.step)}) = {number(self.slope)}"


def witness(
    model: Any, loss_of: Callable[[Any], torch.Tensor], batch: Any, weight: torch.Tensor, index: tuple[int, ...]
) -> Witness:
    """Return the slope of the loss for one entry of a weight, by finite differences.

    They are computed in float64 where the model can be run so, else in its own type.

    Args:
        model: The model.
        loss_of: Returns the loss of a batch.
        batch: (x, y, sample_weight).
        weight: The weight.
        index: The entry.
    """
    here = float(_loss(model, loss_of, batch))
    half = any(part.compute_dtype.endswith("16") for part in model.modules() if isinstance(part, Layer))
    near = 0.05 if half else 1e-4
    try:
        with _in_full(model):
            x, y, sample_weight = batch
            doubled = tree.map_structure(_double, x), y, sample_weight
            if abs(float(_loss(model, loss_of, doubled)) - here) <= near * max(abs(here), 1e-3):
                return _best(model, loss_of, doubled, weight, index, _STEPS_IN_FULL, "float64")
    except (RuntimeError, TypeError, ValueError, AttributeError):
        pass  # a part that knows float32 alone: its own type will do
    kind = str(weight.dtype).removeprefix("torch.")
    return _best(model, loss_of, batch, weight, index, _STEPS, kind)


def _best(
    model: Any,
    loss_of: Any,
    batch: Any,
    weight: torch.Tensor,
    index: tuple[int, ...],
    steps: tuple[float, ...],
    precision: str,
) -> Witness:
    value = float(weight.detach()[index])
    tried = []
    for share in steps:
        step = share * max(abs(value), 0.1)
        both = [_at(model, loss_of, batch, weight, index, value, one) for one in (step, step / 2)]
        apart = abs(both[0].slope - both[1].slope)
        if any(one.above == one.below for one in both):
            apart = math.inf  # too small a step for the type to see
        tried.append((apart, both[1]))
        if apart <= _AGREES * abs(both[1].slope):
            break
    found = min(tried, key=lambda one: one[0])[1]
    found.precision = precision
    return found


@torch.no_grad()
def _at(
    model: Any, loss_of: Any, batch: Any, weight: torch.Tensor, index: tuple[int, ...], value: float, step: float
) -> Witness:
    data = weight.data
    try:
        data[index] = value + step
        up, above = float(data[index]), float(_loss(model, loss_of, batch))
        data[index] = value - step
        down, below = float(data[index]), float(_loss(model, loss_of, batch))
    finally:
        data[index] = value
    return Witness((above - below) / (up - down), step, above, below, "")


@torch.no_grad()
def _loss(model: Any, loss_of: Any, batch: Any) -> torch.Tensor:
    with same_start(model):
        return loss_of(batch)


def _double(leaf: Any) -> Any:
    return leaf.double() if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() else leaf


@contextlib.contextmanager
def _in_full(model: Any) -> Iterator[None]:
    """Let a model compute in float64 for a while."""
    with untouched(model):
        for part in model.modules():
            if isinstance(part, Layer):
                part.dtype_policy = "float64"
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.data = tensor.data.double()
        for loss in {id(term[1]): term[1] for term in getattr(model._compile_loss, "_terms", ())}.values():
            loss._torch_dtype, loss._dtype = torch.float64, "float64"
        yield
