"""Transposed convolutions: they enlarge, by spreading each cell through a kernel."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import constraints, initializers, regularizers
from uncrumple.core.errors import explain
from uncrumple.kernels.convolution import convolve_transposed
from uncrumple.layers.checks import sizes, whole_number
from uncrumple.layers.convolution import SpatialConvolution, refuse_strides_with_dilation


class _TransposedConvolution(SpatialConvolution):
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        output_padding: int | tuple[int, ...] | None = None,
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner = type(self).__name__
        self.filters = whole_number(owner, "filters", filters)
        self._set_kernel(kernel_size, strides, padding, dilation_rate, data_format)
        refuse_strides_with_dilation(owner, self.strides, self.dilation_rate)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = sizes(owner, "output_padding", output_padding, self.rank, minimum=0)
            if any(extra >= stride for extra, stride in zip(self.output_padding, self.strides)):
                raise ValueError(
                    explain(
                        f"{owner} got output_padding={self.output_padding} and strides={self.strides}.",
                        "Expected output_padding to be smaller than strides on every axis.",
                        f"{owner}(..., output_padding={tuple(stride - 1 for stride in self.strides)})",
                    )
                )
        self._set_activation(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters, channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._add_bias(self.filters)
        self.input_spec = self._spec(channels)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        kernel = self.kernel
        outputs = convolve_transposed(
            inputs if inputs.dtype is kernel.dtype else inputs.to(kernel.dtype),
            kernel,
            self.bias,
            strides=self.strides,
            dilation=self.dilation_rate,
            padding=self.padding,
            output_padding=self.output_padding,
            channels_last=self._channels_last,
            relu=self._rectifies,
        )
        return self.activation(outputs) if self._activates else outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "output_padding": None if self.output_padding is None else list(self.output_padding),
            "kernel_initializer": self.kernel_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "kernel_constraint": self.kernel_constraint,
        }


class Conv1DTranspose(_TransposedConvolution):
    """Lengthens a sequence: each step is spread through a kernel, and what overlaps is added up.

    output[t] = bias + sum of inputs[s] @ kernel[i].T over all s and i with s * strides + i = t.

    Source: Zeiler et al., "Deconvolutional networks", 2010.

    Args:
        filters: Number of output channels.
        kernel_size: Number of steps that one input step is spread over.
        strides: Factor by which the sequence grows.
        padding: `"valid"` or `"same"` (steps * strides outputs).
        output_padding: Extra steps at the end, fewer than `strides`; None
            takes the number that `padding` asks for.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the steps of the kernel.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, bias_initializer: First values; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, new steps, filters).
    Weights: kernel (kernel_size, filters, channels), bias (filters).

    Example:
        >>> Conv1DTranspose(8, 3, strides=2, padding="same")(torch.ones(4, 10, 16)).shape
        torch.Size([4, 20, 8])
    """

    rank = 1


class Conv2DTranspose(_TransposedConvolution):
    """Enlarges an image: each pixel is spread through a kernel, and what overlaps is added up.

    Source: Zeiler et al., "Deconvolutional networks", 2010.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width that one pixel is spread over; one number for both.
        strides: Factor by which the image grows.
        padding: `"valid"` or `"same"` (size * strides outputs).
        output_padding: Extra pixels at the end of each axis, fewer than
            `strides`; None takes the number that `padding` asks for.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the pixels of the kernel.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, bias_initializer: First values; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, new height, new width, filters).
    Weights: kernel (height, width, filters, channels), bias (filters).

    Example:
        >>> Conv2DTranspose(8, 3, strides=2, padding="same")(torch.ones(4, 7, 7, 16)).shape
        torch.Size([4, 14, 14, 8])
    """

    rank = 2


class Conv3DTranspose(_TransposedConvolution):
    """Enlarges a volume, as `Conv2DTranspose` does an image.

    output[t] = bias + sum of inputs[s] @ kernel[i].T over all cells s and places i of the kernel
    with s * strides + i = t.

    Args:
        filters: Number of output channels.
        kernel_size: Depth, height and width that one cell is spread over; one number for all.
        strides: Factor by which the volume grows.
        padding: `"valid"` or `"same"` (size * strides outputs).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        output_padding: Extra cells at the end of each axis, fewer than `strides`.
        dilation_rate: Distance between the cells of the kernel.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, bias_initializer: First values; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: (samples, new depth, new height, new width, filters).
    Weights: kernel (depth, height, width, filters, channels), bias (filters).

    Example:
        >>> Conv3DTranspose(2, 2, strides=2)(torch.ones(1, 3, 4, 4, 5)).shape
        torch.Size([1, 6, 8, 8, 2])
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: int | tuple[int, ...] | None = None,
        dilation_rate: int | tuple[int, ...] = (1, 1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        # Keras has these two arguments the other way round in three dimensions.
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
