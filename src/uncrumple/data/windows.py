"""Windows: stretches of elements that come one after another, which may overlap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def windows(elements: Iterator[Any], size: int, step: int, stride: int, drop: bool) -> Iterator[list[Any]]:
    """Yield the elements of one window after the other.

    Args:
        elements: Gone through once; no more are held than reach from the first of a window to its last.
        size: Elements in a window.
        step: How far the next window begins after the last.
        stride: How far the elements of a window are apart.
        drop: Whether to leave out windows that have fewer elements.

    Example:
        >>> list(windows(iter(range(5)), size=2, step=2, stride=1, drop=False))
        [[0, 1], [2, 3], [4]]
    """
    reach = (size - 1) * stride + 1
    waiting: list[Any] = []
    ended = False
    while not ended or waiting:
        while not ended and len(waiting) < reach:
            try:
                waiting.append(next(elements))
            except StopIteration:
                ended = True
        some = waiting[:reach:stride]
        if not some or (drop and len(some) < size):
            return
        yield some
        for _ in range(max(0, step - len(waiting))):
            next(elements, None)
        del waiting[:step]
