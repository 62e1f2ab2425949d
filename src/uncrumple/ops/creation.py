"""Tensors out of nothing: constants, ranges, grids and windows."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import recording
from uncrumple.core.errors import explain
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, float_type, kind_of, tensor, tensors

operation = group("numpy")
# fmt: off
__all__ = ["arange", "array", "bartlett", "blackman", "empty", "empty_like", "eye", "full", "full_like", "geomspace",
           "hamming", "hanning", "identity", "kaiser", "linspace", "logspace", "meshgrid", "ones", "ones_like", "tri",
           "vander", "zeros", "zeros_like"]
# fmt: on


@operation()
def array(x: Any, dtype: Any = None) -> torch.Tensor:
    """Return `x` as a tensor."""
    return tensor(x, None if dtype is None else torch_type(dtype))


def zeros(shape: Any, dtype: Any = None) -> torch.Tensor:
    """Return a tensor of zeros; `floatx()` by default."""
    return torch.zeros(as_ints(shape), dtype=torch_type(dtype))


def ones(shape: Any, dtype: Any = None) -> torch.Tensor:
    """Return a tensor of ones; `floatx()` by default."""
    return torch.ones(as_ints(shape), dtype=torch_type(dtype))


def empty(shape: Any, dtype: Any = None) -> torch.Tensor:
    """Return a tensor whose numbers are whatever was in memory."""
    return torch.empty(as_ints(shape), dtype=torch_type(dtype))


@operation("fill_value")
def full(shape: Any, fill_value: Any, dtype: Any = None) -> torch.Tensor:
    """Return a tensor of `shape` filled with a number, or with a smaller tensor; `floatx()` by default."""
    return tensor(fill_value, torch_type(dtype)).expand(as_ints(shape)).clone()


def _own_or(x: torch.Tensor, dtype: Any) -> torch.dtype:
    return x.dtype if dtype is None else torch_type(dtype)


@operation()
def zeros_like(x: Any, dtype: Any = None) -> torch.Tensor:
    """Return zeros in the shape and type of `x`."""
    x = tensor(x)
    return torch.zeros_like(x, dtype=_own_or(x, dtype))


@operation()
def ones_like(x: Any, dtype: Any = None) -> torch.Tensor:
    """Return ones in the shape and type of `x`."""
    x = tensor(x)
    return torch.ones_like(x, dtype=_own_or(x, dtype))


@operation()
def empty_like(x: Any, dtype: Any = None) -> torch.Tensor:
    """Return whatever was in memory, in the shape and type of `x`."""
    x = tensor(x)
    return torch.empty_like(x, dtype=_own_or(x, dtype))


@operation(2)
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> torch.Tensor:
    """Return `fill_value` in the shape and type of `x`."""
    x, fill_value = tensors(x, fill_value)
    return fill_value.to(_own_or(x, dtype)).expand(x.shape).clone()


def _whole(name: str, value: Any) -> int:
    if isinstance(value, float) or (isinstance(value, torch.Tensor) and value.is_floating_point()):
        raise TypeError(explain(f"{name}={value!r} is a float.", "Expected a whole number.", f"{name}={int(value)}"))
    return int(value)


def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> torch.Tensor:
    """Return an N x M matrix with ones on the diagonal `k` and zeros elsewhere."""
    rows = _whole("N", N)
    columns = rows if M is None else _whole("M", M)
    offset = 0 if k is None else int(k)
    return (torch.arange(columns) - torch.arange(rows)[:, None] == offset).to(torch_type(dtype))


def identity(n: Any, dtype: Any = None) -> torch.Tensor:
    """Return an n x n matrix with ones on the diagonal."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> torch.Tensor:
    """Return an N x M matrix with ones on and below the diagonal `k`."""
    return torch.tril(torch.ones((N, M or N), dtype=torch_type(dtype)), k)


@operation("start stop step")
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> torch.Tensor:
    """Return start, start + step, ... up to and without `stop`; with one number, 0, 1, ... up to it."""
    if dtype is None:
        dtype = result_type(*(kind_of(end) for end in (start, stop, step) if end is not None))
    start, stop = (0, start) if stop is None else (start, stop)
    return torch.arange(start, stop, 1 if step is None else step, dtype=torch_type(dtype))


def _steps(start: Any, stop: Any, num: int, endpoint: bool, dtype: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `num` numbers from start to stop on a new first axis, and the distance between two of them."""
    if not isinstance(num, int) or num < 0:
        raise ValueError(explain(f"num={num!r} is no count.", "Expected a whole number, 0 or more.", "num=50"))
    start, stop = tensors(start, stop)
    count = num - 1 if endpoint else num
    kind = torch.float64 if dtype == torch.float64 else torch.float32
    start, stop = torch.broadcast_tensors(start.to(kind), stop.to(kind))
    step = (stop - start) / count if count > 0 else torch.full_like(start, torch.nan)
    places = torch.arange(num, dtype=kind, device=start.device).reshape(-1, *[1] * start.ndim)
    # Counted from the nearer end, so that both ends are met exactly.
    share = places / count if count > 0 else places
    values = torch.where(share <= 0.5, start + share * (stop - start), stop - (1 - share) * (stop - start))
    return values, step


@operation("start stop")
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Return `num` numbers at equal distances from `start` to `stop`.

    Args:
        endpoint: Whether `stop` is one of them.
        retstep: Also return the distance.
        axis: Where the new axis goes, if start and stop are tensors.
    """
    kind = torch_type(dtype if dtype is not None else float_type(kind_of(start), kind_of(stop)))
    values, step = _steps(start, stop, num, endpoint, kind)
    values = values.movedim(0, axis).to(kind)
    return (values, step.to(kind)) if retstep else values


@operation("start stop")
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
) -> torch.Tensor:
    """Return `num` numbers from base ** start to base ** stop at equal ratios."""
    kind = torch_type(dtype if dtype is not None else float_type(kind_of(start), kind_of(stop)))
    values, _ = _steps(start, stop, num, endpoint, torch.float64)
    return torch.pow(base, values.double()).movedim(0, axis).to(kind)


@operation("start stop")
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> torch.Tensor:
    """Return `num` numbers from `start` to `stop` at equal ratios; both have the same sign."""
    kind = torch_type(dtype if dtype is not None else float_type(kind_of(start), kind_of(stop)))
    start, stop = (end.double() for end in tensors(start, stop))
    values, _ = _steps(torch.log10(start.abs()), torch.log10(stop.abs()), num, endpoint, torch.float64)
    return (torch.sign(start) * torch.pow(10.0, values)).movedim(0, axis).to(kind)


@operation("x")
def meshgrid(*x: Any, indexing: str = "xy") -> list[torch.Tensor]:
    """Return the coordinates of a grid, one tensor for each axis.

    Args:
        x: The coordinates along each axis.
        indexing: `"xy"` (the first runs along columns) or `"ij"` (along rows).
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(explain(f"meshgrid got indexing={indexing!r}.", 'Expected "xy" or "ij".', 'indexing="xy"'))
    return list(torch.meshgrid([one.reshape(-1) for one in tensors(*x)], indexing=indexing))


@operation()
def vander(x: Any, N: int | None = None, increasing: bool = False) -> torch.Tensor:
    """Return the powers of each number, from N - 1 down to 0 (or up, with `increasing`), in columns."""
    x = tensor(x)
    if x.ndim != 1:
        raise ValueError(
            explain(f"vander got a tensor of shape {tuple(x.shape)}.", "Expected one axis.", "ops.ravel(x)")
        )
    for name, value, kind in (("N", N, int), ("increasing", increasing, bool)):
        if value is not None and not isinstance(value, kind):
            raise TypeError(explain(f"vander got {name}={value!r}.", f"Expected {kind.__name__}.", f"{name}={kind(1)}"))
    if N is not None and N < 0:
        raise ValueError(explain(f"vander got N={N}.", "Expected 0 or more.", "N=3"))
    powers = torch.arange(x.shape[0] if N is None else N, device=x.device)
    powers = powers if increasing else powers.flip(0)
    return (x[:, None] ** powers).to(torch_type(result_type(x.dtype)))


# --- windows ----------------------------------------------------------------------------


def _window(owner: str, function: Any, x: Any, **settings: Any) -> torch.Tensor:
    if isinstance(x, recording.symbolic_class or ()):
        raise TypeError(explain(f"{owner} got a symbolic tensor.", "Expected a whole number.", f"ops.{owner}(16)"))
    return function(int(x), **settings, dtype=torch.float32)


def bartlett(x: Any) -> torch.Tensor:
    """Return a window of `x` numbers that rises and falls in straight lines."""
    return _window("bartlett", torch.signal.windows.bartlett, x)


def blackman(x: Any) -> torch.Tensor:
    """Return Blackman's window of `x` numbers."""
    return _window("blackman", torch.signal.windows.blackman, x)


def hamming(x: Any) -> torch.Tensor:
    """Return Hamming's window of `x` numbers."""
    return _window("hamming", torch.signal.windows.hamming, x)


def hanning(x: Any) -> torch.Tensor:
    """Return the window of `x` numbers named after von Hann."""
    return _window("hanning", torch.signal.windows.hann, x)


def kaiser(x: Any, beta: Any) -> torch.Tensor:
    """Return Kaiser's window of `x` numbers; a larger `beta` makes it narrower."""
    return _window("kaiser", torch.signal.windows.kaiser, x, beta=float(beta))
