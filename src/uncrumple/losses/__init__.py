"""Losses: the one number that training makes small.

A loss is an object that is called with (y_true, y_pred) and gives the mean
over a batch; the functions of the same names give one number per sample.
"""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings
from uncrumple.losses.base import Loss, LossFunctionWrapper
from uncrumple.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)
from uncrumple.losses.other import CTC, CategoricalHinge, Circle, Dice, Hinge, SquaredHinge, Tversky
from uncrumple.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)
from uncrumple.measures import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    circle,
    cosine_similarity,
    ctc,
    dice,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    tversky,
)

_CLASSES = (
    *(BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy),
    *(CategoricalGeneralizedCrossEntropy, CategoricalHinge, Circle, CosineSimilarity, CTC, Dice, Hinge, Huber),
    *(KLDivergence, LogCosh, LossFunctionWrapper, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError),
    *(MeanSquaredLogarithmicError, Poisson, SparseCategoricalCrossentropy, SquaredHinge, Tversky),
)
_FUNCTIONS = (
    *(binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy),
    *(categorical_generalized_cross_entropy, categorical_hinge, circle, cosine_similarity, ctc, dice, hinge, huber),
    *(kl_divergence, log_cosh, mean_absolute_error, mean_absolute_percentage_error, mean_squared_error),
    *(mean_squared_logarithmic_error, poisson, sparse_categorical_crossentropy, squared_hinge, tversky),
)
registry.add_builtins("losses", (*_CLASSES, *_FUNCTIONS))
_SHORT_NAMES = {
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "mae": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "mse": mean_squared_error,
    "msle": mean_squared_logarithmic_error,
}
_BY_NAME: dict[str, Any] = {
    **{thing.__name__: thing for thing in (*_CLASSES, *_FUNCTIONS)},
    **_SHORT_NAMES,
    **{name.upper(): function for name, function in _SHORT_NAMES.items()},
}


def get(identifier: Any) -> Any:
    """Return the loss that a name, config, class or function stands for; None stays None.

    The name of a function, such as `"mse"`, gives the function; the name of a
    class, such as `"Huber"`, gives an object made with its defaults.

    Args:
        identifier: A name, a config, a loss, a class or function, or None.

    Raises:
        ValueError: The name is not known; the message says which is meant.

    Example:
        >>> get("mse") is mean_squared_error, get("Huber").name
        (True, 'huber_loss')
    """
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return registry.get("loss", identifier, _BY_NAME)


def serialize(loss: Any) -> Any:
    """Return the name of a loss function, or the config of a loss.

    Args:
        loss: A loss.

    Example:
        >>> serialize(mean_squared_error)
        'mean_squared_error'
    """
    return registry.serialize_keras_object(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the loss that `serialize` described.

    Args:
        name: What `serialize` returned.
        custom_objects: {name: class or function} for what is not built in.

    Example:
        >>> deserialize(serialize(BinaryCrossentropy(label_smoothing=0.1))).label_smoothing
        0.1
    """
    return registry.deserialize(name, _BY_NAME, get, custom_objects)


__all__ = [
    *[thing.__name__ for thing in (*_CLASSES, *_FUNCTIONS)],
    "Loss",
    "deserialize",
    "get",
    "serialize",
]

answer_misspellings(__name__)
