"""Files and configs under Keras's name: `saving.load_model`, `saving.register_keras_serializable`, ..."""

from uncrumple.core.errors import answer_misspellings
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
from uncrumple.models.file_editor import KerasFileEditor
from uncrumple.models.saving import load_model, load_weights, save_model, save_weights

__all__ = [
    "CustomObjectScope",
    "KerasFileEditor",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

answer_misspellings(__name__)
