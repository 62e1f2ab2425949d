"""What a search may choose from, written down as a dict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from uncrumple.core.errors import explain

_EXAMPLE = 'space={"units": (8, 128, "log"), "layers": (1, 3), "activation": ["relu", "tanh"]}'


def checked(space: Any) -> dict[str, Any]:
    """Return a space, if each of its entries is one.

    An entry is a list of choices, or a tuple: (low, high), (low, high, "log") or (low, high, step). Whole numbers
    at both ends stand for whole numbers.
    """
    if not isinstance(space, Mapping) or not space:
        raise ValueError(
            explain(f"tune got space={space!r}.", "Expected a dict of what to choose from, by name.", _EXAMPLE)
        )
    for name, entry in space.items():
        if isinstance(entry, list) and entry:
            continue
        if not isinstance(entry, tuple) or len(entry) not in (2, 3) or not all(_real(end) for end in entry[:2]):
            raise _wrong(
                name, entry, "Expected a list of choices, or (low, high), (low, high, 'log'), (low, high, step)."
            )
        low, high, *how = entry
        if not low < high:
            raise _wrong(name, entry, "Expected low < high.")
        if how and how[0] != "log" and not (_real(how[0]) and how[0] > 0):
            raise _wrong(name, entry, "Expected 'log' or a step above 0 as the third.")
        if how == ["log"] and low <= 0:
            raise _wrong(name, entry, "Expected low > 0 on a logarithmic scale.")
    return dict(space)


def suggest(trial: Any, space: Mapping[str, Any]) -> dict[str, Any]:
    """Return a setting for each name, as the search proposes it for a trial."""
    found: dict[str, Any] = {}
    for name, entry in space.items():
        if isinstance(entry, list):
            by_name = {_named(choice): choice for choice in entry}
            found[name] = by_name[trial.suggest_categorical(name, list(by_name))]
            continue
        low, high, *how = entry
        log = how == ["log"]
        step = None if log or not how else how[0]
        if _whole(low) and _whole(high) and (step is None or _whole(step)):
            found[name] = trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=log)
        else:
            found[name] = trial.suggest_float(name, float(low), float(high), step=step, log=log)
    return found


def _named(choice: Any) -> Any:
    """Return a choice as a file can hold it."""
    return choice if choice is None or isinstance(choice, (bool, int, float, str)) else repr(choice)


def _real(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer))


def _wrong(name: str, entry: Any, expected: str) -> ValueError:
    return ValueError(explain(f"tune got {entry!r} for {name!r}.", expected, _EXAMPLE))
