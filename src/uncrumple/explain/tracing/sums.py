"""Weighted sums: dense layers and convolutions, of this package and of torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple import layers as L
from uncrumple.explain.tracing.activating import activated, is_linear, needs_row
from uncrumple.explain.tracing.arithmetic import Asked, Line, explains, full
from uncrumple.explain.tracing.words import grid, place, sum_of_products
from uncrumple.kernels.convolution import _transposed_crops, pads_for
from uncrumple.layers.convolution import _Convolution
from uncrumple.layers.convolution_depthwise import _Depthwise, _Separable
from uncrumple.layers.convolution_transpose import _TransposedConvolution

# Windows up to this size are shown as they lie.
_SHOWN_WINDOW = 5


def dense_lines(
    row: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, activation: Any, unit: int, where: str
) -> list[Line]:
    """Return the lines for one unit of a dense layer.

    Args:
        row: The inputs, one-dimensional.
        kernel: (inputs, units).
        bias: (units), or None.
        activation: Function, or None.
        unit: Which one.
        where: What the inputs are called.
    """
    extra = [] if bias is None else [("bias", float(bias[unit]))]
    numbers, total, size = sum_of_products(row.numpy(), kernel[:, unit].numpy(), extra)
    formula = f"{where} times kernel[:, {unit}], added up" + ("" if bias is None else f", + bias[{unit}]")
    found = [Line("sum", formula, numbers, total, size)]
    if not is_linear(activation):
        sums = row @ kernel + (0 if bias is None else bias)
        found.append(activated(activation, sums, unit))
    return found


@explains(L.Dense)
def dense(asked: Asked) -> list[Line]:
    """A dense layer's weighted sum."""
    layer, at = asked.layer, asked.place
    row = full(asked.x[at[:-1]])
    bias = None if layer.bias is None else full(layer.bias)
    return dense_lines(row, full(layer.kernel), bias, layer.activation, at[-1], place(at[:-1], "inputs"))


@explains(torch.nn.Linear)
def torch_linear(asked: Asked) -> list[Line]:
    """torch's dense layer, whose weight lies the other way round."""
    layer, at = asked.layer, asked.place
    bias = None if layer.bias is None else full(layer.bias)
    return dense_lines(full(asked.x[at[:-1]]), full(layer.weight).T, bias, None, at[-1], place(at[:-1], "inputs"))


@explains(L.EinsumDense)
def einsum_dense(asked: Asked) -> list[Line] | None:
    """A product by letters: those that the output lacks are summed over."""
    layer, at, parts = asked.layer, asked.place, asked.layer._equation
    if "." in layer.equation or needs_row(layer.activation):
        return None
    fixed = dict(zip(parts.outputs, at))
    summed = [letter for letter in parts.inputs if letter not in fixed]
    kernel = full(layer.kernel)

    def line_of(tensor: torch.Tensor, letters: str) -> torch.Tensor:
        """Return the numbers that are multiplied, in the order of the summed letters."""
        picked = tensor[tuple(fixed.get(letter, slice(None)) for letter in letters)]
        left = [letter for letter in letters if letter not in fixed]
        return picked.permute([left.index(letter) for letter in summed]).flatten()

    extra = []
    if layer.bias is not None:
        extra = [("bias", float(full(layer.bias).expand(asked.output.shape)[at]))]
    numbers, total, size = sum_of_products(
        line_of(full(asked.x), parts.inputs).numpy(), line_of(kernel, parts.kernel).numpy(), extra
    )
    formula = f"inputs times kernel, added up over {', '.join(summed)} of '{layer.equation}'" + (
        ", + bias" if extra else ""
    )
    found = [Line("sum", formula, numbers, total, size)]
    if not is_linear(layer.activation):
        found.append(activated(layer.activation, torch.tensor([total], dtype=torch.float64), 0))
    return found


# --- convolutions -------------------------------------------------------------------------


def window_of(image: torch.Tensor, start: Sequence[int], size: Sequence[int], holes: Sequence[int]) -> torch.Tensor:
    """Return what a kernel sees of an image (..., channels), with zeros outside of it."""
    for axis, (first, count, hole) in enumerate(zip(start, size, holes)):
        places = first + hole * torch.arange(count)
        inside = (places >= 0) & (places < image.shape[axis])
        picked = image.index_select(axis, places.clamp(0, image.shape[axis] - 1))
        shape = [1] * image.dim()
        shape[axis] = count
        image = torch.where(inside.reshape(shape), picked, 0.0)
    return image


def convolution_lines(
    window: torch.Tensor, kernel: torch.Tensor, bias: float | None, where: str, of_kernel: str, name: str = "sum"
) -> Line:
    """Return the line for one window: its numbers times those of the kernel, of the same shape, added up."""
    extra = [] if bias is None else [("bias", bias)]
    numbers, total, size = sum_of_products(window.flatten().numpy(), kernel.flatten().numpy(), extra)
    formula = f"{where} times {of_kernel}, added up" + ("" if bias is None else ", + bias")
    table: tuple[str, ...] = ()
    flat = window.shape[-1] == 1 and window.dim() in (2, 3) and max(window.shape) <= _SHOWN_WINDOW
    if flat:
        shown = [part.reshape(-1, part.shape[-2]).numpy() for part in (window, kernel)]
        table = (f"{where}, and {of_kernel}:", *(f"  {line}" for line in grid(*shown)))
    return Line(name, formula, numbers, total, size, table)


def _starts(asked: Asked, sizes: Sequence[int], spatial: Sequence[int]) -> list[int]:
    """Return where the window of an output begins in the input, outside of it too."""
    layer = asked.layer
    before = [0] * len(sizes)
    if layer.padding != "valid":
        pads, _ = pads_for(layer.padding, tuple(sizes), layer.kernel_size, layer.strides, layer.dilation_rate)
        before = [first for first, _ in pads]
    return [at * stride - first for at, stride, first in zip(spatial, layer.strides, before)]


def _parts(asked: Asked) -> tuple[torch.Tensor, tuple[int, ...], int]:
    """Return the sample with its channels last, where in space the number is, and its channel."""
    last = asked.layer._channels_last
    image = asked.sample if last else asked.sample.movedim(0, -1)
    inner = asked.place[1:]
    return (image, inner[:-1], inner[-1]) if last else (image, inner[1:], inner[0])


def _seen(asked: Asked, starts: Sequence[int], channel: str) -> str:
    """Return which part of the input a window covers, as Python spells it."""
    layer = asked.layer
    ends = [(size - 1) * hole + 1 + first for first, size, hole in zip(starts, layer.kernel_size, layer.dilation_rate)]
    steps = [f":{hole}" if hole > 1 else "" for hole in layer.dilation_rate]
    inner = [f"{first}:{end}{step}" for first, end, step in zip(starts, ends, steps)]
    order = [*inner, channel] if layer._channels_last else [channel, *inner]
    return f"inputs[{', '.join([str(asked.place[0]), *order])}]"


def _finished(layer: Any, line: Line, row: torch.Tensor | None = None, index: int = 0) -> list[Line] | None:
    """Return a sum, and what the activation makes of it."""
    if is_linear(layer.activation):
        return [line]
    if needs_row(layer.activation) and row is None:
        return None
    values = torch.tensor([line.value], dtype=torch.float64) if row is None else row
    return [line, activated(layer.activation, values, 0 if row is None else index)]


@explains(_Convolution)
def convolution(asked: Asked) -> list[Line] | None:
    """A convolution's window at one place."""
    layer = asked.layer
    if type(layer).convolution_op is not _Convolution.convolution_op:
        return None
    image, spatial, channel = _parts(asked)
    kernel = full(layer.kernel)
    starts = _starts(asked, image.shape[:-1], spatial)
    window = window_of(image, starts, layer.kernel_size, layer.dilation_rate)
    each = kernel.shape[-2]
    group = channel // (layer.filters // layer.groups)
    window = window[..., group * each : (group + 1) * each]
    channels = ":" if layer.groups == 1 else f"{group * each}:{(group + 1) * each}"
    bias = None if layer.bias is None else float(full(layer.bias)[channel])
    of_kernel = f"kernel[{', '.join([':'] * (layer.rank + 1))}, {channel}]"
    line = convolution_lines(window, kernel[..., channel], bias, _seen(asked, starts, channels), of_kernel)
    row = None
    if needs_row(layer.activation) and layer.groups == 1 and layer._channels_last:
        row = window.flatten() @ kernel.flatten(0, -2) + (0 if layer.bias is None else full(layer.bias))
    return _finished(layer, line, row, channel)


@explains(_Depthwise)
def depthwise(asked: Asked) -> list[Line] | None:
    """A kernel over one channel."""
    layer = asked.layer
    image, spatial, channel = _parts(asked)
    source, which = divmod(channel, layer.depth_multiplier)
    starts = _starts(asked, image.shape[:-1], spatial)
    window = window_of(image[..., source : source + 1], starts, layer.kernel_size, layer.dilation_rate)
    kernel = full(layer.kernel)[..., source : source + 1, which]
    bias = None if layer.bias is None else float(full(layer.bias)[channel])
    of_kernel = f"kernel[{', '.join([':'] * layer.rank)}, {source}, {which}]"
    return _finished(layer, convolution_lines(window, kernel, bias, _seen(asked, starts, str(source)), of_kernel))


@explains(_Separable)
def separable(asked: Asked) -> list[Line] | None:
    """A kernel over each channel, and then a weighted sum of the channels."""
    layer = asked.layer
    image, spatial, unit = _parts(asked)
    starts = _starts(asked, image.shape[:-1], spatial)
    window = window_of(image, starts, layer.kernel_size, layer.dilation_rate)
    kernel, pointwise = full(layer.depthwise_kernel), full(layer.pointwise_kernel).flatten(0, -2)
    each = (window.unsqueeze(-1) * kernel).flatten(0, layer.rank - 1).sum(0).flatten()
    best = int((each * pointwise[:, unit]).abs().argmax())
    source, which = divmod(best, layer.depth_multiplier)
    of_kernel = f"depthwise_kernel[{', '.join([':'] * layer.rank)}, {source}, {which}]"
    first = convolution_lines(
        window[..., source : source + 1],
        kernel[..., source : source + 1, which],
        None,
        _seen(asked, starts, str(source)),
        of_kernel,
        name=f"channel {best}",
    )
    bias = [] if layer.bias is None else [("bias", float(full(layer.bias)[unit]))]
    numbers, total, size = sum_of_products(each.numpy(), pointwise[:, unit].numpy(), bias)
    formula = f"every such channel times pointwise_kernel[..., {unit}], added up" + (", + bias" if bias else "")
    found = _finished(layer, Line("sum", formula, numbers, total, size))
    return None if found is None else [first, *found]


@explains(_TransposedConvolution)
def transposed(asked: Asked) -> list[Line] | None:
    """All cells whose spread reaches the place."""
    layer = asked.layer
    image, spatial, unit = _parts(asked)
    kernel = full(layer.kernel)
    extras = layer.output_padding or [None] * layer.rank
    reached = []
    for axis, at in enumerate(spatial):
        size, stride, hole = layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis]
        before, _ = _transposed_crops((size - 1) * hole + 1, stride, layer.padding, extras[axis])
        pairs = []
        for offset in range(size):
            cell, rest = divmod(at + before - offset * hole, stride)
            if not rest and 0 <= cell < image.shape[axis]:
                pairs.append((cell, offset))
        reached.append(pairs)
    cells, weights = [], []
    for combination in itertools.product(*reached):
        cells.append(image[tuple(cell for cell, _ in combination)])
        weights.append(kernel[tuple(offset for _, offset in combination)][unit])
    empty = np.zeros(0)
    bias = [] if layer.bias is None else [("bias", float(full(layer.bias)[unit]))]
    first = torch.cat(cells).numpy() if cells else empty
    numbers, total, size = sum_of_products(first, torch.cat(weights).numpy() if cells else empty, bias)
    formula = f"the {len(cells)} cells that spread to here, times their kernels, added up" + (
        ", + bias" if bias else ""
    )
    return _finished(layer, Line("sum", formula, numbers, total, size))


@explains(torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
def torch_convolution(asked: Asked) -> list[Line] | None:
    """torch's convolution: channels first, and as many zeros on both sides."""
    layer = asked.layer
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return None
    channel, spatial = asked.place[1], asked.place[2:]
    each = layer.in_channels // layer.groups
    group = channel // (layer.out_channels // layer.groups)
    image = asked.sample[group * each : (group + 1) * each].movedim(0, -1)
    starts = [at * stride - pad for at, stride, pad in zip(spatial, layer.stride, layer.padding)]
    window = window_of(image, starts, layer.kernel_size, layer.dilation)
    kernel = full(layer.weight)[channel].movedim(0, -1)
    ends = [(size - 1) * hole + 1 + first for first, size, hole in zip(starts, layer.kernel_size, layer.dilation)]
    inner = ", ".join(f"{first}:{end}" for first, end in zip(starts, ends))
    bias = None if layer.bias is None else float(full(layer.bias)[channel])
    return [convolution_lines(window, kernel, bias, f"inputs[{asked.place[0]}, :, {inner}]", f"weight[{channel}]")]
