"""Precision policies, under Keras's names."""

from uncrumple.core.dtypes import DTypePolicy
from uncrumple.core.dtypes import get_policy as get

__all__ = ["DTypePolicy", "get"]
