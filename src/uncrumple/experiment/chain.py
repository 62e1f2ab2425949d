"""A model of raw rows in two: the preparation, which is done once, and the network behind it."""

from __future__ import annotations

import itertools
from typing import Any

from uncrumple import layers
from uncrumple.data.kinds import ImagePreparation, Preparation
from uncrumple.models import Model


def behind(model: Any) -> tuple[Preparation, Model] | None:
    """Return the preparation that a model begins with, and the rest as a model of its own with the same weights.

    What is prepared once need not be prepared in every epoch. None where the
    model does not begin with a preparation, or does not go on as a chain.
    `forget` the second model when it is done with.
    """
    chain = _chain(model)
    if chain is None:
        return None
    preparation, rest, made = chain
    first = x = layers.Input(made.shape[1:], dtype=str(made.dtype).removeprefix("torch."))
    for layer in rest:
        x = layer(x)
    return preparation, Model(first, x, name=model.name)


def for_keras(model: Any) -> Model | None:
    """Return the same model in Keras's own layers, to be saved for Keras; None where there are none for it.

    Pictures and tables of numbers without gaps are only scaled: the model takes them as arrays in
    their own units. `forget` it when it is saved.
    """
    chain = _chain(model)
    if chain is None:
        return None
    preparation, rest, _ = chain
    scale = getattr(preparation, "scale", None)
    if isinstance(preparation, ImagePreparation):
        shape: tuple[int, ...] = preparation.sample_shape
    else:
        columns = getattr(preparation, "columns", None)
        if preparation.kind != "table" or not all(
            column["kind"] == "number" and not column["missing"] for column in columns or ()
        ):
            return None
        shape = (len(columns or ()),)
    if scale is None:
        return None
    first = layers.Input(shape)
    x = layers.Normalization.from_config({**scale.get_config(), "name": "scale"})(first)
    for layer in rest:
        x = layer(x)
    return Model(first, x, name=model.name)


def forget(inner: Model) -> None:
    """Take the calls of a model made here out of its layers, which then have one output each again."""
    for node in inner._graph.nodes:  # type: ignore[union-attr]
        if not node.is_input and node.layer._nodes[-1] is node:
            node.layer._nodes.pop()


def _chain(model: Any) -> tuple[Preparation, list[Any], Any] | None:
    """Return the preparation, the layers behind it, and what the preparation makes."""
    nodes = [] if model._graph is None else [node for node in model._graph.nodes if not node.is_input]
    if not nodes or not isinstance(nodes[0].layer, Preparation):
        return None
    if any(node.parents != [before] for before, node in itertools.pairwise(nodes)):
        return None
    (made,) = nodes[0].outputs
    return nodes[0].layer, [node.layer for node in nodes[1:]], made
