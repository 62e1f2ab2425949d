"""From layers to configs, and back."""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer


def serialize(layer: Any) -> Any:
    """Return a layer as plain data that JSON can hold: its class, and its settings.

    Weights are not among them.

    Args:
        layer: A layer.

    Example:
        >>> from uncrumple.layers.dense import Dense
        >>> serialize(Dense(3, name="last"))["config"]["units"]
        3
    """
    return registry.serialize_keras_object(layer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return a new layer with the settings that `serialize` wrote.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class or function} for names that are not registered.

    Raises:
        ValueError: The config describes something else than a layer.
        TypeError: It names a class that is not known.

    Example:
        >>> from uncrumple.layers.dense import Dense
        >>> deserialize(serialize(Dense(3))).units
        3
    """
    layer = registry.deserialize_keras_object(config, custom_objects=custom_objects)
    if not isinstance(layer, Layer):
        raise ValueError(
            explain(
                f"layers.deserialize got a config of {type(layer).__name__}.",
                "Expected the config of a layer, as layers.serialize returns it.",
                "uncrumple.saving.deserialize_keras_object(config) reads any object",
            )
        )
    return layer
