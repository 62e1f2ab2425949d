"""Settings for the whole program, under Keras's names."""

from uncrumple.core.dtypes import dtype_policy, floatx, set_dtype_policy, set_floatx
from uncrumple.core.errors import answer_misspellings
from uncrumple.core.flash import disable_flash_attention, enable_flash_attention, is_flash_attention_enabled
from uncrumple.core.messages import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from uncrumple.core.settings import (
    backend,
    disable_traceback_filtering,
    enable_traceback_filtering,
    enable_unsafe_deserialization,
    epsilon,
    image_data_format,
    is_nnx_enabled,
    is_traceback_filtering_enabled,
    max_epochs,
    max_steps_per_epoch,
    set_backend,
    set_epsilon,
    set_image_data_format,
    set_max_epochs,
    set_max_steps_per_epoch,
)

__all__ = [
    "backend",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]

answer_misspellings(__name__)
