"""Products of matrices of int8, exact: no sum is rounded.

`torch._int_mm` does them where it can; the plain twin multiplies floats, in
pieces so short that every sum is a whole number that float32 can hold.
"""

from __future__ import annotations

from functools import cache

import torch

# 1040 * 127 * 127 is below 2 ** 24, up to which float32 holds every whole number.
_EXACT_TERMS = 1040


def int8_matmul(inputs: torch.Tensor, kernel: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the product of int8 tensors, exact, then as another type: `(inputs @ kernel).to(dtype)`.

    Args:
        inputs: int8 of shape (..., count), from -127 to 127.
        kernel: int8 of shape (count, units), from -127 to 127.
        dtype: Type of the result.

    Example:
        >>> ones = torch.ones(2, 3, dtype=torch.int8)
        >>> int8_matmul(ones, ones.t().contiguous(), torch.float32)
        tensor([[3., 3.],
                [3., 3.]])
    """
    flat = inputs.reshape(-1, inputs.shape[-1])
    product = _by_torch(flat, kernel) if _torch_can(flat, kernel) else plain_int8_matmul(flat, kernel)
    return product.to(dtype).reshape(*inputs.shape[:-1], kernel.shape[-1])


def plain_int8_matmul(inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return the product of two int8 matrices as int32, by products of floats."""
    total = torch.zeros(inputs.shape[0], kernel.shape[1], dtype=torch.int32, device=inputs.device)
    for begin in range(0, inputs.shape[1], _EXACT_TERMS):
        part = slice(begin, begin + _EXACT_TERMS)
        total += (inputs[:, part].float() @ kernel[part].float()).int()
    return total


def _by_torch(inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return torch._int_mm(inputs.contiguous(), kernel.contiguous())


def _torch_can(inputs: torch.Tensor, kernel: torch.Tensor) -> bool:
    rows, count, units = *inputs.shape, kernel.shape[1]
    if 0 in (rows, count, units):
        return False
    if inputs.device.type == "cuda":
        return rows > 16 and count >= 16 and count % 8 == 0 and units % 8 == 0
    return inputs.device.type == "cpu" and _exact_on_cpu()


@cache
def _exact_on_cpu() -> bool:
    """Return whether this processor's product is there and exact: some saturate pairs of products at 16 bits."""
    inputs = torch.full((4, 64), 127, dtype=torch.int8, device="cpu")
    inputs[1:3] = -127
    kernel = inputs.t().contiguous()
    try:
        return torch.equal(_by_torch(inputs, kernel), plain_int8_matmul(inputs, kernel))
    except (AttributeError, RuntimeError):
        return False
