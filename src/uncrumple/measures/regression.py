"""How far numbers are from numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.settings import epsilon
from uncrumple.measures.pairing import pair


def mean_squared_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return mean((y_true - y_pred)**2) over the last axis.

    Args:
        y_true: (samples, ..., outputs) what is true.
        y_pred: (samples, ..., outputs) what was predicted.

    Example:
        >>> mean_squared_error([[0.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [0.0, 2.0]])
        tensor([0.5000, 2.0000])
    """
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return (y_true - y_pred).square().mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return mean(|y_true - y_pred|) over the last axis.

    mean of |y_true - y_pred| over the last axis.

    Args:
        y_true: (samples, ..., outputs) what is true.
        y_pred: (samples, ..., outputs) what was predicted.

    Example:
        >>> mean_absolute_error([[0.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [0.0, 2.0]])
        tensor([0.5000, 1.0000])
    """
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return (y_true - y_pred).abs().mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return 100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis, in per cent.

    Args:
        y_true: (samples, ..., outputs) what is true; zeros give huge values.
        y_pred: (samples, ..., outputs) what was predicted.

    Example:
        >>> mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 5.0]])
        tensor([37.5000])
    """
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    return 100.0 * ((y_true - y_pred) / y_true.abs().clamp(min=epsilon())).abs().mean(-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return mean((log(1 + y_true) - log(1 + y_pred))**2) over the last axis; below zero counts as zero.

    Args:
        y_true: (samples, ..., outputs) what is true.
        y_pred: (samples, ..., outputs) what was predicted.

    Example:
        >>> mean_squared_logarithmic_error([[0.0, 1.0]], [[0.0, 3.0]])
        tensor([0.2402])
    """
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    predicted = torch.log(y_pred.clamp(min=epsilon()) + 1.0)
    return (predicted - torch.log(y_true.clamp(min=epsilon()) + 1.0)).square().mean(-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> torch.Tensor:
    """Return the mean of error**2 / 2 near zero and of delta * |error| - delta**2 / 2 farther out.

    Args:
        y_true: (samples, ..., outputs) what is true.
        y_pred: (samples, ..., outputs) what was predicted.
        delta: The error at which the parabola goes over into a straight line.

    Source: Huber, 1964.

    Example:
        >>> huber([[0.0, 0.0]], [[1.0, 3.0]])
        tensor([1.5000])
    """
    y_true, y_pred = pair("huber", y_true, y_pred)
    return F.huber_loss(y_pred, y_true, reduction="none", delta=delta).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return mean(log(cosh(error))) over the last axis: nearly error**2 / 2, later |error| - log 2.

    Args:
        y_true: (samples, ..., outputs) what is true.
        y_pred: (samples, ..., outputs) what was predicted.

    Example:
        >>> log_cosh([[0.0, 0.0]], [[1.0, 0.0]])
        tensor([0.2169])
    """
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return (error + F.softplus(-2.0 * error) - math.log(2.0)).mean(-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Return minus the cosine of the angle between the two vectors: -1 means the same direction.

    -sum(y_true * y_pred) / (|y_true| * |y_pred|), along `axis`.

    Args:
        y_true: (samples, ..., outputs) what is true.
        y_pred: (samples, ..., outputs) what was predicted.
        axis: The axis along which a vector lies.

    Example:
        >>> cosine_similarity([[0.0, 2.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, -1.0]])
        tensor([-1., -0.])
    """
    return -cosine(y_true, y_pred, axis)


def cosine(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Return the cosine of the angle between the two vectors: 1 means the same direction.

    Example:
        >>> cosine([[0.0, 2.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, -1.0]])
        tensor([1., 0.])
    """
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return (F.normalize(y_true, dim=axis, eps=epsilon()) * F.normalize(y_pred, dim=axis, eps=epsilon())).sum(axis)
