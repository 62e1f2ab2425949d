"""Whole numbers of four bits, two of them in a byte."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import ops
from uncrumple.core.dtypes import dtype_name, torch_dtype
from uncrumple.core.errors import explain, unknown_name


def pack_int4(arr: Any, axis: int = 0, dtype: str = "int8") -> tuple[torch.Tensor, tuple[int, ...], int]:
    """Return numbers of four bits, two in a byte: `low | high << 4`, of neighbours along an axis.

    Args:
        arr: Whole numbers from -8 to 7 (int8) or 0 to 15 (uint8).
        axis: The axis that gets half as long; 0.
        dtype: Type of `arr`, `"int8"` or `"uint8"`.

    Returns:
        (packed, its shape, length of the axis before).

    Raises:
        ValueError: The type is none of these.
        TypeError: `arr` has another type.

    Example:
        >>> pack_int4(torch.tensor([1, 2], dtype=torch.int8))
        (tensor([33], dtype=torch.int8), (1,), 2)
    """
    _check_bytes("pack_int4", dtype)
    tensor = ops.convert_to_tensor(arr)
    if tensor.dtype is not torch_dtype(dtype):
        raise TypeError(
            explain(
                f"pack_int4 got a tensor of {dtype_name(tensor.dtype)}.",
                f"Expected {dtype}.",
                f"ops.cast(arr, {dtype!r})",
            )
        )
    tensor = tensor.movedim(axis, 0)
    length = tensor.shape[0]
    if length % 2:
        tensor = torch.cat([tensor, torch.zeros_like(tensor[:1])])
    bits = tensor.view(torch.uint8) if tensor.is_contiguous() else tensor.contiguous().view(torch.uint8)
    packed = (bits[::2] & 15) | ((bits[1::2] & 15) << 4)
    packed = packed.contiguous().view(torch_dtype(dtype)).movedim(0, axis).contiguous()
    return packed, tuple(packed.shape), length


def unpack_int4(packed: Any, orig_len: int, axis: int = 0, dtype: str = "int8") -> torch.Tensor:
    """Return what `pack_int4` packed.

    Args:
        packed: Bytes.
        orig_len: Length of the axis before it was packed.
        axis: The axis; 0.
        dtype: `"int8"` for numbers from -8 to 7, `"uint8"` for those from 0 to 15.

    Raises:
        ValueError: The type is none of these.
        TypeError: `packed` holds no bytes.

    Example:
        >>> unpack_int4(torch.tensor([33], dtype=torch.int8), 2)
        tensor([1, 2], dtype=torch.int8)
    """
    _check_bytes("unpack_int4", dtype)
    tensor = ops.convert_to_tensor(packed)
    if tensor.dtype not in (torch.int8, torch.uint8):
        raise TypeError(
            explain(
                f"unpack_int4 got a tensor of {dtype_name(tensor.dtype)}.",
                "Expected int8 or uint8.",
                "what pack_int4(...) returned first",
            )
        )
    bits = tensor.movedim(axis, 0).contiguous().view(torch.uint8)
    found = torch.stack([bits & 15, bits >> 4], dim=1).flatten(0, 1)[:orig_len]
    if dtype == "int8":
        found = (found.to(torch.int8) ^ 8) - 8
    return found.movedim(0, axis).contiguous()


def _check_bytes(owner: str, dtype: str) -> None:
    if dtype not in ("int8", "uint8"):
        raise ValueError(unknown_name(f"dtype of {owner}", dtype, ("int8", "uint8")))
