"""Images seen through small windows: blurs, edges, patches, and how alike two images are."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.errors import explain
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.kernels.convolution import pad, same_padding
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, channels_last, per_axis, tensor, tensors

operation = group("image")
# fmt: off
__all__ = ["extract_patches", "extract_patches_3d", "gaussian_blur", "sobel_edges", "ssim"]
# fmt: on


def _channels_first(owner: str, images: Any, data_format: str | None, ranks: tuple[int, ...] = (3, 4)) -> Any:
    """Return images as (samples, channels, ...), whether there is one only, and whether channels were last."""
    x = tensor(images)
    if x.ndim not in ranks:
        raise ValueError(
            explain(
                f"{owner} got a tensor of shape {tuple(x.shape)}.",
                f"Expected {ranks[0]} axes (one), or {ranks[1]} (several).",
                "ops.expand_dims(images, -1) adds the axis of channels",
            )
        )
    last, single = channels_last(data_format, owner), x.ndim == ranks[0]
    x = x[None] if single else x
    return (x.movedim(-1, 1) if last else x), single, last


def _back(x: torch.Tensor, single: bool, last: bool) -> torch.Tensor:
    x = x.movedim(1, -1) if last else x
    return x[0] if single else x


def _bell(size: int, sigma: Any, like: torch.Tensor) -> torch.Tensor:
    """Return a normal distribution as `size` weights that sum to 1."""
    places = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = torch.exp(-0.5 * (places / sigma) ** 2)
    return weights / weights.sum()


@operation()
def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> torch.Tensor:
    """Return images in which each cell is a mean of those around it, weighted by a normal distribution.

    Args:
        images: One image, or several.
        kernel_size: Height and width of the window, odd numbers.
        sigma: Width of the distribution across (x) and down (y), in cells.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
    """
    x, single, last = _channels_first("gaussian_blur", images, data_format)
    height, width = per_axis(kernel_size, 2, "kernel_size")
    across, down = (sigma, sigma) if isinstance(sigma, (int, float)) else (float(one) for one in sigma)
    data = x if x.is_floating_point() else x.float()
    channels = x.shape[1]
    for weights, shape in (
        (_bell(height, down, data), (height, 1)),
        (_bell(width, across, data), (1, width)),
    ):
        kernel = weights.reshape(1, 1, *shape).expand(channels, 1, *shape)
        data = F.conv2d(data, kernel, padding=(shape[0] // 2, shape[1] // 2), groups=channels)
    return _back(data.to(x.dtype), single, last)


@operation()
def sobel_edges(images: Any, data_format: str | None = None) -> torch.Tensor:
    """Return how steeply images rise, downwards and to the right, on a new last axis of 2."""
    x, single, last = _channels_first("sobel_edges", images, data_format)
    channels = x.shape[1]
    right = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=x.dtype, device=x.device)
    edges = [F.conv2d(x, kernel.expand(channels, 1, 3, 3), padding=1, groups=channels) for kernel in (right.T, right)]
    return _back(torch.stack(edges, dim=-1).movedim(1, -2) if last else torch.stack(edges, dim=-1), single, False)


@operation("images")
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """Return windows of images (or volumes, if `size` has 3 numbers), each as the channels of one cell.

    Args:
        images: One image, or several.
        size: Height and width of a window; one number serves both.
        strides: From window to window; `size` by default.
        dilation_rate: From cell to cell of a window.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Returns:
        (samples, windows down, windows across, height * width * channels).
    """
    count = 2 if isinstance(size, int) else len(as_ints(size))
    if count not in (2, 3):
        raise ValueError(explain(f"extract_patches got size={size}.", "Expected 1, 2 or 3 numbers.", "size=(3, 3)"))
    return _patches("extract_patches", images, size, strides, dilation_rate, padding, data_format, count)


def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """Return windows of volumes, each as the channels of one cell; see `extract_patches`."""
    size = per_axis(size, 3, "size")
    strides = size if strides is None else per_axis(strides, 3, "strides")
    return extract_patches(volumes, size, strides, dilation_rate, padding, data_format)


def _patches(
    owner: str, images: Any, size: Any, strides: Any, dilation: Any, padding: str, data_format: Any, rank: int
) -> torch.Tensor:
    x, single, last = _channels_first(owner, images, data_format, (rank + 1, rank + 2))
    size = per_axis(size, rank, "size")
    steps = size if strides is None else per_axis(strides, rank, "strides")
    holes = per_axis(dilation, rank, "dilation_rate")
    if padding.lower() not in ("valid", "same"):
        raise ValueError(explain(f"{owner} got padding={padding!r}.", 'Expected "valid" or "same".', 'padding="valid"'))
    if padding.lower() == "same":
        sizes = zip(x.shape[2:], size, steps, holes)
        x = pad(x, [same_padding(*numbers) for numbers in sizes], channels_last=False)
    ends = [(whole - (one - 1) * hole - 1) // step for whole, one, step, hole in zip(x.shape[2:], size, steps, holes)]
    parts = []
    for offset in itertools.product(*(range(one) for one in size)):
        starts = [place * hole for place, hole in zip(offset, holes)]
        cut = (slice(start, start + end * step + 1, step) for start, end, step in zip(starts, ends, steps))
        parts.append(x[(slice(None), slice(None), *cut)])
    out = torch.stack(parts, dim=1).flatten(1, 2)
    return _back(out, single, last)


@operation(2, "SSIM")
def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> torch.Tensor:
    """Return how alike two images are to the eye: 1 for equal ones (structural similarity).

    Source: Wang et al., "Image Quality Assessment", IEEE Transactions on Image Processing, 2004.

    Args:
        image1, image2: One image each, or several.
        max_val: The largest number that there can be.
        filter_size, filter_sigma: Of the windows that are compared.
        k1, k2: Keep divisions finite.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
    """
    image1, image2 = tensors(image1, image2)
    own = image1.dtype
    kind = torch_type(result_type(own, float))
    x, single, _ = _channels_first("ssim", image1.to(kind), data_format)
    y, _, _ = _channels_first("ssim", image2.to(kind), data_format)
    weights = _bell(filter_size, filter_sigma, x)
    kernel = torch.outer(weights, weights)[None, None].expand(x.shape[1], 1, filter_size, filter_size)

    def mean(images: torch.Tensor) -> torch.Tensor:
        return F.conv2d(images, kernel, groups=images.shape[1])

    low, high = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_x, mean_y = mean(x), mean(y)
    spread = mean(x * x) - mean_x * mean_x + mean(y * y) - mean_y * mean_y
    common = mean(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + low) * (2 * common + high)
    likeness = likeness / ((mean_x * mean_x + mean_y * mean_y + low) * (spread + high))
    out = likeness.mean(dim=(1, 2, 3)).to(own)
    return out[0] if single else out
