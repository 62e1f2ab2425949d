"""Images brighter or darker, with more or less contrast."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.layers.augmentation.base import ColourLayer, in_range


class RandomBrightness(ColourLayer):
    """Makes images brighter or darker in training: adds a number to each, of its own.

    `output = input + share * (largest - least)`, cut off at both ends of `value_range`.

    Args:
        factor: Largest share, from -1 to 1: a number stands for the range from its negative to itself, or two numbers.
        value_range: The least and the largest number of images.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: `data_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomBrightness((0.2, 0.2))(torch.tensor([[[0.0], [250.0]]])).flatten()
        tensor([ 51., 255.])
    """

    _USE_BASE_FACTOR = True

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(factor=factor, **kwargs)
        self._set_value_range(value_range)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return what is added to each image (`"rgb_delta"`)."""
        if not training:
            return None
        images, count = self._count(data)
        shape = (count, 1, 1, 1) if images.ndim == 4 else (1, 1, 1)
        low, high = self.value_range
        return {"rgb_delta": self._uniform(images, shape, self.factor[0], self.factor[1], seed) * (high - low)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images, brighter or darker."""
        images = self._computed(images)
        if not training:
            return images
        return (images + transformation["rgb_delta"].to(images)).clamp(*self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "value_range": self.value_range,
            "seed": self.seed,
        }


class RandomContrast(ColourLayer):
    """Changes the contrast of images in training: each pixel's distance from the mean of its channel is multiplied.

    `output = mean + (input - mean) * factor`, cut off at both ends of
    `value_range`, where the factor is drawn from `1 - lower` to `1 + upper`.

    Args:
        factor: (lower, upper), from 0 to 1; one number stands for (0, number), so that contrast grows.
        value_range: The least and the largest number of images.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: `data_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomContrast(0.0)(torch.tensor([[[0.0], [100.0]]])).flatten()
        tensor([  0., 100.])
    """

    _FACTOR_BOUNDS = (0, 1)

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_factor(factor)
        self._set_value_range(value_range, as_given=True)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return what contrast is multiplied with (`"contrast_factor"`)."""
        if not training:
            return None
        images, count = self._count(data)
        shape = (count, 1, 1, 1) if images.ndim == 4 else (1, 1, 1)
        low, high = self.factor
        return {"contrast_factor": self._uniform(images, shape, 1.0 - low, 1.0 + high, seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images with another contrast."""
        images = self._computed(images)
        if not training:
            return images
        mean = images.mean((self.height_axis, self.width_axis), keepdim=True)
        return ((images - mean) * transformation["contrast_factor"].to(images) + mean).clamp(*self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "value_range": self.value_range,
            "seed": self.seed,
        }


class AutoContrast(ColourLayer):
    """Stretches each channel of each image over the whole range of values, in training and otherwise.

    `output = (input - least) / (largest - least)`, brought to `value_range`; a
    channel of one number only stays as it is.

    Args:
        value_range: The least and the largest number of images.
        **kwargs: `data_format`, and what every layer takes.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> AutoContrast()(torch.tensor([[[100.0], [120.0], [110.0]]])).flatten()
        tensor([  0.0000, 255.0000, 127.5000])
    """

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_value_range(value_range)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images with all the contrast there can be."""
        images = self._computed(images)
        whole = in_range(images, self.value_range, (0, 255))
        axes = (self.height_axis, self.width_axis)
        low, high = whole.amin(axes, keepdim=True), whole.amax(axes, keepdim=True)
        scale = 255.0 / (high - low)
        found = in_range((whole * scale - low * scale).clamp(0.0, 255.0), (0, 255), self.value_range)
        return torch.where(torch.isnan(found), images, found)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_range": self.value_range}
