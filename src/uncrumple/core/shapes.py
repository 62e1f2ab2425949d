"""Shapes as plain tuples, and shapes in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from uncrumple.core.errors import explain

Shape = tuple[int | None, ...]

_AXES = {
    1: ("samples",),
    2: ("samples", "features"),
    3: ("samples", "time steps", "features"),
    4: ("samples", "height", "width", "channels"),
    5: ("samples", "frames", "height", "width", "channels"),
}


def as_shape(shape: Any, owner: str = "shape") -> Shape:
    """Return `shape` as a tuple of positive integers and None, or say what is wrong with it.

    Args:
        shape: An int, or a sequence of ints and None.
        owner: Who asked, for the message, such as `"Input"`.

    Raises:
        ValueError: An entry is neither None nor a non-negative integer.
    """
    if getattr(shape, "ndim", 1) > 1:
        raise ValueError(
            explain(
                f"{owner} got an array of shape {tuple(shape.shape)} as its shape.",
                "Expected the shape of one sample, without the number of samples.",
                f"{owner}({tuple(shape.shape[1:])})",
            )
        )
    if shape is None or isinstance(shape, str):
        raise ValueError(explain(f"{owner} got shape={shape!r}.", "Expected a tuple of integers.", "shape=(28, 28, 1)"))
    if isinstance(shape, (int,)) or not isinstance(shape, Iterable):
        shape = (shape,)
    out: list[int | None] = []
    for size in shape:
        if size is None:
            out.append(None)
            continue
        try:
            whole = int(size)
        except (TypeError, ValueError):
            whole = -1
        if whole != size or whole < 0:
            raise ValueError(
                explain(
                    f"{owner} got shape={tuple(shape)}.",
                    f"Expected whole numbers above 0, or None; {size!r} is neither.",
                    f"shape={_meant(shape) or (28, 28, 1)}",
                )
            )
        out.append(whole)
    return tuple(out)


def _meant(shape: Iterable[Any]) -> Shape | None:
    """Return a shape without its minus signs, if these are all that is wrong with it."""
    if all(size is None or (isinstance(size, int) and size != 0) for size in shape):
        return tuple(None if size is None else abs(size) for size in shape)
    return None


def in_words(shape: Sequence[int | None]) -> str:
    """Return a shape with the meaning of its axes.

    Example:
        >>> in_words((1000, 28, 28, 1))
        '(1000, 28, 28, 1): samples, height, width, channels'
    """
    shape = tuple(shape)
    axes = _AXES.get(len(shape))
    return f"{shape}: {', '.join(axes)}" if axes else f"{shape}"


def count(shape: Sequence[int | None]) -> int:
    """Return how many numbers a tensor of this shape holds; None counts as 1."""
    return math.prod(1 if size is None else size for size in shape)
