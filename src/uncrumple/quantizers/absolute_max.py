"""Whole numbers of eight bits or fewer: floats scaled by the largest of an axis or of a block of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from uncrumple import ops
from uncrumple.core.dtypes import dtype_name, torch_dtype
from uncrumple.core.errors import explain


def abs_max_quantize(
    inputs: Any,
    axis: Any,
    value_range: tuple[int, ...] = (-127, 127),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return whole numbers and their scale: `scale = value_range[1] / (max |inputs| + epsilon)`, `round(inputs * scale)`.

    Args:
        inputs: Floats.
        axis: The axis, or axes, over which the largest is taken.
        value_range: Smallest and largest result; (-127, 127).
        dtype: Type of the result; `"int8"`.
        epsilon: Added to the largest, so that zeros can be scaled; 1e-7.
        to_numpy: Whether to compute on the processor with NumPy, which needs less memory of a device.

    Returns:
        (outputs, scale): the inputs are about `outputs / scale`.

    Example:
        >>> outputs, scale = abs_max_quantize(torch.tensor([1.0, -0.5]), axis=-1)
        >>> outputs.tolist(), scale.round().tolist()
        ([127, -63], [127.0])
    """
    if to_numpy:
        kind = dtype_name(inputs.dtype)
        array = ops.convert_to_numpy(inputs)
        over = tuple(axis) if isinstance(axis, (list, tuple)) else axis
        ratio = np.divide(value_range[1], np.add(np.max(np.abs(array), axis=over, keepdims=True), epsilon))
        array = np.clip(np.round(np.multiply(array, ratio)), value_range[0], value_range[1]).astype(dtype)
        return ops.convert_to_tensor(array), ops.convert_to_tensor(ratio, dtype=kind)
    inputs = ops.convert_to_tensor(inputs)
    largest = torch.amax(inputs.abs(), dim=axis, keepdim=True) + epsilon
    # Not `number / tensor`: that multiplies by a reciprocal, which rounds twice.
    scale = (torch.full_like(largest, value_range[1]) / largest).to(inputs.dtype)
    outputs = torch.clip(torch.round(inputs * scale), *value_range)
    return outputs.to(torch_dtype(dtype)), scale


def abs_max_quantize_grouped_with_zero_point(
    inputs: Any,
    block_size: int,
    value_range: tuple[int, int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return whole numbers, scales and zero points, one of each per block of rows and per column.

    `scale = (max - min + epsilon) / (high - low)`, `zero = round(-min / scale) + low`, and
    `outputs = round(inputs / scale) + zero`, clipped to `value_range`.

    Args:
        inputs: A matrix of floats.
        block_size: How many rows share a scale.
        value_range: Smallest and largest result; (-8, 7), which four bits hold.
        dtype: Type of the result; `"int8"`.
        epsilon: Added to the range, so that equal numbers can be scaled; 1e-7.
        to_numpy: Taken as Keras takes it; the result is the same.

    Returns:
        (outputs, scale, zero): the inputs are about `(outputs - zero) * scale`.

    Example:
        >>> outputs, scale, zero = abs_max_quantize_grouped_with_zero_point(torch.tensor([[0.0], [1.5]]), 2)
        >>> outputs.tolist(), zero.tolist()
        ([[-8], [7]], [[-8]])
    """
    inputs = ops.convert_to_tensor(inputs)
    if inputs.ndim != 2:
        raise ValueError(
            explain(
                f"abs_max_quantize_grouped_with_zero_point got a tensor of shape {tuple(inputs.shape)}.",
                "Expected a matrix.",
                "inputs.reshape(-1, columns)",
            )
        )
    low, high = value_range
    rows, columns = inputs.shape
    groups = math.ceil(rows / block_size)
    padded = torch.nn.functional.pad(inputs, (0, 0, 0, groups * block_size - rows))
    blocks = padded.reshape(groups, block_size, columns)
    smallest, largest = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
    if not to_numpy:  # as Keras does it with tensors: equal numbers get a range of two around them
        equal = smallest == largest
        smallest, largest = torch.where(equal, smallest - 1, smallest), torch.where(equal, largest + 1, largest)
    scale = (largest - smallest + epsilon) / (high - low)
    zero = torch.clip(torch.round(-smallest / scale) + low, low, high)
    outputs = torch.clip(torch.round(blocks / scale) + zero, low, high).to(torch_dtype(dtype))
    outputs = outputs.reshape(-1, columns)[:rows]
    return outputs, scale.squeeze(1), zero.squeeze(1).to(torch.int8)
