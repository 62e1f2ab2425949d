"""Convolutions: a small kernel slides over a line, an image or a volume and weighs what it sees."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations, constraints, initializers, regularizers
from uncrumple.core.errors import explain
from uncrumple.kernels.convolution import convolve
from uncrumple.layers.adaptable import Adaptable
from uncrumple.layers.checks import one_of, sizes, whole_number
from uncrumple.layers.spatial import Spatial


class SpatialConvolution(Spatial):
    """What all convolutions share: sizes, strides, padding, activation and bias."""

    def _set_kernel(
        self, kernel_size: Any, strides: Any, padding: Any, dilation_rate: Any, data_format: str | None
    ) -> None:
        owner = type(self).__name__
        self.kernel_size = sizes(owner, "kernel_size", kernel_size, self.rank)
        self.strides = sizes(owner, "strides", strides, self.rank)
        self.dilation_rate = sizes(owner, "dilation_rate", dilation_rate, self.rank)
        self.padding = padding_name(owner, padding, causal=owner == "Conv1D")
        self._set_axes(data_format)
        # The smallest input that leaves an output.
        self._needed = [(size - 1) * hole + 1 for size, hole in zip(self.kernel_size, self.dilation_rate)]

    def _set_activation(self, activation: Any) -> None:
        self.activation = activations.get(activation)
        # Where nothing else needs the sum, the rectifier works in place.
        self._rectifies = self.activation is activations.relu
        self._activates = not self._rectifies and self.activation is not activations.linear

    def _add_bias(self, count: int) -> None:
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(count,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _ready(self, inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """Return the inputs in the kernel's type (images may come as bytes), large enough."""
        if self.padding == "valid":
            self._refuse_smaller(inputs, self._needed, f"a kernel of {self._kernel_in_words()} does not fit")
        return inputs if inputs.dtype is kernel.dtype else inputs.to(kernel.dtype)

    def _kernel_in_words(self) -> str:
        if max(self.dilation_rate) == 1:
            return str(self.kernel_size)
        return f"{self.kernel_size} with dilation {self.dilation_rate}"

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": self.bias_initializer,
            "bias_regularizer": self.bias_regularizer,
            "bias_constraint": self.bias_constraint,
        }


def padding_name(owner: str, value: Any, *, causal: bool = False) -> str:
    """Return a padding's name in lower case, or raise with did-you-mean."""
    known = ("valid", "same", "causal") if causal else ("valid", "same")
    return one_of(owner, "padding", value.lower() if isinstance(value, str) else value, known)


def refuse_strides_with_dilation(owner: str, strides: tuple[int, ...], dilation_rate: tuple[int, ...]) -> None:
    """Raise if both differ from 1, in the name of `owner`."""
    if max(strides) > 1 and max(dilation_rate) > 1:
        raise ValueError(
            explain(
                f"{owner} got strides={strides} and dilation_rate={dilation_rate}.",
                "Expected one of them to be 1.",
                f"{owner}(..., strides={strides}), without dilation_rate",
            )
        )


class _Convolution(Adaptable, SpatialConvolution):
    """One, two or three axes; the classes below say which."""

    _takes_int8 = False

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        groups: int = 1,
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
        lora_rank, lora_alpha = kwargs.pop("lora_rank", None), kwargs.pop("lora_alpha", None)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner = type(self).__name__
        self.filters = whole_number(owner, "filters", filters)
        self._set_kernel(kernel_size, strides, padding, dilation_rate, data_format)
        refuse_strides_with_dilation(owner, self.strides, self.dilation_rate)
        self.groups = whole_number(owner, "groups", groups, example=1)
        if self.filters % self.groups:
            raise ValueError(
                explain(
                    f"{owner} got filters={filters} and groups={groups}.",
                    "Expected filters to be a multiple of groups.",
                    f"{owner}({self.groups * (self.filters // self.groups + 1)}, ..., groups={groups})",
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
        self._set_adaptation(lora_rank, lora_alpha)

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {input_shape}: {channels} channels for {self.groups} groups.",
                    "Expected channels to be a multiple of groups.",
                    f"groups={next(g for g in range(self.groups, 0, -1) if channels % g == 0)}",
                )
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._add_bias(self.filters)
        self.input_spec = self._spec(channels)
        self._adapt()

    def convolution_op(self, inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """Return the convolution without bias and activation; a subclass may compute another one."""
        return self._convolve(inputs, kernel, None, relu=False)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        kernel, bias = self.kernel, self.bias
        inputs = self._ready(inputs, kernel)
        if type(self).convolution_op is not _Convolution.convolution_op:
            outputs = self.convolution_op(inputs, kernel)
            if bias is not None:
                outputs = outputs + (bias if self._channels_last else bias.reshape(-1, *(1,) * self.rank))
            return self.activation(outputs)
        outputs = self._convolve(inputs, kernel, bias, relu=self._rectifies)
        return self.activation(outputs) if self._activates else outputs

    def _convolve(
        self, inputs: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, relu: bool
    ) -> torch.Tensor:
        return convolve(
            inputs,
            kernel,
            bias,
            strides=self.strides,
            dilation=self.dilation_rate,
            padding=self.padding,
            groups=self.groups,
            channels_last=self._channels_last,
            relu=relu,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            "kernel_initializer": self.kernel_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "kernel_constraint": self.kernel_constraint,
            **self._adaptation_config(quantized=False),
        }


class Conv1D(_Convolution):
    """Slides kernels along a sequence: `output[t] = activation(sum over i of inputs[t + i] @ kernel[i] + bias)`.

    Source: Waibel et al., "Phoneme recognition using time-delay neural networks", 1989.

    Args:
        filters: Number of kernels, and so of output channels.
        kernel_size: Number of steps that a kernel sees.
        strides: Steps from one place of the kernel to the next.
        padding: `"valid"` (only places where the kernel fits), `"same"` (zeros
            at both ends, as many outputs as inputs for stride 1) or `"causal"`
            (zeros before the first step: no output sees a later step).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the steps that a kernel sees.
        groups: Channels are split into so many parts with kernels of their own.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, bias_initializer: First values; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, new steps, filters).
    Weights: kernel (kernel_size, channels / groups, filters), bias (filters).

    Raises:
        ValueError: A setting is impossible, or the sequence is shorter than the kernel.

    Example:
        >>> Conv1D(16, 3, padding="causal", activation="relu")(torch.ones(4, 100, 8)).shape
        torch.Size([4, 100, 16])
    """

    rank = 1


class Conv2D(_Convolution):
    """Slides kernels over an image: `output[y, x] = activation(sum over i, j of inputs[y + i, x + j] @ kernel[i, j] + bias)`.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    Args:
        filters: Number of kernels, and so of output channels.
        kernel_size: Height and width of a kernel in pixels; one number for both.
        strides: Pixels from one place of the kernel to the next.
        padding: `"valid"` (only places where the kernel fits) or `"same"`
            (zeros around the image; ceil(size / strides) outputs).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the pixels that a kernel sees.
        groups: Channels are split into so many parts with kernels of their own.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, bias_initializer: First values; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, new height, new width, filters).
    Weights: kernel (height, width, channels / groups, filters), bias (filters).

    Raises:
        ValueError: A setting is impossible, or the image is smaller than the kernel.

    Example:
        >>> Conv2D(32, 3, activation="relu")(torch.ones(4, 28, 28, 1)).shape
        torch.Size([4, 26, 26, 32])
    """

    rank = 2


class Conv3D(_Convolution):
    """Slides kernels over a volume or a film, as `Conv2D` does over an image.

    Source: Ji et al., "3D convolutional neural networks for human action recognition", 2013.

    Args:
        filters: Number of kernels, and so of output channels.
        kernel_size: Depth, height and width of a kernel; one number for all.
        strides: Cells from one place of the kernel to the next.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the cells that a kernel sees.
        groups: Channels are split into so many parts with kernels of their own.
        activation: Name or function applied to the sum; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, bias_initializer: First values; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: (samples, new depth, new height, new width, filters).
    Weights: kernel (depth, height, width, channels / groups, filters), bias (filters).

    Example:
        >>> Conv3D(8, 3, padding="same")(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 4, 6, 6, 8])
    """

    rank = 3


# Keras takes them out of **kwargs.
for _kind in (Conv1D, Conv2D, Conv3D):
    _kind._known_arguments = frozenset([*(_kind._known_arguments or ()), "lora_rank", "lora_alpha"])
