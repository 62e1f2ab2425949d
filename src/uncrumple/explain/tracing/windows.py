"""Pooling: what becomes of the numbers in one window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple import layers as L
from uncrumple.explain.tracing.arithmetic import Asked, Line, explains, full
from uncrumple.explain.tracing.words import number, several, sum_of
from uncrumple.kernels.convolution import same_padding
from uncrumple.layers.adaptive_pooling import _AdaptiveMaxPooling, _AdaptivePooling
from uncrumple.layers.global_pooling import _GlobalMaxPooling, _GlobalPooling
from uncrumple.layers.pooling import _MaxPooling, _Pooling
from uncrumple.layers.spatial import Spatial


def _channel_last(asked: Asked) -> tuple[torch.Tensor, tuple[int, ...], int]:
    last = asked.layer._channels_last
    image, inner = asked.sample, asked.place[1:]
    return (image, inner[:-1], inner[-1]) if last else (image.movedim(0, -1), inner[1:], inner[0])


def of_window(
    asked: Asked, values: torch.Tensor, greatest: bool, spans: Sequence[tuple[int, int]], channel: int
) -> Line:
    """Return the line for one window: its greatest number, or the mean."""
    inner = [f"{first}:{end}" for first, end in spans]
    order = [*inner, str(channel)] if getattr(asked.layer, "_channels_last", False) else [str(channel), *inner]
    where = f"inputs[{', '.join([str(asked.place[0]), *order])}]"
    flat = values.flatten()
    if greatest:
        value = float(flat.max())
        return Line(
            "greatest", f"the greatest of the {flat.numel()} numbers {where}", f"max({several(flat.tolist())})", value
        )
    value, size = float(flat.mean()), float(flat.abs().mean())
    return Line(
        "mean",
        f"the mean of the {flat.numel()} numbers {where}",
        f"({sum_of(flat.numpy())}) / {flat.numel()}",
        value,
        size,
    )


@explains(_Pooling)
def pooling(asked: Asked) -> list[Line]:
    """A window of the size that the layer was made with; padding does not count."""
    layer = asked.layer
    image, spatial, channel = _channel_last(asked)
    spans = []
    for size, window, stride, at in zip(image.shape, layer.pool_size, layer.strides, spatial):
        before = same_padding(size, window, stride)[0] if layer.padding == "same" else 0
        first = at * stride - before
        spans.append((max(first, 0), min(first + window, size)))
    picked: Any = (*(slice(*span) for span in spans), channel)
    values = image[picked]
    return [of_window(asked, values, isinstance(layer, _MaxPooling), spans, channel)]


@explains(_AdaptivePooling)
def adaptive_pooling(asked: Asked) -> list[Line]:
    """A window whose size follows from the sizes of input and output."""
    layer = asked.layer
    image, spatial, channel = _channel_last(asked)
    spans = [
        (at * size // count, -(-(at + 1) * size // count))
        for at, size, count in zip(spatial, image.shape, layer.output_size)
    ]
    picked: Any = (*(slice(*span) for span in spans), channel)
    values = image[picked]
    return [of_window(asked, values, isinstance(layer, _AdaptiveMaxPooling), spans, channel)]


@explains(_GlobalPooling)
def global_pooling(asked: Asked) -> list[Line]:
    """All numbers of one channel."""
    layer = asked.layer
    last = layer._channels_last
    image = asked.sample if last else asked.sample.movedim(0, -1)
    channel = asked.place[-1] if last or len(asked.place) == 2 else asked.place[1]
    values = image[..., channel]
    mask = getattr(asked.x, "_keras_mask", None)
    if mask is not None and isinstance(layer, L.GlobalAveragePooling1D):
        values = values[mask[asked.place[0]].bool().cpu()]
    spans = [(0, size) for size in image.shape[:-1]]
    return [of_window(asked, values, isinstance(layer, _GlobalMaxPooling), spans, channel)]


@explains(torch.nn.MaxPool1d, torch.nn.MaxPool2d, torch.nn.AvgPool1d, torch.nn.AvgPool2d)
def torch_pooling(asked: Asked) -> list[Line] | None:
    """torch's pooling, without padding and gaps."""
    layer, channel, spatial = asked.layer, asked.place[1], asked.place[2:]
    rank = len(spatial)

    def sizes(value: int | tuple[int, ...]) -> tuple[int, ...]:
        return (value,) * rank if isinstance(value, int) else tuple(value)

    if any(sizes(layer.padding)) or any(one != 1 for one in sizes(getattr(layer, "dilation", 1))):
        return None
    spans = [
        (at * stride, min(at * stride + window, size))
        for at, stride, window, size in zip(
            spatial, sizes(layer.stride), sizes(layer.kernel_size), asked.sample.shape[1:]
        )
    ]
    picked: Any = (channel, *(slice(*span) for span in spans))
    values = asked.sample[picked]
    return [of_window(asked, values, "Max" in type(layer).__name__, spans, channel)]


@explains(L.UpSampling1D, L.UpSampling2D, L.UpSampling3D)
def upsampling(asked: Asked) -> list[Line] | None:
    """The cell that is repeated there."""
    layer = asked.layer
    if getattr(layer, "interpolation", "nearest") != "nearest":
        return None
    factors = layer.size if isinstance(layer.size, tuple) else (layer.size,)
    first = 1 if getattr(layer, "_channels_last", True) else 2
    source = list(asked.place)
    for axis, factor in enumerate(factors, first):
        source[axis] //= factor
    value = float(full(asked.x)[tuple(source)])
    shown = f"inputs[{', '.join(map(str, source))}]"
    return [Line("copy", f"{shown}: each cell is repeated {math.prod(factors)} times", number(value), value)]


@explains(L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D, L.Cropping1D, L.Cropping2D, L.Cropping3D)
def margins(asked: Asked) -> list[Line]:
    """The cell that has moved there; 0 in the margin."""
    layer: Spatial = asked.layer
    cuts = getattr(layer, "_cuts", None)
    moved = [-before for before, _ in getattr(layer, "_pads", ())] if cuts is None else [before for before, _ in cuts]
    first = 1 if layer._channels_last else 2
    source = list(asked.place)
    for axis, by in enumerate(moved, first):
        source[axis] += by
    inside = all(0 <= at < size for at, size in zip(source, asked.x.shape))
    if not inside:
        return [Line("margin", "the margin is filled with zeros", "0", 0.0)]
    value = float(full(asked.x)[tuple(source)])
    return [Line("copy", f"inputs[{', '.join(map(str, source))}], moved by the margin", number(value), value)]
