"""As many boxes for every image."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F

from uncrumple.layers import checks
from uncrumple.layers.augmentation.base import ColourLayer


class MaxNumBoundingBoxes(ColourLayer):
    """Gives every image the same number of boxes: those beyond are left out, and missing ones filled up.

    Args:
        max_number: How many.
        fill_value: The numbers and the labels of what is filled up.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Shapes: `"boxes"` (samples, any number, 4) to (samples, max_number, 4), and
    `"labels"` alike; images, labels and masks stay as they are.

    Example:
        >>> import torch
        >>> boxes = {"boxes": torch.zeros(1, 2, 4), "labels": torch.zeros(1, 2)}
        >>> layer = MaxNumBoundingBoxes(3, bounding_box_format="xyxy")
        >>> layer({"images": torch.zeros(1, 8, 8, 3), "bounding_boxes": boxes})["bounding_boxes"]["labels"]
        tensor([[ 0.,  0., -1.]])
    """

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_number = checks.whole_number("MaxNumBoundingBoxes", "max_number", max_number, example=100)
        self.fill_value = int(fill_value)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        """Return the images as they are."""
        return images

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        """Return as many boxes for every image."""
        boxes, labels = (bounding_boxes[key][:, : self.max_number] for key in ("boxes", "labels"))
        missing = self.max_number - boxes.shape[1]
        return {
            **bounding_boxes,
            "boxes": F.pad(boxes, (0, 0, 0, missing), value=self.fill_value),
            "labels": F.pad(labels, (0, missing), value=self.fill_value),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_number": self.max_number, "fill_value": self.fill_value}
