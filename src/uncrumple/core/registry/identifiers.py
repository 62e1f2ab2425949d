"""What users give in place of an object: a name, a config, a class, or the object itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.registry.reading import deserialize_keras_object
from uncrumple.core.registry.tables import CustomObjectScope, get_registered_object

# Names to show, of whatever kind is asked for.
_USUAL = ("relu", "mse", "mae", "glorot_uniform", "l2", "max_norm")


def get(kind: str, identifier: Any, table: dict[str, Any], *, make: bool = True) -> Any:
    """Return the object that `identifier` stands for.

    Args:
        kind: What is looked for, for the message: `"activation"`.
        identifier: None, a name, a config, or the object itself.
        table: {name: class or function}, aliases included.
        make: Whether a class found by name is called without arguments.

    Raises:
        ValueError: The name is not known; the message says which is meant.
        TypeError: `identifier` is of no usable type.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        found = get_registered_object(identifier, module_objects=table)
        if found is None:
            raise ValueError(unknown_name(kind, identifier, table, or_object=True))
        return found() if make and isinstance(found, type) else found
    if isinstance(identifier, dict):
        return deserialize_keras_object(identifier)
    if isinstance(identifier, type):
        return identifier() if make else identifier
    if callable(identifier):
        return identifier
    raise TypeError(
        explain(
            f"The {kind} is {identifier!r}, of type {type(identifier).__name__}.",
            f"Expected the name of {'an' if kind[0] in 'aeiou' else 'a'} {kind}, or the {kind} itself, or a function.",
            f"a name, such as {next((name for name in _USUAL if name in table), next(iter(table), None))!r}",
        )
    )


def deserialize(config: Any, table: dict[str, Any], get: Callable[[Any], Any], custom_objects: Any = None) -> Any:
    """Return what a room's own `serialize` described.

    Old files name a built-in class without its module, sometimes in snake case: the room's table knows it.

    Args:
        config: A config, or anything else that the room's `get` takes.
        table: {name: class or function} of the room, aliases included.
        get: The room's `get`.
        custom_objects: {name: class or function} for what is not built in.
    """
    with CustomObjectScope(custom_objects or {}):
        if not isinstance(config, dict):
            return get(config)
        name = config.get("class_name")
        if config.get("module") or name not in table or get_registered_object(name) is not None:
            return deserialize_keras_object(config)
        return table[name].from_config(config.get("config") or {})
