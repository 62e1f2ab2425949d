"""Measures: functions of (y_true, y_pred) that say, for each sample, how far the two are apart.

Losses and metrics are both made of them, which is why they live one floor
below: a loss averages a measure over a batch and is learned from, a metric
averages it over an epoch and is reported. The last axis of the inputs is
averaged (or summed) away, so that (samples, outputs) becomes (samples,).
"""

from uncrumple.measures.crossentropy import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from uncrumple.measures.margins import categorical_hinge, hinge, squared_hinge
from uncrumple.measures.overlap import circle, ctc, dice, tversky
from uncrumple.measures.regression import (
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "dice",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
