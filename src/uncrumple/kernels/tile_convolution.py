"""Convolutions in bfloat16 with what follows them, for processors that multiply tiles of it (AMX).

An image and its result are small enough to stay in the cache of a core. So
each thread takes one image after the other and does all of it there: the
products, relu, pooling and dropout, and on the way back the gradients of the
image and of the kernel. Between two layers only what goes on is written.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch

from uncrumple.kernels import native
from uncrumple.kernels.few_channels import dense, images_last, taps_first

# Numbers in a plane of an image or of its result, up to which all that is worked on fits into a core's cache.
_MOST = 65536

_Sizes = ctypes.c_int64 * 11


def takes(x: torch.Tensor, weight: torch.Tensor, geometry: Any) -> bool:
    """Return whether the kernel here does this convolution: it moves by one, and tiles fit into channels and filters.

    Args:
        x: (samples, channels, height, width), bfloat16 on the CPU.
        weight: (filters, channels, height, width).
        geometry: `Geometry` of `convolution_native`.
    """
    if x.dtype is not torch.bfloat16 or x.shape[1] % 32 or weight.shape[0] % 32 or not native.has_tiles():
        return False
    if geometry.strides != (1, 1) or geometry.dilation != (1, 1) or geometry.groups != 1:
        return False
    if x.shape[1] != weight.shape[1]:
        return False
    (_, channels, height, width), (above, before) = x.shape, geometry.padding
    lines, line = height + 2 * above, width + 2 * before
    if lines < weight.shape[2] or line < weight.shape[3]:
        return False  # torch says what is wrong
    return lines * line * max(channels, weight.shape[0]) <= _MOST and native.takes(x, weight, half=True)


def convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Any, ending: Any, learn: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return what is left of the convolution after its ending, with channels last in memory, and what `gradients` asks.

    Args:
        ending: `Ending` of `convolution_native`.
        learn: Whether to keep where the greatest of each window stood.
    """
    sizes, shape = sizes_and_shape(x, weight, geometry, ending.window)
    out = x.new_empty(shape)
    where = torch.empty(out.shape, dtype=torch.uint8, device="cpu") if learn and ending.window else None
    drawn = ending.relu, ending.seed, ending.limit, ending.scale
    native.call("tile_convolution", sizes, *drawn, images_last(x), taps_first(weight), dense(bias), out, where)
    images = out.permute(0, 3, 1, 2)
    return images, where if ending.window else images


def gradients(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    kept: torch.Tensor | None,
    d: torch.Tensor,
    geometry: Any,
    ending: Any,
    of_images: bool,
) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor | None]:
    """Return the gradients of the images (None unless `of_images`), of the kernel, and of the bias if there is one.

    Args:
        kept: What `convolve` returned besides the result.
        d: The gradient of the result.
    """
    sizes, _ = sizes_and_shape(x, weight, geometry, ending.window)
    images, taps = images_last(x), taps_first(weight)
    d_x = torch.empty_like(images) if of_images else None
    d_taps, d_bias = torch.empty_like(taps), None if bias is None else torch.empty_like(bias)
    if ending.window is None:
        kept = images_last(kept) if ending.relu and kept is not None else None
    given = images, taps, kept, images_last(d)
    native.call("tile_convolution_backward", sizes, ending.scale, *given, d_x, d_taps, d_bias)
    return None if d_x is None else d_x.permute(0, 3, 1, 2), d_taps.permute(3, 2, 0, 1), d_bias


def sizes_and_shape(x: torch.Tensor, weight: torch.Tensor, geometry: Any, window: Any) -> tuple[Any, tuple[int, ...]]:
    """Return the sizes as the kernel takes them, and the shape of the result, channels last."""
    return _sizes(x.shape, weight.shape, geometry, window)


@functools.lru_cache(maxsize=256)
def _sizes(images: torch.Size, kernels: torch.Size, geometry: Any, window: Any) -> tuple[Any, tuple[int, ...]]:
    """Return the sizes in the order of TileShape, and the shape of the result."""
    samples, channels, height, width = images
    filters, _, tall, wide = kernels
    above, before = geometry.padding
    down, across = window or (1, 1)
    rows, columns = (height + 2 * above - tall + 1) // down, (width + 2 * before - wide + 1) // across
    sizes = samples, height, width, channels, tall, wide, above, before, filters, *(window or (0, 0))
    return _Sizes(*sizes), (samples, rows, columns, filters)
