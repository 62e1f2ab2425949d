"""Images mixed with others of their batch."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import random
from uncrumple.core.errors import explain
from uncrumple.layers.augmentation.base import BaseImagePreprocessingLayer, each, is_number
from uncrumple.layers.augmentation.rectangles import mixed_labels


class MixUp(BaseImagePreprocessingLayer):
    """Mixes each image with another of its batch in training, and their labels in the same shares.

    `output = share * image + (1 - share) * other`, with the share drawn from beta(alpha, alpha).

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.

    Args:
        alpha: The larger, the more evenly images are mixed; above 0.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), with `"labels"` of (samples,
    classes), as they came; an image gets the boxes of both.

    Example:
        >>> mixed = MixUp()({"images": torch.zeros(2, 8, 8, 3), "labels": torch.eye(2)})
        >>> mixed["labels"].sum(-1)
        tensor([1., 1.])
    """

    _USE_BASE_FACTOR = False

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if not is_number(alpha) or alpha <= 0:
            raise ValueError(explain(f"MixUp got alpha={alpha!r}.", "Expected a number above 0.", "MixUp(alpha=0.2)"))
        self.alpha = alpha
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the partner of each image, and the share that each image keeps."""
        if not training:
            return None
        images, count = self._count(data)
        seed = self._draws(seed)
        order = random.shuffle(torch.arange(count, device=images.device), seed=seed)
        share = random.beta((count,), self.alpha, self.alpha, seed=seed).to(images.device)
        return {"mix_weight": share, "permutation_order": order}

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images, mixed."""
        images = self._computed(images)
        return self._mixed(images, transformation) if training else images

    def _mixed(self, images: torch.Tensor, transformation: Any) -> torch.Tensor:
        share = each(transformation["mix_weight"]).to(images)
        return share * images + (1.0 - share) * images[transformation["permutation_order"].long()]

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Return the labels of a batch, mixed: (samples, classes)."""
        return mixed_labels(self._label, labels, transformation) if training else labels

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return for each image its own boxes, and those of its partner."""
        if not training:
            return bounding_boxes
        order = transformation["permutation_order"].long()
        both = {key: torch.cat([bounding_boxes[key], bounding_boxes[key][order]], dim=1) for key in ("boxes", "labels")}
        return {**bounding_boxes, **both}

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return masks, mixed as their images: shares of classes."""
        return self._mixed(self._computed(segmentation_masks), transformation) if training else segmentation_masks

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "seed": self.seed}
