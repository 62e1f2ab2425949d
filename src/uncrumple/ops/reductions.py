"""From many numbers to one, along axes: sums, means, extremes, and those that pass over NaN."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, axes_of, check_axis, float_type, positive_axis, tensor

operation, operation_of_math = group("numpy"), group("math")
# fmt: off
__all__ = ["all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "cumprod", "cumsum", "logsumexp", "max",
           "mean", "min", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin",
           "nanprod", "nanstd", "nansum", "nanvar", "prod", "ptp", "std", "sum", "trace", "var"]
# fmt: on

_SMALL = (torch.bool, torch.uint8, torch.int8, torch.int16)


def _start(owner: str, x: Any, axis: Any) -> tuple[torch.Tensor, Any]:
    """Return the tensor and its axis or axes, checked."""
    x, axis = tensor(x), axes_of(axis)
    if axis is not None:
        check_axis(owner, axis, x.ndim)
    return x, axis


def _summing_type(x: torch.Tensor) -> torch.dtype:
    return torch.int32 if x.dtype in _SMALL else x.dtype


@operation()
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the sum; narrow whole numbers are summed as int32."""
    x, axis = _start("sum", x, axis)
    return x if axis == () else torch.sum(x, dim=axis, keepdim=keepdims, dtype=_summing_type(x))


@operation()
def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the sum of what is not NaN."""
    x, axis = _start("nansum", x, axis)
    x = torch.nan_to_num(x, nan=0.0, posinf=torch.inf, neginf=-torch.inf) if x.is_floating_point() else x
    return x.to(_summing_type(x)) if axis == () else torch.sum(x, dim=axis, keepdim=keepdims, dtype=_summing_type(x))


@operation()
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the mean, a float."""
    x, axis = _start("mean", x, axis)
    if axis == ():
        return x
    kind = x.dtype if x.is_floating_point() or x.is_complex() else torch_type(result_type(x.dtype, "float32"))
    compute = torch_type(result_type(x.dtype, "float32"))
    return torch.mean(x.to(compute), dim=axis, keepdim=keepdims).to(kind)


@operation()
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the mean of what is not NaN."""
    x, axis = _start("nanmean", x, axis)
    return x if axis == () else torch.nanmean(x.to(torch_type(float_type(x.dtype))), dim=axis, keepdim=keepdims)


@operation()
def var(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the variance: the mean of the squared distance from the mean."""
    x, axis = _start("var", x, axis)
    kind, compute = torch_type(float_type(x.dtype)), torch_type(result_type(x.dtype, "float32"))
    if axis == ():
        return torch.zeros_like(x, dtype=kind)
    return torch.var(x.to(compute), dim=axis, keepdim=keepdims, correction=0).to(kind)


@operation()
def std(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the standard deviation, the square root of the variance."""
    x, axis = _start("std", x, axis)
    x = x if x.is_floating_point() or x.is_complex() else x.float()
    return torch.zeros_like(x) if axis == () else torch.std(x, dim=axis, keepdim=keepdims, correction=0)


@operation()
def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the variance of what is not NaN."""
    x, axis = _start("nanvar", x, axis)
    x = x.to(torch_type(float_type(x.dtype)))
    if axis == ():
        return torch.where(torch.isnan(x), x, 0)
    valid = ~torch.isnan(x)
    centered = torch.where(valid, x - torch.nanmean(x, dim=axis, keepdim=True), 0)
    squares = centered.abs().square()
    return squares.sum(dim=axis, keepdim=keepdims) / valid.sum(dim=axis, keepdim=keepdims)


@operation()
def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the standard deviation of what is not NaN."""
    return torch.sqrt(nanvar(x, axis, keepdims))


def _extreme(owner: str, x: Any, axis: Any, keepdims: bool, initial: Any) -> torch.Tensor:
    x, axis = _start(owner, x, axis)
    largest = owner == "max"
    if initial is None and 0 in (x.shape if axis is None else [x.shape[one] for one in as_ints(axis) if x.ndim]):
        raise ValueError(
            explain(
                f"{owner} got a tensor of shape {tuple(x.shape)}, without numbers.",
                "Expected at least one number, or a value to begin with.",
                f"ops.{owner}(x, initial=0)",
            )
        )
    reduce = torch.amax if largest else torch.amin
    if initial is None:
        return x if axis == () else reduce(x, dim=() if axis is None else axis, keepdim=keepdims)
    start = tensor(initial, x.dtype).to(x.device)
    if axis == () or x.ndim == 0:
        return torch.maximum(x, start) if largest else torch.minimum(x, start)
    # One more number along the axes, so that there is one where there was none.
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    flat = x.movedim(axes, tuple(range(len(axes)))).flatten(0, len(axes) - 1)
    out = reduce(torch.cat([flat, start.expand(1, *flat.shape[1:])]), dim=0)
    return _put_back(out, axes) if keepdims else out


def _put_back(x: torch.Tensor, axis: tuple[int, ...]) -> torch.Tensor:
    rank = x.ndim + len(axis)
    for one in sorted(positive_axis(one, rank) for one in axis):
        x = x.unsqueeze(one)
    return x


@operation()
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> torch.Tensor:
    """Return the largest number, or `initial` if that is larger."""
    return _extreme("max", x, axis, keepdims, initial)


@operation()
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> torch.Tensor:
    """Return the smallest number, or `initial` if that is smaller."""
    return _extreme("min", x, axis, keepdims, initial)


@operation()
def amax(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the largest number."""
    return _extreme("max", x, axis, keepdims, None)


@operation()
def amin(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the smallest number."""
    return _extreme("min", x, axis, keepdims, None)


@operation()
def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the largest number minus the smallest."""
    x = tensor(x)
    return amax(x, axis, keepdims) - amin(x, axis, keepdims)


def _nan_extreme(x: Any, axis: Any, keepdims: bool, largest: bool) -> torch.Tensor:
    x, axis = _start("nanmax" if largest else "nanmin", x, axis)
    if axis == ():
        return x
    dims = () if axis is None else axis
    if not x.is_floating_point():
        return (torch.amax if largest else torch.amin)(x, dim=dims, keepdim=keepdims)
    missing = torch.isnan(x)
    filled = torch.where(missing, -torch.inf if largest else torch.inf, x)
    found = (torch.amax if largest else torch.amin)(filled, dim=dims, keepdim=keepdims)
    return torch.where(torch.all(missing, dim=axis, keepdim=keepdims), torch.nan, found)


@operation()
def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the largest number that is not NaN."""
    return _nan_extreme(x, axis, keepdims, largest=True)


@operation()
def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the smallest number that is not NaN."""
    return _nan_extreme(x, axis, keepdims, largest=False)


def _place(function: Any, owner: str, x: Any, axis: Any, keepdims: bool) -> torch.Tensor:
    x, axis = _start(owner, x, axis)
    return function(x.byte() if x.dtype is torch.bool else x, dim=axis, keepdim=keepdims).int()


@operation()
def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the place of the largest number, in the flattened tensor if no axis is given."""
    return _place(torch.argmax, "argmax", x, axis, keepdims)


@operation()
def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the place of the smallest number, in the flattened tensor if no axis is given."""
    return _place(torch.argmin, "argmin", x, axis, keepdims)


def _nan_place(x: Any, axis: Any, keepdims: bool, largest: bool) -> torch.Tensor:
    x = tensor(x)
    found = argmax if largest else argmin
    if not x.is_floating_point():
        return found(x, axis, keepdims)
    missing = torch.isnan(x)
    places = found(torch.where(missing, -torch.inf if largest else torch.inf, x), axis, keepdims)
    return torch.where(torch.all(missing, dim=axis, keepdim=keepdims), -1, places).int()


@operation()
def nanargmax(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the place of the largest number that is not NaN; -1 if all are."""
    return _nan_place(x, axis, keepdims, largest=True)


@operation()
def nanargmin(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the place of the smallest number that is not NaN; -1 if all are."""
    return _nan_place(x, axis, keepdims, largest=False)


def _product_type(x: torch.Tensor, dtype: Any) -> torch.dtype:
    if dtype is not None:
        return torch_type(dtype)
    return torch.int32 if x.dtype in _SMALL else torch_type(result_type(x.dtype))


@operation()
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> torch.Tensor:
    """Return the product; narrow whole numbers are multiplied as int32."""
    x, axis = _start("prod", x, axis)
    kind = _product_type(x, dtype)
    if axis is None:
        out = torch.prod(x, dtype=kind)
        return out.reshape((1,) * x.ndim) if keepdims else out
    for one in sorted((positive_axis(one, x.ndim) for one in as_ints(axis)), reverse=True):
        x = torch.prod(x, dim=one, keepdim=keepdims, dtype=kind)
    return x.to(kind)


@operation()
def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the product of what is not NaN."""
    x = tensor(x)
    return prod(torch.where(torch.isnan(x), 1, x) if x.is_floating_point() else x, axis, keepdims)


def _running(function: Any, owner: str, x: Any, axis: Any, dtype: Any) -> torch.Tensor:
    x, axis = _start(owner, x, axis)
    x, axis = (x.flatten(), 0) if axis is None else (x, axis)
    name = result_type(dtype or x.dtype)
    return function(x, dim=axis, dtype=torch_type("int32" if name == "bool" else name))


@operation()
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """Return the sum of each number and those before it."""
    return _running(torch.cumsum, "cumsum", x, axis, dtype)


@operation()
def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """Return the product of each number and those before it."""
    return _running(torch.cumprod, "cumprod", x, axis, dtype)


@operation()
def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """Return the sum of each number and those before it, with NaN counted as 0."""
    return cumsum(torch.nan_to_num(tensor(x)), axis, dtype)


@operation()
def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """Return the product of each number and those before it, with NaN counted as 1."""
    return cumprod(torch.nan_to_num(tensor(x), nan=1.0), axis, dtype)


@operation()
def all(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return whether all are true."""
    x, axis = _start("all", x, axis)
    return x.bool() if axis == () else torch.all(x, dim=axis, keepdim=keepdims).bool()


@operation()
def any(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return whether at least one is true."""
    x, axis = _start("any", x, axis)
    return x.bool() if axis == () else torch.any(x, dim=axis, keepdim=keepdims).bool()


@operation()
def count_nonzero(x: Any, axis: Any = None) -> torch.Tensor:
    """Return how many numbers are not 0."""
    x, axis = _start("count_nonzero", x, axis)
    return torch.ne(x, 0).int() if axis == () else torch.count_nonzero(x, dim=axis).int()


@operation_of_math()
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return log(sum(exp(x))) without overflow."""
    x, axis = _start("logsumexp", x, axis)
    return torch.logsumexp(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims)


@operation()
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> torch.Tensor:
    """Return the sum of the diagonal."""
    x = tensor(x)
    return torch.sum(torch.diagonal(x, offset, axis1, axis2), dim=-1, dtype=_summing_type(x))
