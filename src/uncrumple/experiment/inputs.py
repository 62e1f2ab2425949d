"""New rows for a trained network, from pictures, tables and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import closest, explain
from uncrumple.experiment.folder import Run

_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def read_inputs(run: Run, paths: list[Path]) -> tuple[np.ndarray, list[str]]:
    """Return the rows in some files, in the shape that the run's network takes, and a label for each.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: A file is not what the network takes.
    """
    shape = tuple(run.settings["input_shape"])
    rows, labels = [], []
    for path in paths:
        if not path.is_file():
            near = closest(path.name, [other.name for other in path.parent.glob("*")]) if path.parent.is_dir() else None
            raise FileNotFoundError(
                explain(
                    f"{path} is not there.",
                    "Expected a picture, a CSV table or a .npy array.",
                    f"did you mean {path.parent / near}?" if near else "check the path",
                )
            )
        suffix = path.suffix.lower()
        if suffix in _PICTURES:
            found = _picture(run, path, shape)
        elif suffix == ".csv":
            found = _table(run, path, shape)
        elif suffix == ".npy":
            found = _array(path, shape)
        else:
            raise ValueError(
                explain(
                    f"{path} ends in '{path.suffix}'.",
                    "Expected a picture (.png, .jpg, ...), a table (.csv) or an array (.npy).",
                    "convert it to one of these",
                )
            )
        rows.append(found)
        labels += [path.name] if len(found) == 1 else [f"{path.name}, row {row}" for row in range(len(found))]
    return np.concatenate(rows), labels


def _picture(run: Run, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    if len(shape) != 3:
        raise ValueError(
            explain(
                f"{path} is a picture, and the network takes tables with {shape[0]} columns.",
                f"Expected a CSV file with the columns {', '.join(run.feature_names[:4])}, ...",
                "uncrumple predict RUN rows.csv",
            )
        )
    height, width, channels = shape
    try:
        with Image.open(path) as opened:
            picture = opened.convert("L" if channels == 1 else "RGB").resize((width, height))
            pixels = np.asarray(picture, dtype=np.float32)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(
            explain(
                f"{path} cannot be read as a picture: {error}.",
                "Expected a PNG, JPEG or similar.",
                "open and save it again",
            )
        ) from None
    pixels = pixels.reshape(1, height, width, channels)
    # Digits are light ink on dark ground, with a scale of their own; photographs of ink are the other way round.
    if channels == 1 and float(np.median(pixels)) > 127:
        pixels = 255 - pixels
    largest = run.settings["scaling"].get("largest") or 255.0
    return pixels * (float(largest) / 255.0)


def _table(run: Run, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    import pandas

    try:
        frame = pandas.read_csv(path)
    except (ValueError, pandas.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(
            explain(
                f"{path} cannot be read as CSV: {str(error).splitlines()[0]}.",
                "Expected a table with a header line.",
                "save it as CSV, UTF-8",
            )
        ) from None
    names = run.feature_names
    if names:
        missing = [name for name in names if name not in frame.columns]
        if missing:
            near = closest(missing[0], [str(column) for column in frame.columns])
            raise ValueError(
                explain(
                    f"{path} has no column '{missing[0]}'; it has {', '.join(map(str, frame.columns[:6]))}.",
                    f"Expected the columns {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}.",
                    f"rename '{near}' to '{missing[0]}'" if near else f"add the column '{missing[0]}'",
                )
            )
        frame = frame[names]
    return _fitted(path, frame.to_numpy(), shape)


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return _fitted(path, np.load(path, allow_pickle=False), shape)
    except (ValueError, EOFError, OSError) as error:
        if "\nFix: " in str(error):
            raise
        raise ValueError(
            explain(
                f"{path} cannot be read: {str(error).splitlines()[0]}.",
                "Expected what np.save wrote.",
                "np.save(path, x)",
            )
        ) from None


def _fitted(path: Path, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            explain(
                f"{path} holds text or objects ({array.dtype}).",
                "Expected numbers.",
                "turn the columns into numbers first",
            )
        )
    if array.shape == shape:
        array = array[None]
    if array.ndim == len(shape) and len(shape) == 3 and shape[-1] == 1:
        array = array[..., None]
    if array.ndim == 2 and len(shape) == 3 and array.shape[1] == int(np.prod(shape)):
        array = array.reshape(-1, *shape)
    if array.shape[1:] != shape or not len(array):
        raise ValueError(
            explain(
                f"{path} holds an array of shape {array.shape}.",
                f"Expected (rows, {', '.join(map(str, shape))}).",
                "reshape or choose the columns",
            )
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        row, *rest = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            explain(
                f"{path} holds NaN or infinity in row {row}, column {rest[0] if rest else 0}.",
                "Expected finite numbers.",
                "fill or drop that row",
            )
        )
    return array
