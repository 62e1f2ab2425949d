"""Activations as layers, for those with settings of their own and for use without weights."""

from __future__ import annotations

import numbers
from typing import Any

import torch

from uncrumple import activations, constraints, initializers, regularizers
from uncrumple.core.errors import explain, warn
from uncrumple.layers.base import Layer
from uncrumple.layers.input_spec import InputSpec


def _not_negative(owner: str, argument: str, value: Any, example: float) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or value < 0:
        raise ValueError(
            explain(
                f"{owner} got {argument}={value!r}.",
                "Expected a number of at least 0.",
                f"{owner}({argument}={example})",
            )
        )
    return float(value)


class Activation(Layer):
    """Applies an activation to every number.

    output = activation(inputs), number by number (or along the last axis, for softmax).

    Args:
        activation: Name or function.

    Shapes: the output has the shape of the input.

    Example:
        >>> Activation("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(Layer):
    """Rectifies: `max(x, 0)`, with optional slope below, limit above and threshold.

    Args:
        max_value: Largest value to let through; None means no limit.
        negative_slope: Slope below the threshold.
        threshold: Values below it are replaced by `negative_slope * (x - threshold)`.

    Shapes: the output has the shape of the input.

    Example:
        >>> ReLU(max_value=6)(torch.tensor([-1.0, 2.0, 9.0]))
        tensor([0., 2., 6.])
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _not_negative("ReLU", "max_value", max_value, 6.0)
        self.negative_slope = _not_negative("ReLU", "negative_slope", negative_slope, 0.1)
        self.threshold = _not_negative("ReLU", "threshold", threshold, 0.0)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(Layer):
    """Lets a small slope through below zero: `x` if x > 0, else `negative_slope * x`.

    Source: Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Args:
        negative_slope: Slope below zero.

    Shapes: the output has the shape of the input.

    Example:
        >>> LeakyReLU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.3000,  2.0000])
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            warn(
                f"LeakyReLU got alpha={negative_slope!r}, the argument's old name.",
                "Expected negative_slope.",
                f"LeakyReLU(negative_slope={negative_slope!r})",
            )
        super().__init__(**kwargs)
        self.negative_slope = _not_negative("LeakyReLU", "negative_slope", negative_slope, 0.3)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


# Older programs and files say `alpha`.
LeakyReLU._known_arguments = (LeakyReLU._known_arguments or frozenset()) | {"alpha"}


class ELU(Layer):
    """Bends smoothly towards `-alpha` below zero: `x` if x > 0, else `alpha * (exp(x) - 1)`.

    Source: Clevert et al., 2016, arXiv:1511.07289.

    Args:
        alpha: Limit far below zero, with its sign turned.

    Shapes: the output has the shape of the input.

    Example:
        >>> ELU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = _not_negative("ELU", "alpha", alpha, 1.0)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class PReLU(Layer):
    """Learns the slope below zero: `x` if x > 0, else `alpha * x`, one `alpha` per feature.

    Source: He et al., 2015, arXiv:1502.01852.

    Args:
        alpha_initializer: First values; zeros.
        alpha_regularizer: Penalty added to the loss.
        alpha_constraint: Applied after every update.
        shared_axes: Axes along which one `alpha` serves all, counted from 1
            (0 is the batch): `[1, 2]` for images, to have one per channel.

    Shapes: the output has the shape of the input.
    Weights: alpha, of the shape of one sample with 1 on shared axes.

    Example:
        >>> PReLU(shared_axes=[1, 2])(torch.ones(4, 28, 28, 8)).shape
        torch.Size([4, 28, 28, 8])
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if shared_axes is not None:
            shared_axes = list(shared_axes) if isinstance(shared_axes, (list, tuple)) else [shared_axes]
            if any(isinstance(axis, bool) or not isinstance(axis, int) or axis < 1 for axis in shared_axes):
                raise ValueError(
                    explain(
                        f"PReLU got shared_axes={shared_axes}.",
                        "Expected axes from 1 on; 0 is the batch.",
                        "PReLU(shared_axes=[1, 2])",
                    )
                )
        self.shared_axes = shared_axes
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        shared = self.shared_axes or []
        if any(axis >= len(input_shape) for axis in shared):
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {input_shape} and shared_axes={shared}.",
                    f"Expected axes from 1 to {len(input_shape) - 1}.",
                    f"PReLU(shared_axes={list(range(1, max(len(input_shape) - 1, 2)))})",
                )
            )
        shape = [1 if axis in shared else size for axis, size in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(
            name="alpha",
            shape=shape,
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        fixed = {axis: size for axis, size in enumerate(input_shape) if axis > 0 and axis not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=fixed)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.where(inputs > 0, inputs, self.alpha * inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": self.alpha_initializer,
            "alpha_regularizer": self.alpha_regularizer,
            "alpha_constraint": self.alpha_constraint,
            "shared_axes": self.shared_axes,
        }


class Softmax(Layer):
    """Turns scores into probabilities: `exp(x) / sum(exp(x))` along an axis.

    Args:
        axis: The axis, or a list of axes, along which the results sum to 1.

    Call arguments: `mask` (true where a score counts, broadcast against the
    input): what does not count gets probability 0.

    Shapes: the output has the shape of the input.

    Example:
        >>> Softmax()(torch.tensor([[0.0, 0.0, 0.0, 0.0]]))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        if not axes or any(isinstance(one, bool) or not isinstance(one, int) for one in axes):
            raise ValueError(
                explain(f"Softmax got axis={axis!r}.", "Expected a whole number, or several.", "Softmax(axis=-1)")
            )
        self.axis = axis
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if mask is not None:
            mask = mask if mask.dtype is torch.bool else mask > 0.5
            self._check_mask(inputs, mask)
            inputs = torch.where(mask, inputs, -3e4 if inputs.dtype is torch.float16 else -1e9)
        if isinstance(self.axis, (list, tuple)):
            outputs = torch.exp(inputs - torch.logsumexp(inputs, tuple(self.axis), keepdim=True))
        else:
            outputs = torch.softmax(inputs, self.axis)
        # Where a whole row is masked, every score is the same and softmax would give equal shares.
        return outputs if mask is None else torch.where(mask, outputs, 0.0)

    def _check_mask(self, inputs: torch.Tensor, mask: torch.Tensor) -> None:
        pairs = zip(reversed(mask.shape), reversed(inputs.shape))
        if mask.dim() > inputs.dim() or any(one not in (1, size) for one, size in pairs):
            raise ValueError(
                explain(
                    f"{self._label} got a mask of shape {tuple(mask.shape)} for an input of shape {tuple(inputs.shape)}.",
                    "Expected a mask that broadcasts against the input.",
                    "mask[:, None, :] to add an axis of 1",
                )
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
