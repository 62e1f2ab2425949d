"""What cifar10 and cifar100 share: batches of colour images, pickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uncrumple.core.settings import image_data_format
from uncrumple.datasets.files import not_the_data, read_pickle


def read_batch(path: Path, labels: str, samples: int) -> tuple[np.ndarray, list[int]]:
    """Return images of shape (samples, 3, 32, 32), as uint8, and their labels."""
    expected = f"{samples:,} images of 3 x 32 x 32 bytes, and {labels}"
    if path.stat().st_size > 1 << 29:
        raise not_the_data(path, "it is larger than 512 MB", expected)
    try:
        found = read_pickle(path.read_bytes())
        images, classes = found["data"], found[labels]
    except (ValueError, KeyError, TypeError) as problem:
        raise not_the_data(path, problem, expected) from None
    if not isinstance(images, np.ndarray) or images.shape != (samples, 3072) or images.dtype != np.uint8:
        raise not_the_data(path, "the images are of another size", expected)
    if not isinstance(classes, list) or len(classes) != samples or set(map(type, classes)) != {int}:
        raise not_the_data(path, "the labels are not one number for each image", expected)
    return images.reshape(samples, 3, 32, 32), classes


def arranged(images: np.ndarray) -> np.ndarray:
    """Return images with their axes in the order that `config.image_data_format()` names."""
    return images if image_data_format() == "channels_first" else images.transpose(0, 2, 3, 1)
