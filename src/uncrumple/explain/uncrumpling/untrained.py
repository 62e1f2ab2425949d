"""The untrained control: a copy of a model as it would be before its first step."""

from __future__ import annotations

import copy
from typing import Any

import torch

from uncrumple.explain.uncrumpling.inside import untouched
from uncrumple.layers.base import Layer


def untrained_copy(model: Any, seed: int = 0) -> Any:
    """Return a copy of a model with first values in place of what it has learnt; the model stays as it is.

    Layers draw theirs by their own initializers, torch modules by `reset_parameters`. What was measured on the data
    and not learnt (scaling, vocabularies) stays.

    Args:
        model: An uncrumple model or layer, or a torch module.
        seed: Of the draw.

    Example:
        >>> from uncrumple.layers import Dense
        >>> layer = Dense(2, kernel_initializer="ones")
        >>> _ = layer(torch.zeros(1, 3))
        >>> _ = layer.kernel.assign(torch.zeros(3, 2))
        >>> untrained_copy(layer).kernel.numpy().sum(), layer.kernel.numpy().sum()
        (np.float32(6.0), np.float32(0.0))
    """
    with untouched(model):
        fresh = copy.deepcopy(model)
        torch.manual_seed(seed)
        done: set[int] = set()
        for module in fresh.modules():
            if not isinstance(module, Layer) and callable(getattr(module, "reset_parameters", None)):
                module.reset_parameters()
                done |= {id(value) for value in module.parameters(recurse=False)}
        with torch.no_grad():
            for module in fresh.modules():
                _draw_anew(module, done)
    # Copied in inference: `untouched` gives the model its modes back, and the copy stays in inference.
    return fresh


def _draw_anew(module: Any, done: set[int]) -> None:
    for name, value in module._parameters.items():
        if value is None or id(value) in done:
            continue
        done.add(id(value))
        own = getattr(value, "name", None) or name
        first = getattr(module, "_first_bias", None) if own == "bias" else None
        first = first or getattr(module, f"{own}_initializer", None)
        if callable(first):
            value.copy_(first(tuple(value.shape), dtype=value.dtype))
        elif value.requires_grad and value.is_floating_point():
            _draw_plainly(own, value)


def _draw_plainly(name: str, value: torch.Tensor) -> None:
    """Draw values for a weight of which nobody has kept how it began: Glorot's, zeros for biases, ones for scales."""
    if value.ndim >= 2:
        torch.nn.init.xavier_uniform_(value)
    elif "gamma" in name or "scale" in name:
        value.fill_(1.0)
    else:
        value.zero_()
