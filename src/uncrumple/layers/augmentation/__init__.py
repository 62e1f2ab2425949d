"""Layers that change images, and what belongs to them, mostly at random; and sound as pictures."""

from uncrumple.layers.augmentation.affine import RandomRotation, RandomShear, RandomTranslation, RandomZoom
from uncrumple.layers.augmentation.box_counts import MaxNumBoundingBoxes
from uncrumple.layers.augmentation.brightness import AutoContrast, RandomBrightness, RandomContrast
from uncrumple.layers.augmentation.colours import (
    RandomColorDegeneration,
    RandomColorJitter,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
)
from uncrumple.layers.augmentation.flips import RandomFlip
from uncrumple.layers.augmentation.histograms import ContrastLimitedAdaptiveHistogramEqualization, Equalization
from uncrumple.layers.augmentation.levels import RandomInvert, RandomPosterization, Solarization
from uncrumple.layers.augmentation.mixing import MixUp
from uncrumple.layers.augmentation.pipeline import Pipeline
from uncrumple.layers.augmentation.policies import AugMix, RandAugment
from uncrumple.layers.augmentation.rectangles import CutMix, RandomErasing
from uncrumple.layers.augmentation.sharpness import RandomGaussianBlur, RandomSharpness
from uncrumple.layers.augmentation.sizes import CenterCrop, RandomCrop, Resizing
from uncrumple.layers.augmentation.spectrograms import MelSpectrogram, STFTSpectrogram
from uncrumple.layers.augmentation.warps import RandomElasticTransform, RandomPerspective

__all__ = [
    "AugMix",
    "AutoContrast",
    "CenterCrop",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "CutMix",
    "Equalization",
    "MaxNumBoundingBoxes",
    "MelSpectrogram",
    "MixUp",
    "Pipeline",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Resizing",
    "STFTSpectrogram",
    "Solarization",
]
