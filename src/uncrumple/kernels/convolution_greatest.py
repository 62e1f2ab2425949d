"""A convolution along a line, relu, and the greatest of all steps, as one differentiable function for the CPU.

Only one step of each channel goes on. Its gradient therefore touches one
window of the inputs, and the backward pass adds up these windows: for 200
steps that is a two-hundredth of the work that two convolutions would be.
Where several steps are equally great they share, as in torch and Keras.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from uncrumple.kernels import native
from uncrumple.kernels.convolution import _pads, filters_first, pad
from uncrumple.kernels.transforms import differentiated, gradients_by_twin


class Line(NamedTuple):
    """How a kernel slides along a line: its stride, its holes, and the cells added on both sides."""

    stride: int = 1
    hole: int = 1
    padding: int = 0


def convolve_to_greatest(
    x: torch.Tensor,
    kernel: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str = "valid",
    relu: bool = False,
) -> torch.Tensor:
    """Return the greatest over all steps of a convolution, (samples, channels out), for what the native kernels take.

    Args:
        x: (samples, steps, channels in).
        kernel: (width, channels in, channels out).
        bias: (channels out).
        strides, dilation: One number.
        padding: `"valid"`, `"same"` or `"causal"`.
        relu: Whether negative results become 0.
    """
    both_sides = 0
    if padding != "valid":
        pads, even = _pads(padding, (x.shape[1],), (kernel.shape[0],), tuple(strides), tuple(dilation))
        if even:
            both_sides = pads[0][0]
        else:
            x = pad(x, pads)
    return Greatest.apply(x.contiguous(), kernel, bias, Line(strides[0], dilation[0], both_sides), relu)


def convolve_to_greatest_plain(
    x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, line: Line, relu: bool
) -> torch.Tensor:
    """Do what `Greatest` does with torch's own functions.

    Example:
        >>> steps = torch.tensor([[[1.0], [3.0], [2.0]]])
        >>> convolve_to_greatest_plain(steps, torch.ones(2, 1, 1), None, Line(), relu=True)
        tensor([[5.]])
    """
    out = _sums(x, kernel, bias, line)
    return (out.relu() if relu else out).amax(1)


def _sums(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, line: Line) -> torch.Tensor:
    # As an image of height 1, for which torch has a faster function.
    image, weight = x.unsqueeze(1).permute(0, 3, 1, 2), filters_first(kernel.unsqueeze(0))
    out = functional.conv2d(image, weight, bias, (1, line.stride), (0, line.padding), (1, line.hole))
    return out.squeeze(2).transpose(1, 2)


class Greatest(torch.autograd.Function):
    """The greatest step of a convolution along a line; `x` must be dense."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, line: Line, relu: bool
    ) -> torch.Tensor:
        sums = _sums(x, kernel, bias, line).contiguous()
        samples, steps, channels = sums.shape
        out = sums.new_empty(samples, channels)
        native.call("greatest_step", samples, steps, channels, relu, x.dtype is torch.bfloat16, sums, out)
        ctx.save_for_backward(x, kernel, bias, sums, out)
        ctx.line, ctx.relu = line, relu
        return out

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, kernel, bias, sums, out = ctx.saved_tensors
        line, relu = ctx.line, ctx.relu
        if differentiated(d_output):
            twin = functools.partial(convolve_to_greatest_plain, line=line, relu=relu)
            return (*gradients_by_twin(twin, (x, kernel, bias), [d_output]), None, None)
        samples, steps, channels = sums.shape
        width, channels_in, _ = kernel.shape
        d_output = d_output.contiguous()
        weight = kernel.permute(2, 0, 1).contiguous()
        d_weight = torch.zeros(weight.shape, dtype=torch.float32, device="cpu")
        d_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        places = torch.empty(samples, channels, 2, dtype=torch.int32, device="cpu")
        room = torch.empty(torch.get_num_threads(), x.shape[1], channels_in, dtype=torch.float32, device="cpu")
        native.call(
            *("greatest_step_backward", samples, steps, channels, x.shape[1], channels_in, width, *line, relu),
            *(x.dtype is torch.bfloat16, sums, out, d_output, x, weight, d_x, d_weight, places, room),
        )
        d_bias = None
        if bias is not None:
            d_bias = (d_output.masked_fill(out <= 0, 0) if relu else d_output).sum(0)
        return d_x, d_weight.permute(1, 2, 0).to(kernel.dtype), d_bias, None, None
