"""Layers that disturb a network while it learns, so that it does not lean on single numbers."""

from __future__ import annotations

import math
import numbers
from typing import Any

import torch

from uncrumple import regularizers
from uncrumple.core.errors import explain
from uncrumple.core.seeds import generator
from uncrumple.kernels.dropout import dropout
from uncrumple.layers import checks
from uncrumple.layers.base import Layer
from uncrumple.layers.shapes import shape_of
from uncrumple.layers.spatial import Spatial


class _Random(Layer):
    """A layer that draws random numbers in training: from its own seed, or from torch's."""

    def _set_seed(self, seed: Any) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, numbers.Integral)):
            owner = type(self).__name__
            raise ValueError(
                explain(f"{owner} got seed={seed!r}.", "Expected a whole number, or None.", f"{owner}(..., seed=0)")
            )
        self.seed = None if seed is None else int(seed)
        self._generator: torch.Generator | None = None

    def _source(self, x: torch.Tensor) -> torch.Generator | None:
        """Return the generator to draw from for `x`; None means torch's own."""
        if self.seed is None or x.is_meta:
            return None
        if self._generator is None or self._generator.device != x.device:
            self._generator = generator(self.seed, x.device)
        return self._generator

    def _normal(self, x: torch.Tensor) -> torch.Tensor:
        """Return standard normal numbers of the shape and type of `x`."""
        return torch.empty_like(x).normal_(generator=self._source(x))


class Dropout(_Random):
    """Sets random numbers to zero in training and scales the others up, so that the sum stays what it was.

    `output = input * keep / (1 - rate)`, where `keep` is 0 with probability
    `rate` and 1 otherwise. Outside training the input passes unchanged.

    Source: Srivastava et al., "Dropout", JMLR 2014.

    Args:
        rate: Share of numbers to drop, from 0 to 1.
        noise_shape: Shape of `keep`, with None for sizes of the input; a 1
            drops along that axis all together.
        seed: For numbers of its own that repeat themselves; None follows `set_random_seed`.

    Call arguments: `training`.

    Shapes: the output has the shape of the input.

    Raises:
        ValueError: `rate` is not a number from 0 to 1.

    Example:
        >>> Dropout(0.5)(torch.ones(2, 3))  # not training: unchanged
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checks.share(type(self).__name__, "rate", rate)
        self._set_seed(seed)
        self.noise_shape = _noise_shape(type(self).__name__, noise_shape)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        if not training or not self.rate:
            return inputs
        return dropout(inputs, self.rate, self._noise_sizes(inputs), self._source(inputs))

    def _noise_sizes(self, inputs: torch.Tensor) -> tuple[int, ...] | None:
        """Return `noise_shape` with the sizes of `inputs` for each None."""
        if self.noise_shape is None:
            return None
        fits = len(self.noise_shape) == inputs.dim() and all(
            wanted in (None, 1, size) for wanted, size in zip(self.noise_shape, inputs.shape)
        )
        if not fits:
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {shape_of(inputs)} and has noise_shape={self.noise_shape}.",
                    "Expected one entry per axis: None, 1, or the size of the input.",
                    f"noise_shape={(None, *(1,) * (inputs.dim() - 2), None)[: inputs.dim()]}",
                )
            )
        return tuple(size if wanted is None else wanted for wanted, size in zip(self.noise_shape, inputs.shape))

    def get_config(self) -> dict[str, Any]:
        shape = None if self.noise_shape is None else list(self.noise_shape)
        return {**super().get_config(), "rate": self.rate, "seed": self.seed, "noise_shape": shape}


def _noise_shape(owner: str, value: Any) -> tuple[int | None, ...] | None:
    if value is None:
        return None
    good = isinstance(value, (list, tuple, torch.Size))
    if not good or any(
        size is not None and (isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1)
        for size in value
    ):
        raise ValueError(
            explain(
                f"{owner} got noise_shape={value!r}.",
                "Expected whole numbers of at least 1, or None, one per axis with the batch.",
                f"{owner}(..., noise_shape=(None, 1, None))",
            )
        )
    return tuple(None if size is None else int(size) for size in value)


class _SpatialDropout(Spatial, _Random):
    def __init__(
        self, rate: float, data_format: str | None, seed: int | None, name: str | None, dtype: Any, **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.rate = checks.share(type(self).__name__, "rate", rate)
        self._set_seed(seed)
        self._set_axes(data_format)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        if not training or not self.rate:
            return inputs
        samples, ones = inputs.shape[0], (1,) * self.rank
        shape = (samples, *ones, inputs.shape[-1]) if self._channels_last else (samples, inputs.shape[1], *ones)
        return dropout(inputs, self.rate, shape, self._source(inputs))

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "rate": self.rate, "seed": self.seed}
        del config["trainable"]  # Keras's own class does not take it
        return config if self.rank == 1 else {**config, "data_format": self.data_format}


class SpatialDropout1D(_SpatialDropout):
    """Drops whole channels of a sequence in training, since neighbouring steps say much the same.

    Source: Tompson et al., 2015, arXiv:1411.4280.

    Args:
        rate: Share of channels to drop, from 0 to 1.
        seed: For numbers of its own that repeat themselves; None follows `set_random_seed`.

    Call arguments: `training`.

    Input shape: (samples, steps, channels); the output has the same.

    Example:
        >>> SpatialDropout1D(1.0)(torch.ones(1, 2, 2), training=True).sum()
        tensor(0.)
    """

    rank = 1

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, None, seed, name, dtype, **kwargs)


class SpatialDropout2D(_SpatialDropout):
    """Drops whole channels of an image in training, since neighbouring pixels say much the same.

    Source: Tompson et al., 2015, arXiv:1411.4280.

    Args:
        rate: Share of channels to drop, from 0 to 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None follows `set_random_seed`.

    Call arguments: `training`.

    Input shape: (samples, height, width, channels); the output has the same.

    Example:
        >>> SpatialDropout2D(0.5)(torch.ones(4, 7, 7, 3)).shape
        torch.Size([4, 7, 7, 3])
    """

    rank = 2

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, data_format, seed, name, dtype, **kwargs)


class SpatialDropout3D(_SpatialDropout):
    """Drops whole channels of a volume in training, since neighbouring cells say much the same.

    Source: Tompson et al., 2015, arXiv:1411.4280.

    Args:
        rate: Share of channels to drop, from 0 to 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None follows `set_random_seed`.

    Call arguments: `training`.

    Input shape: (samples, depth, height, width, channels); the output has the same.

    Example:
        >>> SpatialDropout3D(0.5)(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 4, 6, 6, 2])
    """

    rank = 3

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, data_format, seed, name, dtype, **kwargs)


def _spread(stddev: Any) -> float:
    if isinstance(stddev, bool) or not isinstance(stddev, numbers.Real) or not 0 <= float(stddev) < math.inf:
        raise ValueError(
            explain(f"GaussianNoise got stddev={stddev!r}.", "Expected a number of at least 0.", "GaussianNoise(0.1)")
        )
    return float(stddev)


class GaussianNoise(_Random):
    """Adds random numbers in training: `output = input + normal(0, stddev)`.

    Args:
        stddev: Standard deviation of the noise, in the units of the input.
        seed: For numbers of its own that repeat themselves; None follows `set_random_seed`.

    Call arguments: `training`.

    Shapes: the output has the shape of the input.

    Example:
        >>> GaussianNoise(0.1)(torch.ones(2))  # not training: unchanged
        tensor([1., 1.])
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = _spread(stddev)
        self._set_seed(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        if not training or not self.stddev:
            return inputs
        return inputs + self.stddev * self._normal(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class GaussianDropout(_Random):
    """Multiplies with random numbers in training: `output = input * normal(1, sqrt(rate / (1 - rate)))`.

    Source: Srivastava et al., "Dropout", JMLR 2014, section 10.

    Args:
        rate: The noise has the spread that `Dropout(rate)` would have; from 0 to below 1.
        seed: For numbers of its own that repeat themselves; None follows `set_random_seed`.

    Call arguments: `training`.

    Shapes: the output has the shape of the input.

    Example:
        >>> GaussianDropout(0.1)(torch.ones(2))  # not training: unchanged
        tensor([1., 1.])
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = _below_one("GaussianDropout", rate)
        self._set_seed(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        if not training or not self.rate:
            return inputs
        return inputs * (1 + math.sqrt(self.rate / (1 - self.rate)) * self._normal(inputs))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _below_one(owner: str, rate: Any) -> float:
    """Return `rate` if it is a share below 1, which would ask for endless noise."""
    rate = checks.share(owner, "rate", rate)
    if rate == 1:
        raise ValueError(explain(f"{owner} got rate=1.", "Expected a number from 0 to below 1.", f"{owner}(0.5)"))
    return rate


# Where `selu` saturates far below zero.
_SELU_FLOOR = -1.6732632423543772 * 1.0507009873554805


class AlphaDropout(Dropout):
    """Drops numbers to the floor of `selu` in training and rescales, which keeps mean 0 and variance 1.

    `output = a * (input where kept, -1.7581 elsewhere) + b`, with a and b such
    that mean and variance stay.

    Source: Klambauer et al., 2017, arXiv:1706.02515.

    Args:
        rate: Share of numbers to drop, from 0 to below 1.
        noise_shape: Shape of the decisions, as in `Dropout`.
        seed: For numbers of its own that repeat themselves; None follows `set_random_seed`.

    Call arguments: `training`.

    Shapes: the output has the shape of the input.

    Example:
        >>> AlphaDropout(0.1)(torch.ones(2))  # not training: unchanged
        tensor([1., 1.])
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, noise_shape, seed, **kwargs)
        _below_one("AlphaDropout", rate)

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        if not training or not self.rate:
            return inputs
        sizes = self._noise_sizes(inputs) or tuple(inputs.shape)
        draws = torch.rand(sizes, generator=self._source(inputs), dtype=torch.float32, device=inputs.device)
        a = ((1 - self.rate) * (1 + self.rate * _SELU_FLOOR**2)) ** -0.5
        b = -a * _SELU_FLOOR * self.rate
        return a * torch.where(draws >= self.rate, inputs, _SELU_FLOOR) + b


class ActivityRegularization(Layer):
    """Passes its input on and adds a penalty on it to the loss: `(l1 * sum|x| + l2 * sum x**2) / samples`.

    Args:
        l1: Weight of the absolute values.
        l2: Weight of the squares.

    Shapes: the output has the shape of the input.

    Example:
        >>> layer = ActivityRegularization(l2=0.5)
        >>> layer(torch.ones(2, 3)).shape, layer.losses
        (torch.Size([2, 3]), [tensor(1.5000)])
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "l1": self.l1, "l2": self.l2}
        del config["activity_regularizer"]
        return config
