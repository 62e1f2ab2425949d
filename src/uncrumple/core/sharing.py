"""Objects that stand in several places of a config are written with a number, and made once when it is read.

Two wrappers may hold one layer, and two outputs one metric. Within a scope
such an object is recognised; outside of one each place gets its own.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

_KEY = "shared_object_id"

# id -> (number, object). The object is kept, because the id of one that is gone may be given to another.
_written: ContextVar[dict[int, tuple[int, Any]] | None] = ContextVar("uncrumple_written_objects", default=None)
_made: ContextVar[dict[Any, Any] | None] = ContextVar("uncrumple_made_objects", default=None)


def write(serialize: Callable[[], Any]) -> Any:
    """Return what `serialize` returns, with a number in the configs of objects that occur more than once."""
    token = _written.set({})
    try:
        config = serialize()
    finally:
        _written.reset(token)
    counts: Counter[int] = Counter()
    for part in _dicts(config):
        if _KEY in part:
            counts[part[_KEY]] += 1
    for part in _dicts(config):
        if _KEY in part and counts[part[_KEY]] == 1:
            del part[_KEY]
    return config


def note_written(thing: Any, config: dict[str, Any]) -> None:
    """Number `thing` in its config, if within `write`."""
    seen = _written.get()
    if seen is not None:
        config[_KEY] = seen.setdefault(id(thing), (len(seen) + 1, thing))[0]


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Within this block, configs with the same number become the same object."""
    token = _made.set({})
    try:
        yield
    finally:
        _made.reset(token)


def is_reading() -> bool:
    """Return whether a model is being made out of a config."""
    return _made.get() is not None


def made_before(config: dict[str, Any]) -> Any:
    """Return the object that was made for the number in `config`, or None."""
    seen = _made.get()
    return None if seen is None or _KEY not in config else seen.get(config[_KEY])


def note_made(thing: Any, config: dict[str, Any]) -> None:
    """Keep `thing` for other places with the same number."""
    seen = _made.get()
    if seen is not None and _KEY in config:
        seen[config[_KEY]] = thing


def _dicts(structure: Any) -> Iterator[dict[str, Any]]:
    """Return every dict in nested lists and dicts, however deep."""
    waiting = [structure]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple)):
            waiting.extend(part)
