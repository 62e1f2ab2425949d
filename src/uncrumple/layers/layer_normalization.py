"""Normalizations that look at each sample on its own: over features, groups of channels, or length."""

from __future__ import annotations

import numbers
from typing import Any

import torch
from torch.nn import functional

from uncrumple import constraints, initializers, regularizers
from uncrumple.core.errors import explain, warn
from uncrumple.kernels.dense_rows import Normalization
from uncrumple.kernels.layer_normalization import layer_normalize, takes_layer_normalization
from uncrumple.layers.base import Layer
from uncrumple.layers.batch_normalization import normalized_axis, one_axis, small_number
from uncrumple.layers.input_spec import InputSpec


def _axes(owner: str, axis: Any) -> int | list[int]:
    """Return an axis, or a list of different axes, or raise."""
    many = isinstance(axis, (list, tuple))
    parts = list(axis) if many else [axis]
    if not parts or any(isinstance(one, bool) or not isinstance(one, numbers.Integral) for one in parts):
        raise TypeError(
            explain(f"{owner} got axis={axis!r}.", "Expected a whole number, or a list of them.", f"{owner}(axis=-1)")
        )
    return [int(one) for one in parts] if many else int(axis)


def _as_list(axis: int | list[int]) -> list[int]:
    return axis if isinstance(axis, list) else [axis]


def _in_full(x: torch.Tensor, compute_in: torch.dtype) -> torch.Tensor:
    """Return `x` in at least float32: squares of half precision overflow."""
    kind = torch.float64 if torch.float64 in (x.dtype, compute_in) else torch.float32
    return x if x.dtype is kind else x.to(kind)


def _like(weight: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor | None:
    """Return a weight in the type of `x`: torch's functions want one for both."""
    return weight if weight is None or weight.dtype is x.dtype else weight.to(x.dtype)


def _placed(over: list[int], shape: Any) -> tuple[list[int], list[int], InputSpec]:
    """Return the axes, the shape that broadcasts weights along them, and what the layer accepts from now on.

    Axes that are the last ones are counted from the end: the layer then takes
    inputs with any number of axes before them.
    """
    rank = len(shape)
    sizes = [shape[axis] for axis in over]
    if over == list(range(rank - len(over), rank)):
        over = list(range(-len(over), 0))
        return over, sizes, InputSpec(min_ndim=len(over) + 1, axes=dict(zip(over, sizes)))
    broadcast = [size if axis in over else 1 for axis, size in enumerate(shape)]
    return over, broadcast, InputSpec(ndim=rank, axes=dict(zip(over, sizes)))


class LayerNormalization(Layer):
    """Normalizes each sample over its features: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Source: Ba et al., 2016, arXiv:1607.06450.

    Args:
        axis: The axis, or a list of axes, over which mean and variance are taken.
        epsilon: Added to the variance, against division by zero.
        center: Whether to add `beta`.
        scale: Whether to multiply with `gamma`.
        beta_initializer, gamma_initializer: First values; zeros and ones.
        beta_regularizer, gamma_regularizer: Penalties added to the loss.
        beta_constraint, gamma_constraint: Applied after every update.
        rms_scaling: Kept for old models: divides by the standard deviation
            without taking the mean off. `RMSNormalization` is the usual thing.
        name, dtype, trainable: As for every `Layer`.

    Shapes: the output has the shape of the input.
    Weights: gamma and beta, of the sizes of the axes.

    Example:
        >>> LayerNormalization()(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[-1.2238,  0.0000,  1.2238]], grad_fn=<NativeLayerNormBackward0>)
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if rms_scaling:
            warn(
                "LayerNormalization got rms_scaling=True, which divides by the standard deviation.",
                "Expected the root of the mean square, in most cases.",
                "RMSNormalization()",
            )
        self.axis = _axes("LayerNormalization", axis)
        self.epsilon = small_number("LayerNormalization", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.rms_scaling = bool(rms_scaling)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True
        self.autocast = False

    def build(self, input_shape: Any) -> None:
        over = sorted(normalized_axis(self, axis, input_shape) for axis in _as_list(self.axis))
        shape = tuple(input_shape[axis] for axis in over)
        self.gamma = self.beta = None
        if self.scale or self.rms_scaling:
            self.gamma = self.add_weight(
                name="gamma",
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center and not self.rms_scaling:
            self.beta = self.add_weight(
                name="beta",
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )
        self._sizes = shape
        self._over, self._broadcast, self.input_spec = _placed(over, input_shape)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        found = self.call_on_sum(inputs)
        if found is not None:
            return found
        x = _in_full(inputs, self._compute_in)
        gamma, beta = _like(self.gamma, x), _like(self.beta, x)
        if self._over[-1] == -1 and not self.rms_scaling:
            x = functional.layer_norm(x, self._sizes, gamma, beta, self.epsilon)
        else:
            variance, mean = torch.var_mean(x, self._over, correction=0, keepdim=True)
            x = (x if self.rms_scaling else x - mean) * torch.rsqrt(variance + self.epsilon)
            x = x if gamma is None else x * gamma.reshape(self._broadcast)
            x = x if beta is None else x + beta.reshape(self._broadcast)
        return x if x.dtype is self._compute_in else x.to(self._compute_in)

    def call_on_sum(self, inputs: torch.Tensor, shortcut: torch.Tensor | None = None) -> torch.Tensor | None:
        """Return what `call` gives for the sum of the two, by one kernel; None where it cannot be."""
        if self._over != [-1] or self.rms_scaling or inputs.dtype is not self._compute_in:
            return None
        gamma, beta = self.gamma, self.beta
        if inputs.shape[-1] != self._sizes[0] or not takes_layer_normalization(inputs, shortcut, gamma, beta):
            return None
        return layer_normalize(inputs, gamma, beta, self.epsilon, shortcut)

    def ending(self, features: int) -> Normalization | None:
        """Return what a kernel needs to normalize so many features at its end; None if this layer does something else."""
        plain = self._over == [-1] and not self.rms_scaling and features == self._sizes[0]
        return Normalization(self.gamma, self.beta, self.epsilon) if plain else None

    def explain_input(self, shape: Any) -> str:
        return f"build the model again with Input({tuple(shape[1:])})"

    def get_config(self) -> dict[str, Any]:
        names = ["axis", "epsilon", "center", "scale", "rms_scaling", "beta_initializer", "gamma_initializer"]
        names += ["beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class RMSNormalization(Layer):
    """Divides each sample by the root of its mean square: `scale * x / sqrt(mean(x**2) + epsilon)`.

    Source: Zhang and Sennrich, 2019, arXiv:1910.07467.

    Args:
        axis: The axis, or a list of axes, over which the mean is taken.
        epsilon: Added to the mean square, against division by zero.
        name, dtype, trainable: As for every `Layer`.

    Shapes: the output has the shape of the input.
    Weights: scale, of the sizes of the axes.

    Example:
        >>> RMSNormalization()(torch.tensor([[3.0, 4.0]])).detach()
        tensor([[0.8485, 1.1314]])
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _axes("RMSNormalization", axis)
        self.epsilon = small_number("RMSNormalization", epsilon)

    def build(self, input_shape: Any) -> None:
        over = sorted(normalized_axis(self, axis, input_shape) for axis in _as_list(self.axis))
        sizes = tuple(input_shape[axis] for axis in over)
        self.scale = self.add_weight(name="scale", shape=sizes, initializer="ones")
        self._over, self._broadcast, self.input_spec = _placed(over, input_shape)

    def call(self, x: torch.Tensor) -> torch.Tensor:
        x = _in_full(x, self._compute_in)
        x = x * torch.rsqrt(x.square().mean(self._over, keepdim=True) + self.epsilon)
        x = x * self.scale.to(x.dtype).reshape(self._broadcast)
        return x if x.dtype is self._compute_in else x.to(self._compute_in)

    def explain_input(self, shape: Any) -> str:
        return f"build the model again with Input({tuple(shape[1:])})"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


def _group_count(groups: Any) -> int:
    if isinstance(groups, bool) or not isinstance(groups, numbers.Integral) or (groups < 1 and groups != -1):
        raise ValueError(
            explain(
                f"GroupNormalization got groups={groups!r}.",
                "Expected a whole number of at least 1, or -1 for one group per channel.",
                "GroupNormalization(groups=8)",
            )
        )
    return int(groups)


class GroupNormalization(Layer):
    """Normalizes each sample within groups of channels: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Mean and variance are taken over the channels of a group and all axes but
    the batch. One group is like layer normalization; as many groups as
    channels is instance normalization.

    Source: Wu and He, 2018, arXiv:1803.08494.

    Args:
        groups: Number of groups, which divides the channels; -1 for one per channel.
        axis: The axis of the channels.
        epsilon: Added to the variance, against division by zero.
        center: Whether to add `beta`.
        scale: Whether to multiply with `gamma`.
        beta_initializer, gamma_initializer: First values; zeros and ones.
        beta_regularizer, gamma_regularizer: Penalties added to the loss.
        beta_constraint, gamma_constraint: Applied after every update.
        name, dtype, trainable: As for every `Layer`.

    Shapes: the output has the shape of the input.
    Weights: gamma and beta, each (channels).

    Example:
        >>> GroupNormalization(groups=4)(torch.ones(2, 7, 7, 32)).shape
        torch.Size([2, 7, 7, 32])
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups = _group_count(groups)
        self.axis = one_axis("GroupNormalization", axis)
        self.epsilon = small_number("GroupNormalization", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True
        self.autocast = False

    def build(self, input_shape: Any) -> None:
        self._channel_axis = normalized_axis(self, self.axis, input_shape)
        channels = input_shape[self._channel_axis]
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            fitting = next(groups for groups in range(min(self.groups, channels), 0, -1) if channels % groups == 0)
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {input_shape}: {channels} channels for {self.groups} groups.",
                    "Expected channels to be a multiple of groups.",
                    f"GroupNormalization(groups={fitting})",
                )
            )
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                name="gamma",
                shape=(channels,),
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                name="beta",
                shape=(channels,),
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        x = _in_full(inputs, self._compute_in)
        elsewhere = self._channel_axis != 1
        # Torch's gradient reads memory that is not there if channels come last and the input needs no gradient.
        x = x.movedim(self._channel_axis, 1).contiguous() if elsewhere else x
        gamma, beta = _like(self.gamma, x), _like(self.beta, x)
        if gamma is None and beta is not None:
            # Torch's gradient fails for a bias without a weight.
            x = functional.group_norm(x, self.groups, None, None, self.epsilon)
            x = x + beta.view(-1, *(1,) * (x.dim() - 2))
        else:
            x = functional.group_norm(x, self.groups, gamma, beta, self.epsilon)
        x = x.movedim(1, self._channel_axis) if elsewhere else x
        return x if x.dtype is self._compute_in else x.to(self._compute_in)

    def explain_input(self, shape: Any) -> str:
        return f"build the model again with Input({tuple(shape[1:])})"

    def get_config(self) -> dict[str, Any]:
        names = ["groups", "axis", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer"]
        names += ["beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class UnitNormalization(Layer):
    """Scales each sample to length 1: `x / sqrt(sum(x**2))`.

    Args:
        axis: The axis, or a list of axes, over which the length is taken.

    Shapes: the output has the shape of the input.

    Example:
        >>> UnitNormalization()(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _axes("UnitNormalization", axis)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        x = _in_full(inputs, self._compute_in)
        square = x.square().sum(_as_list(self.axis), keepdim=True)
        # A row of zeros stays one: a length below 1e-12 counts as 1e-12.
        x = x * torch.rsqrt(square.clamp(min=1e-24))
        return x.to(inputs.dtype if inputs.is_floating_point() else self._compute_in)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
