"""Boxes and masks move with their images: also where Keras 3.15 goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers as L
from uncrumple.utils.bounding_boxes import convert_format

FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")
HEIGHT, WIDTH = 60, 80


def square(samples=1):
    """White rectangles on black, and the boxes around them."""
    images, boxes = torch.zeros(samples, HEIGHT, WIDTH, 3), []
    for place in range(samples):
        left, top = 20 + 3 * place, 15 + 2 * place
        images[place, top : top + 20, left : left + 30] = 255.0
        boxes.append([[left, top, left + 30, top + 20]])
    return images, torch.tensor(boxes).float()


MOVING = [
    (L.RandomFlip, {}),
    (L.RandomFlip, {"mode": "vertical"}),
    (L.RandomTranslation, {"height_factor": 0.2, "width_factor": 0.2, "fill_mode": "constant"}),
    (L.RandomZoom, {"height_factor": 0.2, "width_factor": 0.1, "fill_mode": "constant"}),
    (L.RandomCrop, {"height": 50, "width": 64}),
    (L.RandomCrop, {"height": 70, "width": 70}),
    (L.CenterCrop, {"height": 50, "width": 64}),
    (L.CenterCrop, {"height": 70, "width": 70}),
    (L.Resizing, {"height": 30, "width": 100}),
    (L.Resizing, {"height": 90, "width": 90, "pad_to_aspect_ratio": True}),
    (L.Resizing, {"height": 90, "width": 90, "crop_to_aspect_ratio": True}),
]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("cls", "arguments"), MOVING, ids=lambda part: getattr(part, "__name__", None))
def test_boxes_stay_around_what_they_were_around(cls, arguments, kind):
    uc.utils.set_random_seed(4)
    layer = cls(**arguments, bounding_box_format=kind)
    images, boxes = square(4)
    written = convert_format(boxes, "xyxy", kind, HEIGHT, WIDTH)
    for training in (True, False):
        found = layer(
            {"images": images, "bounding_boxes": {"boxes": written, "labels": torch.ones(4, 1)}}, training=training
        )
        height, width = found["images"].shape[1:3]
        corners = convert_format(found["bounding_boxes"]["boxes"], kind, "xyxy", height, width)[:, 0]
        for image, box in zip(found["images"][..., 0], corners):
            rows, columns = torch.nonzero(image > 127, as_tuple=True)
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(box, [float(one) for one in seen], atol=2.0)


@pytest.mark.parametrize(
    ("cls", "arguments"), [(L.RandomRotation, {"factor": 0.1}), (L.RandomPerspective, {"scale": 0.2})]
)
@pytest.mark.parametrize("kind", FORMATS)
def test_boxes_around_what_turned(cls, arguments, kind):
    layer = cls(**arguments, bounding_box_format=kind, seed=3)
    images, boxes = square(6)
    written = convert_format(boxes, "xyxy", kind, HEIGHT, WIDTH)
    found = layer({"images": images, "bounding_boxes": {"boxes": written, "labels": torch.ones(6, 1)}})
    corners = convert_format(found["bounding_boxes"]["boxes"], kind, "xyxy", HEIGHT, WIDTH)[:, 0]
    for image, box in zip(found["images"][..., 0], corners):
        rows, columns = torch.nonzero(image > 127, as_tuple=True)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(box, [float(one) for one in seen], atol=3.0)


def test_one_image_with_lists_of_boxes():
    layer = L.RandomFlip("horizontal", bounding_box_format="xyxy")
    images, boxes = square(2)
    ragged = {"boxes": [[[1, 2, 3, 4], [5, 6, 7, 8]], [[9, 10, 11, 12]]], "labels": [[1, 2], [3]]}
    found = layer({"images": images, "bounding_boxes": ragged}, training=False)["bounding_boxes"]
    assert found["boxes"].tolist() == [[[1, 2, 3, 4], [5, 6, 7, 8]], [[9, 10, 11, 12], [0, 0, 0, 0]]]
    assert found["labels"].tolist() == [[1, 2], [3, -1]]
    single = {"boxes": boxes[0], "labels": torch.ones(1)}
    found = layer({"images": images[0], "bounding_boxes": single}, training=True)["bounding_boxes"]
    assert found["boxes"].shape == (1, 4)
    assert found["labels"].shape == (1,)


def test_masks_move_with_their_images():
    for cls, arguments in [
        *MOVING,
        (L.RandomRotation, {"factor": 0.1}),
        (L.RandomElasticTransform, {"factor": (1.0, 1.0)}),
    ]:
        images, _ = square(4)
        layer = cls(**arguments)
        masks = (images[..., :1] > 0).to(torch.int32)
        found = layer({"images": images, "segmentation_masks": masks}, training=True)
        agree = ((found["images"][..., :1] > 127).int() == found["segmentation_masks"]).float().mean()
        assert float(agree) > 0.97, cls.__name__


def test_bytes_get_brighter_and_not_darker():
    images = torch.full((1, 2, 2, 3), 200, dtype=torch.uint8)
    assert L.RandomBrightness((0.5, 0.5))(images).flatten().tolist() == [255.0] * 12
    assert L.RandomBrightness((-0.2, -0.2))(images).flatten().tolist() == [149.0] * 12


def test_mixed_masks_and_boxes():
    layer = L.MixUp(alpha=0.5, seed=1, bounding_box_format="xyxy")
    images, boxes = square(4)
    masks = images[..., :1] / 255
    data = {
        "images": images,
        "segmentation_masks": masks,
        "bounding_boxes": {"boxes": boxes, "labels": torch.ones(4, 1)},
    }
    found = layer(data)
    torch.testing.assert_close(found["images"][..., :1] / 255, found["segmentation_masks"])
    assert found["bounding_boxes"]["boxes"].shape == (4, 2, 4)
    assert found["bounding_boxes"]["labels"].shape == (4, 2)


def test_most_boxes():
    layer = L.MaxNumBoundingBoxes(2, fill_value=-7, bounding_box_format="xyxy")
    boxes = {"boxes": torch.arange(12.0).reshape(1, 3, 4), "labels": torch.arange(3)[None]}
    found = layer({"images": torch.zeros(1, 4, 4, 3), "bounding_boxes": boxes})["bounding_boxes"]
    assert found["boxes"].tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    assert found["labels"].tolist() == [[0, 1]]
    few = {"boxes": torch.ones(1, 1, 4), "labels": torch.ones(1, 1)}
    found = layer({"images": torch.zeros(1, 4, 4, 3), "bounding_boxes": few})["bounding_boxes"]
    assert found["boxes"].tolist() == [[[1] * 4, [-7] * 4]]
    assert found["labels"].tolist() == [[1, -7]]


def test_pipeline():
    line = L.Pipeline([L.Resizing(4, 6), L.RandomInvert((1.0, 1.0)), L.Rescaling(1 / 255)])
    found = line(torch.zeros(2, 8, 8, 3))
    assert found.shape == (2, 4, 6, 3)
    assert bool((found == 1).all())
    assert bool((line(torch.zeros(2, 8, 8, 3), training=False) == 0).all())
    again = L.deserialize(L.serialize(line))
    assert [type(part) for part in again.layers] == [L.Resizing, L.RandomInvert, L.Rescaling]
