"""Ways against overfitting, each as a change of one and the same model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple import layers, regularizers
from uncrumple.core import tree
from uncrumple.explain.tuning.words import number
from uncrumple.layers.symbolic import SymbolicTensor
from uncrumple.models.cloning import clone_model
from uncrumple.models.model import Model
from uncrumple.models.sequential import Sequential

Make = Callable[[], Any]


class NotPossible(Exception):
    """A way that does not go with this model or data; the text says why."""


@dataclass(frozen=True)
class Setting:
    """What a way may look at.

    Args:
        make: Returns a new compiled model.
        x: Some rows of the inputs.
    """

    make: Make
    x: Any


def as_it_is(setting: Setting, strength: float) -> Any:
    return setting.make()


def with_dropout(setting: Setting, rate: float) -> Any:
    """Return the model with a share of the inputs of each layer but the first set to zero while it learns."""
    model = setting.make()
    if _is_stack(model) and model.built:
        places = [place for place, layer in enumerate(model.layers) if _has_matrix(layer)]
        if len(places) < 2:
            raise NotPossible("it has no hidden layer")
        parts: list[Any] = [model._graph.inputs]
        for place, layer in enumerate(model.layers):
            if place in places[1:]:
                parts.append(layers.Dropout(rate))
            parts.append(layer)
        return _compiled_like(Sequential(parts), model)
    weighted = _in_order(model, setting.x)
    if len(weighted) < 2:
        raise NotPossible("it has no hidden layer")

    def drop(module: Any, args: tuple[Any, ...]) -> Any:
        if not module.training or not args or not _is_number(args[0]):
            return None
        return (torch.nn.functional.dropout(args[0], rate), *args[1:])

    for module in weighted[1:]:
        module.register_forward_pre_hook(drop)
    return model


def with_decay(setting: Setting, strength: float) -> Any:
    """Return the model with `strength` times the sum of squares of its matrices added to the loss."""
    model = _built(setting.make(), setting.x)
    found = 0
    for weight in model.trainable_weights:
        if weight.ndim >= 2:
            weight.regularizer = regularizers.L2(strength)
            found += 1
    if not found:
        raise NotPossible("it has no matrix to keep small")
    model._regularized = None
    return model


def with_noise(setting: Setting, strength: float) -> Any:
    """Return the model with pictures shifted and turned a little, or numbers with noise, while it learns."""
    x = setting.x
    if not isinstance(x, torch.Tensor) or not _is_number(x):
        raise NotPossible("its inputs are not one array of measured numbers")
    model = setting.make()
    if is_pictures(x):
        shift, turn = layers.RandomTranslation(strength / 2, strength / 2), layers.RandomRotation(strength / 6)

        def change(values: torch.Tensor) -> torch.Tensor:
            return turn(shift(values, training=True), training=True)

    else:
        spread = strength * x.std(dim=0, keepdim=True)

        def change(values: torch.Tensor) -> torch.Tensor:
            return values + spread.to(values.device) * torch.randn_like(values)

    def disturb(module: Any, args: tuple[Any, ...]) -> Any:
        plain = args and isinstance(args[0], torch.Tensor) and not isinstance(args[0], SymbolicTensor)
        if not module.training or not plain or args[0].is_meta:
            return None
        with torch.no_grad():
            return (change(args[0]), *args[1:])

    model.register_forward_pre_hook(disturb)
    return model


def smaller(setting: Setting, share: float) -> Any:
    """Return a model of the same kind with `share` of the units or filters in each hidden layer."""
    return resized(setting.make(), share)


def resized(model: Any, factor: float) -> Any:
    """Return a new model with `factor` times the units or filters of each layer but the last."""
    if not isinstance(model, Model) or (not isinstance(model, Sequential) and model._graph is None):
        raise NotPossible("a class of your own: only you know where its sizes are")
    own = [layer for layer in model.layers if _size_of(layer) is not None]
    heads = own[-1:] if len(model.outputs or ()) <= 1 else []
    if not heads or len(own) < 2:
        raise NotPossible("no hidden layer with units or filters was found")

    def remade(layer: Any) -> Any:
        config = layer.get_config()
        name = _size_of(layer)
        if name is not None and layer is not heads[0]:
            config[name] = max(1, round(config[name] * factor))
        return type(layer).from_config(config)

    try:
        made = clone_model(model, clone_function=remade)
    except ValueError as error:
        raise NotPossible(
            f"its layers do not fit together at another size ({str(error).partition(chr(10))[0]})"
        ) from error
    return made if made.compiled else _compiled_like(made, model)


@dataclass(frozen=True)
class Way:
    """A way against overfitting.

    Args:
        change: Makes the model.
        strength: Its default.
        said: What it does, with the strength as `{}`.
        about_pictures: The same for pictures, if that is something else.
    """

    change: Callable[[Setting, float], Any]
    strength: float
    said: str
    about_pictures: str = ""

    def in_words(self, strength: float, pictures: bool) -> str:
        said = self.about_pictures if pictures and self.about_pictures else self.said
        shown = 100 * strength if "{} %" in said else strength
        return said.format(number(shown, 2).removesuffix(".0"))


WAYS = {
    "early stopping": Way(as_it_is, 10, "stops after {} epochs without a better validation loss, and takes the best"),
    "dropout": Way(with_dropout, 0.5, "sets {} % of the inputs of each layer but the first to zero while it learns"),
    "L2": Way(with_decay, 0.001, "adds {} times the sum of squared weights to the loss"),
    "noise": Way(
        with_noise,
        0.2,
        "adds noise of {} standard deviations to each column while it learns",
        "shifts and turns pictures at random while it learns (strength {})",
    ),
    "smaller": Way(smaller, 0.25, "has {} % of the units in each hidden layer"),
}


def is_pictures(x: Any) -> bool:
    """Return whether rows look like pictures: (rows, height, width, channels)."""
    return isinstance(x, torch.Tensor) and x.ndim == 4 and x.shape[-1] in (1, 3, 4) and min(x.shape[1:3]) >= 4


def _is_stack(model: Any) -> bool:
    return type(model) is Sequential and model._graph is not None


def _has_matrix(module: Any) -> bool:
    """Return whether something has a matrix to multiply with; embeddings look up."""
    if isinstance(module, (layers.Embedding, torch.nn.Embedding)):
        return False
    return any(weight.ndim >= 2 for weight in module.parameters())


def _own_matrix(module: Any) -> bool:
    if isinstance(module, (layers.Embedding, torch.nn.Embedding)):
        return False
    return any(weight.ndim >= 2 for weight in module.parameters(recurse=False))


def _is_number(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.is_floating_point()


def _built(model: Any, x: Any) -> Any:
    """Return a model whose weights are there."""
    if not model.built:
        with torch.no_grad():
            model(tree.map_structure(lambda leaf: leaf[:2], x))
    return model


def _in_order(model: Any, x: Any) -> list[Any]:
    """Return the modules with matrices of their own in the order in which they are called."""
    _built(model, x)
    found: list[Any] = []
    handles = [
        module.register_forward_pre_hook(lambda module, args: found.append(module))
        for module in model.modules()
        if _own_matrix(module)
    ]
    try:
        with torch.no_grad():
            model(tree.map_structure(lambda leaf: leaf[:2], x))
    finally:
        for handle in handles:
            handle.remove()
    return list({id(module): module for module in found}.values())


def _compiled_like(made: Any, model: Any) -> Any:
    """Compile a model as another one was, which is then given up."""
    settings = dict(model._compile_config)
    optimizer = settings.pop("optimizer")
    if getattr(optimizer, "built", False):
        optimizer = type(optimizer).from_config(optimizer.get_config())
    made.compile(optimizer=optimizer, **settings)
    return made


def _size_of(layer: Any) -> str | None:
    """Return the name of the setting that says how large a layer is, if it has one."""
    config: dict[str, Any] = getattr(layer, "get_config", dict)() if isinstance(layer, layers.Layer) else {}
    for name in ("units", "filters"):
        if isinstance(config.get(name), (int, np.integer)):
            return name
    return None
