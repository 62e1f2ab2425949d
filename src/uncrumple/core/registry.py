"""From names and configs to objects, and back.

Each room enters what it offers under its Keras module (`add_builtins`). A
user's own classes enter through `register_keras_serializable`. Reading a
config looks names up in these tables and nowhere else: no module is imported
and no code is run because a file says so.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from uncrumple.core import sharing
from uncrumple.core.dtypes import POLICIES, TORCH_DTYPES, DTypePolicy, dtype_name
from uncrumple.core.errors import closest, explain, unknown_name

# {"layers": {"Dense": Dense, ...}, "losses": {...}, ...}
_builtins: dict[str, dict[str, Any]] = {}
# {"my_package>MyLayer": MyLayer}
_registered: dict[str, Any] = {}
_scopes: list[dict[str, Any]] = []
# {"ops": a function from a name to a class}
_later: dict[str, Callable[[str], Any]] = {}


def add_builtins(category: str, objects: Iterable[Any], *, module: str | None = None) -> None:
    """Enter classes or functions under a category, such as `"layers"`.

    Args:
        category: The room: `"layers"`, `"losses"`, `"optimizers.schedules"`, ...
        objects: Classes or functions; each is known by its `__name__`.
        module: The module name that Keras writes for them in files; by
            default `"keras." + category`.
    """
    table = _builtins.setdefault(category, {})
    for thing in objects:
        table[_known_as(thing)] = thing
        if isinstance(thing, type):
            thing._keras_module = module or f"keras.{category}"  # type: ignore[attr-defined]


def _known_as(thing: Any) -> str:
    """Return the name of a class or function in files: `_keras_name`, where Keras offers it under another than its own."""
    return vars(thing).get("_keras_name", thing.__name__) if isinstance(thing, type) else thing.__name__


def add_later(category: str, find: Callable[[str], Any]) -> None:
    """Say who makes the classes of a category that are not entered beforehand.

    Args:
        category: Such as `"ops"`.
        find: Returns the class of a name, or None.
    """
    _later[category] = find


def builtins(category: str) -> dict[str, Any]:
    """Return the table of one category: {name: class or function}."""
    return _builtins.setdefault(category, {})


def builtin(category: str, name: str) -> Any:
    """Return the class or function of one category that has a name, made now if need be; None if there is none."""
    found = builtins(category).get(name)
    return _later[category](name) if found is None and category in _later else found


# --- a user's own classes ---------------------------------------------------------


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Return a decorator that lets files name this class or function.

    Args:
        package: A prefix that keeps equal names of different projects apart.
        name: The name to use; by default the class's own.

    Example:
        >>> @register_keras_serializable(package="my_package")
        ... def squared(x):
        ...     return x * x
        >>> get_registered_name(squared)
        'my_package>squared'
    """

    def enter(thing: Any) -> Any:
        registered = f"{package}>{name or thing.__name__}"
        _registered[registered] = thing
        return thing

    return enter


def get_registered_name(obj: Any) -> str:
    """Return the name a class or function is registered by, or its own name."""
    for table in [_registered] + _scopes:
        for key, value in table.items():
            if value is obj:
                return key
    return obj.__name__


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """Return the class or function registered by `name`, or None."""
    for table in (custom_objects or {}, *reversed(_scopes), _registered, module_objects or {}):
        if name in table:
            return table[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """Return the live table of registered classes and functions."""
    return _registered


class CustomObjectScope(contextlib.AbstractContextManager):
    """Within a `with` block, names in `custom_objects` are known to loading and to `get`.

    Example:
        >>> with CustomObjectScope({"squared": lambda x: x * x}):
        ...     get_registered_object("squared")(3)
        9
    """

    def __init__(self, custom_objects: dict[str, Any]) -> None:
        self.custom_objects = custom_objects or {}

    def __enter__(self) -> CustomObjectScope:
        _scopes.append(self.custom_objects)
        return self

    def __exit__(self, *_: Any) -> None:
        # By identity: two scopes may hold equal names.
        place = max(index for index, scope in enumerate(_scopes) if scope is self.custom_objects)
        del _scopes[place]


custom_object_scope = CustomObjectScope


# --- looking up by name -----------------------------------------------------------


# Names to show, of whatever kind is asked for.
_USUAL = ("relu", "mse", "mae", "glorot_uniform", "l2", "max_norm")


def get(kind: str, identifier: Any, table: dict[str, Any], *, make: bool = True) -> Any:
    """Return the object that `identifier` stands for.

    Args:
        kind: What is looked for, for the message: `"activation"`.
        identifier: None, a name, a config, or the object itself.
        table: {name: class or function}, aliases included.
        make: Whether a class found by name is called without arguments.

    Raises:
        ValueError: The name is not known; the message says which is meant.
        TypeError: `identifier` is of no usable type.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        found = get_registered_object(identifier, module_objects=table)
        if found is None:
            raise ValueError(unknown_name(kind, identifier, table, or_object=True))
        return found() if make and isinstance(found, type) else found
    if isinstance(identifier, dict):
        return deserialize_keras_object(identifier)
    if isinstance(identifier, type):
        return identifier() if make else identifier
    if callable(identifier):
        return identifier
    raise TypeError(
        explain(
            f"The {kind} is {identifier!r}, of type {type(identifier).__name__}.",
            f"Expected the name of {'an' if kind[0] in 'aeiou' else 'a'} {kind}, or the {kind} itself, or a function.",
            f"a name, such as {next((name for name in _USUAL if name in table), next(iter(table), None))!r}",
        )
    )


# --- configs ----------------------------------------------------------------------


def _no_fit(thing: Any) -> TypeError:
    if isinstance(thing, torch.nn.Module):
        return TypeError(
            explain(
                f"{type(thing).__name__}, a torch module, cannot be written into a config: it is code.",
                "Expected layers, numbers, strings, lists, dicts, arrays, or objects with get_config().",
                "model.save_weights('model.weights.h5'), and build the model in Python before load_weights",
            )
        )
    return TypeError(
        explain(
            f"{thing!r} ({type(thing).__name__}) cannot be written into a config.",
            "Expected numbers, strings, lists, dicts, arrays, or objects with get_config().",
            "give its class a get_config() method that returns its arguments",
        )
    )


def serialize_keras_object(obj: Any) -> Any:
    """Return `obj` as plain data that JSON can hold, in Keras's form.

    Raises:
        TypeError: Something in it has no config.
        ValueError: It holds a lambda, which no file can carry safely.
    """
    if obj is None or isinstance(obj, (str, bool, int, float)):
        return obj
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode()}}
    if isinstance(obj, torch.Size):
        return [int(size) for size in obj]
    if isinstance(obj, (list, tuple)):
        parts = [serialize_keras_object(part) for part in obj]
        return tuple(parts) if isinstance(obj, tuple) else parts
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, slice):
        ends = {"start": obj.start, "stop": obj.stop, "step": obj.step}
        return {"class_name": "__slice__", "config": serialize_dict(ends)}
    if isinstance(obj, np.ndarray):
        if obj.ndim == 0:
            return obj.item()
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, torch.dtype):
        return dtype_name(obj)
    history = getattr(obj, "keras_history", None)
    if history is not None:
        layer, node_index, tensor_index = history
        return {
            "class_name": "__keras_tensor__",
            "config": {
                "shape": list(obj.shape),
                "dtype": "string" if getattr(obj, "is_text", False) else dtype_name(obj.dtype),
                "keras_history": [layer.name, node_index, tensor_index],
            },
        }
    if isinstance(obj, torch.Tensor):
        return {
            "class_name": "__tensor__",
            "config": {"value": obj.detach().cpu().tolist(), "dtype": dtype_name(obj.dtype)},
        }
    if isinstance(obj, (types.FunctionType, types.BuiltinFunctionType)):
        return _serialize_function(obj)
    if isinstance(obj, type):
        raise _no_fit(obj)
    if not hasattr(obj, "get_config"):
        raise _no_fit(obj)
    return _serialize_object(obj)


def _serialize_function(function: Any) -> Any:
    name: str = function.__name__
    if any(table.get(name) is function for table in _builtins.values()):
        return name
    if name == "<lambda>":
        raise ValueError(
            explain(
                "A lambda cannot be saved: a file must not carry code.",
                "Expected a function with a name.",
                "def my_function(x): ...  with @uncrumple.saving.register_keras_serializable() above it",
            )
        )
    return {
        "module": "builtins",
        "class_name": "function",
        "config": get_registered_name(function),
        "registered_name": "function",
    }


def _serialize_object(thing: Any) -> dict[str, Any]:
    cls = type(thing)
    builtin = cls.__dict__.get("_keras_module")
    if isinstance(thing, DTypePolicy):
        builtin = "keras" if cls is DTypePolicy else "keras.dtype_policies"
    if builtin:  # Keras's own name for what it does not offer to users
        registered = cls.__name__ if builtin.startswith("keras.src.") else None
    else:
        registered = get_registered_name(cls)
    out: dict[str, Any] = {
        # Where a script's own class lives is not known to whoever opens the file.
        "module": builtin or (None if cls.__module__ == "__main__" else cls.__module__),
        "class_name": _known_as(cls),
        # A config that copies are made from may hold what no file can: then there is another for files.
        "config": serialize_dict(getattr(thing, "_config_for_files", thing.get_config)()),
        "registered_name": registered,
    }
    if not isinstance(thing, DTypePolicy):
        sharing.note_written(thing, out)
    if hasattr(thing, "get_build_config"):
        build_config = thing.get_build_config()
        if build_config is not None:
            out["build_config"] = _plain(build_config)
    if hasattr(thing, "get_compile_config"):
        compile_config = thing.get_compile_config()
        if compile_config is not None:
            out["compile_config"] = serialize_dict(compile_config)
    return out


def serialize_dict(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with every value serialized."""
    return {key: serialize_keras_object(value) for key, value in config.items()}


def _plain(value: Any) -> Any:
    """Return shapes as lists: a build_config is read by eye."""
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value


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


def _find_builtin(module: str, class_name: str) -> Any:
    if class_name in POLICIES:
        return POLICIES[class_name]
    category = next((c for prefix, c in _CATEGORIES_BY_DEPTH if f"{module}.".startswith(prefix + ".")), None)
    if category is None:
        parts = [part for part in module.split(".") if part not in _PACKAGES]
        category = parts[0] if parts else "models"
    table = _builtins.get(category, {})
    found = table.get(class_name)
    if found is None and class_name.startswith(_BACKEND_CLASS):
        found = table.get(class_name.removeprefix(_BACKEND_CLASS))
    if found is None and category in _later:
        found = _later[category](class_name)
    return found


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


def _unknown_class(module: str, class_name: str) -> str:
    """Return the message for a class of Keras that is not there."""
    room = module.split(".")[-1]
    tables = [_builtins[room]] if _builtins.get(room) else list(_builtins.values())
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
        for table in _builtins.values():
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


def is_builtin_name(name: str) -> bool:
    """Return whether something of the package itself has this name."""
    return any(name in table for table in _builtins.values())


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
