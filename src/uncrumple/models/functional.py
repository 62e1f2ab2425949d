"""A model made of symbolic inputs and outputs, and its config."""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry, tree
from uncrumple.core.errors import explain
from uncrumple.layers.symbolic import SymbolicTensor
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
    def from_config(cls, config: dict[str, Any]) -> Any:
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

    def serialize(leaf: Any) -> Any:
        if not isinstance(leaf, SymbolicTensor):
            return registry.serialize_keras_object(leaf)
        config = registry.serialize_keras_object(leaf)
        config["config"]["keras_history"] = history(leaf)
        return config

    layers = []
    for layer in graph.layers:
        entry = registry.serialize_keras_object(layer)
        entry["name"] = layer.name
        entry["inbound_nodes"] = [
            {
                "args": [_serialized(arg, serialize) for arg in node.args],
                "kwargs": {key: _serialized(value, serialize) for key, value in node.kwargs.items()},
            }
            for node in kept[layer]
            if not node.is_input
        ]
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map_structure(history, graph.inputs),
        "output_layers": tree.map_structure(history, graph.outputs),
    }


def _serialized(structure: Any, serialize: Any) -> Any:
    """Serialize arguments of a call, lists of tensors staying lists."""
    if isinstance(structure, list):
        return [_serialized(part, serialize) for part in structure]
    if isinstance(structure, dict):
        return {key: _serialized(part, serialize) for key, part in structure.items()}
    if isinstance(structure, tuple) and any(isinstance(leaf, SymbolicTensor) for leaf in tree.flatten(structure)):
        return {"class_name": "__tuple__", "config": {"value": [_serialized(part, serialize) for part in structure]}}
    return serialize(structure)


def functional_from_config(cls: type, config: dict[str, Any]) -> Any:
    """Return the model that `functional_config` describes: make the layers, then repeat their calls."""
    made: dict[str, Any] = {}
    waiting: list[tuple[Any, list[Any]]] = []
    for entry in config["layers"]:
        layer = registry.deserialize_keras_object({key: entry[key] for key in entry if key != "inbound_nodes"})
        made[entry.get("name", layer.name)] = layer
        waiting.append((layer, list(entry.get("inbound_nodes", []))))

    def tensor(layer_name: str, node_index: int, position: int) -> Any:
        layer = made.get(layer_name)
        if layer is None:
            raise ValueError(
                explain(
                    f"The config of model '{config.get('name')}' uses a layer '{layer_name}' that it does not define.",
                    f"Expected one of its layers: {sorted(made)}.",
                    "the file may be damaged; save the model again",
                )
            )
        return layer._nodes[node_index].outputs[position] if node_index < len(layer._nodes) else None

    def arguments(value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            found = tensor(*value["config"]["keras_history"])
            if found is None:
                raise _NotYet
            return found
        if isinstance(value, dict) and value.get("class_name") == "__tuple__":
            return tuple(arguments(part) for part in value["config"]["value"])
        if isinstance(value, list):
            return [arguments(part) for part in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {key: arguments(part) for key, part in value.items()}
        return registry.deserialize_keras_object(value)

    # A layer may be called again further on, so go round until no call is left.
    while any(nodes for _, nodes in waiting):
        progress = False
        for layer, nodes in waiting:
            while nodes:
                try:
                    args, kwargs = [arguments(a) for a in nodes[0]["args"]], arguments(nodes[0].get("kwargs", {}))
                except _NotYet:
                    break
                kwargs = {key: value for key, value in kwargs.items() if not (key == "mask" and value is None)}
                layer(*args, **kwargs)
                nodes.pop(0)
                progress = True
        if not progress:
            left = [layer.name for layer, nodes in waiting if nodes]
            raise ValueError(
                explain(
                    f"The config of model '{config.get('name')}' has layers whose inputs never come: {left}.",
                    "Expected every call to use the outputs of others.",
                    "the file may be damaged; save the model again",
                )
            )

    def ends(structure: Any) -> Any:
        if isinstance(structure, dict):
            return {key: ends(part) for key, part in structure.items()}
        if len(structure) == 3 and isinstance(structure[0], str):
            return tensor(*structure)
        return [ends(part) for part in structure]

    return cls(
        inputs=ends(config["input_layers"]),
        outputs=ends(config["output_layers"]),
        name=config.get("name"),
        trainable=config.get("trainable", True),
    )


class _NotYet(Exception):
    """A call needs a tensor that another call has still to make."""


registry.add_builtins("models", [Functional], module="keras.src.models.functional")
Functional._keras_registered_name = "Functional"  # type: ignore[attr-defined]
