"""What cifar10 and cifar100 share: batches of colour images, pickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from uncrumple.core.settings import image_data_format
from uncrumple.data.pickles import cifar_batch, not_the_data


def read_batch(path: Path, labels: str, samples: int) -> tuple[np.ndarray, list[int]]:
    """Return images of shape (samples, 3, 32, 32), as uint8, and their labels."""
    if path.stat().st_size > 1 << 29:
        raise not_the_data(path, "it is larger than 512 MB", f"{samples:,} images of 3 x 32 x 32 bytes, and {labels}")
    return cifar_batch(path.read_bytes(), path, labels, samples)


def arranged(images: np.ndarray) -> np.ndarray:
    """Return images with their axes in the order that `config.image_data_format()` names."""
    return images if image_data_format() == "channels_first" else images.transpose(0, 2, 3, 1)
