"""Images mirrored at random."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.layers import checks
from uncrumple.layers.augmentation.base import BaseImagePreprocessingLayer
from uncrumple.layers.augmentation.bounding_boxes import clip_to_image_size, convert_format
from uncrumple.ops.tensors import tensor

_MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(BaseImagePreprocessingLayer):
    """Mirrors images in training, each with a probability of a half.

    With `"horizontal_and_vertical"` an image is mirrored both ways or not at all.

    Args:
        mode: `"horizontal"` (left becomes right), `"vertical"` (top becomes bottom) or `"horizontal_and_vertical"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> image = torch.tensor([[[1.0], [2.0]]])
        >>> sorted({float(RandomFlip("horizontal", seed=seed)(image)[0, 0, 0]) for seed in range(20)})
        [1.0, 2.0]
    """

    _USE_BASE_FACTOR = False

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_seed(seed)
        self.mode = checks.one_of("RandomFlip", "mode", mode, _MODES)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return which images are mirrored (`"flips"`), and the shape of the images."""
        if not training:
            return None
        images = self._images(data)
        shape = tuple(images.shape)
        ones = (1, 1, 1) if len(shape) == 3 else (shape[0], 1, 1, 1)
        return {"flips": self._uniform(images, ones, 0.0, 1.0, seed) <= 0.5, "input_shape": shape}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images, some of them mirrored."""
        return self._flipped(self._computed(images), transformation, training)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return masks, mirrored with their images."""
        return self._flipped(tensor(segmentation_masks), transformation, training)

    def _flipped(self, images: torch.Tensor, transformation: Any, training: bool) -> torch.Tensor:
        if not training or transformation is None:
            return images
        axes = {"horizontal": [self.width_axis], "vertical": [self.height_axis]}
        whole = axes.get(self.mode, [self.height_axis, self.width_axis])
        return torch.where(transformation["flips"], images.flip(whole), images)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return boxes, mirrored with their images."""
        if not training or transformation is None:
            return bounding_boxes
        height, width = self._sizes(transformation["input_shape"])
        own = self.bounding_box_format or "xyxy"
        boxes = convert_format(bounding_boxes, own, "rel_xyxy", height, width)
        left, top, right, bottom = boxes["boxes"].unbind(-1)
        if self.mode != "vertical":
            left, right = 1 - right, 1 - left
        if self.mode != "horizontal":
            top, bottom = 1 - bottom, 1 - top
        turned = torch.stack([left, top, right, bottom], dim=-1)
        boxes["boxes"] = torch.where(transformation["flips"].squeeze(-1), turned, boxes["boxes"])
        boxes = clip_to_image_size(boxes, bounding_box_format="rel_xyxy")
        return convert_format(boxes, "rel_xyxy", own, height, width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "mode": self.mode}
