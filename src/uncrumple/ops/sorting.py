"""Order: sorting, searching, the largest few, and what there is once."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from uncrumple.core.errors import explain
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import check_axis, positive_axis, tensor, tensors

operation, operation_of_math = group("numpy"), group("math")
# fmt: off
__all__ = ["argpartition", "argsort", "in_top_k", "searchsorted", "sort", "top_k", "unique"]
# fmt: on


@operation()
def sort(x: Any, axis: int | None = -1) -> torch.Tensor:
    """Return the numbers in ascending order along an axis; None for the flattened tensor."""
    x = tensor(x)
    check_axis("sort", axis, x.ndim)
    return torch.sort(x.reshape(-1)).values if axis is None else torch.sort(x, dim=axis).values


@operation()
def argsort(x: Any, axis: int | None = -1) -> torch.Tensor:
    """Return the places of the numbers in ascending order; equal ones keep their order."""
    x = tensor(x)
    check_axis("argsort", axis, x.ndim)
    x = x.byte() if x.dtype is torch.bool else x
    return torch.argsort(x.reshape(-1) if axis is None else x, dim=-1 if axis is None else axis, stable=True).int()


@operation()
def argpartition(x: Any, kth: int, axis: int | None = -1) -> torch.Tensor:
    """Return places such that the `kth` number is where sorting puts it, smaller ones before and larger ones behind."""
    size = tensor(x).numel() if axis is None else tensor(x).shape[axis]
    if not -size <= kth < size:
        raise ValueError(explain(f"argpartition got kth={kth}.", f"Expected {-size} <= kth < {size}.", "kth=0"))
    return argsort(x, axis)


@operation(2, "SearchSorted")
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> torch.Tensor:
    """Return where values would be put into a sorted sequence, before equal numbers (`"left"`) or behind (`"right"`)."""
    sequence, values = tensors(sorted_sequence, values)
    if sequence.ndim != 1:
        raise ValueError(
            explain(
                f"searchsorted got a sequence of shape {tuple(sequence.shape)}.",
                "Expected one axis.",
                "ops.vectorized_map(lambda row: ops.searchsorted(row, values), sequences)",
            )
        )
    if side not in ("left", "right"):
        raise ValueError(explain(f"searchsorted got side={side!r}.", 'Expected "left" or "right".', 'side="left"'))
    return torch.searchsorted(sequence, values.contiguous(), side=side, out_int32=True)


class TopK(NamedTuple):
    """The largest numbers, and where they are."""

    values: torch.Tensor
    indices: torch.Tensor


@operation_of_math()
def top_k(x: Any, k: int, sorted: bool = True) -> TopK:
    """Return the `k` largest numbers along the last axis, and their places.

    Args:
        sorted: Whether the largest comes first.

    Example:
        >>> top_k(torch.tensor([3, 1, 4, 1, 5]), 2).values
        tensor([5, 4])
    """
    x = tensor(x)
    if x.ndim == 0 or not 0 <= k <= x.shape[-1]:
        raise ValueError(
            explain(
                f"top_k got k={k} for a tensor of shape {tuple(x.shape)}.",
                f"Expected 0 <= k <= {x.shape[-1] if x.ndim else 0}, the size of the last axis.",
                f"k={x.shape[-1] if x.ndim else 0}",
            )
        )
    return TopK(*torch.topk(x, k, sorted=sorted))


@operation_of_math("targets predictions", "InTopK")
def in_top_k(targets: Any, predictions: Any, k: int) -> torch.Tensor:
    """Return for each row of scores whether the target's class is among the `k` best; ties count."""
    targets, predictions = tensors(targets, predictions)
    best = torch.topk(predictions, k).values[..., -1:]
    own = torch.take_along_dim(predictions, targets.long()[..., None], dim=-1)
    return (own >= best)[..., 0]


@operation()
def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """Return what there is, each once: numbers, or slices along an axis.

    Args:
        sorted: Whether they are in ascending order.
        return_index: Also return where each occurs first.
        return_inverse: Also return which of them each number of `x` is.
        return_counts: Also return how often each occurs.
        axis: None for the flattened tensor.
        size: How many to return: fewer are filled up with `fill_value` (0 by default), more are left out.
    """
    x = tensor(x)
    check_axis("unique", axis, x.ndim)
    values, inverse, counts = torch.unique(x, sorted=sorted, return_inverse=True, return_counts=True, dim=axis)
    place = 0 if axis is None else positive_axis(axis, x.ndim)
    flat = inverse.reshape(-1)
    first = torch.full_like(counts, flat.numel()).scatter_reduce(
        0, flat, torch.arange(flat.numel(), device=flat.device), "amin"
    )
    if size is not None:
        values = _sized(values, size, place, 0 if fill_value is None else fill_value)
        counts, first = _sized(counts, size, 0, 0), _sized(first, size, 0, 1)
    found = [values]
    found += [first] if return_index else []
    found += [inverse] if return_inverse else []
    found += [counts] if return_counts else []
    return found[0] if len(found) == 1 else tuple(found)


def _sized(x: torch.Tensor, size: int, axis: int, fill: Any) -> torch.Tensor:
    """Return a tensor with exactly `size` slices along an axis."""
    missing = size - x.shape[axis]
    if missing <= 0:
        return x.narrow(axis, 0, size)
    margin = [0, 0] * (x.ndim - axis)
    margin[-1] = missing
    return torch.nn.functional.pad(x, margin, value=fill)
