"""Precision policies, under Keras's names."""

from typing import Any

from uncrumple.core import registry
from uncrumple.core.dtypes import DTypePolicy, QuantizedDTypePolicy
from uncrumple.core.dtypes import get_policy as get
from uncrumple.core.errors import answer_misspellings
from uncrumple.core.policy_map import DTypePolicyMap

FloatDTypePolicy = DTypePolicy


def serialize(dtype_policy: DTypePolicy) -> Any:
    """Return a policy as plain data that JSON can hold.

    Example:
        >>> serialize(DTypePolicy("float32"))["config"]
        {'name': 'float32'}
    """
    return registry.serialize_keras_object(dtype_policy)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the policy that `serialize` wrote.

    Example:
        >>> deserialize(serialize(DTypePolicy("float32"))).name
        'float32'
    """
    return registry.deserialize_keras_object(config, custom_objects=custom_objects)


__all__ = [
    "DTypePolicy",
    "DTypePolicyMap",
    "FloatDTypePolicy",
    "QuantizedDTypePolicy",
    "deserialize",
    "get",
    "serialize",
]

answer_misspellings(__name__)
