"""California housing: 20,640 districts with 8 figures each, and the median value of their houses."""

from __future__ import annotations

from uncrumple.core.errors import unknown_name
from uncrumple.datasets.files import Pair, published, read_npz
from uncrumple.datasets.splits import check_test_split, train_and_test

_SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
_ROWS = {"large": None, "small": 600}


def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)), as float32 arrays.

    The columns are longitude, latitude, median age of the houses, rooms, bedrooms, inhabitants,
    households and median income (in 10,000 dollars).

    Args:
        version: `"large"` for all rows, `"small"` for the first 600.
        path: The name to keep the file by, or the path of such a file.
        test_split: The share of the rows, from 0 to 1, that is set apart for testing.
        seed: For the order of the rows.

    Returns:
        Figures of shapes (16512, 8) and (4128, 8), and values in dollars.

    Raises:
        ValueError: An argument is impossible, or the file is damaged.
        ConnectionError: The file is missing and could not be downloaded.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_train.shape  # doctest: +SKIP
        (16512, 8)
    """
    if version not in _ROWS:
        raise ValueError(unknown_name("version", version, _ROWS))
    check_test_split("california_housing.load_data", test_split)
    x, y = read_npz(published("california_housing.load_data", path, "california_housing.npz", _SHA256), ("x", "y"))
    return train_and_test(x[: _ROWS[version]], y[: _ROWS[version]], test_split, seed)
