"""`keras.preprocessing`, under its old names."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.data.from_directory import image_dataset_from_directory, text_dataset_from_directory
from uncrumple.data.timeseries import timeseries_dataset_from_array
from uncrumple.preprocessing import image, sequence

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]

answer_misspellings(__name__)
