"""Normalization: the mean is taken off, and the result divided by the spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from uncrumple import layers as L
from uncrumple.core.settings import epsilon
from uncrumple.explain.tracing.arithmetic import Asked, Line, explains, full
from uncrumple.explain.tracing.words import less, number, place


def normalized(
    x: float, mean: float, variance: float, eps: float, gamma: float | None, beta: float | None, where: str
) -> Line:
    """Return the line `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Example:
        >>> normalized(3.0, 1.0, 4.0, 0.0, None, 0.5, "inputs[0, 0]").value
        1.5
    """
    spread = math.sqrt(variance + eps)
    value = (x - mean) / spread
    formula, numbers = "(x - mean) / sqrt(variance + epsilon)", f"({less(x, mean)}) / {number(spread)}"
    size = (abs(x) + abs(mean)) / spread
    if gamma is not None:
        value, size = value * gamma, size * abs(gamma)
        formula, numbers = f"gamma x {formula}", f"{number(gamma)} x {numbers}"
    if beta is not None:
        value, size = value + beta, size + abs(beta)
        formula, numbers = f"{formula} + beta", f"{numbers} + {number(beta)}"
    return Line("normalized", f"{formula}, for x = {where}", numbers, value, size)


def _statistics(values: torch.Tensor, over: str) -> tuple[list[Line], float, float]:
    """Return the lines for mean and variance of some numbers, and both."""
    mean = float(values.mean())
    variance = float((values - mean).square().mean())
    count = values.numel()
    lines = [
        Line("mean", f"of the {count:,} numbers {over}", number(mean), mean),
        Line("variance", "the mean of (x - mean) squared over the same", number(variance), variance),
    ]
    return lines, mean, variance


def _one(weight: torch.Tensor | None, *at: int) -> float | None:
    return None if weight is None else float(full(weight)[at])


@explains(L.BatchNormalization)
def batch_normalization(asked: Asked) -> list[Line] | None:
    """One number of a channel: with the moving averages, or in training with those of the batch."""
    layer, axis = asked.layer, asked.layer._channel_axis
    channel = asked.place[axis]
    x = float(full(asked.x[asked.place]))
    if asked.training and layer._trainable:
        if layer.renorm or getattr(asked.x, "_keras_mask", None) is not None:
            return None
        lines, mean, variance = _statistics(full(asked.x.select(axis, channel)), f"of channel {channel} in the batch")
    else:
        mean, variance = float(full(layer.moving_mean)[channel]), float(full(layer.moving_variance)[channel])
        lines = [
            Line("mean", f"moving_mean[{channel}], kept from training", number(mean), mean),
            Line("variance", f"moving_variance[{channel}], kept from training", number(variance), variance),
        ]
    where = place(asked.place, "inputs")
    gamma, beta = _one(layer.gamma, channel), _one(layer.beta, channel)
    return [*lines, normalized(x, mean, variance, layer.epsilon, gamma, beta, where)]


@explains(torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)
def torch_batch_norm(asked: Asked) -> list[Line] | None:
    """torch's, with its running averages."""
    layer, channel = asked.layer, asked.place[1]
    if asked.training or layer.running_mean is None:
        return None
    mean, variance = float(layer.running_mean[channel]), float(layer.running_var[channel])
    line = normalized(
        float(full(asked.x[asked.place])),
        mean,
        variance,
        layer.eps,
        _one(layer.weight, channel),
        _one(layer.bias, channel),
        place(asked.place, "inputs"),
    )
    return [
        Line("mean", f"running_mean[{channel}], kept from training", number(mean), mean),
        Line("variance", f"running_var[{channel}], kept from training", number(variance), variance),
        line,
    ]


def _over_axes(asked: Asked, axes: Sequence[int]) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Return the numbers of a sample that are normalized together, and the place within them."""
    axes = sorted(axis % asked.x.dim() for axis in axes)
    picked = tuple(slice(None) if axis in axes else at for axis, at in enumerate(asked.place))
    return full(asked.x[picked]), tuple(asked.place[axis] for axis in axes)


@explains(L.LayerNormalization)
def layer_normalization(asked: Asked) -> list[Line] | None:
    """One number of a sample, by mean and variance of its features."""
    layer = asked.layer
    if layer.rms_scaling:
        return None
    values, at = _over_axes(asked, layer._over)
    lines, mean, variance = _statistics(values, "that are normalized together")
    line = normalized(
        float(values[at]),
        mean,
        variance,
        layer.epsilon,
        _one(layer.gamma, *at),
        _one(layer.beta, *at),
        place(asked.place, "inputs"),
    )
    return [*lines, line]


@explains(torch.nn.LayerNorm)
def torch_layer_norm(asked: Asked) -> list[Line]:
    """torch's, over the last axes."""
    layer = asked.layer
    values, at = _over_axes(asked, range(-len(layer.normalized_shape), 0))
    lines, mean, variance = _statistics(values, "that are normalized together")
    where = place(asked.place, "inputs")
    line = normalized(
        float(values[at]), mean, variance, layer.eps, _one(layer.weight, *at), _one(layer.bias, *at), where
    )
    return [*lines, line]


@explains(L.GroupNormalization)
def group_normalization(asked: Asked) -> list[Line]:
    """One number of a sample, by mean and variance of its group of channels."""
    layer, axis = asked.layer, asked.layer._channel_axis
    channel = asked.place[axis]
    each = asked.x.shape[axis] // layer.groups
    group = channel // each
    values = full(asked.x[asked.place[0]].narrow(axis - 1, group * each, each))
    lines, mean, variance = _statistics(
        values, f"of group {group}, channels {group * each} to {group * each + each - 1}"
    )
    x = float(full(asked.x[asked.place]))
    gamma, beta = _one(layer.gamma, channel), _one(layer.beta, channel)
    return [*lines, normalized(x, mean, variance, layer.epsilon, gamma, beta, place(asked.place, "inputs"))]


@explains(L.RMSNormalization)
def rms_normalization(asked: Asked) -> list[Line]:
    """One number, divided by the root of the mean square."""
    layer = asked.layer
    values, at = _over_axes(asked, layer._over)
    square = float(values.square().mean())
    root, scale, x = math.sqrt(square + layer.epsilon), float(full(layer.scale)[at]), float(values[at])
    return [
        Line("mean square", f"of the {values.numel():,} numbers that are normalized together", number(square), square),
        Line(
            "normalized",
            f"scale x x / sqrt(mean square + epsilon), for x = {place(asked.place, 'inputs')}",
            f"{number(scale)} x {number(x)} / {number(root)}",
            scale * x / root,
        ),
    ]


@explains(L.UnitNormalization)
def unit_normalization(asked: Asked) -> list[Line]:
    """One number, divided by the length of its row."""
    axes = asked.layer.axis if isinstance(asked.layer.axis, (list, tuple)) else [asked.layer.axis]
    values, at = _over_axes(asked, axes)
    length, x = max(float(values.square().sum().sqrt()), 1e-12), float(values[at])
    return [
        Line("length", f"the root of the sum of {values.numel():,} squares", number(length), length),
        Line("scaled", f"{place(asked.place, 'inputs')} / length", f"{number(x)} / {number(length)}", x / length),
    ]


@explains(L.Rescaling)
def rescaling(asked: Asked) -> list[Line]:
    """One number, multiplied and shifted."""
    layer, shape = asked.layer, tuple(asked.output.shape)
    scale, offset = (
        float(np.broadcast_to(np.asarray(value, dtype=np.float64), shape)[asked.place])
        for value in (layer.scale, layer.offset)
    )
    x = float(full(asked.x[asked.place]))
    value = x * scale + offset
    formula = f"{place(asked.place, 'inputs')} x scale + offset"
    return [
        Line(
            "rescaled",
            formula,
            f"{number(x)} x {number(scale)} + {number(offset)}",
            value,
            abs(x * scale) + abs(offset),
        )
    ]


@explains(L.Normalization)
def normalization(asked: Asked) -> list[Line]:
    """One feature, by the mean and variance that `adapt` measured."""
    layer, shape = asked.layer, asked.output.shape
    mean, variance = (float(full(one).expand(shape)[asked.place]) for one in (layer.mean, layer.variance))
    x, spread = float(full(asked.x[asked.place])), max(math.sqrt(variance), epsilon())
    where = place(asked.place, "inputs")
    if layer.invert:
        value = x * spread + mean
        return [
            Line(
                "restored",
                f"{where} x spread + mean",
                f"{number(x)} x {number(spread)} + {number(mean)}",
                value,
                abs(x * spread) + abs(mean),
            )
        ]
    value = (x - mean) / spread
    formula = f"({where} - mean) / sqrt(variance), with what adapt() measured"
    return [
        Line(
            "normalized",
            formula,
            f"({less(x, mean)}) / {number(spread)}",
            value,
            (abs(x) + abs(mean)) / spread,
        )
    ]
