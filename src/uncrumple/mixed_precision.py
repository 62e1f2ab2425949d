"""Precision policies under the names of `keras.mixed_precision`."""

from uncrumple.core.dtypes import DTypePolicy, dtype_policy, set_dtype_policy
from uncrumple.core.errors import answer_misspellings
from uncrumple.optimizers import LossScaleOptimizer

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

answer_misspellings(__name__)
