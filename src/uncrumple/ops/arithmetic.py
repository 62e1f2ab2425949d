"""Functions of two tensors, number by number, with NumPy's broadcasting and Keras's types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import (
    float_type,
    kind_of,
    name_of,
    promoted,
    shapes_in_words,
    tensor,
    tensors,
)

operation = group("numpy")
# fmt: off
__all__ = ["add", "arctan2", "divide", "divide_no_nan", "floor_divide", "fmax", "fmin", "fmod", "gcd", "heaviside",
           "hypot", "lcm", "ldexp", "logaddexp", "logaddexp2", "maximum", "minimum", "mod", "multiply", "nextafter",
           "power", "subtract", "true_divide"]
# fmt: on


def apply(owner: str, function: Callable[..., torch.Tensor], xs: list[Any]) -> torch.Tensor:
    """Return `function(*xs)`; shapes that do not broadcast are said in words."""
    try:
        return function(*xs)
    except RuntimeError as error:
        try:
            torch.broadcast_shapes(*(x.shape for x in xs))
        except RuntimeError:
            raise ValueError(
                explain(
                    f"{owner} got tensors of shapes {shapes_in_words(xs)}.",
                    "Expected equal sizes on each axis, counted from the last, or 1.",
                    "ops.expand_dims(x, axis) adds an axis of size 1",
                )
            ) from None
        raise error


def _of_tensors(owner: str, function: Callable[..., torch.Tensor], *xs: Any) -> torch.Tensor:
    """Apply a function that promotes by itself."""
    return apply(owner, function, tensors(*xs))


def _quotient(owner: str, x1: Any, x2: Any) -> torch.Tensor:
    """Divide; a Python number takes the type of a tensor, even of one that holds a single number."""
    numbers = [type(x) in (int, float) for x in (x1, x2)]
    if numbers in ([True, False], [False, True]):
        other = tensor(x2 if numbers[0] else x1)
        pair = [x1, other] if numbers[0] else [other, x2]
        return apply(owner, torch.divide, pair)
    return _of_tensors(owner, torch.divide, x1, x2)


def _of_promoted(owner: str, function: Callable[..., torch.Tensor], *xs: Any) -> torch.Tensor:
    return apply(owner, function, promoted(*xs))


def _in_floats(owner: str, function: Callable[..., torch.Tensor], x1: Any, x2: Any) -> torch.Tensor:
    """Apply a function that torch has for floats only; whole numbers become floats."""
    x1, x2 = tensors(x1, x2)
    kind = torch_type(float_type(x1.dtype, x2.dtype))
    return apply(owner, function, [x1.to(kind), x2.to(kind)])


def _in_floats_or_double(owner: str, function: Callable[..., torch.Tensor], x1: Any, x2: Any) -> torch.Tensor:
    """Like `_in_floats`, where two bools stay as they are."""
    x1, x2 = tensors(x1, x2)
    name = result_type(x1.dtype, x2.dtype)
    kind = torch_type(name if name == "bool" else float_type(name))
    return apply(owner, function, [x1.to(kind), x2.to(kind)])


@operation(2)
def add(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 + x2."""
    return _of_tensors("add", torch.add, x1, x2)


@operation(2)
def subtract(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 - x2."""
    x1, x2 = tensors(x1, x2)
    # Torch subtracts no bools.
    if x1.dtype is torch.bool:
        x1 = x1.to(x2.dtype)
    if x2.dtype is torch.bool:
        x2 = x2.to(x1.dtype)
    return apply("subtract", torch.subtract, [x1, x2])


@operation(2)
def multiply(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 * x2."""
    return _of_tensors("multiply", torch.multiply, x1, x2)


@operation(2)
def divide(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 / x2, as a float."""
    return _quotient("divide", x1, x2)


@operation(2)
def true_divide(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 / x2, as a float."""
    return _quotient("true_divide", x1, x2)


@operation(2)
def divide_no_nan(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 / x2, and 0 where x2 is 0."""
    kind = torch_type(float_type(kind_of(x1), kind_of(x2)))
    x1, x2 = (x.to(kind) for x in tensors(x1, x2))
    zero = x2 == 0
    return torch.where(zero, 0, apply("divide_no_nan", torch.divide, [x1, torch.where(zero, 1, x2)]))


@operation(2)
def floor_divide(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 / x2 rounded down."""
    kind = torch_type(result_type(kind_of(x1), kind_of(x2)))
    return _of_tensors("floor_divide", torch.floor_divide, x1, x2).to(kind)


def _not_both_bool(x1: Any, x2: Any) -> list[torch.Tensor]:
    x1, x2 = tensors(x1, x2)
    return [x1.int(), x2.int()] if x1.dtype is x2.dtype is torch.bool else [x1, x2]


@operation(2)
def mod(x1: Any, x2: Any) -> torch.Tensor:
    """Return the remainder of x1 / x2, with the sign of x2."""
    return apply("mod", torch.remainder, _not_both_bool(x1, x2))


@operation(2)
def fmod(x1: Any, x2: Any) -> torch.Tensor:
    """Return the remainder of x1 / x2, with the sign of x1."""
    return apply("fmod", torch.fmod, _not_both_bool(x1, x2))


@operation(2)
def power(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 to the power of x2."""
    return _of_tensors("power", torch.pow, x1, x2)


@operation(2)
def maximum(x1: Any, x2: Any) -> torch.Tensor:
    """Return the larger of two numbers; NaN if one of them is NaN."""
    return _of_promoted("maximum", torch.maximum, x1, x2)


@operation(2)
def minimum(x1: Any, x2: Any) -> torch.Tensor:
    """Return the smaller of two numbers; NaN if one of them is NaN."""
    return _of_promoted("minimum", torch.minimum, x1, x2)


@operation(2)
def fmax(x1: Any, x2: Any) -> torch.Tensor:
    """Return the larger of two numbers, passing over NaN."""
    return _of_promoted("fmax", torch.fmax, x1, x2)


@operation(2)
def fmin(x1: Any, x2: Any) -> torch.Tensor:
    """Return the smaller of two numbers, passing over NaN."""
    return _of_promoted("fmin", torch.fmin, x1, x2)


@operation(2)
def arctan2(x1: Any, x2: Any) -> torch.Tensor:
    """Return the angle of the points (x2, x1), in radians."""
    return _in_floats("arctan2", torch.arctan2, x1, x2)


@operation(2)
def hypot(x1: Any, x2: Any) -> torch.Tensor:
    """Return sqrt(x1 ** 2 + x2 ** 2) without overflow."""
    return _in_floats_or_double("hypot", torch.hypot, x1, x2)


@operation(2)
def heaviside(x1: Any, x2: Any) -> torch.Tensor:
    """Return 0 where x1 < 0, 1 where x1 > 0, and x2 where x1 is 0."""
    return _in_floats_or_double("heaviside", torch.heaviside, x1, x2)


@operation(2)
def logaddexp(x1: Any, x2: Any) -> torch.Tensor:
    """Return log(exp(x1) + exp(x2)) without overflow."""
    return _in_floats("logaddexp", torch.logaddexp, x1, x2)


@operation(2)
def logaddexp2(x1: Any, x2: Any) -> torch.Tensor:
    """Return log2(2 ** x1 + 2 ** x2) without overflow."""
    return _in_floats("logaddexp2", torch.logaddexp2, x1, x2)


@operation(2)
def ldexp(x1: Any, x2: Any) -> torch.Tensor:
    """Return x1 * 2 ** x2; x2 holds whole numbers."""
    x1, x2 = tensors(x1, x2)
    if x2.is_floating_point() or x2.is_complex() or x2.dtype is torch.bool:
        raise TypeError(
            explain(f"ldexp got x2 of type {name_of(x2)}.", "Expected whole numbers.", 'ops.cast(x2, "int32")')
        )
    return apply("ldexp", torch.ldexp, [x1, x2]).to(torch_type(float_type(x1.dtype, x2.dtype)))


@operation(2)
def nextafter(x1: Any, x2: Any) -> torch.Tensor:
    """Return the number next to x1 in the direction of x2."""
    x1, x2 = tensors(x1, x2)
    kind = torch_type(float_type(x1.dtype, x2.dtype))
    return apply("nextafter", torch.nextafter, [x1.double(), x2.double()]).to(kind)


@operation(2)
def gcd(x1: Any, x2: Any) -> torch.Tensor:
    """Return the greatest common divisor of whole numbers."""
    return _of_tensors("gcd", torch.gcd, x1, x2)


@operation(2)
def lcm(x1: Any, x2: Any) -> torch.Tensor:
    """Return the least common multiple of whole numbers."""
    return _of_tensors("lcm", torch.lcm, x1, x2)
