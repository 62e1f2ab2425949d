"""Images in other sizes and colours."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.errors import explain, unknown_name
from uncrumple.ops.image_sampling import as_they_came, images_of, scale_and_translate
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, channels_last, name_of, tensor

operation = group("image")
# fmt: off
__all__ = ["crop_images", "hsv_to_rgb", "pad_images", "resize", "rgb_to_grayscale", "rgb_to_hsv"]
# fmt: on

_IN_TORCH = {"bilinear": "bilinear", "nearest": "nearest-exact", "bicubic": "bicubic"}
_INTERPOLATIONS = (*_IN_TORCH, "lanczos3", "lanczos5")


@operation()
def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> torch.Tensor:
    """Return images in another size.

    Args:
        images: One image, or several.
        size: (height, width) to have.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        antialias: Whether smaller pictures mix all the cells they stand for.
        crop_to_aspect_ratio: Whether to cut off what does not fit the new proportions, in place of squeezing.
        pad_to_aspect_ratio: Whether to fill up what is missing for the new proportions.
        fill_mode: Only `"constant"`.
        fill_value: What is filled up with.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Example:
        >>> resize(torch.zeros(8, 8, 3), (4, 4)).shape
        torch.Size([4, 4, 3])
    """
    size = as_ints(size)
    if len(size) != 2 or min(size) <= 0:
        raise ValueError(explain(f"resize got size={size}.", "Expected (height, width), above 0.", "size=(224, 224)"))
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(unknown_name("interpolation", interpolation, _INTERPOLATIONS))
    if fill_mode != "constant":
        raise ValueError(
            explain(f"resize got fill_mode={fill_mode!r}.", 'Expected "constant".', 'fill_mode="constant"')
        )
    if pad_to_aspect_ratio and crop_to_aspect_ratio:
        raise ValueError(
            explain(
                "resize got crop_to_aspect_ratio and pad_to_aspect_ratio.",
                "Expected one of them.",
                "pad_to_aspect_ratio=True",
            )
        )
    x, single, last = images_of("resize", images, data_format)
    data = x.movedim(-1, 1)
    data = data if x.dtype in (torch.float32, torch.float64) else data.float()
    if crop_to_aspect_ratio:
        data = _cropped(data, size)
    elif pad_to_aspect_ratio:
        data = _padded(data, size, fill_value)
    if interpolation in _IN_TORCH:
        smooth = interpolation != "nearest"
        data = F.interpolate(
            data,
            size=size,
            mode=_IN_TORCH[interpolation],
            align_corners=False if smooth else None,
            antialias=antialias and smooth,
        )
    else:
        factors = [after / before for after, before in zip(size, data.shape[2:])]
        whole = (*data.shape[:2], *size)
        data = scale_and_translate(data, whole, factors, [0.0, 0.0], (2, 3), interpolation, antialias)
    if x.dtype is torch.uint8:
        data = data.clamp(0, 255)
    data = data if x.is_floating_point() else data.round()
    return as_they_came(data.to(x.dtype).movedim(1, -1), single, last)


def _cropped(x: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Return the middle of images, in the proportions of `size`."""
    height, width = x.shape[-2:]
    rows = max(min(height, int(width * size[0] / size[1])), 1)
    columns = max(min(width, int(height * size[1] / size[0])), 1)
    top, left = (height - rows) // 2, (width - columns) // 2
    return x[..., top : top + rows, left : left + columns]


def _padded(x: torch.Tensor, size: tuple[int, ...], value: float) -> torch.Tensor:
    """Return images with a margin that gives them the proportions of `size`."""
    height, width = x.shape[-2:]
    top = (max(height, int(width * size[0] / size[1])) - height) // 2
    left = (max(width, int(height * size[1] / size[0])) - width) // 2
    return F.pad(x, (left, left, top, top), value=value)


def _two_of_three(owner: str, first: tuple[str, Any], second: tuple[str, Any], whole: tuple[str, Any]) -> None:
    given = [first, second, whole]
    if sum(value is None for _, value in given) != 1:
        names = ", ".join(name for name, _ in given)
        got = ", ".join(f"{name}={value}" for name, value in given)
        raise ValueError(explain(f"{owner} got {got}.", f"Expected two of {names}.", f"{first[0]}=0, {second[0]}=0"))
    for name, value in given:
        if value is not None and value < 0:
            raise ValueError(explain(f"{owner} got {name}={value}.", "Expected 0 or more.", f"{name}=0"))


def _checked(owner: str, name: str, value: int) -> int:
    if value < 0:
        raise ValueError(
            explain(f"{owner}: the sizes leave {name}={value}.", "Expected 0 or more.", "check the target size")
        )
    return value


@operation()
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """Return images with a margin of zeros; of top, bottom and height two are given, and of left, right and width."""
    _two_of_three(
        "pad_images",
        ("top_padding", top_padding),
        ("bottom_padding", bottom_padding),
        ("target_height", target_height),
    )
    _two_of_three(
        "pad_images", ("left_padding", left_padding), ("right_padding", right_padding), ("target_width", target_width)
    )
    x, single, last = images_of("pad_images", images, data_format)
    top, bottom = _ends("pad_images", "top and bottom", top_padding, bottom_padding, target_height, x.shape[1])
    left, right = _ends("pad_images", "left and right", left_padding, right_padding, target_width, x.shape[2])
    return as_they_came(F.pad(x, (0, 0, left, right, top, bottom)), single, last)


def _ends(owner: str, name: str, before: Any, after: Any, target: Any, size: int) -> tuple[int, int]:
    before = target - after - size if before is None else before
    after = target - before - size if after is None else after
    return _checked(owner, name, before), _checked(owner, name, after)


@operation()
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """Return images without a margin; of top, bottom and height two are given, and of left, right and width."""
    _two_of_three(
        "crop_images",
        ("top_cropping", top_cropping),
        ("bottom_cropping", bottom_cropping),
        ("target_height", target_height),
    )
    _two_of_three(
        "crop_images",
        ("left_cropping", left_cropping),
        ("right_cropping", right_cropping),
        ("target_width", target_width),
    )
    x, single, last = images_of("crop_images", images, data_format)
    top, height = _rest("crop_images", "rows", top_cropping, bottom_cropping, target_height, x.shape[1])
    left, width = _rest("crop_images", "columns", left_cropping, right_cropping, target_width, x.shape[2])
    return as_they_came(x[:, top : top + height, left : left + width], single, last)


def _rest(owner: str, name: str, before: Any, after: Any, target: Any, size: int) -> tuple[int, int]:
    before = size - target - after if before is None else before
    target = size - before - after if target is None else target
    return _checked(owner, name, before), _checked(owner, name, target)


# --- colours ----------------------------------------------------------------------------


def _colours(owner: str, images: Any, data_format: str | None, counts: tuple[int, ...] = (3,)) -> Any:
    """Return images and the axis of their channels."""
    x = tensor(images)
    axis = -1 if channels_last(data_format, owner) else -3
    if x.ndim not in (3, 4) or x.shape[axis] not in counts:
        raise ValueError(
            explain(
                f"{owner} got a tensor of shape {tuple(x.shape)}.",
                f"Expected 3 or 4 axes, with {' or '.join(map(str, counts))} channels on axis {axis}.",
                'data_format="channels_first"' if axis == -1 else 'data_format="channels_last"',
            )
        )
    return x, axis


@operation(1, "RGBToGrayscale")
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> torch.Tensor:
    """Return the brightness of colours: 0.2989 red + 0.587 green + 0.114 blue."""
    x, axis = _colours("rgb_to_grayscale", images, data_format, (1, 3))
    if x.shape[axis] == 1:
        return x.clone()
    red, green, blue = x.unbind(axis)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(x.dtype).unsqueeze(axis)


def _float_colours(owner: str, images: Any, data_format: str | None) -> Any:
    x, axis = _colours(owner, images, data_format)
    if not x.is_floating_point():
        raise ValueError(explain(f"{owner} got {name_of(x)}.", "Expected floats from 0 to 1.", "images / 255"))
    return x, axis


@operation(1, "RGBToHSV")
def rgb_to_hsv(images: Any, data_format: str | None = None) -> torch.Tensor:
    """Return red, green and blue (0 to 1) as hue, saturation and value."""
    x, axis = _float_colours("rgb_to_hsv", images, data_format)
    x = torch.where(x.abs() < torch.finfo(x.dtype).eps, 0, x)
    red, green, blue = x.unbind(axis)
    value, least = x.amax(axis), x.amin(axis)
    spread = value - least
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1), 0)
    turn = 1 / (6 * torch.where(spread > 0, spread, 1))
    hue = torch.where(
        value == red,
        turn * (green - blue),
        torch.where(value == green, turn * (blue - red) + 1 / 3, turn * (red - green) + 2 / 3),
    )
    hue = torch.where(spread > 0, hue, 0)
    return torch.stack([torch.where(hue < 0, hue + 1, hue), saturation, value], dim=axis)


@operation(1, "HSVToRGB")
def hsv_to_rgb(images: Any, data_format: str | None = None) -> torch.Tensor:
    """Return hue, saturation and value (0 to 1) as red, green and blue."""
    x, axis = _float_colours("hsv_to_rgb", images, data_format)
    hue, saturation, value = x.unbind(axis)
    sixth = torch.remainder(hue, 1) * 6
    red = ((sixth - 3).abs() - 1).clamp(0, 1)
    green, blue = (2 - (sixth - 2).abs()).clamp(0, 1), (2 - (sixth - 4).abs()).clamp(0, 1)
    return torch.stack([value * (1 - saturation + saturation * share) for share in (red, green, blue)], dim=axis)
