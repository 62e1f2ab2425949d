"""Convolutions with what follows them (relu, max pooling, dropout) as one differentiable function, for the CPU.

oneDNN does the convolution. What follows it reads its result once and writes
the small one that goes on; the large one is not needed again, since a byte
per result says where in its window it came from, or that nothing came
through. The backward pass writes the gradient of the large one in one go,
and the gradient of the bias on the way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn import functional

from uncrumple.kernels import native
from uncrumple.kernels.dropout import keep_plain


class Ending(NamedTuple):
    """What follows a convolution.

    Attributes:
        relu: Whether negative numbers become 0.
        window: Height and width of the windows of max pooling, which lie side by side; None for no pooling.
        seed, limit, scale: Of the dropout behind the pooling; a limit of 0 stands for none.
    """

    relu: bool
    window: tuple[int, int] | None = None
    seed: int = 0
    limit: int = 0
    scale: float = 1.0


class Geometry(NamedTuple):
    """How a kernel slides: for each axis its stride, the cells added on both sides, and its holes."""

    strides: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def convolve_and_end(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, ending: Ending
) -> torch.Tensor:
    """Return what is left of a convolution after its ending, (samples, channels, ...) with channels last in memory.

    Args:
        x: (samples, channels in, height, width), best with channels last in memory.
        weight: (channels out, channels in / groups, height, width).
        bias: (channels out).
    """
    return _Convolution.apply(x, weight, bias, geometry, ending)


def convolve_and_end_plain(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, ending: Ending
) -> torch.Tensor:
    """Do what `convolve_and_end` does with torch's own functions."""
    out = functional.conv2d(x, weight, bias, *geometry)
    if ending.relu:
        out = out.relu()
    if ending.window is not None:
        out = functional.max_pool2d(out, ending.window)
    if ending.limit:
        samples, channels, height, width = out.shape
        kept = keep_plain(out.numel(), ending.seed, ending.limit).view(samples, height, width, channels)
        out = out * kept.permute(0, 3, 1, 2) * ending.scale
    return out


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        geometry: Geometry,
        ending: Ending,
    ) -> torch.Tensor:
        sums = functional.conv2d(x, weight, bias, *geometry)
        ctx.geometry, ctx.ending, ctx.shape = geometry, ending, sums.shape
        if ending.window is None:
            out = sums.relu_()
            ctx.save_for_backward(x, weight, bias, out)
            return out
        sums = sums.contiguous(memory_format=torch.channels_last)
        samples, channels, height, width = sums.shape
        tall, wide = ending.window
        shape = (samples, height // tall, width // wide, channels)
        pooled = sums.new_empty(shape)
        where = torch.empty(shape, dtype=torch.uint8)
        drawn = ending.relu, ending.seed, ending.limit, ending.scale, sums.dtype is torch.bfloat16
        native.call("pool", samples, height, width, channels, tall, wide, *drawn, sums, pooled, where)
        ctx.save_for_backward(x, weight, bias, where)
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, bias, kept = ctx.saved_tensors
        geometry, ending = ctx.geometry, ctx.ending
        if torch.is_grad_enabled():
            return *_by_twin(ctx, x, weight, bias, d_output), None, None
        samples, channels, height, width = ctx.shape
        d_output = d_output.contiguous(memory_format=torch.channels_last)
        d_sums = torch.empty(ctx.shape, dtype=x.dtype, memory_format=torch.channels_last)
        per_thread = torch.zeros(torch.get_num_threads(), channels)
        half = x.dtype is torch.bfloat16
        if ending.window is None:
            kept = kept.contiguous(memory_format=torch.channels_last)
            rows = samples * height * width
            native.call("relu_backward", rows, channels, half, kept, d_output, d_sums, per_thread)
        else:
            sizes = samples, height, width, channels, *ending.window
            native.call("pool_backward", *sizes, ending.scale, half, d_output, kept, d_sums, per_thread)
        d_x, d_weight, _ = torch.ops.aten.convolution_backward(
            d_sums,
            x,
            weight,
            None,
            geometry.strides,
            geometry.padding,
            geometry.dilation,
            False,
            (0, 0),
            geometry.groups,
            (ctx.needs_input_grad[0], ctx.needs_input_grad[1], False),
        )
        d_bias = per_thread.sum(0).to(bias.dtype) if bias is not None else None
        return d_x, d_weight, d_bias, None, None


def _by_twin(ctx: Any, x: Any, weight: Any, bias: Any, d_output: torch.Tensor) -> list[torch.Tensor | None]:
    """Return gradients that can be differentiated again."""
    out = convolve_and_end_plain(x, weight, bias, ctx.geometry, ctx.ending)
    given = [one for one in (x, weight, bias) if one is not None and one.requires_grad]
    found = iter(torch.autograd.grad(out, given, d_output, create_graph=True))
    return [next(found) if one is not None and one.requires_grad else None for one in (x, weight, bias)]
