"""Runs one call in Keras and here, and compares value, shape and type."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
import numpy as np
import torch

from uncrumple import ops
from uncrumple.core.promotion import torch_type

TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2}
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32", "float64")
FLOATS = ("bfloat16", "float16", "float32", "float64")


class A:
    """A tensor argument: made anew for each library, so that neither sees what the other changed."""

    def __init__(self, values: Any, dtype: str = "float32") -> None:
        self.values, self.dtype = np.asarray(values), dtype

    def made(self) -> torch.Tensor:
        return torch.from_numpy(self.values.copy()).to(torch_type(self.dtype))

    def as_type(self, dtype: str) -> A:
        return A(self.values, dtype)

    def __repr__(self) -> str:
        return f"A{tuple(self.values.shape)}:{self.dtype}"


def made(structure: Any) -> Any:
    """Return arguments with tensors in place of their descriptions."""
    if isinstance(structure, A):
        return structure.made()
    if isinstance(structure, np.ndarray):
        return structure.copy()
    if isinstance(structure, (list, tuple)):
        return type(structure)(made(part) for part in structure)
    if isinstance(structure, dict):
        return {key: made(part) for key, part in structure.items()}
    return structure


def functions(name: str) -> tuple[Any, Any]:
    """Return Keras's function and ours, for `"add"` or `"image.resize"`."""
    theirs, own = keras.ops, ops
    for part in name.split("."):
        theirs, own = getattr(theirs, part), getattr(own, part)
    return theirs, own


def run(function: Any, args: Any, kwargs: Any) -> Any:
    return function(*made(args), **made(kwargs))


def flat(out: Any) -> list[Any]:
    if isinstance(out, (list, tuple)) and not isinstance(out, torch.Size):
        return [leaf for part in out for leaf in flat(part)]
    if isinstance(out, dict):
        return [leaf for key in sorted(out) for leaf in flat(out[key])]
    return [out]


def difference(theirs: Any, own: Any, tolerance: float | None = None, dtype: bool = True) -> str | None:
    """Return in words how two results differ, or None."""
    a, b = flat(theirs), flat(own)
    if len(a) != len(b):
        return f"{len(a)} results there, {len(b)} here"
    for one, other in zip(a, b):
        if not isinstance(one, torch.Tensor):
            if isinstance(one, np.ndarray):
                if one.dtype != other.dtype or not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
                    return f"{one!r} there, {other!r} here"
            elif one != other:
                return f"{one!r} there, {other!r} here"
            continue
        if not isinstance(other, torch.Tensor):
            return f"a tensor there, {type(other).__name__} here"
        if tuple(one.shape) != tuple(other.shape):
            return f"shape {tuple(one.shape)} there, {tuple(other.shape)} here"
        if dtype and one.dtype != other.dtype:
            return f"{one.dtype} there, {other.dtype} here"
        wide = torch.complex128 if one.is_complex() else torch.float64
        limit = TOLERANCE.get(keras.backend.standardize_dtype(one.dtype), 2e-5) if tolerance is None else tolerance
        x, y = one.detach().to(wide).numpy(), other.detach().to(wide).numpy()
        if not np.allclose(x, y, rtol=limit, atol=limit, equal_nan=True):
            return f"values {x.ravel()[:6]} there, {y.ravel()[:6]} here"
    return None


def compare(name: str, args: Any = (), kwargs: Any = None, *, strict: bool = False) -> Any:
    """Return how Keras and we differ on a call, or None; what Keras refuses may do anything, unless `strict`."""
    theirs, own = functions(name)
    kwargs = kwargs or {}
    try:
        expected = run(theirs, args, kwargs)
    except Exception as error:
        return f"refused there: {type(error).__name__}: {error}" if strict else None
    try:
        found = run(own, args, kwargs)
    except Exception as error:
        return f"refused here: {type(error).__name__}: {error}"
    return difference(expected, found)
