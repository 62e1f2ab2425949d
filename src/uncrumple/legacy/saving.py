"""Objects as Keras 2 wrote them: {"class_name", "config"}."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.utils.legacy import deserialize_keras_object, serialize_keras_object

__all__ = ["deserialize_keras_object", "serialize_keras_object"]

answer_misspellings(__name__)
