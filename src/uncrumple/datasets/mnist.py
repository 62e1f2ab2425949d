"""MNIST: 60,000 handwritten digits to learn from and 10,000 to be tested on."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.named import mnist_arrays

_KERAS_NAME = "mnist.npz"
_SHAPES = {"x_train": (60000, 28, 28), "y_train": (60000,), "x_test": (10000, 28, 28), "y_test": (10000,)}

Pair = tuple[np.ndarray, np.ndarray]


def load_data(path: str = _KERAS_NAME) -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)), as uint8 arrays.

    With the default, the four published files are read from `$UNCRUMPLE_DATA_DIR` or
    `~/.cache/uncrumple`, and downloaded to it once if they are not there.

    Args:
        path: An .npz file in Keras's form, to be read in place of the published files: a
            path, or a name within `~/.keras/datasets`.

    Returns:
        Images of shapes (60000, 28, 28) and (10000, 28, 28) with values from 0 to 255, and
        labels of shapes (60000,) and (10000,) with values from 0 to 9.

    Raises:
        FileNotFoundError: `path` is given, and there is no such file.
        ConnectionError: The files are missing and could not be downloaded.
        ValueError: A file does not hold MNIST.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_train.shape  # doctest: +SKIP
        (60000, 28, 28)
    """
    places = [Path.home() / ".keras" / "datasets" / path]
    if path != _KERAS_NAME:
        places.insert(0, Path(path).expanduser())
    for place in places:
        if place.is_file():
            x_train, y_train, x_test, y_test = _read_npz(place)
            return (x_train, y_train), (x_test, y_test)
    if path != _KERAS_NAME:
        raise FileNotFoundError(
            explain(
                f"mnist.load_data got path={path!r}, and neither {places[0]} nor {places[1]} is a file.",
                "Expected an .npz file with x_train, y_train, x_test and y_test.",
                "mnist.load_data() finds or downloads the data itself.",
            )
        )
    (x_train, y_train, x_test, y_test), _ = mnist_arrays()
    return (x_train, y_train), (x_test, y_test)


def _read_npz(path: Path) -> list[np.ndarray]:
    """Read the four arrays; each header is compared with what MNIST is before any of its numbers are read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read_member(archive, name, shape) for name, shape in _SHAPES.items()]
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError) as problem:
        raise ValueError(
            explain(
                f"{path} is not MNIST in Keras's form: {problem}.",
                f"Expected uint8 arrays: {', '.join(f'{name} {shape}' for name, shape in _SHAPES.items())}.",
                "mnist.load_data() finds or downloads the data itself.",
            )
        ) from None


def _read_member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{name} is not a version 1 array")
        found, by_column, dtype = np.lib.format.read_array_header_1_0(member)
        if found != shape or dtype != np.uint8 or by_column:
            raise ValueError(f"{name} is {dtype} of shape {found}")
        size = int(np.prod(shape))
        content = member.read(size + 1)
        if len(content) != size:
            raise ValueError(f"{name} does not hold {size:,} bytes")
        return np.frombuffer(bytearray(content), dtype=np.uint8).reshape(shape)
