"""Names that objects get when nobody names them: `dense`, `dense_1`, ..."""

from __future__ import annotations

import gc
import re
import threading
from collections import Counter
from typing import Any

from uncrumple.core.errors import explain

_used: Counter[str] = Counter()


class _Scopes(threading.local):
    """The scopes that are open in this thread: (path, whose it is)."""

    def __init__(self) -> None:
        self.open: list[tuple[str, Any]] = []


_scopes = _Scopes()


def to_snake_case(name: str) -> str:
    """Return a class name in snake case, as Keras spells it.

    Example:
        >>> to_snake_case("Conv2D"), to_snake_case("RMSprop"), to_snake_case("SimpleRNN")
        ('conv2d', 'rm_sprop', 'simple_rnn')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix: str) -> str:
    """Return `prefix` with a counter that grows with each call: dense, dense_1, ..."""
    prefix = to_snake_case(prefix)
    count = _used[prefix]
    _used[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


def reset_names(free_memory: bool = True) -> None:
    """Forget every name given so far, so that counting starts again.

    Args:
        free_memory: Whether to hand memory that nothing refers to back at once.
    """
    _used.clear()
    _counts.clear()
    if free_memory:
        gc.collect()


_counts: Counter[str] = Counter()


def get_uid(prefix: str = "") -> int:
    """Return how often this has been asked for a prefix: 1, 2, ...

    Example:
        >>> get_uid("block"), get_uid("block")
        (1, 2)
    """
    _counts[prefix] += 1
    return _counts[prefix]


# --- paths -------------------------------------------------------------------------------


class name_scope:
    """Within a `with` block, variables get a path that begins with a name: `encoder/kernel`.

    Args:
        name: The name, without "/".
        caller: Whose scope it is.
        deduplicate: Whether a scope of the same caller and name, if it is the innermost, is gone on with.
        override_parent: A path to begin with, in place of that of the scopes around.

    Example:
        >>> with name_scope("encoder"), name_scope("layer_1"):
        ...     current_path()
        'encoder/layer_1'
    """

    def __init__(
        self, name: str, caller: Any = None, deduplicate: bool = True, override_parent: str | None = None
    ) -> None:
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(
                explain(f"name_scope got name={name!r}.", "Expected a string without '/'.", 'name_scope("encoder")')
            )
        self.name, self.caller, self.deduplicate, self.override_parent = name, caller, deduplicate, override_parent
        self._entered = False

    def __enter__(self) -> name_scope:
        if self.deduplicate and self.caller is not None and _scopes.open:
            path, caller = _scopes.open[-1]
            if caller is self.caller and path.rsplit("/", 1)[-1] == self.name:
                return self
        above = current_path() if self.override_parent is None else self.override_parent
        _scopes.open.append((f"{above}/{self.name}" if above else self.name, self.caller))
        self._entered = True
        return self

    def __exit__(self, *_: Any) -> None:
        if self._entered:
            _scopes.open.pop()
            self._entered = False


def current_path() -> str:
    """Return the path of the innermost scope; "" outside of all."""
    return _scopes.open[-1][0] if _scopes.open else ""


def is_open(caller: Any) -> bool:
    """Return whether the innermost scope is somebody's."""
    return bool(_scopes.open) and _scopes.open[-1][1] is caller
