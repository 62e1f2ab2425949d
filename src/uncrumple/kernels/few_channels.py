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

_Sizes = ctypes.c_int64 * 13


def takes(x: torch.Tensor, weight: torch.Tensor, geometry: Any, most: int = MOST_TAPS) -> bool:
    """Return whether the kernel here does this convolution: no holes, one group, few numbers at each place.

    Args:
        x: (samples, channels, height, width), float32 or bfloat16 on the CPU.
        weight: (filters, channels, height, width).
        geometry: `Geometry` of `convolution_native`.
        most: How many numbers are few.
    """
    taps = weight.numel() // max(1, weight.shape[0])
    simple = geometry.groups == 1 and geometry.dilation == (1, 1) and 0 < taps <= most
    return simple and native.takes(x, weight, half=True)


def convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Any, relu: bool
) -> torch.Tensor:
    """Return the convolution, with channels last in memory; negative results are 0 with `relu`."""
    sizes = _sizes(x.shape, weight.shape, geometry)
    rows, columns, filters = sizes[10:]
    out = x.new_empty(x.shape[0], rows, columns, filters)
    half = x.dtype is torch.bfloat16
    native.call("few_channels", sizes, relu, half, _images(x), _taps(weight), bias, out)
    return out.permute(0, 3, 1, 2)


def gradients(
    x: torch.Tensor, weight: torch.Tensor, y: torch.Tensor | None, d: torch.Tensor, geometry: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of the kernel, like `weight`, and of the bias, in float32.

    Args:
        x, weight, geometry: As for `convolve`.
        y: The result, if it went through relu: where it is 0, nothing comes back.
        d: The gradient of the result.
    """
    sizes = _sizes(x.shape, weight.shape, geometry)
    filters, channels, tall, wide = weight.shape
    sums = torch.zeros(torch.get_num_threads(), tall * wide * channels + 1, filters)
    half = x.dtype is torch.bfloat16
    kept = None if y is None else _images(y)
    native.call("few_channels_backward", sizes, half, _images(x), kept, _images(d), sums)
    found = sums.sum(0) if len(sums) > 1 else sums[0]
    d_weight = found[:-1].view(tall, wide, channels, filters).permute(3, 2, 0, 1)
    return d_weight.to(weight.dtype), found[-1]


@functools.lru_cache(maxsize=256)
def _sizes(images: torch.Size, kernels: torch.Size, geometry: Any) -> Any:
    """Return the sizes in the order of FewShape."""
    samples, channels, height, width = images
    filters, _, tall, wide = kernels
    (down, across), (above, before) = geometry.strides, geometry.padding
    rows = _places(height, tall, down, above)
    columns = _places(width, wide, across, before)
    return _Sizes(samples, height, width, channels, tall, wide, down, across, above, before, rows, columns, filters)


def _places(size: int, kernel: int, stride: int, pad: int) -> int:
    return (size + 2 * pad - kernel) // stride + 1


def _images(x: torch.Tensor) -> torch.Tensor:
    """Return (samples, channels, height, width) as (samples, height, width, channels), dense."""
    return x.permute(0, 2, 3, 1).contiguous()


def _taps(weight: torch.Tensor) -> torch.Tensor:
    """Return (filters, channels, height, width) as (height, width, channels, filters), dense."""
    return weight.permute(2, 3, 1, 0).contiguous()
