"""Nested lists, tuples and dicts under Keras's names.

Leaves are what is no list, tuple or dict. Dicts are gone through in the order
of their sorted keys.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from uncrumple.core.errors import answer_misspellings, explain

# fmt: off
__all__ = ["MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
           "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as",
           "traverse"]
# fmt: on


class MAP_TO_NONE:
    """What a function gives to `traverse` to put None in place of a part."""


def is_nested(structure: Any) -> bool:
    """Return whether this is a list, tuple or dict.

    Example:
        >>> is_nested({"a": 1}), is_nested(1)
        (True, False)
    """
    return isinstance(structure, (list, tuple, dict, deque))


def _children(structure: Any) -> list[tuple[Any, Any]]:
    """Return (key or place, part) of one level."""
    if isinstance(structure, OrderedDict):
        return list(structure.items())
    if isinstance(structure, dict):
        return [(key, structure[key]) for key in sorted(structure)]
    return list(enumerate(structure))


def _like(structure: Any, parts: list[Any]) -> Any:
    """Return one level with other parts, in the order of `_children`."""
    if isinstance(structure, defaultdict):
        return defaultdict(structure.default_factory, zip(sorted(structure), parts))
    if isinstance(structure, dict):
        filled = dict(zip([key for key, _ in _children(structure)], parts))
        return type(structure)((key, filled[key]) for key in structure)
    if hasattr(structure, "_fields"):
        return type(structure)(*parts)
    return deque(parts, structure.maxlen) if isinstance(structure, deque) else type(structure)(parts)


def _leaves(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if not is_nested(structure):
        yield path, structure
        return
    for key, part in _children(structure):
        yield from _leaves(part, (*path, key))


def flatten(structure: Any) -> list[Any]:
    """Return the leaves in a list.

    Example:
        >>> flatten([[1, 2], {"b": 4, "a": 3}])
        [1, 2, 3, 4]
    """
    return [leaf for _, leaf in _leaves(structure)]


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Return (path, leaf) of each leaf; a path holds keys and places.

    Example:
        >>> flatten_with_path([{"a": 5}])
        [((0, 'a'), 5)]
    """
    return list(_leaves(structure))


def _different(a: Any, b: Any) -> ValueError:
    def words(structure: Any) -> str:
        if not is_nested(structure):
            return f"a leaf ({type(structure).__name__})"
        if isinstance(structure, dict):
            return f"{type(structure).__name__} of {', '.join(map(repr, structure))}"
        return f"{type(structure).__name__} of {len(structure)}"

    return ValueError(
        explain(
            f"The two structures differ: {words(a)} and {words(b)}.",
            "Expected the same nesting in both.",
            "compare flatten_with_path",
        )
    )


def _check_level(a: Any, b: Any) -> None:
    """Refuse two levels of different kinds."""
    dicts = isinstance(a, dict) and isinstance(b, dict)
    same = is_nested(b) and (dicts or type(a) is type(b)) and len(a) == len(b)
    if not same or (dicts and set(a) != set(b)):
        raise _different(a, b)


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Return a structure with `func` applied to every leaf, or to leaves of several structures side by side.

    Args:
        none_is_leaf: Whether `func` is called on None.

    Example:
        >>> map_structure(lambda a, b: a + b, {"x": 1}, {"x": 2})
        {'x': 3}
    """
    if not structures:
        raise ValueError(explain("map_structure got no structure.", "Expected at least one.", "map_structure(f, x)"))
    first, *others = structures
    if not callable(func):
        raise TypeError(explain(f"map_structure got {func!r}.", "Expected a function.", "map_structure(f, x)"))
    if first is None and not none_is_leaf:
        for other in others:
            if other is not None:
                raise _different(first, other)
        return None
    if not is_nested(first):
        for other in others:
            if is_nested(other):
                raise _different(first, other)
        return func(*structures)
    for other in others:
        _check_level(first, other)
    parts = zip(*([part for _, part in _children(_as(first, one))] for one in structures))
    return _like(first, [map_structure(func, *part, none_is_leaf=none_is_leaf) for part in parts])


def _as(first: Any, other: Any) -> Any:
    """Return a dict with its keys in the order in which `first` is gone through."""
    return OrderedDict((key, other[key]) for key, _ in _children(first)) if isinstance(first, dict) else other


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Return `func` of the parts that stand where `shallow_structure` has leaves.

    Example:
        >>> map_structure_up_to([None, None], len, [[1, 1], [2, 2, 2]])
        [2, 3]
    """
    if not structures:
        raise ValueError(
            explain("map_structure_up_to got no structure.", "Expected at least one.", "map_structure_up_to(s, f, x)")
        )
    if not is_nested(shallow_structure):
        return func(*structures)
    for one in structures:
        _check_level(shallow_structure, one)
    aligned = [[part for _, part in _children(_as(shallow_structure, one))] for one in (shallow_structure, *structures)]
    return _like(shallow_structure, [map_structure_up_to(part[0], func, *part[1:]) for part in zip(*aligned)])


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Raise a ValueError unless two structures are nested in the same way; kinds of dicts count as equal."""
    if check_types is not None:
        warnings.warn(
            explain("assert_same_structure got check_types.", "Expected a and b only: it does nothing.", "remove it"),
            DeprecationWarning,
            stacklevel=2,
        )
    if not is_nested(a):
        if is_nested(b):
            raise _different(a, b)
        return
    _check_level(a, b)
    for (_, one), (_, other) in zip(_children(a), _children(_as(a, b))):
        assert_same_structure(one, other)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise a ValueError unless two structures have leaves at the same paths; lists and tuples count as equal."""
    one, other = ({path for path, _ in _leaves(structure)} for structure in (a, b))
    if one != other:
        missing = f"only a has {sorted(map(str, one - other))}, only b has {sorted(map(str, other - one))}"
        raise ValueError(
            explain(f"The paths differ: {missing}.", "Expected the same in both.", "compare flatten_with_path")
        )


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """Return `structure` with its leaves replaced, in the order of `flatten`.

    Example:
        >>> pack_sequence_as({"b": 0, "a": [0]}, [1, 2])
        {'b': 2, 'a': [1]}
    """
    leaves = list(flat_sequence)
    count = len(flatten(structure))
    if len(leaves) != count:
        raise ValueError(
            explain(
                f"pack_sequence_as got {len(leaves)} values for a structure of {count} leaves.",
                f"Expected {count}.",
                "flatten(structure) shows the leaves",
            )
        )
    rest = iter(leaves)
    return map_structure(lambda _: next(rest), structure) if is_nested(structure) else leaves[0]


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Return a structure in which each part is replaced by what `func` returns for it, unless that is None.

    Args:
        func: Called on the whole, on each part, and on each leaf. `MAP_TO_NONE` puts None in the place.
        top_down: Whether a part comes before what it holds; if `func` replaces it, what it holds is left out.
    """
    found = func(structure) if top_down else None
    if found is None and is_nested(structure):
        structure = _like(structure, [traverse(func, part, top_down) for _, part in _children(structure)])
    if not top_down:
        found = func(structure)
    if found is None:
        return structure
    return None if found is MAP_TO_NONE else found


def lists_to_tuples(structure: Any) -> Any:
    """Return a structure with tuples in place of lists."""
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """Return a structure with `func` applied to every shape: a list or tuple of whole numbers and None."""
    if isinstance(structure, (list, tuple)) and all(isinstance(size, (int, type(None))) for size in structure):
        return func(structure)
    if not is_nested(structure):
        return func(structure)
    return _like(structure, [map_shape_structure(func, part) for _, part in _children(structure)])


answer_misspellings(__name__)
