"""Where the files of the data sets are from, and how they are read without running anything that is in them."""

from __future__ import annotations

import json
import math
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.get_file import get_file
from uncrumple.data.pickles import not_the_data, read_pickle
from uncrumple.data.published import ORIGIN

# Of one file, unpacked. The largest there is has 180 MB.
_MOST_BYTES = 1 << 30

Pair = tuple[np.ndarray, np.ndarray]


def published(owner: str, path: str, name: str, file_hash: str) -> Path:
    """Return the path of a published file.

    Args:
        owner: Who asks, for messages: `"imdb.load_data"`.
        path: A name within the cache, by which the file is found or downloaded; or the path of a
            file of the same form, which is read as it is.
        name: The name that it was published by.
        file_hash: Its sha256 or MD5.
    """
    place = Path(path).expanduser()
    if place.is_file():
        return place
    if os.sep in str(path) or "/" in str(path):
        raise FileNotFoundError(
            explain(
                f"{owner} got path={path!r}, and there is no such file.",
                "Expected the path of a file, or a plain name to keep the downloaded file by.",
                f"{owner}() finds or downloads the data itself.",
            )
        )
    return Path(get_file(path, origin=ORIGIN + name, file_hash=file_hash))


def read_words(path: Path) -> dict[str, int]:
    """Return {word: number} from a JSON file."""
    expected = "JSON with a whole number for each word"
    if path.stat().st_size > 1 << 26:
        raise not_the_data(path, "it is larger than 64 MB", expected)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (ValueError, RecursionError) as problem:
        raise not_the_data(path, problem, expected) from None
    if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
        raise not_the_data(path, "it holds something else", expected)
    return found


# --- arrays --------------------------------------------------------------------------------


def read_npz(path: Path, names: tuple[str, ...], *, ragged: bool = False) -> list[np.ndarray]:
    """Return arrays of an .npz file.

    Args:
        path: The file.
        names: Which arrays.
        ragged: Whether arrays of lists of whole numbers are allowed; by default only numbers are.

    Raises:
        ValueError: The file is damaged, or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [_member(archive, name, ragged) for name in names]
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError, RuntimeError) as problem:
        raise not_the_data(path, problem, f"an .npz file with the arrays {', '.join(names)}") from None


def _member(archive: zipfile.ZipFile, name: str, ragged: bool) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > _MOST_BYTES:
        raise ValueError(f"{name} would take {info.file_size:,} bytes")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} is an array of an unknown version")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_column, dtype = read(file)
        if dtype.hasobject:
            if not ragged or dtype != np.dtype(object):
                raise ValueError(f"{name} holds objects")
            found = read_pickle(file.read(_MOST_BYTES))
            if not isinstance(found, np.ndarray) or found.shape != shape:
                raise ValueError(f"{name} is not an array of shape {shape}")
            return found
        if dtype.kind not in "biuf":
            raise ValueError(f"{name} holds {dtype}")
        size = math.prod(shape) * dtype.itemsize
        if size > info.file_size:
            raise ValueError(f"{name} does not hold {size:,} bytes")
        content = file.read(size + 1)
        if len(content) != size:
            raise ValueError(f"{name} does not hold {size:,} bytes")
        return np.frombuffer(bytearray(content), dtype).reshape(shape, order="F" if by_column else "C")
