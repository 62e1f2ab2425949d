"""Layer normalization of a tensor, or of the sum of two, as one differentiable function for the CPU.

The sum is computed on the way, and bfloat16 is read and written as it is:
mean, variance and weights are float32.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.nn import functional

from uncrumple.kernels import native
from uncrumple.kernels.transforms import differentiated, gradients_by_twin, watched

# Below this many numbers, what is called around the kernel takes longer than what is saved.
_WORTH_IT = 16384


def takes_layer_normalization(
    x: torch.Tensor, shortcut: torch.Tensor | None, gamma: torch.Tensor | None, beta: torch.Tensor | None
) -> bool:
    """Return whether the native kernels can run `layer_normalize` on these."""
    if not native.takes(x, shortcut, half=True) or watched() or x.numel() < _WORTH_IT or not native.takes(gamma, beta):
        return False
    width = x.shape[-1:]
    if (gamma is not None and gamma.shape != width) or (beta is not None and beta.shape != width):
        return False
    return shortcut is None or shortcut.shape == x.shape


def layer_normalize(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    epsilon: float,
    shortcut: torch.Tensor | None = None,
) -> torch.Tensor:
    """Normalize `x`, plus a shortcut, over the last axis; call it where `takes_layer_normalization` says so.

    Args:
        x: (..., features).
        gamma, beta: (features), or None.
        epsilon: Added to the variance.
        shortcut: Of the shape and type of `x`, or None.
    """
    shortcut = None if shortcut is None else shortcut.contiguous()
    return _LayerNormalization.apply(x.contiguous(), gamma, beta, epsilon, shortcut)


def layer_normalize_plain(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    epsilon: float,
    shortcut: torch.Tensor | None = None,
) -> torch.Tensor:
    """Do what `layer_normalize` does with torch's own functions.

    Example:
        >>> layer_normalize_plain(torch.tensor([[1.0, 3.0]]), None, None, 0.0, torch.tensor([[1.0, 1.0]]))
        tensor([[-1.,  1.]])
    """
    both = x if shortcut is None else x + shortcut
    full = both.float() if both.dtype is torch.bfloat16 else both
    return functional.layer_norm(full, x.shape[-1:], gamma, beta, epsilon).to(x.dtype)


class _LayerNormalization(torch.autograd.Function):
    """Of a dense `x` and a dense shortcut."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        gamma: torch.Tensor | None,
        beta: torch.Tensor | None,
        epsilon: float,
        shortcut: torch.Tensor | None,
    ) -> torch.Tensor:
        weights = [None if one is None else one.contiguous() for one in (gamma, beta)]
        out, width = torch.empty_like(x), x.shape[-1]
        kept = torch.empty(x.numel() // width, 2, dtype=torch.float32, device="cpu")
        half = x.dtype is torch.bfloat16
        native.call("layer_normalize", len(kept), width, epsilon, half, x, shortcut, *weights, out, kept)
        ctx.save_for_backward(x, gamma, beta, shortcut, kept)
        ctx.epsilon = epsilon
        return out

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, gamma, beta, shortcut, kept = ctx.saved_tensors
        wanted, width = ctx.needs_input_grad, x.shape[-1]
        if differentiated(d_output):
            twin = functools.partial(_in_order, ctx.epsilon)
            first, *weights, second = gradients_by_twin(twin, (x, gamma, beta, shortcut), [d_output])
            return first, *weights, None, second
        d_output, d_both = d_output.contiguous(), torch.empty_like(x)
        sums = torch.zeros(torch.get_num_threads(), 2, width, dtype=torch.float32, device="cpu")
        factors = None if gamma is None else gamma.contiguous()
        given = x.dtype is torch.bfloat16, x, shortcut, factors, d_output, kept
        native.call("layer_normalize_backward", len(kept), width, *given, d_both, sums)
        d_gamma, d_beta = sums[0] if len(sums) == 1 else sums.sum(0)
        return (
            d_both if wanted[0] else None,
            d_gamma if wanted[1] else None,
            d_beta if wanted[2] else None,
            None,
            d_both if wanted[4] else None,
        )


def _in_order(epsilon: float, x: Any, gamma: Any, beta: Any, shortcut: Any) -> torch.Tensor:
    return layer_normalize_plain(x, gamma, beta, epsilon, shortcut)
