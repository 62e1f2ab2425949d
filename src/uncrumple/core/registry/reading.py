"""From configs to objects.

Names are looked up in the tables and nowhere else: no module is imported and
no code is run because a file says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple.core import sharing
from uncrumple.core.dtypes import POLICIES, TORCH_DTYPES, dtype_name
from uncrumple.core.errors import closest, explain
from uncrumple.core.registry.tables import BUILTINS, LATER, CustomObjectScope, get_registered_object

_CATEGORIES_BY_DEPTH = (
    ("keras.optimizers.schedules", "optimizers.schedules"),
    ("keras.src.optimizers.schedules", "optimizers.schedules"),
    ("keras.src.backend.torch.optimizers", "optimizers"),
    ("keras.src.backend.tensorflow.optimizers", "optimizers"),
    ("keras.src.backend.jax.optimizers", "optimizers"),
    ("keras.src.layers.preprocessing.feature_space", "feature_space"),
    ("keras.src.ops", "ops"),
    ("keras.ops", "ops"),
    ("keras.src.models", "models"),
    ("keras.models", "models"),
    ("keras.src.dtype_policies", "dtype_policies"),
    ("keras.dtype_policies", "dtype_policies"),
)
# Parts of module names that say nothing about the room.
_PACKAGES = ("keras", "src", "tf_keras", "tf", "tensorflow", "python", "uncrumple")
# Optimizers that one backend's files name by a class of its own.
_BACKEND_CLASS = "Torch"


def deserialize_keras_object(
    config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """Return the object that a config describes; the inverse of `serialize_keras_object`.

    Args:
        config: What `serialize_keras_object` returned.
        custom_objects: {name: class or function} for names that are not registered.
        safe_mode: Kept for Keras's signature. Code in a file is never run, whatever it says.

    Raises:
        TypeError: The config names a class that is neither built in nor registered.
        ValueError: The config carries code.
    """
    if custom_objects:
        with CustomObjectScope(custom_objects):
            return deserialize_keras_object(config, safe_mode=safe_mode)
    if config is None or isinstance(config, (str, bool, int, float)):
        return config
    if isinstance(config, (list, tuple)):
        return [deserialize_keras_object(part) for part in config]
    if not isinstance(config, dict):
        raise TypeError(
            explain(
                f"A config holds {config!r}, a {type(config).__name__}.",
                "Expected plain data.",
                "pass what get_config() gave",
            )
        )
    if "class_name" not in config or "config" not in config:
        return {key: deserialize_keras_object(value) for key, value in config.items()}
    class_name, inner = config["class_name"], config["config"]
    special = _SPECIAL.get(class_name)
    if special is not None:
        return special(inner)
    if class_name == "function":
        return _find_function(config)
    shared = sharing.made_before(config)
    if shared is not None:
        return shared
    cls = _find_class(config)
    if isinstance(inner, dict) and _is_code(inner.get("function")):
        inner = _without_code(class_name, inner)
    if not hasattr(cls, "from_config"):
        raise TypeError(
            explain(
                f"The config names {class_name!r}, which has no from_config().",
                "Expected a class with get_config() and from_config().",
                f"add a from_config classmethod to {class_name}",
            )
        )
    made = cls.from_config(inner)
    build_config = config.get("build_config")
    if build_config and hasattr(made, "build_from_config") and not getattr(made, "built", False):
        made.build_from_config(build_config)
    compile_config = config.get("compile_config")
    if compile_config and hasattr(made, "compile_from_config"):
        made.compile_from_config(compile_config)
    sharing.note_made(made, config)
    return made


def _find_class(config: dict[str, Any]) -> Any:
    class_name = config["class_name"]
    module = config.get("module") or ""
    registered = config.get("registered_name", class_name)
    built_in = module.split(".")[0] in ("keras", "tf_keras", "tensorflow", "uncrumple")
    # What a file calls by a plain name of Keras is that class, whatever else has the name.
    plain = registered is None or (built_in and registered == class_name)
    found = None if plain else get_registered_object(registered)
    if found is None and built_in:
        found = _find_builtin(module, class_name)
    if found is None:
        found = get_registered_object(class_name)
    if found is not None:
        return found
    if built_in:
        raise TypeError(_unknown_class(module, class_name))
    of_module = f" of module '{module}'" if module else ""
    raise TypeError(
        explain(
            f"The file names the class '{registered or class_name}'{of_module}, which is not built in.",
            "Expected it to be registered before loading; loading never imports code.",
            f"load_model(path, custom_objects={{'{class_name}': {class_name}}})",
        )
    )


def _find_builtin(module: str, class_name: str) -> Any:
    if class_name in POLICIES:
        return POLICIES[class_name]
    category = next((c for prefix, c in _CATEGORIES_BY_DEPTH if f"{module}.".startswith(prefix + ".")), None)
    if category is None:
        parts = [part for part in module.split(".") if part not in _PACKAGES]
        category = parts[0] if parts else "models"
    table = BUILTINS.get(category, {})
    found = table.get(class_name)
    if found is None and class_name.startswith(_BACKEND_CLASS):
        found = table.get(class_name.removeprefix(_BACKEND_CLASS))
    if found is None and category in LATER:
        found = LATER[category](class_name)
    return found


def _unknown_class(module: str, class_name: str) -> str:
    """Return the message for a class of Keras that is not there."""
    room = module.split(".")[-1]
    tables = [BUILTINS[room]] if BUILTINS.get(room) else list(BUILTINS.values())
    known = sorted({name for table in tables for name, thing in table.items() if isinstance(thing, type)})
    guess = closest(str(class_name), known)
    return explain(
        f"The file names the class '{class_name}' of module '{module}', which uncrumple does not have.",
        f"Expected one of: {', '.join(known[:24])}{', ...' if len(known) > 24 else ''}.",
        f"did you mean '{guess}'?" if guess else f"give a class of your own: custom_objects={{'{class_name}': ...}}",
    )


def _find_function(config: dict[str, Any]) -> Any:
    name = config["config"]
    found = get_registered_object(name)
    if found is None:
        for table in BUILTINS.values():
            if name in table and not isinstance(table[name], type):
                return table[name]
        raise TypeError(
            explain(
                f"The file names the function '{name}', which is not built in.",
                "Expected it to be registered before loading; loading never imports code.",
                f"load_model(path, custom_objects={{'{name}': {str(name).split('>')[-1]}}})",
            )
        )
    return found


def _is_code(part: Any) -> bool:
    return isinstance(part, dict) and part.get("class_name") == "__lambda__"


def _without_code(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a layer with the function that the caller gave in place of code in the file."""
    name = config.get("name")
    if isinstance(name, str) and callable(get_registered_object(name)):
        function = {"class_name": "function", "config": name, "module": "builtins", "registered_name": "function"}
        return {**config, "function": function}
    raise ValueError(
        explain(
            f"The file carries a lambda in {class_name} '{name}': Python code that loading it would run.",
            "Expected a file without code; safe_mode=False does not change that, no code from a file is ever run.",
            f"if you know what it computes, write it yourself: custom_objects={{{name!r}: lambda x: ...}}",
        )
    )


def _refuse_code(_: Any) -> Any:
    raise ValueError(
        explain(
            "The file carries a lambda: Python code that loading it would run.",
            "Expected a file without code; safe_mode=False does not change that, no code from a file is ever run.",
            "save the model again with a named function in place of the lambda, and register it",
        )
    )


def _array(inner: dict[str, Any]) -> np.ndarray:
    """Return the array that a config holds; only plain types of numbers, whose size in memory is known."""
    dtype = np.dtype(inner["dtype"])
    if dtype.kind not in "biufc":
        raise ValueError(
            explain(
                f"The file holds an array of type {dtype}.", "Expected numbers.", "save the array as a list of strings"
            )
        )
    return np.array(inner["value"], dtype=dtype)


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "__bytes__": lambda inner: inner["value"].encode(),
    "__slice__": lambda inner: slice(*(deserialize_keras_object(inner[key]) for key in ("start", "stop", "step"))),
    "__ellipsis__": lambda inner: Ellipsis,
    "__numpy__": lambda inner: _array(inner),
    "__tensor__": lambda inner: torch.tensor(inner["value"], dtype=TORCH_DTYPES[dtype_name(str(inner["dtype"]))]),
    "__lambda__": _refuse_code,
}
