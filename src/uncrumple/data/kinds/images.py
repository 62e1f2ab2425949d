"""`Images`: pictures from folders, lists of files, arrays and IDX files, of any size and mode."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name, warn
from uncrumple.data.background import cores
from uncrumple.data.folders import find
from uncrumple.data.idx import read_idx
from uncrumple.data.kinds.base import RawData, answers_of
from uncrumple.data.kinds.pictures import CHANNELS, FITS, Pictures, as_picture, chosen_reading, read_picture
from uncrumple.data.kinds.prepare_images import ImagePreparation, fitted

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# Files whose pixels take more are read batch by batch, as often as they are needed.
IN_MEMORY_BYTES = 1 << 30
# Of so many files, mean and variance of the pixels are measured on as many, evenly spaced.
_MEASURED = 10_000
_MEASURED_AT_ONCE = 256


class Images(RawData):
    """Pictures, all brought to one size and one mode.

    Files may be JPEG, PNG, BMP, GIF, WebP, TIFF or PPM of any size; what EXIF
    says about turning is done, 16 bits become 8, and what is transparent
    becomes white. Files are read when `raw` is first asked for, each once. If
    their pixels take more than 1 GB, `fit` reads them batch by batch in
    place of that, and the preparation measures 10,000 of them.

    Args:
        source: A folder with a folder for each class; a list of paths; a list of Pillow images, or of
            arrays of any sizes; an array of shape (samples, height, width),
            (samples, height, width, channels) or, for video, (samples, frames, height, width, channels);
            or the path of an IDX file.
        labels: The class of each picture for anything but a folder: words or whole numbers, or the path
            of an IDX file.
        size: (height, width); None takes the files' own size if they agree and no side exceeds 96, else 96 x 96.
        color: `"rgb"` or `"grayscale"`; None takes grayscale if all files looked at are.
        fit: What is done about other proportions: `"squeeze"`, `"crop"` from the middle, or `"pad"` with black.
        class_names: Names for labels that are whole numbers from 0.
        groups: What belongs together, one per picture: a patient, a video.
        times: When each picture was taken.
        task: `"classification"` or `"regression"`; None tells by the labels.
        augment: What changes pictures at random while `fit` trains on them, anew in each epoch: a layer
            such as `layers.RandomFlip("horizontal")`, a function of a batch, or a list of these.
            Nothing else ever does: not `raw`, the preparation, validation, evaluation or prediction.
        skip_damaged: Whether files that cannot be read are left out: counted in `notes`, and named in
            `damaged`. By default they are an error that names the file.
        name: What the data is called.

    Attributes:
        damaged: What was left out: {path: what is wrong with it}.

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
        augment: Any = (),
        skip_damaged: bool = False,
        name: str | None = None,
    ) -> None:
        if color is not None and color not in CHANNELS:
            raise ValueError(unknown_name("color", str(color), CHANNELS))
        if fit not in FITS:
            raise ValueError(unknown_name("fit", str(fit), FITS))
        if size is not None and (len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size)):
            raise ValueError(explain(f"Images got size={size!r}.", "Expected (height, width).", "size=(96, 96)"))
        notes: list[str] = []
        files: list[str] | None = None
        pictures: list[Any] | None = None
        self.damaged: dict[str, str] = {}
        self.augment = _augmentation(augment)
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
                "Images", str(path), "inferred", ENDINGS, class_names, False, 0, True, False, skip_damaged
            )
            labels, class_names = numbers, found_names
        elif path is not None:
            self._pixels = read_idx(path)
            labels = read_idx(labels) if isinstance(labels, (str, os.PathLike)) else labels
        elif (
            isinstance(source, (list, tuple)) and source and all(isinstance(one, (str, os.PathLike)) for one in source)
        ):
            files = [os.fspath(one) for one in source]
        elif _are_of_any_size(source):
            pictures = [as_picture(one, number) for number, one in enumerate(source)]
        else:
            self._pixels = np.asarray(source.detach().cpu() if hasattr(source, "detach") else source)
        groups, times = (None if given is None else np.asarray(given) for given in (groups, times))
        if files is None and pictures is None:
            self._pixels = _checked_pixels(self._pixels)
            self._reading: dict[str, Any] = {
                "size": list(self._pixels.shape[-3:-1]),
                "color": "rgb" if self._pixels.shape[-1] == 3 else "grayscale",
                "fit": fit,
            }
        else:
            if skip_damaged and files is not None:
                good, self.damaged = _whole(files, notes)
                files = [files[number] for number in good]
                labels = None if labels is None else np.asarray(labels)[good]
                groups, times = (None if given is None else given[good] for given in (groups, times))
            self._reading = chosen_reading(pictures or files or [], size, color, fit, notes)
        y: np.ndarray | None = None
        names: tuple[str, ...] = ()
        answered: str | None = None
        if labels is not None:
            given = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
            count = len(next(given for given in (files, pictures, self._pixels) if given is not None))
            if len(given) != count:
                raise ValueError(
                    explain(
                        f"Images got {count} pictures and {len(given)} labels.",
                        "Expected one for each.",
                        f"labels[:{count}]",
                    )
                )
            y, answered, names = answers_of(given, task, class_names, "Images")
        self._store: Pictures | None = None
        if self._pixels is None:
            self._store = Pictures(pictures or files or [], self._reading)
            self._rows_there = np.arange(len(self._store))
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
        if self._pixels is None and self._store is not None:
            self._pixels = self._store.pixels(self._rows_there, keep=not self._is_large)
        return self._pixels  # type: ignore[return-value]

    @property
    def shape(self) -> tuple[int, ...]:
        if self._pixels is not None:
            return self._pixels.shape
        return (len(self), *self._reading["size"], CHANNELS[self._reading["color"]])

    def __len__(self) -> int:
        return len(self._rows_there) if self._pixels is None else len(self._pixels)

    @property
    def _is_large(self) -> bool:
        """Whether all files together, of which these may be a part, take more memory than they should."""
        return self._store is not None and self._store.bytes > IN_MEMORY_BYTES

    @property
    def is_read_in_batches(self) -> bool:
        return self._pixels is None and self._is_large

    def _take_raw(self, rows: np.ndarray) -> None:
        if self._pixels is not None:
            self._pixels = self._pixels[rows]
        if self._store is not None:
            self._rows_there = self._rows_there[rows]

    def _readers(self) -> dict[str, Any]:
        if self._pixels is not None:
            return super()._readers()
        store, rows, y = self._store, self._rows_there, self.y
        assert store is not None

        def one(number: int) -> Any:
            pixels = store.read(int(rows[number]))
            return pixels if y is None else (pixels, y[number])

        def join(some: list[Any]) -> Any:
            if y is None:
                return torch.from_numpy(np.stack(some))
            pixels, answers = zip(*some)
            return torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.asarray(answers))

        def many(numbers: np.ndarray) -> Any:
            pixels = np.stack([store.read(row) for row in rows[numbers].tolist()])
            return pixels if y is None else (pixels, y[numbers])

        return {"one": one, "join": join, "many": many}

    def _bytes(self) -> list[bytes]:
        if self.files is None:
            return [np.ascontiguousarray(self.raw).tobytes()]
        return [f"{os.path.basename(path)} {os.path.getsize(path)}".encode() for path in self.files]

    def picture(self, row: int, frame: int = 0) -> Any:
        """Return one row as a Pillow image; of a video, one of its frames."""
        from uncrumple.data.images import array_to_img

        large = self._pixels is None and self._store is not None and self._is_large
        pixels = self._store.read(int(self._rows_there[row])) if large else self.raw[row]  # type: ignore[union-attr]
        pixels = (pixels[frame] if pixels.ndim == 4 else pixels).astype(np.float32)
        return array_to_img(pixels, scale=bool(pixels.max() <= 1 or pixels.max() > 255))

    def preparation(self, train_rows: Any = None) -> ImagePreparation:
        """Return the layer that scales the pixels, channel by channel, fitted on the training rows alone."""
        rows = self._rows(train_rows)
        return ImagePreparation(**fitted(rows._measured()), reading=self._reading, meaning=rows._meaning())

    def _measured(self) -> Iterator[np.ndarray]:
        """Yield the pixels that are measured, a few at a time: all, or of very many files some."""
        if self._pixels is not None or not self._is_large:
            yield from _pieces(self.raw)
            return
        assert self._store is not None
        step = max(1, -(-len(self) // _MEASURED))
        for some in _pieces(self._rows_there[::step]):
            yield self._store.pixels(some, keep=False)


def _pieces(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _MEASURED_AT_ONCE):
        yield rows[start : start + _MEASURED_AT_ONCE]


def _augmentation(given: Any) -> tuple[Any, ...]:
    changes = tuple(given) if isinstance(given, (list, tuple)) else () if given is None else (given,)
    for change in changes:
        if not callable(change):
            raise TypeError(
                explain(
                    f"Images got augment={change!r}.",
                    "Expected layers, or functions of a batch of pictures.",
                    "augment=[layers.RandomFlip('horizontal'), layers.RandomRotation(0.05)]",
                )
            )
    return changes


def _are_of_any_size(source: Any) -> bool:
    """Return whether this is a list of pictures that are no array: Pillow's, or arrays of different sizes."""
    if not isinstance(source, (list, tuple)) or not source:
        return False
    if any(hasattr(one, "convert") and hasattr(one, "getbands") for one in source):
        return True
    shapes = {getattr(one, "shape", None) for one in source}
    return None not in shapes and len(shapes) > 1 and all(len(shape) in (2, 3) for shape in shapes)  # type: ignore


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


def _whole(files: list[str], notes: list[str]) -> tuple[list[int], dict[str, str]]:
    """Return the numbers of the files that can be read, and what is wrong with the others; say how many these are."""

    def problem(path: str) -> str | None:
        try:
            read_picture(path, (8, 8), "rgb", "squeeze")
        except (ValueError, OSError) as error:
            return str(error).split("\n")[0]
        return None

    with warnings.catch_warnings():  # here, as filters are those of all threads
        warnings.simplefilter("ignore")
        with ThreadPoolExecutor(cores()) as pool:
            problems = list(pool.map(problem, files))
    bad = [said for said in problems if said is not None]
    if bad:
        shown = " ".join(bad[:3]) + (f" And {len(bad) - 3} more." if len(bad) > 3 else "")
        notes.append(f"Left out {len(bad)} of {len(files)} files that cannot be read: {shown}")
        warn(notes[-1], "Expected whole files.", "get these files anew, or remove them")
    good = [number for number, said in enumerate(problems) if said is None]
    if not good:
        raise ValueError(
            explain(f"None of {len(files)} files can be read: {bad[0]}", "Expected one at least.", "check the folder")
        )
    return good, {path: said for path, said in zip(files, problems) if said is not None}
