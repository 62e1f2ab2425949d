"""Pictures in another size, one at a time, as `image_dataset_from_directory` needs them.

Each result is a weighted sum of a few rows, and then of a few columns. Which
ones, and with which weights, depends on the two lengths alone and is worked
out once for each pair. The weights are those of `tf.image.resize` without
antialiasing, which is what Keras's data sets are made with.

Nothing here computes with torch: these functions run in threads in the
background, and each thread that computes with torch would get threads of its own.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable

import numpy as np

from uncrumple.core.errors import unknown_name
from uncrumple.kernels import native

__all__ = ["INTERPOLATIONS", "checked_interpolation", "cropped", "resized", "resized_with_margin"]


def _bicubic(x: np.ndarray) -> np.ndarray:
    """Return Keys's cubic kernel with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _mitchell(x: np.ndarray) -> np.ndarray:
    """Return the cubic kernel of Mitchell and Netravali with B = C = 1/3."""
    x = np.abs(x)
    near = (7 / 6 * x - 2) * x * x + 8 / 9
    far = ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(radius: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


def _gaussian(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 1.5, np.exp(-2 * x * x), 0.0)


# {name: (kernel, how far it reaches)}
_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bicubic": (_bicubic, 2.0),
    "gaussian": (_gaussian, 1.5),
    "lanczos3": (_lanczos(3.0), 3.0),
    "lanczos5": (_lanczos(5.0), 5.0),
    "mitchellcubic": (_mitchell, 2.0),
}
INTERPOLATIONS = ("bilinear", "nearest", "area", *_KERNELS)


def checked_interpolation(name: str) -> str:
    """Return the name in small letters, if it is one of `INTERPOLATIONS`."""
    lower = str(name).lower()
    if lower not in INTERPOLATIONS:
        raise ValueError(unknown_name("interpolation", name, INTERPOLATIONS))
    return lower


@functools.lru_cache(512)
def _taps(method: str, before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which entries of an axis make up each new one, and their weights: two arrays of shape (taps, after)."""
    places = (np.arange(after) + 0.5) * (before / after) - 0.5  # of the middle of each new cell
    if method == "nearest":
        index = np.minimum(np.floor(places + 0.5).astype(np.int64), before - 1)[None]
        return index, np.ones_like(index, np.float32)
    if method == "bilinear":
        low = np.floor(places)
        part = (places - low).astype(np.float32)
        index = np.clip(np.stack([low, low + 1]).astype(np.int64), 0, before - 1)
        return index, np.stack([1 - part, part])
    if method == "area":
        starts = np.arange(after) * (before / after)
        ends = starts + before / after
        first = np.floor(starts).astype(np.int64)
        index = first + np.arange(math.ceil(before / after) + 1)[:, None]
        weight = np.minimum(index + 1, ends) - np.maximum(index, starts)
    else:
        kernel, reach = _KERNELS[method]
        first = np.ceil(places - reach).astype(np.int64)
        index = first + np.arange(math.floor(2 * reach) + 1)[:, None]
        weight = kernel(index - places)
    weight = np.where((index >= 0) & (index < before), np.maximum(weight, 0) if method == "area" else weight, 0)
    weight /= weight.sum(0)
    return np.clip(index, 0, before - 1), weight.astype(np.float32)


def resized(image: np.ndarray, size: tuple[int, int], method: str = "bilinear") -> np.ndarray:
    """Return a picture in another size.

    Args:
        image: (height, width, channels), of any type of numbers.
        size: (height, width) to have.
        method: One of `INTERPOLATIONS`.

    Returns:
        A float32 array (the type of `image`, where nothing is mixed: "nearest").

    Example:
        >>> resized(np.array([[[0], [100]]], dtype="uint8"), (1, 4)).ravel().tolist()
        [0.0, 25.0, 75.0, 100.0]
    """
    if image.shape[:2] == tuple(size):
        return image if method == "nearest" else _unmixed(image, method)
    rows, row_weights = _taps(method, image.shape[0], size[0])
    columns, column_weights = _taps(method, image.shape[1], size[1])
    if method == "nearest":
        return image.take(rows[0], 0).take(columns[0], 1)
    if method == "bilinear" and image.dtype == np.uint8 and image.strides[2] == 1 and native.available():
        return _between_four(image, size, rows, row_weights[1], columns, column_weights[1])
    if method == "bilinear":
        # The four neighbours are picked out first: what is left is small, and bytes are quicker to move than floats.
        upper, lower = image.take(rows[0], 0), image.take(rows[1], 0)
        # Colours beside columns: NumPy is quick where the last axis is long.
        flat = (size[0], size[1] * image.shape[2])
        across = np.repeat(column_weights[1], image.shape[2])
        top, spare = _scratch(flat)
        bottom = np.empty(flat, np.float32)
        for source, out in ((upper, top), (lower, bottom)):
            np.copyto(spare, source.take(columns[0], 1).reshape(flat))
            np.copyto(out, source.take(columns[1], 1).reshape(flat))
            _between(spare, out, across)
        return _between(top, bottom, row_weights[1][:, None]).reshape(*size, image.shape[2])
    half = sum(image.take(index, 0) * weight[:, None, None] for index, weight in zip(rows, row_weights))
    return sum(half.take(index, 1) * weight[:, None] for index, weight in zip(columns, column_weights))  # type: ignore


def _between_four(
    image: np.ndarray,
    size: tuple[int, int],
    rows: np.ndarray,
    row_part: np.ndarray,
    columns: np.ndarray,
    column_part: np.ndarray,
) -> np.ndarray:
    """Return a picture of bytes between its pixels, as `resized` does, by the native kernel."""
    out = np.empty((*size, image.shape[2]), np.float32)
    sizes = np.array([*out.shape, *image.strides[:2]], np.int64)
    arrays = (sizes, image, rows, row_part, columns, column_part, out)
    native.call("resize", *(array.ctypes.data for array in arrays))
    return out


def _between(first: np.ndarray, second: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return what lies at a part of the way from the first to the second, in the place of the second."""
    second -= first
    second *= part
    second += first
    return second


_here = threading.local()


def _scratch(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays to compute in, of this thread: new memory for each picture would cost as much as the sums."""
    if getattr(_here, "shape", None) != shape:
        _here.shape, _here.arrays = shape, (np.empty(shape, np.float32), np.empty(shape, np.float32))
    return _here.arrays


def _unmixed(image: np.ndarray, method: str) -> np.ndarray:
    """Return a picture of the right size already; two of the kernels blur even that."""
    if method not in ("gaussian", "mitchellcubic"):
        return image.astype(np.float32)
    rows, row_weights = _taps(method, image.shape[0], image.shape[0])
    columns, column_weights = _taps(method, image.shape[1], image.shape[1])
    half = sum(image.take(index, 0) * weight[:, None, None] for index, weight in zip(rows, row_weights))
    return sum(half.take(index, 1) * weight[:, None] for index, weight in zip(columns, column_weights))  # type: ignore


def cropped(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the largest part from the middle of a picture that has the proportions of `size`.

    Example:
        >>> cropped(np.zeros((340, 500, 3)), (200, 200)).shape
        (340, 340, 3)
    """
    height, width = image.shape[:2]
    rows = max(min(height, int(width * size[0] / size[1])), 1)
    columns = max(min(width, int(height * size[1] / size[0])), 1)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]


def resized_with_margin(image: np.ndarray, size: tuple[int, int], method: str = "bilinear") -> np.ndarray:
    """Return a picture in another size with its proportions kept, and black at two of its sides.

    Example:
        >>> resized_with_margin(np.ones((2, 4, 1)), (4, 4))[:, 0, 0].tolist()
        [0.0, 1.0, 1.0, 0.0]
    """
    # In float32, for where this comes close to a whole number it decides about a row.
    lengths, target = np.array(image.shape[:2], np.float32), np.array(size, np.float32)
    exact = lengths / (lengths / target).max()
    inner = max(int(exact[0]), 1), max(int(exact[1]), 1)
    top, left = (max(int(margin), 0) for margin in np.floor((target - exact) / 2))
    out = np.zeros((*size, image.shape[2]), np.float32)
    out[top : top + inner[0], left : left + inner[1]] = resized(image, inner, method)
    return out
