"""Pictures of any size and mode, brought to one: from files, and from lists of pictures in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.background import cores
from uncrumple.data.images import FORMATS, loaded, opened

FITS = ("squeeze", "crop", "pad")
CHANNELS = {"grayscale": 1, "rgb": 3}
_SIDE = 96  # of pictures whose sizes differ
_SNIFFED = 64
# Where files say how they are to be turned.
_TURNING = frozenset(["exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"])
_GRAY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F")


class Pictures:
    """Files, or pictures in memory, whose pixels are decoded when they are asked for.

    Those that are kept are decoded once, whichever parts of the data ask for them.

    Args:
        items: Paths, or Pillow images.
        reading: A dict of size, color and fit.
    """

    def __init__(self, items: Sequence[Any], reading: dict[str, Any]) -> None:
        self.items, self.reading = list(items), reading
        self.shape = (*(int(side) for side in reading["size"]), CHANNELS[reading["color"]])
        self._kept: np.ndarray | None = None
        self._known: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def bytes(self) -> int:
        """How much memory all pixels take."""
        return len(self.items) * int(np.prod(self.shape))

    def read(self, row: int) -> np.ndarray:
        """Return one picture as uint8 pixels (height, width, channels)."""
        if self._kept is not None and self._known is not None and self._known[row]:
            return self._kept[row]
        return read_picture(self.items[row], self.shape[:2], self.reading["color"], self.reading["fit"])  # type: ignore

    def pixels(self, rows: np.ndarray, keep: bool) -> np.ndarray:
        """Return pictures as one uint8 array; with `keep`, remember them."""
        if not keep:
            return self._decoded(rows, np.empty((len(rows), *self.shape), np.uint8), np.arange(len(rows)))
        if self._kept is None or self._known is None:
            # Pages that are not written to take no memory yet.
            self._kept = np.empty((len(self.items), *self.shape), np.uint8)
            self._known = np.zeros(len(self.items), bool)
        new = np.unique(rows[~self._known[rows]])
        self._decoded(new, self._kept, new)
        self._known[new] = True
        if len(rows) == len(self.items) and (rows == np.arange(len(rows))).all():
            return self._kept
        return self._kept[rows]

    def _decoded(self, rows: np.ndarray, into: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Decode pictures into places of an array."""

        def decode(row: int, place: int) -> None:
            into[place] = self.read(row)

        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(decode, rows.tolist(), places.tolist()):
                pass
        return into


def read_pictures(files: Sequence[str], reading: dict[str, Any]) -> np.ndarray:
    """Return files as one uint8 array, each brought to the size and color that `reading` says."""
    found = Pictures(files, reading)
    return found.pixels(np.arange(len(found)), keep=False)


def read_picture(source: Any, size: tuple[int, int], color: str, fit: str) -> np.ndarray:
    """Return a file, or a Pillow image, as uint8 pixels (height, width, channels)."""
    mode = "L" if color == "grayscale" else "RGB"
    if not isinstance(source, (str, os.PathLike)):
        return _pixels(loaded(source, "A picture", _mode_of(source, mode)), size, mode, fit)
    path = os.fspath(source)
    with open(path, "rb") as file:
        image = opened(file, path, FORMATS)
        if image.format == "JPEG":
            image.draft(mode, (size[1] * 2, size[0] * 2))  # large ones are decoded at a part of their size
        image = loaded(image, path, _mode_of(image, mode))
    return _pixels(image, size, mode, fit)


def _pixels(image: Any, size: tuple[int, int], mode: str, fit: str) -> np.ndarray:
    from PIL import Image, ImageOps

    if not _TURNING.isdisjoint(image.info) or hasattr(image, "tag_v2"):
        with contextlib.suppress(Exception):  # data that cannot be read say nothing
            image = ImageOps.exif_transpose(image) or image
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image).convert(mode)
    wide_high = (size[1], size[0])
    how = Image.Resampling.BILINEAR
    if image.size != wide_high:
        if fit == "crop":
            image = ImageOps.fit(image, wide_high, how)
        elif fit == "pad":
            image = ImageOps.pad(image, wide_high, how)
        else:
            image = image.resize(wide_high, how)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _mode_of(image: Any, mode: str) -> str:
    """Return the mode to decode in: with transparency, where there is any."""
    clear = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    return "RGBA" if clear else mode


def as_picture(value: Any, number: int) -> Any:
    """Return a Pillow image, or an array of (height, width) or (height, width, channels), as a Pillow image."""
    from PIL import Image

    if hasattr(value, "convert") and hasattr(value, "getbands"):
        return value
    pixels = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    right = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (3, 4))
    if not right or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise ValueError(
            explain(
                f"Images got {pixels.dtype} values of shape {pixels.shape} as picture {number} of a list.",
                "Expected Pillow images, or arrays of bytes of shape (height, width) or (height, width, 3).",
                "(255 * x).astype('uint8') for values from 0 to 1",
            )
        )
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return Image.fromarray(pixels)


def chosen_reading(items: Sequence[Any], size: Any, color: str | None, fit: str, notes: list[str]) -> dict[str, Any]:
    """Return how pictures are read: by what the user said, or by what a sample of them is."""
    if not items:
        raise ValueError(explain("Images got no files.", "Expected at least one.", "check the folder"))
    step = max(1, len(items) // _SNIFFED)
    sizes, gray = set(), True
    if size is None or color is None:
        damaged: Exception | None = None
        for item in items[::step]:
            try:
                height, width, mode = _header(item)
            except (ValueError, OSError) as error:  # an error where its pixels are read; of `check`, a finding
                damaged = damaged or error
                continue
            sizes.add((height, width))
            gray &= mode in _GRAY_MODES
        if damaged is not None and not sizes:
            raise damaged
    if size is None:
        same = len(sizes) == 1 and max(next(iter(sizes))) <= _SIDE
        size = next(iter(sizes)) if same else (_SIDE, _SIDE)
        if not same:
            low, high = min(sizes), max(sizes)
            what = "Files" if isinstance(items[0], (str, os.PathLike)) else "Pictures"
            notes.append(
                f"{what} from {low[1]} x {low[0]} to {high[1]} x {high[0]} pixels are read at {size[1]} x {size[0]}."
                if low != high
                else f"{what} of {low[1]} x {low[0]} pixels are read at {size[1]} x {size[0]}."
            )
    return {"size": list(size), "color": color or ("grayscale" if gray else "rgb"), "fit": fit}


def _header(item: Any) -> tuple[int, int, str]:
    """Return height, width and mode."""
    if not isinstance(item, (str, os.PathLike)):
        return item.height, item.width, item.mode
    with open(item, "rb") as file:
        image = opened(file, os.fspath(item), FORMATS)
        return image.height, image.width, image.mode
