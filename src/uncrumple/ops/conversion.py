"""Tensors from and to other things: conversion, types, shapes, and gradients that are stopped or made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple.core import recording
from uncrumple.core.errors import explain
from uncrumple.core.promotion import standardize_dtype, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import name_of, tensor

operation = group("core")
# fmt: off
__all__ = ["cast", "convert_to_numpy", "convert_to_tensor", "custom_gradient", "dtype", "is_tensor", "saturate_cast",
           "shape", "stop_gradient"]
# fmt: on


def is_tensor(x: Any) -> bool:
    """Return whether `x` is a tensor (a variable is one)."""
    return isinstance(x, torch.Tensor)


def shape(x: Any) -> tuple[Any, ...]:
    """Return the shape as a tuple; in a model that is put together, None stands for unknown sizes."""
    return tuple(x.shape) if hasattr(x, "shape") else tuple(tensor(x).shape)


def dtype(x: Any) -> str:
    """Return the name of a tensor's type.

    Example:
        >>> dtype(torch.zeros(3))
        'float32'
    """
    return standardize_dtype(x.dtype)


@operation()
def convert_to_tensor(
    x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> torch.Tensor:
    """Return an array, number, list or variable as a tensor.

    A Python float becomes float32 and an int int32; an array keeps its type.

    Example:
        >>> convert_to_tensor([[1, 2], [3, 4]]).dtype
        torch.int32
    """
    for name, value in (("sparse", sparse), ("ragged", ragged)):
        if value:
            raise ValueError(
                explain(f"convert_to_tensor got {name}=True.", "Expected None or False: tensors here are dense.", "x")
            )
    return tensor(x, None if dtype is None else torch_type(dtype))


def convert_to_numpy(x: Any) -> np.ndarray:
    """Return a tensor, or a list of tensors, as a NumPy array.

    Example:
        >>> convert_to_numpy(torch.ones(2))
        array([1., 1.], dtype=float32)
    """
    if isinstance(x, (list, tuple)):
        return np.array([convert_to_numpy(part) for part in x])
    if not isinstance(x, torch.Tensor) or isinstance(x, recording.symbolic_class or ()):
        return np.array(x)
    x = x.detach().cpu().as_subclass(torch.Tensor)
    if x.dtype is torch.bfloat16:
        return _bfloat16(x.float().numpy())
    return x.resolve_conj().numpy().copy()


def _bfloat16(values: np.ndarray) -> np.ndarray:
    """Return bfloat16 if NumPy knows it (the package ml_dtypes teaches it), and float32 otherwise."""
    try:
        import ml_dtypes  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return values.copy()
    return values.astype(ml_dtypes.bfloat16)


@operation()
def cast(x: Any, dtype: Any) -> torch.Tensor:
    """Return `x` in another type.

    Example:
        >>> cast(torch.tensor([1.7, -1.7]), "int32")
        tensor([ 1, -1], dtype=torch.int32)
    """
    return tensor(x, torch_type(dtype))


@operation()
def saturate_cast(x: Any, dtype: Any) -> torch.Tensor:
    """Return `x` in another type; what is too large or too small for it becomes its last number.

    Example:
        >>> saturate_cast(torch.tensor([-5.0, 300.0]), "uint8")
        tensor([  0, 255], dtype=torch.uint8)
    """
    x = tensor(x)
    low, high = _limits(standardize_dtype(dtype))
    least, most = _limits(name_of(x))
    if x.dtype is torch.bool:
        return x.to(torch_type(dtype))
    low, high = max(low, least), min(high, most)
    if x.is_floating_point() and not torch_type(dtype).is_floating_point:
        # The limit may lie between two numbers of this type, and then the inner one is the limit.
        ends = torch.tensor([low, high], dtype=torch.float64, device="cpu").to(x.dtype)
        inner = torch.nextafter(ends, torch.zeros_like(ends))
        low = float(inner[0] if float(ends[0]) < low else ends[0])
        high = float(inner[1] if float(ends[1]) > high else ends[1])
    return x.clamp(low, high).to(torch_type(dtype))


def _limits(name: str) -> tuple[Any, Any]:
    if name == "bool":
        return 0, 1
    if name.startswith("uint"):
        return 0, 2 ** int(name[4:]) - 1
    if name.startswith("int"):
        return -(2 ** (int(name[3:]) - 1)), 2 ** (int(name[3:]) - 1) - 1
    limits = torch.finfo(torch_type(name))
    return limits.min, limits.max


@operation()
def stop_gradient(variable: Any) -> torch.Tensor:
    """Return the same numbers, through which no gradient flows back."""
    return tensor(variable).detach()


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return `f` with a gradient written by hand; a decorator.

    Args:
        f: Returns (output, function). The function gets `upstream`, the
            gradient of the output, behind the arguments of `f` (given by
            position), and returns the gradients of these arguments.

    Example:
        >>> @custom_gradient
        ... def log1pexp(x):
        ...     e = torch.exp(x)
        ...     return torch.log(1 + e), lambda *args, upstream: upstream * e / (1 + e)
        >>> x = torch.tensor(100.0, requires_grad=True)
        >>> log1pexp(x).isinf().item()
        True
    """

    class WithGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            output, ctx.gradient = f(*args)
            ctx.save_for_backward(*[arg for arg in args if isinstance(arg, torch.Tensor)])
            ctx.args = [None if isinstance(arg, torch.Tensor) else arg for arg in args]
            return output

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            saved = iter(ctx.saved_tensors)
            args = [next(saved) if arg is None else arg for arg in ctx.args]
            found = ctx.gradient(*args, upstream=upstream[0] if len(upstream) == 1 else upstream)
            found = found if isinstance(found, tuple) else (found,)
            return (*found, *[None] * (len(args) - len(found)))

    def called(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise TypeError(
                explain(
                    f"A function with a custom gradient got {', '.join(kwargs)} by name.",
                    "Expected arguments by position: gradients are matched with them.",
                    "f(x), in place of f(x=x)",
                )
            )
        return WithGradient.apply(*args)

    return called
