"""F scores: precision and recall in one number."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.settings import epsilon
from uncrumple.core.variable import Variable
from uncrumple.measures.pairing import as_tensor, pair_one_hot
from uncrumple.metrics.metric import Metric

_AVERAGES = ("micro", "macro", "weighted")


class FBetaScore(Metric):
    """Weighted harmonic mean of precision and recall: (1 + b**2) * p * r / (b**2 * p + r).

    Args:
        average: None for one score per class, `"micro"` to count all classes
            together, `"macro"` for the mean over classes, `"weighted"` for
            the mean weighted by how often a class is true.
        beta: How much recall counts compared with precision, above 0.
        threshold: Predictions above it are ones; None takes the greatest of each sample.
        name, dtype: As in `Metric`.

    Shapes: y_true and y_pred (samples, classes).

    Example:
        >>> metric = FBetaScore(beta=2.0, threshold=0.5)
        >>> metric.update_state([[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
        >>> metric.result()
        tensor([0.3846, 0.9091, 0.8333])
    """

    _direction = "up"
    true_positives: Variable
    false_positives: Variable
    false_negatives: Variable
    intermediate_weights: Variable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        owner = type(self).__name__
        if average is not None and average not in _AVERAGES:
            raise ValueError(unknown_name(f"{owner} average", str(average), _AVERAGES))
        if not beta > 0:
            raise ValueError(explain(f"{owner} got beta={beta!r}.", "Expected beta > 0.", f"{owner}(beta=1.0)"))
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(
                explain(
                    f"{owner} got threshold={threshold!r}.",
                    "Expected 0 < threshold <= 1, or None.",
                    f"{owner}(threshold=0.5)",
                )
            )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._built = False

    def _build(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        for name in ("true_positives", "false_positives", "false_negatives", "intermediate_weights"):
            setattr(self, name, self.add_variable(shape, "zeros", dtype=self.dtype, name=name))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch.

        Args:
            y_true: (samples, classes) zeros and ones.
            y_pred: (samples, classes) probabilities.
            sample_weight: (samples,) weights.
        """
        owner = type(self).__name__
        y_true, y_pred = pair_one_hot(owner, y_true, y_pred)
        if y_pred.dim() != 2:
            raise ValueError(
                explain(
                    f"{owner} got y_true of shape {tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}.",
                    "Expected (samples, classes) for both.",
                    "y.reshape(-1, 1), for one yes-or-no question per sample",
                )
            )
        y_true, y_pred = y_true.detach().to(self._torch_dtype), y_pred.detach().to(self._torch_dtype)
        if not self._built:
            self._build(y_pred.shape[-1])
        self._follow(y_pred)
        if self.threshold is None:
            # A row of zeros has no greatest prediction.
            chosen = (y_pred >= y_pred.amax(-1, keepdim=True)) & (y_pred.abs() > 1e-9)
        else:
            chosen = y_pred > self.threshold
        predicted = chosen.to(self._torch_dtype)
        weights = None
        if sample_weight is not None:
            weights = as_tensor(sample_weight, self._torch_dtype, y_pred.device).reshape(-1, 1)

        def total(values: torch.Tensor) -> torch.Tensor:
            values = values if weights is None else values * weights
            return values.sum() if self.average == "micro" else values.sum(0)

        self.true_positives.add_(total(predicted * y_true))
        self.false_positives.add_(total(predicted * (1 - y_true)))
        self.false_negatives.add_(total((1 - predicted) * y_true))
        self.intermediate_weights.add_(total(y_true))

    def result(self) -> torch.Tensor:
        if not self._built:
            return torch.zeros((), dtype=self._torch_dtype)
        precision = self.true_positives / (self.true_positives + self.false_positives + epsilon())
        recall = self.true_positives / (self.true_positives + self.false_negatives + epsilon())
        score = precision * recall / (self.beta**2 * precision + recall + epsilon()) * (1 + self.beta**2)
        if self.average == "weighted":
            return (score * self.intermediate_weights / (self.intermediate_weights.sum() + epsilon())).sum()
        return score if self.average is None else score.mean()

    def get_config(self) -> dict[str, Any]:
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """Harmonic mean of precision and recall: 2 * p * r / (p + r).

    Args:
        average: None for one score per class, `"micro"`, `"macro"` or `"weighted"`: see `FBetaScore`.
        threshold: Predictions above it are ones; None takes the greatest of each sample.
        name, dtype: As in `Metric`.

    Shapes: y_true and y_pred (samples, classes).

    Example:
        >>> metric = F1Score(threshold=0.5)
        >>> metric.update_state([[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
        >>> metric.result()
        tensor([0.5000, 0.8000, 0.6667])
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "beta"}
