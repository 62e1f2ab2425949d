"""Arguments of constructors and methods, refused with words where Python would say only that they do not fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from uncrumple.core.errors import explain, unknown_argument

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Values to show for arguments that were forgotten.
_EXAMPLES: dict[str, Any] = {
    "units": 32,
    "filters": 32,
    "kernel_size": 3,
    "rate": 0.5,
    "input_dim": 1000,
    "output_dim": 64,
    "target_shape": (28, 28, 1),
    "dims": (2, 1),
    "n": 4,
    "scale": 1 / 255,
    "stddev": 0.1,
    "activation": "relu",
    "learning_rate": 0.001,
    "initial_learning_rate": 0.1,
    "decay_steps": 1000,
    "decay_rate": 0.9,
    "filepath": "model.keras",
}


class _OfConstructor:
    """The signature of a class: that of its `__init__`, whatever its `__new__` takes."""

    def __get__(self, instance: Any, owner: type) -> inspect.Signature:
        init = owner.__init__  # type: ignore[misc]
        if init is object.__init__:
            return inspect.Signature()
        return inspect.Signature(list(inspect.signature(init).parameters.values())[1:])


class NamesItsArguments:
    """Base of classes whose constructors say which argument is not known or missing.

    It is seen to in `__new__`, so that constructors need not do anything for it.
    """

    __signature__ = _OfConstructor()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        check_arguments(cls, args, kwargs)
        return super().__new__(cls)


def check_arguments(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], of_base: tuple[str, ...] = ()) -> None:
    """Compare arguments with those that the constructor of `cls` has.

    A call without any is left to Python: copies and pickles are made that way too.

    Args:
        cls: The class.
        args, kwargs: What it was called with.
        of_base: Arguments that the base class would take, if the constructor handed them on.

    Raises:
        TypeError: A keyword is not known, or an argument is missing.
    """
    if not args and not kwargs:
        return
    accepted = cls.__dict__.get("_accepted")
    if accepted is None:
        accepted = _Accepted(cls.__init__)  # type: ignore[misc]
        cls._accepted = accepted  # type: ignore[attr-defined]
    if not accepted.anything:
        for name in kwargs:
            if name in accepted.names:
                continue
            if name in of_base:
                raise TypeError(_say_not_handed_on(cls.__name__, name, accepted.names))
            raise TypeError(unknown_argument(cls.__name__, name, accepted.names))
    missing = [name for name in accepted.required[len(args) :] if name not in kwargs]
    if missing:
        raise TypeError(_say_missing(cls.__name__, missing, args, kwargs))


class _Accepted:
    """What a constructor takes: names in order, those without a default, and whether it takes any keyword."""

    def __init__(self, init: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(init).parameters.values())[1:]
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self.names = [p.name for p in named]
        self.required = [p.name for p in named if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        self.anything = any(p.kind is p.VAR_KEYWORD for p in parameters)


def _say_not_handed_on(owner: str, name: str, names: list[str]) -> str:
    return explain(
        f"{owner} got {name}=, which its __init__ does not hand on.",
        "Expected **kwargs in __init__, and super().__init__(**kwargs) in its first line.",
        f"def __init__({', '.join(['self', *names, '**kwargs'])}): super().__init__(**kwargs)",
    )


def _say_missing(owner: str, missing: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    given = [_short(value) for value in args]
    given += [f"{name}={_short(_EXAMPLES.get(name, ...))}" for name in missing]
    given += [f"{name}={_short(value)}" for name, value in kwargs.items()]
    named = " and ".join([", ".join(missing[:-1]), missing[-1]] if len(missing) > 1 else missing)
    return explain(
        f"{owner} got no {named}.",
        f"Expected {named}: {'they have' if len(missing) > 1 else 'it has'} no default.",
        f"{owner}({', '.join(given)})",
    )


def _short(value: Any) -> str:
    if value is ...:
        return "..."
    shown = f"{value:g}" if isinstance(value, float) else repr(value)
    return shown if len(shown) <= 30 and "\n" not in shown and not shown.startswith("<") else "..."


def takes_no_other(method: _Function) -> _Function:
    """Mark a method whose last parameter collects unknown arguments, to refuse them: its signature is shown without.

    The method's first line is `if unknown: raise unknown_of(...)`. So no frame stands between
    the caller and the method.
    """
    signature = inspect.signature(method)
    shown = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    method.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return method


def unknown_of(method: Callable[..., Any], unknown: dict[str, Any]) -> TypeError:
    """Return the error for keyword arguments that a method does not have, with did-you-mean."""
    known = [p.name for p in inspect.signature(method).parameters.values() if p.kind is not p.VAR_KEYWORD]
    return TypeError(unknown_argument(f"{method.__name__}()", next(iter(unknown)), known))
