"""What layers that change images share: one image or a batch, with labels, boxes and masks beside it.

The data is a tensor of images, or a dict: `"images"`, and, where there are
any, `"labels"`, `"bounding_boxes"` and `"segmentation_masks"`. Random numbers
are drawn once for all of them (`get_random_transformation`), so that boxes
and masks move with their image.
"""

from __future__ import annotations

import numbers
from typing import Any

import torch

from uncrumple import random
from uncrumple.core.errors import explain
from uncrumple.core.seed_generator import SeedGenerator
from uncrumple.layers import checks
from uncrumple.layers.augmentation.bounding_boxes import dense, known_format
from uncrumple.layers.base import Layer
from uncrumple.ops.tensors import tensor

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")


class BaseImagePreprocessingLayer(Layer):
    """The base of layers that change images; write your own by overriding two methods or more.

    - `get_random_transformation(data, training, seed)` draws what is random;
    - `transform_images(images, transformation, training)` changes a batch of images;
    - `transform_labels`, `transform_bounding_boxes` and `transform_segmentation_masks`
      change what belongs to the images. Labels stay as they are by default.

    Args:
        factor: How strong; its range is that of `_FACTOR_BOUNDS`.
        bounding_box_format: How boxes are written, such as `"xyxy"`; needed where there are any.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Call arguments: `training`; by default True, but in a model that is fitted, evaluated or told `training=`.

    Shapes: (samples, height, width, channels), or one image without samples.

    Example:
        >>> class Shift(BaseImagePreprocessingLayer):
        ...     def transform_images(self, images, transformation, training=True):
        ...         return images + 1 if training else images
        >>> Shift()(torch.zeros(2, 1, 1, 1)).flatten()
        tensor([1., 1.])
    """

    _USE_BASE_FACTOR = True
    _FACTOR_BOUNDS: tuple[float, float] = (-1, 1)

    interpolation = "bilinear"

    def __init__(
        self, factor: Any = None, bounding_box_format: str | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.bounding_box_format = None if bounding_box_format is None else known_format(bounding_box_format)
        self.data_format = checks.data_format(owner, data_format)
        last = self.data_format == "channels_last"
        self.height_axis, self.width_axis, self.channel_axis = (-3, -2, -1) if last else (-2, -1, -3)
        if self._USE_BASE_FACTOR:
            self._set_factor(0.0 if factor is None else factor)
        elif factor is not None:
            raise ValueError(
                explain(f"{owner} got factor={factor!r}.", f"Expected none: {owner} has no factor.", f"{owner}()")
            )
        self.built = True

    # --- settings -------------------------------------------------------------------------

    def _set_factor(self, factor: Any) -> None:
        """Keep the range that the strength is drawn from."""
        self.factor: Any = factor_range(type(self).__name__, "factor", factor, self._FACTOR_BOUNDS)

    def _set_seed(self, seed: Any) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, numbers.Integral)):
            owner = type(self).__name__
            raise ValueError(
                explain(f"{owner} got seed={seed!r}.", "Expected a whole number, or None.", f"{owner}(..., seed=0)")
            )
        self.seed = None if seed is None else int(seed)
        self.generator = SeedGenerator(self.seed)

    def _set_fill(
        self, fill_mode: str, interpolation: str, fill_value: Any, modes: tuple[str, ...] = FILL_MODES
    ) -> None:
        owner = type(self).__name__
        self.fill_mode = checks.one_of(owner, "fill_mode", fill_mode, modes)
        self.interpolation = checks.one_of(owner, "interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = number(owner, "fill_value", fill_value)

    def _set_value_range(self, value_range: Any, as_given: bool = False) -> None:
        """Keep the least and the largest number of images."""
        owner = type(self).__name__
        good = isinstance(value_range, (tuple, list)) and len(value_range) == 2
        if not good or not all(is_number(one) for one in value_range) or value_range[0] == value_range[1]:
            raise ValueError(
                explain(
                    f"{owner} got value_range={value_range!r}.",
                    "Expected two numbers: the least and the largest that images have.",
                    f"{owner}(..., value_range=(0, 255))",
                )
            )
        self.value_range = value_range if as_given else sorted(value_range)

    # --- what a class of one's own overrides ------------------------------------------------

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return what is random about one call: any value, which the `transform_` methods are given."""
        return None

    def _transform_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no transform_images() method.",
                "Expected one: it says what happens to images.",
                "def transform_images(self, images, transformation, training=True): return ...",
            )
        )

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images, changed."""
        images = self._computed(images)
        return self._transform_images(images, transformation, self.interpolation) if training else images

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Return the labels of a batch of images."""
        return labels

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return the boxes of a batch of images: a dict of `"boxes"` and `"labels"`."""
        raise NotImplementedError(self._has_none_for("bounding boxes", "transform_bounding_boxes"))

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return the masks of a batch of images, which are never mixed with their neighbours."""
        if not training:
            return segmentation_masks
        return self._transform_images(tensor(segmentation_masks), transformation, "nearest")

    def _has_none_for(self, what: str, method: str) -> str:
        return explain(
            f"{type(self).__name__} got {what}.",
            "Expected none: it is not known how they change with the images.",
            f"leave them out, or override {method}() in a class of your own",
        )

    # --- one of each ------------------------------------------------------------------------

    def transform_single_image(self, image: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return one image, changed."""
        return self.transform_images(tensor(image)[None], transformation=transformation, training=training)[0]

    def transform_single_label(self, label: Any, transformation: Any, training: bool = True) -> Any:
        """Return the label of one image."""
        return self.transform_labels(tensor(label)[None], transformation=transformation, training=training)[0]

    def transform_single_bounding_box(self, bounding_box: Any, transformation: Any, training: bool = True) -> Any:
        """Return the boxes of one image."""
        whole = {key: tensor(value)[None] if key in _OF_BOXES else value for key, value in bounding_box.items()}
        found = self.transform_bounding_boxes(whole, transformation=transformation, training=training)
        return {key: value[0] if key in _OF_BOXES else value for key, value in found.items()}

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Return the mask of one image."""
        mask = tensor(segmentation_mask)[None]
        return self.transform_segmentation_masks(mask, transformation=transformation, training=training)[0]

    # --- calling ----------------------------------------------------------------------------

    def call(self, data: Any, training: bool = True) -> Any:
        batched = self._is_batched(self._images(data))
        transformation = self.get_random_transformation(data, training=training)
        image = self.transform_images if batched else self.transform_single_image
        if not isinstance(data, dict):
            return image(tensor(data), transformation=transformation, training=training)
        result = {**data, "images": image(tensor(data["images"]), transformation=transformation, training=training)}
        if "bounding_boxes" in data:
            self._require_format()
            boxes = dense(data["bounding_boxes"])
            box = self.transform_bounding_boxes if batched else self.transform_single_bounding_box
            result["bounding_boxes"] = box(boxes, transformation=transformation, training=training)
        if "labels" in data:
            label = self.transform_labels if batched else self.transform_single_label
            result["labels"] = label(tensor(data["labels"]), transformation=transformation, training=training)
        if "segmentation_masks" in data:
            mask = self.transform_segmentation_masks if batched else self.transform_single_segmentation_mask
            masks = tensor(data["segmentation_masks"])
            result["segmentation_masks"] = mask(masks, transformation=transformation, training=training)
        return result

    def _require_format(self) -> None:
        if self.bounding_box_format is None:
            owner = type(self).__name__
            raise ValueError(
                explain(
                    f"{owner} got 'bounding_boxes', and does not know how they are written.",
                    "Expected a bounding_box_format.",
                    f'{owner}(..., bounding_box_format="xyxy")',
                )
            )

    def _images(self, data: Any) -> Any:
        """Return the images of the data, which may come with other things."""
        if not isinstance(data, dict):
            return data
        if "images" not in data:
            raise ValueError(
                explain(
                    f"{self._label} got a dict with {sorted(data)}.", "Expected 'images' in it.", '{"images": images}'
                )
            )
        return data["images"]

    def _is_batched(self, images: Any) -> bool:
        shape = tuple(images.shape)
        if len(shape) not in (3, 4):
            raise ValueError(
                explain(
                    f"{self._label} got a tensor of shape {shape}.",
                    "Expected 3 axes (an image) or 4 (several).",
                    "images[..., None] adds the axis of channels",
                )
            )
        return len(shape) == 4

    # --- for the classes --------------------------------------------------------------------

    def _computed(self, images: Any) -> torch.Tensor:
        """Return images in the type that is computed in."""
        images = tensor(images)
        return images if images.dtype is self._compute_in else images.to(self._compute_in)

    def _count(self, data: Any) -> tuple[torch.Tensor, int]:
        """Return the images of the data, and how many there are."""
        images = self._images(data)
        return images, images.shape[0] if self._is_batched(images) else 1

    def _draws(self, seed: Any) -> Any:
        return self.generator if seed is None else seed

    def _uniform(self, like: Any, shape: Any, low: float, high: float, seed: Any) -> torch.Tensor:
        """Return random numbers from `low` to `high`, where `like` is."""
        found = random.uniform(shape, low, high, dtype=self.compute_dtype, seed=self._draws(seed))
        return found.to(like.device) if isinstance(like, torch.Tensor) else found

    def _happens(self, like: Any, count: int, chances: tuple[float, float], seed: Any) -> torch.Tensor:
        """Return for each image whether something happens, of which the probability is itself drawn from a range."""
        seed = self._draws(seed)
        chance = self._uniform(like, (count,), *chances, seed)
        return self._uniform(like, (count,), 0.0, 1.0, seed) < chance

    def _sizes(self, shape: Any) -> tuple[int, int]:
        """Return height and width of an image's shape."""
        return shape[self.height_axis], shape[self.width_axis]

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "data_format": self.data_format}
        if self.bounding_box_format is not None:
            config["bounding_box_format"] = self.bounding_box_format
        return config


_OF_BOXES = ("boxes", "labels")


class ColourLayer(BaseImagePreprocessingLayer):
    """A layer that changes colours and nothing's place: boxes and masks stay as they are."""

    _USE_BASE_FACTOR = False

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        """Return the boxes as they are."""
        return bounding_boxes

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """Return the masks as they are."""
        return segmentation_masks


# --- checks -------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value


def number(owner: str, argument: str, value: Any) -> Any:
    """Return a number, or raise a ValueError that names the argument."""
    if not is_number(value):
        raise ValueError(
            explain(f"{owner} got {argument}={value!r}.", "Expected a number.", f"{owner}(..., {argument}=0.0)")
        )
    return value


def factor_range(
    owner: str, argument: str, factor: Any, bounds: tuple[float, float], *, symmetric: bool = True, above: bool = False
) -> tuple[Any, Any]:
    """Return the least and the largest of a factor that is one number or two.

    Args:
        owner, argument: For the message.
        factor: A number stands for the range from its negative (or the lower
            bound, if that is larger) to itself; two are the range.
        bounds: What it must lie within.
        symmetric: Whether one number also stands for its negative; else the range begins at 0.
        above: Whether the lower bound itself is refused.
    """
    low, high = bounds
    both = tuple(factor) if isinstance(factor, (tuple, list)) else (factor,)
    good = len(both) == (2 if isinstance(factor, (tuple, list)) else 1) and all(is_number(one) for one in both)
    if not good or not all(low <= one <= high and not (above and one == low) for one in both):
        raise ValueError(
            explain(
                f"{owner} got {argument}={factor!r}.",
                f"Expected a number, or two, {'above' if above else 'from'} {low} {'and up ' if above else ''}to {high}.",
                f"{owner}({argument}={_usual(low, high)})",
            )
        )
    if len(both) == 2:
        return min(both), max(both)
    if not symmetric:
        return 0, factor
    return max(-abs(factor), low), abs(factor)


def _usual(low: float, high: float) -> float:
    return 0.2 if high <= 1 else high // 2


def in_range(images: torch.Tensor, before: Any, after: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return images of one range of values in another."""
    if before[0] == after[0] and before[1] == after[1]:
        return images
    images = images if dtype is None else images.to(dtype)
    share = (images - before[0]) / (before[1] - before[0])
    return share * (after[1] - after[0]) + after[0]


def each(x: torch.Tensor) -> torch.Tensor:
    """Return one number for each image in a shape that broadcasts against images."""
    return x.reshape(-1, 1, 1, 1)
