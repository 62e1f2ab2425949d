"""The wording of errors: what came, what was expected, the line to type.

Every message to a user is three short lines, so that it can be read at a
glance in a notebook and tested as a whole. The exception keeps its standard
type (`ValueError`, `TypeError`, ...).
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parents[1])


class UncrumpleWarning(UserWarning):
    """The code is legal, but almost surely not what was meant."""


def explain(came: str, expected: str, fix: str) -> str:
    """Return the three lines of an error message.

    Args:
        came: What was given, with the layer's or argument's name.
        expected: What would have been right.
        fix: The line to type, or the thing to do.

    Example:
        >>> print(explain("Dropout got rate=50.", "Expected 0 <= rate < 1.", "Dropout(0.5)"))
        Dropout got rate=50.
        Expected 0 <= rate < 1.
        Fix: Dropout(0.5)
    """
    return f"{came}\n{expected}\nFix: {fix}"


def warn(came: str, expected: str, fix: str) -> None:
    """Warn in the three lines of an error, pointing at the line of the user's program that led here."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(explain(came, expected, fix), UncrumpleWarning, stacklevel=level)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` most likely is a misspelling of, or None.

    Example:
        >>> closest("sofmax", ["relu", "softmax"])
        'softmax'
    """
    # Where two spellings differ in case only ("Adam", "adam"), the one written like `name` wins.
    known = sorted(
        (word for word in known if isinstance(word, str)), key=lambda word: word.islower() == str(name).islower()
    )
    by_lower = {word.lower().replace("_", ""): word for word in known}
    key = str(name).lower().replace("_", "").replace("-", "").replace(" ", "")
    if key in by_lower:
        return by_lower[key]
    found = difflib.get_close_matches(key, by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not among `known`, with did-you-mean.

    Example:
        >>> print(unknown_name("activation", "sofmax", ["relu", "softmax"]))
        Unknown activation: 'sofmax'.
        Expected one of: relu, softmax.
        Fix: did you mean 'softmax'?
    """
    known = sorted({word for word in known if isinstance(word, str)}, key=str.lower)
    guess = closest(name, known)
    shown = ", ".join(known[:24]) + (", ..." if len(known) > 24 else "")
    fix = f"did you mean '{guess}'?" if guess else f"use one of the names above, or pass the {kind} object itself."
    return explain(f"Unknown {kind}: {name!r}.", f"Expected one of: {shown}.", fix)


def unknown_argument(owner: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a keyword argument that `owner` does not have."""
    known = [word for word in known if word not in ("self", "args", "kwargs")]
    guess = closest(name, known)
    fix = f"did you mean '{guess}='?" if guess else f"remove '{name}='."
    return explain(f"{owner} got an unknown argument '{name}'.", f"Expected one of: {', '.join(known)}.", fix)
