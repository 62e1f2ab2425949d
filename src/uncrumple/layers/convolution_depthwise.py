"""Convolutions that look at each channel on its own: far fewer weights than `Conv2D`."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import constraints, initializers, regularizers
from uncrumple.kernels.convolution import convolve, convolve_depthwise
from uncrumple.layers.checks import whole_number
from uncrumple.layers.convolution import SpatialConvolution


class _Depthwise(SpatialConvolution):
    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set_kernel(kernel_size, strides, padding, dilation_rate, data_format)
        self.depth_multiplier = whole_number(type(self).__name__, "depth_multiplier", depth_multiplier, example=1)
        self._set_activation(activation)
        self.use_bias = bool(use_bias)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self._add_bias(channels * self.depth_multiplier)
        self.input_spec = self._spec(channels)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        kernel = self.kernel
        outputs = convolve_depthwise(
            self._ready(inputs, kernel),
            kernel,
            self.bias,
            strides=self.strides,
            dilation=self.dilation_rate,
            padding=self.padding,
            channels_last=self._channels_last,
            relu=self._rectifies,
        )
        return self.activation(outputs) if self._activates else outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": self.depthwise_initializer,
            "depthwise_regularizer": self.depthwise_regularizer,
            "depthwise_constraint": self.depthwise_constraint,
        }


class DepthwiseConv1D(_Depthwise):
    """Slides kernels along each channel of a sequence on its own; channels are not mixed.

    output[t, c * depth_multiplier + m] = sum over i of inputs[t * strides + i, c] * kernel[i, c,
    m].

    Args:
        kernel_size: Number of steps that a kernel sees.
        strides: Steps from one place of the kernel to the next.
        padding: `"valid"` or `"same"`.
        depth_multiplier: Number of kernels, and so of outputs, per channel.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the steps that a kernel sees.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        depthwise_initializer, bias_initializer: First values; Glorot uniform and zeros.
        depthwise_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        depthwise_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, new steps, channels * depth_multiplier).
    Weights: kernel (kernel_size, channels, depth_multiplier), bias (channels * depth_multiplier).

    Example:
        >>> DepthwiseConv1D(3, depth_multiplier=2)(torch.ones(4, 10, 8)).shape
        torch.Size([4, 8, 16])
    """

    rank = 1


class DepthwiseConv2D(_Depthwise):
    """Slides kernels over each channel of an image on its own; channels are not mixed.

    Source: Howard et al., "MobileNets", 2017, arXiv:1704.04861.

    Args:
        kernel_size: Height and width of a kernel in pixels; one number for both.
        strides: Pixels from one place of the kernel to the next.
        padding: `"valid"` or `"same"`.
        depth_multiplier: Number of kernels, and so of outputs, per channel.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the pixels that a kernel sees.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        depthwise_initializer, bias_initializer: First values; Glorot uniform and zeros.
        depthwise_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        depthwise_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, new height, new width, channels * depth_multiplier).
    Weights: kernel (height, width, channels, depth_multiplier), bias (channels * depth_multiplier).

    Example:
        >>> DepthwiseConv2D(3, padding="same")(torch.ones(4, 8, 8, 16)).shape
        torch.Size([4, 8, 8, 16])
    """

    rank = 2


class _Separable(SpatialConvolution):
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner = type(self).__name__
        self.filters = whole_number(owner, "filters", filters)
        self._set_kernel(kernel_size, strides, padding, dilation_rate, data_format)
        self.depth_multiplier = whole_number(owner, "depth_multiplier", depth_multiplier, example=1)
        self._set_activation(activation)
        self.use_bias = bool(use_bias)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.depthwise_kernel = self.add_weight(
            name="depthwise_kernel",
            shape=(*self.kernel_size, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel",
            shape=(*(1,) * self.rank, channels * self.depth_multiplier, self.filters),
            initializer=self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
        )
        self._add_bias(self.filters)
        self.input_spec = self._spec(channels)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        kernel = self.depthwise_kernel
        each = convolve_depthwise(
            self._ready(inputs, kernel),
            kernel,
            strides=self.strides,
            dilation=self.dilation_rate,
            padding=self.padding,
            channels_last=self._channels_last,
        )
        ones = (1,) * self.rank
        outputs = convolve(
            each,
            self.pointwise_kernel,
            self.bias,
            strides=ones,
            dilation=ones,
            channels_last=self._channels_last,
            relu=self._rectifies,
        )
        return self.activation(outputs) if self._activates else outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": self.depthwise_initializer,
            "pointwise_initializer": self.pointwise_initializer,
            "depthwise_regularizer": self.depthwise_regularizer,
            "pointwise_regularizer": self.pointwise_regularizer,
            "depthwise_constraint": self.depthwise_constraint,
            "pointwise_constraint": self.pointwise_constraint,
        }


class SeparableConv1D(_Separable):
    """Slides kernels along each channel of a sequence on its own, then mixes the channels step by step.

    output = pointwise(depthwise(inputs)): a `DepthwiseConv1D`, then a `Conv1D` of kernel size 1,
    then bias and activation.

    Source: Chollet, "Xception", 2017, arXiv:1610.02357.

    Args:
        filters: Number of output channels.
        kernel_size: Number of steps that a kernel sees.
        strides: Steps from one place of the kernel to the next.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the steps that a kernel sees.
        depth_multiplier: Number of kernels per channel before mixing.
        activation: Name or function applied to the result; None for none.
        use_bias: Whether to add `bias`.
        depthwise_initializer, pointwise_initializer, bias_initializer: First values; Glorot uniform and zeros.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer: Penalties.
        depthwise_constraint, pointwise_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, new steps, filters).
    Weights: depthwise_kernel (kernel_size, channels, depth_multiplier),
    pointwise_kernel (1, channels * depth_multiplier, filters), bias (filters).

    Example:
        >>> SeparableConv1D(16, 3)(torch.ones(4, 10, 8)).shape
        torch.Size([4, 8, 16])
    """

    rank = 1


class SeparableConv2D(_Separable):
    """Slides kernels over each channel of an image on its own, then mixes the channels pixel by pixel.

    Source: Chollet, "Xception", 2017, arXiv:1610.02357.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of a kernel in pixels; one number for both.
        strides: Pixels from one place of the kernel to the next.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the pixels that a kernel sees.
        depth_multiplier: Number of kernels per channel before mixing.
        activation: Name or function applied to the result; None for none.
        use_bias: Whether to add `bias`.
        depthwise_initializer, pointwise_initializer, bias_initializer: First values; Glorot uniform and zeros.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer: Penalties.
        depthwise_constraint, pointwise_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, new height, new width, filters).
    Weights: depthwise_kernel (height, width, channels, depth_multiplier),
    pointwise_kernel (1, 1, channels * depth_multiplier, filters), bias (filters).

    Example:
        >>> SeparableConv2D(32, 3, padding="same")(torch.ones(4, 8, 8, 16)).shape
        torch.Size([4, 8, 8, 32])
    """

    rank = 2
