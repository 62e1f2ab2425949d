"""Fashion-MNIST: 70,000 grey pictures of ten kinds of clothes, of MNIST's size."""

from __future__ import annotations

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.download import Remote, cache_folder, fetch
from uncrumple.data.get_file import Bar, of_keras
from uncrumple.data.idx import read_idx
from uncrumple.data.published import FASHION_FILES, FASHION_MIRRORS
from uncrumple.datasets.files import ORIGIN, Pair  # noqa: F401 - where Keras has the files

_FOLDER = "datasets/fashion-mnist"
_FILES, _MIRRORS = FASHION_FILES, FASHION_MIRRORS


def load_data() -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)), as uint8 arrays.

    The four published files are downloaded once, to `$UNCRUMPLE_DATA_DIR` or
    `~/.cache/uncrumple`, and checked. They are under the MIT licence (Zalando SE).

    Returns:
        Images of shapes (60000, 28, 28) and (10000, 28, 28) with values from 0 to 255, and classes
        of shapes (60000,) and (10000,), from 0: T-shirt or top, trousers, pullover, dress, coat,
        sandal, shirt, sneaker, bag, ankle boot.

    Raises:
        ConnectionError: A file is missing and could not be downloaded.
        ValueError: A file does not hold Fashion-MNIST.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_train.shape  # doctest: +SKIP
        (60000, 28, 28)
    """
    x_train, y_train, x_test, y_test = (_read(name, *known) for name, known in _FILES.items())
    return (x_train, y_train), (x_test, y_test)


def _read(name: str, md5: str, shape: tuple[int, ...]) -> np.ndarray:
    remote = Remote(name, None, None, tuple(mirror + name for mirror in _MIRRORS), md5=md5)
    path = of_keras(remote, _FOLDER)
    if path is None:
        path = fetch(remote, cache_folder() / _FOLDER, progress=Bar(remote.urls[0]))
    found = read_idx(path)
    if found.shape != shape or found.dtype != np.uint8:
        raise ValueError(
            explain(
                f"{path} holds {found.dtype} numbers of shape {found.shape}.",
                f"Expected uint8 numbers of shape {shape}.",
                "delete it, and load again",
            )
        )
    return found
