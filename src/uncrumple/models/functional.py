"""A model made of symbolic inputs and outputs, and its config."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import registry, tree
from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.layers.input import InputLayer
from uncrumple.layers.symbolic import Node, SymbolicTensor
from uncrumple.models.graph import Graph
from uncrumple.models.model import Model


class Functional(Model):
    """What `Model(inputs, outputs)` makes.

    Args:
        inputs, outputs: Symbolic tensors, in any structure.
        name: Name of the model.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        if trainable is not None and not trainable:
            self.trainable = False

    def get_config(self) -> dict[str, Any]:
        assert self._graph is not None
        return functional_config(self, self._graph)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        with registry.custom_object_scope(custom_objects or {}):
            return functional_from_config(cls, config)

    def get_build_config(self) -> dict[str, Any] | None:
        return {"input_shape": None}


def functional_config(model: Model, graph: Graph) -> dict[str, Any]:
    """Return the layers, their calls, and which tensors are inputs and outputs, in Keras's form."""
    kept: dict[Any, list[Any]] = {layer: [] for layer in graph.layers}
    new_index: dict[tuple[Any, int], int] = {}
    for layer in graph.layers:
        for node in layer._nodes:
            if node in graph.depths:
                new_index[layer, node.index] = len(kept[layer])
                kept[layer].append(node)

    def history(tensor: SymbolicTensor) -> list[Any]:
        layer, index, position = tensor.keras_history
        return [layer.name, new_index[layer, index], position]

    def end(tensor: SymbolicTensor) -> list[Any]:
        name, index, position = history(tensor)
        return [name, index + _calls_before(tensor.keras_history[0]), position]

    def serialize(leaf: Any) -> Any:
        config = registry.serialize_keras_object(leaf)
        if isinstance(leaf, SymbolicTensor):
            config["config"]["keras_history"] = history(leaf)
        return config

    layers = []
    for layer in graph.layers:
        entry = registry.serialize_keras_object(layer)
        entry["name"] = layer.name
        entry["inbound_nodes"] = [
            {"args": _nested(_as_written(layer, node.args), serialize), "kwargs": _nested(node.kwargs, serialize)}
            for node in kept[layer]
            if not node.is_input
        ]
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map_structure(end, graph.inputs),
        "output_layers": tree.map_structure(end, graph.outputs),
    }


def _nested(structure: Any, serialize: Any) -> Any:
    """Serialize the arguments of a call; as in Keras's files, tuples become lists."""
    if isinstance(structure, (list, tuple)):
        return [_nested(part, serialize) for part in structure]
    if isinstance(structure, dict):
        return {key: _nested(part, serialize) for key, part in structure.items()}
    return serialize(structure)


def _calls_before(layer: Any) -> int:
    """Return from which number the calls of a layer are counted among a model's inputs and outputs.

    In Keras a functional model has been called once when it is made, and there (only there) this shows.
    """
    return int(isinstance(layer, Model) and layer._graph is not None and not hasattr(layer, "_stack"))


def functional_from_config(cls: type, config: dict[str, Any]) -> Any:
    """Return the model that `functional_config` describes: make the layers, then repeat their calls."""
    name = config.get("name")
    made: dict[str, Any] = {}
    calls: dict[str, list[Node]] = {}  # those of this model; a layer may have others
    waiting: list[tuple[str, list[Any]]] = []
    for entry in config["layers"]:
        layer = registry.deserialize_keras_object({key: entry[key] for key in entry if key != "inbound_nodes"})
        if not isinstance(layer, Layer):
            raise ValueError(_damaged(name, f"has {type(layer).__name__} among its layers", "Expected layers."))
        key = entry.get("name", layer.name)
        made[key], calls[key] = layer, layer._nodes[:1] if isinstance(layer, InputLayer) else []
        waiting.append((key, list(entry.get("inbound_nodes", []))))

    def tensor(layer_name: str, call: int, position: int) -> Any:
        if layer_name not in made:
            known = f"Expected one of its layers: {', '.join(map(str, made))}."
            raise ValueError(_damaged(name, f"uses a layer '{layer_name}' that it does not define", known))
        if call >= len(calls[layer_name]):
            raise _NotYet
        outputs = calls[layer_name][call].outputs if call >= 0 else []
        if not 0 <= position < len(outputs):
            came = f"uses output {position} of call {call} of '{layer_name}'"
            raise ValueError(_damaged(name, came, f"Expected outputs 0 to {len(outputs) - 1}."))
        return outputs[position]

    def argument(value: Any) -> Any:
        if isinstance(value, list):
            return [argument(part) for part in value]
        if not isinstance(value, dict):
            return value
        if value.get("class_name") == "__keras_tensor__":
            return tensor(*value["config"]["keras_history"])
        if "class_name" in value:
            return registry.deserialize_keras_object(value)
        return {key: argument(part) for key, part in value.items()}

    # A layer may be called again further on, so go round until no call is left.
    while any(nodes for _, nodes in waiting):
        progress = False
        for key, nodes in waiting:
            layer = made[key]
            while nodes:
                try:
                    args, kwargs = argument(nodes[0]["args"]), argument(nodes[0].get("kwargs", {}))
                except _NotYet:
                    break
                layer(*_as_called(layer, args), **_as_given(layer, kwargs))
                calls[key].append(layer._nodes[-1])
                nodes.pop(0)
                progress = True
        if not progress:
            left = ", ".join(key for key, nodes in waiting if nodes)
            came = f"has layers whose inputs never come: {left}"
            raise ValueError(_damaged(name, came, "Expected every call to use the outputs of others."))

    def end(layer_name: str, call: int, position: int) -> Any:
        return tensor(layer_name, call - _calls_before(made.get(layer_name)), position)

    return cls(
        inputs=_ends(config["input_layers"], end),
        outputs=_ends(config["output_layers"], end),
        name=name,
        trainable=config.get("trainable", True),
    )


def _ends(structure: Any, tensor: Any) -> Any:
    """Return the structure of inputs or outputs with the tensors in place of [layer, call, output]."""
    if isinstance(structure, dict):
        return {key: _ends(part, tensor) for key, part in structure.items()}
    if len(structure) == 3 and isinstance(structure[0], str):
        try:
            return tensor(*structure)
        except _NotYet:
            came, expected = f"ends with call {structure[1]} of '{structure[0]}'", "Expected a call that was made."
            raise ValueError(_damaged(None, came, expected)) from None
    return [_ends(part, tensor) for part in structure]


def _as_written(layer: Any, args: tuple[Any, ...]) -> list[Any]:
    """Return arguments as a file can hold them: in `x[[0, 2]]` a tensor, for a list is read as `x[0, 2]`."""
    if type(layer).__name__ == "GetItem":
        return [torch.tensor(arg) if isinstance(arg, list) else arg for arg in args]
    return list(args)


def _as_called(layer: Any, args: list[Any]) -> list[Any]:
    """Return arguments as the layer had them: what comes between the brackets of `x[...]` is a tuple."""
    if type(layer).__name__ == "GetItem":
        return [tuple(arg) if isinstance(arg, list) else arg for arg in args]
    return args


def _as_given(layer: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments without those that nobody gave.

    Keras notes `mask=None`, and `training=False` where that is the default (dropout, recurrent layers);
    in training it then goes by the model. Models and batch normalization have no such default.
    """
    idle: dict[str, Any] = {"mask": None}
    if "_keras_module" in type(layer).__dict__ and not isinstance(layer, Model):
        if type(layer).__name__ != "BatchNormalization":
            idle["training"] = False
    return {key: value for key, value in kwargs.items() if not (key in idle and value is idle[key])}


def _damaged(name: Any, came: str, expected: str) -> str:
    return explain(f"The config of model '{name}' {came}.", expected, "save the model again: the file may be damaged")


class _NotYet(Exception):
    """A call needs a tensor that another call has still to make."""


registry.add_builtins("models", [Functional], module="keras.src.models.functional")
