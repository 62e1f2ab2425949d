"""Keras's `keras.backend`: what is left of it that people use."""

from uncrumple.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from uncrumple.core.errors import answer_misspellings
from uncrumple.core.naming import get_uid, name_scope
from uncrumple.core.naming import reset_names as clear_session
from uncrumple.core.promotion import is_float_dtype, is_int_dtype, result_type, standardize_dtype
from uncrumple.utils.symbols import is_keras_tensor

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "name_scope",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]

answer_misspellings(__name__)
