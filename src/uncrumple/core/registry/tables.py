"""The tables of names: what each room offers, and what a user has registered, for good or within a scope."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

# {"layers": {"Dense": Dense, ...}, "losses": {...}, ...}
BUILTINS: dict[str, dict[str, Any]] = {}
# {"ops": a function from a name to a class}
LATER: dict[str, Callable[[str], Any]] = {}
# {"my_package>MyLayer": MyLayer}
_registered: dict[str, Any] = {}
_scopes: list[dict[str, Any]] = []


def add_builtins(category: str, objects: Iterable[Any], *, module: str | None = None) -> None:
    """Enter classes or functions under a category, such as `"layers"`.

    Args:
        category: The room: `"layers"`, `"losses"`, `"optimizers.schedules"`, ...
        objects: Classes or functions; each is known by its `__name__`.
        module: The module name that Keras writes for them in files; by
            default `"keras." + category`.
    """
    table = BUILTINS.setdefault(category, {})
    for thing in objects:
        table[known_as(thing)] = thing
        if isinstance(thing, type):
            thing._keras_module = module or f"keras.{category}"  # type: ignore[attr-defined]


def known_as(thing: Any) -> str:
    """Return the name of a class or function in files: `_keras_name`, where Keras offers it under another than its own."""
    return vars(thing).get("_keras_name", thing.__name__) if isinstance(thing, type) else thing.__name__


def add_later(category: str, find: Callable[[str], Any]) -> None:
    """Say who makes the classes of a category that are not entered beforehand.

    Args:
        category: Such as `"ops"`.
        find: Returns the class of a name, or None.
    """
    LATER[category] = find


def builtins(category: str) -> dict[str, Any]:
    """Return the table of one category: {name: class or function}."""
    return BUILTINS.setdefault(category, {})


def builtin(category: str, name: str) -> Any:
    """Return the class or function of one category that has a name, made now if need be; None if there is none."""
    found = builtins(category).get(name)
    return LATER[category](name) if found is None and category in LATER else found


def is_builtin_name(name: str) -> bool:
    """Return whether something of the package itself has this name."""
    return any(name in table for table in BUILTINS.values())


# --- a user's own classes ---------------------------------------------------------


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Return a decorator that lets files name this class or function.

    Args:
        package: A prefix that keeps equal names of different projects apart.
        name: The name to use; by default the class's own.

    Example:
        >>> @register_keras_serializable(package="my_package")
        ... def squared(x):
        ...     return x * x
        >>> get_registered_name(squared)
        'my_package>squared'
    """

    def enter(thing: Any) -> Any:
        registered = f"{package}>{name or thing.__name__}"
        _registered[registered] = thing
        return thing

    return enter


def get_registered_name(obj: Any) -> str:
    """Return the name a class or function is registered by, or its own name."""
    for table in [_registered] + _scopes:
        for key, value in table.items():
            if value is obj:
                return key
    return obj.__name__


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """Return the class or function registered by `name`, or None."""
    for table in (custom_objects or {}, *reversed(_scopes), _registered, module_objects or {}):
        if name in table:
            return table[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """Return the live table of registered classes and functions."""
    return _registered


class CustomObjectScope(contextlib.AbstractContextManager):
    """Within a `with` block, names in `custom_objects` are known to loading and to `get`.

    Example:
        >>> with CustomObjectScope({"squared": lambda x: x * x}):
        ...     get_registered_object("squared")(3)
        9
    """

    def __init__(self, custom_objects: dict[str, Any]) -> None:
        self.custom_objects = custom_objects or {}

    def __enter__(self) -> CustomObjectScope:
        _scopes.append(self.custom_objects)
        return self

    def __exit__(self, *_: Any) -> None:
        # By identity: two scopes may hold equal names.
        place = max(index for index, scope in enumerate(_scopes) if scope is self.custom_objects)
        del _scopes[place]


custom_object_scope = CustomObjectScope
