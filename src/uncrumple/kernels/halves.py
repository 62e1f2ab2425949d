"""bfloat16 on processors that have no products of it.

There torch multiplies number by number, which takes ten times as long as
float32 and more. The products of the same numbers in float32, rounded when
they are summed up, are what such processors can do fast, and what others do.
"""

from __future__ import annotations

import functools
import platform

import torch


@functools.cache
def has_products() -> bool:
    """Return whether this processor has products of bfloat16, and torch's library of fast products uses them.

    On x86 that library takes bfloat16 from AVX512 on, and widens it where the processor has no more than that.
    """
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def lack_products(*tensors: torch.Tensor | None) -> bool:
    """Return whether these had better be multiplied in float32: all bfloat16, on a processor with no products of it.

    Of mixed types torch says what is wrong, on every processor. None stands for nothing.

    Example:
        >>> lack_products(torch.ones(2))
        False
    """
    for one in tensors:
        if one is not None and (one.dtype is not torch.bfloat16 or one.device.type != "cpu"):
            return False
    return not has_products()


def widened(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """Return a tensor in float32; None stays None.

    Example:
        >>> widened(torch.ones(1, dtype=torch.bfloat16))
        tensor([1.])
    """
    return None if tensor is None else tensor.float()
