"""Attention: each query reads the values whose keys are like it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.errors import explain
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import tensor, tensors

operation = group("nn")
__all__ = ["dot_product_attention"]

# What is added to the scores of masked places. Finite, so that a row masked throughout gives a mean and no NaN.
_LARGE, _LARGE_HALF = -0.7 * 3.38953e38, -0.7 * 65500.0


@operation("query key value bias mask scale")
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> torch.Tensor:
    """Return softmax(query . key * scale + bias) . value, head by head.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    Args:
        query: (samples, queries, heads, size).
        key, value: (samples, keys, heads, size); fewer heads, of which each serves several of the queries', will do.
        bias: Added to the scores, (samples, heads, queries, keys) or of axes of size 1.
        mask: True where a query may read; in the shape of `bias`.
        scale: 1 / sqrt(size) by default.
        is_causal: Whether queries read only keys up to their own place.
        flash_attention: True demands torch's FlashAttention (on a GPU); None leaves the choice to torch.
        attn_logits_soft_cap: Only None; it exists for TPUs.

    Example:
        >>> x = torch.ones(1, 3, 2, 4)
        >>> dot_product_attention(x, x, x).shape
        torch.Size([1, 3, 2, 4])
    """
    if attn_logits_soft_cap is not None:
        raise ValueError(
            explain(
                f"dot_product_attention got attn_logits_soft_cap={attn_logits_soft_cap}.",
                "Expected None: it exists for TPUs only.",
                "attn_logits_soft_cap=None",
            )
        )
    query, key, value = tensors(query, key, value)
    if not query.ndim == key.ndim == value.ndim == 4:
        got = ", ".join(str(tuple(x.shape)) for x in (query, key, value))
        raise ValueError(
            explain(
                f"dot_product_attention got query, key and value of shapes {got}.",
                "Expected 4 axes in each: samples, places, heads, size.",
                "ops.expand_dims(x, 2), for one head",
            )
        )
    kind = torch_type(result_type(query.dtype, key.dtype, value.dtype))
    q, k, v = (x.to(kind).transpose(1, 2) for x in (query, key, value))
    groups = q.shape[1] // k.shape[1]
    if k.shape[1] > 1 and groups > 1:
        k, v = (torch.repeat_interleave(x, groups, dim=1) for x in (k, v))
    added = None
    if bias is not None or mask is not None:
        added = _added(bias, mask, is_causal, q, k)
        is_causal = False
    if flash_attention:
        with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.FLASH_ATTENTION]):
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=added, is_causal=is_causal, scale=scale)
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=added, is_causal=is_causal, scale=scale)
    return out.transpose(1, 2)


def _added(bias: Any, mask: Any, is_causal: bool, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Return bias and masks as one tensor of numbers to add to the scores."""
    allowed = None if mask is None else tensor(mask, device=q.device).bool()
    if is_causal:
        past = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        allowed = past if allowed is None else torch.logical_and(allowed, past)
    out = None if bias is None else tensor(bias, device=q.device).to(q.dtype)
    if allowed is None:
        assert out is not None
        return out
    low = _LARGE_HALF if q.dtype is torch.float16 else _LARGE
    blocked = torch.where(allowed, 0.0, low).to(q.dtype)
    return blocked if out is None else torch.where(allowed, out, blocked)
