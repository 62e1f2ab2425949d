"""Nested lists, tuples and dicts of tensors, handled leaf by leaf.

Dict keys are visited in sorted order, so that the order of leaves does not
depend on how a dict was written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def is_nested(structure: Any) -> bool:
    return isinstance(structure, (list, tuple, dict))


def flatten(structure: Any) -> list[Any]:
    """Return the leaves of a nested structure in a list.

    Example:
        >>> flatten({"b": [1, 2], "a": 3})
        [3, 1, 2]
    """
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in flatten(part)]
    return [structure]


def paths(structure: Any) -> list[tuple[Any, ...]]:
    """Return the keys and indices that lead to each leaf, in the order of `flatten`.

    Example:
        >>> paths({"b": [1, 2], "a": 3})
        [('a',), ('b', 0), ('b', 1)]
    """
    if isinstance(structure, dict):
        return [(key, *path) for key in sorted(structure) for path in paths(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [(index, *path) for index, part in enumerate(structure) for path in paths(part)]
    return [()]


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """Return the same structure with `function` applied to every leaf.

    Example:
        >>> map_structure(lambda leaf: leaf + 1, {"a": 1, "b": (2, 3)})
        {'a': 2, 'b': (3, 4)}
    """
    if isinstance(structure, dict):
        return type(structure)((key, map_structure(function, value)) for key, value in structure.items())
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_structure(function, part) for part in structure))
    if isinstance(structure, (list, tuple)):
        parts = [map_structure(function, part) for part in structure]
        return tuple(parts) if isinstance(structure, tuple) else parts
    return function(structure)


def pack(structure: Any, leaves: list[Any]) -> Any:
    """Return `structure` with its leaves replaced, in the order of `flatten`."""
    return _pack(structure, iter(leaves))


def _pack(structure: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, dict):
        filled = {key: _pack(structure[key], leaves) for key in sorted(structure)}
        return type(structure)((key, filled[key]) for key in structure)
    if isinstance(structure, (list, tuple)):
        parts = [_pack(part, leaves) for part in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*parts)
        return tuple(parts) if isinstance(structure, tuple) else parts
    return next(leaves)
