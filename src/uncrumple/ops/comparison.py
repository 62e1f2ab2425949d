"""True and false: comparing, combining conditions, and the bits of whole numbers."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.arithmetic import apply
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import tensor, tensors

operation = group("numpy")
# fmt: off
__all__ = ["allclose", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
           "bitwise_right_shift", "bitwise_xor", "equal", "greater", "greater_equal", "isclose", "isfinite", "isin",
           "isinf", "isnan", "isneginf", "isposinf", "isreal", "left_shift", "less", "less_equal", "logical_and",
           "logical_not", "logical_or", "logical_xor", "not_equal", "right_shift", "select", "signbit", "where"]
# fmt: on


@operation(2)
def equal(x1: Any, x2: Any) -> torch.Tensor:
    """Return where x1 == x2."""
    return apply("equal", torch.eq, tensors(x1, x2))


@operation(2)
def not_equal(x1: Any, x2: Any) -> torch.Tensor:
    """Return where x1 != x2."""
    return apply("not_equal", torch.ne, tensors(x1, x2))


@operation(2)
def greater(x1: Any, x2: Any) -> torch.Tensor:
    """Return where x1 > x2."""
    return apply("greater", torch.gt, tensors(x1, x2))


@operation(2)
def greater_equal(x1: Any, x2: Any) -> torch.Tensor:
    """Return where x1 >= x2."""
    return apply("greater_equal", torch.ge, tensors(x1, x2))


@operation(2)
def less(x1: Any, x2: Any) -> torch.Tensor:
    """Return where x1 < x2."""
    return apply("less", torch.lt, tensors(x1, x2))


@operation(2)
def less_equal(x1: Any, x2: Any) -> torch.Tensor:
    """Return where x1 <= x2."""
    return apply("less_equal", torch.le, tensors(x1, x2))


def _comparable(x1: Any, x2: Any) -> list[torch.Tensor]:
    x1, x2 = tensors(x1, x2)
    kind = torch_type(result_type(x1.dtype, x2.dtype))
    return [x1.to(kind), x2.to(kind)]


@operation(4)
def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> torch.Tensor:
    """Return where |x1 - x2| <= atol + rtol * |x2|."""
    x1, x2 = _comparable(x1, x2)
    if not x1.is_floating_point():
        return apply("isclose", torch.eq, [x1, x2])
    return apply("isclose", lambda a, b: torch.isclose(a, b, rtol, atol, equal_nan), [x1, x2])


@operation(2, "AllClose")
def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> torch.Tensor:
    """Return whether |x1 - x2| <= atol + rtol * |x2| everywhere."""
    return torch.all(isclose(x1, x2, rtol, atol, equal_nan))


@operation(2, "IsIn")
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> torch.Tensor:
    """Return which numbers of x1 are among those of x2 (or are not, with `invert`)."""
    x1, x2 = tensors(x1, x2)
    if torch.bool in (x1.dtype, x2.dtype):
        kind = torch.int32 if x1.dtype is x2.dtype else x2.dtype if x1.dtype is torch.bool else x1.dtype
        x1, x2 = x1.to(kind), x2.to(kind)
    return torch.isin(x1, x2, assume_unique=assume_unique, invert=invert)


@operation()
def isfinite(x: Any) -> torch.Tensor:
    """Return where `x` is neither NaN nor infinite."""
    return torch.isfinite(tensor(x))


@operation()
def isinf(x: Any) -> torch.Tensor:
    """Return where `x` is infinite."""
    return torch.isinf(tensor(x))


@operation()
def isnan(x: Any) -> torch.Tensor:
    """Return where `x` is NaN."""
    return torch.isnan(tensor(x))


@operation()
def isneginf(x: Any) -> torch.Tensor:
    """Return where `x` is minus infinity."""
    return torch.isneginf(tensor(x))


@operation()
def isposinf(x: Any) -> torch.Tensor:
    """Return where `x` is plus infinity."""
    return torch.isposinf(tensor(x))


@operation()
def isreal(x: Any) -> torch.Tensor:
    """Return where `x` has no imaginary part."""
    return torch.isreal(tensor(x))


@operation()
def signbit(x: Any) -> torch.Tensor:
    """Return where the sign is minus; that of -0.0 is."""
    return torch.signbit(tensor(x))


@operation(2)
def logical_and(x1: Any, x2: Any) -> torch.Tensor:
    """Return where both are true; a number is true unless it is 0."""
    return apply("logical_and", torch.logical_and, tensors(x1, x2))


@operation(2)
def logical_or(x1: Any, x2: Any) -> torch.Tensor:
    """Return where one or both are true."""
    return apply("logical_or", torch.logical_or, tensors(x1, x2))


@operation(2)
def logical_xor(x1: Any, x2: Any) -> torch.Tensor:
    """Return where exactly one is true."""
    return apply("logical_xor", torch.logical_xor, tensors(x1, x2))


@operation()
def logical_not(x: Any) -> torch.Tensor:
    """Return where `x` is false."""
    return torch.logical_not(tensor(x))


@operation(2)
def bitwise_and(x: Any, y: Any) -> torch.Tensor:
    """Return the bits that both have."""
    return apply("bitwise_and", torch.bitwise_and, tensors(x, y))


@operation(2)
def bitwise_or(x: Any, y: Any) -> torch.Tensor:
    """Return the bits that one or both have."""
    return apply("bitwise_or", torch.bitwise_or, tensors(x, y))


@operation(2)
def bitwise_xor(x: Any, y: Any) -> torch.Tensor:
    """Return the bits that exactly one has."""
    return apply("bitwise_xor", torch.bitwise_xor, tensors(x, y))


@operation()
def bitwise_invert(x: Any) -> torch.Tensor:
    """Return the bits turned over."""
    return torch.bitwise_not(tensor(x))


@operation()
def bitwise_not(x: Any) -> torch.Tensor:
    """Return the bits turned over."""
    return torch.bitwise_not(tensor(x))


def _shifted(owner: str, function: Any, x: Any, y: Any) -> torch.Tensor:
    if type(y) is int:
        return function(tensor(x), y)
    return apply(owner, function, tensors(x, y))


@operation(2)
def bitwise_left_shift(x: Any, y: Any) -> torch.Tensor:
    """Return the bits moved up by `y` places."""
    return _shifted("bitwise_left_shift", torch.bitwise_left_shift, x, y)


@operation(2)
def left_shift(x: Any, y: Any) -> torch.Tensor:
    """Return the bits moved up by `y` places."""
    return _shifted("left_shift", torch.bitwise_left_shift, x, y)


@operation(2)
def bitwise_right_shift(x: Any, y: Any) -> torch.Tensor:
    """Return the bits moved down by `y` places."""
    return _shifted("bitwise_right_shift", torch.bitwise_right_shift, x, y)


@operation(2)
def right_shift(x: Any, y: Any) -> torch.Tensor:
    """Return the bits moved down by `y` places."""
    return _shifted("right_shift", torch.bitwise_right_shift, x, y)


@operation(3)
def where(condition: Any, x1: Any = None, x2: Any = None) -> torch.Tensor:
    """Return x1 where the condition is true and x2 elsewhere; with the condition alone, the places where it is true.

    Example:
        >>> where(torch.tensor([True, False]), 1.0, 0.0)
        tensor([1., 0.])
        >>> where(torch.tensor([True, False, True]))
        tensor([[0, 2]])
    """
    if (x1 is None) != (x2 is None):
        raise ValueError(
            explain(
                f"where got x1={'None' if x1 is None else '...'} and x2={'None' if x2 is None else '...'}.",
                "Expected both or neither.",
                "ops.where(condition, x1, x2)",
            )
        )
    if x1 is None:
        return torch.stack(torch.where(tensor(condition, "bool")), dim=0)
    given, x1, x2 = tensors(condition, x1, x2)
    return apply("where", torch.where, [given.bool(), x1, x2])


@operation(3)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> torch.Tensor:
    """Return, number by number, the choice whose condition is the first that is true, or `default`."""
    if not isinstance(condlist, (list, tuple)) or not isinstance(choicelist, (list, tuple)):
        raise ValueError(
            explain(
                f"select got {type(condlist).__name__} and {type(choicelist).__name__}.",
                "Expected a list of conditions and a list of choices.",
                "ops.select([condition], [choice])",
            )
        )
    if not condlist or len(condlist) != len(choicelist):
        raise ValueError(
            explain(
                f"select got {len(condlist)} conditions and {len(choicelist)} choices.",
                "Expected as many of the ones as of the others, and at least one.",
                "ops.select([condition], [choice])",
            )
        )
    found = tensors(*condlist, *choicelist, default)
    out = found[-1]
    for condition, choice in reversed(list(zip(found, found[len(condlist) : -1]))):
        out = apply("select", torch.where, [condition.bool(), choice, out])
    return out
