"""Where the files of the data sets are from, and how they are read without running anything that is in them.

Some were published as pickles: lists of numbers within NumPy's wrapping. A pickle may call any
function there is; the reader here knows four names, all of NumPy's wrapping, and each stands for
a record of its own, so that not even NumPy is called with what a file says.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.get_file import get_file

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
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


def not_the_data(path: Path, problem: object, expected: str) -> ValueError:
    """Return the error for a file that does not hold what it should."""
    return ValueError(
        explain(f"{path} does not hold the data: {problem}.", f"Expected {expected}.", "delete it, and load again")
    )


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


# --- pickles -------------------------------------------------------------------------------


class _Type:
    """Stands for NumPy's `dtype`: a short name and the order of its bytes."""

    def __init__(self, name: Any = b"", *_: Any) -> None:
        self.name, self.order = _text(name), "|"

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1]) if isinstance(state, tuple) and len(state) > 1 else "?"

    def real(self) -> np.dtype:
        if not re.fullmatch(r"O8?|b1|[iu][1248]|f[248]", self.name) or self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"an array of the type {self.name!r}")
        return np.dtype(object) if self.name[0] == "O" else np.dtype(self.name).newbyteorder(self.order)  # type: ignore[arg-type]


class _Array:
    """Stands for an array: what is known of it is kept, and looked at when all is read."""

    state: Any = None

    def __init__(self, *_: Any) -> None:
        """NumPy's wrapping names the class, a shape of nothing, and a letter."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def real(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise pickle.UnpicklingError("an array without content")
        _, shape, kind, by_column, content = self.state
        if not (isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)):
            raise pickle.UnpicklingError(f"an array of shape {shape!r}")
        dtype = kind.real() if isinstance(kind, _Type) else None
        if dtype is not None and dtype.hasobject and isinstance(content, list) and shape == (len(content),):
            made = np.empty(shape, object)
            for place, row in enumerate(content):
                if type(row) is not int and not (type(row) is list and set(map(type, row)) <= {int}):
                    raise pickle.UnpicklingError("something other than lists of whole numbers")
                made[place] = row
            return made
        if dtype is not None and not dtype.hasobject and isinstance(content, bytes):
            if len(content) != math.prod(shape) * dtype.itemsize:
                raise pickle.UnpicklingError(f"{len(content):,} bytes for an array of shape {shape}")
            return np.frombuffer(bytearray(content), dtype).reshape(shape, order="F" if by_column else "C")
        raise pickle.UnpicklingError("an array of something else")


class _NoCall:
    """Stands for a class that is only named, never called."""

    def __new__(cls, *_: Any) -> Any:
        raise pickle.UnpicklingError("an array that is made in another way")


def _as_bytes(text: Any, kind: Any) -> bytes:
    """Stands for Python's `encode`, by which old pickles hold bytes."""
    if not isinstance(text, str) or kind != "latin1":
        raise pickle.UnpicklingError("bytes that are made in another way")
    return text.encode("latin-1")


# The only names that a pickle may use, and what they stand for here.
_NAMES = {
    ("numpy", "ndarray"): _NoCall,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _as_bytes,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _NAMES.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it names something outside of the file")


def read_pickle(content: bytes) -> Any:
    """Return what a pickle of lists, numbers and arrays holds; nothing that it names is ever called.

    Returns:
        The array; or a dict with str keys, whose values are arrays, lists and plain values.

    Raises:
        ValueError: It holds something else, or is damaged.

    Example:
        >>> read_pickle(pickle.dumps({"labels": [6, 9]}))
        {'labels': [6, 9]}
    """
    try:
        found = _Reader(io.BytesIO(content), encoding="bytes").load()
        if isinstance(found, dict):
            return {_text(key): _real(value) for key, value in found.items()}
        return _real(found)
    except ValueError:
        raise
    except Exception as problem:  # a damaged pickle fails in many ways
        raise ValueError(f"its pickle is not of lists and numbers ({problem})") from None


def _real(value: Any) -> Any:
    return value.real() if isinstance(value, _Array) else value


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
