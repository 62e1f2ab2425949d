"""From whatever a user has to a tensor, and the small checks that all operations share."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import explain
from uncrumple.core.promotion import result_type, standardize_dtype, torch_type
from uncrumple.core.settings import image_data_format

_INT32 = range(-(2**31), 2**31)


def tensor(x: Any, dtype: Any = None, device: torch.device | None = None) -> torch.Tensor:
    """Return `x` as a tensor: tensors and variables as they are, all else copied.

    A Python float becomes `floatx()`, an int int32 (int64 if it is too large);
    an array keeps its type.

    Args:
        x: A tensor, variable, array, number, or nested lists of these.
        dtype: The type to have; None keeps or finds it.
        device: Where arrays and numbers go; None is torch's default.
    """
    if isinstance(x, torch.Tensor):
        return x if dtype is None else x.to(torch_type(dtype))
    if isinstance(x, (bool, int, float, complex)):
        return torch.as_tensor(x, dtype=_scalar_type(x) if dtype is None else torch_type(dtype), device=device)
    if isinstance(x, (list, tuple)):
        leaves = tree.flatten(x)
        if any(isinstance(leaf, torch.Tensor) for leaf in leaves):
            parts = [tensor(part, device=device) for part in x]
            return tensor(torch.stack(tensors_of_one_type(parts)), dtype)
        if dtype is None:
            dtype = result_type(*(getattr(leaf, "dtype", type(leaf)) for leaf in leaves))
        return torch.as_tensor(_array(x), dtype=torch_type(dtype), device=device)
    array = np.asarray(x)
    if array.dtype.name == "bfloat16":
        array, dtype = array.astype(np.float32), dtype or "bfloat16"
    elif array.dtype in (np.uint16, np.uint32):
        array = array.astype(np.int32 if array.dtype == np.uint16 else np.int64)
    elif array.dtype.kind not in "biufc":
        raise _no_numbers(x)
    if not array.flags.writeable or any(step < 0 for step in array.strides):
        array = array.copy()
    return torch.as_tensor(array, dtype=None if dtype is None else torch_type(dtype), device=device)


def _array(x: Any) -> Any:
    """Return nested lists in a form that torch reads: NumPy's, where NumPy's numbers are among them."""
    try:
        array = np.asarray(x)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biufc":
        raise _no_numbers(x)
    return array


def _no_numbers(x: Any) -> ValueError:
    return ValueError(
        explain(
            f"{repr(x)[:80]} ({type(x).__name__}) cannot become a tensor.",
            "Expected numbers, in lists of equal lengths.",
            "np.array(..., dtype='float32') shows where the lengths or types differ",
        )
    )


def _scalar_type(x: Any) -> torch.dtype:
    if isinstance(x, bool):
        return torch.bool
    if isinstance(x, int):
        return torch.int32 if x in _INT32 else torch.int64
    return torch_type(floatx()) if isinstance(x, float) else torch.complex64


def tensors(*xs: Any) -> list[torch.Tensor]:
    """Return several things as tensors; what is none yet goes to where the tensors are."""
    device = next((x.device for x in xs if isinstance(x, torch.Tensor)), None)
    return [x if isinstance(x, torch.Tensor) else tensor(x, device=device) for x in xs]


def tensors_of_one_type(xs: Iterable[Any]) -> list[torch.Tensor]:
    """Return several things as tensors of the type that their types give together, as torch promotes them."""
    found = tensors(*xs)
    kind = found[0].dtype if found else None
    for one in found[1:]:
        kind = torch.promote_types(kind, one.dtype)  # type: ignore[arg-type]
    return [one.to(kind) for one in found]


def kind_of(x: Any) -> Any:
    """Return what `result_type` is told of `x`: its type, or the weak type of a Python number."""
    return x.dtype if hasattr(x, "dtype") else tensor(x).dtype if isinstance(x, (list, tuple)) else type(x)


def promoted(*xs: Any) -> list[torch.Tensor]:
    """Return several things as tensors of their common type by Keras's rules; Python numbers are weak."""
    kind = result_type(*(kind_of(x) for x in xs))
    return [one.to(torch_type(kind)) for one in tensors(*xs)]


def floating(x: torch.Tensor) -> torch.Tensor:
    """Return whole numbers as `floatx()`, and fractions as they are."""
    return x if x.is_floating_point() or x.is_complex() else x.to(torch_type(floatx()))


def float_type(*kinds: Any) -> str:
    """Return the floating type of a computation on these types."""
    return result_type(*kinds, float)


def name_of(x: torch.Tensor) -> str:
    """Return the name of a tensor's type: `"float32"`."""
    return standardize_dtype(x.dtype)


def as_ints(sizes: Any) -> tuple[int, ...]:
    """Return a size or sizes, in whatever form, as a tuple of ints."""
    if isinstance(sizes, torch.Tensor):
        sizes = sizes.tolist()
    if isinstance(sizes, (int, np.integer)):
        return (int(sizes),)
    return tuple(operator.index(size) if not isinstance(size, torch.Tensor) else int(size) for size in sizes)


def per_axis(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """Return one number for each of `rank` axes."""
    found = as_ints(value)
    found = found * rank if len(found) == 1 else found
    if len(found) != rank:
        raise ValueError(
            explain(f"{name}={value!r} has {len(found)} numbers.", f"Expected 1 or {rank}.", f"{name}={found[0]}")
        )
    return found


def axes_of(axis: Any) -> Any:
    """Return an axis as it is, and several axes as a tuple."""
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def check_axis(owner: str, axis: Any, rank: int, single: bool = True) -> None:
    """Refuse an axis that a tensor of `rank` axes does not have; a `single` number has one, as with NumPy and torch."""
    most = max(rank, 1) if single else rank
    for one in axis if isinstance(axis, (list, tuple)) else (axis,):
        if one is not None and not -most <= one < most:
            expected = f"Expected {-rank} <= axis < {rank}: the tensor has {rank} {'axis' if rank == 1 else 'axes'}."
            raise ValueError(explain(f"{owner} got axis={axis}.", expected, "axis=-1, for the last one"))


def positive_axis(axis: int, rank: int) -> int:
    return axis + rank if axis < 0 else axis


def channels_last(data_format: str | None, owner: str) -> bool:
    """Return whether channels come last, which is the default; refuse unknown formats."""
    name = image_data_format() if data_format is None else str(data_format).lower()
    if name not in ("channels_last", "channels_first"):
        raise ValueError(
            explain(
                f"{owner} got data_format={data_format!r}.",
                'Expected "channels_last" or "channels_first".',
                'data_format="channels_last"',
            )
        )
    return name == "channels_last"


def shapes_in_words(xs: Sequence[Any]) -> str:
    """Return the shapes of tensors, for messages: `(2, 3) and (4,)`."""
    return " and ".join(str(tuple(x.shape)) for x in xs)
