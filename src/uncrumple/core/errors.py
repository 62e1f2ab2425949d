"""The wording of errors: what came, what was expected, the line to type.

Every message to a user is three short lines, so that it can be read at a
glance in a notebook and tested as a whole. The exception keeps its standard
type (`ValueError`, `TypeError`, ...).
"""

from __future__ import annotations

import difflib
import dis
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

_NOT_THE_USERS = ("uncrumple", "torch")
# Longest line that names are listed in.
_LINE = 120


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
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _NOT_THE_USERS:
        level, frame = level + 1, frame.f_back
    warnings.warn(explain(came, expected, fix), UncrumpleWarning, stacklevel=level)


def _key(name: Any) -> str:
    """Return a name without what spellings differ in."""
    return str(name).lower().replace("_", "").replace("-", "").replace(" ", "")


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
    by_key = {_key(word): word for word in known}
    key = _key(name)
    if key in by_key:
        return by_key[key]
    # Of a short name one wrong letter is a large share.
    found = difflib.get_close_matches(key, by_key, n=1, cutoff=0.6 if len(key) > 2 else 0.5)
    return by_key[found[0]] if found else None


def one_of(name: str, known: Iterable[str], what: str = "names") -> str:
    """Return the line that says what is known: all of it if that is short, else what is most like `name`.

    Example:
        >>> one_of("sofmax", ["relu", "softmax"])
        'Expected one of: relu, softmax.'
    """
    words = list(dict.fromkeys(word for word in known if isinstance(word, str)))
    if not words:
        return f"Expected no {what}."
    line = f"Expected one of: {', '.join(words)}."
    if len(line) <= _LINE:
        return line
    # Of two spellings of one name, the one written like `name`.
    words.sort(key=lambda word: word.islower() == str(name).islower())
    by_key = {_key(word): word for word in words}
    likeness = {key: difflib.SequenceMatcher(None, _key(name), key).ratio() for key in by_key}
    like = sorted(by_key, key=lambda key: -likeness[key])
    shown = [by_key[key] for place, key in enumerate(like[:5]) if place < 3 or likeness[key] > 0.5]
    while len(shown) > 1 and len(", ".join(shown)) > _LINE - 40:
        shown.pop()
    return f"Expected one of {len(by_key)} {what}, such as: {', '.join(shown)}."


def unknown_name(kind: str, name: str, known: Iterable[str], *, or_object: bool = False) -> str:
    """Return the message for a name that is not among `known`, with did-you-mean.

    Args:
        kind: What is looked for: `"activation"`.
        name: What was given.
        known: The names there are.
        or_object: Whether an object may be given in place of a name.

    Example:
        >>> print(unknown_name("activation", "sofmax", ["relu", "softmax"]))
        Unknown activation: 'sofmax'.
        Expected one of: relu, softmax.
        Fix: did you mean 'softmax'?
    """
    known = sorted({word for word in known if isinstance(word, str)}, key=lambda word: (word.lower(), word))
    guess = closest(name, known)
    fix = f"did you mean '{guess}'?" if guess else "use one of these names"
    if not guess and or_object:
        fix += f", or pass the {kind} itself, as an object or a function"
    return explain(f"Unknown {kind}: {name!r}.", one_of(name, known), fix)


def unknown_argument(owner: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a keyword argument that `owner` does not have."""
    known = [word for word in known if word not in ("self", "args", "kwargs")]
    guess = closest(name, known) or (known[0] if len(known) == 1 else None)
    fix = f"did you mean '{guess}='?" if guess else f"remove '{name}='"
    return explain(f"{owner} got an unknown argument '{name}'.", one_of(name, known, "arguments"), fix)


# --- attributes that are not there --------------------------------------------------------


class NoAttribute(AttributeError):
    """An AttributeError with did-you-mean, whose text is made when it is read.

    Most are caught unread, by `hasattr` and `getattr` with a default, and must cost nothing.
    """

    def __init__(self, owner: str, name: str, known: Callable[[], Iterable[str]], otherwise: str) -> None:
        # With a name and without an object, Python adds no guess of its own to the text.
        super().__init__(name=name, obj=None)
        self._parts = (owner, name, known, otherwise)

    def __str__(self) -> str:
        owner, name, known, otherwise = self._parts
        words = sorted({word for word in known() if not word.startswith("_")}, key=lambda word: (word.lower(), word))
        guess = closest(name, words)
        fix = f"did you mean '{guess}'?" if guess else otherwise
        return explain(f"{owner} has no '{name}'.", one_of(name, words), fix)

    def __reduce__(self) -> Any:
        return AttributeError, (str(self),)


# What is shown to the user is the standard type.
NoAttribute.__name__ = NoAttribute.__qualname__ = "AttributeError"
NoAttribute.__module__ = "builtins"

_IMPORT_FROM = dis.opmap["IMPORT_FROM"]


def answer_misspellings(module: str) -> None:
    """Let a module answer names that it does not have with did-you-mean; called at its end, with `__name__`.

    `from module import name` would put a text of its own in place of an
    AttributeError, so it gets an ImportError.
    """
    inside = vars(sys.modules[module])

    def known() -> Iterable[str]:
        own = [name for name, thing in inside.items() if getattr(thing, "__module__", None) == module]
        return inside.get("__all__") or own

    def answer(name: str) -> Any:
        raise no_such_name(module, name, known)

    inside["__getattr__"] = answer


def no_such_name(module: str, name: str, known: Iterable[str] | Callable[[], Iterable[str]]) -> Exception:
    """Return the error that a module's `__getattr__` raises for `name`."""
    error = NoAttribute(module, name, known if callable(known) else lambda: known, f"dir({module}) lists what there is")
    caller = sys._getframe(2)
    if not name.startswith("__") and caller.f_code.co_code[caller.f_lasti] == _IMPORT_FROM:
        return ImportError(str(error), name=module)
    return error
