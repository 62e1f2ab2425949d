"""Quantizers: numbers of few bits in place of floats, each with the scale that leads back."""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings, unknown_name
from uncrumple.quantizers.absolute_max import abs_max_quantize, abs_max_quantize_grouped_with_zero_point
from uncrumple.quantizers.configs import (
    OTHER_MODES,  # noqa: F401 - for layers and models that quantize themselves
    Int8QuantizationConfig,
    QuantizationConfig,
    resolved,  # noqa: F401
)
from uncrumple.quantizers.fake import fake_quant_with_min_max_vars
from uncrumple.quantizers.float8 import compute_float8_amax_history, compute_float8_scale, quantize_and_dequantize
from uncrumple.quantizers.int4 import pack_int4, unpack_int4
from uncrumple.quantizers.quantizer import AbsMaxQuantizer, Quantizer

_CLASSES = [Quantizer, AbsMaxQuantizer, QuantizationConfig, Int8QuantizationConfig]
registry.add_builtins("quantizers", _CLASSES)


def serialize(initializer: Any) -> Any:
    """Return a quantizer, or a config of one, as plain data that JSON can hold.

    Args:
        initializer: The quantizer; the name of the argument is Keras's.

    Example:
        >>> serialize(AbsMaxQuantizer())["class_name"]
        'AbsMaxQuantizer'
    """
    return registry.serialize_keras_object(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return what `serialize` wrote.

    Args:
        config: Plain data.
        custom_objects: {name: class} for names that are not registered.

    Example:
        >>> deserialize(serialize(AbsMaxQuantizer(axis=0))).axis
        (0,)
    """
    return registry.deserialize_keras_object(config, custom_objects=custom_objects)


def get(identifier: Any, **kwargs: Any) -> Any:
    """Return a quantizer for a name, a class, a config or a quantizer; None stays None.

    Args:
        identifier: `"abs_max_quantizer"`, `"AbsMaxQuantizer"`, ...
        kwargs: Settings, for a name or a class.

    Raises:
        ValueError: The name is unknown.

    Example:
        >>> get("abs_max_quantizer", axis=0).axis
        (0,)
    """
    if isinstance(identifier, str):
        known = {cls.__name__: cls for cls in _CLASSES}
        known |= {_snake(name): cls for name, cls in known.items()}
        if identifier not in known:
            raise ValueError(unknown_name("quantizer", identifier, known, or_object=True))
        return known[identifier](**kwargs)
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return identifier(**kwargs) if isinstance(identifier, type) else identifier


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


__all__ = [
    "AbsMaxQuantizer",
    "Int8QuantizationConfig",
    "QuantizationConfig",
    "Quantizer",
    "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point",
    "compute_float8_amax_history",
    "compute_float8_scale",
    "deserialize",
    "fake_quant_with_min_max_vars",
    "get",
    "pack_int4",
    "quantize_and_dequantize",
    "serialize",
    "unpack_int4",
]

answer_misspellings(__name__)
