"""Keras's `keras.backend`: what is left of it that people use."""

from uncrumple.config import backend, epsilon, floatx, image_data_format, set_floatx
from uncrumple.core.errors import answer_misspellings
from uncrumple.core.naming import reset_names as clear_session
from uncrumple.core.promotion import is_float_dtype, is_int_dtype, result_type, standardize_dtype

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "result_type",
    "set_floatx",
    "standardize_dtype",
]

answer_misspellings(__name__)
