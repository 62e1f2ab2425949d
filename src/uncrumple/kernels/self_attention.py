"""A sequence that attends to itself, from the projections there to the projection back, as one differentiable function.

The sum with the sequence itself and a layer normalization may follow, as in a transformer's block. Joined by autograd
out of its parts it is thirty functions, among them copies of weights and passes through memory that kernels do on the way.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.kernels import dense_rows, native
from uncrumple.kernels.attention import LONGEST, attend_plain, numbers
from uncrumple.kernels.dense import multiply_add_plain
from uncrumple.kernels.dense_rows import Normalization, Normalized
from uncrumple.kernels.layer_normalization import layer_normalize_plain
from uncrumple.kernels.transforms import differentiated, gradients_by_twin, watched

Weights = Sequence[torch.Tensor]
Biases = Sequence[torch.Tensor | None]


def takes_self_attention(
    x: torch.Tensor, kernels: Weights, biases: Biases, ending: Normalization | None = None
) -> bool:
    """Return whether the native kernels can run `self_attend` on these."""
    if not native.takes(x) or watched() or x.dim() != 3 or not x.numel() or x.shape[1] > LONGEST:
        return False
    query, key, value, back = shapes = [one.shape for one in kernels]
    if any(len(one) != 3 for one in shapes) or query[0] != x.shape[2] or query != key:
        return False
    if query[:2] != value[:2] or back[:2] != value[1:] or (ending is not None and back[2:] != x.shape[2:]):
        return False
    norms: Any = () if ending is None else (ending.gamma, ending.beta)
    vectors = zip((*biases, *norms), (query[1:], key[1:], value[1:], back[2:], back[2:], back[2:]))
    if any(one is not None and one.shape != shape for one, shape in vectors):
        return False
    return native.takes(*kernels, *biases, *norms)


def self_attend(
    x: torch.Tensor,
    kernels: Weights,
    biases: Biases,
    *,
    scale: float,
    causal: bool = False,
    ending: Normalization | None = None,
) -> torch.Tensor:
    """Return what a sequence takes from itself; call it where `takes_self_attention` says so.

    Args:
        x: (samples, steps, features).
        kernels: Of query and key, (features, heads, width); of value, (features, heads, value width); and back,
            (heads, value width, units).
        biases: Of the same, without the first axis, and (units) for the last; None for none. The first three go together.
        scale: What scores are multiplied by.
        causal: Whether a step sees only those up to its own place.
        ending: Add `x`, of as many features, and normalize.
    """
    gamma, beta, epsilon = ending or (None, None, None)
    return _SelfAttention.apply(x, scale, causal, epsilon, *kernels, *biases, gamma, beta)


def self_attend_plain(
    scale: float, causal: bool, epsilon: float | None, x: torch.Tensor, *weights: torch.Tensor | None
) -> torch.Tensor:
    """Do what `self_attend` does with torch's own functions.

    Args:
        scale, causal, x: As there.
        epsilon: That of the ending; None without one.
        weights: Four kernels, four biases, gamma and beta.

    Example:
        >>> x, one = torch.ones(1, 2, 3), torch.ones(3, 1, 3)
        >>> self_attend_plain(1.0, False, None, x, one, one, one, torch.ones(1, 3, 2), *[None] * 6).flatten()
        tensor([9., 9., 9., 9.])
    """
    kernels: Any = weights[:4]
    biases = weights[4:8]
    heads = []
    for kernel, bias in zip(kernels[:3], biases):
        flat = multiply_add_plain(x, kernel.flatten(1), None if bias is None else bias.flatten())
        heads.append(flat.unflatten(-1, kernel.shape[1:]).transpose(1, 2))
    query, key, value = heads
    seen = attend_plain(query, key, value, None, scale, causal)
    out = multiply_add_plain(seen.transpose(1, 2).flatten(2), kernels[3].flatten(0, 1), biases[3])
    return out if epsilon is None else layer_normalize_plain(out, weights[8], weights[9], epsilon, x)


class _SelfAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: float, causal: bool, epsilon: Any, *weights: Any) -> torch.Tensor:
        samples, steps, features = x.shape
        (heads, width), width_out = weights[0].shape[1:], weights[2].shape[2]
        rows = x.reshape(-1, features).contiguous()
        kernel = torch.cat([one.reshape(features, -1) for one in weights[:3]], 1)
        bias = None if weights[4] is None else torch.cat([one.reshape(-1) for one in weights[4:7]])
        projected = dense_rows.multiply(rows, kernel, bias)
        seen, line = x.new_empty(len(rows), heads * width_out), kernel.shape[1]
        sums = x.new_empty(samples, heads, 2, steps)
        ctx.sizes = [heads * width, heads * width, heads * width_out]
        ctx.settings = samples, heads, steps, steps, width, width_out, scale, causal, False
        ctx.strides = (steps * line, width, line) * 2 + (steps * line, width_out, line)
        native.call("attention", *ctx.settings, numbers(*ctx.strides), *projected.split(ctx.sizes, 1), seen, sums)
        matrix, (bias, gamma, beta) = weights[3].reshape(heads * width_out, -1), weights[7:]
        total = kept = None
        if epsilon is None:
            out = dense_rows.multiply(seen, matrix, bias)
        else:
            out, (total, kept, _) = dense_rows.multiply_and_normalize(seen, matrix, bias, rows, gamma, beta, epsilon)
        ctx.save_for_backward(x, projected, seen, sums, kernel, total, kept, *weights)
        ctx.epsilon = epsilon
        return out.view(samples, steps, -1)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        d_weights: list[Any]
        x, projected, seen, sums, kernel, total, kept, *weights = ctx.saved_tensors
        if differentiated(d_output):
            twin = functools.partial(self_attend_plain, *ctx.settings[6:8], ctx.epsilon)
            d_x, *d_weights = gradients_by_twin(twin, (x, *weights), [d_output])
            return d_x, None, None, None, *d_weights
        wanted, back = ctx.needs_input_grad, weights[3].reshape(seen.shape[1], -1)
        normalized = None if total is None else Normalized(total, kept, weights[8])
        d = dense_rows.gradients(d_output.reshape(len(seen), -1), back, normalized=normalized)
        steps, width_out, line = ctx.settings[2], ctx.settings[5], seen.shape[1]
        strides = numbers(*ctx.strides, steps * line, width_out, line, *[projected.shape[1]] * 3)
        d_projected = torch.empty_like(projected)
        given = strides, *projected.split(ctx.sizes, 1), d.x, sums
        native.call("attention_backward", *ctx.settings, *given, *d_projected.split(ctx.sizes, 1))
        plus = None if total is None else d.products
        below = dense_rows.gradients(d_projected, kernel, plus=plus, x_wanted=wanted[0])
        d_weights = [None] * 10
        if any(wanted[4:7]):
            parts = torch.mm(x.reshape(len(seen), -1).t(), d_projected).split(ctx.sizes, 1)
            d_weights[:3] = [part.view(one.shape) for part, one in zip(parts, weights)]
        if wanted[7]:
            d_weights[3] = torch.mm(seen.t(), d.products).view(weights[3].shape)
        if weights[4] is not None:
            d_weights[4:7] = [part.view(one.shape) for part, one in zip(below.bias.split(ctx.sizes), weights[4:])]
        d_weights[7:] = [one if here else None for one, here in zip((d.bias, d.gamma, d.beta), wanted[11:])]
        return None if below.x is None else below.x.view(x.shape), None, None, None, *d_weights
