"""From names and configs to objects, and back.

Each room enters what it offers under its Keras module (`add_builtins`). A
user's own classes enter through `register_keras_serializable`. Reading a
config looks names up in these tables and nowhere else: no module is imported
and no code is run because a file says so.
"""

from uncrumple.core.registry.identifiers import deserialize, get
from uncrumple.core.registry.reading import deserialize_keras_object
from uncrumple.core.registry.tables import (
    CustomObjectScope,
    add_builtins,
    add_later,
    builtin,
    builtins,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    is_builtin_name,
    register_keras_serializable,
)
from uncrumple.core.registry.writing import serialize_dict, serialize_keras_object

__all__ = [
    "CustomObjectScope",
    "add_builtins",
    "add_later",
    "builtin",
    "builtins",
    "custom_object_scope",
    "deserialize",
    "deserialize_keras_object",
    "get",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "is_builtin_name",
    "register_keras_serializable",
    "serialize_dict",
    "serialize_keras_object",
]
