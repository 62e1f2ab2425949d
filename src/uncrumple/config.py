"""Settings for the whole program, under Keras's names."""

from uncrumple.core.dtypes import dtype_policy, floatx, set_dtype_policy, set_floatx
from uncrumple.core.errors import answer_misspellings
from uncrumple.core.flash import disable_flash_attention, enable_flash_attention, is_flash_attention_enabled


def backend() -> str:
    """Return the name of the engine: always `"torch"`."""
    return "torch"


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite."""
    return 1e-7


def image_data_format() -> str:
    """Return the order of an image's axes: `"channels_last"`."""
    return "channels_last"


__all__ = [
    "backend",
    "disable_flash_attention",
    "dtype_policy",
    "enable_flash_attention",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "set_dtype_policy",
    "set_floatx",
]

answer_misspellings(__name__)
