"""Two dense layers beside a shortcut, normalized after: half of a transformer's block, as one differentiable function."""

from __future__ import annotations

import functools
from typing import Any

import torch

from uncrumple.kernels import dense_rows, native
from uncrumple.kernels.dense import multiply_add_plain
from uncrumple.kernels.dense_rows import Normalization, Normalized
from uncrumple.kernels.layer_normalization import layer_normalize_plain
from uncrumple.kernels.transforms import differentiated, gradients_by_twin, watched

Weights = tuple[torch.Tensor, torch.Tensor | None]  # kernel and bias


def takes_feed_forward(x: torch.Tensor, first: Weights, second: Weights, ending: Normalization) -> bool:
    """Return whether the native kernels can run `feed_forward` on these."""
    if not native.takes(x) or watched() or x.dim() < 2 or not x.numel():
        return False
    weights = *first, *second, ending.gamma, ending.beta
    features, units = x.shape[-1], first[0].shape[-1]
    shapes = (features, units), (units,), (units, features), (features,), (features,), (features,)
    if any(one is not None and one.shape != shape for one, shape in zip(weights, shapes)):
        return False
    return units > 0 and native.takes(*weights)


def feed_forward(x: torch.Tensor, first: Weights, second: Weights, ending: Normalization) -> torch.Tensor:
    """Return the layer normalization of `x + (relu(x @ kernel + bias) @ kernel + bias)`.

    Call it where `takes_feed_forward` says so.

    Args:
        x: (..., features).
        first: Kernel (features, units) and bias (units) or None.
        second: Kernel (units, features) and bias (features) or None.
        ending: The normalization.
    """
    return _FeedForward.apply(x, ending.epsilon, *first, *second, ending.gamma, ending.beta)


def feed_forward_plain(epsilon: float, x: torch.Tensor, *weights: Any) -> torch.Tensor:
    """Do what `feed_forward` does with torch's own functions.

    Args:
        epsilon: Added to the variance.
        x: As there.
        weights: The two kernels and biases, gamma and beta.

    Example:
        >>> x, one = torch.tensor([[1.0, 2.0]]), torch.eye(2)
        >>> feed_forward_plain(0.0, x, one, None, one, None, None, None)
        tensor([[-1.,  1.]])
    """
    kernel, bias, kernel_back, bias_back, gamma, beta = weights
    out = multiply_add_plain(multiply_add_plain(x, kernel, bias, relu=True), kernel_back, bias_back)
    return layer_normalize_plain(out, gamma, beta, epsilon, x)


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, epsilon: float, *weights: Any) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        hidden = dense_rows.multiply(rows, weights[0], weights[1], relu=True)
        kernel_back, bias_back, gamma, beta = weights[2:]
        out, normalized = dense_rows.multiply_and_normalize(hidden, kernel_back, bias_back, rows, gamma, beta, epsilon)
        ctx.save_for_backward(x, hidden, *normalized[:2], *weights)
        ctx.epsilon = epsilon
        return out.view(x.shape)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, hidden, total, kept, *weights = ctx.saved_tensors
        if differentiated(d_output):
            twin = functools.partial(feed_forward_plain, ctx.epsilon)
            d_x, *d_weights = gradients_by_twin(twin, (x, *weights), [d_output])
            return d_x, None, *d_weights
        wanted, rows = ctx.needs_input_grad, x.reshape(total.shape)
        normalized = Normalized(total, kept, weights[4])
        d = dense_rows.gradients(d_output.reshape(total.shape), weights[2], normalized=normalized)
        d_kernel_back = torch.mm(hidden.t(), d.products) if wanted[4] else None
        d_hidden: Any = d.x
        below = dense_rows.gradients(
            d_hidden, weights[0], rectified=hidden, plus=d.products, x_wanted=wanted[0], overwrite=True
        )
        d_kernel = torch.mm(rows.t(), below.products) if wanted[2] else None
        found = d_kernel, below.bias, d_kernel_back, d.bias, d.gamma, d.beta
        d_x = None if below.x is None else below.x.view(x.shape)
        return d_x, None, *(one if here else None for one, here in zip(found, wanted[2:]))
