"""How a layer is quantized: which quantizer for its weights, which for its inputs, and what `quantize(...)` asks for."""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import explain, unknown_name
from uncrumple.quantizers.quantizer import AbsMaxQuantizer

# Keras's other modes.
OTHER_MODES = ("float8", "int4", "gptq", "awq")


class QuantizationConfig:
    """The base of what says how a layer is quantized; `Int8QuantizationConfig` is the one to use.

    Args:
        weight_quantizer: Applied to the weights, once; None for the layer's own.
        activation_quantizer: Applied to the inputs of every call; None leaves them floats.

    Example:
        >>> QuantizationConfig().weight_quantizer is None
        True
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None) -> None:
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer

    @property
    def mode(self) -> str:
        """The name of the way to quantize."""
        raise NotImplementedError(
            explain("QuantizationConfig names no mode.", "Expected one of its subclasses.", "Int8QuantizationConfig()")
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal config."""
        return {
            "weight_quantizer": registry.serialize_keras_object(self.weight_quantizer),
            "activation_quantizer": registry.serialize_keras_object(self.activation_quantizer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizationConfig:
        """Return a config with these settings; the inverse of `get_config`."""
        return cls(
            weight_quantizer=registry.deserialize_keras_object(config.get("weight_quantizer")),
            activation_quantizer=registry.deserialize_keras_object(config.get("activation_quantizer")),
        )

    @staticmethod
    def weight_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """Return the quantizer of a config for weights, or another one if it has none."""
        return default if config is None or config.weight_quantizer is None else config.weight_quantizer

    @staticmethod
    def activation_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """Return the quantizer of a config for inputs (None there is a choice), or another one without a config."""
        return default if config is None else config.activation_quantizer


class Int8QuantizationConfig(QuantizationConfig):
    """Weights and inputs as int8: `inputs @ kernel` becomes a product of whole numbers, scaled back.

    Args:
        weight_quantizer: Applied to the weights; by default the largest per output feature is 127.
        activation_quantizer: Applied to the inputs of every call; by default `AbsMaxQuantizer()`.
            None leaves the inputs floats.

    Raises:
        ValueError: `weight_quantizer` makes another type.

    Example:
        >>> Int8QuantizationConfig().mode
        'int8'
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = "default") -> None:
        if isinstance(activation_quantizer, str) and activation_quantizer == "default":
            activation_quantizer = AbsMaxQuantizer()
        super().__init__(weight_quantizer, activation_quantizer)
        if weight_quantizer is not None and weight_quantizer.output_dtype != "int8":
            raise ValueError(
                explain(
                    f"Int8QuantizationConfig got a weight_quantizer for {weight_quantizer.output_dtype}.",
                    "Expected output_dtype='int8'.",
                    "Int8QuantizationConfig(weight_quantizer=AbsMaxQuantizer(axis=0))",
                )
            )

    @property
    def mode(self) -> str:
        return "int8"


def resolved(mode: Any, config: Any) -> Int8QuantizationConfig:
    """Return the config that `quantize(mode, config)` asks for.

    Raises:
        ValueError: The mode is none of Keras's, or the two contradict each other.
        NotImplementedError: The mode is one that is not available.
    """
    if isinstance(config, str):
        mode, config = config, None
    if mode is not None and mode not in ("int8", *OTHER_MODES):
        raise ValueError(unknown_name("quantization mode", mode, ("int8",)))
    if mode in OTHER_MODES:
        raise NotImplementedError(
            explain(f"quantize got the mode '{mode}'.", "Expected 'int8': it is the only one here.", 'quantize("int8")')
        )
    if config is None:
        if mode is None:
            raise ValueError(explain("quantize got no mode.", "Expected 'int8'.", 'quantize("int8")'))
        return Int8QuantizationConfig()
    if not isinstance(config, Int8QuantizationConfig):
        raise ValueError(
            explain(
                f"quantize got config={config!r}.",
                "Expected an Int8QuantizationConfig.",
                "quantize(config=Int8QuantizationConfig())",
            )
        )
    return config
