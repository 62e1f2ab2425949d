"""Networks for tables, pictures, texts and series as they come, and how they are trained."""

from __future__ import annotations

import itertools
import re
from typing import Any

from uncrumple import layers
from uncrumple.data.kinds import (
    ImagePreparation,
    Preparation,
    RawData,
    SeriesPreparation,
    TextPreparation,
)
from uncrumple.experiment.recipe import Recipe
from uncrumple.models import Model

# From this many training rows on, fewer epochs do.
_MANY = 20_000


def raw_recipe(data: RawData, training_rows: int) -> Recipe:
    """Return the recipe for raw data: small data take many epochs, large data few."""
    many = training_rows > _MANY
    if data.task == "language":
        return Recipe(epochs=10, batch_size=64, learning_rate=4e-3, patience=3, decays=True)
    if data.kind == "images":
        return Recipe(
            epochs=8 if many else 40, batch_size=32 if training_rows < 5000 else 64, learning_rate=1e-3, patience=8
        )
    if data.kind == "text":
        return Recipe(epochs=40, batch_size=32, learning_rate=2e-3, patience=4, threads=1)
    if training_rows > 5000:
        return Recipe(epochs=60, batch_size=128, learning_rate=3e-3, patience=10, decays=True, threads=1)
    return Recipe(epochs=150, batch_size=32, learning_rate=2e-3, patience=20, threads=1)


def network_behind(data: RawData, preparation: Preparation) -> list[Any]:
    """Return the layers that take what `preparation` makes of raw rows.

    Tables get two dense layers, pictures a convolutional network with
    augmentation, texts an embedding and the mean of it over the words,
    language an LSTM over characters, series a GRU. For a regression the last
    layer brings the answers back to their own units.

    Args:
        data: What is learned.
        preparation: Fitted on the training rows.
    """
    rows = int(preparation.meaning["rows"])
    model: list[Any] = []
    if isinstance(preparation, ImagePreparation):
        _pictures(model, preparation)
    elif isinstance(preparation, TextPreparation):
        _texts(model, preparation, data.task == "language", rows)
    elif isinstance(preparation, SeriesPreparation):
        model.append(layers.GRU(32))
    else:
        wide = 128 if rows > 5000 else 32
        model.append(layers.Dense(wide, activation="relu"))
        model.append(layers.Dropout(0.1))
        model.append(layers.Dense(wide, activation="relu"))
    if data.task == "language":
        model.append(layers.Dense(len(data.class_names), activation="softmax"))
    elif data.task == "regression":
        answers = preparation.meaning["answers"]
        model.append(layers.Dense(len(answers["mean"])))
        model.append(layers.Rescaling(answers["spread"], offset=answers["mean"], name="own_units"))
    elif len(data.class_names) == 2:
        model.append(layers.Dense(1, activation="sigmoid"))
    else:
        model.append(layers.Dense(len(data.class_names), activation="softmax"))
    return model


def joined(preparation: Preparation, network: list[Any]) -> Model:
    """Return the model that takes raw rows: the preparation, and then the layers of the network; not yet compiled."""
    inputs = preparation.inputs()
    x: Any = preparation(inputs)
    for layer in network:
        x = layer(x)
    name = re.sub(r"\W+", "_", str(preparation.meaning.get("name", ""))).strip("_")
    return Model(inputs, x, name=f"{name}_network" if name else "network")


def behind(model: Any) -> tuple[Preparation, Model] | None:
    """Return the preparation that a model begins with, and the rest as a model of its own with the same weights.

    What is prepared once need not be prepared in every epoch. None where the
    model does not begin with a preparation, or does not go on as a chain.
    `forget` the second model when it is done with.
    """
    nodes = [] if model._graph is None else [node for node in model._graph.nodes if not node.is_input]
    if not nodes or not isinstance(nodes[0].layer, Preparation):
        return None
    if any(node.parents != [before] for before, node in itertools.pairwise(nodes)):
        return None
    (made,) = nodes[0].outputs
    first = x = layers.Input(made.shape[1:], dtype=str(made.dtype).removeprefix("torch."))
    for node in nodes[1:]:
        x = node.layer(x)
    return nodes[0].layer, Model(first, x, name=model.name)


def forget(inner: Model) -> None:
    """Take the calls of a model that `behind` made out of its layers, which then have one output each again."""
    for node in inner._graph.nodes:  # type: ignore[union-attr]
        if not node.is_input and node.layer._nodes[-1] is node:
            node.layer._nodes.pop()


def _pictures(model: list[Any], preparation: ImagePreparation) -> None:
    height, width, channels = preparation.sample_shape
    if channels == 3:  # photographs; digits and letters have a left and a right
        model.append(layers.RandomFlip("horizontal"))
    model.append(layers.RandomTranslation(0.08, 0.08, fill_mode="nearest"))
    filters, side = 32, min(height, width)
    first = True
    while first or (side >= 8 and filters <= 128):
        stride = 2 if first and side >= 64 else 1
        model.append(layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu"))
        side //= stride
        if side >= 4:
            model.append(layers.MaxPooling2D())
            side //= 2
        filters, first = filters * 2, False
    model.append(layers.Dropout(0.25))
    if side > 4:
        model.append(layers.GlobalAveragePooling2D())
    else:
        model.append(layers.Flatten())
    model.append(layers.Dense(128, activation="relu"))
    model.append(layers.Dropout(0.5))


def _texts(model: list[Any], preparation: TextPreparation, language: bool, rows: int) -> None:
    if language:
        model.append(layers.Embedding(preparation.vocabulary_size, 32))
        model.append(layers.LSTM(128, return_sequences=True))
        return
    model.append(layers.Embedding(preparation.vocabulary_size, 64, mask_zero=True))
    model.append(layers.Dropout(0.3))
    if rows > 2000 and preparation.length <= 100:
        model.append(layers.Bidirectional(layers.GRU(32, return_sequences=True)))
    model.append(layers.GlobalAveragePooling1D())
    model.append(layers.Dropout(0.3))
