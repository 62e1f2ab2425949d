"""Small helpers under Keras's names."""

from uncrumple.callbacks import Progbar
from uncrumple.core.errors import answer_misspellings
from uncrumple.core.naming import reset_names as clear_session
from uncrumple.core.registry import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from uncrumple.core.seeds import set_random_seed
from uncrumple.utils.arrays import normalize, pad_sequences, to_categorical

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "normalize",
    "pad_sequences",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "to_categorical",
]

answer_misspellings(__name__)
