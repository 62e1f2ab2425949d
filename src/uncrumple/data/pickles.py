"""Pickles of lists, numbers and arrays, read without running anything that is in them.

Some data sets were published as pickles: lists of numbers within NumPy's wrapping. A pickle may
call any function there is; the reader here knows five names, all of NumPy's wrapping, and each
stands for a record of its own, so that not even NumPy is called with what a file says.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain


def not_the_data(path: Path | str, problem: object, expected: str) -> ValueError:
    """Return the error for a file that does not hold what it should."""
    return ValueError(
        explain(f"{path} does not hold the data: {problem}.", f"Expected {expected}.", "delete it, and load again")
    )


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


# --- CIFAR ---------------------------------------------------------------------------------


def cifar_batch(content: bytes, name: Path | str, labels: str, samples: int) -> tuple[np.ndarray, list[int]]:
    """Return images of shape (samples, 3, 32, 32), as uint8, and their labels, of one of CIFAR's files.

    Args:
        content: What is in the file.
        name: What it is called, for messages.
        labels: The entry that holds the labels: `"labels"`, `"fine_labels"` or `"coarse_labels"`.
        samples: How many images there must be.
    """
    expected = f"{samples:,} images of 3 x 32 x 32 bytes, and {labels}"
    try:
        found = read_pickle(content)
        images, classes = found["data"], found[labels]
    except (ValueError, KeyError, TypeError) as problem:
        raise not_the_data(name, problem, expected) from None
    if not isinstance(images, np.ndarray) or images.shape != (samples, 3072) or images.dtype != np.uint8:
        raise not_the_data(name, "the images are of another size", expected)
    if not isinstance(classes, list) or len(classes) != samples or set(map(type, classes)) != {int}:
        raise not_the_data(name, "the labels are not one number for each image", expected)
    return images.reshape(samples, 3, 32, 32), classes
