"""The heart of dot-product attention: `softmax(query @ key.T * scale) @ value`, where a mask allows."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch.nn import functional

from uncrumple.core.errors import explain
from uncrumple.kernels import attention
from uncrumple.kernels.transforms import transformed

_FLASH = "FLASH_ATTENTION"
_OTHERS = ("EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH")


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    scale: float = 1.0,
    causal: bool = False,
    mean_if_unseen: bool = False,
    flash: bool | None = None,
) -> torch.Tensor:
    """Return what each query takes from the values.

    Args:
        query: (..., queries, features).
        key: (..., keys, features).
        value: (..., keys, value features).
        mask: Booleans that broadcast to (..., queries, keys): true where a query sees a key.
        scale: What scores are multiplied by.
        causal: Whether a query sees only keys up to its own place; without `mask`.
        mean_if_unseen: Whether a query that sees no key takes the mean of all values; otherwise it takes zeros.
        flash: True for torch's flash function or an error, False for any other, None for torch's choice.

    Returns:
        (..., queries, value features).

    Example:
        >>> attend(torch.ones(1, 2, 4), torch.ones(1, 3, 4), torch.arange(3.0).reshape(1, 3, 1)).flatten()
        tensor([1., 1.])
    """
    seeing = None
    if mask is not None:
        # A row without a key has no softmax. It is computed as if it saw all, and then replaced:
        # with a large negative number in place of the scores torch's flash function gets the gradient wrong.
        seeing = mask.any(-1, keepdim=True)
        mask = mask | ~seeing
    if not torch.compiler.is_compiling() and transformed():
        output = _plain(query, key, value, mask, scale, causal)
    elif flash is None:
        output = attention.attend(query, key, value, mask, scale=scale, causal=causal)
    else:
        output = _fused(query, key, value, mask, scale, causal, flash)
    if seeing is None:
        return output
    return torch.where(seeing, output, _mean(query, key, value, scale) if mean_if_unseen else 0.0)


def _mean(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Return the mean of the values, as of a softmax whose scores a large number has made all the same.

    Query and key get the gradient that such a softmax passes on, as in Keras:
    with weights of 1 / keys, the scores' is `(gradient @ (value - mean)) / keys`.
    """
    mean = value.mean(-2, keepdim=True)
    if not torch.is_grad_enabled():
        return mean
    slope = torch.matmul(key.transpose(-2, -1), (value - mean).detach()) / key.shape[-2]
    change = torch.matmul(query * scale, slope)
    return mean + (change - change.detach())


def _fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    causal: bool,
    flash: bool | None,
) -> torch.Tensor:
    with _kernel(flash):
        try:
            return functional.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, scale=scale)
        except RuntimeError as error:
            if flash and "No available kernel" in str(error):
                raise _no_flash(query, value, mask) from None
            raise


def _plain(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float, causal: bool
) -> torch.Tensor:
    """Do what `_fused` does with torch's basic functions, which every transform of `torch.func` knows."""
    scores = torch.matmul(query * scale, key.transpose(-2, -1))
    if causal:
        mask = causal_mask(query.shape[-2], key.shape[-2], query.device)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.matmul(torch.softmax(scores, -1), value)


def causal_mask(queries: int, keys: int, device: Any = None) -> torch.Tensor:
    """Return (queries, keys): true where a key does not come after the query.

    Example:
        >>> causal_mask(2, 3)
        tensor([[ True, False, False],
                [ True,  True, False]])
    """
    return _distance(queries, keys, device) >= 0


def window_mask(queries: int, keys: int, window: int, device: Any = None) -> torch.Tensor:
    """Return (queries, keys): true where the places of query and key differ by less than `window`.

    Example:
        >>> window_mask(3, 3, 2)
        tensor([[ True,  True, False],
                [ True,  True,  True],
                [False,  True,  True]])
    """
    return _distance(queries, keys, device).abs() < window


def _distance(queries: int, keys: int, device: Any) -> torch.Tensor:
    return torch.arange(queries, device=device)[:, None] - torch.arange(keys, device=device)


def _kernel(flash: bool | None) -> Any:
    """Return the context in which torch uses the functions that `flash` allows."""
    if flash is None:
        return contextlib.nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel([getattr(SDPBackend, name) for name in ([_FLASH] if flash else _OTHERS)])


def _no_flash(query: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> RuntimeError:
    what = f"{str(query.dtype).removeprefix('torch.')} on {query.device.type}"
    what += f" with {query.shape[-1]} features per query and {value.shape[-1]} per value"
    what += ", and a mask" if mask is not None else ""
    return RuntimeError(
        explain(
            f"flash_attention=True, and torch has no flash attention for {what}.",
            "Expected as many of both; on a GPU bfloat16 or float16, and no mask but the causal one.",
            "flash_attention=None: torch chooses the fastest function that fits",
        )
    )
