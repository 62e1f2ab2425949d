"""Precision policies, under Keras's names."""

from uncrumple.core.dtypes import DTypePolicy
from uncrumple.core.dtypes import get_policy as get
from uncrumple.core.errors import answer_misspellings

__all__ = ["DTypePolicy", "get"]

answer_misspellings(__name__)
