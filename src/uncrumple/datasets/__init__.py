"""Data sets under the names that Keras gives them: `datasets.mnist.load_data()`."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]

answer_misspellings(__name__)
