"""`Images`: pictures from folders, lists of files, arrays and IDX files, of any size and mode."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name, warn
from uncrumple.data.background import cores
from uncrumple.data.folders import find
from uncrumple.data.idx import read_idx
from uncrumple.data.images import FORMATS, loaded, opened
from uncrumple.data.kinds.base import RawData, answers_of
from uncrumple.data.kinds.prepare_images import ImagePreparation, fitted

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FITS = ("squeeze", "crop", "pad")
_SIDE = 96  # of pictures whose sizes differ
_SNIFFED = 64
_CHANNELS = {"grayscale": 1, "rgb": 3}


class Images(RawData):
    """Pictures, all brought to one size and one mode.

    Files may be JPEG, PNG, BMP, GIF, WebP, TIFF or PPM of any size; what EXIF
    says about turning is done, 16 bits become 8, and what is transparent
    becomes white. Files are read when `raw` is first asked for.

    Args:
        source: A folder with a folder for each class; a list of paths; an array of shape
            (samples, height, width) or (samples, height, width, channels); or the path of an IDX file.
        labels: The class of each picture for anything but a folder: words or whole numbers, or the path
            of an IDX file.
        size: (height, width); None takes the files' own size if they agree and no side exceeds 96, else 96 x 96.
        color: `"rgb"` or `"grayscale"`; None takes grayscale if all files looked at are.
        fit: What is done about other proportions: `"squeeze"`, `"crop"` from the middle, or `"pad"` with black.
        class_names: Names for labels that are whole numbers from 0.
        groups: What belongs together, one per picture: a patient, a video.
        times: When each picture was taken.
        task: `"classification"` or `"regression"`; None tells by the labels.
        skip_damaged: Whether files that cannot be read are left out, and counted in `notes`.
        name: What the data is called.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: A file is damaged, or labels and pictures differ in number.

    Example:
        >>> pictures = Images(np.zeros((10, 28, 28), "uint8"), [0, 1] * 5)
        >>> pictures.shape_in_words()
        '(10, 28, 28, 1): samples, height, width, channels'
    """

    kind = "images"

    def __init__(
        self,
        source: Any,
        labels: Any = None,
        *,
        size: tuple[int, int] | None = None,
        color: str | None = None,
        fit: str = "squeeze",
        class_names: Sequence[str] | None = None,
        groups: Any = None,
        times: Any = None,
        task: str | None = None,
        skip_damaged: bool = False,
        name: str | None = None,
    ) -> None:
        if color is not None and color not in _CHANNELS:
            raise ValueError(unknown_name("color", str(color), _CHANNELS))
        if fit not in FITS:
            raise ValueError(unknown_name("fit", str(fit), FITS))
        if size is not None and (len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size)):
            raise ValueError(explain(f"Images got size={size!r}.", "Expected (height, width).", "size=(96, 96)"))
        notes: list[str] = []
        files: list[str] | None = None
        self._pixels: np.ndarray | None = None
        path = Path(source) if isinstance(source, (str, os.PathLike)) else None
        if path is not None and not path.is_file():
            if labels is not None:
                raise ValueError(
                    explain(
                        "Images got a folder, and labels.",
                        "Expected folders that say the class.",
                        "Images([...paths], labels)",
                    )
                )
            files, numbers, found_names = find(
                "Images", str(path), "inferred", ENDINGS, class_names, False, 0, True, False
            )
            labels, class_names = numbers, found_names
        elif path is not None:
            self._pixels = read_idx(path)
            labels = read_idx(labels) if isinstance(labels, (str, os.PathLike)) else labels
        elif (
            isinstance(source, (list, tuple)) and source and all(isinstance(one, (str, os.PathLike)) for one in source)
        ):
            files = [os.fspath(one) for one in source]
        else:
            self._pixels = np.asarray(source.detach().cpu() if hasattr(source, "detach") else source)
        groups, times = (None if given is None else np.asarray(given) for given in (groups, times))
        if files is None:
            self._pixels = _checked_pixels(self._pixels)
            self._reading: dict[str, Any] = {
                "size": list(self._pixels.shape[-3:-1]),
                "color": "rgb" if self._pixels.shape[-1] == 3 else "grayscale",
                "fit": fit,
            }
        else:
            if skip_damaged:
                good = _whole(files, notes)
                files = [files[number] for number in good]
                labels = None if labels is None else np.asarray(labels)[good]
                groups, times = (None if given is None else given[good] for given in (groups, times))
            self._reading = _chosen(files, size, color, fit, notes)
        y: np.ndarray | None = None
        names: tuple[str, ...] = ()
        answered: str | None = None
        if labels is not None:
            given = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
            count = len(files) if files is not None else len(self._pixels)  # type: ignore[arg-type]
            if len(given) != count:
                raise ValueError(
                    explain(
                        f"Images got {count} pictures and {len(given)} labels.",
                        "Expected one for each.",
                        f"labels[:{count}]",
                    )
                )
            y, answered, names = answers_of(given, task, class_names, "Images")
        self._files = files
        super().__init__(
            name=name or (path.name if path is not None else "images"),
            target="class of the picture" if answered == "classification" else "value of the picture",
            task=answered,
            y=y,
            class_names=names,
            groups=groups,
            times=times,
            files=files,
            notes=notes,
        )

    @property
    def raw(self) -> np.ndarray:
        """The pixels: (samples, height, width, channels), uint8 where they come from files."""
        if self._pixels is None:
            self._pixels = read_pictures(self._files or [], self._reading)
        return self._pixels

    @property
    def shape(self) -> tuple[int, ...]:
        if self._pixels is not None:
            return self._pixels.shape
        return (len(self), *self._reading["size"], _CHANNELS[self._reading["color"]])

    def __len__(self) -> int:
        return len(self._pixels) if self._pixels is not None else len(self._files or ())

    def _take_raw(self, rows: np.ndarray) -> None:
        if self._pixels is not None:
            self._pixels = self._pixels[rows]
        if self._files is not None:
            self._files = [self._files[row] for row in rows]

    def _bytes(self) -> list[bytes]:
        if self._files is None:
            return [np.ascontiguousarray(self.raw).tobytes()]
        return [f"{os.path.basename(path)} {os.path.getsize(path)}".encode() for path in self._files]

    def picture(self, row: int) -> Any:
        """Return one row as a Pillow image."""
        from uncrumple.data.images import array_to_img

        pixels = self.raw[row].astype(np.float32)
        return array_to_img(pixels, scale=bool(pixels.max() <= 1 or pixels.max() > 255))

    def preparation(self, train_rows: Any = None) -> ImagePreparation:
        """Return the layer that scales the pixels, channel by channel, fitted on the training rows alone."""
        rows = self._rows(train_rows)
        return ImagePreparation(**fitted(rows.raw), reading=self._reading, meaning=rows._meaning())


def _checked_pixels(pixels: Any) -> np.ndarray:
    if pixels.dtype.kind not in "iufb" or pixels.ndim not in (3, 4, 5):
        raise ValueError(
            explain(
                f"Images got {pixels.dtype} values of shape {pixels.shape}.",
                "Expected numbers of shape (samples, height, width, channels).",
                "x.reshape(-1, 28, 28, 1) for pictures in rows",
            )
        )
    return pixels[..., None] if pixels.ndim == 3 else pixels


def read_pictures(files: Sequence[str], reading: dict[str, Any]) -> np.ndarray:
    """Return files as one uint8 array, each brought to the size and color that `reading` says."""

    def read(path: str) -> np.ndarray:
        return read_picture(path, tuple(reading["size"]), reading["color"], reading["fit"])

    made = np.empty((len(files), *reading["size"], _CHANNELS[reading["color"]]), np.uint8)
    with ThreadPoolExecutor(cores()) as pool:
        for number, pixels in enumerate(pool.map(read, files)):
            made[number] = pixels
    return made


def read_picture(path: str, size: tuple[int, int], color: str, fit: str) -> np.ndarray:
    """Return a file as uint8 pixels (height, width, channels)."""
    from PIL import Image, ImageOps

    mode = "L" if color == "grayscale" else "RGB"
    with open(path, "rb") as file:
        image = opened(file, os.fspath(path), FORMATS)
        if image.format == "JPEG":
            image.draft(mode, (size[1] * 2, size[0] * 2))  # large ones are decoded at a part of their size
        image = loaded(image, os.fspath(path), _mode_of(image, mode))
    try:
        turned = ImageOps.exif_transpose(image)
    except Exception:  # data that cannot be read say nothing
        turned = image
    image = turned if turned is not None else image
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
    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return "RGBA" if clear else mode


def _chosen(files: list[str], size: Any, color: str | None, fit: str, notes: list[str]) -> dict[str, Any]:
    """Return how files are read: by what the user said, or by what a sample of the files is."""
    if not files:
        raise ValueError(explain("Images got no files.", "Expected at least one.", "check the folder"))
    step = max(1, len(files) // _SNIFFED)
    sizes, gray = set(), True
    if size is None or color is None:
        for path in files[::step]:
            with open(path, "rb") as file:
                image = opened(file, path, FORMATS)
                sizes.add((image.height, image.width))
                gray &= image.mode in ("1", "L", "LA", "I", "I;16", "I;16B", "F")
    if size is None:
        same = len(sizes) == 1 and max(next(iter(sizes))) <= _SIDE
        size = next(iter(sizes)) if same else (_SIDE, _SIDE)
        if not same:
            low, high = min(sizes), max(sizes)
            notes.append(
                f"Files from {low[1]} x {low[0]} to {high[1]} x {high[0]} pixels are read at {size[1]} x {size[0]}."
                if low != high
                else f"Files of {low[1]} x {low[0]} pixels are read at {size[1]} x {size[0]}."
            )
    return {"size": list(size), "color": color or ("grayscale" if gray else "rgb"), "fit": fit}


def _whole(files: list[str], notes: list[str]) -> list[int]:
    """Return the numbers of the files that can be read, and say how many cannot."""

    def problem(path: str) -> str | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_picture(path, (8, 8), "rgb", "squeeze")
        except (ValueError, OSError) as error:
            return str(error).split("\n")[0]
        return None

    with ThreadPoolExecutor(cores()) as pool:
        problems = list(pool.map(problem, files))
    bad = [said for said in problems if said is not None]
    if bad:
        shown = " ".join(bad[:3]) + (f" And {len(bad) - 3} more." if len(bad) > 3 else "")
        notes.append(f"Left out {len(bad)} of {len(files)} files that cannot be read: {shown}")
        warn(notes[-1].rstrip("."), "Expected whole files.", "get these files anew, or remove them")
    return [number for number, said in enumerate(problems) if said is None]
