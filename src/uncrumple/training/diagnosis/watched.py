"""Which parts of a model are looked at, what they are called, and what they do to numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from uncrumple import activations
from uncrumple.core import own_parts
from uncrumple.layers.base import Layer

# Classes of layers, here and in torch, that are nothing but an activation.
_ACTIVATION_CLASSES = {
    "ReLU": "relu",
    "ReLU6": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}
_CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)


def watched_parts(model: Any) -> dict[str, Any]:
    """Return the parts of a model that are looked at, by what messages call them.

    Layers of this package are looked at from outside. Models, wrapped torch modules and layers of a user's own are
    looked into.
    """
    found: dict[str, Any] = {}
    for label, part in _parts(model, ""):
        found.setdefault(label, part)
    return found


def _parts(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, child in module.named_children():
        inside = f"{path}.{name}" if path else name
        if type(child).__name__ == "InputLayer":
            continue
        if not isinstance(child, Layer):
            if any(True for _ in child.children()):
                yield from _parts(child, inside)
            elif not isinstance(child, _CONTAINERS) and not type(child).__module__.startswith("uncrumple."):
                yield f"{type(child).__name__} '{inside}'", child
        elif _is_model(child) or type(child).__name__ == "TorchModuleWrapper":
            yield from _parts(child, "" if _is_model(child) else child.name)
        else:
            yield str(child._label), child
            if own_parts.is_own(child):
                yield from _parts(child, inside)


def _is_model(part: Any) -> bool:
    return hasattr(part, "_compile_loss")


def activation_of(part: Any) -> str | None:
    """Return the name of the activation that a part ends with, or None if it has none that is known."""
    name = _ACTIVATION_CLASSES.get(type(part).__name__)
    if name is not None:
        return name
    function = getattr(part, "activation", None)
    called = getattr(function, "__name__", None)
    return called if called is not None and getattr(activations, called, None) is function else None


def unit_axis(part: Any, output: torch.Tensor) -> int:
    """Return the axis of an output along which its units (channels) lie."""
    if isinstance(part, Layer):
        return 1 if getattr(part, "_channels_last", True) is False else output.dim() - 1
    return 1 if output.dim() in (4, 5) else output.dim() - 1


def own_weights(part: Any) -> list[Any]:
    """Return the weights of a part that are trained and multiply something: kernels, not biases."""
    return [weight for weight in part.parameters() if weight.requires_grad and weight.dim() >= 2]


def is_embedding(part: Any) -> bool:
    """Return whether a part looks its rows up in a table."""
    return "Embedding" in type(part).__name__


def per_unit(part: Any, output: torch.Tensor) -> torch.Tensor:
    """Return an output as (samples and places, units)."""
    return output.movedim(unit_axis(part, output), -1).flatten(0, -2) if output.dim() > 1 else output[:, None]
