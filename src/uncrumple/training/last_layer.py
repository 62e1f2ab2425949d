"""What stands at the two ends of a model: which activation the outputs went through, and whether inputs are scaled."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations
from uncrumple.core import tree
from uncrumple.layers.modes import told

# Layers that hand on the numbers they get, so that the activation before them still holds.
_PASSES_ON = ("Dropout", "Reshape", "Identity", "Permute", "RepeatVector", "GaussianNoise", "Flatten")
_SCALES = (
    "Rescaling",
    "Normalization",
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "Embedding",
    "TorchModuleWrapper",
    "Lambda",
)


def activation_of_output(model: Any, index: int, x: Any = None) -> str | None:
    """Return the name of the activation that output `index` went through, or None if it cannot be told.

    For a model with a graph the layers say it. For others the values of a few
    samples do: rows of a softmax are positive and sum to 1.
    """
    if model._graph is not None:
        return _activation_of(model._graph.flat_outputs[index])
    return _activation_by_values(model, x)


def last_layer(model: Any, index: int) -> str | None:
    """Return class and name of the layer that gives output `index` its activation; None if it cannot be told."""
    layer = _last(model, index)
    return None if layer is None else str(layer._label)


def typed(model: Any, index: int, units: int, activation: str | None) -> str:
    """Return the last layer of output `index` with another activation, as it would be typed."""
    layer = _last(model, index)
    setting = "" if activation is None else f', activation="{activation}"'
    if layer is not None and hasattr(layer, "filters"):
        return f"{type(layer).__name__}({layer.filters}, {layer.kernel_size}{setting})"
    return f"Dense({units}{setting})"


def _last(model: Any, index: int) -> Any:
    if model._graph is None:
        return None
    tensor = model._graph.flat_outputs[index]
    while True:
        layer, node_index, position = tensor.keras_history
        graph = getattr(layer, "_graph", None)
        if graph is not None:
            tensor = graph.flat_outputs[position]
        elif type(layer).__name__ in _PASSES_ON and layer._nodes[node_index].inputs:
            tensor = layer._nodes[node_index].inputs[0]
        else:
            return layer


def _activation_of(tensor: Any) -> str | None:
    layer, node_index, position = tensor.keras_history
    graph = getattr(layer, "_graph", None)
    if graph is not None:
        return _activation_of(graph.flat_outputs[position])
    kind = type(layer).__name__
    if kind == "Softmax":
        return "softmax"
    if kind == "ReLU":
        return "relu"
    if kind in _PASSES_ON:
        node = layer._nodes[node_index]
        return _activation_of(node.inputs[0]) if node.inputs else None
    function = getattr(layer, "activation", None)
    if function is None or not callable(function):
        return None
    name = getattr(function, "__name__", None)
    return name if name is not None and getattr(activations, name, None) is function else None


def _activation_by_values(model: Any, x: Any) -> str | None:
    if x is None:
        return None
    few = tree.map_structure(lambda leaf: leaf[:8], x)
    state, mode = torch.get_rng_state(), model.training
    model.train(False)
    try:
        with told(model), torch.no_grad():
            out = model(few)
    except Exception:
        return None  # the model itself will say what is wrong
    finally:
        torch.set_rng_state(state)
        model.train(mode)
    if not isinstance(out, torch.Tensor) or out.ndim < 2 or out.shape[0] < 2:
        return None
    out = out.float()
    inside = bool((out >= 0).all() and (out <= 1).all())
    if inside and torch.allclose(out.sum(-1), torch.ones(()), atol=1e-4):
        return "softmax"
    return None if inside else "linear"


def starts_with_scaling(model: Any) -> bool:
    """Return whether one of the first layers brings numbers into a common range."""
    layers = [layer for layer in model._flatten_layers(include_self=False) if type(layer).__name__ != "InputLayer"]
    first = layers if model._graph is None else layers[:4]
    known = any(type(layer).__name__ in _SCALES for layer in first)
    # `inputs / 255` in a functional model
    return known or any(type(layer).__name__ in ("Multiply", "TrueDivide", "Divide") for layer in layers[:3])
