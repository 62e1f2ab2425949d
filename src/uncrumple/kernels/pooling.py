"""Pooling in Keras's layout with Keras's "same" padding, which never counts padded cells.

Torch pads both ends of an axis alike; "same" may need one cell more at the
end. Two tricks avoid copying the data into a larger tensor: with a stride
above 1, torch's `ceil_mode` lets the last window hang over the end; with
stride 1, one cell too many is padded at both ends and the first result is
left out.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from uncrumple.kernels.convolution import TO_FIRST, TO_LAST, same_padding

_AVERAGE_IN_TORCH: dict[int, Any] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def _max_of(function: Any) -> Any:
    return lambda x, size, strides, pads=0, hang_over=False: function(x, size, strides, pads, 1, hang_over)


def _average_of(function: Any) -> Any:
    return lambda x, size, strides, pads=0, hang_over=False: function(x, size, strides, pads, hang_over, False)


_MAX = {1: _max_of(torch.max_pool1d), 2: _max_of(torch.max_pool2d), 3: _max_of(torch.max_pool3d)}
_AVERAGE = {rank: _average_of(function) for rank, function in _AVERAGE_IN_TORCH.items()}


def max_pool(
    x: torch.Tensor, size: Sequence[int], strides: Sequence[int], padding: str = "valid", channels_last: bool = True
) -> torch.Tensor:
    """Return the largest number in each window.

    Args:
        x: (samples, ..., channels), or (samples, channels, ...).
        size, strides: One number per axis.
        padding: `"valid"` or `"same"`.
        channels_last: Which axis holds the channels.

    Example:
        >>> max_pool(torch.arange(4.0).reshape(1, 4, 1), size=[2], strides=[2]).flatten()
        tensor([1., 3.])
    """
    return _pool(_MAX, x, size, strides, padding, channels_last)


def average_pool(
    x: torch.Tensor, size: Sequence[int], strides: Sequence[int], padding: str = "valid", channels_last: bool = True
) -> torch.Tensor:
    """Return the mean of each window; padded cells do not count. Arguments are as for `max_pool`.

    Example:
        >>> average_pool(torch.arange(3.0).reshape(1, 3, 1), size=[2], strides=[2], padding="same").flatten()
        tensor([0.5000, 2.0000])
    """
    if len(size) == 3 and x.dtype in (torch.bfloat16, torch.float16) and x.device.type == "cpu":
        # Torch has no mean over volumes in half precision there.
        return _pool(_AVERAGE, x.float(), size, strides, padding, channels_last).to(x.dtype)
    return _pool(_AVERAGE, x, size, strides, padding, channels_last)


_ADAPTIVE_MAX: dict[int, Any] = {
    1: functional.adaptive_max_pool1d,
    2: functional.adaptive_max_pool2d,
    3: functional.adaptive_max_pool3d,
}
_ADAPTIVE_AVERAGE: dict[int, Any] = {
    1: functional.adaptive_avg_pool1d,
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}


def adaptive_max_pool(x: torch.Tensor, output_size: Sequence[int], channels_last: bool = True) -> torch.Tensor:
    """Return the largest number in each of `output_size` windows per axis, which together cover the axis.

    Window i of n over a size s begins at floor(i * s / n) and ends before
    ceil((i + 1) * s / n): neighbours overlap where n does not divide s.

    Args:
        x: (samples, ..., channels), or (samples, channels, ...).
        output_size: One number per axis.
        channels_last: Which axis holds the channels.

    Example:
        >>> adaptive_max_pool(torch.arange(5.0).reshape(1, 5, 1), output_size=[2]).flatten()
        tensor([2., 4.])
    """
    return _adapt(_ADAPTIVE_MAX, x, output_size, channels_last)


def adaptive_average_pool(x: torch.Tensor, output_size: Sequence[int], channels_last: bool = True) -> torch.Tensor:
    """Return the mean of each of `output_size` windows per axis. Windows and arguments are as for `adaptive_max_pool`.

    Example:
        >>> adaptive_average_pool(torch.arange(5.0).reshape(1, 5, 1), output_size=[2]).flatten()
        tensor([1., 3.])
    """
    return _adapt(_ADAPTIVE_AVERAGE, x, output_size, channels_last)


def _adapt(function: dict[int, Any], x: torch.Tensor, output_size: Sequence[int], channels_last: bool) -> torch.Tensor:
    rank = x.dim() - 2
    if channels_last:
        x = x.permute(TO_FIRST[rank])
    if x.shape[0] == 0:  # torch has no such pooling of no samples
        out = x.new_empty(*x.shape[:2], *output_size)
    else:
        out = function[rank](x, tuple(output_size))
    return out.permute(TO_LAST[rank]) if channels_last else out


def _pool(
    function: dict[int, Any],
    x: torch.Tensor,
    size: Sequence[int],
    strides: Sequence[int],
    padding: str,
    channels_last: bool,
) -> torch.Tensor:
    rank = x.dim() - 2
    if rank == 1 and channels_last:
        return _pool(function, x.unsqueeze(1), (1, *size), (1, *strides), padding, True).squeeze(1)
    if channels_last:
        x = x.permute(TO_FIRST[rank])
    if padding == "valid":
        out = function[rank](x, size, strides)
    else:
        shapes = tuple(x.shape[2:]), tuple(size), tuple(strides)
        try:
            pads, hang_over, left_out = _same(*shapes)
        except TypeError:  # unknown sizes, while a program is written down, cannot be looked up
            pads, hang_over, left_out = _same.__wrapped__(*shapes)
        out = function[rank](x, size, strides, pads, hang_over)
        for axis in left_out:
            out = out.narrow(axis, 1, out.shape[axis] - 1)
    return out.permute(TO_LAST[rank]) if channels_last else out


@functools.lru_cache(maxsize=1024)
def _same(
    sizes: tuple[int, ...], windows: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[list[int], bool, list[int]]:
    """Return the pads for torch, whether windows hang over the end, and the axes whose first result is left out."""
    pads, left_out, hang_over = [], [], False
    for axis, (size, window, stride) in enumerate(zip(sizes, windows, strides), 2):
        before, after = same_padding(size, window, stride)
        if before != after and stride == 1:
            left_out.append(axis)
        elif before != after:
            hang_over = True
        pads.append(after if stride == 1 else before)
    return pads, hang_over, left_out
