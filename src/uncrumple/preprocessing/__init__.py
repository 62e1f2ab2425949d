"""`keras.preprocessing`, under its old names."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.preprocessing import sequence

__all__ = ["sequence"]

answer_misspellings(__name__)
