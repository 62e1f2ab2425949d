"""Samples in any structure of tensors: one tensor, a list, a dict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.data.convert import to_tensors

# Rows that run at a time.
ROWS = 128


def as_tensors(x: Any) -> Any:
    """Return inputs as tensors; pixels that are whole bytes become floats, texts a `Text`."""
    made = to_tensors(x, "x", text=True)
    return tree.map_structure(lambda one: one.float() if one.dtype is torch.uint8 else one, made)


def rows_in(inputs: Any) -> int:
    """Return how many rows there are, in a tensor or a dict or list of them.

    Example:
        >>> rows_in({"a": torch.zeros(3, 2), "b": torch.zeros(3)})
        3
    """
    return len(tree.flatten(inputs)[0])


def rows_at(inputs: Any, rows: Any) -> Any:
    """Return some of the rows.

    Example:
        >>> rows_at({"a": torch.arange(4)}, [0, 2])
        {'a': tensor([0, 2])}
    """
    return tree.map_structure(lambda one: one[rows], inputs)


def batches(rows: int, size: int = ROWS) -> Iterator[slice]:
    """Return slices that cover so many rows.

    Example:
        >>> [(one.start, one.stop) for one in batches(5, 2)]
        [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
