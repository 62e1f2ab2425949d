"""Functions of one tensor, number by number."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import explain
from uncrumple.core.promotion import torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import float_type, floating, name_of, tensor

operation, operation_of_math = group("numpy"), group("math")
# fmt: off
__all__ = [
    "abs",
    "absolute",
    "angle",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "cbrt",
    "ceil",
    "clip",
    "conj",
    "conjugate",
    "copy",
    "cos",
    "cosh",
    "deg2rad",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "i0",
    "imag",
    "log",
    "log1p",
    "log2",
    "log10",
    "nan_to_num",
    "negative",
    "rad2deg",
    "real",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "view",
    "view_as_complex",
    "view_as_real",
]
# fmt: on


@operation()
def absolute(x: Any) -> torch.Tensor:
    """Return the absolute value."""
    x = tensor(x)
    return x if x.dtype is torch.bool else torch.abs(x)


abs = absolute


@operation()
def fabs(x: Any) -> torch.Tensor:
    """Return the absolute value, as a float."""
    x = tensor(x)
    if x.is_complex():
        raise TypeError(explain(f"fabs got {name_of(x)}.", "Expected real numbers.", "ops.abs(x)"))
    return torch.abs(floating(x))


@operation()
def angle(x: Any) -> torch.Tensor:
    """Return the angle of complex numbers, in radians."""
    return torch.angle(tensor(x))


@operation()
def arccos(x: Any) -> torch.Tensor:
    """Return the inverse cosine, in radians."""
    return torch.arccos(tensor(x))


@operation()
def arccosh(x: Any) -> torch.Tensor:
    """Return the inverse hyperbolic cosine."""
    return torch.arccosh(tensor(x))


@operation()
def arcsin(x: Any) -> torch.Tensor:
    """Return the inverse sine, in radians."""
    return torch.arcsin(tensor(x))


@operation()
def arcsinh(x: Any) -> torch.Tensor:
    """Return the inverse hyperbolic sine."""
    return torch.arcsinh(tensor(x))


@operation()
def arctan(x: Any) -> torch.Tensor:
    """Return the inverse tangent, in radians."""
    return torch.arctan(tensor(x))


@operation()
def arctanh(x: Any) -> torch.Tensor:
    """Return the inverse hyperbolic tangent."""
    return torch.arctanh(tensor(x))


@operation()
def cbrt(x: Any) -> torch.Tensor:
    """Return the cube root, of negative numbers too."""
    x = tensor(x)
    if x.dtype is torch.int64:
        x = x.double()
    elif x.dtype is torch.bool:
        x = x.int()
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


def _rounding_type(x: torch.Tensor) -> torch.dtype:
    return torch_type(floatx() if x.dtype is torch.int64 else float_type(x.dtype))


@operation()
def ceil(x: Any) -> torch.Tensor:
    """Round up to whole numbers, as floats."""
    x = tensor(x)
    return torch.ceil(x.to(_rounding_type(x)))


@operation()
def floor(x: Any) -> torch.Tensor:
    """Round down to whole numbers, as floats."""
    x = tensor(x)
    return torch.floor(x.to(_rounding_type(x)))


@operation()
def trunc(x: Any) -> torch.Tensor:
    """Cut off what is behind the point."""
    x = tensor(x)
    return x if x.dtype is torch.bool else torch.trunc(x)


@operation()
def round(x: Any, decimals: int = 0) -> torch.Tensor:
    """Round to `decimals` places behind the point; halves go to the even neighbour."""
    x = tensor(x)
    if x.is_floating_point():
        return torch.round(x, decimals=decimals)
    if decimals >= 0:
        return x
    return torch.round(x.to(torch_type(floatx())), decimals=decimals).to(x.dtype)


@operation()
def clip(x: Any, x_min: Any, x_max: Any) -> torch.Tensor:
    """Return `x` with what lies outside `x_min` ... `x_max` moved to the nearer end."""
    x = tensor(x)
    if x.dtype is torch.bool:
        x = x.int()
    low, high = (
        end if isinstance(end, (torch.Tensor, type(None))) else tensor(end, device=x.device) for end in (x_min, x_max)
    )
    out = torch.clip(x, low, high)
    return out.to(x.dtype) if x.dtype is torch.float16 else out


@operation()
def conjugate(x: Any) -> torch.Tensor:
    """Return complex numbers with the sign of the imaginary part turned."""
    return torch.conj(tensor(x)).resolve_conj()


conj = conjugate


@operation()
def copy(x: Any) -> torch.Tensor:
    """Return a copy."""
    return torch.clone(tensor(x))


@operation()
def cos(x: Any) -> torch.Tensor:
    """Return the cosine of radians."""
    return torch.cos(tensor(x))


@operation()
def cosh(x: Any) -> torch.Tensor:
    """Return the hyperbolic cosine."""
    return torch.cosh(tensor(x))


@operation()
def deg2rad(x: Any) -> torch.Tensor:
    """Turn degrees into radians."""
    x = tensor(x)
    return torch.deg2rad(x.double() if x.dtype is torch.int64 else x)


@operation()
def rad2deg(x: Any) -> torch.Tensor:
    """Turn radians into degrees."""
    x = tensor(x)
    return torch.rad2deg(x.double() if x.dtype is torch.int64 else x)


@operation_of_math()
def erf(x: Any) -> torch.Tensor:
    """Return the error function."""
    return torch.erf(tensor(x))


@operation_of_math()
def erfc(x: Any) -> torch.Tensor:
    """Return 1 - erf(x), exact for large `x` too."""
    return torch.erfc(tensor(x))


@operation_of_math()
def erfinv(x: Any) -> torch.Tensor:
    """Return the inverse of the error function."""
    return torch.erfinv(tensor(x))


@operation()
def exp(x: Any) -> torch.Tensor:
    """Return e to the power of `x`."""
    return torch.exp(floating(tensor(x)))


@operation()
def exp2(x: Any) -> torch.Tensor:
    """Return 2 to the power of `x`."""
    return torch.exp2(floating(tensor(x)))


@operation()
def expm1(x: Any) -> torch.Tensor:
    """Return exp(x) - 1, exact near 0 too."""
    return torch.expm1(floating(tensor(x)))


@operation()
def i0(x: Any) -> torch.Tensor:
    """Return the modified Bessel function of the first kind, of order 0."""
    x = tensor(x)
    return torch.i0(x.double() if x.dtype is torch.int64 else floating(x))


@operation()
def real(x: Any) -> torch.Tensor:
    """Return the real part."""
    return torch.real(tensor(x))


@operation()
def imag(x: Any) -> torch.Tensor:
    """Return the imaginary part."""
    x = tensor(x)
    return torch.imag(x) if x.is_complex() else torch.zeros_like(x)


@operation_of_math()
def view_as_complex(x: Any) -> torch.Tensor:
    """Return pairs (real, imaginary) on the last axis as complex numbers."""
    x = tensor(x)
    if x.ndim < 1 or x.shape[-1] != 2:
        raise ValueError(
            explain(
                f"view_as_complex got a tensor of shape {tuple(x.shape)}.",
                "Expected 2 on the last axis: the real and the imaginary part.",
                "ops.stack([real, imaginary], axis=-1)",
            )
        )
    return torch.complex(x[..., 0].float(), x[..., 1].float())


@operation_of_math()
def view_as_real(x: Any) -> torch.Tensor:
    """Return complex numbers as pairs (real, imaginary) on a new last axis."""
    x = tensor(x)
    return torch.stack([torch.real(x), imag(x)], dim=-1)


@operation()
def log(x: Any) -> torch.Tensor:
    """Return the natural logarithm."""
    return torch.log(tensor(x))


@operation()
def log10(x: Any) -> torch.Tensor:
    """Return the logarithm to base 10."""
    return torch.log10(tensor(x))


@operation()
def log1p(x: Any) -> torch.Tensor:
    """Return log(1 + x), exact near 0 too."""
    return torch.log1p(tensor(x))


@operation()
def log2(x: Any) -> torch.Tensor:
    """Return the logarithm to base 2."""
    return torch.log2(tensor(x))


@operation()
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> torch.Tensor:
    """Replace NaN and the infinities by numbers; by default 0 and the largest and smallest that there are."""
    return torch.nan_to_num(tensor(x), nan=nan, posinf=posinf, neginf=neginf)


@operation()
def negative(x: Any) -> torch.Tensor:
    """Return -x."""
    return torch.negative(tensor(x))


@operation()
def reciprocal(x: Any) -> torch.Tensor:
    """Return 1 / x."""
    return torch.reciprocal(tensor(x))


@operation_of_math()
def rsqrt(x: Any) -> torch.Tensor:
    """Return 1 / sqrt(x)."""
    return torch.rsqrt(tensor(x))


@operation()
def sign(x: Any) -> torch.Tensor:
    """Return -1, 0 or 1, as the sign is."""
    return torch.sign(tensor(x))


@operation()
def sin(x: Any) -> torch.Tensor:
    """Return the sine of radians."""
    return torch.sin(tensor(x))


@operation()
def sinc(x: Any) -> torch.Tensor:
    """Return sin(pi x) / (pi x), and 1 at 0."""
    return torch.sinc(tensor(x))


@operation()
def sinh(x: Any) -> torch.Tensor:
    """Return the hyperbolic sine."""
    return torch.sinh(tensor(x))


@operation()
def sqrt(x: Any) -> torch.Tensor:
    """Return the square root."""
    return torch.sqrt(tensor(x))


@operation()
def square(x: Any) -> torch.Tensor:
    """Return x times x."""
    x = tensor(x)
    return torch.square(x.int() if x.dtype is torch.bool else x)


@operation()
def tan(x: Any) -> torch.Tensor:
    """Return the tangent of radians."""
    return torch.tan(tensor(x))


@operation()
def tanh(x: Any) -> torch.Tensor:
    """Return the hyperbolic tangent."""
    return torch.tanh(tensor(x))


@operation()
def view(x: Any, dtype: Any = None) -> torch.Tensor:
    """Return the same bytes read as another type."""
    return tensor(x).view(torch_type(dtype))
