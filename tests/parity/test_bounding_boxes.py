"""Functions on boxes give the numbers of real Keras."""

import inspect

import keras
import numpy as np
import pytest
import torch

from uncrumple import visualization
from uncrumple.utils import bounding_boxes as mine

their = keras.utils.bounding_boxes
FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")
SIZE = {"height": 50, "width": 80}


def boxes(*shape, seed=0):
    corners = torch.rand(*shape, 4, generator=torch.Generator().manual_seed(seed)) * 40
    return torch.cat([corners[..., :2], corners[..., :2] + corners[..., 2:]], dim=-1)


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", mine.__all__)
def test_arguments(name):
    ours, theirs = (inspect.signature(getattr(room, name)).parameters for room in (mine, their))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


@pytest.mark.parametrize("name", visualization.__all__)
def test_arguments_of_pictures(name):
    ours, theirs = (inspect.signature(getattr(room, name)).parameters for room in (visualization, keras.visualization))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_convert_format(source, target):
    for shape in ((3,), (2, 3)):
        written = their.convert_format(boxes(*shape), "xyxy", source, **SIZE)
        close(
            mine.convert_format(written, source, target, **SIZE), their.convert_format(written, source, target, **SIZE)
        )
        close(
            mine.convert_format(written, source.upper(), target, **SIZE),
            mine.convert_format(written, source, target, **SIZE),
        )


def test_clip_crop_pad_and_turn():
    given = boxes(2, 5)
    named = {"boxes": given - 10, "labels": torch.arange(10).reshape(2, 5)}
    one, other = (room.clip_to_image_size(dict(named), height=30, width=20) for room in (mine, their))
    close(one["boxes"], other["boxes"])
    assert one["labels"].tolist() == other["labels"].tolist()
    relative = {"boxes": (given - 10) / 40, "labels": named["labels"]}
    one, other = (room.clip_to_image_size(dict(relative), bounding_box_format="rel_xyxy") for room in (mine, their))
    close(one["boxes"], other["boxes"])
    assert one["labels"].tolist() == other["labels"].tolist()
    close(mine.crop(given, 3, 4, 20, 30), their.crop(given, 3, 4, 20, 30))
    close(mine.pad(given, 3, 4), their.pad(given, 3, 4))
    numbers = [torch.tensor([30.0, -50.0]), torch.tensor([0.1, 0.2]), torch.tensor([0.3, -0.1])]
    numbers += [torch.tensor([1.5, 0.5]), torch.tensor([10.0, 5.0]), torch.tensor([0.0, -20.0])]
    for extra in ({}, {"center_x": 0.2, "center_y": 0.9}):
        one, other = (room.affine_transform(given, *numbers, 50, 80, **extra) for room in (mine, their))
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", ["xyxy", "yxyx", "center_xywh", "rel_xyxy"])
def test_overlaps(kind):
    shape = (50, 80, 3) if kind.startswith("rel") else None
    for first, second in (((3,), (4,)), ((2, 3), (2, 4)), ((2, 3), (4,))):
        both = [their.convert_format(boxes(*one, seed=len(one)), "xyxy", kind, **SIZE) for one in (first, second)]
        close(mine.compute_iou(*both, kind, image_shape=shape), their.compute_iou(*both, kind, image_shape=shape))
    if shape is None:
        one, other = (their.convert_format(boxes(6, seed=seed), "xyxy", kind) for seed in (1, 2))
        close(mine.compute_ciou(one, other, kind), their.compute_ciou(one, other, kind))
    masked = torch.cat([boxes(2), -torch.ones(1, 4)])
    if kind == "xyxy":
        found = mine.compute_iou(masked, masked, kind, use_masking=True, mask_val=-5)
        close(found, their.compute_iou(masked, masked, kind, use_masking=True, mask_val=-5))


@pytest.mark.parametrize("kind", ["center_yxhw", "center_xywh"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]])
def test_deltas(kind, variance):
    anchors, given = boxes(4, seed=1), boxes(2, 4, seed=2)
    settings = {"variance": variance, "image_shape": (50, 80, 3)}
    found = mine.encode_box_to_deltas(anchors, given, "xyxy", "xyxy", kind, **settings)
    close(found, their.encode_box_to_deltas(anchors, given, "xyxy", "xyxy", kind, **settings))
    back = mine.decode_deltas_to_boxes(anchors, found, "xyxy", "rel_yxyx", kind, **settings)
    close(back, their.decode_deltas_to_boxes(anchors, found, "xyxy", "rel_yxyx", kind, **settings))
    levels = mine.decode_deltas_to_boxes({"a": anchors}, {"a": found}, "xyxy", "xyxy", kind, **settings)
    torch.testing.assert_close(levels["a"], given, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: mine.convert_format(np.zeros((2, 3)), "xyxy", "xywh"),
            "convert_format got boxes of shape (2, 3).\nExpected four numbers on the last axis.\n"
            "Fix: boxes of shape (images, boxes, 4)",
        ),
        (
            lambda: mine.convert_format(np.zeros((2, 4)), "xyxy", "rel_xyxy"),
            "convert_format got height=None, width=None for 'xyxy' to 'rel_xyxy'.\n"
            "Expected both: shares of an image have no size of their own.\n"
            'Fix: convert_format(boxes, "xyxy", "rel_xyxy", height=224, width=224)',
        ),
        (
            lambda: mine.encode_box_to_deltas(boxes(2), boxes(2), "xyxy", "xyxy", "xyxy"),
            "encode_box_to_deltas got encoding_format='xyxy'.\nExpected one of: center_xywh, center_yxhw.\n"
            'Fix: encoding_format="center_xywh"',
        ),
        (
            lambda: mine.compute_iou(boxes(2), boxes(2), "rel_xyxy"),
            "compute_iou got 'rel_xyxy' boxes and no image_shape.\n"
            "Expected (height, width, channels): shares of an image have no size of their own.\n"
            "Fix: compute_iou(..., image_shape=(224, 224, 3))",
        ),
    ],
)
def test_messages(call, text):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == text
