"""The fully connected layer."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations, constraints, initializers, regularizers
from uncrumple.kernels.dense import multiply_add
from uncrumple.layers.adaptable import Adaptable
from uncrumple.layers.checks import whole_number
from uncrumple.layers.input_spec import InputSpec


class Dense(Adaptable):
    """Weighs and sums all features: `output = activation(inputs @ kernel + bias)`.

    Source: Rosenblatt, "The perceptron", 1958.

    Args:
        units: Number of outputs per sample.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, bias_initializer: First values; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        lora_rank: Trains two thin weights of this rank beside a frozen kernel; see `enable_lora`.
        lora_alpha: How much the two weigh; by default `lora_rank`.
        quantization_config: How `quantize("int8")` goes about it; an `Int8QuantizationConfig`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, ..., features).
    Output shape: (samples, ..., units).

    Raises:
        ValueError: `units` is not a whole number above 0.

    Example:
        >>> Dense(10, activation="relu")(torch.ones(32, 784)).shape
        torch.Size([32, 10])
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = whole_number("Dense", "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._activates = self.activation is not activations.linear
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        features = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})
        self._adapt()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if not inputs.is_floating_point():
            inputs = inputs.to(self._compute_in)
        if self.activation is activations.relu:
            return multiply_add(inputs, self.kernel, self.bias, relu=True)
        outputs = multiply_add(inputs, self.kernel, self.bias)
        return self.activation(outputs) if self._activates else outputs

    def explain_input(self, shape: Any) -> str:
        if len(shape) < 2:
            return "add the batch axis: x[None, :] for one sample"
        if not self.built:
            return "give Input a fixed number of features"
        wanted = self.input_spec.axes[-1]
        inner = 1
        for size in shape[1:]:
            inner *= size or 1
        if len(shape) > 2 and inner == wanted:
            return "add Flatten() before it"
        return f"give it {wanted} features, or build the model again with Input(({shape[-1]},))"

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            **self._adaptation_config(),
        }
