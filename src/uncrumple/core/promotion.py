"""Which type a result has when tensors of several types meet.

Keras's rules, which are those of JAX: a Python number is weak and takes the
type of the tensor it meets, whole numbers give way to floats whatever their
sizes, and nothing becomes 64 bits wide unless asked for.
"""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.dtypes import DTypePolicy, floatx
from uncrumple.core.errors import explain, unknown_name

# Unsigned types that torch computes little with are kept in the next larger signed one, as in Keras.
_TORCH: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "uint8": torch.uint8,
    "uint16": torch.int32,
    "uint32": torch.int64,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
    "complex64": torch.complex64,
    "complex128": torch.complex128,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}
_NAMES = {
    **{kind: name for name, kind in _TORCH.items() if not name.startswith("uint")},
    torch.uint8: "uint8",
    torch.uint16: "uint16",
    torch.uint32: "uint32",
    torch.uint64: "uint64",
}
_SIGNED = ("int8", "int16", "int32", "int64")
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
_FLOATS = ("bfloat16", "float16", "float32", "float64")
_KNOWN = (*_TORCH, "uint64", "string")
_PYTHON = {bool: "bool", int: "int32", float: "float32", complex: "complex64", str: "string"}
_NARROWER = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}


def standardize_dtype(dtype: Any) -> str:
    """Return the name of a type given as a string, a Python type, or a type of torch or NumPy; None is `floatx()`.

    Raises:
        ValueError: There is no such type.

    Example:
        >>> standardize_dtype(torch.bfloat16), standardize_dtype(int), standardize_dtype(None)
        ('bfloat16', 'int32', 'float32')
    """
    if type(dtype) is torch.dtype and dtype in _NAMES:
        return _NAMES[dtype]
    if dtype is None:
        return floatx()
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    if isinstance(dtype, DTypePolicy):
        return dtype.compute_dtype
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or getattr(dtype, "__name__", str(dtype))
    name = str(name).removeprefix("torch.")
    name = {"int": "int32", "float": "float32", "bool_": "bool"}.get(name, name)
    if name not in _KNOWN:
        raise ValueError(unknown_name("dtype", name, _KNOWN))
    return name


def torch_type(dtype: Any) -> torch.dtype:
    """Return the torch type for any spelling of a type; None means `floatx()`."""
    if type(dtype) is torch.dtype:
        return dtype
    name = standardize_dtype(dtype)
    if name not in _TORCH:
        raise ValueError(
            explain(f"dtype={name!r} has no counterpart in torch.", f"Expected one of: {', '.join(_TORCH)}.", "int64")
        )
    return _TORCH[name]


def is_float_dtype(dtype: Any) -> bool:
    """Return whether a type holds fractions."""
    return "float" in standardize_dtype(dtype)


def is_int_dtype(dtype: Any) -> bool:
    """Return whether a type holds whole numbers; `bool` does not."""
    return "int" in standardize_dtype(dtype)


def result_type(*dtypes: Any) -> str:
    """Return the name of the type that a computation on these types gives.

    Args:
        dtypes: Types in any spelling. Python's own `int` and `float` are weak:
            they stand for a plain number.

    Raises:
        ValueError: One of the types has no place in the rules.

    Example:
        >>> result_type("int32", float), result_type("bfloat16", int), result_type("uint8", "int8")
        ('float32', 'bfloat16', 'int16')
    """
    if not dtypes:
        return floatx()
    kinds = tuple(kind if kind is int or kind is float else standardize_dtype(kind) for kind in dtypes)
    found = _results.get((kinds, floatx()))
    if found is None:
        found = _results[kinds, floatx()] = _result_type(kinds, floatx())
    return found


# {(types, floatx): type}. There are few; a functools.lru_cache stops torch's compiler.
_results: dict[tuple[tuple[Any, ...], str], str] = {}


def _result_type(kinds: tuple[Any, ...], default: str) -> str:
    for kind in kinds:
        if kind not in (int, float) and kind.startswith("float8"):
            raise ValueError(
                explain(
                    f"result_type got {', '.join(map(str, kinds))}.",
                    "Expected no float8: it is never converted on its own.",
                    'cast first: ops.cast(x, "float32")',
                )
            )
    found = _bound(set(kinds), default[-2:])
    return _NARROWER.get(found, found)


def _bound(kinds: set[Any], bits: str) -> str:
    """Return the smallest type that holds all kinds."""
    if kinds & {"complex64", "complex128"}:
        return "complex64"
    floats = kinds & set(_FLOATS)
    if floats:
        # Of the two half-width types neither holds the other.
        return floats.pop() if len(floats) == 1 else "float32"
    if float in kinds:
        return f"float{bits}"
    signed = [name for name in _SIGNED if name in kinds]
    unsigned = [name for name in _UNSIGNED if name in kinds]
    if signed and unsigned:
        if unsigned[-1] == "uint64":
            return f"float{bits}"
        return _SIGNED[max(_SIGNED.index(signed[-1]), _UNSIGNED.index(unsigned[-1]) + 1)]
    if signed or unsigned:
        return (signed or unsigned)[-1]
    return f"int{bits}" if int in kinds else kinds.pop()
