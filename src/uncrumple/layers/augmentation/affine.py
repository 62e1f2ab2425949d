"""Images turned, scaled, moved and sheared: each pixel comes from where eight numbers send it."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.errors import explain
from uncrumple.layers.augmentation import bounding_boxes as boxes_room
from uncrumple.layers.augmentation.base import BaseImagePreprocessingLayer, factor_range
from uncrumple.layers.augmentation.bounding_boxes import clip_to_image_size, convert_format
from uncrumple.ops.image import affine_transform

# How torch's own sampler calls what lies outside. "wrap" it does not know.
_OUTSIDE = {"constant": "zeros", "nearest": "border", "reflect": "reflection"}


def projected(
    images: torch.Tensor, matrix: torch.Tensor, interpolation: str, fill_mode: str, fill_value: float, data_format: str
) -> torch.Tensor:
    """Return images whose pixel (x, y) comes from ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1.

    Mixed pixels come from torch's sampler, which is several times as fast as
    `ops.image.affine_transform`; nearest ones do not, as its places are
    rounded a little otherwise, and half-way places would fall elsewhere.

    Args:
        images: (samples, ...).
        matrix: (samples, 8) or (1, 8) or (8,): a0, a1, a2, b0, b1, b2, c0, c1.
        interpolation, fill_mode, fill_value, data_format: As for `affine_transform`.
    """
    matrix = matrix.reshape(-1, 8)
    quick = interpolation == "bilinear" and fill_mode in _OUTSIDE and images.dtype in (torch.float32, torch.float64)
    if not quick or images.shape[0] == 0:
        return affine_transform(images, matrix, interpolation, fill_mode, fill_value, data_format)
    x = images.movedim(-1, 1) if data_format == "channels_last" else images
    height, width = x.shape[-2:]
    matrix = matrix.to(x.dtype).expand(x.shape[0], 8)
    rows = torch.arange(height, dtype=x.dtype, device=x.device)[:, None]
    columns = torch.arange(width, dtype=x.dtype, device=x.device)
    a0, a1, a2, b0, b1, b2, c0, c1 = (part[:, None, None] for part in matrix.unbind(-1))
    scale = c0 * columns + c1 * rows + 1
    across = ((a0 * columns + a1 * rows + a2) / scale * 2 + 1) / width - 1
    down = ((b0 * columns + b1 * rows + b2) / scale * 2 + 1) / height - 1
    fill = fill_value if fill_mode == "constant" else 0
    x = x - fill if fill else x
    found = F.grid_sample(
        x, torch.stack([across, down], dim=-1), "bilinear", padding_mode=_OUTSIDE[fill_mode], align_corners=False
    )
    found = found + fill if fill else found
    return found.movedim(1, -1) if data_format == "channels_last" else found


class _Affine(BaseImagePreprocessingLayer):
    """A layer whose images come from a matrix."""

    _USE_BASE_FACTOR = False

    def _matrix(self, transformation: Any, shape: Any) -> torch.Tensor:
        """Return (samples, 8) numbers for images of a shape."""
        raise NotImplementedError

    def _transform_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        if transformation is None:
            return images
        matrix = self._matrix(transformation, images.shape)
        return projected(images, matrix, interpolation, self.fill_mode, self.fill_value, self.data_format)

    def _fill_config(self) -> dict[str, Any]:
        return {
            "fill_mode": self.fill_mode,
            "interpolation": self.interpolation,
            "seed": self.seed,
            "fill_value": self.fill_value,
        }


def _matrix_of(a0: Any, a1: Any, a2: Any, b0: Any, b1: Any, b2: Any) -> torch.Tensor:
    """Return (samples, 8) numbers from six that are (samples,) tensors or numbers."""
    like = next(part for part in (a0, a1, a2, b0, b1, b2) if isinstance(part, torch.Tensor))
    parts = [
        part if isinstance(part, torch.Tensor) else torch.full_like(like, part)
        for part in (a0, a1, a2, b0, b1, b2, 0, 0)
    ]
    return torch.stack(parts, dim=-1)


class RandomRotation(_Affine):
    """Turns images in training, each by an angle of its own, about the middle.

    Args:
        factor: Largest turn as a share of a full one, or the least and the
            largest: 0.1 turns by up to 36 degrees either way.
        fill_mode: What lies outside the image: `"reflect"` (mirrored, with the edge),
            `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        fill_value: For `fill_mode="constant"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> half = RandomRotation((0.5, 0.5), interpolation="nearest")
        >>> half(torch.arange(4.0).reshape(2, 2, 1))[..., 0]
        tensor([[3., 2.],
                [1., 0.]])
    """

    _USE_BASE_FACTOR = True

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor=factor, data_format=data_format, **kwargs)
        self._set_seed(seed)
        self._set_fill(fill_mode, interpolation, fill_value)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the angles in degrees, and the matrices that they make."""
        if not training:
            return None
        images, count = self._count(data)
        height, width = self._sizes(tuple(images.shape))
        angle = self._uniform(images, (count,), self.factor[0] * 360.0, self.factor[1] * 360.0, seed).float()
        turn = angle * (math.pi / 180)
        cos, sin = torch.cos(turn), torch.sin(turn)
        x, y = (width - 1) / 2, (height - 1) / 2
        matrix = _matrix_of(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos)
        return {
            "angle": angle,
            "rotation_matrix": matrix,
            "image_height": height,
            "image_width": width,
            "batch_size": count,
        }

    def _matrix(self, transformation: Any, shape: Any) -> torch.Tensor:
        return transformation["rotation_matrix"]

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return the upright boxes around boxes that are turned with their images."""
        if not training or transformation is None:
            return bounding_boxes
        height, width = transformation["image_height"], transformation["image_width"]
        own = self.bounding_box_format or "xyxy"
        boxes = convert_format(bounding_boxes, own, "xyxy", height, width)
        none = torch.zeros_like(transformation["angle"])
        boxes["boxes"] = boxes_room.affine_transform(
            boxes["boxes"], transformation["angle"], none, none, none + 1, none, none, height, width
        )
        return convert_format(clip_to_image_size(boxes, height, width), "xyxy", own, height, width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, **self._fill_config()}


class _TwoFactors(_Affine):
    """A layer with a range down and one across."""

    def _set_factors(self, height_factor: Any, width_factor: Any, *, above: bool = False) -> None:
        owner = type(self).__name__
        self.height_factor, self.width_factor = height_factor, width_factor
        bounds = (-1.0, 1.0)
        self.height_lower, self.height_upper = factor_range(owner, "height_factor", height_factor, bounds, above=above)
        if width_factor is not None:
            self.width_lower, self.width_upper = factor_range(owner, "width_factor", width_factor, bounds, above=above)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "height_factor": self.height_factor,
            "width_factor": self.width_factor,
            **self._fill_config(),
        }


class RandomZoom(_TwoFactors):
    """Makes what images show larger or smaller in training, each by a factor of its own.

    The factor is a share: 0.2 shows 20 % more, so that all looks smaller, and -0.2 shows 20 % less.

    Args:
        height_factor: Down: a number stands for the range from its negative to itself, or two numbers.
        width_factor: Across; None keeps the proportions.
        fill_mode: What lies outside the image: `"reflect"` (mirrored, with the edge),
            `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        fill_value: For `fill_mode="constant"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> image = torch.arange(4.0).reshape(1, 4, 1)
        >>> RandomZoom((-0.5, -0.5), interpolation="nearest")(image).flatten()
        tensor([1., 1., 2., 2.])
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factors(height_factor, width_factor, above=True)
        self._set_fill(fill_mode, interpolation, fill_value)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the shares of height and width that are shown, and the shape of the images."""
        if not training:
            return None
        images, count = self._count(data)
        seed = self._draws(seed)
        down = self._uniform(images, (count, 1), 1.0 + self.height_lower, 1.0 + self.height_upper, seed)
        across = down
        if self.width_factor is not None:
            across = self._uniform(images, (count, 1), 1.0 + self.width_lower, 1.0 + self.width_upper, seed)
        return {"height_zoom": down, "width_zoom": across, "input_shape": tuple(images.shape)}

    def _matrix(self, transformation: Any, shape: Any) -> torch.Tensor:
        height, width = self._sizes(shape)
        across, down = transformation["width_zoom"][:, 0].float(), transformation["height_zoom"][:, 0].float()
        return _matrix_of(across, 0, (width - 1) / 2 * (1 - across), 0, down, (height - 1) / 2 * (1 - down))

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return boxes as they are in what is shown; those of which nothing is left get the label -1."""
        if not training or transformation is None:
            return bounding_boxes
        shape = transformation["input_shape"]
        height, width = self._sizes(shape)
        own = self.bounding_box_format or "xyxy"
        boxes = convert_format(bounding_boxes, own, "xyxy", height, width)
        across, _, right, _, down, below = self._matrix(transformation, shape)[:, :6, None].unbind(1)
        x1, y1, x2, y2 = boxes["boxes"].unbind(-1)
        # What is shown reaches from `right` on for `across * width` pixels.
        shown_x, shown_y = across * width, down * height
        boxes["boxes"] = torch.stack(
            [(x1 - right) / shown_x, (y1 - below) / shown_y, (x2 - right) / shown_x, (y2 - below) / shown_y], dim=-1
        )
        boxes = clip_to_image_size(boxes, bounding_box_format="rel_xyxy")
        return convert_format(boxes, "rel_xyxy", own, height, width)


class RandomTranslation(_TwoFactors):
    """Moves images in training, each by a distance of its own.

    Args:
        height_factor: Downwards, as a share of the height: a number stands for
            the range from its negative (upwards) to itself, or two numbers.
        width_factor: To the right, as a share of the width.
        fill_mode: What lies outside the image: `"reflect"` (mirrored, with the edge),
            `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        fill_value: For `fill_mode="constant"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> image = torch.arange(4.0).reshape(1, 4, 1)
        >>> RandomTranslation(0.0, (0.25, 0.25), fill_mode="constant", interpolation="nearest")(image).flatten()
        tensor([0., 0., 1., 2.])
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if width_factor is None:
            raise ValueError(
                explain(
                    "RandomTranslation got width_factor=None.",
                    "Expected a number, or two, from -1.0 to 1.0.",
                    "RandomTranslation(0.1, 0.1)",
                )
            )
        self._set_factors(height_factor, width_factor)
        self._set_fill(fill_mode, interpolation, fill_value)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the distances in pixels to the right and down, and the shape of the images."""
        if not training:
            return None
        images, count = self._count(data)
        height, width = self._sizes(tuple(images.shape))
        seed = self._draws(seed)
        down = self._uniform(images, (count, 1), self.height_lower, self.height_upper, seed) * height
        right = self._uniform(images, (count, 1), self.width_lower, self.width_upper, seed) * width
        return {"translations": torch.cat([right, down], dim=1).float(), "input_shape": tuple(images.shape)}

    def _matrix(self, transformation: Any, shape: Any) -> torch.Tensor:
        right, down = transformation["translations"].unbind(-1)
        return _matrix_of(1, 0, -right, 0, 1, -down)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return boxes, moved with their images; those that leave the image get the label -1."""
        if not training or transformation is None:
            return bounding_boxes
        height, width = self._sizes(transformation["input_shape"])
        own = self.bounding_box_format or "xyxy"
        boxes = convert_format(bounding_boxes, own, "xyxy", height, width)
        boxes["boxes"] = boxes["boxes"] + transformation["translations"].repeat(1, 2)[:, None]
        return convert_format(clip_to_image_size(boxes, height, width), "xyxy", own, height, width)


class RandomShear(_Affine):
    """Slants images in training, each by factors of its own: pixels move along one axis by a share of the other.

    Args:
        x_factor: Largest share across, from 0 to 1, or the least and the
            largest; one number also stands for its negative.
        y_factor: The same down.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: What lies outside the image: `"reflect"` (mirrored, with the edge),
            `"wrap"`, `"constant"` or `"nearest"`.
        fill_value: For `fill_mode="constant"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomShear(x_factor=0.2)(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.x_factor, self.y_factor = self._both_ways("x_factor", x_factor), self._both_ways("y_factor", y_factor)
        self._set_fill(fill_mode, interpolation, fill_value)
        self._set_seed(seed)

    def _both_ways(self, argument: str, factor: Any) -> tuple[float, float]:
        given = isinstance(factor, (tuple, list))
        # A file holds what one number was made of: its negative, and itself.
        if given and len(factor) == 2 and factor[0] == -factor[1]:
            factor, given = factor[1], False
        low, high = factor_range("RandomShear", argument, factor, (0.0, 1.0))
        return (low, high) if given else (-high, high)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the shares across and down (`"shear_factor"`), and the shape of the images."""
        if not training:
            return None
        images, count = self._count(data)
        seed = self._draws(seed)
        side = torch.where(self._uniform(images, (count, 1), 0.0, 1.0, seed) > 0.5, -1.0, 1.0)
        down = self._uniform(images, (count, 1), *self.y_factor, seed)
        across = self._uniform(images, (count, 1), *self.x_factor, seed)
        return {"shear_factor": torch.cat([across, down], dim=1) * side, "input_shape": tuple(images.shape)}

    def _matrix(self, transformation: Any, shape: Any) -> torch.Tensor:
        across, down = transformation["shear_factor"].float().unbind(-1)
        return _matrix_of(1, across, 0, down, 1, 0)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return upright boxes around boxes that are slanted with their images."""
        if not training or transformation is None:
            return bounding_boxes
        height, width = self._sizes(transformation["input_shape"])
        own = self.bounding_box_format or "xyxy"
        boxes = convert_format(bounding_boxes, own, "rel_xyxy", height, width)
        across, down = transformation["shear_factor"][:, :, None].to(boxes["boxes"]).unbind(1)
        x1, y1, x2, y2 = boxes["boxes"].unbind(-1)
        x1, x2 = (
            x1 - across * torch.where(across < 0, y1, y2),
            x2 - across * torch.where(across < 0, y2, y1),
        )
        y1, y2 = (
            y1 - down * torch.where(down > 0, x2, x1),
            y2 - down * torch.where(down > 0, x1, x2),
        )
        boxes["boxes"] = torch.stack([x1, y1, x2, y2], dim=-1)
        boxes = clip_to_image_size(boxes, bounding_box_format="rel_xyxy")
        return convert_format(boxes, "rel_xyxy", own, height, width)

    def get_config(self) -> dict[str, Any]:
        # Keras does not read a negative number, although it writes it.
        both = {"x_factor": self.x_factor, "y_factor": self.y_factor}
        written = {name: high if low == -high else (low, high) for name, (low, high) in both.items()}
        return {**super().get_config(), **written, **self._fill_config()}
