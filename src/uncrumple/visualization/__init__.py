"""Pictures of images with their boxes, masks and labels."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.visualization.drawing import draw_bounding_boxes, draw_segmentation_masks
from uncrumple.visualization.galleries import (
    plot_bounding_box_gallery,
    plot_image_gallery,
    plot_segmentation_mask_gallery,
)

__all__ = [
    "draw_bounding_boxes",
    "draw_segmentation_masks",
    "plot_bounding_box_gallery",
    "plot_image_gallery",
    "plot_segmentation_mask_gallery",
]

answer_misspellings(__name__)
