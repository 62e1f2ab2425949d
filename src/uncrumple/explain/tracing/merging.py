"""Layers on several tensors: place by place, joined, or multiplied."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple import layers as L
from uncrumple.explain.tracing.arithmetic import Asked, Line, explains, full
from uncrumple.explain.tracing.words import number, place, sum_of_products
from uncrumple.layers.operation import _NAMED


def _values(asked: Asked) -> list[float]:
    """Return the number of each input that stands at the place, repeated where a size is 1."""
    rank, found = asked.output.dim(), []
    for x in asked.inputs:
        x = x if x.dim() == rank else x[(slice(None), *(None,) * (rank - x.dim()))]
        found.append(float(full(x[tuple(min(at, size - 1) for at, size in zip(asked.place, x.shape))])))
    return found


@explains(L.Add, L.Average, L.Subtract, L.Multiply, L.Maximum, L.Minimum)
def merged(asked: Asked) -> list[Line] | None:
    """The numbers of all inputs at one place, combined."""
    if any(getattr(x, "_keras_mask", None) is not None for x in asked.inputs) and not isinstance(
        asked.layer, (L.Add, L.Average, L.Subtract)
    ):
        return None
    values = _values(asked)
    shown = [number(value) for value in values]
    at = place(asked.place, "")
    names = [f"x{count}{at}" for count in range(1, len(values) + 1)]
    size = sum(map(abs, values))
    kind = next(
        one for one in (L.Add, L.Average, L.Subtract, L.Multiply, L.Maximum, L.Minimum) if isinstance(asked.layer, one)
    )
    signs: dict[type, tuple[str, str, Any]] = {
        L.Add: ("sum", " + ", sum),
        L.Subtract: ("difference", " - ", lambda both: both[0] - both[1]),
        L.Multiply: ("product", " x ", math.prod),
    }
    if kind in signs:
        name, sign, made = signs[kind]
        return [Line(name, sign.join(names), sign.join(shown), made(values), size)]
    if kind is L.Average:
        mean = sum(values) / len(values)
        return [
            Line("mean", f"({' + '.join(names)}) / {len(values)}", f"({' + '.join(shown)}) / {len(values)}", mean, size)
        ]
    own, chosen = ("greatest", max) if kind is L.Maximum else ("least", min)
    word = chosen.__name__
    return [Line(own, f"{word}({', '.join(names)})", f"{word}({', '.join(shown)})", float(chosen(values)))]


_OPERATORS: dict[str, tuple[str, Any]] = {
    "Add": (" + ", lambda a, b: a + b),
    "Subtract": (" - ", lambda a, b: a - b),
    "Multiply": (" x ", lambda a, b: a * b),
    "TrueDivide": (" / ", lambda a, b: a / b),
}


@explains(*(_NAMED[name] for name in _OPERATORS))
def operator(asked: Asked) -> list[Line] | None:
    """An operator of Python between two tensors."""
    if len(asked.inputs) != 2 or any(x.dim() != asked.output.dim() for x in asked.inputs):
        return None
    sign, made = _OPERATORS[type(asked.layer).__name__]
    first, second = _values(asked)
    at = place(asked.place, "")
    value = made(first, second)
    shown = f"{number(first)}{sign}{number(second)}"
    return [Line("result", f"x1{at}{sign}x2{at}", shown, value, abs(first) + abs(second))]


@explains(L.Concatenate)
def concatenated(asked: Asked) -> list[Line]:
    """The number of the input that lies there."""
    axis = asked.layer.axis % asked.output.dim()
    at = asked.place[axis]
    which = 0
    while at >= asked.inputs[which].shape[axis]:
        at -= asked.inputs[which].shape[axis]
        which += 1
    source = (*asked.place[:axis], at, *asked.place[axis + 1 :])
    value = float(full(asked.inputs[which][source]))
    return [Line("copy", f"{place(source, f'x{which + 1}')}: the inputs lie one after the other", number(value), value)]


@explains(L.Dot)
def dot(asked: Asked) -> list[Line] | None:
    """The products of two rows, added up."""
    layer, (first, second) = asked.layer, asked.inputs
    axes = [axis % x.dim() for axis, x in zip(layer._pair, (first, second))]
    sample = asked.place[0]
    left, right = first.dim() - 2, second.dim() - 2
    inner = list(asked.place[1:]) if left + right else []
    pieces: list[torch.Tensor] = []
    for x, axis, own in ((first, axes[0], inner[:left]), (second, axes[1], inner[left:])):
        rest = iter(own)
        picked = tuple(sample if one == 0 else slice(None) if one == axis else next(rest) for one in range(x.dim()))
        row = full(x[picked])
        pieces.append(row / row.norm().clamp(min=1e-7) if layer.normalize else row)
    numbers, total, size = sum_of_products(pieces[0].numpy(), pieces[1].numpy())
    return [
        Line(
            "sum",
            "x1 times x2" + (", both of length 1," if layer.normalize else "") + " added up",
            numbers,
            total,
            size,
        )
    ]
