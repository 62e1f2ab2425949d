"""Convolutions of images with few channels, such as the first of a network, for the CPU.

A kernel of 3 x 3 sees nine numbers of a grey image. That is too little for
the products of matrices that oneDNN makes of convolutions: it spends longer
on arranging them than on multiplying. The native kernel keeps neighbouring
places in registers instead, and does relu on the way, there and back.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch

from uncrumple.kernels import native

# Numbers that the kernel sees at one place, up to which it is the faster one.
MOST_TAPS = 25

_Sizes = ctypes.c_int64 * 15


def takes(x: torch.Tensor, weight: torch.Tensor, geometry: Any, most: int = MOST_TAPS) -> bool:
    """Return whether the kernel here does this convolution: no holes, one group, few numbers at each place.

    Args:
        x: (samples, channels, height, width), float32 or bfloat16 on the CPU.
        weight: (filters, channels, height, width).
        geometry: `Geometry` of `convolution_native`.
        most: How many numbers are few.
    """
    taps = weight.numel() // max(1, weight.shape[0])
    simple = geometry.groups == 1 and geometry.dilation == (1, 1) and 0 < taps <= most and x.shape[1] == weight.shape[1]
    return simple and native.takes(x, weight, half=True)


def convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Any, relu: bool
) -> torch.Tensor:
    """Return the convolution, with channels last in memory; negative results are 0 with `relu`."""
    return _convolve(x, weight, bias, geometry, None, (relu, 0, 0, 1.0), False)[0]


def convolve_and_pool(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Any, ending: Any, learn: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return what is left of the convolution after an ending with a window, and, to `learn`, where the greatest stood.

    Args:
        ending: `Ending` of `convolution_native`.
    """
    drawn = ending.relu, ending.seed, ending.limit, ending.scale
    return _convolve(x, weight, bias, geometry, ending.window, drawn, learn)


def _convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: Any, geometry: Any, window: Any, drawn: tuple[Any, ...], learn: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    sizes, shape = sizes_and_shape(x, weight, geometry, window)
    out = x.new_empty(shape)
    where = torch.empty(out.shape, dtype=torch.uint8, device="cpu") if learn else None
    half = x.dtype is torch.bfloat16
    native.call("few_channels", sizes, half, *drawn, images_last(x), taps_first(weight), dense(bias), out, where)
    return out.permute(0, 3, 1, 2), where


def gradients(
    x: torch.Tensor, weight: torch.Tensor, y: torch.Tensor | None, d: torch.Tensor, geometry: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of the kernel, like `weight`, and of the bias, in float32.

    Args:
        x, weight, geometry: As for `convolve`.
        y: The result, if it went through relu: where it is 0, nothing comes back.
        d: The gradient of the result.
    """
    sizes, _ = sizes_and_shape(x, weight, geometry, None)
    filters, channels, tall, wide = weight.shape
    sums = torch.zeros(torch.get_num_threads(), tall * wide * channels + 1, filters, device="cpu")
    half = x.dtype is torch.bfloat16
    kept = None if y is None else images_last(y)
    native.call("few_channels_backward", sizes, half, images_last(x), kept, images_last(d), sums)
    found = sums.sum(0) if len(sums) > 1 else sums[0]
    d_weight = found[:-1].view(tall, wide, channels, filters).permute(3, 2, 0, 1)
    return d_weight.to(weight.dtype), found[-1]


def shape_of_result(x: torch.Tensor, weight: torch.Tensor, geometry: Any) -> torch.Size:
    """Return the shape of the convolution, before any pooling."""
    samples, rows, columns, filters = sizes_and_shape(x, weight, geometry, None)[1]
    return torch.Size((samples, filters, rows, columns))


def sizes_and_shape(x: torch.Tensor, weight: torch.Tensor, geometry: Any, window: Any) -> tuple[Any, tuple[int, ...]]:
    """Return the sizes as the kernel takes them, and the shape of the result, channels last."""
    return _sizes(x.shape, weight.shape, geometry, window)


@functools.lru_cache(maxsize=256)
def _sizes(images: torch.Size, kernels: torch.Size, geometry: Any, window: Any) -> tuple[Any, tuple[int, ...]]:
    """Return the sizes in the order of FewShape, and the shape of the result."""
    samples, channels, height, width = images
    filters, _, tall, wide = kernels
    (down, across), (above, before) = geometry.strides, geometry.padding
    rows = _places(height, tall, down, above)
    columns = _places(width, wide, across, before)
    sizes = samples, height, width, channels, tall, wide, down, across, above, before, rows, columns, filters
    down, across = window or (1, 1)
    return _Sizes(*sizes, *(window or (0, 0))), (samples, rows // down, columns // across, filters)


def _places(size: int, kernel: int, stride: int, pad: int) -> int:
    return (size + 2 * pad - kernel) // stride + 1


def images_last(x: torch.Tensor) -> torch.Tensor:
    """Return (samples, channels, height, width) as (samples, height, width, channels), dense."""
    return x.permute(0, 2, 3, 1).contiguous()


def dense(bias: torch.Tensor | None) -> torch.Tensor | None:
    """Return a bias one number after the other."""
    return None if bias is None else bias.contiguous()


def taps_first(weight: torch.Tensor) -> torch.Tensor:
    """Return (filters, channels, height, width) as (height, width, channels, filters), dense."""
    return weight.permute(2, 3, 1, 0).contiguous()
