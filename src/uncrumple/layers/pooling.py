"""Pooling: each window of a line, an image or a volume becomes one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from uncrumple.kernels.pooling import average_pool, max_pool
from uncrumple.layers.checks import sizes
from uncrumple.layers.convolution import padding_name
from uncrumple.layers.spatial import Spatial


class _Pooling(Spatial):
    _pool: Callable[..., torch.Tensor]

    def __init__(
        self,
        pool_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        owner = type(self).__name__
        self.pool_size = sizes(owner, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else sizes(owner, "strides", strides, self.rank)
        self.padding = padding_name(owner, padding)
        self._set_axes(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.padding == "valid":
            self._refuse_smaller(inputs, self.pool_size, f"a window of {self.pool_size} does not fit")
        return self._pool(inputs, self.pool_size, self.strides, self.padding, self._channels_last)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
        }


class _MaxPooling(_Pooling):
    _pool = staticmethod(max_pool)


class _AveragePooling(_Pooling):
    _pool = staticmethod(average_pool)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        # A mean of whole numbers need not be whole.
        return super().call(inputs if inputs.is_floating_point() else inputs.to(self._compute_in))


class MaxPooling1D(_MaxPooling):
    """Keeps the largest number in each window of steps, channel by channel.

    output[t] = max of inputs[t * strides + i] over i = 0 .. pool_size - 1.

    Args:
        pool_size: Number of steps in a window.
        strides: Steps from one window to the next; None means `pool_size`.
        padding: `"valid"` (only whole windows) or `"same"` (ceil(steps / strides) outputs).
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, new steps, channels).

    Example:
        >>> MaxPooling1D()(torch.ones(4, 10, 8)).shape
        torch.Size([4, 5, 8])
    """

    rank = 1

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 2,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling2D(_MaxPooling):
    """Keeps the largest number in each window of an image, channel by channel.

    output[i, j] = max of inputs[i * strides + a, j * strides + b] over the a and b of a window.

    Source: Riesenhuber and Poggio, "Hierarchical models of object recognition in cortex", 1999.

    Args:
        pool_size: Height and width of a window; one number for both.
        strides: Pixels from one window to the next; None means `pool_size`.
        padding: `"valid"` (only whole windows) or `"same"` (ceil(size / strides) outputs).
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, new height, new width, channels).

    Raises:
        ValueError: The image is smaller than a window.

    Example:
        >>> MaxPooling2D()(torch.ones(4, 26, 26, 32)).shape
        torch.Size([4, 13, 13, 32])
    """

    rank = 2

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = (2, 2),
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling3D(_MaxPooling):
    """Keeps the largest number in each window of a volume, channel by channel.

    output[i, j, k] = max of inputs over the window that begins at (i, j, k) * strides.

    Args:
        pool_size: Depth, height and width of a window; one number for all.
        strides: Cells from one window to the next; None means `pool_size`.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: (samples, new depth, new height, new width, channels).

    Example:
        >>> MaxPooling3D()(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 2, 3, 3, 2])
    """

    rank = 3

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = (2, 2, 2),
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class AveragePooling1D(_AveragePooling):
    """Takes the mean of each window of steps, channel by channel; padding does not count.

    output[t] = (sum of inputs[t * strides + i] over i = 0 .. pool_size - 1) / (number of them that
    are no padding).

    Args:
        pool_size: Number of steps in a window.
        strides: Steps from one window to the next; None means `pool_size`.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, new steps, channels).

    Example:
        >>> AveragePooling1D(2)(torch.arange(4.0).reshape(1, 4, 1)).flatten()
        tensor([0.5000, 2.5000])
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """Takes the mean of each window of an image, channel by channel; padding does not count.

    output[i, j] = mean of inputs[i * strides + a, j * strides + b] over the a and b of a window.

    Args:
        pool_size: Height and width of a window; one number for both.
        strides: Pixels from one window to the next; None means `pool_size`.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, new height, new width, channels).

    Example:
        >>> AveragePooling2D(2)(torch.ones(4, 26, 26, 32)).shape
        torch.Size([4, 13, 13, 32])
    """

    rank = 2


class AveragePooling3D(_AveragePooling):
    """Takes the mean of each window of a volume, channel by channel; padding does not count.

    output[i, j, k] = mean of inputs over the window that begins at (i, j, k) * strides.

    Args:
        pool_size: Depth, height and width of a window; one number for all.
        strides: Cells from one window to the next; None means `pool_size`.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: (samples, new depth, new height, new width, channels).

    Example:
        >>> AveragePooling3D(2)(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 2, 3, 3, 2])
    """

    rank = 3
