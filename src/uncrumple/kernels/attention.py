"""Attention on the CPU, with the backward pass computed from little that the forward pass keeps.

The native kernels take the heads one by one, so that the scores of a head
never leave the cache, and are faster than torch's flash function; with
bfloat16, whose gradients that function computes very slowly, by far. Where
there is a mask or a long sequence, float32 stays with torch, and bfloat16 is
computed by matrix products or in float32.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from uncrumple.kernels import native
from uncrumple.kernels.transforms import differentiated, gradients_by_twin, watched

LONGEST = 1024  # steps that the native kernels are for
_SHORT = 512  # steps whose weights are kept by the products


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    scale: float,
    causal: bool = False,
) -> torch.Tensor:
    """Return `softmax(query @ key.T * scale) @ value`, by the fastest way there is.

    Args:
        query, key, value: (..., steps, features).
        mask: Booleans that broadcast to the scores, true where a query sees a key.
        scale: What scores are multiplied by.
        causal: Whether a query sees only keys up to its own place; without `mask`.

    Example:
        >>> ones = torch.ones(1, 1, 2, 4)
        >>> attend(ones, ones, torch.arange(2.0).reshape(1, 1, 2, 1), scale=0.5).flatten()
        tensor([0.5000, 0.5000])
    """
    if torch.compiler.is_compiling() or watched() or not query.numel():
        return _torchs(query, key, value, mask, scale, causal)
    learns = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad)
    if not learns and query.dtype is torch.bfloat16:
        return _torchs(query, key, value, mask, scale, causal)
    if mask is None and _takes(query, key, value):
        return _Heads.apply(*(_dense_features(one) for one in (query, key, value)), scale, causal)
    if not _is_slow(query, key, value):
        return _torchs(query, key, value, mask, scale, causal)
    queries, keys = query.shape[-2], key.shape[-2]
    if max(queries, keys) > _SHORT:
        return _torchs(query.float(), key.float(), value.float(), mask, scale, causal).to(query.dtype)
    if causal:
        mask = torch.ones(queries, keys, dtype=torch.bool, device="cpu").tril()
    return _Products.apply(query, key, value, mask, scale)


def attend_plain(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float, causal: bool
) -> torch.Tensor:
    """Do what `attend` does with torch's basic functions."""
    scores = torch.matmul(query * scale, key.transpose(-2, -1))
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.matmul(torch.softmax(scores, -1), value)


def _torchs(query: Any, key: Any, value: Any, mask: Any, scale: float, causal: bool) -> torch.Tensor:
    return functional.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, scale=scale)


def _takes(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Return whether the native kernels can run these: (samples, heads, steps, features), not too long."""
    if not query.dim() == key.dim() == value.dim() == 4 or not key.numel() or not value.numel():
        return False
    if not query.shape[:2] == key.shape[:2] == value.shape[:2] or max(query.shape[2], key.shape[2]) > LONGEST:
        return False
    if query.shape[3] != key.shape[3] or key.shape[2] != value.shape[2]:
        return False  # torch says what is wrong
    return native.takes(query, key, value, half=True)


def _is_slow(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Return whether torch's own function takes long for the gradients of these."""
    halves = query.dtype is torch.bfloat16 and query.device.type == "cpu"
    return halves and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]


def _dense_features(one: torch.Tensor) -> torch.Tensor:
    return one if one.stride(3) == 1 else one.contiguous()


def _strides(*tensors: torch.Tensor, steps: Sequence[int] = ()) -> Any:
    """Return how far apart samples, heads and steps lie in each, and more such numbers, as the kernels take it."""
    return numbers(*(size for one in tensors for size in one.stride()[:3]), *steps)


def numbers(*values: int) -> Any:
    """Return whole numbers as the kernels take them."""
    return (ctypes.c_int64 * len(values))(*values)


class _Heads(torch.autograd.Function):
    """Attention by the native kernels, of tensors whose features lie side by side."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, causal: bool
    ) -> torch.Tensor:
        samples, heads, queries, width = query.shape
        keys, width_out = value.shape[2:]
        out = query.new_empty(samples, queries, heads, width_out)
        sums = torch.empty(samples, heads, 2, queries, dtype=torch.float32, device="cpu")
        ctx.settings = samples, heads, queries, keys, width, width_out, scale, causal, query.dtype is torch.bfloat16
        strides = _strides(query, key, value)
        native.call("attention", *ctx.settings, strides, query, key, value, out, sums)
        ctx.save_for_backward(query, key, value, sums)
        return out.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, sums = ctx.saved_tensors
        samples, heads, queries, keys, width, width_out, scale, causal, _ = ctx.settings
        if differentiated(d_output):
            twin = functools.partial(attend_plain, mask=None, scale=scale, causal=causal)
            return (*gradients_by_twin(twin, (query, key, value), [d_output]), None, None)
        d = _dense_features(d_output)
        if queries == keys and width == width_out:
            # Side by side: where the three come from one product, they go back into one.
            d_query, d_key, d_value = query.new_empty(samples, queries, 3, heads, width).unbind(2)
        else:
            d_query = query.new_empty(samples, queries, heads, width)
            d_key, d_value = key.new_empty(samples, keys, heads, width), key.new_empty(samples, keys, heads, width_out)
        steps = [one.stride(1) for one in (d_query, d_key, d_value)]
        strides = _strides(query, key, value, d, steps=steps)
        given = strides, query, key, value, d, sums
        native.call("attention_backward", *ctx.settings, *given, d_query, d_key, d_value)
        return d_query.transpose(1, 2), d_key.transpose(1, 2), d_value.transpose(1, 2), None, None


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
    ) -> torch.Tensor:
        q, k, v = (one.reshape(-1, *one.shape[-2:]) for one in (query, key, value))
        scores = torch.bmm(q, k.transpose(1, 2)).float().mul_(scale)
        if mask is not None:
            scores.view(*query.shape[:-1], -1).masked_fill_(~mask, -torch.inf)
        weights = torch.softmax(scores, -1).to(q.dtype)
        ctx.save_for_backward(query, key, value, mask, q, k, v, weights)
        ctx.scale = scale
        return torch.bmm(weights, v).view(*query.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, mask, q, k, v, weights = ctx.saved_tensors
        if differentiated(d_output):
            twin = functools.partial(attend_plain, mask=mask, scale=ctx.scale, causal=False)
            return (*gradients_by_twin(twin, (query, key, value), [d_output]), None, None)
        d = d_output.reshape(-1, *d_output.shape[-2:])
        d_value = torch.bmm(weights.transpose(1, 2), d)
        d_weights = torch.bmm(d, v.transpose(1, 2))
        d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype).mul_(ctx.scale)
        d_query, d_key = torch.bmm(d_scores, k), torch.bmm(d_scores.transpose(1, 2), q)
        return d_query.view(query.shape), d_key.view(key.shape), d_value.view(value.shape), None, None
