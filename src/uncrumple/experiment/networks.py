"""The networks that `uncrumple train` uses unless told otherwise, and how they are trained."""

from __future__ import annotations

import re
from typing import Any

from uncrumple import layers
from uncrumple.data.kinds import ImagePreparation, Preparation, RawData, SeriesPreparation, TextPreparation
from uncrumple.experiment.recipe import Recipe
from uncrumple.models import Model

# From this many training rows on, fewer epochs do.
_MANY = 20_000
# Grey pictures up to this side are drawn in place, and need no augmentation.
_SMALL = 32


def recipe_for(data: RawData, training_rows: int) -> Recipe:
    """Return how to train on data of this kind: small data take many epochs, large data few."""
    many = training_rows > _MANY
    if data.task == "language":
        # Small batches: what counts for an LSTM is the number of steps.
        batch = 8 if training_rows < 10_000 else 16 if training_rows < 30_000 else 32
        return Recipe(epochs=10, batch_size=batch, learning_rate=1e-2, patience=3, decays=True)
    if data.kind == "images":
        if _is_drawing(data.shape):
            if many:
                return Recipe(epochs=5, batch_size=64, learning_rate=3e-3, patience=2, decays=True)
            return Recipe(epochs=60, batch_size=32, learning_rate=1e-3, patience=8, threads=1)
        return Recipe(
            epochs=8 if many else 40, batch_size=32 if training_rows < 5000 else 64, learning_rate=1e-3, patience=8
        )
    if data.kind == "text":
        return Recipe(epochs=40, batch_size=32, learning_rate=2e-3, patience=4, threads=1)
    if training_rows > 5000:
        return Recipe(epochs=60, batch_size=128, learning_rate=3e-3, patience=10, decays=True, threads=1)
    if training_rows > 1000 or data.kind == "series":
        return Recipe(epochs=150, batch_size=32, learning_rate=2e-3, patience=20, threads=1)
    return Recipe(epochs=300, batch_size=16, learning_rate=3e-3, patience=25, threads=1)


def network_for(data: RawData, preparation: Preparation) -> Model:
    """Return a network for a `Table`, `Images`, `Text` or `Series`, not yet compiled.

    It takes raw rows: its first layer is the preparation, with the statistics of the training rows.

    Args:
        data: What is learned.
        preparation: Fitted on the training rows.
    """
    return joined(preparation, network_behind(data, preparation))


def network_behind(data: RawData, preparation: Preparation) -> list[Any]:
    """Return the layers that take what `preparation` makes of raw rows.

    Tables get two dense layers; pictures a convolutional network, photographs
    and larger pictures a deeper one with augmentation; texts an embedding and
    the mean of it over the words, language an LSTM over characters, series a
    GRU. For a regression the last layer brings the answers back to their own units.

    Args:
        data: What is learned.
        preparation: Fitted on the training rows.
    """
    rows = int(preparation.meaning["rows"])
    model: list[Any] = []
    if isinstance(preparation, ImagePreparation):
        if _is_drawing((None, *preparation.sample_shape)):
            _drawings(model, preparation)
        else:
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


def loss_and_metric(data: RawData) -> tuple[str, str]:
    """Return the names of the loss and of the score that is shown while training."""
    if data.task == "regression":
        return "mean_squared_error", "mae"
    if data.task == "classification" and len(data.class_names) == 2:
        return "binary_crossentropy", "accuracy"
    return "sparse_categorical_crossentropy", "accuracy"


def in_words(data: RawData) -> str:
    """Return what kind of network data of this kind gets."""
    if data.task == "language":
        return "an LSTM over characters"
    return {
        "images": "a convolutional network",
        "text": "a network of word embeddings",
        "series": "a recurrent network (GRU)",
    }.get(data.kind, "a dense network")


def _is_drawing(shape: Any) -> bool:
    """Whether pictures are small and grey, such as digits: a small network of its own, without augmentation."""
    return len(shape) == 4 and shape[3] == 1 and max(shape[1:3]) <= _SMALL


def _drawings(model: list[Any], preparation: ImagePreparation) -> None:
    large = preparation.sample_shape[0] >= 20
    model.append(layers.Conv2D(32, 5 if large else 3, strides=2 if large else 1, padding="same", activation="relu"))
    model.append(
        layers.Conv2D(64, 3, padding="same" if preparation.sample_shape[0] < 8 else "valid", activation="relu")
    )
    model.append(layers.MaxPooling2D(padding="same"))
    model.append(layers.Dropout(0.25))
    model.append(layers.Flatten())
    model.append(layers.Dense(128, activation="relu"))
    model.append(layers.Dropout(0.5))


def _pictures(model: list[Any], preparation: ImagePreparation) -> None:
    height, width, channels = preparation.sample_shape
    if channels == 3:  # photographs; letters have a left and a right
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
