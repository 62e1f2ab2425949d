"""Several changes of images, chosen at random."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import random
from uncrumple.core.errors import explain
from uncrumple.layers import checks
from uncrumple.layers.augmentation.affine import RandomRotation, RandomShear, RandomTranslation
from uncrumple.layers.augmentation.base import INTERPOLATIONS, BaseImagePreprocessingLayer, is_number
from uncrumple.layers.augmentation.brightness import AutoContrast, RandomBrightness, RandomContrast
from uncrumple.layers.augmentation.colours import RandomColorDegeneration
from uncrumple.layers.augmentation.histograms import Equalization
from uncrumple.layers.augmentation.levels import RandomPosterization, Solarization
from uncrumple.layers.augmentation.sharpness import RandomSharpness
from uncrumple.ops.tensors import tensor


class _Policy(BaseImagePreprocessingLayer):
    """A layer that holds others and runs some of them."""

    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (0, 1)
    _NAMES: tuple[str, ...] = ()

    def _set_parts(self, factor: Any, value_range: Any, interpolation: str, seed: Any) -> None:
        """Make the parts, all as strong as `factor` says."""
        self._set_factor(factor)
        self._set_value_range(value_range, as_given=True)
        self.interpolation = checks.one_of(type(self).__name__, "interpolation", interpolation, INTERPOLATIONS)
        self._set_seed(seed)
        both = self.factor
        shared: dict[str, Any] = {
            "data_format": self.data_format,
            "bounding_box_format": self.bounding_box_format,
            "dtype": self._dtype_policy,
        }
        seeded: dict[str, Any] = {**shared, "seed": self.seed}
        placed: dict[str, Any] = {**seeded, "interpolation": interpolation}
        ranged: dict[str, Any] = {**shared, "value_range": value_range}
        coloured: dict[str, Any] = {**seeded, "value_range": value_range}
        makers = {
            "random_shear": lambda: RandomShear(x_factor=both, y_factor=both, **placed),
            "random_translation": lambda: RandomTranslation(height_factor=both, width_factor=both, **placed),
            "random_rotation": lambda: RandomRotation(factor=both, **placed),
            "random_brightness": lambda: RandomBrightness(factor=both, **coloured),
            "random_color_degeneration": lambda: RandomColorDegeneration(factor=both, **coloured),
            "random_contrast": lambda: RandomContrast(factor=both, **coloured),
            "random_sharpness": lambda: RandomSharpness(factor=both, **coloured),
            "random_posterization": lambda: RandomPosterization(factor=max(1, int(8 * both[1])), **coloured),
            "solarization": lambda: Solarization(addition_factor=both, threshold_factor=both, **coloured),
            "auto_contrast": lambda: AutoContrast(**ranged),
            "equalization": lambda: Equalization(**ranged),
        }
        for name in self._names():
            setattr(self, name, makers[name]())

    def _names(self) -> tuple[str, ...]:
        return self._NAMES

    def _settings(self) -> dict[str, Any]:
        return {
            "value_range": self.value_range,
            "factor": self.factor,
            "interpolation": self.interpolation,
            "seed": self.seed,
        }


class RandAugment(_Policy):
    """Runs some of eleven changes on images in training, one after the other; which, is drawn once for a batch.

    They are shear, translation, rotation, brightness, colour degeneration,
    contrast, sharpness, posterization, solarization, auto-contrast and equalization.

    Source: Cubuk et al., "RandAugment", NeurIPS 2020.

    Args:
        value_range: The least and the largest number of images.
        num_ops: How many changes are run.
        factor: How strong they are, from 0 to 1: a number stands for the range from 0 to it, or two numbers.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and what every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, 3), or without samples; the output has the shape of the input.

    Example:
        >>> RandAugment()(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    _NAMES = (
        *("random_shear", "random_translation", "random_rotation", "random_brightness", "random_color_degeneration"),
        *("random_contrast", "random_sharpness", "random_posterization", "solarization", "auto_contrast"),
        "equalization",
    )
    _AUGMENT_LAYERS = list(_NAMES)

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.num_ops = checks.whole_number("RandAugment", "num_ops", num_ops, example=2)
        self._set_parts(factor, value_range, interpolation, seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return which changes are run (`"layer_idxes"`), and what is random about each (`"transforms"`)."""
        if not training:
            return None
        seed = self._draws(seed)
        chosen = random.randint((self.num_ops,), 0, len(self._NAMES), seed=seed)
        # What is not run needs no numbers.
        needed = set() if chosen.is_meta else {self._NAMES[place] for place in chosen.tolist()}
        drawn = {
            name: getattr(self, name).get_random_transformation(data, training=training, seed=seed)
            if name in needed
            else None
            for name in self._NAMES
        }
        return {"transforms": drawn, "layer_idxes": chosen}

    def _run(self, method: str, thing: Any, transformation: Any) -> Any:
        """Return something as the chosen changes leave it, one after the other."""
        chosen = transformation["layer_idxes"]
        for place in [] if chosen.is_meta else chosen.tolist():
            name = self._NAMES[place]
            thing = getattr(getattr(self, name), method)(thing, transformation["transforms"][name])
        return thing

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images, changed."""
        images = self._computed(images)
        return self._run("transform_images", images, transformation) if training else images

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return boxes, changed with their images."""
        return self._run("transform_bounding_boxes", bounding_boxes, transformation) if training else bounding_boxes

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return masks, changed with their images."""
        if not training:
            return segmentation_masks
        return self._run("transform_segmentation_masks", tensor(segmentation_masks), transformation)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_ops": self.num_ops, **self._settings()}


class AugMix(_Policy):
    """Mixes images in training with several chains of changes of themselves.

    A chain is of `chain_depth` changes, each drawn from those of `RandAugment`
    or nothing. `output = w * input + (1 - w) * sum(share * chain)`, with the
    shares drawn from a Dirichlet and w from a beta distribution of `alpha`,
    all once for a batch; cut off at both ends of `value_range`.

    Source: Hendrycks et al., "AugMix", ICLR 2020.

    Args:
        value_range: The least and the largest number of images.
        num_chains: How many chains there are.
        chain_depth: How many changes a chain has.
        factor: How strong they are, from 0 to 1: a number stands for the range from 0 to it, or two numbers.
        alpha: The larger, the more evenly chains are mixed; above 0.
        all_ops: Whether brightness, colour degeneration, contrast and sharpness are among the changes.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: For numbers of its own that repeat themselves; None draws one.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, 3), or without samples; the output has the shape of the input. Boxes stay as they are.

    Example:
        >>> AugMix(num_chains=2)(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    _NAMES = (
        *("random_shear", "random_translation", "random_rotation", "random_posterization", "solarization"),
        *("auto_contrast", "equalization"),
        *("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness"),
    )
    _OF_PLACE_AND_LEVELS = 7

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Any = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.num_chains = checks.whole_number("AugMix", "num_chains", num_chains, example=3)
        self.chain_depth = checks.whole_number("AugMix", "chain_depth", chain_depth, example=3)
        if not is_number(alpha) or alpha <= 0:
            raise ValueError(explain(f"AugMix got alpha={alpha!r}.", "Expected a number above 0.", "AugMix(alpha=1.0)"))
        self.alpha = alpha
        self.all_ops = bool(all_ops)
        self._set_parts(factor, value_range, interpolation, seed)

    def _names(self) -> tuple[str, ...]:
        return self._NAMES if self.all_ops else self._NAMES[: self._OF_PLACE_AND_LEVELS]

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return the chains with what is random about each change, their shares, and the share of the image."""
        if not training:
            return None
        seed = self._draws(seed)
        shares = random.gamma((self.num_chains,), self.alpha, seed=seed)
        names: tuple[Any, ...] = (*self._names(), None)
        whole = random.randint((self.num_chains, self.chain_depth), 0, len(names), seed=seed)
        places: list[list[int]] = [[] for _ in range(self.num_chains)] if whole.is_meta else whole.tolist()
        chains = [
            [
                {
                    "layer_name": names[place],
                    "transformation": getattr(self, names[place]).get_random_transformation(data, seed=seed),
                }
                for place in chain
                if names[place] is not None
            ]
            for chain in places
        ]
        return {
            "chain_mixing_weights": shares / shares.sum(),
            "weight_sample": random.beta((), self.alpha, self.alpha, seed=seed),
            "chain_transforms": chains,
        }

    def _mixed(self, method: str, x: torch.Tensor, transformation: Any) -> torch.Tensor:
        weights = transformation["chain_mixing_weights"].to(x)
        own = transformation["weight_sample"].to(x)
        total = torch.zeros_like(x)
        for share, chain in zip(weights, transformation["chain_transforms"]):
            changed = x
            for link in chain:
                changed = getattr(getattr(self, link["layer_name"]), method)(changed, link["transformation"])
            total = total + changed * share
        return own * x + (1 - own) * total

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> torch.Tensor:
        """Return a batch of images, mixed with changes of themselves."""
        images = self._computed(images)
        if not training:
            return images
        return self._mixed("transform_images", images, transformation).clamp(*self.value_range)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return the boxes as they are: the image itself is still there."""
        return bounding_boxes

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return masks, mixed as their images: shares of classes."""
        if not training:
            return segmentation_masks
        return self._mixed("transform_segmentation_masks", self._computed(segmentation_masks), transformation)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_chains": self.num_chains,
            "chain_depth": self.chain_depth,
            "alpha": self.alpha,
            "all_ops": self.all_ops,
            **self._settings(),
        }
