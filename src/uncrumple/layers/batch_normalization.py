"""Batch normalization: each channel gets mean 0 and variance 1, measured over the batch in training."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import torch

from uncrumple import constraints, initializers, regularizers
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.settings import epsilon
from uncrumple.kernels.normalization import After, Averages, batch_normalize, normalize, takes_normalization
from uncrumple.layers import symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import share
from uncrumple.layers.input_spec import InputSpec
from uncrumple.layers.shapes import shape_of


class BatchNormalization(Layer):
    """Normalizes each channel, then scales and shifts it: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    In training, mean and variance are those of the batch, and moving averages
    of them are kept: `moving = momentum * moving + (1 - momentum) * batch`.
    Outside training, and when `trainable=False`, the moving averages are used.

    Source: Ioffe and Szegedy, 2015, arXiv:1502.03167. Renormalization: Ioffe,
    2017, arXiv:1702.03275.

    Args:
        axis: The axis of the channels; statistics are taken over all others.
        momentum: How much of the moving averages stays at each step.
        epsilon: Added to the variance, against division by zero.
        center: Whether to add `beta`.
        scale: Whether to multiply with `gamma`.
        beta_initializer, gamma_initializer: First values; zeros and ones.
        moving_mean_initializer, moving_variance_initializer: First values; zeros and ones.
        beta_regularizer, gamma_regularizer: Penalties added to the loss.
        beta_constraint, gamma_constraint: Applied after every update.
        renorm: Whether to correct the batch's statistics in training towards
            averages of them, for small batches.
        renorm_clipping: Limits of that correction, {"rmin", "rmax", "dmax"}.
        renorm_momentum: Momentum of the averages that renormalization uses.
        synchronized: Must be False: several devices are joined elsewhere.
        name, dtype, trainable: As for every `Layer`.

    Call arguments: `training`; `mask` (samples, ...): what is masked does not
    count in the statistics.

    Shapes: the output has the shape of the input.
    Weights: gamma, beta, moving_mean, moving_variance, each (channels).

    Example:
        >>> BatchNormalization()(torch.ones(4, 7, 7, 32)).shape
        torch.Size([4, 7, 7, 32])
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if synchronized:
            raise ValueError(
                explain(
                    "BatchNormalization got synchronized=True.",
                    "Expected False: each device normalizes by its own batch.",
                    "remove synchronized=True",
                )
            )
        self.axis = one_axis("BatchNormalization", axis)
        self.momentum = share("BatchNormalization", "momentum", momentum, example=0.99)
        self.epsilon = small_number("BatchNormalization", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.synchronized = False
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.renorm = bool(renorm)
        self.renorm_momentum = share("BatchNormalization", "renorm_momentum", renorm_momentum, example=0.99)
        self._clipping = _clipping(renorm_clipping)
        self.renorm_clipping = None if renorm_clipping is None else self._clipping
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        axis = normalized_axis(self, self.axis, input_shape)
        channels = input_shape[axis]
        for name, wanted, kind in (("gamma", self.scale, "gamma"), ("beta", self.center, "beta")):
            weight = None
            if wanted:
                weight = self.add_weight(
                    name=name,
                    shape=(channels,),
                    initializer=getattr(self, f"{kind}_initializer"),
                    regularizer=getattr(self, f"{kind}_regularizer"),
                    constraint=getattr(self, f"{kind}_constraint"),
                    autocast=False,
                )
            setattr(self, name, weight)
        self.moving_mean = self._statistic("moving_mean", self.moving_mean_initializer, channels)
        self.moving_variance = self._statistic("moving_variance", self.moving_variance_initializer, channels)
        if self.renorm:
            self.moving_stddev = self._statistic("moving_stddev", self.moving_variance_initializer, channels)
            self.renorm_mean = self._statistic("renorm_mean", self.moving_mean_initializer, channels)
            self.renorm_stddev = self._statistic("renorm_stddev", self.moving_variance_initializer, channels)
            with torch.no_grad():
                self._average("moving_stddev").sqrt_()
                self._average("renorm_stddev").sqrt_()
        self._channel_axis = axis
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def _statistic(self, name: str, initializer: Any, channels: int) -> Any:
        return self.add_weight(name=name, shape=(channels,), initializer=initializer, trainable=False, autocast=False)

    def call(self, inputs: torch.Tensor, training: bool = False, mask: torch.Tensor | None = None) -> torch.Tensor:
        if mask is None:
            found = self.call_and_go_on(inputs, training)
            if found is not None:
                return found
        # Half precision overflows in squares; statistics are kept in the weights' type anyway.
        x = inputs if inputs.dtype in (torch.float32, torch.float64) else inputs.to(torch.float32)
        shape = x.shape
        last = self._channel_axis == len(shape) - 1
        if last:
            x = x.reshape(-1, shape[-1])
        elif self._channel_axis != 1:
            x = x.movedim(self._channel_axis, 1)
        if training and self._trainable:
            x = self._normalized_by_batch(x, mask, last, shape)
        else:
            # Detached: the averages are weights like others to torch.func, but nothing learns them.
            held = (self.gamma, self.beta, self.moving_mean.detach(), self.moving_variance.detach())
            gamma, beta, mean, variance = (one if one is None else one.to(x.dtype).contiguous() for one in held)
            on_gpu = torch.backends.cudnn.enabled
            x = torch.batch_norm(x, gamma, beta, mean, variance, False, 0.0, self.epsilon, on_gpu)
        if last:
            x = x.view(shape)
        elif self._channel_axis != 1:
            x = x.movedim(1, self._channel_axis)
        return x if x.dtype is self._compute_in else x.to(self._compute_in)

    def call_and_go_on(
        self,
        inputs: torch.Tensor,
        training: bool,
        shortcut: torch.Tensor | None = None,
        after: Callable[[], After] = After,
    ) -> torch.Tensor | None:
        """Return what `call` gives with a shortcut added and what follows, by one kernel; None where it cannot be.

        `after` is asked only if it can.
        """
        if self.renorm or symbolic.state.active or self._channel_axis != inputs.dim() - 1:
            return None
        if inputs.dtype is not self._compute_in:
            return None
        gamma, beta = self.gamma, self.beta
        # (`.data`: autograd keeps hold of what it is given, and must not take the update for a mistake.)
        mean, variance = self._average("moving_mean").data, self._average("moving_variance").data
        averages = Averages(mean, variance, self.momentum)
        if not takes_normalization(inputs, gamma, beta, averages, shortcut):
            return None
        if training and self._trainable:
            return batch_normalize(inputs, gamma, beta, averages, self.epsilon, shortcut, after())
        if torch.is_grad_enabled() and any(
            one is not None and one.requires_grad for one in (inputs, gamma, beta, shortcut)
        ):
            return None
        return normalize(inputs, gamma, beta, averages, self.epsilon, shortcut, after())

    def _normalized_by_batch(self, x: torch.Tensor, mask: Any, last: bool, shape: Any) -> torch.Tensor:
        """Return `x`, with channels on axis 1, normalized by its own statistics, and move the averages."""
        gamma, beta = _side_by_side(self.gamma), self.beta
        count = x.numel() // x.shape[1] if x.shape[1] else 0
        if mask is None and not self.renorm and count > 1 and self._are_torchs(x.dtype):
            if symbolic.state.active:
                return torch.batch_norm(x, gamma, beta, None, None, True, 0.0, self.epsilon, False)
            # Torch averages the variance with count - 1; Keras with count. What
            # was added too much is taken out again. (`.data`: autograd keeps
            # hold of what it is given, and must not take the update for a mistake.)
            mean, variance = self._average("moving_mean").data, self._average("moving_variance").data
            kept = variance * (self.momentum / count)
            out = torch.batch_norm(
                *(x, gamma, beta, mean, variance),
                *(True, 1 - self.momentum, self.epsilon, torch.backends.cudnn.enabled),
            )
            self._average("moving_variance").data.mul_((count - 1) / count).add_(kept)
            return out
        mean, variance = self._moments(x, mask, last, shape)
        if self.renorm:
            gamma, beta = self._renormalized(mean, variance, gamma, beta)
        elif not symbolic.state.active:
            self._move("moving_mean", mean, self.momentum)
            self._move("moving_variance", variance, self.momentum)
        factor = torch.rsqrt(variance + self.epsilon)
        factor = factor if gamma is None else factor * gamma
        offset = -mean * factor if beta is None else beta - mean * factor
        over = (1, -1, *(1,) * (x.dim() - 2))
        return x * factor.view(over) + offset.view(over)

    def _are_torchs(self, kind: torch.dtype) -> bool:
        """Return whether torch's function can move the averages: they are of this type, their numbers side by side."""
        mean, variance = self._average("moving_mean"), self._average("moving_variance")
        return self.moving_mean.dtype is kind and mean.is_contiguous() and variance.is_contiguous()

    def _moments(self, x: torch.Tensor, mask: Any, last: bool, shape: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and variance of each channel over what is not masked."""
        axes = [axis for axis in range(x.dim()) if axis != 1]
        if mask is None:
            variance, mean = torch.var_mean(x, axes, correction=0)
            return mean, variance
        if mask.dim() != len(shape) - 1:
            raise ValueError(
                explain(
                    f"{self._label} got a mask of shape {shape_of(mask)} for an input of shape {tuple(shape)}.",
                    "Expected the mask to have one axis less.",
                    f"a mask of shape {tuple(shape[:-1])}",
                )
            )
        full = mask.to(torch.bool).unsqueeze(-1).expand(shape)
        full = full.reshape(x.shape) if last else full.movedim(self._channel_axis, 1)
        weights = full.to(x.dtype)
        total = weights.sum(axes) + epsilon()
        over = (1, -1, *(1,) * (x.dim() - 2))
        mean = torch.where(full, x, 0).sum(axes) / total
        variance = torch.where(full, x - mean.view(over), 0).square().sum(axes) / total
        return mean, variance

    def _average(self, name: str) -> torch.Tensor:
        """Return the weight itself, whatever type the layer computes in."""
        return self._parameters[name]  # type: ignore[return-value]

    @torch.no_grad()
    def _move(self, name: str, batch: torch.Tensor, momentum: float) -> None:
        """Move one average towards the batch's value."""
        self._average(name).mul_(momentum).add_(batch.detach(), alpha=1 - momentum)

    def _renormalized(self, mean: Any, variance: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
        """Return gamma and beta that carry the correction towards the averages, and move those."""
        spread = torch.sqrt(variance + self.epsilon).detach()
        known = self.renorm_stddev.clamp(min=self.epsilon**0.5)
        r, d = spread / known, (mean.detach() - self.renorm_mean) / known
        limits = self._clipping
        if "rmin" in limits or "rmax" in limits:
            r = r.clamp(min=limits.get("rmin"), max=limits.get("rmax"))
        if "dmax" in limits:
            d = d.clamp(-limits["dmax"], limits["dmax"])
        if not symbolic.state.active:
            self._move("renorm_mean", mean, self.renorm_momentum)
            self._move("renorm_stddev", spread, self.renorm_momentum)
            self._move("moving_mean", mean, self.momentum)
            self._move("moving_stddev", spread, self.momentum)
            with torch.no_grad():
                moved = self.moving_stddev.square().sub(self.epsilon).clamp(min=0)
                self._average("moving_variance").copy_(moved)
        r, d = (r, d) if gamma is None else (r * gamma, d * gamma)
        return r, d if beta is None else d + beta

    def explain_input(self, shape: Any) -> str:
        if self.built and self.input_spec.ndim == len(shape):
            return f"build the model again with Input({tuple(shape[1:])})"
        return "use another BatchNormalization() for inputs with another number of axes"

    def get_config(self) -> dict[str, Any]:
        names = ["axis", "momentum", "epsilon", "center", "scale"]
        names += ["beta_initializer", "gamma_initializer", "moving_mean_initializer", "moving_variance_initializer"]
        names += ["beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint"]
        names += ["renorm", "renorm_clipping", "renorm_momentum", "synchronized"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _side_by_side(weight: torch.Tensor | None) -> torch.Tensor | None:
    """Return a weight whose numbers are neighbours in memory; otherwise torch gets the gradient of the inputs wrong."""
    return None if weight is None else weight.contiguous()


def _clipping(limits: Any) -> dict[str, float]:
    """Return the limits of renormalization that are set, or say which cannot be."""
    limits = {key: value for key, value in (limits or {}).items() if value is not None}
    for key in limits:
        if key not in ("rmin", "rmax", "dmax"):
            raise ValueError(
                "BatchNormalization: " + unknown_name("limit in renorm_clipping", key, ("rmin", "rmax", "dmax"))
            )
    if limits.get("rmin", 0) > limits.get("rmax", float("inf")) or limits.get("dmax", 0) < 0:
        raise ValueError(
            explain(
                f"BatchNormalization got renorm_clipping={limits}.",
                "Expected rmin <= rmax and dmax >= 0.",
                'renorm_clipping={"rmin": 1 / 3, "rmax": 3, "dmax": 5}',
            )
        )
    return limits


def one_axis(owner: str, axis: Any) -> int:
    """Return `axis` as an int, or raise."""
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    if isinstance(axis, bool) or not isinstance(axis, numbers.Integral):
        raise ValueError(explain(f"{owner} got axis={axis!r}.", "Expected a whole number.", f"{owner}(axis=-1)"))
    return int(axis)


def small_number(owner: str, value: Any) -> float:
    """Return `epsilon` as a float above or equal to 0, or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or value < 0:
        raise ValueError(
            explain(
                f"{owner} got epsilon={value!r}.", "Expected a small number of at least 0.", f"{owner}(epsilon=1e-3)"
            )
        )
    return float(value)


def normalized_axis(layer: Any, axis: int, shape: Any) -> int:
    """Return an axis counted from 0 whose size is known, or raise with the layer's name."""
    if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
        raise ValueError(
            explain(
                f"{layer._label} got an input of shape {tuple(shape)} and has axis={axis}.",
                f"Expected an axis from 1 to {len(shape) - 1}, or -1.",
                f"{type(layer).__name__}(axis=-1)",
            )
        )
    if shape[axis] is None:
        raise ValueError(
            explain(
                f"{layer._label} got an input of shape {tuple(shape)}.",
                f"Expected a known size on axis {axis}: the weights depend on it.",
                "give Input a fixed size on that axis",
            )
        )
    return axis % len(shape)
