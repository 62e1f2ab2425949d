"""Training with quantization in mind: floats rounded to the levels that few bits would leave, with gradients."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import ops
from uncrumple.core.errors import explain


class _FakeQuantized(torch.autograd.Function):
    """Rounds on the way forward; on the way back, passes gradients to what was within the range, else to its ends."""

    @staticmethod
    def forward(ctx: Any, x: Any, low: Any, high: Any, levels: tuple[int, int], axis: int | None) -> Any:
        kind = torch.promote_types(low.dtype, torch.float32)
        first, last = levels
        span = high.to(kind) - low.to(kind)
        scale, inverse = span / (last - first), (last - first) / span
        zero = torch.round(torch.clip(first - low.to(kind) / scale, first, last))
        bottom, ceiling = (first - zero) * scale, (last - zero) * scale
        whole = torch.floor(-bottom * inverse + 0.5)
        steps = (torch.clamp(x.to(kind), bottom, ceiling) - bottom) * inverse - whole
        ctx.save_for_backward(x, bottom, ceiling)
        ctx.axis, ctx.shapes = axis, (low.shape, high.shape)
        return (torch.floor(steps + 0.5) * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (grad,), (x, bottom, ceiling) = grads, ctx.saved_tensors
        axes = [axis for axis in range(x.ndim) if axis != ctx.axis]

        def total(part: torch.Tensor, shape: Any) -> torch.Tensor:
            part = torch.where(part, grad, 0.0)
            return (part.sum(axes) if axes else part).reshape(shape)

        within = torch.where((x >= bottom) & (x <= ceiling), grad, 0.0)
        return within, total(x <= bottom, ctx.shapes[0]), total(x >= ceiling, ctx.shapes[1]), None, None


def fake_quant_with_min_max_vars(
    inputs: Any, min_vals: Any, max_vals: Any, num_bits: int = 8, narrow_range: bool = False, axis: int | None = None
) -> torch.Tensor:
    """Return floats rounded to the levels that so many bits would leave between two ends.

    `scale = (max - min) / (levels - 1)`, with the ends moved so that 0 is a level. Gradients
    pass where the input is between the ends, and to the ends elsewhere.

    Args:
        inputs: Floats.
        min_vals, max_vals: The ends: one number, or one per place of `axis`.
        num_bits: 8 makes 256 levels.
        narrow_range: Whether the lowest level is left out; False.
        axis: The axis with ends of its own in each place, which must be the last; None for one range.

    Raises:
        ValueError: The bits are none.

    Example:
        >>> fake_quant_with_min_max_vars(torch.tensor([0.3, 9.0]), 0.0, 1.0, num_bits=2)
        tensor([0.3333, 1.0000])
    """
    bits = int(num_bits)
    if not 1 <= bits <= 16:
        raise ValueError(
            explain(f"fake_quant_with_min_max_vars got num_bits={num_bits}.", "Expected 1 to 16.", "num_bits=8")
        )
    inputs = ops.convert_to_tensor(inputs)
    if not inputs.is_floating_point():
        inputs = inputs.float()
    low, high = ops.convert_to_tensor(min_vals), ops.convert_to_tensor(max_vals)
    if axis is not None:
        axis = axis % inputs.ndim
    levels = (1 if narrow_range else 0, (1 << bits) - 1)
    return _FakeQuantized.apply(inputs, low.to(inputs.device), high.to(inputs.device), levels, axis)
