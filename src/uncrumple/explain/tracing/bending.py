"""Layers that apply a curve to each number, or to each row."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations
from uncrumple import layers as L
from uncrumple.explain.tracing.activating import activated, needs_row
from uncrumple.explain.tracing.arithmetic import Asked, Line, explains, full
from uncrumple.explain.tracing.words import number, place


def _of_one(asked: Asked) -> float:
    return float(full(asked.x[asked.place]))


@explains(L.Activation)
def activation(asked: Asked) -> list[Line]:
    """An activation by its name, or a function of the user's."""
    function = asked.layer.activation
    row, index = full(asked.x[asked.place]).reshape(1), 0
    if needs_row(function):
        row, index = full(asked.x[asked.place[:-1]]), asked.place[-1]
    return [
        activated(function, row, index, of=place(asked.place, "inputs") if index == 0 and len(row) == 1 else "inputs")
    ]


@explains(L.Softmax, torch.nn.Softmax)
def softmax(asked: Asked) -> list[Line] | None:
    """A share of a row."""
    layer = asked.layer
    axis = layer.dim if isinstance(layer, torch.nn.Softmax) else layer.axis
    if axis is None or isinstance(axis, (list, tuple)) or asked.kwargs.get("mask") is not None:
        return None
    axis %= asked.x.dim()
    picked = tuple(slice(None) if one == axis else at for one, at in enumerate(asked.place))
    return [activated(activations.softmax, full(asked.x[picked]), asked.place[axis], of="inputs")]


def _two_sided(asked: Asked, slope: float, name: str) -> list[Line]:
    """Return the line for `x` above zero and `slope * x` below it."""
    x = _of_one(asked)
    where = place(asked.place, "inputs")
    formula = f"{where} if it is above 0, else {name} x {where}"
    return [Line("bent", formula, number(x) if x > 0 else f"{number(slope)} x {number(x)}", x if x > 0 else slope * x)]


@explains(L.LeakyReLU, torch.nn.LeakyReLU)
def leaky_relu(asked: Asked) -> list[Line]:
    """A fixed slope below zero."""
    return _two_sided(asked, float(asked.layer.negative_slope), "negative_slope")


@explains(L.PReLU)
def prelu(asked: Asked) -> list[Line]:
    """A learned slope below zero."""
    alpha = full(asked.layer.alpha).expand(asked.output.shape[1:])
    return _two_sided(asked, float(alpha[asked.place[1:]]), "alpha")


@explains(L.ReLU)
def relu(asked: Asked) -> list[Line]:
    """Cut off below, and perhaps above."""
    layer, x = asked.layer, _of_one(asked)
    if not layer.negative_slope and layer.max_value is None and not layer.threshold:
        return [activated(activations.relu, torch.tensor([x], dtype=torch.float64), 0, of=place(asked.place, "inputs"))]
    settings = {"negative_slope": layer.negative_slope, "max_value": layer.max_value, "threshold": layer.threshold}
    value = float(activations.relu(torch.tensor(x, dtype=torch.float64), **settings))
    shown = ", ".join(f"{name}={number(one)}" for name, one in settings.items() if one)
    return [Line("relu", f"relu({place(asked.place, 'inputs')}, {shown})", f"relu({number(x)}, {shown})", value)]


@explains(L.ELU)
def elu(asked: Asked) -> list[Line]:
    """An exponential below zero."""
    x, alpha = _of_one(asked), asked.layer.alpha
    value = float(activations.elu(torch.tensor(x, dtype=torch.float64), alpha))
    where = place(asked.place, "inputs")
    numbers = number(x) if x > 0 else f"{number(alpha)} x (exp({number(x)}) - 1)"
    return [Line("elu", f"{where} if it is above 0, else alpha x (exp({where}) - 1)", numbers, value)]


_OF_TORCH: dict[type, Any] = {
    torch.nn.ReLU: activations.relu,
    torch.nn.Sigmoid: activations.sigmoid,
    torch.nn.Tanh: activations.tanh,
    torch.nn.SiLU: activations.silu,
    torch.nn.Softplus: activations.softplus,
    torch.nn.GELU: activations.gelu,
}


@explains(*_OF_TORCH)
def of_torch(asked: Asked) -> list[Line] | None:
    """An activation of torch with its usual settings."""
    x = torch.tensor([_of_one(asked)], dtype=torch.float64)
    return [activated(_OF_TORCH[type(asked.layer)], x, 0, of=place(asked.place, "inputs"))]


@explains(L.Maxout)
def maxout(asked: Asked) -> list[Line]:
    """The greatest of the numbers that compete for one unit."""
    layer = asked.layer
    axis = layer.axis % asked.x.dim()
    picked = tuple(slice(None) if one == axis else at for one, at in enumerate(asked.place))
    values = full(asked.x[picked])[asked.place[axis] :: layer.num_units]
    shown = ", ".join(number(float(one)) for one in values)
    formula = f"the greatest of the {len(values)} inputs that compete for unit {asked.place[axis]}"
    return [Line("greatest", formula, f"max({shown})", float(values.max()))]
