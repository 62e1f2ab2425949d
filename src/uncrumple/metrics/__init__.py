"""Metrics: numbers that are reported, averaged over an epoch.

A metric takes batches in (`update_state`), says what it has found so far
(`result`) and forgets it (`reset_state`). Nothing in a metric waits for the
device: a result is a tensor, and becomes a number when somebody looks at it.
"""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings
from uncrumple.core.naming import to_snake_case
from uncrumple.measures import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
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
)
from uncrumple.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from uncrumple.metrics.auc import AUC
from uncrumple.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from uncrumple.metrics.correlation import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    concordance_correlation,
    pearson_correlation,
)
from uncrumple.metrics.f_score import F1Score, FBetaScore
from uncrumple.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from uncrumple.metrics.mean import Mean, MeanMetricWrapper, Sum
from uncrumple.metrics.metric import Metric
from uncrumple.metrics.operating_points import (
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from uncrumple.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from uncrumple.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
)

_CLASSES = (
    *(Accuracy, AUC, BinaryAccuracy, BinaryCrossentropy, BinaryIoU, CategoricalAccuracy, CategoricalCrossentropy),
    *(CategoricalHinge, ConcordanceCorrelation, CosineSimilarity, F1Score, FalseNegatives, FalsePositives, FBetaScore),
    *(Hinge, IoU, KLDivergence, LogCoshError, Mean, MeanAbsoluteError, MeanAbsolutePercentageError, MeanIoU),
    *(MeanMetricWrapper, MeanSquaredError, MeanSquaredLogarithmicError, OneHotIoU, OneHotMeanIoU, PearsonCorrelation),
    *(Poisson, Precision, PrecisionAtRecall, R2Score, Recall, RecallAtPrecision, RootMeanSquaredError),
    *(SensitivityAtSpecificity, SparseCategoricalAccuracy, SparseCategoricalCrossentropy),
    *(SparseTopKCategoricalAccuracy, SpecificityAtSensitivity, SquaredHinge, Sum, TopKCategoricalAccuracy),
    *(TrueNegatives, TruePositives),
)
_FUNCTIONS = (
    *(binary_accuracy, binary_crossentropy, binary_focal_crossentropy, categorical_accuracy, categorical_crossentropy),
    *(
        categorical_focal_crossentropy,
        categorical_hinge,
        concordance_correlation,
        hinge,
        huber,
        kl_divergence,
        log_cosh,
    ),
    *(mean_absolute_error, mean_absolute_percentage_error, mean_squared_error, mean_squared_logarithmic_error),
    *(pearson_correlation, poisson, sparse_categorical_accuracy, sparse_categorical_crossentropy),
    *(sparse_top_k_categorical_accuracy, squared_hinge, top_k_categorical_accuracy),
)
registry.add_builtins("metrics", (*_CLASSES, *_FUNCTIONS))
_SHORT_NAMES = {
    "bce": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
_BY_NAME: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{to_snake_case(cls.__name__): cls for cls in _CLASSES},
    **_SHORT_NAMES,
    **{name.upper(): cls for name, cls in _SHORT_NAMES.items()},
    "acc": Accuracy,
    "rmse": RootMeanSquaredError,
}


def get(identifier: Any) -> Any:
    """Return the metric that a name, config, class or function stands for; None stays None.

    A name gives a new metric: `"mae"`, `"mean_absolute_error"` and
    `"MeanAbsoluteError"` the same kind. A function comes back as it is.

    Args:
        identifier: A name, a config, a metric, a class or function, or None.

    Raises:
        ValueError: The name is not known; the message says which is meant.

    Example:
        >>> get("mae").name
        'mean_absolute_error'
    """
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return registry.get("metric", identifier, _BY_NAME)


def serialize(metric: Any) -> Any:
    """Return the config of a metric, or the name of a function.

    Args:
        metric: A metric.

    Example:
        >>> serialize(Precision(thresholds=0.3))["config"]["thresholds"]
        0.3
    """
    return registry.serialize_keras_object(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the metric that `serialize` described.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class or function} for what is not built in.

    Example:
        >>> deserialize(serialize(Precision(thresholds=0.3))).thresholds
        [0.3]
    """
    return registry.deserialize(config, _BY_NAME, get, custom_objects)


__all__ = [
    *[thing.__name__ for thing in (*_CLASSES, *_FUNCTIONS)],
    "Metric",
    "deserialize",
    "get",
    "serialize",
]

answer_misspellings(__name__)
