"""Numbers read between the cells of a grid, and images turned, bent and moved with them."""

from __future__ import annotations

import functools
import itertools
import operator
from typing import Any

import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.core.seed_generator import generator_for
from uncrumple.ops.image_filters import gaussian_blur
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, channels_last, tensor, tensors

operation = group("image")
# fmt: off
__all__ = ["affine_transform", "elastic_transform", "map_coordinates", "perspective_transform",
           "scale_and_translate"]
# fmt: on

FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
INTERPOLATIONS = {"nearest": 0, "bilinear": 1}


def _inside(mode: str, index: torch.Tensor, size: int) -> torch.Tensor:
    """Return places, some of them outside an axis, as places on it."""
    if mode in ("constant", "nearest"):
        return index.clamp(0, size - 1)
    if mode == "wrap":
        return index % size
    if mode == "mirror":  # ... 2 1 | 0 1 2 ... the edge is not repeated
        return index * 0 if size == 1 else (index + size - 1).remainder(2 * (size - 1)).sub(size - 1).abs()
    index = index % (2 * size)  # "reflect": ... 1 0 | 0 1 2 ...
    return torch.where(index < size, index, 2 * size - 1 - index)


def sample(
    x: torch.Tensor,
    coordinates: list[torch.Tensor],
    order: int,
    fill_mode: str,
    fill_value: float,
    batch: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the numbers of a grid at places that may lie between its cells.

    Args:
        x: (axis, axis, ..., rest), or (samples, axis, ..., rest) if `batch` is given.
        coordinates: For each axis the places, all of one shape.
        order: 0 takes the nearest cell, 1 mixes the nearest cells.
        fill_mode: What lies outside: one of `FILL_MODES`.
        fill_value: For `"constant"`.
        batch: Which sample each place is in.
    """
    first = 0 if batch is None else 1
    choices = []
    for axis, place in enumerate(coordinates, first):
        size = x.shape[axis]
        if order == 0:
            low = torch.round(place) if place.is_floating_point() else place
            nodes: list[tuple[torch.Tensor, Any]] = [(low.long(), None)]
        else:
            low = torch.floor(place)
            share = place - low
            nodes = [(low.long(), 1 - share), (low.long() + 1, share)]
        choices.append([(index, _inside(fill_mode, index, size), weight, size) for index, weight in nodes])
    rest = x.ndim - first - len(coordinates)
    total: Any = 0
    for corner in itertools.product(*choices):
        places = tuple(inside for _, inside, _, _ in corner)
        found = x[places if batch is None else (batch, *places)]
        if fill_mode == "constant":
            valid = functools.reduce(operator.and_, ((index >= 0) & (index < size) for index, _, _, size in corner))
            found = torch.where(_behind(valid, rest), found, torch.tensor(fill_value, device=x.device).to(x.dtype))
        weights = [weight for _, _, weight, _ in corner if weight is not None]
        total = total + (found * _behind(functools.reduce(operator.mul, weights), rest) if weights else found)
    if not x.is_floating_point() and total.is_floating_point():
        total = torch.round(total)
    return total.to(x.dtype)


def _behind(x: torch.Tensor, count: int) -> torch.Tensor:
    return x.reshape(*x.shape, *[1] * count)


def _check_modes(owner: str, interpolation: str, fill_mode: str = "constant") -> int:
    if interpolation not in INTERPOLATIONS:
        raise ValueError(unknown_name(f"interpolation of {owner}", interpolation, INTERPOLATIONS))
    if fill_mode not in FILL_MODES:
        raise ValueError(unknown_name("fill_mode", fill_mode, FILL_MODES))
    return INTERPOLATIONS[interpolation]


@operation(2)
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: Any = 0
) -> torch.Tensor:
    """Return the numbers of a tensor at places that may lie between its cells.

    Args:
        inputs: A tensor of any number of axes.
        coordinates: (axes, ...) for each axis the places.
        order: 0 (nearest cell) or 1 (a mixture of the nearest ones).
        fill_mode: What lies outside: `"constant"`, `"nearest"`, `"wrap"`,
            `"mirror"` (mirrored, without the edge) or `"reflect"` (with the edge).
        fill_value: For `"constant"`.

    Example:
        >>> map_coordinates(torch.tensor([0.0, 10.0]), [[0.25, 0.5]], order=1)
        tensor([2.5000, 5.0000])
    """
    _check_modes("map_coordinates", "nearest", fill_mode)
    if order not in (0, 1):
        raise NotImplementedError(explain(f"map_coordinates got order={order}.", "Expected 0 or 1.", "order=1"))
    x = tensor(inputs)
    places = [tensor(part, device=x.device) for part in coordinates]
    if len(places) != x.ndim or places[0].ndim < 1:
        raise ValueError(
            explain(
                f"map_coordinates got {len(places)} coordinates of shape {tuple(places[0].shape) if places else ()} "
                f"for a tensor of shape {tuple(x.shape)}.",
                f"Expected coordinates of shape ({x.ndim}, ...): places on each axis.",
                "ops.stack([rows, columns])",
            )
        )
    return sample(x, places, order, fill_mode, float(fill_value))


def images_of(owner: str, images: Any, data_format: str | None) -> tuple[torch.Tensor, bool, bool]:
    """Return images as (samples, height, width, channels), whether there is one only, and whether channels were last."""
    x = tensor(images)
    if x.ndim not in (3, 4):
        raise ValueError(
            explain(
                f"{owner} got a tensor of shape {tuple(x.shape)}.",
                "Expected 3 axes (an image) or 4 (several).",
                "ops.expand_dims(images, -1) adds the axis of channels",
            )
        )
    last = channels_last(data_format, owner)
    single = x.ndim == 3
    x = x[None] if single else x
    return (x if last else x.movedim(1, -1)), single, last


def as_they_came(x: torch.Tensor, single: bool, last: bool) -> torch.Tensor:
    """Undo `images_of`."""
    x = x if last else x.movedim(-1, 1)
    return x[0] if single else x


def _grid(x: torch.Tensor, kind: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the rows and columns of every cell of images, and the sample each is in."""
    rows = torch.arange(x.shape[1], dtype=kind, device=x.device)[None, :, None]
    columns = torch.arange(x.shape[2], dtype=kind, device=x.device)[None, None, :]
    batch = torch.arange(x.shape[0], device=x.device)[:, None, None]
    return rows, columns, batch.expand(x.shape[0], x.shape[1], x.shape[2])


def _projected(x: torch.Tensor, matrix: torch.Tensor, order: int, fill_mode: str, fill_value: Any) -> torch.Tensor:
    """Return images whose cell (x, y) comes from where eight numbers for each sample send it."""
    rows, columns, batch = _grid(x, matrix.dtype)
    a0, a1, a2, b0, b1, b2, c0, c1 = (part[:, None, None] for part in matrix.unbind(-1))
    scale = c0 * columns + c1 * rows + 1
    across, down = (a0 * columns + a1 * rows + a2) / scale, (b0 * columns + b1 * rows + b2) / scale
    across, down = (place.expand(batch.shape) for place in (across, down))
    return sample(x, [down, across], order, fill_mode, float(fill_value), batch)


@operation(2)
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> torch.Tensor:
    """Return images moved, turned, scaled and sheared.

    Args:
        images: One image, or several.
        transform: (8,), or (samples, 8), numbers a0, a1, a2, b0, b1, b2, c0, c1:
            the cell (x, y) comes from ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k),
            with k = c0 x + c1 y + 1.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_mode, fill_value: What lies outside; see `map_coordinates`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
    """
    order = _check_modes("affine_transform", interpolation, fill_mode)
    x, single, last = images_of("affine_transform", images, data_format)
    matrix = tensor(transform, device=x.device)
    if matrix.ndim not in (1, 2) or matrix.shape[-1] != 8:
        raise ValueError(
            explain(
                f"affine_transform got a transform of shape {tuple(matrix.shape)}.",
                "Expected (8,), or (samples, 8).",
                "[1, 0, 0, 0, 1, 0, 0, 0] changes nothing",
            )
        )
    matrix = matrix.to(torch_type(result_type(matrix.dtype, "float32"))).reshape(-1, 8)
    return as_they_came(_projected(x, matrix, order, fill_mode, fill_value), single, last)


@operation(3)
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> torch.Tensor:
    """Return images seen from elsewhere: four points move, and everything with them.

    Args:
        images: One image, or several.
        start_points, end_points: (4, 2), or (samples, 4, 2): the points (x, y)
            before and after.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_value: What lies outside.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
    """
    order = _check_modes("perspective_transform", interpolation)
    x, single, last = images_of("perspective_transform", images, data_format)
    kind = torch_type(result_type(x.dtype, float))
    start, end = (part.to(x.device, kind) for part in tensors(start_points, end_points))
    if start.shape != end.shape or start.ndim not in (2, 3) or tuple(start.shape[-2:]) != (4, 2):
        raise ValueError(
            explain(
                f"perspective_transform got points of shapes {tuple(start.shape)} and {tuple(end.shape)}.",
                "Expected (4, 2), or (samples, 4, 2), for both.",
                "[[0, 0], [0, 1], [1, 0], [1, 1]]",
            )
        )
    matrix = _homography(start.reshape(-1, 4, 2), end.reshape(-1, 4, 2)).to(kind)
    return as_they_came(_projected(x, matrix, order, "constant", fill_value), single, last)


def _homography(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return the eight numbers of the projection that takes each end point to its start."""
    start, end = (part.to(torch_type(result_type(part.dtype, "float32"))) for part in (start, end))
    one, zero = torch.ones_like(end[..., :1]), torch.zeros_like(end)
    flat = torch.cat([end, one], dim=-1)
    nothing = torch.cat([zero, zero[..., :1]], dim=-1)
    across = torch.cat([flat, nothing, -start[..., :1] * end], dim=-1)
    down = torch.cat([nothing, flat, -start[..., 1:] * end], dim=-1)
    equations = torch.stack([across, down], dim=2).reshape(-1, 8, 8)
    return torch.linalg.solve(equations, start.reshape(-1, 8))


@operation()
def elastic_transform(
    images: Any,
    alpha: Any = 20.0,
    sigma: Any = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: Any = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """Return images bent at random, smoothly.

    Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional
    Neural Networks", ICDAR 2003.

    Args:
        images: One image, or several.
        alpha: How far cells move.
        sigma: How smooth the movement is, in cells.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_mode, fill_value: What lies outside; see `map_coordinates`.
        seed: A number, a `SeedGenerator`, or None.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
    """
    order = _check_modes("elastic_transform", interpolation, fill_mode)
    x, single, last = images_of("elastic_transform", images, data_format)
    sigma, size = float(sigma), int(6 * float(sigma)) | 1
    noise = torch.randn((2, *x.shape[:3]), generator=generator_for(seed, x.device), device=x.device) * sigma
    moves = [gaussian_blur(part[..., None], (size, size), (sigma, sigma), "channels_last")[..., 0] for part in noise]
    rows, columns, batch = _grid(x, torch.float32)
    places = [rows + alpha * moves[1], columns + alpha * moves[0]]
    return as_they_came(sample(x, places, order, fill_mode, float(fill_value), batch), single, last)


# --- scaling through tables of weights ------------------------------------------------------


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys's cubic kernel with a = -1/2."""
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x >= 2, 0.0, torch.where(x >= 1, far, near))


def _lanczos(x: torch.Tensor, radius: float) -> torch.Tensor:
    return torch.where(x > radius, 0.0, torch.sinc(x) * torch.sinc(x / radius))


_KERNELS: dict[str, Any] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), lambda x: (1 - x).clamp(min=0)),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": functools.partial(_lanczos, radius=3.0),
    "lanczos5": functools.partial(_lanczos, radius=5.0),
}


def _weights(
    before: int, after: int, scale: torch.Tensor, move: torch.Tensor, method: str, antialias: bool
) -> torch.Tensor:
    """Return (cells before, cells after): how much of each goes into each."""
    device, kind = scale.device, scale.dtype
    centers = (torch.arange(after, dtype=kind, device=device) + 0.5 - move) / scale - 0.5
    distance = (centers - torch.arange(before, dtype=kind, device=device)[:, None]).abs()
    if antialias:  # a smaller picture mixes more cells
        distance = distance / (1 / scale).clamp(min=1)
    weights = _KERNELS[method](distance)
    total = weights.sum(0, keepdim=True)
    weights = torch.where(
        total.abs() > 1000 * torch.finfo(torch.float32).eps, weights / torch.where(total != 0, total, 1), 0
    )
    return torch.where((centers >= -0.5) & (centers <= before - 0.5), weights, 0)


@operation("images output_shape scale translation")
def scale_and_translate(
    images: Any, output_shape: Any, scale: Any, translation: Any, spatial_dims: Any, method: str, antialias: bool = True
) -> torch.Tensor:
    """Return images made larger or smaller and moved, along some axes.

    Args:
        images: A tensor of any number of axes.
        output_shape: The shape of the result.
        scale, translation: For each of `spatial_dims` a factor, and a distance in cells of the result.
        spatial_dims: The axes.
        method: `"linear"`, `"cubic"`, `"lanczos3"` or `"lanczos5"`.
        antialias: Whether smaller pictures mix all the cells they stand for.
    """
    if method not in _KERNELS:
        raise ValueError(unknown_name("method", method, _KERNELS))
    x, scale, translation = tensors(images, scale, translation)
    kind = torch_type(result_type(scale.dtype, translation.dtype, float))
    scale, translation = scale.to(x.device, kind), translation.to(x.device, kind)
    out = x if x.is_floating_point() else x.float()
    for place, axis in enumerate(as_ints(spatial_dims)):
        after = as_ints(output_shape)[axis]
        table = _weights(x.shape[axis], after, scale[place], translation[place], method, antialias).to(out.dtype)
        out = torch.tensordot(out, table, dims=([axis], [0])).movedim(-1, axis)
    if x.is_floating_point():
        return out
    return out.round().clamp(x.min().item(), x.max().item()).to(x.dtype)
