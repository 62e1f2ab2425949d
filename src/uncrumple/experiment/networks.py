"""The networks that `uncrumple train` uses unless told otherwise, and how they are trained."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.data.kinds import Preparation, RawData
from uncrumple.data.named import Dataset
from uncrumple.data.scale import Scaler
from uncrumple.experiment.raw_networks import joined, network_behind, raw_recipe
from uncrumple.experiment.recipe import Recipe
from uncrumple.models import Model, Sequential


def recipe_for(dataset: Dataset | RawData, training_rows: int) -> Recipe:
    """Return the recipe for a data set: small data take many epochs, large data few."""
    if isinstance(dataset, RawData):
        return raw_recipe(dataset, training_rows)
    if training_rows > 20_000:
        return Recipe(epochs=5, batch_size=64, learning_rate=3e-3, patience=2, decays=True)
    if dataset.is_images:
        return Recipe(epochs=60, batch_size=32, learning_rate=1e-3, patience=8, threads=1)
    return Recipe(epochs=300, batch_size=16, learning_rate=3e-3, patience=25, threads=1)


def network_for(dataset: Dataset | RawData, scaler: Scaler | Preparation) -> Model:
    """Return a network for a data set, not yet compiled.

    The first layer scales with the statistics that `scaler` holds, so a saved
    model takes rows as they come. Pictures get a convolutional network, the
    larger ones with a stride of 2 in the first layer; tables two dense layers.

    Args:
        dataset: What is learned: a named data set; or a `Table`, `Images`, `Text` or `Series`,
            whose network takes raw rows.
        scaler: Fitted on the training rows; for raw rows, their preparation.
    """
    if isinstance(dataset, RawData):
        assert isinstance(scaler, Preparation)
        return joined(scaler, network_behind(dataset, scaler))
    assert isinstance(scaler, Scaler)
    model = Sequential(name=f"{dataset.name.replace('-', '_')}_network")
    model.add(layers.Input(dataset.input_shape))
    model.add(_scaling(scaler))
    if dataset.is_images:
        large = dataset.input_shape[0] >= 20
        model.add(layers.Conv2D(32, 5 if large else 3, strides=2 if large else 1, padding="same", activation="relu"))
        model.add(layers.Conv2D(64, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(0.25))
        model.add(layers.Flatten())
        model.add(layers.Dense(128, activation="relu"))
        model.add(layers.Dropout(0.5))
    else:
        model.add(layers.Dense(32, activation="relu"))
        model.add(layers.Dropout(0.1))
        model.add(layers.Dense(32, activation="relu"))
    if dataset.task == "regression":
        model.add(layers.Dense(1))
    elif len(dataset.class_names) == 2:
        model.add(layers.Dense(1, activation="sigmoid"))
    else:
        model.add(layers.Dense(len(dataset.class_names), activation="softmax"))
    return model


def _scaling(scaler: Scaler) -> Any:
    if scaler.kind == "range":
        return layers.Rescaling(1.0 / float(scaler.largest_ or 1.0))
    return layers.Normalization(mean=scaler.mean_, variance=scaler.variance_)


def loss_and_metric(dataset: Dataset | RawData) -> tuple[str, str]:
    """Return the names of the loss and of the score that is shown while training."""
    if dataset.task == "regression":
        return "mean_squared_error", "mae"
    if dataset.task == "language":
        return "sparse_categorical_crossentropy", "accuracy"
    return ("binary_crossentropy" if len(dataset.class_names) == 2 else "sparse_categorical_crossentropy"), "accuracy"
