"""`keras.utils.legacy` and `keras.legacy.saving`: objects as Keras 2 wrote them, {"class_name", "config"}."""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings, explain, unknown_name


def serialize_keras_object(instance: Any) -> Any:
    """Return an object as a dict with its class's name and its config, or a function as its name.

    Raises:
        ValueError: It has neither a config nor a name.

    Example:
        >>> from uncrumple.initializers import Zeros
        >>> serialize_keras_object(Zeros())
        {'class_name': 'Zeros', 'config': {}}
    """
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        name = registry.get_registered_name(type(instance))
        return {"class_name": name, "config": registry.serialize_dict(instance.get_config())}
    if hasattr(instance, "__name__"):
        return registry.get_registered_name(instance)
    raise ValueError(
        explain(
            f"{instance!r} ({type(instance).__name__}) cannot be written into a config.",
            "Expected a function, or an object with get_config().",
            "give its class a get_config() method that returns its arguments",
        )
    )


def deserialize_keras_object(
    identifier: Any,
    module_objects: dict[str, Any] | None = None,
    custom_objects: dict[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """Return the object that a name, or a dict with `class_name` and `config`, stands for.

    Args:
        identifier: What `serialize_keras_object` returned.
        module_objects: {name: class or function} to look the name up in.
        custom_objects: {name: class or function} that come before these.
        printable_module_name: What is looked for, for messages: `"layer"`.

    Raises:
        ValueError: The name is not known.

    Example:
        >>> from uncrumple.initializers import Zeros
        >>> deserialize_keras_object({"class_name": "Zeros", "config": {}}, {"Zeros": Zeros})
        Zeros()
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        if "class_name" not in identifier or "config" not in identifier:
            raise ValueError(
                explain(f"The {printable_module_name} is {identifier!r}.", "Expected class_name and config.", "both")
            )
        found = _found(identifier["class_name"], module_objects, custom_objects, printable_module_name)
        with registry.CustomObjectScope(custom_objects or {}):
            if hasattr(found, "from_config"):
                return found.from_config(identifier["config"])
            return found(**identifier["config"])
    if isinstance(identifier, str):
        found = _found(identifier, module_objects, custom_objects, printable_module_name)
        return found() if isinstance(found, type) else found
    if callable(identifier):
        return identifier
    raise ValueError(
        explain(
            f"The {printable_module_name} is {identifier!r}, of type {type(identifier).__name__}.",
            "Expected a name, a dict with class_name and config, or a function.",
            "pass what serialize_keras_object gave",
        )
    )


def _found(name: str, module_objects: Any, custom_objects: Any, kind: str) -> Any:
    found = registry.get_registered_object(name, custom_objects, module_objects)
    if found is None:
        raise ValueError(unknown_name(kind, name, {**(module_objects or {}), **(custom_objects or {})}))
    return found


__all__ = ["deserialize_keras_object", "serialize_keras_object"]

answer_misspellings(__name__)
