"""Setting rows apart for testing, as Keras's data sets do."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.datasets.files import Pair


def check_test_split(owner: str, test_split: Any) -> None:
    """Raise a ValueError for a share that leaves nothing to learn from."""
    if isinstance(test_split, bool) or not isinstance(test_split, (int, float)) or not 0 <= test_split < 1:
        raise ValueError(
            explain(
                f"{owner} got test_split={test_split!r}.",
                "Expected the share of the rows to test with: 0 <= test_split < 1.",
                "test_split=0.2",
            )
        )


def train_and_test(x: np.ndarray, y: np.ndarray, test_split: float, seed: int) -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)), the rows in the order that a seed gives."""
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    split = int(len(x) * (1 - test_split))
    return (x[order[:split]], y[order[:split]]), (x[order[split:]], y[order[split:]])
