"""Layers that enlarge a line, an image or a volume without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from uncrumple.layers.checks import one_of, sizes, whole_number
from uncrumple.layers.spatial import Spatial


def _repeat(x: torch.Tensor, factors: Sequence[int], first: int) -> torch.Tensor:
    """Repeat each cell along the axes from `first` on: one copy, whatever the number of axes."""
    spread, shape = x, list(x.shape)
    for axis, factor in reversed(list(enumerate(factors, first))):
        spread = spread.unsqueeze(axis + 1)
        spread = spread.expand(*spread.shape[: axis + 1], factor, *spread.shape[axis + 2 :])
        shape[axis] *= factor
    return spread.reshape(shape)


class UpSampling1D(Spatial):
    """Repeats each step of a sequence.

    output[t] = inputs[floor(t / size)].

    Args:
        size: How often.

    Input shape: (samples, steps, channels).
    Output shape: (samples, steps * size, channels).

    Example:
        >>> UpSampling1D(3)(torch.ones(4, 10, 8)).shape
        torch.Size([4, 30, 8])
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = whole_number("UpSampling1D", "size", size, example=2)
        self._set_axes()
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return _repeat(inputs, [self.size], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


class UpSampling2D(Spatial):
    """Enlarges an image by whole factors.

    With `"nearest"`: output[i, j] = inputs[floor(i / size), floor(j / size)]; else a weighted mean
    of the nearest pixels.

    Args:
        size: Factors for height and width; one number for both.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        interpolation: `"nearest"` (repeats pixels), `"bilinear"` or
            `"bicubic"` (pixels are taken as squares whose centres hold the values).

    Input shape: (samples, height, width, channels).
    Output shape: (samples, height * size[0], width * size[1], channels).

    Example:
        >>> UpSampling2D()(torch.ones(4, 7, 7, 3)).shape
        torch.Size([4, 14, 14, 3])
    """

    rank = 2

    def __init__(
        self,
        size: int | tuple[int, int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = sizes("UpSampling2D", "size", size, 2)
        wanted = interpolation.lower() if isinstance(interpolation, str) else interpolation
        self.interpolation = one_of("UpSampling2D", "interpolation", wanted, ("nearest", "bilinear", "bicubic"))
        self._set_axes(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.interpolation == "nearest":
            return _repeat(inputs, self.size, 1 if self._channels_last else 2)
        image = inputs if inputs.is_floating_point() else inputs.to(self._compute_in)
        if self._channels_last:
            image = image.permute(0, 3, 1, 2)
        new_size = [image.shape[2] * self.size[0], image.shape[3] * self.size[1]]
        image = functional.interpolate(image, size=new_size, mode=self.interpolation, align_corners=False)
        return image.permute(0, 2, 3, 1) if self._channels_last else image

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": list(self.size),
            "data_format": self.data_format,
            "interpolation": self.interpolation,
        }


class UpSampling3D(Spatial):
    """Repeats each cell of a volume along depth, height and width.

    output[i, j, k] = inputs[floor(i / size), floor(j / size), floor(k / size)].

    Args:
        size: Factors for depth, height and width; one number for all.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: the same with depth, height and width multiplied.

    Example:
        >>> UpSampling3D()(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 8, 12, 12, 2])
    """

    rank = 3

    def __init__(self, size: int | tuple[int, ...] = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = sizes("UpSampling3D", "size", size, 3)
        self._set_axes(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return _repeat(inputs, self.size, 1 if self._channels_last else 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": list(self.size), "data_format": self.data_format}
