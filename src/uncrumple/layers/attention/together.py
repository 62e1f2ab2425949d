"""Projections of one and the same tensor as one matrix product.

A sequence that attends to itself is projected three times. One product with
the three kernels side by side is faster than three, and so is its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.kernels.dense import multiply_add
from uncrumple.layers.einsum_dense import EinsumDense


def go_together(x: torch.Tensor, projections: Sequence[Any]) -> bool:
    """Return whether `project` gives what the projections give one by one, and nobody looks at them."""
    return (
        x.is_floating_point()
        and len({part.bias is None for part in projections}) == 1
        and all(_is_plain(part) and part._compute_in is x.dtype for part in projections)
    )


def _is_plain(part: Any) -> bool:
    if type(part) is not EinsumDense or part._matrix is None or len(part._matrix[1]) > 1:
        return False
    if (
        part._activates
        or part.activity_regularizer is not None
        or "forward" in part.__dict__
        or "call" in part.__dict__
    ):
        return False
    hooks = part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks
    return not any(hooks)


def project(x: torch.Tensor, projections: Sequence[Any]) -> list[torch.Tensor]:
    """Return what each of the projections makes of `x`, (..., features).

    Example:
        >>> x = torch.ones(2, 5, 3)
        >>> parts = [EinsumDense("abc,cde->abde", (None, 4, size), "de") for size in (6, 8)]
        >>> one_by_one = [part(x) for part in parts]
        >>> [torch.allclose(one, other) for one, other in zip(project(x, parts), one_by_one)]
        [True, True]
    """
    kernels = [part.kernel.reshape(x.shape[-1], -1) for part in projections]
    kernel, bias = torch.cat(kernels, 1).to(x.dtype), None
    if projections[0].bias is not None:
        bias = torch.cat([part.bias.reshape(-1) for part in projections]).to(x.dtype)
    outputs = multiply_add(x, kernel, bias).split([one.shape[1] for one in kernels], -1)
    return [one.unflatten(-1, part.kernel.shape[1:]) for one, part in zip(outputs, projections)]
