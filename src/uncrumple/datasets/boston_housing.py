"""Boston housing: 506 districts with 13 figures each, and the median price of their houses."""

from __future__ import annotations

from uncrumple.datasets.files import Pair, published, read_npz
from uncrumple.datasets.splits import check_test_split, train_and_test

_SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)), as float64 arrays.

    One of the 13 columns was made of the share of black inhabitants, on the assumption that
    prices depend on it; california_housing is a better choice.

    Args:
        path: The name to keep the file by, or the path of such a file.
        test_split: The share of the rows, from 0 to 1, that is set apart for testing.
        seed: For the order of the rows.

    Returns:
        Figures of shapes (404, 13) and (102, 13), and prices in thousands of dollars.

    Raises:
        ValueError: An argument is impossible, or the file is damaged.
        ConnectionError: The file is missing and could not be downloaded.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_train.shape  # doctest: +SKIP
        (404, 13)
    """
    check_test_split("boston_housing.load_data", test_split)
    x, y = read_npz(published("boston_housing.load_data", path, "boston_housing.npz", _SHA256), ("x", "y"))
    return train_and_test(x, y, test_split, seed)
