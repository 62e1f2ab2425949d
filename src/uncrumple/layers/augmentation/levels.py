"""Images whose values are turned upside down or made coarser."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import random
from uncrumple.layers.augmentation.base import ColourLayer, each, factor_range, in_range


class RandomInvert(ColourLayer):
    """Makes negatives of images in training, each with a probability: `output = largest - input`.

    Args:
        factor: The probability, from 0 to 1, or the least and the largest one.
        value_range: The least and the largest number of images.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomInvert((1.0, 1.0))(torch.tensor([[[0.0], [200.0]]])).flatten()
        tensor([255.,  55.])
    """

    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self._set_value_range(value_range, as_given=True)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return which images become negatives (`"apply_inversion"`)."""
        if not training:
            return None
        images, count = self._count(data)
        return {"apply_inversion": self._happens(images, count, self.factor, seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images, some of them negatives."""
        images = self._computed(images)
        if not training:
            return images
        return torch.where(each(transformation["apply_inversion"]), self.value_range[1] - images, images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range, "seed": self.seed}


class RandomPosterization(ColourLayer):
    """Keeps only some of the eight bits of each value in training, so that there are fewer colours.

    Args:
        factor: (least, largest) number of bits that are kept, from 1 to 8; the
            largest itself is not drawn, unless both are equal. One number stands for (1, number).
        value_range: The least and the largest number of images.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomPosterization((2, 2))(torch.tensor([[[1.0], [100.0], [200.0]]])).flatten()
        tensor([  0.,  64., 192.])
    """

    _FACTOR_BOUNDS = (1, 8)

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self._set_value_range(value_range)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return how many bits are lost (`"shift_factor"`)."""
        if not training:
            return None
        images, count = self._count(data)
        low, high = self.factor
        if low == high:
            kept = torch.full((count,), int(low), dtype=torch.uint8)
        else:
            kept = random.randint((count,), low, high, dtype="uint8", seed=self._draws(seed))
        return {"shift_factor": 8 - kept.to(images.device)}

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images with fewer colours."""
        images = self._computed(images)
        if not training:
            return images
        lost = each(transformation["shift_factor"])
        whole = in_range(images, self.value_range, (0, 255)).clamp(0, 255).to(torch.uint8)
        coarse = torch.bitwise_left_shift(torch.bitwise_right_shift(whole, lost), lost).to(images.dtype)
        return in_range(coarse, (0, 255), self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range, "seed": self.seed}


class Solarization(ColourLayer):
    """Adds to images in training, and turns upside down what then reaches a threshold: both are drawn for each image.

    With values from 0 to 255: `sum = input + addition`, cut off there;
    `output = sum` below the threshold, and `255 - sum` from it on.

    Args:
        addition_factor: Largest addition as a share of 255, from 0 to 1, or two
            numbers, of which only the second is a share.
        threshold_factor: The same for the threshold.
        value_range: The least and the largest number of images.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: `data_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> Solarization()(torch.tensor([[[0.0], [200.0]]])).flatten()
        tensor([255.,  55.])
    """

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_seed(seed)
        share = (0.0, 1.0)
        self.addition_factor = factor_range("Solarization", "addition_factor", addition_factor, share, symmetric=False)
        self.threshold_factor = factor_range(
            "Solarization", "threshold_factor", threshold_factor, share, symmetric=False
        )
        self._set_value_range(value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return `"additions"` and `"thresholds"`."""
        if not training:
            return None
        images, count = self._count(data)
        shape = (count, 1, 1, 1) if images.ndim == 4 else (1, 1, 1)
        seed = self._draws(seed)
        (low, high), (least, most) = self.addition_factor, self.threshold_factor
        return {
            "additions": self._uniform(images, shape, low, high * 255, seed),
            "thresholds": self._uniform(images, shape, least, most * 255, seed),
        }

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images, partly turned upside down."""
        images = self._computed(images)
        if not training or transformation is None:
            return images
        whole = in_range(images, self.value_range, (0, 255))
        whole = (whole + transformation["additions"].to(images)).clamp(0, 255)
        found = torch.where(whole < transformation["thresholds"].to(images), whole, 255 - whole)
        return in_range(found, (0, 255), self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "addition_factor": self.addition_factor,
            "threshold_factor": self.threshold_factor,
            "seed": self.seed,
        }
