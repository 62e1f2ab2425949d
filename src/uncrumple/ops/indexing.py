"""Taking numbers out of tensors, and putting numbers in, by their places."""

from __future__ import annotations

import builtins
from typing import Any

import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, check_axis, tensor, tensors

operation, operation_of_core = group("numpy"), group("core")
# fmt: off
__all__ = ["diag", "diagflat", "diagonal", "get_item", "nonzero", "scatter", "scatter_update", "slice",
           "slice_update", "take", "take_along_axis", "tril", "triu"]
# fmt: on


@operation(2)
def get_item(x: Any, key: Any) -> Any:
    """Return `x[key]`."""
    return (x if isinstance(x, torch.Tensor) else tensor(x))[key]


def _places(indices: Any, size: int, device: torch.device) -> torch.Tensor:
    indices = tensor(indices, device=device).to(device)
    if indices.is_floating_point():
        indices = indices.long()
    return torch.where(indices < 0, indices + size, indices).long()


@operation(2)
def take(x: Any, indices: Any, axis: int | None = None) -> torch.Tensor:
    """Return the slices of `x` at some places of an axis, or numbers of the flattened tensor.

    Args:
        indices: Whole numbers, in any shape; negative ones count from the end.
        axis: None for the flattened tensor.

    Raises:
        ValueError: A place lies outside.

    Example:
        >>> take(torch.tensor([[1, 2, 3], [4, 5, 6]]), [0, -1], axis=1)
        tensor([[1, 3],
                [4, 6]])
    """
    x = tensor(x)
    check_axis("take", axis, x.ndim)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis % x.ndim if x.ndim else axis
    places = _places(indices, x.shape[axis], x.device)
    try:
        found = torch.index_select(x, axis, places.reshape(-1))
    except (IndexError, RuntimeError):
        raise _outside("take", places, x.shape[axis]) from None
    return found.reshape([*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]])


def _outside(owner: str, places: torch.Tensor, size: int) -> ValueError:
    wrong = places[(places < 0) | (places >= size)].reshape(-1)
    first = int(wrong[0]) if wrong.numel() else int(places.reshape(-1)[0])
    return ValueError(
        explain(
            f"{owner} got the index {first if first >= 0 else first - size} for an axis of size {size}.",
            f"Expected {-size} <= index < {size}.",
            f"ops.clip(indices, 0, {size - 1})",
        )
    )


@operation(2)
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> torch.Tensor:
    """Return, for each place of `indices`, the number of `x` at that index along the axis, as `argsort` finds them."""
    x = tensor(x)
    check_axis("take_along_axis", axis, x.ndim)
    if axis is None:
        x, axis = x.reshape(-1), 0
    places = _places(indices, x.shape[axis], x.device)
    if places.ndim != x.ndim:
        raise ValueError(
            explain(
                f"take_along_axis got x with {x.ndim} axes and indices with {places.ndim}.",
                "Expected as many in both.",
                "ops.expand_dims(indices, axis), or ops.take(x, indices, axis)",
            )
        )
    return torch.take_along_dim(x, places, dim=axis)


@operation()
def nonzero(x: Any) -> torch.Tensor:
    """Return the places of the numbers that are not 0: one row for each axis."""
    return torch.nonzero(tensor(x)).T.int()


@operation_of_core("inputs start_indices")
def slice(inputs: Any, start_indices: Any, shape: Any) -> torch.Tensor:
    """Return the block of `shape` that begins at `start_indices`.

    Example:
        >>> slice(torch.arange(9).reshape(3, 3), (1, 1), (2, 2))
        tensor([[4, 5],
                [7, 8]])
    """
    x = tensor(inputs)
    return x[_block("slice", x, as_ints(start_indices), as_ints(shape))]


def _block(owner: str, x: torch.Tensor, starts: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
    if len(starts) != len(sizes) or len(sizes) > x.ndim or any(
        start < 0 or start + size > whole for start, size, whole in zip(starts, sizes, x.shape)
    ):  # fmt: skip
        raise ValueError(
            explain(
                f"{owner} got a block of shape {sizes} at {starts} in a tensor of shape {tuple(x.shape)}.",
                "Expected a block that lies inside: start + size <= size of the axis.",
                f"start_indices={(0,) * x.ndim}",
            )
        )
    return tuple(builtins.slice(start, start + size) for start, size in zip(starts, sizes))


@operation_of_core("inputs start_indices updates")
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> torch.Tensor:
    """Return a copy of `inputs` with a block of it, which begins at `start_indices`, replaced by `updates`."""
    x, updates = tensors(inputs, updates)
    out = x.clone()
    out[_block("slice_update", x, as_ints(start_indices), tuple(updates.shape))] = updates.to(x.dtype)
    return out


@operation_of_core("indices values")
def scatter(indices: Any, values: Any, shape: Any) -> torch.Tensor:
    """Return zeros of `shape` with values added at some places.

    Args:
        indices: One row for each value: its place on the first axes.
        values: One number, or one slice, for each row.
        shape: Of the result.

    Example:
        >>> scatter([[0], [2], [2]], [1.0, 2.0, 3.0], (4,))
        tensor([1., 0., 5., 0.])
    """
    indices, values = tensors(indices, values)
    shape = as_ints(shape)
    depth = indices.shape[-1]
    rows = indices.reshape(-1, depth).to(values.device).long()
    out = torch.zeros(shape, dtype=values.dtype, device=values.device)
    return out.index_put(tuple(rows.T), values.reshape(-1, *shape[depth:]), accumulate=True)


@operation_of_core(3)
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> torch.Tensor:
    """Return a copy of `inputs` with some places overwritten, or combined with new numbers.

    Args:
        indices: One row for each update: its place on the first axes.
        updates: One number, or one slice, for each row.
        reduction: None to overwrite, `"add"`, `"max"`, `"min"` or `"mul"`.
    """
    known = ("add", "max", "min", "mul")
    if reduction is not None and str(reduction).lower() not in known:
        raise ValueError(unknown_name("reduction", reduction, known))
    x, indices, updates = tensors(inputs, indices, updates)
    rows, updates = indices.reshape(-1, indices.shape[-1]).to(x.device).long(), updates.to(x.dtype)
    depth = rows.shape[-1]
    places = tuple(rows.T)
    if reduction is None or reduction.lower() == "add":
        return x.index_put(places, updates, accumulate=reduction is not None)
    # The first axes as one, since torch combines along one.
    sizes = x.shape[:depth]
    flat = torch.zeros_like(places[0])
    for place, size in zip(places, sizes):
        flat = flat * size + torch.where(place < 0, place + size, place)
    updates = torch.broadcast_to(updates, [rows.shape[0], *x.shape[depth:]])
    flat = flat.reshape(-1, *[1] * (x.ndim - depth)).expand(updates.shape)
    how = {"max": "amax", "min": "amin", "mul": "prod"}[reduction.lower()]
    return x.reshape(-1, *x.shape[depth:]).scatter_reduce(0, flat, updates, how).reshape(x.shape)


@operation()
def diag(x: Any, k: int = 0) -> torch.Tensor:
    """Return the diagonal of a matrix, or a matrix with this diagonal."""
    return torch.diag(tensor(x), k)


@operation()
def diagflat(x: Any, k: int = 0) -> torch.Tensor:
    """Return a matrix with the flattened numbers on its diagonal."""
    return torch.diagflat(tensor(x), k)


@operation()
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> torch.Tensor:
    """Return the diagonals of the matrices on two axes, on a new last axis."""
    x = tensor(x)
    check_axis("diagonal", (axis1, axis2), x.ndim)
    if axis1 % x.ndim == axis2 % x.ndim:
        raise ValueError(
            explain(
                f"diagonal got axis1={axis1} and axis2={axis2}.", "Expected two different axes.", "axis1=0, axis2=1"
            )
        )
    return torch.diagonal(x, offset, axis1, axis2)


@operation()
def tril(x: Any, k: int = 0) -> torch.Tensor:
    """Return matrices with 0 above the diagonal `k`."""
    return torch.tril(tensor(x), k)


@operation()
def triu(x: Any, k: int = 0) -> torch.Tensor:
    """Return matrices with 0 below the diagonal `k`."""
    return torch.triu(tensor(x), k)
