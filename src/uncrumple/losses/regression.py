"""Losses for numbers: how far predictions are from the truth."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from uncrumple import measures
from uncrumple.core.errors import explain
from uncrumple.losses.base import BuiltinLoss, matched


class MeanSquaredError(BuiltinLoss):
    """Average the squared errors: (y_true - y_pred)**2.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs).

    Example:
        >>> MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
        tensor(0.5000)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_squared_error", dtype: Any = None
    ) -> None:
        super().__init__(measures.mean_squared_error, reduction, name, dtype)

    def batch_mean(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        both = matched(y_true, y_pred)
        return None if both is None else F.mse_loss(both[1], both[0])


class MeanAbsoluteError(BuiltinLoss):
    """Average the absolute errors: |y_true - y_pred|.

    loss = mean of |y_true - y_pred|.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs).

    Example:
        >>> MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
        tensor(0.5000)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_absolute_error", dtype: Any = None
    ) -> None:
        super().__init__(measures.mean_absolute_error, reduction, name, dtype)

    def batch_mean(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        both = matched(y_true, y_pred)
        return None if both is None else F.l1_loss(both[1], both[0])


class MeanAbsolutePercentageError(BuiltinLoss):
    """Average the absolute errors in per cent of the truth: 100 * |y_true - y_pred| / |y_true|.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs).

    Example:
        >>> MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 5.0]])
        tensor(37.5000)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(measures.mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(BuiltinLoss):
    """Average (log(1 + y_true) - log(1 + y_pred))**2: relative errors count.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs), zero or more.

    Example:
        >>> MeanSquaredLogarithmicError()([[0.0, 1.0]], [[0.0, 3.0]])
        tensor(0.2402)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(measures.mean_squared_logarithmic_error, reduction, name, dtype)


class CosineSimilarity(BuiltinLoss):
    """Take minus the cosine of the angle between the vectors: -1 is the same direction.

    loss = -sum(y_true * y_pred) / (|y_true| * |y_pred|), from -1 (one direction) to 1 (opposite).

    Args:
        axis: The axis along which a vector lies.
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs).

    Example:
        >>> CosineSimilarity()([[0.0, 1.0], [1.0, 1.0]], [[0.0, 2.0], [1.0, -1.0]])
        tensor(-0.5000)
    """

    _per_number = False

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(measures.cosine_similarity, reduction, name, dtype, axis=axis)


class Huber(BuiltinLoss):
    """Square small errors and take large ones as they are, so that outliers pull less.

    With e = y_true - y_pred: loss = e**2 / 2 where |e| <= delta, else delta * (|e| - delta / 2).

    Source: Huber, "Robust estimation of a location parameter", 1964.

    Args:
        delta: The error at which the parabola goes over into a straight line.
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs).

    Example:
        >>> Huber()([[0.0, 0.0]], [[1.0, 3.0]])
        tensor(1.5000)
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        if not delta > 0:
            raise ValueError(explain(f"Huber got delta={delta!r}.", "Expected delta > 0.", "Huber(delta=1.0)"))
        super().__init__(measures.huber, reduction, name, dtype, delta=delta)


class LogCosh(BuiltinLoss):
    """Average log(cosh(error)): smooth, like a square near zero and like the absolute error far out.

    loss = mean of log(cosh(y_pred - y_true)).

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs).

    Example:
        >>> LogCosh()([[0.0, 0.0]], [[1.0, 0.0]])
        tensor(0.2169)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "log_cosh", dtype: Any = None
    ) -> None:
        super().__init__(measures.log_cosh, reduction, name, dtype)
