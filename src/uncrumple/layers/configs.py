"""Layers as plain data: what their constructors were given, and layers made of that again."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import explain
from uncrumple.layers import symbolic
from uncrumple.layers.signatures import parameters_of


def with_given_arguments(layer: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with what the constructor of a layer was given, and without what it does not take."""
    parameters = parameters_of(type(layer).__init__)
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    args, kwargs = layer._given
    if any(p.kind is p.VAR_POSITIONAL for p in parameters) and args:
        raise NotImplementedError(
            explain(
                f"{layer._label} takes any number of arguments (*args), so its config cannot be made for it.",
                "Expected named arguments, or a get_config() of its own.",
                f"def __init__(self, sizes, **kwargs) in {type(layer).__name__}, and a list for sizes",
            )
        )
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        config = {name: value for name, value in config.items() if name in names}
    given = {**dict(zip(names, args)), **kwargs}
    return {
        **config,
        **{name: value for name, value in given.items() if name not in ("name", "trainable", "dtype")},
    }


def made_from(cls: Any, config: dict[str, Any], custom_objects: dict[str, Any] | None) -> Any:
    """Return a layer of a class with the settings in a config; `custom_objects` are names that this may hold."""
    with registry.custom_object_scope(custom_objects or {}):
        config = {
            key: registry.deserialize_keras_object(value) if isinstance(value, (dict, list)) else value
            for key, value in config.items()
        }
    try:
        return cls(**config)
    except TypeError as error:
        if symbolic.is_explained(error):
            raise
        raise TypeError(
            explain(
                f"{cls.__name__} could not be made from its config: {error}.",
                f"Expected its arguments, got {sorted(config)}.",
                f"let {cls.__name__}.get_config() return the arguments of its __init__",
            )
        ) from None


def as_plain_data(get_config: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a built-in layer's `get_config`, so that what it holds is written out and shared with nobody.

    What cannot be written (a lambda, a torch module) stays as it is; saving says so.
    """

    @functools.wraps(get_config)
    def wrapped(self: Any) -> dict[str, Any]:
        config = get_config(self)
        for name, value in config.items():
            with contextlib.suppress(TypeError, ValueError):
                config[name] = registry.serialize_keras_object(value)
        return config

    return wrapped
