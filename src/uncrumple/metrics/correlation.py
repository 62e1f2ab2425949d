"""How well predictions go up and down with the truth."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.settings import epsilon
from uncrumple.measures.pairing import pair
from uncrumple.metrics.mean import BuiltinMeanMetric


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Return the linear correlation along an axis, from -1 to 1.

    sum(a * b) / sqrt(sum(a**2) * sum(b**2)), with a and b = y_true and y_pred less their
    means.

    Args:
        y_true, y_pred: Numbers of one shape.
        axis: The axis along which values are compared.

    Example:
        >>> pearson_correlation([[0.0, 1.0, 2.0]], [[0.0, 2.0, 1.0]])
        tensor([0.5000])
    """
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred)

    def standard(values: torch.Tensor) -> torch.Tensor:
        values = values - values.mean(axis, keepdim=True)
        return values / values.std(axis, correction=0, keepdim=True)

    return (standard(y_true) * standard(y_pred)).mean(axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Return the correlation along an axis, less where means or spreads differ, from -1 to 1.

    Args:
        y_true, y_pred: Numbers of one shape.
        axis: The axis along which values are compared.

    Source: Lin, 1989.

    Example:
        >>> concordance_correlation([[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]])
        tensor([0.5714])
    """
    y_true, y_pred = pair("concordance_correlation", y_true, y_pred)
    true_mean, predicted_mean = y_true.mean(axis, keepdim=True), y_pred.mean(axis, keepdim=True)
    true_variance = y_true.var(axis, correction=0, keepdim=True)
    predicted_variance = y_pred.var(axis, correction=0, keepdim=True)
    together = (y_true - predicted_mean) * (y_pred - predicted_mean)
    scale = true_variance + predicted_variance + (true_mean - predicted_mean).square()
    return (2 * together / (scale + epsilon())).mean(axis)


class PearsonCorrelation(BuiltinMeanMetric):
    """Mean linear correlation between y_true and y_pred, from -1 to 1.

    value = mean of sum(a * b) / sqrt(sum(a**2) * sum(b**2)), with a and b = y_true and y_pred less their
    means.

    Args:
        name, dtype: As in `Metric`.
        axis: The axis along which values are compared: -1 within a sample,
            0 over the samples of a batch.

    Example:
        >>> metric = PearsonCorrelation(axis=0)
        >>> metric.update_state([0.0, 1.0, 2.0], [0.0, 2.0, 1.0])
        >>> metric.result()
        tensor(0.5000)
    """

    _direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(BuiltinMeanMetric):
    """Mean correlation between y_true and y_pred, less where means or spreads differ, from -1 to 1.

    Args:
        name, dtype: As in `Metric`.
        axis: The axis along which values are compared: -1 within a sample,
            0 over the samples of a batch.

    Source: Lin, 1989.

    Example:
        >>> metric = ConcordanceCorrelation(axis=0)
        >>> metric.update_state([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])
        >>> metric.result()
        tensor(0.5714)
    """

    _direction = "up"

    def __init__(self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
