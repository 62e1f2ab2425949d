"""How far predicted numbers are from true ones."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import measures
from uncrumple.core.errors import explain, unknown_name, warn
from uncrumple.core.variable import Variable
from uncrumple.measures.pairing import as_tensor, pair
from uncrumple.measures.regression import cosine
from uncrumple.metrics.mean import BuiltinMeanMetric, Mean
from uncrumple.metrics.metric import Metric


class MeanSquaredError(BuiltinMeanMetric):
    """Mean of (y_true - y_pred)**2.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = MeanSquaredError()
        >>> metric.update_state([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        >>> metric.result()
        tensor(0.2500)
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(measures.mean_squared_error, name, dtype)


class MeanAbsoluteError(BuiltinMeanMetric):
    """Mean of |y_true - y_pred|.

    value = mean of |y_true - y_pred|.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = MeanAbsoluteError()
        >>> metric.update_state([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        >>> metric.result()
        tensor(0.2500)
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(measures.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(BuiltinMeanMetric):
    """Mean of 100 * |y_true - y_pred| / |y_true|, in per cent.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = MeanAbsolutePercentageError()
        >>> metric.update_state([[2.0, 4.0]], [[1.0, 5.0]])
        >>> metric.result()
        tensor(37.5000)
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(measures.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(BuiltinMeanMetric):
    """Mean of (log(1 + y_true) - log(1 + y_pred))**2.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = MeanSquaredLogarithmicError()
        >>> metric.update_state([[0.0, 1.0]], [[0.0, 3.0]])
        >>> metric.result()
        tensor(0.2402)
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(measures.mean_squared_logarithmic_error, name, dtype)


class RootMeanSquaredError(Mean):
    """Square root of the mean squared error, in the units of y.

    value = sqrt(mean of (y_true - y_pred)**2).

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = RootMeanSquaredError()
        >>> metric.update_state([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        >>> metric.result()
        tensor(0.5000)
    """

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch in: y_true and y_pred of one shape, weights per sample or per value."""
        y_true, y_pred = pair("root_mean_squared_error", y_true, y_pred)
        super().update_state((y_pred.detach() - y_true).square(), sample_weight)

    def result(self) -> torch.Tensor:
        return super().result().sqrt()


class CosineSimilarity(BuiltinMeanMetric):
    """Mean cosine of the angle between y_true and y_pred: 1 is the same direction.

    value = mean of sum(y_true * y_pred) / (|y_true| * |y_pred|).

    Args:
        name, dtype: As in `Metric`.
        axis: The axis along which a vector lies.

    Example:
        >>> metric = CosineSimilarity()
        >>> metric.update_state([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]])
        >>> metric.result()
        tensor(0.5000)
    """

    _direction = "up"

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine, name, dtype, axis=axis)


class LogCoshError(BuiltinMeanMetric):
    """Mean of log(cosh(y_pred - y_true)).

    value = mean of log(cosh(y_pred - y_true)).

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = LogCoshError()
        >>> metric.update_state([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]])
        >>> metric.result()
        tensor(0.1084)
    """

    _direction = "down"

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(measures.log_cosh, name, dtype)


class R2Score(Metric):
    """Share of the variance of y_true that is explained: 1 - squared errors / squared distances from the mean.

    1 is perfect, 0 is as good as always predicting the mean, below 0 is worse.

    Args:
        class_aggregation: `"uniform_average"` (the mean over outputs),
            `"variance_weighted_average"`, or None for one score per output.
        num_regressors: Number of input features, for the adjusted score; 0 for the plain one.
        name, dtype: As in `Metric`.

    Shapes: y_true and y_pred (samples, outputs).

    Example:
        >>> metric = R2Score()
        >>> metric.update_state([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])
        >>> metric.result()
        tensor(0.5714)
    """

    _direction = "up"
    squared_sum: Variable
    sum: Variable
    total_mse: Variable
    count: Variable

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        known = ("uniform_average", "variance_weighted_average")
        if class_aggregation is not None and class_aggregation not in known:
            raise ValueError(unknown_name("R2Score class_aggregation", str(class_aggregation), known))
        if num_regressors < 0:
            raise ValueError(
                explain(
                    f"R2Score got num_regressors={num_regressors!r}.",
                    "Expected the number of input features, 0 or more.",
                    "R2Score(num_regressors=0)",
                )
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._seen = 0
        self._built = False

    def _build(self, outputs: int) -> None:
        for attribute, name in (
            ("squared_sum", "squared_sum"),
            ("sum", "sum"),
            ("total_mse", "residual"),
            ("count", "count"),
        ):
            setattr(self, attribute, self.add_variable((outputs,), "zeros", name=name))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch in: y_true and y_pred (samples, outputs), weights (samples,) or (samples, outputs)."""
        y_true, y_pred = pair("R2Score", y_true, y_pred)
        if y_pred.dim() == 1:
            y_true, y_pred = y_true.unsqueeze(-1), y_pred.unsqueeze(-1)
        if y_pred.dim() != 2:
            raise ValueError(
                explain(
                    f"R2Score got y_true of shape {tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}.",
                    "Expected (samples, outputs) for both.",
                    "y.reshape(len(y), -1)",
                )
            )
        y_true, y_pred = y_true.detach().to(self._torch_dtype), y_pred.detach().to(self._torch_dtype)
        if not self._built:
            self._build(y_pred.shape[-1])
        self._follow(y_pred)
        if sample_weight is None:
            weights = torch.ones_like(y_true)
        else:
            weights = as_tensor(sample_weight, y_true.dtype, y_true.device)
            weights = weights.unsqueeze(1) if weights.dim() == 1 else weights
            weights = weights.expand(y_true.shape)
        weighted = y_true * weights
        self.sum.add_(weighted.sum(0))
        self.squared_sum.add_((y_true * weighted).sum(0))
        self.total_mse.add_(((y_true - y_pred).square() * weights).sum(0))
        self.count.add_(weights.sum(0))
        self.num_samples.add_(y_true.numel())
        self._seen += y_true.numel()

    def result(self) -> torch.Tensor:
        if not self._built:
            return torch.zeros((), dtype=self._torch_dtype)
        mean = self.sum / self.count
        total = self.squared_sum - self.sum * mean
        scores = 1 - self.total_mse / total
        scores = torch.where(scores.isinf(), 0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / total.sum()
        return self._adjusted(scores) if self.num_regressors else scores

    def _adjusted(self, scores: torch.Tensor) -> torch.Tensor:
        left = self.num_samples - self.num_regressors - 1.0
        if self._seen - self.num_regressors - 1 <= 0:
            warn(
                f"R2Score has seen {self._seen} values and num_regressors={self.num_regressors}.",
                "Expected more values than input features; the plain score is returned.",
                "R2Score(num_regressors=0), or more data",
            )
        return torch.where(left > 0, 1.0 - (1.0 - scores) * (self.num_samples - 1.0) / left, scores)

    def reset_state(self) -> None:
        super().reset_state()
        self._seen = 0

    def get_config(self) -> dict[str, Any]:
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}
