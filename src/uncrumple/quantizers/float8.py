"""Numbers of eight bits with an exponent: their scale, and what precision they leave."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import ops
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import unknown_name

_FLOAT8 = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


def compute_float8_scale(amax: Any, scale: Any, dtype_max: Any, margin: int = 0) -> torch.Tensor:
    """Return the scale that brings the largest number to the largest of float8: `amax * 2 ** margin / dtype_max`.

    Args:
        amax: The largest number seen; where it is 0 or not finite, the scale stays.
        scale: The scale so far.
        dtype_max: The largest number of the type.
        margin: Powers of two to stay below it; 0.

    Example:
        >>> compute_float8_scale(torch.tensor(896.0), torch.tensor(1.0), 448.0)
        tensor(2.)
    """
    amax, inverse = ops.convert_to_tensor(amax), 1 / ops.convert_to_tensor(scale)
    found = (dtype_max / amax) / 2**margin
    found = torch.where(amax > 0.0, found, inverse)
    return 1 / torch.where(torch.isfinite(amax), found, inverse)


def compute_float8_amax_history(x: Any, amax_history: Any) -> torch.Tensor:
    """Return the largest numbers of the last calls, moved on by one, with `max |x|` in place of the oldest.

    Args:
        x: A tensor.
        amax_history: The largest numbers so far, a vector.

    Example:
        >>> compute_float8_amax_history(torch.tensor([-3.0]), torch.tensor([1.0, 2.0]))
        tensor([3., 1.])
    """
    history = torch.roll(ops.convert_to_tensor(amax_history), -1)
    newest = ops.convert_to_tensor(x).abs().max().to(history.dtype).reshape(1)
    return torch.cat([newest, history[1:]])


def quantize_and_dequantize(inputs: Any, scale: Any, quantized_dtype: str, compute_dtype: Any) -> torch.Tensor:
    """Return a tensor with the precision that float8 leaves of it: `float8(inputs / scale) * scale`.

    Args:
        inputs: Floats.
        scale: From `compute_float8_scale`.
        quantized_dtype: `"float8_e4m3fn"` or `"float8_e5m2"`.
        compute_dtype: Type of the result.

    Raises:
        ValueError: The type is none of these.

    Example:
        >>> quantize_and_dequantize(torch.tensor([1.07]), 1.0, "float8_e4m3fn", "float32")
        tensor([1.1250])
    """
    if quantized_dtype not in _FLOAT8:
        raise ValueError(unknown_name("float8 type", quantized_dtype, _FLOAT8))
    kind, wanted = _FLOAT8[quantized_dtype], torch_dtype(compute_dtype)
    scale = ops.convert_to_tensor(scale).to(wanted)
    most = torch.finfo(kind).max
    x = torch.clip(ops.convert_to_tensor(inputs) / scale, -most, most).to(kind)
    return x.to(wanted) * scale
