"""`keras.legacy`: how Keras 2 wrote objects."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.legacy import saving

__all__ = ["saving"]

answer_misspellings(__name__)
