"""Projections of one and the same tensor, as one function with one gradient.

A sequence that attends to itself is projected three times. Together they need
no gradients of the same tensor that are added up afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.hooks import GLOBAL_HOOKS, hooks_of
from uncrumple.kernels.dense import multiply_add_each
from uncrumple.kernels.dense_rows import Normalization
from uncrumple.kernels.self_attention import self_attend, takes_self_attention
from uncrumple.layers.einsum_dense import EinsumDense


def go_together(x: torch.Tensor, projections: Sequence[Any]) -> bool:
    """Return whether `project` gives what the projections give one by one, and nobody looks at them."""
    return (
        x.is_floating_point()
        and len({part._parameters.get("bias") is None for part in projections}) == 1
        and all(_is_plain(part) and part._compute_in is x.dtype for part in projections)
    )


def attend_to_itself(
    x: torch.Tensor, projections: Sequence[Any], scale: float, causal: bool, ending: Normalization | None = None
) -> torch.Tensor | None:
    """Return what attention makes of `x`, (samples, steps, features), at once; None where it cannot be.

    Args:
        x: Query, key and value.
        projections: Of query, key and value, and the one back.
        scale: What scores are multiplied by.
        causal: Whether a step sees only those up to its own place.
        ending: What follows.
    """
    back = projections[3]
    if not go_together(x, projections[:3]) or not _is_plain(back, 2) or back._compute_in is not x.dtype:
        return None
    kernels = [part._parameters["kernel"] for part in projections]
    biases = [part._parameters.get("bias") for part in projections]
    if not takes_self_attention(x, kernels, biases, ending):
        return None
    return self_attend(x, kernels, biases, scale=scale, causal=causal, ending=ending)


def _is_plain(part: Any, summed: int = 1) -> bool:
    """Return whether a projection sums over so many axes, does nothing else, and is watched by nobody."""
    if type(part) is not EinsumDense or part._matrix is None or len(part._matrix[1]) != summed:
        return False
    if (
        part._activates
        or part.activity_regularizer is not None
        or "forward" in part.__dict__
        or "call" in part.__dict__
    ):
        return False
    return not any(hooks_of(part)) and not any(GLOBAL_HOOKS)


def project(x: torch.Tensor, projections: Sequence[Any]) -> list[torch.Tensor]:
    """Return what each of the projections makes of `x`, (..., features).

    Example:
        >>> x = torch.ones(2, 5, 3)
        >>> parts = [EinsumDense("abc,cde->abde", (None, 4, size), bias_axes="de") for size in (6, 8)]
        >>> one_by_one = [part(x) for part in parts]
        >>> [torch.allclose(one, other) for one, other in zip(project(x, parts), one_by_one)]
        [True, True]
    """
    whole = [part._parameters["kernel"] for part in projections]
    kernels = [one.reshape(x.shape[-1], -1) for one in whole]
    biases = [part._parameters["bias"].reshape(-1) for part in projections if part._parameters.get("bias") is not None]
    if whole[0].dtype is not x.dtype:
        kernels, biases = ([one.to(x.dtype) for one in some] for some in (kernels, biases))
    outputs = multiply_add_each(x, kernels, biases or None)
    return [one.view(*x.shape[:-1], *kernel.shape[1:]) for one, kernel in zip(outputs, whole)]
