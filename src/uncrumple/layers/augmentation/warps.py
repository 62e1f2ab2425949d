"""Images seen from elsewhere, and images bent."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.layers import checks
from uncrumple.layers.augmentation.affine import projected
from uncrumple.layers.augmentation.base import INTERPOLATIONS, BaseImagePreprocessingLayer, each, factor_range, number
from uncrumple.layers.augmentation.bounding_boxes import around, clip_to_image_size, convert_format
from uncrumple.ops.image import elastic_transform
from uncrumple.ops.image_sampling import _homography

_BENT_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


class RandomPerspective(BaseImagePreprocessingLayer):
    """Shows images in training as if seen from elsewhere: their corners move, and everything with them.

    Args:
        factor: Probability that an image changes, or the least and the largest one.
        scale: How far corners move, from 0 to 1: a corner's coordinates change by up to half this share of themselves.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_value: What lies outside the image.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomPerspective(scale=0.4)(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Any = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.scale = checks.share("RandomPerspective", "scale", scale)
        self.interpolation = checks.one_of("RandomPerspective", "interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = number("RandomPerspective", "fill_value", fill_value)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return which images change, their corners (x, y) before and after, and the shape of the images."""
        if not training:
            return None
        images, count = self._count(data)
        height, width = self._sizes(tuple(images.shape))
        seed = self._draws(seed)
        happens = self._happens(images, count, self.factor, seed)
        moves = self._uniform(images, (count, 4, 2), -0.5 * self.scale, 0.5 * self.scale, seed)
        right, bottom = width - 1.0, height - 1.0
        corners = [[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]]
        start = torch.tensor(corners, dtype=moves.dtype, device=moves.device).expand(count, 4, 2)
        return {
            "apply_perspective": happens,
            "start_points": start,
            "end_points": start + start * moves,
            "input_shape": tuple(images.shape),
        }

    def _transform_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        if transformation is None:
            return images
        matrix = _homography(transformation["start_points"], transformation["end_points"])
        found = projected(images, matrix, interpolation, "constant", self.fill_value, self.data_format)
        return torch.where(each(transformation["apply_perspective"]), found, images)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return the upright boxes around boxes as they are seen."""
        if not training or transformation is None:
            return bounding_boxes
        height, width = self._sizes(transformation["input_shape"])
        own = self.bounding_box_format or "xyxy"
        boxes = convert_format(bounding_boxes, own, "xyxy", height, width)
        # The other way round: where the pixels of the image go.
        matrix = _homography(transformation["end_points"], transformation["start_points"]).to(boxes["boxes"])
        a0, a1, a2, b0, b1, b2, c0, c1 = (part[:, None, None] for part in matrix.unbind(-1))
        xs, ys = boxes["boxes"][..., [0, 2, 0, 2]], boxes["boxes"][..., [1, 3, 3, 1]]
        scale = c0 * xs + c1 * ys + 1
        seen = around((a0 * xs + a1 * ys + a2) / scale, (b0 * xs + b1 * ys + b2) / scale)
        boxes["boxes"] = torch.where(transformation["apply_perspective"][:, None, None], seen, boxes["boxes"])
        return convert_format(clip_to_image_size(boxes, height, width), "xyxy", own, height, width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "scale": self.scale,
            "interpolation": self.interpolation,
            "fill_value": self.fill_value,
            "seed": self.seed,
        }


class RandomElasticTransform(BaseImagePreprocessingLayer):
    """Bends images in training, smoothly, as if they were printed on rubber.

    How strongly is drawn once for a batch; where to, for each image.

    Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks", ICDAR 2003.

    Args:
        factor: Probability that an image changes, or the least and the largest one.
        scale: How strongly, from 0 to 1; one number stands for the range from 0 to it, or two numbers.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: What lies outside the image: `"reflect"` (mirrored, with the edge),
            `"mirror"` (without), `"wrap"`, `"constant"` or `"nearest"`.
        fill_value: For `fill_mode="constant"`.
        value_range: The least and the largest number of images; results are cut off there.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomElasticTransform()(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.scale = factor_range("RandomElasticTransform", "scale", scale, self._FACTOR_BOUNDS)
        self._set_fill(fill_mode, interpolation, fill_value, _BENT_FILL_MODES)
        self._set_value_range(value_range, as_given=True)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return which images change, how strongly, and a seed for where to."""
        if not training or self.scale[1] == 0 or self.factor[1] == 0:
            return None
        images, count = self._count(data)
        seed = self._draws(seed)
        return {
            "apply_transform": self._happens(images, count, self.factor, seed),
            "distortion_factor": self._uniform(None, (), *self.scale, seed),
            # A number, so that masks are bent as their images are.
            "seed": seed if isinstance(seed, int) or images.is_meta else int(seed.next().sum()),
        }

    def get_elastic_transform_params(self, height: int, width: int, factor: Any) -> tuple[Any, Any]:
        """Return how far pixels of an image move, and how smoothly, in pixels."""
        return max(height, width) * 0.1 * factor, min(height, width) * 0.05 * factor

    def _bent(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        factor = transformation["distortion_factor"]
        if images.is_meta or images.shape[0] == 0:
            return images
        alpha, sigma = self.get_elastic_transform_params(*self._sizes(images.shape), float(factor))
        found = elastic_transform(
            images,
            alpha=alpha,
            sigma=max(sigma, 1e-3),  # nothing at all would divide by zero
            interpolation=interpolation,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            seed=transformation["seed"],
            data_format=self.data_format,
        )
        return torch.where(each(transformation["apply_transform"]), found, images)

    def _transform_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        if transformation is None:
            return images
        return self._bent(images, transformation, interpolation).clamp(*self.value_range)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return masks, bent as their images are."""
        if not training or transformation is None:
            return segmentation_masks
        return self._bent(segmentation_masks, transformation, "nearest")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "scale": self.scale,
            "interpolation": self.interpolation,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "value_range": self.value_range,
            "seed": self.seed,
        }
