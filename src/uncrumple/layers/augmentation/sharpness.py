"""Images sharper or more blurred."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from uncrumple.core.errors import explain
from uncrumple.layers.augmentation.base import ColourLayer, each, factor_range
from uncrumple.ops.image import gaussian_blur


class RandomSharpness(ColourLayer):
    """Blurs or sharpens images in training, each as its own number says.

    `output = input + (1 - 2 f) * (blurred - input)`, cut off at both ends of
    `value_range`: 0.5 changes nothing, 0 blurs, and 1 sharpens. A pixel of
    `blurred` is 5/13 of itself and 1/13 of each of its eight neighbours.

    Args:
        factor: f, from 0 to 1: a number stands for the range from 0 to it, or two numbers.
        value_range: The least and the largest number of images.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomSharpness((0.5, 0.5))(torch.tensor([[[10.0], [20.0]]])).flatten()
        tensor([10., 20.])
    """

    _FACTOR_BOUNDS = (0, 1)

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
        """Return how sharp images get (`"factor"`)."""
        if not training:
            return None
        images, count = self._count(data)
        return {"factor": self._uniform(images, (count,), self.factor[0], self.factor[1], seed)}

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images, sharper or more blurred."""
        images = self._computed(images)
        if not training:
            return images
        x = images.movedim(self.channel_axis, 1)
        kernel = x.new_full((x.shape[1], 1, 3, 3), 1 / 13)
        kernel[:, :, 1, 1] = 5 / 13
        blurred = F.conv2d(x, kernel, padding=1, groups=x.shape[1])
        rest = 1.0 - each(transformation["factor"]).to(x) * 2
        return torch.lerp(x, blurred, rest).clamp(*self.value_range).movedim(1, self.channel_axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range, "seed": self.seed}


class RandomGaussianBlur(ColourLayer):
    """Blurs images in training, each with a probability; how much is drawn once for a batch.

    Args:
        factor: The probability, from 0 to 1, or the least and the largest one.
        kernel_size: Height and width of the window that a pixel is the mean of, odd numbers; or one for both.
        sigma: Width of the normal distribution that weighs them, in pixels,
            from 0 to 1: a number stands for the range from 0 to it, or two numbers.
        value_range: The least and the largest number of images; results are cut off there.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomGaussianBlur(kernel_size=5)(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.kernel_size = _odd_sizes(kernel_size)
        self.sigma = factor_range("RandomGaussianBlur", "sigma", sigma, self._FACTOR_BOUNDS)
        self._set_value_range(value_range, as_given=True)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return which images are blurred, and how much across and down (`"blur_factor"`)."""
        if not training:
            return None
        images, count = self._count(data)
        seed = self._draws(seed)
        return {
            "should_apply_blur": self._happens(images, count, self.factor, seed),
            "blur_factor": self._uniform(None, (2,), *self.sigma, seed) + 1e-6,
        }

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images, some of them blurred."""
        images = self._computed(images)
        if not training or transformation is None or images.is_meta:
            return images
        sigma = [float(one) for one in transformation["blur_factor"]]
        blurred = gaussian_blur(images, self.kernel_size, sigma, data_format=self.data_format)
        return torch.where(each(transformation["should_apply_blur"]), blurred, images).clamp(*self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "kernel_size": self.kernel_size,
            "sigma": self.sigma,
            "value_range": self.value_range,
            "seed": self.seed,
        }


def _odd_sizes(kernel_size: Any) -> tuple[int, int]:
    both = tuple(kernel_size) if isinstance(kernel_size, (tuple, list)) else (kernel_size, kernel_size)
    good = len(both) == 2 and all(isinstance(one, (int, np.integer)) and one > 0 and one % 2 for one in both)
    if not good:
        raise ValueError(
            explain(
                f"RandomGaussianBlur got kernel_size={kernel_size!r}.",
                "Expected an odd number of at least 1, or two of them.",
                "RandomGaussianBlur(kernel_size=3)",
            )
        )
    return int(both[0]), int(both[1])
