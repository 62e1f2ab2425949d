"""Convolution and pooling in Keras's layout, and the patches they work on."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.promotion import torch_type
from uncrumple.kernels import convolution as kernels
from uncrumple.kernels import pooling
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import channels_last, float_type, per_axis, tensor, tensors

operation = group("nn")
# fmt: off
__all__ = ["adaptive_average_pool", "adaptive_max_pool", "average_pool", "conv", "conv_transpose", "depth_to_space",
           "depthwise_conv", "fold", "max_pool", "separable_conv", "space_to_depth", "unfold"]
# fmt: on


def _rank(owner: str, x: torch.Tensor) -> int:
    if not 3 <= x.ndim <= 5:
        raise ValueError(
            explain(
                f"{owner} got a tensor of shape {tuple(x.shape)}.",
                "Expected 3, 4 or 5 axes: samples, one to three of space or time, and channels.",
                "ops.expand_dims(x, 0) adds the axis of samples",
            )
        )
    return x.ndim - 2


def _padding(owner: str, padding: Any, known: tuple[str, ...] = ("valid", "same")) -> str:
    name = str(padding).lower()
    if name not in known:
        raise ValueError(unknown_name("padding", padding, known))
    return name


@operation()
def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> torch.Tensor:
    """Return the largest number in each window.

    Args:
        inputs: (samples, ..., channels), or channels first.
        pool_size: Of the window; one number, or one per axis.
        strides: From window to window; `pool_size` by default.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
    """
    return _pooled(pooling.max_pool, "max_pool", inputs, pool_size, strides, padding, data_format)


@operation()
def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> torch.Tensor:
    """Return the mean of each window; padded cells do not count. Arguments are as for `max_pool`."""
    return _pooled(pooling.average_pool, "average_pool", inputs, pool_size, strides, padding, data_format)


def _pooled(function: Any, owner: str, x: Any, size: Any, strides: Any, padding: str, data_format: Any) -> torch.Tensor:
    x = tensor(x)
    rank = _rank(owner, x)
    size = per_axis(size, rank, "pool_size")
    steps = size if strides is None else per_axis(strides, rank, "strides")
    return function(x, size, steps, _padding(owner, padding), channels_last(data_format, owner))


def _adaptive(functions: Any, owner: str, x: Any, size: Any, data_format: Any) -> torch.Tensor:
    x = tensor(x)
    rank = _rank(owner, x)
    last = channels_last(data_format, owner)
    x = x.movedim(-1, 1) if last else x
    out = functions[rank - 1](x, per_axis(size, rank, "output_size"))
    return out.movedim(1, -1) if last else out


@operation()
def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> torch.Tensor:
    """Return the means of windows chosen so that `output_size` results come out."""
    functions = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
    return _adaptive(functions, "adaptive_average_pool", inputs, output_size, data_format)


@operation()
def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> torch.Tensor:
    """Return the largest numbers of windows chosen so that `output_size` results come out."""
    functions = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
    return _adaptive(functions, "adaptive_max_pool", inputs, output_size, data_format)


def _conv_inputs(owner: str, *xs: Any) -> list[torch.Tensor]:
    """Return data and kernels in one floating type."""
    found = tensors(*xs)
    kind = torch_type(float_type(*(x.dtype for x in found)))
    return [x if x.dtype is found[0].dtype and x.is_floating_point() else x.to(kind) for x in found]


@operation(2)
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """Slide a kernel over one, two or three axes.

    Args:
        inputs: (samples, ..., channels), or channels first.
        kernel: (..., channels in, channels out). Fewer channels in than the data
            has make groups.
        strides: From place to place; one number, or one per axis.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: From cell to cell of the kernel.
    """
    x, kernel = _conv_inputs("conv", inputs, kernel)
    rank = _rank("conv", x)
    last = channels_last(data_format, "conv")
    channels = x.shape[-1 if last else 1]
    if kernel.ndim != rank + 2 or channels % kernel.shape[-2]:
        raise _no_kernel("conv", x, kernel, f"({'..., ' if rank > 1 else 'size, '}{channels}, channels out)")
    return kernels.convolve(
        x,
        kernel,
        strides=per_axis(strides, rank, "strides"),
        dilation=per_axis(dilation_rate, rank, "dilation_rate"),
        padding=_padding("conv", padding),
        groups=channels // kernel.shape[-2],
        channels_last=last,
    )


def _no_kernel(owner: str, x: torch.Tensor, kernel: torch.Tensor, expected: str) -> ValueError:
    return ValueError(
        explain(
            f"{owner} got data of shape {tuple(x.shape)} and a kernel of shape {tuple(kernel.shape)}.",
            f"Expected a kernel of shape {expected}.",
            "the channels of the data are the last axis but one of the kernel",
        )
    )


@operation(2)
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """Slide kernels (..., channels, results per channel) over each channel on its own; see `conv`."""
    x, kernel = _conv_inputs("depthwise_conv", inputs, kernel)
    rank = _rank("depthwise_conv", x)
    last = channels_last(data_format, "depthwise_conv")
    if kernel.ndim != rank + 2 or x.shape[-1 if last else 1] != kernel.shape[-2]:
        raise _no_kernel("depthwise_conv", x, kernel, f"(..., {x.shape[-1 if last else 1]}, results per channel)")
    return kernels.convolve_depthwise(
        x,
        kernel,
        strides=per_axis(strides, rank, "strides"),
        dilation=per_axis(dilation_rate, rank, "dilation_rate"),
        padding=_padding("depthwise_conv", padding),
        channels_last=last,
    )


@operation(3)
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """Slide kernels over each channel, and then mix the channels with a kernel (1, ..., channels in, channels out)."""
    out = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(out, pointwise_kernel, data_format=data_format)


@operation(2)
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """Spread each cell through a kernel (..., channels out, channels in): the gradient of `conv`.

    Args:
        output_padding: Extra cells at the end; None takes as many as `padding`
            asks for. The others are as for `conv`.
    """
    x, kernel = _conv_inputs("conv_transpose", inputs, kernel)
    rank = _rank("conv_transpose", x)
    last = channels_last(data_format, "conv_transpose")
    if kernel.ndim != rank + 2 or x.shape[-1 if last else 1] != kernel.shape[-1]:
        raise _no_kernel("conv_transpose", x, kernel, f"(..., channels out, {x.shape[-1 if last else 1]})")
    return kernels.convolve_transposed(
        x,
        kernel,
        strides=per_axis(strides, rank, "strides"),
        dilation=per_axis(dilation_rate, rank, "dilation_rate"),
        padding=_padding("conv_transpose", padding),
        output_padding=None if output_padding is None else per_axis(output_padding, rank, "output_padding"),
        channels_last=last,
    )


def _axes(owner: str, x: Any, count: int, what: str) -> torch.Tensor:
    x = tensor(x)
    if x.ndim != count:
        raise ValueError(explain(f"{owner} got a tensor of shape {tuple(x.shape)}.", f"Expected {what}.", "x[None]"))
    return x


@operation()
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> torch.Tensor:
    """Return the windows of images (samples, channels, height, width) as columns (samples, numbers, windows)."""
    return F.unfold(_axes("unfold", x, 4, "4 axes"), kernel_size, dilation, padding, stride)


@operation()
def fold(
    x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> torch.Tensor:
    """Return images put together from windows, the inverse of `unfold`; numbers that overlap are added."""
    return F.fold(_axes("fold", x, 3, "3 axes"), output_size, kernel_size, dilation, padding, stride)


def _block(owner: str, x: Any, block_size: int, data_format: Any) -> tuple[torch.Tensor, bool]:
    """Return images with channels first, and whether they came with channels last."""
    if block_size < 2:
        raise ValueError(explain(f"{owner} got block_size={block_size}.", "Expected 2 or more.", "block_size=2"))
    last = channels_last(data_format, owner)
    x = _axes(owner, x, 4, "4 axes: samples, height, width, channels")
    return (x.movedim(-1, 1) if last else x), last


@operation()
def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> torch.Tensor:
    """Return images whose channels have become blocks of `block_size` x `block_size` cells."""
    x, last = _block("depth_to_space", x, block_size, data_format)
    samples, channels, height, width = x.shape
    left = channels // block_size**2
    if last:  # the cells of a block run slowest among the channels
        x = x.reshape(samples, block_size, block_size, left, height, width).permute(0, 3, 4, 1, 5, 2)
    else:
        x = x.reshape(samples, left, block_size, block_size, height, width).permute(0, 1, 4, 2, 5, 3)
    x = x.reshape(samples, left, height * block_size, width * block_size)
    return x.movedim(1, -1) if last else x


@operation()
def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> torch.Tensor:
    """Return images whose blocks of `block_size` x `block_size` cells have become channels."""
    x, last = _block("space_to_depth", x, block_size, data_format)
    samples, channels, height, width = x.shape
    rows, columns = height // block_size, width // block_size
    x = x.reshape(samples, channels, rows, block_size, columns, block_size)
    x = x.permute(0, 3, 5, 1, 2, 4) if last else x.permute(0, 1, 3, 5, 2, 4)
    x = x.reshape(samples, channels * block_size**2, rows, columns)
    return x.movedim(1, -1) if last else x
