"""Boxes around things in images, under Keras's names.

The formats that boxes are written in: `"xyxy"` (left, top, right, bottom),
`"yxyx"`, `"xywh"` (left, top, width, height), `"center_xywh"`, `"center_yxhw"`,
and, as shares of the image's width and height, `"rel_xyxy"`, `"rel_yxyx"`,
`"rel_xywh"` and `"rel_center_xywh"`.
"""

from uncrumple.core.errors import answer_misspellings
from uncrumple.layers.augmentation.bounding_boxes import (
    affine_transform,
    clip_to_image_size,
    convert_format,
    crop,
    pad,
)
from uncrumple.layers.augmentation.box_overlaps import (
    compute_ciou,
    compute_iou,
    decode_deltas_to_boxes,
    encode_box_to_deltas,
)

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]

answer_misspellings(__name__)
