"""Data sets under the names that Keras gives them: `datasets.mnist.load_data()`."""

from uncrumple.datasets import mnist

__all__ = ["mnist"]
