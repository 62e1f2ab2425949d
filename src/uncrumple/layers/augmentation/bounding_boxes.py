"""Boxes around things in images: from one way of writing them to another, moved, cut off and padded.

A box is four numbers on the last axis. The formats:

- `"xyxy"`: left, top, right, bottom; `"yxyx"`: top, left, bottom, right.
- `"xywh"`: left, top, width, height.
- `"center_xywh"`: middle across, middle down, width, height; `"center_yxhw"`: the same with down first.
- `"rel_xyxy"`, `"rel_yxyx"`, `"rel_xywh"`, `"rel_center_xywh"`: as shares of the image's width and height.

Boxes with labels are a dict: `{"boxes": (..., boxes, 4), "labels": (..., boxes)}`; the label -1 stands for no box.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.promotion import torch_type
from uncrumple.ops.tensors import tensor

FORMATS = (
    *("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw"),
    *("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh"),
)


def known_format(name: Any) -> str:
    """Return the name of a format in lower case, or raise with did-you-mean."""
    found = name.lower() if isinstance(name, str) else name
    if found not in FORMATS:
        raise ValueError(unknown_name("bounding box format", name, FORMATS))
    return found


def boxes_of(owner: str, boxes: Any) -> torch.Tensor:
    """Return boxes as a tensor whose last axis has four numbers."""
    found = tensor(boxes)
    if not found.ndim or found.shape[-1] != 4:
        raise ValueError(
            explain(
                f"{owner} got boxes of shape {tuple(found.shape)}.",
                "Expected four numbers on the last axis.",
                "boxes of shape (images, boxes, 4)",
            )
        )
    return found


def _to_corners(kind: str, boxes: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return left, top, right and bottom."""
    first, second, third, fourth = boxes.unbind(-1)
    if kind in ("yxyx", "center_yxhw"):
        first, second, third, fourth = second, first, fourth, third
    if kind == "xywh":
        return first, second, first + third, second + fourth
    if kind.startswith("center"):
        across, down = third / 2, fourth / 2
        return first - across, second - down, first + across, second + down
    return first, second, third, fourth


def _from_corners(kind: str, corners: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Undo `_to_corners`."""
    left, top, right, bottom = corners
    if kind == "xywh":
        left, top, right, bottom = left, top, right - left, bottom - top
    elif kind.startswith("center"):
        width, height = right - left, bottom - top
        left, top, right, bottom = left + width / 2, top + height / 2, width, height
    if kind in ("yxyx", "center_yxhw"):
        left, top, right, bottom = top, left, bottom, right
    return torch.stack([left, top, right, bottom], dim=-1)


def _size(value: Any, like: torch.Tensor) -> Any:
    """Return a width or height that broadcasts against corners: tensors of one size per image lose their last axis."""
    if isinstance(value, torch.Tensor) and value.ndim:
        return value.to(like)[..., 0]
    return value if isinstance(value, (int, float)) else tensor(value).to(like)


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: Any = "float32"
) -> Any:
    """Return boxes written in another way.

    Args:
        boxes: (..., 4) numbers, or a dict with them as `"boxes"`.
        source, target: Formats, such as `"xyxy"` or `"rel_xywh"`; see `uncrumple.utils.bounding_boxes`.
        height, width: Of the image in pixels, needed where shares of it are read or written.
        dtype: Type of the result.

    Raises:
        ValueError: A format is not known; the boxes have not four numbers; or a size is missing.

    Example:
        >>> convert_format([[10, 20, 30, 40]], "xyxy", "center_xywh")
        tensor([[20., 30., 20., 20.]])
    """
    if isinstance(boxes, dict):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    found = boxes_of("convert_format", boxes).to(torch_type(dtype))
    source, target = known_format(source), known_format(target)
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (height is None or width is None):
        raise ValueError(
            explain(
                f"convert_format got height={height}, width={width} for {source!r} to {target!r}.",
                "Expected both: shares of an image have no size of their own.",
                f'convert_format(boxes, "{source}", "{target}", height=224, width=224)',
            )
        )
    if source == target:
        return found
    left, top, right, bottom = _to_corners(source.removeprefix("rel_"), found)
    if relative[0] != relative[1]:
        across, down = _size(width, found), _size(height, found)
        if relative[0]:
            left, top, right, bottom = left * across, top * down, right * across, bottom * down
        else:
            left, top, right, bottom = left / across, top / down, right / across, bottom / down
    return _from_corners(target.removeprefix("rel_"), (left, top, right, bottom))


def clip_to_image_size(
    bounding_boxes: dict[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """Return boxes cut off at the edges of the image; those of which nothing is left get the label -1.

    Args:
        bounding_boxes: A dict of `"boxes"` and, maybe, `"labels"`.
        height, width: Of the image in pixels, for `"xyxy"`.
        bounding_box_format: `"xyxy"` or `"rel_xyxy"`.

    Example:
        >>> clip_to_image_size({"boxes": [[-5.0, 2.0, 5.0, 90.0]], "labels": [1]}, height=50, width=60)
        {'boxes': tensor([[ 0.,  2.,  5., 50.]]), 'labels': tensor([1], dtype=torch.int32)}
    """
    if bounding_box_format not in ("xyxy", "rel_xyxy"):
        raise NotImplementedError(_only("clip_to_image_size", bounding_box_format, '"xyxy" or "rel_xyxy"'))
    found = boxes_of("clip_to_image_size", bounding_boxes["boxes"])
    if bounding_box_format == "rel_xyxy":
        height, width = 1, 1
    elif height is None or width is None:
        raise ValueError(
            explain(
                f"clip_to_image_size got height={height}, width={width}.",
                'Expected both for "xyxy".',
                "clip_to_image_size(boxes, height=224, width=224)",
            )
        )
    found = _clipped(found.unbind(-1), height, width)
    result = {**bounding_boxes, "boxes": found}
    if bounding_boxes.get("labels") is not None:
        labels = tensor(bounding_boxes["labels"], device=found.device)
        area = (found[..., 2] - found[..., 0]) * (found[..., 3] - found[..., 1])
        result["labels"] = torch.where(area > 0, labels, torch.full_like(labels, -1))
    return result


def _clipped(corners: Any, height: Any, width: Any) -> torch.Tensor:
    left, top, right, bottom = corners
    parts = ((left, width), (top, height), (right, width), (bottom, height))
    return torch.stack([_between(part, size) for part, size in parts], dim=-1)


def _between(x: torch.Tensor, size: Any) -> torch.Tensor:
    if isinstance(size, torch.Tensor):
        return torch.minimum(x.clamp(min=0), _size(size, x))
    return x.clamp(0, size)


def _only(owner: str, name: str, known: str) -> str:
    return explain(
        f"{owner} got bounding_box_format={name!r}.",
        f"Expected {known}.",
        f'convert_format(boxes, source="{name}", target="xyxy", height=..., width=...)',
    )


def _require_xyxy(owner: str, name: str) -> None:
    if name != "xyxy":
        raise NotImplementedError(_only(owner, name, '"xyxy"'))


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> torch.Tensor:
    """Return boxes as they are in a part that is cut out of the image.

    Args:
        boxes: (..., 4) numbers.
        top, left: Where the part begins, in pixels.
        height, width: Of the part, in pixels.
        bounding_box_format: `"xyxy"` only.

    Example:
        >>> crop(torch.tensor([[10.0, 20.0, 50.0, 60.0]]), top=10, left=20, height=40, width=30)
        tensor([[ 0., 10., 30., 40.]])
    """
    _require_xyxy("crop", bounding_box_format)
    x1, y1, x2, y2 = boxes_of("crop", boxes).unbind(-1)
    return _clipped((x1 - left, y1 - top, x2 - left, y2 - top), height, width)


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> torch.Tensor:
    """Return boxes as they are in an image that got a margin.

    Args:
        boxes: (..., 4) numbers.
        top, left: Width of the margin in pixels.
        height, width: Of the image; boxes do not depend on them.
        bounding_box_format: `"xyxy"` only.

    Example:
        >>> pad(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), top=10, left=20)
        tensor([[21., 12., 23., 14.]])
    """
    _require_xyxy("pad", bounding_box_format)
    x1, y1, x2, y2 = boxes_of("pad", boxes).unbind(-1)
    return torch.stack([x1 + left, y1 + top, x2 + left, y2 + top], dim=-1)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> torch.Tensor:
    """Return the upright boxes around boxes that are turned, moved, scaled and sheared.

    Args:
        boxes: (images, boxes, 4) numbers.
        angle, shear_x, shear_y: (images,) in degrees.
        translate_x, translate_y: (images,) as shares of width and height.
        scale: (images,) factors.
        height, width: Of the image in pixels.
        center_x, center_y: The point that stays, as shares of width and height; by default the middle.
        bounding_box_format: `"xyxy"` only.

    Example:
        >>> none = torch.zeros(1)
        >>> boxes = torch.tensor([[[0.0, 0.0, 4.0, 2.0]]])
        >>> affine_transform(boxes, none + 180, none, none, none + 1, none, none, height=5, width=5).round().abs()
        tensor([[[0., 2., 4., 4.]]])
    """
    _require_xyxy("affine_transform", bounding_box_format)
    angle = tensor(angle)
    found = boxes_of("affine_transform", boxes).to(angle.dtype)
    shift_x, shift_y, scale, shear_x, shear_y = (
        tensor(part, angle.dtype, device=angle.device) for part in (translate_x, translate_y, scale, shear_x, shear_y)
    )
    across = (0.5 if center_x is None else center_x) * (width - 1)
    down = (0.5 if center_y is None else center_y) * (height - 1)
    turn, lean_x, lean_y = (-part * (math.pi / 180) for part in (angle, shear_x, shear_y))
    # Turned and sheared, about (across, down), with determinant 1; then its inverse times the scale.
    a = torch.cos(turn - lean_y) / torch.cos(lean_y)
    b = a * torch.tan(lean_x) + torch.sin(turn)
    c = -torch.sin(turn - lean_y) / torch.cos(lean_y)
    d = torch.cos(turn) - c * torch.tan(lean_x)
    a0, a1, b0, b1 = d * scale, -b * scale, -c * scale, a * scale
    from_x, from_y = across - shift_x * (width - 1), down - shift_y * (height - 1)
    a2, b2 = across - a0 * from_x - a1 * from_y, down - b0 * from_x - b1 * from_y
    a0, a1, a2, b0, b1, b2 = (part[:, None, None] for part in (a0, a1, a2, b0, b1, b2))
    xs, ys = found[..., [0, 2, 2, 0]], found[..., [1, 1, 3, 3]]
    return around(a0 * xs + a1 * ys + a2, b0 * xs + b1 * ys + b2)


def around(xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    """Return the upright boxes around points, whose coordinates are on the last axis."""
    return torch.stack([xs.amin(-1), ys.amin(-1), xs.amax(-1), ys.amax(-1)], dim=-1)


def dense(bounding_boxes: Any) -> dict[str, Any]:
    """Return boxes and labels as tensors of one shape for all images.

    Images with fewer boxes are filled up with boxes of zeros whose label is -1.

    Args:
        bounding_boxes: A dict of `"boxes"` and `"labels"`: tensors, arrays, or lists with an entry per image.
    """
    if not isinstance(bounding_boxes, dict) or not {"boxes", "labels"} <= bounding_boxes.keys():
        raise ValueError(
            explain(
                f"bounding_boxes is {_shown(bounding_boxes)}.",
                "Expected a dict with 'boxes' and 'labels'.",
                '{"boxes": boxes, "labels": labels}',
            )
        )
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if isinstance(boxes, (list, tuple)):
        if not isinstance(labels, (list, tuple)) or len(labels) != len(boxes):
            raise ValueError(
                explain(
                    f"bounding_boxes has boxes for {len(boxes)} and labels of {_shown(labels)}.",
                    "Expected lists of one length.",
                    '{"boxes": [[[10, 20, 30, 40]]], "labels": [[1]]}',
                )
            )
        rows = [tensor(one, "float32").reshape(-1, 4) if len(one) else torch.zeros(0, 4) for one in boxes]
        single = bool(boxes) and not (len(boxes[0]) and isinstance(_first(boxes[0]), (list, tuple, torch.Tensor)))
        if single and bool(boxes) and len(boxes[0]) == 4:
            return {**bounding_boxes, "boxes": torch.cat(rows), "labels": tensor(labels, "int32")}
        most = max((len(one) for one in rows), default=0)
        names = [tensor(one, "int32").reshape(-1) if len(one) else torch.zeros(0, dtype=torch.int32) for one in labels]
        for one, of_it in zip(rows, names):
            if len(one) != len(of_it):
                raise ValueError(
                    explain(
                        f"bounding_boxes has {len(one)} boxes and {len(of_it)} labels for one image.",
                        "Expected a label for each box.",
                        '{"boxes": [[[10, 20, 30, 40]]], "labels": [[1]]}',
                    )
                )
        fill = torch.nn.functional.pad
        return {
            **bounding_boxes,
            "boxes": torch.stack([fill(one, (0, 0, 0, most - len(one))) for one in rows]),
            "labels": torch.stack([fill(one, (0, most - len(one)), value=-1) for one in names]),
        }
    found, names_of = boxes_of("bounding_boxes", boxes).float(), tensor(labels)
    if found.ndim not in (2, 3) or names_of.ndim not in (found.ndim - 1, found.ndim):
        raise ValueError(
            explain(
                f"bounding_boxes has boxes of shape {tuple(found.shape)} and labels of shape {tuple(names_of.shape)}.",
                "Expected (images, boxes, 4) and (images, boxes), or both without images.",
                '{"boxes": boxes, "labels": labels}',
            )
        )
    return {**bounding_boxes, "boxes": found, "labels": names_of}


def _first(x: Any) -> Any:
    return x[0] if len(x) else None


def _shown(x: Any) -> str:
    if isinstance(x, dict):
        return f"a dict with {sorted(x)}"
    return f"a {type(x).__name__} of length {len(x)}" if isinstance(x, (list, tuple)) else f"a {type(x).__name__}"
