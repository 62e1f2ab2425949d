"""From objects to configs: plain data that JSON can hold, in Keras's form."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import torch

from uncrumple.core import sharing
from uncrumple.core.dtypes import DTypePolicy, dtype_name
from uncrumple.core.errors import explain
from uncrumple.core.registry.tables import BUILTINS, get_registered_name, known_as


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


def serialize_dict(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with every value serialized."""
    return {key: serialize_keras_object(value) for key, value in config.items()}


def _serialize_function(function: Any) -> Any:
    name: str = function.__name__
    if any(table.get(name) is function for table in BUILTINS.values()):
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
        "class_name": known_as(cls),
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


def _plain(value: Any) -> Any:
    """Return shapes as lists: a build_config is read by eye."""
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value
