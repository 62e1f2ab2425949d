"""CIFAR-10: 60,000 small photographs of ten kinds of things."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uncrumple.data.get_file import get_file
from uncrumple.data.published import CIFAR10
from uncrumple.datasets.cifar import arranged, read_batch
from uncrumple.datasets.files import Pair

_ORIGIN, _SHA256 = CIFAR10.urls[0], CIFAR10.sha256
_BATCH = 10_000


def load_data() -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)), as uint8 arrays.

    The archive (170 MB) is downloaded once, to `$UNCRUMPLE_DATA_DIR` or `~/.cache/uncrumple`,
    checked, and unpacked beside it.

    Returns:
        Images of shapes (50000, 32, 32, 3) and (10000, 32, 32, 3) with values from 0 to 255, and
        classes of shapes (50000, 1) and (10000, 1), from 0: airplane, automobile, bird, cat, deer,
        dog, frog, horse, ship, truck.

    Raises:
        ConnectionError: The archive is missing and could not be downloaded.
        ValueError: A file does not hold CIFAR-10.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_train.shape, y_train.shape  # doctest: +SKIP
        ((50000, 32, 32, 3), (50000, 1))
    """
    place = get_file("cifar-10-batches-py-target", origin=_ORIGIN, extract=True, file_hash=_SHA256)
    folder = Path(place) / "cifar-10-batches-py"
    batches = [read_batch(folder / f"data_batch_{number}", "labels", _BATCH) for number in range(1, 6)]
    x_train = np.concatenate([images for images, _ in batches])
    y_train = np.concatenate([np.array(classes, np.uint8) for _, classes in batches])
    x_test, classes = read_batch(folder / "test_batch", "labels", _BATCH)
    return (arranged(x_train), y_train[:, None]), (arranged(x_test), np.array(classes, np.uint8)[:, None])
