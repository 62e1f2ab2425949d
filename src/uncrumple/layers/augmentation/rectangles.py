"""Rectangles at random places in images: erased, or exchanged between images."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import random
from uncrumple.core.errors import explain
from uncrumple.layers.augmentation.base import ColourLayer, each, factor_range, is_number
from uncrumple.ops.tensors import tensor


class _Rectangles(ColourLayer):
    """A layer that draws a rectangle in each image."""

    _FACTOR_BOUNDS = (0, 1)

    def _drawn(
        self, images: torch.Tensor, across: torch.Tensor, down: torch.Tensor, seed: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which pixels lie in rectangles of given shares of width and height, and the share of the area.

        A pixel lies within if its number does, edges at fractions of pixels included.
        """
        shape = tuple(images.shape)
        height, width = self._sizes(shape)
        count = across.shape[0]
        bounds = []
        for share, size in ((across, width), (down, height)):
            length = share * size
            start = self._uniform(images, (count,), 0.0, 1.0, seed) * (size - length)
            bounds.append((start, start + length))
        (x0, x1), (y0, y1) = bounds
        rows = _within(height, y0, y1)
        columns = _within(width, x0, x1)
        inside = rows[:, :, None] & columns[:, None, :]
        area = (x1 - x0) * (y1 - y0) / (width * height)
        return inside.unsqueeze(self.channel_axis), area


def _within(size: int, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return (samples, size): which places lie from start up to, without, end."""
    places = torch.arange(size, dtype=start.dtype, device=start.device)
    return (places >= start[:, None]) & (places < end[:, None])


class RandomErasing(_Rectangles):
    """Covers a rectangle of images in training, each with a probability, with noise or one colour.

    Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.

    Args:
        factor: The probability, from 0 to 1, or the least and the largest one.
        scale: (least, largest): height and width are drawn as the square roots
            of such shares of the image's; one number stands for (0, number).
        fill_value: A number, or three, for what covers it; None takes normal
            noise, times the largest number of `value_range`, cut off at its ends.
        value_range: The least and the largest number of images.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> RandomErasing((1.0, 1.0), scale=(1.0, 1.0), fill_value=7)(torch.zeros(1, 2, 1)).flatten()
        tensor([7., 7.])
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.scale = factor_range("RandomErasing", "scale", scale, self._FACTOR_BOUNDS)
        parts = fill_value if isinstance(fill_value, (tuple, list)) else [fill_value]
        three = isinstance(fill_value, (tuple, list))
        if fill_value is not None and not (all(is_number(one) for one in parts) and len(parts) == (3 if three else 1)):
            raise ValueError(
                explain(
                    f"RandomErasing got fill_value={fill_value!r}.",
                    "Expected a number, three numbers, or None for noise.",
                    "RandomErasing(fill_value=0)",
                )
            )
        self.fill_value = fill_value
        self._set_value_range(value_range, as_given=True)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return which images are covered, where (`"batch_masks"`), and with what (`"fill_value"`)."""
        if not training:
            return None
        images, count = self._count(data)
        seed = self._draws(seed)
        shares = self._uniform(images, (count, 2), *self.scale, seed).sqrt()
        masks, _ = self._drawn(images, shares[:, 0], shares[:, 1], seed)
        return {
            "apply_erasing": self._happens(images, count, self.factor, seed),
            "batch_masks": masks,
            "fill_value": self._fill(images, seed).clamp(*self.value_range),
        }

    def _fill(self, images: torch.Tensor, seed: Any) -> torch.Tensor:
        if self.fill_value is None:
            noise = random.normal(tuple(images.shape), dtype=self.compute_dtype, seed=seed)
            return noise.to(images.device) * self.value_range[1]
        found = torch.tensor(self.fill_value, dtype=self._compute_in, device=images.device)
        return found.reshape(-1, 1, 1) if found.ndim and self.data_format == "channels_first" else found

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images, some of them partly covered."""
        images = self._computed(images)
        if not training or transformation is None:
            return images
        covered = transformation["batch_masks"] & each(transformation["apply_erasing"])
        return torch.where(covered, transformation["fill_value"].to(images), images)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "scale": self.scale,
            "fill_value": self.fill_value,
            "value_range": self.value_range,
            "seed": self.seed,
        }


class CutMix(_Rectangles):
    """Puts a rectangle of another image of the batch into each image in training, and mixes their labels by area.

    The share of the area is drawn as `1 - beta(alpha, alpha)`, with alpha drawn
    from `factor` once for a batch. One image alone stays as it is.

    Source: Yun et al., "CutMix", ICCV 2019.

    Args:
        factor: alpha, from 0 to 1: a number stands for the range from 0 to it, or two numbers.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), with `"labels"` of (samples, classes); as they came.

    Example:
        >>> mixed = CutMix()({"images": torch.zeros(2, 8, 8, 3), "labels": torch.eye(2)})
        >>> mixed["labels"].sum(-1)
        tensor([1., 1.])
    """

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the partner of each image, where its rectangle is, and the share that each image keeps."""
        images, count = self._count(data)
        if not training or images.ndim == 3:
            return None
        seed = self._draws(seed)
        alpha = self._uniform(images, (), self.factor[0], self.factor[1], seed) + 1e-6
        kept = random.beta((count,), alpha, alpha, seed=seed).to(images.device, self._compute_in)
        side = torch.sqrt(1.0 - kept)
        masks, area = self._drawn(images, side, side, seed)
        return {
            "permutation_order": random.shuffle(torch.arange(count, device=images.device), seed=seed),
            "batch_masks": masks,
            "mix_weight": each(1.0 - area),
        }

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images with parts of others."""
        return self._exchanged(self._computed(images), transformation, training)

    def _exchanged(self, images: torch.Tensor, transformation: Any, training: bool) -> torch.Tensor:
        if not training or transformation is None:
            return images
        masks = transformation["batch_masks"]
        return torch.where(masks, images[transformation["permutation_order"].long()], images)

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Return the labels of a batch, mixed by area: (samples, classes)."""
        return mixed_labels(self._label, labels, transformation) if training and transformation is not None else labels

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        """Refuse: a box may lie across the edge of a rectangle."""
        raise NotImplementedError(self._has_none_for("bounding boxes", "transform_bounding_boxes"))

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """Return masks with parts of others, as their images."""
        return self._exchanged(tensor(segmentation_masks), transformation, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "seed": self.seed}


def mixed_labels(owner: str, labels: torch.Tensor, transformation: Any) -> torch.Tensor:
    """Return the labels of images mixed with those of their partners: shares of classes."""
    if labels.ndim != 2:
        raise ValueError(
            explain(
                f"{owner} got labels of shape {tuple(labels.shape)}.",
                "Expected (samples, classes): mixed images belong to two classes, each with a share.",
                "utils.to_categorical(labels)",
            )
        )
    share = transformation["mix_weight"].reshape(-1, 1)
    labels = labels if labels.is_floating_point() else labels.to(share.dtype)
    return share.to(labels) * labels + (1.0 - share).to(labels) * labels[transformation["permutation_order"].long()]
