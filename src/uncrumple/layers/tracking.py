"""Lists and dicts that tell their layer when a layer or weight is put into them.

`self.blocks = []` followed by `self.blocks.append(Dense(8))` must make the
Dense a part of its owner, although nothing is assigned to an attribute then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

Told = Callable[[Any], None]


def holds_parts(value: Any) -> bool:
    """Return whether a list, tuple or dict has modules or parameters somewhere inside."""
    if isinstance(value, dict):
        return any(holds_parts(part) for part in value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_parts(part) for part in value)
    return isinstance(value, (torch.nn.Module, torch.nn.Parameter))


class TrackedList(list):
    """A list that reports each new member to its owner."""

    def __init__(self, values: Iterable[Any], told: Told) -> None:
        super().__init__(values)
        self._told = told
        for value in self:
            told(value)

    def append(self, value: Any) -> None:
        super().append(value)
        self._told(value)

    def insert(self, index: Any, value: Any) -> None:
        super().insert(index, value)
        self._told(value)

    def extend(self, values: Iterable[Any]) -> None:
        for value in values:
            self.append(value)

    def __iadd__(self, values: Iterable[Any]) -> TrackedList:  # type: ignore[override,misc]
        self.extend(values)
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        for part in value if isinstance(index, slice) else [value]:
            self._told(part)

    def __reduce__(self) -> Any:
        return list, (list(self),)


class TrackedDict(dict):
    """A dict that reports each new value to its owner."""

    def __init__(self, values: dict[Any, Any], told: Told) -> None:
        super().__init__(values)
        self._told = told
        for value in self.values():
            told(value)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._told(value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
