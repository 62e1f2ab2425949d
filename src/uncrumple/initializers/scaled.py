"""Initializers whose spread fits the size of the layer, so that signals neither fade nor explode in a deep network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.initializers.drawn import RandomInitializer

# The standard deviation of a standard normal that is cut at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978
_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(RandomInitializer):
    """Draw with a variance that fits the size of the layer: scale / n.

    n is the number of inputs (`"fan_in"`), of outputs (`"fan_out"`) or their
    mean (`"fan_avg"`), so that signals neither fade nor explode from layer to layer.

    Args:
        scale: Positive factor.
        mode: Which n.
        distribution: `"truncated_normal"` (cut at two standard deviations and
            widened to the wanted variance), `"untruncated_normal"` or `"uniform"`.
        seed: Whole number for values that repeat, or None.
        input_axes: Axes that count as inputs, where the kernel's layout is unusual.
        output_axes: Axes that count as outputs; give both or neither.

    Example:
        >>> values = VarianceScaling(scale=1.0, seed=0)((400, 100))
        >>> round(float(values.std()), 3)
        0.05
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        owner = type(self).__name__
        if not scale > 0:
            raise ValueError(explain(f"{owner} got scale={scale!r}.", "Expected scale > 0.", f"{owner}(scale=1.0)"))
        if mode not in _MODES:
            raise ValueError(unknown_name(f"{owner} mode", mode, _MODES))
        distribution = distribution.lower()
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if distribution not in _DISTRIBUTIONS:
            raise ValueError(unknown_name(f"{owner} distribution", distribution, _DISTRIBUTIONS))
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "truncated_normal":
            return self._truncated(shape, dtype, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV)
        if self.distribution == "untruncated_normal":
            return self._normal(shape, dtype, 0.0, math.sqrt(variance))
        limit = math.sqrt(3.0 * variance)
        return self._uniform(shape, dtype, -limit, limit)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _NamedScaling(VarianceScaling):
    """A `VarianceScaling` whose scale, mode and distribution are fixed by its name."""

    _settings: tuple[float, str, str]

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self._settings, seed=seed, input_axes=input_axes, output_axes=output_axes)

    def get_config(self) -> dict[str, Any]:
        return {**RandomInitializer.get_config(self), "input_axes": self.input_axes, "output_axes": self.output_axes}


class GlorotUniform(_NamedScaling):
    """Draw evenly within sqrt(6 / (fan_in + fan_out)): the usual start of a kernel.

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: Glorot and Bengio, 2010.

    Example:
        >>> bool(GlorotUniform(seed=0)((2, 4)).abs().max() <= 1.0)
        True
    """

    _settings = (1.0, "fan_avg", "uniform")


class GlorotNormal(_NamedScaling):
    """Draw from a truncated normal of variance 2 / (fan_in + fan_out).

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: Glorot and Bengio, 2010.

    Example:
        >>> GlorotNormal(seed=0)((2, 4)).shape
        torch.Size([2, 4])
    """

    _settings = (1.0, "fan_avg", "truncated_normal")


class LecunUniform(_NamedScaling):
    """Draw evenly within sqrt(3 / fan_in).

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: LeCun et al., Efficient BackProp, 1998.

    Example:
        >>> bool(LecunUniform(seed=0)((3, 4)).abs().max() <= 1.0)
        True
    """

    _settings = (1.0, "fan_in", "uniform")


class LecunNormal(_NamedScaling):
    """Draw from a truncated normal of variance 1 / fan_in; goes with `selu`.

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: LeCun et al., Efficient BackProp, 1998.

    Example:
        >>> LecunNormal(seed=0)((3, 4)).shape
        torch.Size([3, 4])
    """

    _settings = (1.0, "fan_in", "truncated_normal")


class HeUniform(_NamedScaling):
    """Draw evenly within sqrt(6 / fan_in); goes with `relu`.

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: He et al., 2015, arXiv:1502.01852.

    Example:
        >>> bool(HeUniform(seed=0)((6, 4)).abs().max() <= 1.0)
        True
    """

    _settings = (2.0, "fan_in", "uniform")


class HeNormal(_NamedScaling):
    """Draw from a truncated normal of variance 2 / fan_in; goes with `relu`.

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: He et al., 2015, arXiv:1502.01852.

    Example:
        >>> HeNormal(seed=0)((6, 4)).shape
        torch.Size([6, 4])
    """

    _settings = (2.0, "fan_in", "truncated_normal")


def compute_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return how many inputs and outputs a weight of this shape joins.

    Args:
        shape: (..., inputs, outputs); the leading axes are those of a convolution's window.
        input_axes: The axes to multiply for the inputs instead; give both or neither.
        output_axes: The axes to multiply for the outputs instead.

    Example:
        >>> compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    shape = tuple(shape)
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window
