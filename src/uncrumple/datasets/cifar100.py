"""CIFAR-100: 60,000 small photographs of a hundred kinds of things, in twenty groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uncrumple.core.errors import unknown_name
from uncrumple.data.get_file import get_file
from uncrumple.data.published import CIFAR100
from uncrumple.datasets.cifar import arranged, read_batch
from uncrumple.datasets.files import Pair

_ORIGIN, _SHA256 = CIFAR100.urls[0], CIFAR100.sha256
_SAMPLES = {"train": 50_000, "test": 10_000}


def load_data(label_mode: str = "fine") -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)): uint8 images, int64 classes.

    Args:
        label_mode: `"fine"` for the 100 classes, `"coarse"` for the 20 groups.

    Returns:
        Images of shapes (50000, 32, 32, 3) and (10000, 32, 32, 3) with values from 0 to 255, and
        classes of shapes (50000, 1) and (10000, 1).

    Raises:
        ConnectionError: The archive is missing and could not be downloaded.
        ValueError: `label_mode` is something else, or a file does not hold CIFAR-100.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_train.shape, y_train.shape  # doctest: +SKIP
        ((50000, 32, 32, 3), (50000, 1))
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(unknown_name("label_mode", label_mode, ("fine", "coarse")))
    place = get_file("cifar-100-python-target", origin=_ORIGIN, extract=True, file_hash=_SHA256)
    pairs = []
    for part, samples in _SAMPLES.items():
        images, classes = read_batch(Path(place) / "cifar-100-python" / part, f"{label_mode}_labels", samples)
        pairs.append((arranged(images), np.array(classes)[:, None]))
    return pairs[0], pairs[1]
