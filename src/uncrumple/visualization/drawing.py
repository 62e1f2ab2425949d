"""Boxes and masks drawn into images."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.layers.augmentation.bounding_boxes import convert_format
from uncrumple.ops.tensors import channels_last, tensor

# Pixels that a letter is high at font_scale=1.
_LETTER = 22
# What a class's number is multiplied with, modulo 255, for red, green and blue.
_PALETTE = (2**25 - 1, 2**15 - 1, 2**21 - 1)


def batch_of(owner: str, images: Any, data_format: str | None) -> tuple[np.ndarray, bool]:
    """Return images as an array (samples, height, width, channels), and whether channels were last."""
    last = channels_last(data_format, owner)
    found = tensor(images).detach().cpu().numpy()
    if found.ndim != 4:
        raise ValueError(
            explain(f"{owner} got images of shape {found.shape}.", "Expected 4 axes: several images.", "images[None]")
        )
    return (found if last else np.moveaxis(found, 1, -1)), last


def _bytes(images: np.ndarray) -> np.ndarray:
    """Return images as bytes of their own; floats up to 1 are taken for shares of 255."""
    if images.dtype.kind == "f" and images.size:
        images = images.clip(0, 1) * 255 if images.max() <= 1 else images.clip(0, 255)
    return images.astype("uint8", copy=True)


def draw_bounding_boxes(
    images: Any,
    bounding_boxes: dict[str, Any],
    bounding_box_format: str,
    class_mapping: dict[int, str] | None = None,
    color: Any = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Return images with boxes drawn into them, and, where they are known, with the names of their classes.

    Args:
        images: (samples, height, width, 3): bytes, or floats up to 1 or up to 255.
        bounding_boxes: A dict of `"boxes"` (samples, boxes, 4), `"labels"`
            (samples, boxes), where -1 is no box, and, maybe, `"confidences"`.
        bounding_box_format: How the boxes are written, such as `"xyxy"`.
        class_mapping: {label: name}.
        color: Red, green and blue, 0 to 255.
        line_thickness, text_thickness: In pixels.
        font_scale: Size of the names; 1 is about 22 pixels high.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Returns:
        Bytes, of the shape of the images.

    Example:
        >>> boxes = {"boxes": np.array([[[1, 1, 4, 4]]]), "labels": np.array([[0]])}
        >>> draw_bounding_boxes(np.zeros((1, 6, 6, 3)), boxes, "xyxy", color=(9, 9, 9), line_thickness=1)[0, ..., 0]
        array([[0, 0, 0, 0, 0, 0],
               [0, 9, 9, 9, 9, 0],
               [0, 9, 0, 0, 9, 0],
               [0, 9, 0, 0, 9, 0],
               [0, 9, 9, 9, 9, 0],
               [0, 0, 0, 0, 0, 0]], dtype=uint8)
    """
    shown, last = batch_of("draw_bounding_boxes", images, data_format)
    if not isinstance(bounding_boxes, dict):
        raise TypeError(_no_boxes(f"a {type(bounding_boxes).__name__}"))
    if not {"boxes", "labels"} <= bounding_boxes.keys():
        raise ValueError(_no_boxes(f"a dict with {sorted(bounding_boxes)}"))
    shown = _bytes(shown)
    height, width = shown.shape[1:3]
    corners = convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width)
    boxes = corners.cpu().numpy().astype("int64")
    labels = tensor(bounding_boxes["labels"]).cpu().numpy().astype("int64")
    sure = bounding_boxes.get("confidences")
    sure = None if sure is None else tensor(sure).cpu().numpy()
    names = class_mapping or {}
    for image, of_image in enumerate(boxes):
        for place, box in enumerate(of_image):
            label = int(labels[image, place])
            if label == -1:
                continue
            _draw_frame(shown[image], box, color, line_thickness)
            if label in names:
                text = names[label] if sure is None else f"{names[label]} | {sure[image, place]:.2f}"
                _write(shown[image], text, box, color, font_scale, text_thickness or line_thickness)
    return shown if last else np.moveaxis(shown, -1, 1)


def _no_boxes(came: str) -> str:
    return explain(
        f"draw_bounding_boxes got {came} as bounding_boxes.",
        "Expected a dict with 'boxes' and 'labels'.",
        '{"boxes": boxes, "labels": labels}',
    )


def _draw_frame(image: np.ndarray, box: np.ndarray, color: Any, thickness: int) -> None:
    """Paint the four sides of a box, as thick to both sides as can be."""
    left, top, right, bottom = (int(number) for number in box)
    before, behind = (thickness - 1) // 2, thickness // 2 + 1
    rows = slice(max(top - before, 0), max(bottom + behind, 0))
    columns = slice(max(left - before, 0), max(right + behind, 0))
    for row in (top, bottom):
        image[max(row - before, 0) : max(row + behind, 0), columns] = color
    for column in (left, right):
        image[rows, max(column - before, 0) : max(column + behind, 0)] = color


def _write(image: np.ndarray, text: str, box: np.ndarray, color: Any, scale: float, thickness: int) -> None:
    """Write above a box, or, where there is no room, into it."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(int(_LETTER * scale), 1)
    left, top = int(box[0]), int(box[1])
    place = (left, top - size - 4) if top - size - 4 >= 0 else (left + 3, top + thickness + 3)
    picture = Image.fromarray(image)
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(picture).text(place, text, fill=tuple(color), font=font, stroke_width=max(thickness - 1, 0))
    image[:] = np.asarray(picture)


def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Any = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Return images with each pixel in the colour of its class, or mixed with it.

    Args:
        images: (samples, height, width, 3), 0 to 255.
        segmentation_masks: (samples, height, width, 1) whole numbers: classes.
        num_classes: How many classes are drawn; all by default.
        color_mapping: {class: (red, green, blue)}; by default colours far apart.
        alpha: Share of the colour, 0 to 1.
        blend: Whether colours are mixed with the image, in place of covering it.
        ignore_index: The class that is not drawn.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Returns:
        Bytes (samples, height, width, 3).

    Example:
        >>> masks = np.array([[[[0], [1]]]])
        >>> draw_segmentation_masks(np.zeros((1, 1, 2, 3)), masks, color_mapping={0: (0, 0, 0), 1: (100, 0, 0)})[0, 0]
        array([[ 0,  0,  0],
               [80,  0,  0]], dtype=uint8)
    """
    shown, last = batch_of("draw_segmentation_masks", images, data_format)
    masks = tensor(segmentation_masks).cpu().numpy()
    masks = (masks if last else np.moveaxis(masks, 1, -1))[..., 0] if masks.ndim == 4 else masks
    if masks.dtype.kind not in "iu":
        raise TypeError(
            explain(
                f"draw_segmentation_masks got masks of {masks.dtype}.",
                "Expected whole numbers: classes.",
                'masks.astype("int32")',
            )
        )
    if masks.shape != shown.shape[:3]:
        raise ValueError(
            explain(
                f"draw_segmentation_masks got masks of shape {masks.shape} for images of shape {shown.shape}.",
                "Expected a class for each pixel: (samples, height, width, 1).",
                "masks[..., None]",
            )
        )
    count = int(masks.max(initial=-1)) + 1 if num_classes is None else num_classes
    names = [number for number in range(count) if number != ignore_index]
    colors = color_mapping or {number: [number * factor % 255 for factor in _PALETTE] for number in names}
    table = np.zeros((count + 1, 3), dtype="float32")
    for number in names:
        table[number] = colors[number]
    drawn = (masks >= 0) & (masks < count) & (masks != ignore_index)
    covered = np.where(drawn[..., None], table[np.where(drawn, masks, count)], shown.astype("float32"))
    if blend:
        covered = shown * (1 - alpha) + covered * alpha
        covered = np.where((masks != ignore_index)[..., None], covered, shown)
    return covered.clip(0, 255).astype("uint8")
