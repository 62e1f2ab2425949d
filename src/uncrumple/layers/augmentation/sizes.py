"""Images in another size: scaled, or cut out of the middle or anywhere."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.layers import checks
from uncrumple.layers.augmentation.base import BaseImagePreprocessingLayer, number
from uncrumple.layers.augmentation.bounding_boxes import clip_to_image_size, convert_format, crop
from uncrumple.ops.image import resize
from uncrumple.ops.tensors import tensor

_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


class _Sized(BaseImagePreprocessingLayer):
    """A layer with a height and a width that its results have."""

    _USE_BASE_FACTOR = False

    def _set_size(self, height: Any, width: Any) -> None:
        owner = type(self).__name__
        self.height = checks.whole_number(owner, "height", height, example=224)
        self.width = checks.whole_number(owner, "width", width, example=224)

    def _cut(self, images: torch.Tensor, top: int, left: int, height: int, width: int) -> torch.Tensor:
        return images.narrow(self.height_axis, top, height).narrow(self.width_axis, left, width)

    def _resized(self, images: torch.Tensor, interpolation: str = "bilinear") -> torch.Tensor:
        """Return images in the size, if they do not have it."""
        if self._sizes(images.shape) == (self.height, self.width):
            return images
        return resize(images, (self.height, self.width), interpolation, data_format=self.data_format)

    def _window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width of the largest part in the middle that has the proportions wanted."""
        rows = max(min(height, int(width * self.height / self.width)), 1)
        columns = max(min(width, int(height * self.width / self.height)), 1)
        return int((height - rows) / 2), int((width - columns) / 2), rows, columns

    def _boxes_in_window(self, boxes: Any, shape: tuple[int, int], window: tuple[int, int, int, int]) -> Any:
        """Return boxes as they are in a part of the images that is then scaled."""
        top, left, rows, columns = window
        height, width = shape
        boxes = convert_format(boxes, self.bounding_box_format or "xyxy", "xyxy", height, width)
        found = crop(boxes["boxes"], top, left, rows, columns)
        if (rows, columns) != (self.height, self.width):
            found = convert_format(found, "xyxy", "rel_xyxy", rows, columns)
            found = convert_format(found, "rel_xyxy", "xyxy", self.height, self.width)
        boxes = clip_to_image_size({**boxes, "boxes": found}, self.height, self.width)
        return convert_format(boxes, "xyxy", self.bounding_box_format or "xyxy", self.height, self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}


class Resizing(_Sized):
    """Brings images to one size, in training and otherwise.

    Args:
        height, width: Of the result, in pixels.
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        crop_to_aspect_ratio: Whether to cut off what does not fit the new proportions, in place of squeezing.
        pad_to_aspect_ratio: Whether to fill up what is missing for the new proportions.
        fill_mode: Only `"constant"`.
        fill_value: What is filled up with.
        antialias: Whether smaller pictures mix all the pixels they stand for.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Shapes: (samples, rows, columns, channels), or without samples, to (samples, height, width, channels), of the
    same type; whole numbers are rounded.

    Example:
        >>> Resizing(4, 6)(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 4, 6, 3])
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)
        self.interpolation = checks.one_of("Resizing", "interpolation", interpolation, _INTERPOLATIONS)
        self.crop_to_aspect_ratio = bool(crop_to_aspect_ratio)
        # Both at once are refused by `resize`; better here, where they are given.
        self.pad_to_aspect_ratio = checks.one_of(
            "Resizing",
            "pad_to_aspect_ratio",
            bool(pad_to_aspect_ratio),
            (False,) if crop_to_aspect_ratio else (False, True),
        )
        self.fill_mode = checks.one_of("Resizing", "fill_mode", fill_mode, ("constant",))
        self.fill_value = number("Resizing", "fill_value", fill_value)
        self.antialias = bool(antialias)

    def _transform_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        return resize(
            images,
            (self.height, self.width),
            interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the height and width of the images: nothing is random."""
        return self._sizes(tuple(self._images(data).shape))

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images in the new size."""
        return self._transform_images(tensor(images), transformation, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """Return masks in the new size, of the nearest pixels."""
        return self._transform_images(tensor(segmentation_masks), transformation, "nearest")

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return boxes as they are in the new size; boxes of zeros or of -1 become zeros."""
        height, width = transformation
        own = self.bounding_box_format or "xyxy"
        none = ((bounding_boxes["boxes"] == -1) | (bounding_boxes["boxes"] == 0)).all(-1, keepdim=True)
        boxes = convert_format(bounding_boxes, own, "xyxy", height, width)
        (across, right), (down, below) = self._scales(height, width)
        factor, shift = boxes["boxes"].new_tensor([across, down] * 2), boxes["boxes"].new_tensor([right, below] * 2)
        boxes = clip_to_image_size({**boxes, "boxes": boxes["boxes"] * factor + shift}, self.height, self.width)
        boxes["boxes"] = torch.where(none, 0.0, boxes["boxes"])
        return convert_format(boxes, "xyxy", own, self.height, self.width)

    def _scales(self, height: int, width: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return (factor, shift) across and down."""
        across, down = self.width / width, self.height / height
        if self.pad_to_aspect_ratio:
            one = min(across, down)
            return (one, (self.width - width * one) // 2), (one, (self.height - height * one) // 2)
        if self.crop_to_aspect_ratio:
            one = max(across, down)
            return (one, -((width * one - self.width) // 2)), (one, -((height * one - self.height) // 2))
        return (across, 0.0), (down, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "antialias": self.antialias,
        }


class CenterCrop(_Sized):
    """Cuts the middle out of images, in training and otherwise.

    Of an image that is smaller than that, the largest part in the middle that
    has the proportions is scaled up.

    Args:
        height, width: Of the result, in pixels.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Shapes: (samples, rows, columns, channels), or without samples, to (samples, height, width, channels).

    Example:
        >>> CenterCrop(2, 2)(torch.arange(16.0).reshape(4, 4, 1))[..., 0]
        tensor([[ 5.,  6.],
                [ 9., 10.]])
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the shape of the images: nothing is random."""
        return {"input_shape": tuple(self._images(data).shape)}

    def _part(self, height: int, width: int) -> tuple[int, int, int, int]:
        if height >= self.height and width >= self.width:
            return (height - self.height) // 2, (width - self.width) // 2, self.height, self.width
        return self._window(height, width)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return the middle of a batch of images."""
        images = self._computed(images)
        return self._resized(self._cut(images, *self._part(*self._sizes(images.shape))))

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return the middle of masks, of the nearest pixels where they are scaled."""
        masks = self._computed(segmentation_masks)
        return self._resized(self._cut(masks, *self._part(*self._sizes(masks.shape))), "nearest")

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return boxes as they are in the middle; those of which nothing is left get the label -1."""
        height, width = self._sizes(transformation["input_shape"])
        return self._boxes_in_window(bounding_boxes, (height, width), self._part(height, width))


class RandomCrop(_Sized):
    """Cuts a part out of images, in training from anywhere: the same place for all images of a batch.

    Otherwise, and where an image is no larger than the part, the largest part
    in the middle that has the proportions is taken, and scaled to the size.

    Args:
        height, width: Of the result, in pixels.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples, to (samples, height, width, channels).

    Example:
        >>> RandomCrop(5, 4)(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 5, 4, 3])
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, name=name, **kwargs)
        self._set_size(height, width)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the first row and the first column of the part, and height and width of the images."""
        images = self._images(data)
        height, width = self._sizes(tuple(images.shape))
        if not training or height <= self.height or width <= self.width:
            return *self._window(height, width)[:2], height, width
        if images.is_meta:
            return 0, 0, height, width
        seed = self._draws(seed)
        top = self._uniform(None, (), 0.0, float(height - self.height + 1), seed)
        left = self._uniform(None, (), 0.0, float(width - self.width + 1), seed)
        # Rounding may give the upper end itself.
        return min(int(top), height - self.height), min(int(left), width - self.width), height, width

    def _part(self, shape: tuple[int, int], transformation: Any, training: bool) -> tuple[int, int, int, int]:
        height, width = shape
        window = self._window(height, width)
        if not training or height <= self.height or width <= self.width:
            return window
        top, left = (int(place) for place in transformation[:2])
        return top, left, self.height, self.width

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a part of a batch of images."""
        return self._transformed(images, transformation, training, "bilinear")

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return the same part of masks, of the nearest pixels where they are scaled."""
        return self._transformed(segmentation_masks, transformation, training, "nearest")

    def _transformed(self, images: Any, transformation: Any, training: bool, interpolation: str) -> torch.Tensor:
        images = self._computed(images)
        part = self._part(self._sizes(images.shape), transformation, training)
        return self._resized(self._cut(images, *part), interpolation)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return boxes as they are in the part; those of which nothing is left get the label -1."""
        shape = transformation[2:]
        return self._boxes_in_window(bounding_boxes, shape, self._part(shape, transformation, training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
