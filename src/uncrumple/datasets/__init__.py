"""Data sets under the names that Keras gives them: `datasets.mnist.load_data()`."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.datasets import mnist

__all__ = ["mnist"]

answer_misspellings(__name__)
