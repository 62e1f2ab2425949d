"""Linear algebra: decompositions, solutions, norms and determinants of matrices on the last two axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import explain
from uncrumple.core.promotion import torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.spectra import complex_of
from uncrumple.ops.tensors import axes_of, check_axis, float_type, shapes_in_words, tensor, tensors

operation, operation_of_numpy = group("linalg"), group("numpy")
operation_of_math, operation_of_nn = group("math"), group("nn")
# fmt: off
__all__ = ["cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "logdet", "lstsq", "lu_factor",
           "matrix_rank", "norm", "pinv", "polar", "qr", "slogdet", "solve", "solve_triangular", "svd"]
# fmt: on


def _matrix(owner: str, x: Any, square: bool = False) -> torch.Tensor:
    x = tensor(x)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise ValueError(
            explain(
                f"{owner} got a tensor of shape {tuple(x.shape)}.",
                f"Expected {'square matrices' if square else 'matrices'}: (..., rows, columns).",
                "ops.expand_dims(x, 0)" if x.ndim < 2 else "ops.linalg.pinv(x), for matrices that are not square",
            )
        )
    return x


@operation()
def cholesky(x: Any, upper: bool = False) -> torch.Tensor:
    """Return the lower triangle L with L Lᵀ = x of a positive definite matrix, or the upper one.

    Raises:
        ValueError: `x` is not positive definite.
    """
    x = _matrix("cholesky", x, square=True)
    try:
        return torch.linalg.cholesky(x, upper=upper)
    except torch.linalg.LinAlgError:
        raise ValueError(
            explain(
                "cholesky got a matrix that is not positive definite.",
                "Expected a symmetric matrix whose eigenvalues are all above 0.",
                "ops.cholesky(x + 1e-6 * ops.eye(n))",
            )
        ) from None


@operation()
def cholesky_inverse(x: Any, upper: bool = False) -> torch.Tensor:
    """Return the inverse of L Lᵀ, given its Cholesky triangle L."""
    return torch.cholesky_inverse(_matrix("cholesky_inverse", x, square=True), upper=upper)


@operation()
def det(x: Any) -> torch.Tensor:
    """Return the determinant."""
    return torch.det(_matrix("det", x, square=True))


@operation_of_math()
def logdet(x: Any) -> torch.Tensor:
    """Return the logarithm of the determinant, which must be positive."""
    return torch.logdet(tensor(x))


@operation_of_numpy()
def slogdet(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sign of the determinant, and the logarithm of its absolute value."""
    return tuple(torch.linalg.slogdet(tensor(x)))  # type: ignore[return-value]


@operation()
def eig(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the eigenvalues and the eigenvectors (in columns), which are complex."""
    return torch.linalg.eig(_matrix("eig", x, square=True))


@operation()
def eigh(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the eigenvalues, in ascending order, and the eigenvectors (in columns) of a symmetric matrix."""
    return torch.linalg.eigh(_matrix("eigh", x, square=True))


@operation()
def inv(x: Any) -> torch.Tensor:
    """Return the inverse."""
    return torch.linalg.inv(_matrix("inv", x, square=True))


@operation()
def lu_factor(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both triangles of a matrix in one, and the rows that were exchanged (counted from 0)."""
    both, pivots = torch.linalg.lu_factor(_matrix("lu_factor", x))
    return both, pivots - 1


@operation()
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Return the norm of vectors (one axis) or matrices (two axes).

    Args:
        ord: None for the root of the sum of squares, a number, `"fro"` or `"nuc"`.
        axis: None for the flattened tensor, or all axes if there are two and `ord` is given.
    """
    x = tensor(x)
    check_axis("norm", axis, x.ndim)
    kind = torch_type(floatx() if x.dtype is torch.int64 else float_type(x.dtype))
    return torch.linalg.norm(x.to(kind), ord=ord, dim=axes_of(axis), keepdim=keepdims)


@operation()
def qr(x: Any, mode: str = "reduced") -> tuple[torch.Tensor, torch.Tensor]:
    """Return Q, with orthogonal columns, and R, an upper triangle, with Q R = x.

    Args:
        mode: `"reduced"` or `"complete"` (Q is square).
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(explain(f"qr got mode={mode!r}.", 'Expected "reduced" or "complete".', 'mode="reduced"'))
    return torch.linalg.qr(_matrix("qr", x), mode=mode)


def _system(owner: str, a: Any, b: Any) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Return a system of equations with right sides in columns, and whether there was one right side only."""
    a, b = tensors(a, b)
    a = _matrix(owner, a, square=True)
    single = b.ndim == a.ndim - 1
    if b.ndim < 1 or b.shape[-1 if single else -2] != a.shape[-2]:
        raise ValueError(
            explain(
                f"{owner} got a and b of shapes {shapes_in_words([a, b])}.",
                f"Expected {a.shape[-2]} rows in b, as many as in a.",
                "ops.transpose(b)",
            )
        )
    return a, b.unsqueeze(-1) if single else b, single


@operation(2)
def solve(a: Any, b: Any) -> torch.Tensor:
    """Return x with a x = b."""
    a, b, single = _system("solve", a, b)
    out = torch.linalg.solve(a, b)
    return out.squeeze(-1) if single else out


@operation(2)
def solve_triangular(a: Any, b: Any, lower: bool = False) -> torch.Tensor:
    """Return x with a x = b, where only the upper (or lower) triangle of `a` counts."""
    a, b, single = _system("solve_triangular", a, b)
    out = torch.linalg.solve_triangular(a, b, upper=not lower)
    return out.squeeze(-1) if single else out


@operation(1, "SVD")
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Return U, s and V with U diag(s) V = x (singular value decomposition), or s alone.

    Args:
        full_matrices: Whether U and V are square.
        compute_uv: Whether to return U and V too.
    """
    x = _matrix("svd", x)
    return torch.linalg.svd(x, full_matrices=full_matrices) if compute_uv else torch.linalg.svdvals(x)


@operation(2)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> torch.Tensor:
    """Return the x for which a x is nearest to b.

    Args:
        rcond: Singular values below this share of the largest count as 0.
    """
    a, b = tensors(a, b)
    if rcond is not None:
        return torch.linalg.pinv(a, rtol=rcond) @ b
    if b.ndim == 1:
        return torch.linalg.lstsq(a, b[:, None])[0][:, 0]
    return torch.linalg.lstsq(a, b)[0]


@operation()
def matrix_rank(x: Any, tol: float | None = None) -> torch.Tensor:
    """Return how many singular values are above `tol`."""
    return torch.linalg.matrix_rank(tensor(x), atol=tol).int()


@operation()
def pinv(x: Any, rcond: float | None = None) -> torch.Tensor:
    """Return the pseudo-inverse, which a matrix has that is not square too."""
    return torch.linalg.pinv(tensor(x), rtol=rcond)


@operation("fun primals tangents", "JVP")
def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """Return `fun(*primals)`, and its derivative in the direction of `tangents`.

    Args:
        has_aux: Whether `fun` returns (output, something else), which is passed on.

    Example:
        >>> jvp(torch.sin, (torch.tensor(0.0),), (torch.tensor(2.0),))
        (tensor(0.), tensor(2.))
    """
    primals, tangents = (tuple(tensor(part) for part in parts) for parts in (primals, tangents))
    return torch.func.jvp(fun, primals, tangents, has_aux=has_aux)


@operation_of_nn(2)
def polar(abs_: Any, angle: Any) -> torch.Tensor:
    """Return complex numbers of a given size and angle (in radians)."""
    abs_, angle = tensors(abs_, angle)
    return complex_of("polar", (abs_ * torch.cos(angle), abs_ * torch.sin(angle)))
