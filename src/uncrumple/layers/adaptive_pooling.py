"""Adaptive pooling: the size of the output is given, the windows follow from the size of the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from uncrumple.kernels.pooling import adaptive_average_pool, adaptive_max_pool
from uncrumple.layers.checks import sizes
from uncrumple.layers.spatial import Spatial


class _AdaptivePooling(Spatial):
    _pool: Callable[..., torch.Tensor]

    def __init__(self, output_size: int | tuple[int, ...], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = sizes(type(self).__name__, "output_size", output_size, self.rank)
        self._set_axes(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._pool(inputs, self.output_size, self._channels_last)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_size": list(self.output_size), "data_format": self.data_format}


class _AdaptiveMaxPooling(_AdaptivePooling):
    _pool = staticmethod(adaptive_max_pool)


class _AdaptiveAveragePooling(_AdaptivePooling):
    _pool = staticmethod(adaptive_average_pool)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        # A mean of whole numbers need not be whole.
        return super().call(inputs if inputs.is_floating_point() else inputs.to(self._compute_in))


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """Takes the mean of each of `output_size` windows along a line, channel by channel.

    Window i of n over s cells runs from floor(i * s / n) up to ceil((i + 1) * s / n).

    Args:
        output_size: Number of steps of the output.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, output_size, channels).

    Example:
        >>> AdaptiveAveragePooling1D(4)(torch.ones(2, 10, 8)).shape
        torch.Size([2, 4, 8])
    """

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """Takes the mean of each window of a grid of `output_size` over an image, channel by channel.

    Window i of n over s cells runs from floor(i * s / n) up to ceil((i + 1) * s / n).

    Args:
        output_size: Height and width of the output; one number for both.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, *output_size, channels).

    Example:
        >>> AdaptiveAveragePooling2D((3, 2))(torch.ones(2, 7, 7, 8)).shape
        torch.Size([2, 3, 2, 8])
    """

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """Takes the mean of each window of a grid of `output_size` over a volume, channel by channel.

    Window i of n over s cells runs from floor(i * s / n) up to ceil((i + 1) * s / n).

    Args:
        output_size: Depth, height and width of the output; one number for all.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: (samples, *output_size, channels).

    Example:
        >>> AdaptiveAveragePooling3D(2)(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 2, 2, 2, 2])
    """

    rank = 3


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """Keeps the largest number in each of `output_size` windows along a line, channel by channel.

    Window i of n over s cells runs from floor(i * s / n) up to ceil((i + 1) * s / n).

    Args:
        output_size: Number of steps of the output.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, output_size, channels).

    Example:
        >>> AdaptiveMaxPooling1D(4)(torch.ones(2, 10, 8)).shape
        torch.Size([2, 4, 8])
    """

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """Keeps the largest number in each window of a grid of `output_size` over an image, channel by channel.

    Window i of n over s cells runs from floor(i * s / n) up to ceil((i + 1) * s / n).

    Args:
        output_size: Height and width of the output; one number for both.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, *output_size, channels).

    Example:
        >>> AdaptiveMaxPooling2D((3, 2))(torch.ones(2, 7, 7, 8)).shape
        torch.Size([2, 3, 2, 8])
    """

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """Keeps the largest number in each window of a grid of `output_size` over a volume, channel by channel.

    Window i of n over s cells runs from floor(i * s / n) up to ceil((i + 1) * s / n).

    Args:
        output_size: Depth, height and width of the output; one number for all.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: (samples, *output_size, channels).

    Example:
        >>> AdaptiveMaxPooling3D(2)(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 2, 2, 2, 2])
    """

    rank = 3
