"""`rearrange`: reshaping, turning and joining axes, written down by their names."""

from __future__ import annotations

import math
import re
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import tensor

operation = group("einops")
# fmt: off
__all__ = ["rearrange"]
# fmt: on


@operation("tensor pattern axes_lengths")
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> torch.Tensor:
    """Return a tensor with its axes split, reordered and joined as a pattern says.

    Args:
        tensor: The tensor.
        pattern: Names of the axes before and after `->`; parentheses hold axes that are one.
        axes_lengths: Sizes that do not follow from the shape.

    Example:
        >>> rearrange(torch.zeros(2, 6), "b (h w) -> b w h", h=2).shape
        torch.Size([2, 3, 2])
    """
    x = _tensor(tensor)
    sides = pattern.split("->")
    before = [_names(part) for part in _axes(sides[0])]
    after = [_names(part) for part in _axes(sides[-1])]
    names = [name for part in before for name in part]
    if len(sides) != 2 or sorted(names) != sorted(name for part in after for name in part):
        raise ValueError(
            explain(
                f"rearrange got {pattern!r}.", "Expected the same names on both sides of '->'.", '"b h w -> b (h w)"'
            )
        )
    if len(before) != x.ndim:
        raise ValueError(
            explain(
                f"rearrange got {pattern!r} and a tensor of shape {tuple(x.shape)}.",
                f"Expected {x.ndim} axes on the left side.",
                "put axes that are one into parentheses",
            )
        )
    sizes: dict[str, int] = {}
    for part, size in zip(before, x.shape):
        sizes.update(_sizes(part, size, axes_lengths, pattern))
    x = x.reshape([sizes[name] for name in names])
    x = x.permute([names.index(name) for part in after for name in part])
    return x.reshape([math.prod(sizes[name] for name in part) for part in after])


_tensor = tensor


def _axes(side: str) -> list[str]:
    return re.findall(r"\([^)]*\)|\w+", side)


def _names(part: str) -> list[str]:
    return re.findall(r"\w+", part)


def _sizes(names: list[str], size: int, given: dict[str, int], pattern: str) -> dict[str, int]:
    """Return the sizes of the axes that together have `size`; one of them may be found."""
    known = math.prod(given[name] for name in names if name in given)
    missing = [name for name in names if name not in given]
    if len(missing) > 1 or (size != known if not missing else known == 0 or size % known):
        raise ValueError(
            explain(
                f"rearrange got {pattern!r}: the axes {' '.join(names)} together have size {size}, "
                f"with {', '.join(f'{n}={given[n]}' for n in names if n in given) or 'none given'}.",
                "Expected sizes whose product is that size, all given but one.",
                f"{names[0]}={size}",
            )
        )
    return {name: given.get(name, size // known) for name in names}
