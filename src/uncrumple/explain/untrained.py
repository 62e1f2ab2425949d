"""The untrained control: a copy of a model as it would be before its first step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core.seeds import set_random_seed
from uncrumple.data.kinds.preparation import Preparation
from uncrumple.explain.keeping import answering, same_randomness
from uncrumple.layers.base import Layer
from uncrumple.models.cloning import clone_model

_FAR = 982_451_653


def untrained_copy(model: Any, seed: int = 0) -> Any:
    """Return a copy of a model with first values in place of what it has learnt; the model stays as it is.

    Layers draw theirs by their own initializers, torch modules by `reset_parameters`; what has neither is shuffled.
    What was measured on the data and not learnt (a `Normalization`'s mean, a vocabulary) stays. The copy is in
    inference; random numbers and the counters of names stay where they are.

    Args:
        model: An uncrumple model or layer, or a torch module.
        seed: Of the new weights, a whole number from 0.

    Example:
        >>> from uncrumple.layers import Dense
        >>> layer = Dense(2, kernel_initializer="ones")
        >>> _ = layer(torch.zeros(1, 3))
        >>> _ = layer.kernel.assign(torch.zeros(3, 2))
        >>> untrained_copy(layer).kernel.numpy().sum(), layer.kernel.numpy().sum()
        (np.float32(6.0), np.float32(0.0))
    """
    with same_randomness(), answering(model):
        # Not the seed itself: a program that began with it would get back the weights that its model began with.
        set_random_seed((_FAR + int(seed)) % 2**32)
        fresh = _copied(model)
        done = _measured(fresh)
        for module in fresh.modules():
            if isinstance(module, Layer):
                _draw_layer(module, done)
            elif callable(getattr(module, "reset_parameters", None)):
                if not all(id(weight) in done for weight in module.parameters()):
                    module.reset_parameters()
                    done.update(id(weight) for weight in module.parameters())
        with torch.no_grad():
            for weight in fresh.parameters():
                if id(weight) not in done and weight.requires_grad and weight.is_floating_point():
                    flat = weight.detach().reshape(-1)
                    weight.copy_(flat[torch.randperm(len(flat), device=flat.device)].reshape(weight.shape))
        fresh.eval()
    return fresh


def _copied(model: Any) -> Any:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        # Something in it cannot be copied; what it was made from says enough, if that is known.
        try:
            fresh = clone_model(model)
            fresh.set_weights(model.get_weights())
        except Exception:
            raise error from None
        return fresh


def _measured(model: Any) -> set[int]:
    """Return the ids of the weights in layers that looked at the data, in place of learning from it."""
    layers = [part for part in model.modules() if isinstance(part, Preparation) or hasattr(part, "adapt")]
    return {id(weight) for layer in layers for weight in layer.parameters()}


@torch.no_grad()
def _draw_layer(layer: Any, done: set[int]) -> None:
    """Draw a layer's own weights anew, by the initializers that it names."""
    for attribute, weight in layer._parameters.items():
        if weight is None or id(weight) in done:
            continue
        name = getattr(weight, "name", None) or attribute
        # LSTMs begin by remembering: their biases are not all what the initializer says.
        known = getattr(layer, "_first_bias", None) if name == "bias" else None
        known = known or getattr(layer, f"{name}_initializer", None)
        if callable(known):
            done.add(id(weight))
            made = _with_free_seed(known)(tuple(weight.shape), dtype="float32")
            weight.copy_(torch.as_tensor(made).to(weight.device, weight.dtype))


def _with_free_seed(initializer: Callable[..., Any]) -> Callable[..., Any]:
    """Return an initializer that does not draw what it has drawn before."""
    config: Any = initializer.get_config() if hasattr(initializer, "get_config") else {}
    return type(initializer).from_config({**config, "seed": None}) if "seed" in config else initializer  # type: ignore[attr-defined]
