"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, axes_of, check_axis, float_type, positive_axis, shapes_in_words, tensors

operation, operation_of_math = group("numpy"), group("math")
# fmt: off
__all__ = ["cdist", "cross", "dot", "einsum", "inner", "kron", "matmul", "outer", "tensordot", "vdot"]
# fmt: on


def _typed(x1: Any, x2: Any) -> tuple[torch.Tensor, torch.Tensor, torch.dtype]:
    """Return two tensors in the type to compute in, and the type of the result."""
    x1, x2 = tensors(x1, x2)
    name = result_type(x1.dtype, x2.dtype)
    compute = torch_type(float_type(name))
    return x1.to(compute), x2.to(compute), torch_type(name)


def _wrong_inner(owner: str, x1: torch.Tensor, x2: torch.Tensor, expected: str) -> ValueError:
    fix = "check both shapes"
    if x1.ndim == x2.ndim == 2:
        if x1.shape[-1] == x2.shape[-1]:
            fix = f"ops.{owner}(x1, ops.transpose(x2))"
        elif x1.shape[0] == x2.shape[0]:
            fix = f"ops.{owner}(ops.transpose(x1), x2)"
    return ValueError(explain(f"{owner} got tensors of shapes {shapes_in_words([x1, x2])}.", expected, fix))


@operation(2)
def matmul(x1: Any, x2: Any) -> torch.Tensor:
    """Return the product of matrices, which the last two axes hold; two int8 matrices give int32.

    Raises:
        ValueError: The columns of x1 are not as many as the rows of x2.

    Example:
        >>> matmul(torch.ones(2, 3), torch.ones(3, 1))
        tensor([[3.],
                [3.]])
    """
    x1, x2 = tensors(x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        raise ValueError(
            explain(
                f"matmul got tensors of shapes {shapes_in_words([x1, x2])}.",
                "Expected at least one axis in each.",
                "ops.multiply(x1, x2)",
            )
        )
    rows = x2.shape[-2] if x2.ndim > 1 else x2.shape[0]
    if x1.shape[-1] != rows:
        raise _wrong_inner("matmul", x1, x2, "Expected the last axis of x1 to be as long as the last but one of x2.")
    both_int8 = x1.dtype is x2.dtype is torch.int8
    name = "int32" if both_int8 else result_type(x1.dtype, x2.dtype)
    kind = compute = torch_type(name)
    if kind is torch.bool or (x1.device.type == "cuda" and not kind.is_floating_point and not kind.is_complex):
        compute = torch.float32  # torch multiplies no matrices of these
    return torch.matmul(x1.to(compute), x2.to(compute)).to(kind)


@operation(2)
def dot(x1: Any, x2: Any) -> torch.Tensor:
    """Return the sum of products over the last axis of x1 and the last but one of x2."""
    x1, x2, kind = _typed(x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        return torch.multiply(x1, x2).to(kind)
    axis = positive_axis(-2 if x2.ndim > 1 else -1, x2.ndim)
    if x1.shape[-1] != x2.shape[axis]:
        raise _wrong_inner("dot", x1, x2, "Expected the last axis of x1 to be as long as the last but one of x2.")
    return torch.tensordot(x1, x2, dims=([-1], [axis])).to(kind)


@operation(2)
def inner(x1: Any, x2: Any) -> torch.Tensor:
    """Return the sum of products over the last axes."""
    x1, x2, kind = _typed(x1, x2)
    if x1.ndim and x2.ndim and x1.shape[-1] != x2.shape[-1]:
        raise _wrong_inner("inner", x1, x2, "Expected last axes of one length.")
    return torch.inner(x1, x2).to(kind)


@operation(2)
def vdot(x1: Any, x2: Any) -> torch.Tensor:
    """Return the sum of products of two flattened tensors."""
    x1, x2, kind = _typed(x1, x2)
    if x1.numel() != x2.numel():
        raise _wrong_inner("vdot", x1, x2, "Expected as many numbers in both.")
    return torch.vdot(x1.flatten(), x2.flatten()).to(kind)


@operation(2)
def outer(x1: Any, x2: Any) -> torch.Tensor:
    """Return the product of each number of x1 with each of x2."""
    x1, x2 = tensors(x1, x2)
    return torch.outer(x1.flatten(), x2.flatten())


@operation(2)
def kron(x1: Any, x2: Any) -> torch.Tensor:
    """Return Kronecker's product: x1 with each number replaced by its product with x2."""
    return torch.kron(*tensors(x1, x2))


@operation(2)
def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> torch.Tensor:
    """Return the cross product of vectors in 3 dimensions (2 are filled up with a 0).

    Args:
        axisa, axisb, axisc: The axes that hold the vectors of x1, of x2 and of the result.
        axis: In place of all three.
    """
    x1, x2 = tensors(x1, x2)
    if axis is not None:
        axisa = axisb = axisc = axis
    check_axis("cross", axisa, x1.ndim)
    check_axis("cross", axisb, x2.ndim)
    kind = torch_type(result_type(x1.dtype, x2.dtype))
    a, b = x1.to(kind).movedim(axisa, -1), x2.to(kind).movedim(axisb, -1)
    sizes = (a.shape[-1], b.shape[-1])
    if not set(sizes) <= {2, 3}:
        raise ValueError(
            explain(f"cross got vectors of {sizes[0]} and {sizes[1]} numbers.", "Expected 2 or 3.", "axis=-1")
        )
    a, b = (x if x.shape[-1] == 3 else torch.nn.functional.pad(x, (0, 1)) for x in (a, b))
    out = torch.linalg.cross(*torch.broadcast_tensors(a, b))
    return out[..., 2] if sizes == (2, 2) else out.movedim(-1, axisc)


@operation(2)
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> torch.Tensor:
    """Return the sum of products over some axes.

    Args:
        axes: How many of the last of x1 and the first of x2, or (those of x1, those of x2).
    """
    x1, x2, kind = _typed(x1, x2)
    if isinstance(axes, int):
        first, second = tuple(range(x1.ndim - axes, x1.ndim)), tuple(range(axes))
    else:
        first, second = (as_ints(part) for part in axes)
    check_axis("tensordot", first, x1.ndim)
    check_axis("tensordot", second, x2.ndim)
    if [x1.shape[one] for one in first] != [x2.shape[one] for one in second]:
        expected = f"Expected axes {axes_of(first)} of x1 to be as long as axes {axes_of(second)} of x2."
        raise _wrong_inner("tensordot", x1, x2, expected)
    return torch.tensordot(x1, x2, dims=(first, second)).to(kind)


@operation("operands")
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> torch.Tensor:
    """Return a sum of products written in Einstein's notation.

    Raises:
        ValueError: The letters do not fit the axes, or a letter stands for two sizes.

    Example:
        >>> einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(3, 4)).shape
        torch.Size([2, 4])
    """
    if kwargs:
        raise TypeError(
            explain(
                f"einsum got {', '.join(kwargs)}.", "Expected subscripts and tensors only.", "ops.einsum('ij->ji', x)"
            )
        )
    xs = tensors(*operands)
    _check_letters(subscripts, xs)
    kinds = {x.dtype for x in xs}
    kind = torch_type(result_type(*kinds)) if len(kinds) > 1 else xs[0].dtype
    if kinds == {torch.int8}:
        return torch.einsum(subscripts, *(x.int() for x in xs)).int()  # torch sums whole numbers of one tensor as int64
    return torch.einsum(subscripts, *(x.to(kind) for x in xs))


def _check_letters(subscripts: str, xs: list[torch.Tensor]) -> None:
    """Refuse subscripts that do not fit the tensors."""
    parts = subscripts.replace(" ", "").split("->")[0].split(",")
    if len(parts) != len(xs):
        raise ValueError(
            explain(
                f"einsum got {subscripts!r}, with {len(parts)} groups of letters, and {len(xs)} tensors.",
                "Expected a group of letters for each tensor, with commas between them.",
                f"{','.join(['ij'] * len(xs))}->...",
            )
        )
    sizes: dict[str, int] = {}
    for letters, x in zip(parts, xs):
        front, dots, back = letters.partition("...")
        if len(front + back) > x.ndim if dots else len(letters) != x.ndim:
            raise ValueError(
                explain(
                    f"einsum got {letters!r} for a tensor of shape {tuple(x.shape)}.",
                    f"Expected {x.ndim} letters, one for each axis.",
                    f"'...{letters}' leaves further axes in front open"
                    if len(letters) < x.ndim
                    else "check the letters",
                )
            )
        named = [*zip(front, x.shape), *zip(reversed(back), reversed(x.shape))]
        for letter, size in named:
            if sizes.setdefault(letter, size) != size and 1 not in (size, sizes[letter]):
                raise ValueError(
                    explain(
                        f"einsum got {subscripts!r} and tensors of shapes {shapes_in_words(xs)}: "
                        f"{letter!r} stands for {sizes[letter]} and {size}.",
                        "Expected one size for each letter.",
                        "use another letter, or another order of letters",
                    )
                )


@operation_of_math(2, "CDist")
def cdist(x: Any, y: Any) -> torch.Tensor:
    """Return the distance of each row of `x` from each row of `y`.

    Example:
        >>> cdist(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
        tensor([[5.]])
    """
    x, y = tensors(x, y)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            explain(
                f"cdist got tensors of shapes {shapes_in_words([x, y])}.",
                "Expected at least two axes in each, and last axes of one length.",
                "ops.expand_dims(x, 0), for a single row",
            )
        )
    difference = x.unsqueeze(-2) - y.unsqueeze(-3)
    return torch.sqrt(torch.sum(difference * difference, dim=-1))
