"""Images in other colours."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.layers import checks
from uncrumple.layers.augmentation.base import ColourLayer, each, in_range
from uncrumple.layers.augmentation.brightness import RandomBrightness, RandomContrast
from uncrumple.ops.image import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv

_EPSILON = 1e-7


class RandomHue(ColourLayer):
    """Turns the colours of images in training, each by a share of half the circle of colours, either way.

    Args:
        factor: From 0 to 1: a number stands for the range from 0 to it, or two numbers.
        value_range: The least and the largest number of images.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, 3), or without samples; the output has the shape of the input.

    Example:
        >>> RandomHue((1.0, 1.0))(torch.tensor([[[255.0, 0.0, 0.0]]])).flatten().round()
        tensor([  0., 255., 255.])
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
        self._set_value_range(value_range, as_given=True)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return by how much of a circle colours turn (`"factor"`)."""
        if not training:
            return None
        images, count = self._count(data)
        seed = self._draws(seed)
        side = torch.where(self._uniform(images, (count,), 0.0, 1.0, seed) > 0.5, -1.0, 1.0)
        return {"factor": side * self._uniform(images, (count,), self.factor[0], self.factor[1], seed) * 0.5}

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images with other hues."""
        images = self._computed(images)
        if not training:
            return images
        colours = rgb_to_hsv(in_range(images, self.value_range, (0, 1)), data_format=self.data_format)
        hue, saturation, value = colours.unbind(self.channel_axis)
        hue = hue + each(transformation["factor"])[..., 0].to(hue)
        hue = torch.where(hue > 1, hue - 1, hue)
        hue = torch.where(hue < 0, hue + 1, hue)
        turned = torch.stack([hue, saturation, value], dim=self.channel_axis)
        found = hsv_to_rgb(turned, data_format=self.data_format).clamp(0, 1)
        return in_range(found, (0, 1), self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range, "seed": self.seed}


class RandomSaturation(ColourLayer):
    """Makes the colours of images paler or stronger in training: saturation is multiplied, for each image by its own number.

    The number is `f / (1 - f)`, with f drawn from the range: 0.5 changes
    nothing, 0 leaves grey, and towards 1 colours get as strong as can be. The
    result is cut off at the ends of `value_range`.

    Args:
        factor: From -1 to 1: a number stands for the range from its negative to
            itself, or two numbers; what is negative leaves grey.
        value_range: The least and the largest number of images.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, 3), or without samples; the output has the shape of the input.

    Example:
        >>> RandomSaturation((0.0, 0.0))(torch.tensor([[[200.0, 0.0, 0.0]]])).flatten()
        tensor([200., 200., 200.])
    """

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
        """Return what saturation is multiplied with (`"factor"`)."""
        if not training:
            return None
        images, count = self._count(data)
        share = self._uniform(images, (count,), self.factor[0], self.factor[1], seed)
        return {"factor": share / (1 - share + _EPSILON)}

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images with paler or stronger colours."""
        images = self._computed(images)
        if not training:
            return images
        hue, saturation, value = rgb_to_hsv(images, data_format=self.data_format).unbind(self.channel_axis)
        saturation = saturation * each(transformation["factor"])[..., 0].to(images)
        changed = torch.stack([hue, saturation.clamp(*self.value_range), value], dim=self.channel_axis)
        return hsv_to_rgb(changed, data_format=self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range, "seed": self.seed}


class RandomColorDegeneration(ColourLayer):
    """Mixes images with their grey selves in training, each with a share of its own.

    `output = input + share * (grey - input)`, cut off at both ends of `value_range`.

    Args:
        factor: From -1 to 1: a number stands for the range from its negative to
            itself, or two numbers; a negative share makes colours stronger.
        value_range: The least and the largest number of images.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, 3), or without samples; the output has the shape of the input.

    Example:
        >>> RandomColorDegeneration((1.0, 1.0))(torch.tensor([[[100.0, 0.0, 0.0]]])).flatten()
        tensor([29.8900, 29.8900, 29.8900])
    """

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
        """Return the shares of grey (`"factor"`)."""
        if not training:
            return None
        images, count = self._count(data)
        return {"factor": self._uniform(images, (count, 1, 1, 1), self.factor[0], self.factor[1], seed)}

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images, mixed with grey."""
        images = self._computed(images)
        if not training:
            return images
        grey = rgb_to_grayscale(images, data_format=self.data_format)
        return (images + transformation["factor"].to(images) * (grey - images)).clamp(*self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range, "seed": self.seed}


class RandomGrayscale(ColourLayer):
    """Takes the colours from images in training, each with a probability; they keep three channels.

    Args:
        factor: The probability, from 0 to 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, 3), or without samples; the output has the shape and the type of the input.

    Example:
        >>> RandomGrayscale(1.0)(torch.tensor([[[100.0, 0.0, 0.0]]])).flatten()
        tensor([29.8900, 29.8900, 29.8900])
    """

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = checks.share("RandomGrayscale", "factor", factor)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return which images lose their colours, in a shape that broadcasts against them."""
        if not training:
            return None
        images, count = self._count(data)
        return self._uniform(images, (count, 1, 1, 1), 0.0, 1.0, seed) < self.factor

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images, some without colours."""
        if not training:
            return images
        if transformation is None:
            transformation = self.get_random_transformation(images)
        return torch.where(transformation, rgb_to_grayscale(images, data_format=self.data_format), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "seed": self.seed}


class RandomColorJitter(ColourLayer):
    """Changes brightness, contrast, saturation and hue of images in training, one after the other.

    Args:
        value_range: The least and the largest number of images.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: As the
            `factor` of `RandomBrightness`, `RandomContrast`, `RandomSaturation`
            and `RandomHue`; None leaves that one out.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, 3), or without samples; the output has the shape of the input.

    Example:
        >>> RandomColorJitter(brightness_factor=(0.2, 0.2))(torch.zeros(1, 1, 3)).flatten()
        tensor([51., 51., 51.])
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_value_range(value_range, as_given=True)
        self._set_seed(seed)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        self.random_brightness = self._part(RandomBrightness, brightness_factor)
        self.random_contrast = self._part(RandomContrast, contrast_factor)
        self.random_saturation = self._part(RandomSaturation, saturation_factor)
        self.random_hue = self._part(RandomHue, hue_factor)

    def _part(self, kind: Any, factor: Any) -> Any:
        if factor is None:
            return None
        made = kind(
            factor=factor,
            value_range=self.value_range,
            seed=self.seed,
            data_format=self.data_format,
            dtype=self._dtype_policy,
        )
        return made

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images in other colours."""
        images = self._computed(images)
        if not training:
            return images
        for part in (self.random_brightness, self.random_contrast, self.random_saturation, self.random_hue):
            if part is not None:
                drawn = part.get_random_transformation(images, seed=self.generator)
                images = part.transform_images(images, drawn)
        return images

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "brightness_factor": self.brightness_factor,
            "contrast_factor": self.contrast_factor,
            "saturation_factor": self.saturation_factor,
            "hue_factor": self.hue_factor,
            "seed": self.seed,
        }
