"""Configs of Keras 2, and of the older form that Keras 3 puts into `.h5` files, in the words of `.keras` files.

They name classes without their modules. Those of Keras 2 moreover write calls
as [layer, call, output], count the calls of models within models from 1, and
have settings that are gone or called otherwise.
"""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import explain

# Where a class is looked for that the file names without a module: by the name of its setting, else in this order.
_ROOMS = ("layers", "models", "ops", "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers")
_ROOM_OF_SETTING = {"initializer": "initializers", "regularizer": "regularizers", "constraint": "constraints"}
_MODELS = ("Functional", "Model", "Sequential")
# Settings of Keras 2 that changed the speed, not the result, or are said elsewhere.
_GONE = ("implementation", "input_length", "shared_object_id", "fused", "function_type", "is_legacy_optimizer")
_RENAMED = {("LeakyReLU", "alpha"): "negative_slope"}
_ACTIVATIONS = {"softmax_v2": "softmax"}
# TensorFlow operations on symbolic tensors, which Keras 2 kept as layers.
_OF_TENSORFLOW = (
    "TFOpLambda",
    "SlicingOpLambda",
    "TensorFlowOpLayer",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
)


def as_today(value: Any, room: str | None = None) -> Any:
    """Return a config of Keras 2, or of Keras 3's older form, as Keras 3 writes it into `.keras` files.

    Args:
        value: The config, or a part of it.
        room: Where its class is to be found, if that is known.

    Example:
        >>> as_today({"class_name": "L2", "config": {"l2": 0.5}}, "regularizers")["module"]
        'keras.regularizers'
    """
    if isinstance(value, list):
        return [as_today(part, room) for part in value]
    if not isinstance(value, dict):
        return value
    if not isinstance(value.get("class_name"), str) or "config" not in value:
        return {key: as_today(part) for key, part in value.items()}
    name, config = value["class_name"], value["config"]
    if name.startswith("__") or not isinstance(config, (dict, list)):
        return value
    if value.get("module"):
        return {**value, "config": as_today(config)}
    if name in _OF_TENSORFLOW:
        raise ValueError(
            explain(
                f"The model has a layer '{name}' ({_operation(config)}): an operation of TensorFlow on a tensor.",
                "Expected layers of Keras alone.",
                "open it with TensorFlow 2.15, and write the operation as a layer",
            )
        )
    if name in _MODELS:
        return _model(name, value)
    module, cls = _find(name, room)
    if cls is not None:
        name = cls.__name__
    changed = _settings(name, cls, config)
    found = {"class_name": name, "config": changed, "registered_name": None if module else name, "module": module}
    return {**{key: part for key, part in value.items() if key not in ("class_name", "config")}, **found}


def _find(name: str, room: str | None) -> tuple[str | None, Any]:
    """Return the module and the class that a name means; (None, None) for a class of the user's own."""
    if registry.get_registered_object(name) is not None:
        return None, None
    for one in (room, *_ROOMS) if room else _ROOMS:
        for known in (name, name.removesuffix("V1"), name.removesuffix("V2")):
            found = registry.builtin(one, known)
            if isinstance(found, type):
                return f"keras.{one}", found
    return None, None


def _settings(name: str, cls: Any, config: Any) -> Any:
    """Return the settings of one object without those that are gone, and in their names of today."""
    if not isinstance(config, dict):
        return config
    known = getattr(cls, "_known_arguments", None)
    found: dict[str, Any] = {}
    for key, part in config.items():
        key = _RENAMED.get((name, key), key)
        if key in _GONE or (cls is not None and known is None and key == "dtype"):
            continue
        if known is not None and key not in known and (part is None or part is False or part == 1):
            continue  # set to what does nothing
        if key == "dtype" and isinstance(part, dict) and str(part.get("class_name")).startswith("Policy"):
            part = part["config"]["name"]
        if key == "axis" and isinstance(part, list) and len(part) == 1:
            part = part[0]
        if isinstance(part, str) and key.endswith("activation"):
            part = _ACTIVATIONS.get(part, part)
        if name == "Lambda" and key == "function" and isinstance(part, list):
            part = {"class_name": "__lambda__", "config": {}}
        found[key] = as_today(part, _ROOM_OF_SETTING.get(key.rpartition("_")[2]))
    if name == "GRU" and "reset_after" not in found and "quantization_config" not in found:
        found["reset_after"] = False  # before Keras 2.2 there was no other way
    shape = found.pop("batch_input_shape", None)
    if shape is not None and name == "InputLayer":
        found["batch_shape"] = shape
    return found


def _operation(config: Any) -> str:
    return str(config.get("function", config.get("name", "")) if isinstance(config, dict) else "")


def _model(name: str, value: dict[str, Any]) -> dict[str, Any]:
    config = value["config"]
    if isinstance(config, list):  # a Sequential of the first years
        config = {"name": None, "layers": config}
    layers = [dict(entry) for entry in config.get("layers", ())]
    changed = {key: part for key, part in config.items() if key in ("name", "trainable", "build_input_shape")}
    if name == "Sequential":
        changed["layers"] = as_today(_with_input(layers))
    else:
        shift = _first_calls(layers, config)
        changed["layers"] = []
        for entry in layers:
            nodes = [_call(node, shift) for node in entry.pop("inbound_nodes", ())]
            # `a + b` and the layer Add have one name; the layer takes one list.
            room = "ops" if any(len(node["args"]) > 1 for node in nodes) else None
            changed["layers"].append({**as_today(entry, room), "inbound_nodes": nodes})
        for key in ("input_layers", "output_layers"):
            graphs = {entry["config"].get("name") for entry in layers if entry["class_name"] in ("Functional", "Model")}
            changed[key] = _ends(config.get(key, []), shift, graphs)
    cls = "Sequential" if name == "Sequential" else "Functional"
    rest = {key: part for key, part in value.items() if key in ("name", "build_config")}
    return {**rest, "module": "keras.models", "class_name": cls, "config": changed, "registered_name": None}


def _with_input(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put an input layer before a first layer that brings the shape of its input along."""
    first = layers[0]["config"] if layers else {}
    if not layers or layers[0]["class_name"] == "InputLayer" or "batch_input_shape" not in first:
        return layers
    dtype = "int32" if layers[0]["class_name"] == "Embedding" else first.get("dtype", "float32")
    start = {"batch_shape": first["batch_input_shape"], "dtype": dtype if isinstance(dtype, str) else "float32"}
    return [{"class_name": "InputLayer", "config": start}, *layers]


# --- calls in functional models -------------------------------------------------------------


def _is_place(value: Any) -> bool:
    """Return whether something is [layer, call, output], or that with keyword arguments."""
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(type(part) is int for part in value[1:3])
    )


def _first_calls(layers: list[dict[str, Any]], config: dict[str, Any]) -> dict[str, int]:
    """Return, for models within the model, the number that Keras 2 gave to their first call: mostly 1."""
    inner = {entry.get("name", entry["config"].get("name")) for entry in layers if entry["class_name"] in _MODELS}
    least: dict[str, int] = {}

    def look(value: Any) -> None:
        if _is_place(value):
            if value[0] in inner:
                least[value[0]] = min(value[1], least.get(value[0], value[1]))
            value = value[3:]
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(part)

    look([entry.get("inbound_nodes") for entry in layers])
    if not least or any(isinstance(node, dict) for entry in layers for node in entry.get("inbound_nodes", ())):
        return {}  # calls as Keras 3 writes them
    look([config.get("output_layers")])
    return least


def _call(node: Any, shift: dict[str, int]) -> dict[str, Any]:
    """Return one call of a layer in today's form."""
    if isinstance(node, dict) and "args" in node:
        return node
    kwargs: dict[str, Any] = {}

    def tensor(value: Any) -> Any:
        if _is_place(value):
            kwargs.update(value[3] if len(value) == 4 and isinstance(value[3], dict) else {})
            history = [value[0], value[1] - shift.get(value[0], 0), value[2]]
            return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}
        if isinstance(value, list):
            return [tensor(part) for part in value]
        return {key: tensor(part) for key, part in value.items()} if isinstance(value, dict) else value

    inputs = tensor(node)
    if isinstance(inputs, list) and len(inputs) == 1:
        inputs = inputs[0]
    named = {key: tensor(part) for key, part in list(kwargs.items())}
    return {"args": [inputs], "kwargs": named}


def _ends(places: Any, shift: dict[str, int], graphs: set[Any]) -> Any:
    """Return the places of inputs or outputs; files count the calls of functional models from 1 there."""
    if _is_place(places):
        name, call, output = places
        return [name, call - shift[name] + (name in graphs) if name in shift else call, output]
    if isinstance(places, dict):
        return {key: _ends(part, shift, graphs) for key, part in places.items()}
    return [_ends(part, shift, graphs) for part in places]


# --- what compile was given --------------------------------------------------------------------


def _each_today(value: Any, room: str) -> Any:
    """Do what `as_today` does for losses or metrics, one for all outputs or some for each."""
    if isinstance(value, dict) and not isinstance(value.get("class_name"), str):
        return {name: _each_today(part, room) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each_today(part, room) for part in value]
    return as_today(value, room)


def compile_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `compile`, as configs."""
    optimizer = config.get("optimizer_config")
    if optimizer is None:
        raise ValueError("it names no optimizer.")
    settings = {
        key: _each_today(config[key], "losses" if key == "loss" else "metrics")
        for key in ("loss", "loss_weights", "metrics", "weighted_metrics")
        if config.get(key) is not None
    }
    inner = dict(optimizer["config"])
    rate = inner.pop("lr", None)
    if rate is not None:
        inner["learning_rate"] = rate
    decay = inner.pop("decay", None) or 0.0
    if decay:  # every step divided the rate by 1 + decay * steps
        schedule = {"initial_learning_rate": inner["learning_rate"], "decay_steps": 1, "decay_rate": decay}
        inner["learning_rate"] = {"class_name": "InverseTimeDecay", "config": schedule}
    if isinstance(inner.get("learning_rate"), dict):
        inner["learning_rate"] = as_today(inner["learning_rate"], "optimizers.schedules")
    for key in ("is_legacy_optimizer", "jit_compile", "momentum_cache"):
        inner.pop(key, None)
    full = str(optimizer["class_name"])
    own = full if registry.get_registered_object(full) is not None else None
    place = {"module": None if own else "keras.optimizers", "class_name": full.rpartition(">")[2]}
    settings["optimizer"] = {**place, "config": inner, "registered_name": own}
    return settings
