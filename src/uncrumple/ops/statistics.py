"""Quantiles, averages, histograms, correlations, differences and integrals."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, axes_of, check_axis, float_type, floating, positive_axis, tensor, tensors

operation = group("numpy")
# fmt: off
__all__ = ["average", "bincount", "corrcoef", "correlate", "diff", "digitize", "histogram", "median", "nanmedian",
           "nanpercentile", "nanquantile", "percentile", "quantile", "trapezoid", "unravel_index"]
# fmt: on


def _quantile(function: Callable[..., torch.Tensor], x: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Any:
    x, q = tensors(x, q)
    check_axis(function.__name__, axis, x.ndim, single=False)
    kind, compute = torch_type(float_type(x.dtype)), torch_type(result_type(x.dtype, "float32"))
    if x.ndim == 0 and axis is None:
        return function(x.to(compute), q.to(compute), interpolation=method).to(kind)
    rank = x.ndim
    axes = tuple(range(rank)) if axis is None else tuple(positive_axis(one, rank) for one in as_ints(axis))
    # The axes go to the end as one, since torch takes one.
    kept = [one for one in range(rank) if one not in axes]
    flat = x.to(compute).permute(*kept, *axes).reshape([*(x.shape[one] for one in kept), -1])
    out = function(flat, q.to(compute), dim=-1, interpolation=method)
    if keepdims:
        for one in sorted(axes):
            out = out.unsqueeze(one + q.ndim)
    return out.to(kind)


@operation(2)
def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> torch.Tensor:
    """Return the number that a share `q` (0 to 1) of the numbers lies below."""
    return _quantile(torch.quantile, x, q, axis, method, keepdims)


@operation(2)
def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> torch.Tensor:
    """Return the quantile of what is not NaN."""
    return _quantile(torch.nanquantile, x, q, axis, method, keepdims)


def _share(x: Any, q: Any) -> torch.Tensor:
    """Return per cent as a share."""
    return tensor(q, device=x.device if isinstance(x, torch.Tensor) else None).to(torch_type(floatx())) / 100


@operation(2)
def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> torch.Tensor:
    """Return the number that `q` per cent (0 to 100) of the numbers lie below."""
    return quantile(x, _share(x, q), axis, method, keepdims)


@operation(2)
def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> torch.Tensor:
    """Return the percentile of what is not NaN."""
    return nanquantile(x, _share(x, q), axis, method, keepdims)


@operation()
def median(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the middle number, the mean of the two middle ones if their count is even."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


@operation()
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the median of what is not NaN."""
    return tensor(x) if axes_of(axis) == () else nanquantile(x, 0.5, axis, keepdims=keepdims)


@operation("x weights")
def average(x: Any, axis: Any = None, weights: Any = None) -> torch.Tensor:
    """Return the mean with weights: of the shape of `x`, or one weight for each place on the axis.

    Example:
        >>> average(torch.tensor([1.0, 4.0]), weights=[2, 1])
        tensor(2.)
    """
    x = tensor(x)
    check_axis("average", axis, x.ndim)
    if weights is None:
        x = x.to(torch_type(float_type(x.dtype)))
        return x if axes_of(axis) == () else torch.mean(x, dim=axes_of(axis))
    x, weights = tensors(x, weights)
    kind = torch_type(float_type(x.dtype, weights.dtype))
    x, weights = x.to(kind), weights.to(kind)
    if weights.shape != x.shape:
        axes = as_ints(axis) if axis is not None else ()
        if weights.ndim != 1 or len(axes) != 1 or weights.shape[0] != x.shape[axes[0]]:
            raise ValueError(
                explain(
                    f"average got x of shape {tuple(x.shape)} and weights of shape {tuple(weights.shape)}.",
                    "Expected weights of the shape of x, or one for each place on one axis.",
                    "ops.average(x, axis=0, weights=weights)",
                )
            )
        around = [1] * x.ndim
        around[axes[0]] = -1
        weights = weights.reshape(around).expand(x.shape)
    dim = axes_of(axis)
    return torch.sum(x * weights, dim=dim) / torch.sum(weights, dim=dim)


@operation()
def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> torch.Tensor:
    """Return how often each whole number from 0 on occurs, or the sum of its weights; of rows, row by row."""
    if sparse:
        raise ValueError(
            explain("bincount got sparse=True.", "Expected False: tensors here are dense.", "sparse=False")
        )
    x = tensor(x)
    kind = torch.int32
    if weights is not None:
        x, weights = tensors(x, weights)
        kind = torch_type(result_type(x.dtype, weights.dtype))
    if x.ndim != 2:
        return torch.bincount(x, weights, minlength).to(kind)
    length = builtins.max(minlength, int(x.max()) + 1 if x.numel() else 0)
    rows = [
        torch.bincount(row, None if weights is None else weights[place], length) for place, row in enumerate(x.unbind())
    ]
    return torch.stack(rows).to(kind)


@operation()
def corrcoef(x: Any) -> torch.Tensor:
    """Return the correlations between the rows of `x`."""
    x = tensor(x)
    x = x.double() if x.dtype is torch.int64 else floating(x)
    if x.ndim < 2:
        return corrcoef(x[None])[0, 0]
    centered = x - x.mean(dim=1, keepdim=True)
    lengths = torch.linalg.vector_norm(centered, dim=1)
    return (centered @ centered.T / lengths[:, None] / lengths).clamp(-1, 1)


@operation(2)
def correlate(x1: Any, x2: Any, mode: str = "valid") -> torch.Tensor:
    """Return the sums of products of two sequences, with the second moved along the first.

    Args:
        x1, x2: Of one axis.
        mode: `"valid"` (where they overlap wholly), `"same"` (as many as the
            longer one has), or `"full"`.
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(unknown_name("mode", mode, ["valid", "same", "full"]))
    x1, x2 = tensors(x1, x2)
    name = result_type(x1.dtype, x2.dtype)
    kind = torch_type(name if name in ("bfloat16", "float16", "float64") else "float32")
    x1, x2 = x1.to(kind), x2.to(kind)
    full = torch.nn.functional.conv1d(x1[None, None], x2[None, None], padding=x2.shape[0] - 1)[0, 0]
    if mode == "full":
        return full
    long, short = builtins.max(x1.shape[0], x2.shape[0]), builtins.min(x1.shape[0], x2.shape[0])
    if mode == "valid":
        return full[short - 1 : long]
    # Of an uneven rest, NumPy leaves out one more where the longer one ends: at the end if that is the first.
    start = (full.shape[0] - long + (x1.shape[0] < x2.shape[0])) // 2
    return full[start : start + long]


@operation()
def diff(a: Any, n: int = 1, axis: int = -1) -> torch.Tensor:
    """Return the differences of neighbours, `n` times over."""
    a = tensor(a)
    check_axis("diff", axis, a.ndim)
    return torch.diff(a, n=n, dim=axis)


@operation(2)
def digitize(x: Any, bins: Any) -> torch.Tensor:
    """Return which bin each number falls into; `bins` holds their limits, in ascending order."""
    x, bins = tensors(x, bins)
    return torch.bucketize(x.byte() if x.dtype is torch.bool else x, bins, right=True).int()


@operation()
def histogram(x: Any, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how many numbers fall into each of `bins` equal bins, and the limits of the bins."""
    if not isinstance(bins, int) or bins < 1:
        error = TypeError if not isinstance(bins, int) else ValueError
        raise error(explain(f"histogram got bins={bins!r}.", "Expected a whole number above 0.", "bins=10"))
    if range is not None and (not isinstance(range, tuple) or len(range) != 2 or range[1] < range[0]):
        raise ValueError(explain(f"histogram got range={range!r}.", "Expected (lowest, highest).", "range=(0.0, 1.0)"))
    x = tensor(x)
    if x.ndim > 1:
        raise ValueError(
            explain(
                f"histogram got a tensor of shape {tuple(x.shape)}.",
                "Expected one axis.",
                "ops.histogram(ops.ravel(x))",
            )
        )
    found = torch.histogram(x, bins=bins, range=range)
    return found.hist, found.bin_edges


@operation("y")
def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> torch.Tensor:
    """Return the area under straight lines between points.

    Args:
        y: The heights.
        x: Where they are; by default `dx` apart.
        dx: The distance between neighbours.
        axis: The axis to follow.
    """
    y = tensor(y)
    check_axis("trapezoid", axis, y.ndim)
    if y.dtype is torch.bool:
        y = y.to(torch_type(floatx()))
    if x is not None:
        return torch.trapezoid(y, x=tensor(x, device=y.device), dim=axis)
    return torch.trapezoid(y, dx=float(dx), dim=axis)


@operation()
def unravel_index(indices: Any, shape: Any) -> tuple[torch.Tensor, ...]:
    """Return places in a flattened tensor as places on each axis of `shape`."""
    indices = tensor(indices)
    kind = torch_type(result_type(indices.dtype))
    sizes = as_ints(shape)
    steps = [math.prod(sizes[place + 1 :]) for place in builtins.range(len(sizes))]
    indices = torch.where(indices < 0, indices + math.prod(sizes), indices)
    return tuple((indices // step % size).to(kind) for step, size in zip(steps, sizes))
