"""Where the number of a layer's parameters comes from: `3 x 3 x 1 x 32 + 32 = 320`."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple import layers as L
from uncrumple.explain.tracing.words import counted, times
from uncrumple.layers.convolution import SpatialConvolution
from uncrumple.layers.convolution_transpose import _TransposedConvolution
from uncrumple.layers.weights import WeightHolder

_WINDOWS = {1: "steps", 2: "height x width", 3: "depth x height x width"}


def own_weights(module: Any) -> list[tuple[str, torch.Tensor]]:
    """Return (name, weight) for every weight of a layer and of what is inside, or of a module of torch.

    Example:
        >>> [name for name, _ in own_weights(torch.nn.Linear(3, 2))]
        ['weight', 'bias']
    """
    if not isinstance(module, WeightHolder):
        return list(module.named_parameters())
    inside = isinstance(module, L.TorchModuleWrapper)
    named = {id(weight): name for name, weight in (module.module if inside else module).named_parameters()}
    found = []
    for weight in module.weights:
        name = named.get(id(weight), "weight") if inside else getattr(weight, "name", named.get(id(weight), "weight"))
        found.append((name, weight))
    return found


def parameters_in_words(module: Any) -> tuple[str, int]:
    """Return the parameters of a layer as a sum of products, and their number.

    Example:
        >>> layer = L.Dense(3)
        >>> _ = layer(torch.ones(1, 4))
        >>> parameters_in_words(layer)
        ('4 x 3 + 3 = 15 (kernel: inputs x units; bias: units)', 15)
    """
    weights = own_weights(module)
    total = sum(weight.numel() for _, weight in weights)
    if not weights:
        return "none", 0
    cell = module.cell if isinstance(module, L.RNN) else module
    gates = getattr(cell, "gates", 1) if isinstance(cell, (L.LSTMCell, L.GRUCell)) else 1
    products = [times(*_sizes(weight.shape, gates)) for _, weight in weights]
    text = " + ".join(products)
    if len(weights) > 1 or " x " in text:
        text += f" = {total:,}"
    meanings = [f"{name}: {_meaning(module, name, weight, gates)}" for name, weight in weights]
    text += f" ({'; '.join(meanings)})" if len(weights) <= 4 else f" in {len(weights)} weights"
    frozen = sum(weight.numel() for _, weight in weights if not weight.requires_grad)
    if frozen:
        text += f"; {'none' if frozen == total else counted(total - frozen, 'number')} of them trained"
    return text, total


def _sizes(shape: torch.Size, gates: int) -> list[int]:
    sizes = list(shape)
    return [*sizes[:-1], gates, sizes[-1] // gates] if gates > 1 else sizes


def _meaning(module: Any, name: str, weight: torch.Tensor, gates: int) -> str:
    """Return what the axes of a weight are."""
    if isinstance(module, L.RNN) and hasattr(module, "units"):
        last = f"{gates} gates x units" if gates > 1 else "units"
        begins = {"kernel": "features x ", "recurrent_kernel": "units x ", "bias": ""}
        if name == "bias" and weight.dim() == 2:
            return f"2 x {last}"
        return begins.get(name, "") + last
    if isinstance(module, L.Dense):
        return {"kernel": "inputs x units", "bias": "units"}.get(name, _plain(weight))
    if isinstance(module, SpatialConvolution):
        window = _WINDOWS[module.rank]
        ends = {
            "kernel": "channels x filters",
            "depthwise_kernel": "channels x kernels each",
            "pointwise_kernel": "channels x filters",
            "bias": "filters",
        }
        if isinstance(module, _TransposedConvolution):
            ends["kernel"] = "filters x channels"
        elif name == "kernel" and not hasattr(module, "filters"):
            ends["kernel"] = "channels x kernels each"
        return ends[name] if name == "bias" else f"{window} x {ends.get(name, '')}"
    if isinstance(module, L.Embedding):
        return {"embeddings": "vectors x numbers in each"}.get(name, _plain(weight))
    if isinstance(module, L.BatchNormalization):
        return "channels"
    if isinstance(module, torch.nn.Linear):
        return {"weight": "units x inputs", "bias": "units"}.get(name, _plain(weight))
    if isinstance(module, torch.nn.Conv2d):
        return {"weight": "filters x channels x height x width", "bias": "filters"}.get(name, _plain(weight))
    return _plain(weight)


def _plain(weight: torch.Tensor) -> str:
    return counted(math.prod(weight.shape), "number")
