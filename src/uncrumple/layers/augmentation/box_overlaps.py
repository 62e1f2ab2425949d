"""How far boxes lie over one another, and where they lie as seen from anchors."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.augmentation.bounding_boxes import convert_format
from uncrumple.ops.tensors import tensor

_EPSILON = 1e-7
_ENCODINGS = ("center_xywh", "center_yxhw")


def _sizes(owner: str, image_shape: Any, *formats: str) -> tuple[Any, Any]:
    """Return height and width of the image, which relative formats need."""
    if image_shape is not None:
        height, width = tuple(image_shape)[:2]
        return height, width
    relative = next((name for name in formats if name.lower().startswith("rel")), None)
    if relative:
        raise ValueError(
            explain(
                f"{owner} got {relative!r} boxes and no image_shape.",
                "Expected (height, width, channels): shares of an image have no size of their own.",
                f"{owner}(..., image_shape=(224, 224, 3))",
            )
        )
    return None, None


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: Any = -1,
    image_shape: Any = None,
) -> torch.Tensor:
    """Return for each pair of boxes the area they share, divided by the area they cover together.

    Args:
        boxes1: (boxes, 4), or (images, boxes, 4).
        boxes2: (others, 4), or (images, others, 4).
        bounding_box_format: How the boxes are written, such as `"xyxy"`.
        use_masking: Whether pairs get `mask_val` in which a box has only negative numbers.
        mask_val: See `use_masking`.
        image_shape: (height, width, channels), for relative formats.

    Returns:
        (boxes, others), or (images, boxes, others).

    Example:
        >>> compute_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]]), "xyxy")
        tensor([[0.3333]])
    """
    first, second = tensor(boxes1), tensor(boxes2)
    if first.ndim not in (2, 3) or second.ndim not in (2, 3):
        raise ValueError(
            explain(
                f"compute_iou got boxes of shapes {tuple(first.shape)} and {tuple(second.shape)}.",
                "Expected (boxes, 4), or (images, boxes, 4).",
                "compute_iou(boxes1[None], boxes2, ...)",
            )
        )
    height, width = _sizes("compute_iou", image_shape, bounding_box_format)
    first, second = (convert_format(one, bounding_box_format, "xyxy", height, width) for one in (first, second))
    one, other = first[..., :, None, :], second[..., None, :, :]
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(part[..., 2:] - part[..., :2]).prod(-1) for part in (one, other)]
    found = shared / (areas[0] + areas[1] - shared + _EPSILON)
    if not use_masking:
        return found
    nothing = (first.amax(-1) < 0)[..., :, None] | (second.amax(-1) < 0)[..., None, :]
    return torch.where(nothing, torch.as_tensor(mask_val, dtype=found.dtype, device=found.device), found)


def compute_ciou(boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None) -> torch.Tensor:
    """Return for boxes, one by one, the shared part less what middles and proportions differ (complete IoU).

    `iou - distance² / diagonal² - alpha * v`, where the distance is that of the
    middles, the diagonal that of the box around both, `v = 4 / pi² (arctan(w2 /
    h2) - arctan(w1 / h1))²` and `alpha = v / (1 - iou + v)`.

    Source: Zheng et al., "Distance-IoU Loss", AAAI 2020.

    Args:
        boxes1, boxes2: (..., 4), of one shape.
        bounding_box_format: How the boxes are written, such as `"xyxy"`.
        image_shape: (height, width, channels), for relative formats.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
        >>> compute_ciou(boxes, boxes, "xyxy")
        tensor([1.])
    """
    height, width = _sizes("compute_ciou", image_shape, bounding_box_format)
    first, second = (
        convert_format(one, bounding_box_format, "xyxy", height, width).unbind(-1) for one in (boxes1, boxes2)
    )
    left1, top1, right1, bottom1 = first
    left2, top2, right2, bottom2 = second
    width1, height1 = right1 - left1, bottom1 - top1 + _EPSILON
    width2, height2 = right2 - left2, bottom2 - top2 + _EPSILON
    shared = (torch.minimum(right1, right2) - torch.maximum(left1, left2)).clamp(min=0)
    shared = shared * (torch.minimum(bottom1, bottom2) - torch.maximum(top1, top2)).clamp(min=0)
    iou = shared / (width1 * height1 + width2 * height2 - shared + 2 * _EPSILON)
    across = torch.maximum(right1, right2) - torch.minimum(left1, left2)
    down = torch.maximum(bottom1, bottom2) - torch.minimum(top1, top2)
    diagonal = across.square() + down.square() + _EPSILON
    distance = ((left1 + right1 - left2 - right2) / 2).square() + ((top1 + bottom1 - top2 - bottom2) / 2).square()
    proportions = (4 / math.pi**2) * (torch.arctan(width2 / height2) - torch.arctan(width1 / height1)).square()
    alpha = proportions / (proportions - iou + (1 + _EPSILON))
    return iou - (distance / diagonal + proportions * alpha)


def _variance(owner: str, variance: Any) -> torch.Tensor | None:
    if variance is None:
        return None
    found = tensor(variance, "float32")
    if not found.ndim or found.shape[-1] != 4:
        raise ValueError(
            explain(f"{owner} got variance={variance!r}.", "Expected four numbers.", "variance=[0.1, 0.1, 0.2, 0.2]")
        )
    return found


def _encoding(owner: str, argument: str, name: str) -> str:
    if name not in _ENCODINGS:
        raise ValueError(
            explain(
                f"{owner} got {argument}={name!r}.",
                "Expected one of: center_xywh, center_yxhw.",
                f'{argument}="center_xywh"',
            )
        )
    return name


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> torch.Tensor:
    """Return boxes as seen from anchors: how far their middles are off, in sizes of the anchor, and logarithms of sizes.

    Args:
        anchors: (anchors, 4).
        boxes: (anchors, 4), or (images, anchors, 4).
        anchor_format, box_format: How they are written.
        encoding_format: `"center_yxhw"` or `"center_xywh"`: the order of the result.
        variance: Four numbers that the result is divided by.
        image_shape: (height, width, channels), for relative formats.

    Example:
        >>> anchors, boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([[2.0, 0.0, 6.0, 4.0]])
        >>> encode_box_to_deltas(anchors, boxes, "xyxy", "xyxy", "center_xywh")
        tensor([[0.5000, 0.0000, 0.0000, 0.0000]])
    """
    divisor = _variance("encode_box_to_deltas", variance)
    target = _encoding("encode_box_to_deltas", "encoding_format", encoding_format)
    height, width = _sizes("encode_box_to_deltas", image_shape, anchor_format, box_format)
    anchor = convert_format(anchors, anchor_format, target, height, width)
    box = convert_format(boxes, box_format, target, height, width)
    size, own = anchor[..., 2:].clamp(min=_EPSILON), box[..., 2:].clamp(min=_EPSILON)
    off = (box[..., :2] - anchor[..., :2]) / size
    found = torch.cat([off, torch.log(own / size)], dim=-1)
    return found if divisor is None else found / divisor.to(found.device)


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """Return boxes from what `encode_box_to_deltas` made of them.

    Args:
        anchors: (anchors, 4), or a dict of them, one for each level.
        boxes_delta: (anchors, 4), or (images, anchors, 4); a dict where `anchors` is one.
        anchor_format, box_format: How the anchors are written, and how the result shall be.
        encoded_format: `"center_yxhw"` or `"center_xywh"`.
        variance: Four numbers that the deltas are multiplied by.
        image_shape: (height, width, channels), for relative formats.

    Example:
        >>> anchors, deltas = torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([[0.5, 0.0, 0.0, 0.0]])
        >>> decode_deltas_to_boxes(anchors, deltas, "xyxy", "xyxy", "center_xywh")
        tensor([[2., 0., 6., 4.]])
    """
    factor = _variance("decode_deltas_to_boxes", variance)
    source = _encoding("decode_deltas_to_boxes", "encoded_format", encoded_format)
    height, width = _sizes("decode_deltas_to_boxes", image_shape, anchor_format, box_format)

    def decoded(anchor: Any, delta: Any) -> torch.Tensor:
        anchor, delta = convert_format(anchor, anchor_format, source, height, width), tensor(delta)
        delta = delta if factor is None else delta * factor.to(delta.device)
        middle = delta[..., :2] * anchor[..., 2:] + anchor[..., :2]
        box = torch.cat([middle, torch.exp(delta[..., 2:]) * anchor[..., 2:]], dim=-1)
        return convert_format(box, source, box_format, height, width)

    if isinstance(anchors, dict) and isinstance(boxes_delta, dict):
        return {level: decoded(anchor, boxes_delta[level]) for level, anchor in anchors.items()}
    return decoded(anchors, boxes_delta)
