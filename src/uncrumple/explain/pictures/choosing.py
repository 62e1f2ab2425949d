"""Which layer a picture is of, and one sample as the model takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.convert import to_tensors
from uncrumple.explain.uncrumpling.inside import Part, device_of
from uncrumple.layers.base import Layer
from uncrumple.layers.wrappers import TorchModuleWrapper


def all_parts(model: Any) -> list[Part]:
    """Return every layer and module of a model, however deep, by name; a model that is one layer too.

    Example:
        >>> [part.name for part in all_parts(torch.nn.Sequential(torch.nn.Linear(2, 1)))]
        ['', '0']
    """
    found: list[Part] = []
    taken: set[str] = set()
    for path, module in model.named_modules():
        own = getattr(module, "name", None)
        name = own if isinstance(own, str) and isinstance(module, Layer) and own not in taken else path
        taken.add(name)
        found.append(Part(name, module))
    return found


def parts_that(
    model: Any, fits: Callable[[Any], bool], layer: Any, owner: str, what: str, example: str
) -> list[Part]:  # fmt: skip
    """Return the parts of a model that fit, or the one that was asked for.

    Args:
        model: The model.
        fits: Whether a module is one that the picture can be of.
        layer: A name, a layer, or None for all.
        owner: Who asks, for messages.
        what: What is looked for, in words: `"an LSTM or GRU layer"`.
        example: A layer that would do, for messages.
    """
    every = all_parts(model)
    fitting = [part for part in every if fits(part.module)]
    if layer is None:
        if not fitting:
            raise ValueError(
                explain(
                    f"{owner} found no {what} in the model.",
                    f"Expected at least one {what}.",
                    f"a model with {example}",
                )
            )
        return fitting
    named = [part for part in every if part.module is layer or (isinstance(layer, str) and part.name == layer)]
    if not named and isinstance(layer, str):
        named = [Part(layer, module) for path, module in model.named_modules() if path == layer]
    if not named:
        shown = layer if isinstance(layer, str) else getattr(layer, "name", type(layer).__name__)
        known = [part.name for part in fitting]
        raise ValueError(f"{owner}: " + unknown_name("layer", str(shown), known))
    # A wrapper, or a block, stands for the one fitting thing in it.
    for part in named:
        inside = [module for module in part.module.modules() if fits(module)]
        if inside:
            return [Part(part.name, inside[0])]
    raise ValueError(
        explain(
            f"{owner} got the layer '{named[0].name}', a {named[0].kind}.",
            f"Expected {what}: {', '.join(part.name for part in fitting) or 'the model has none'}.",
            f"layer={fitting[0].name!r}" if fitting else f"a model with {example}",
        )
    )


def one_sample(model: Any, x: Any, owner: str, rank: int | None = None) -> Any:
    """Return one sample with an axis for samples, on the model's device.

    Args:
        model: The model.
        x: One sample, or several, of which the first counts.
        owner: Who asks, for messages.
        rank: Axes of a batch; where one is missing, it is added in front.
    """
    if isinstance(x, str):
        x = [x]
    if isinstance(x, (list, tuple)) and len(x) and isinstance(x[0], (int, float)):
        x = np.asarray([x])
    tensors = to_tensors(x, "x", text=True)
    expected = rank or rank_of(model)

    def first(leaf: torch.Tensor) -> torch.Tensor:
        if expected is not None and leaf.ndim == expected - 1:
            leaf = leaf[None]
        elif expected is not None and leaf.ndim != expected:
            raise ValueError(
                explain(
                    f"{owner} got a sample of shape {tuple(leaf.shape)}.",
                    f"Expected {expected - 1} axes for one sample, or {expected} for several.",
                    "x[0]",
                )
            )
        return leaf[:1].to(device_of(model))

    if isinstance(tensors, torch.Tensor):
        return first(tensors)
    return tree.map_structure(lambda leaf: leaf[:1].to(device_of(model)), tensors)


def rank_of(model: Any) -> int | None:
    """Return the axes of a batch that the model takes, where that is known."""
    shape = input_shape_of(model)
    return None if shape is None else len(shape) + 1


def input_shape_of(model: Any) -> tuple[int | None, ...] | None:
    """Return the shape of one sample that the model takes; None where it is not known or there are several inputs."""
    inputs = getattr(model, "inputs", None)
    if isinstance(model, Layer) and isinstance(inputs, list) and len(inputs) == 1:
        return tuple(inputs[0].shape[1:])
    shapes = getattr(model, "_build_shapes", None)
    if isinstance(shapes, dict) and isinstance(shapes.get("input_shape"), tuple):
        shape = shapes["input_shape"]
        if all(size is None or isinstance(size, int) for size in shape):
            return tuple(shape[1:])
    return None


def channels_first(module: Any) -> bool:
    """Return whether what a module gives has its channels before height and width."""
    if isinstance(module, TorchModuleWrapper) or not isinstance(module, Layer):
        return True
    return getattr(module, "data_format", "channels_last") == "channels_first"
