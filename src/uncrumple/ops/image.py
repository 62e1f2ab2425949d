"""The operations of `ops` on images: `ops.image.resize` and others."""

# ruff: noqa: F403, F405

from uncrumple.core.errors import answer_misspellings
from uncrumple.ops.image_filters import *
from uncrumple.ops.image_sampling import *
from uncrumple.ops.image_sizes import *

# fmt: off
__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d", "gaussian_blur",
    "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform", "resize", "rgb_to_grayscale",
    "rgb_to_hsv", "scale_and_translate", "sobel_edges", "ssim"
]
# fmt: on

answer_misspellings(__name__)
