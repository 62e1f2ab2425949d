"""The best value of one rate where another is at least as high as asked for."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.metrics.confusion_base import ConfusionMetric
from uncrumple.metrics.metric import divide


def between(owner: str, name: str, value: float) -> None:
    """Refuse what is not between 0 and 1."""
    if not 0 <= value <= 1:
        raise ValueError(
            explain(f"{owner} got {name}={value!r}.", f"Expected 0 <= {name} <= 1.", f"{owner}({name}=0.5)")
        )


class _BestUnderConstraint(ConfusionMetric):
    """The best value of one rate among the thresholds at which another is at least as high as asked for."""

    _direction = "up"
    _argument: str

    def __init__(self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any) -> None:
        owner = type(self).__name__
        between(owner, self._argument, value)
        if num_thresholds < 1:
            raise ValueError(
                explain(
                    f"{owner} got num_thresholds={num_thresholds!r}.",
                    "Expected a whole number, 1 or more.",
                    f"{owner}({value}, num_thresholds=200)",
                )
            )
        steps = num_thresholds - 1
        self.thresholds = [0.5] if steps == 0 else [step / steps for step in range(num_thresholds)]
        super().__init__(self.thresholds, name, dtype)
        self._even = steps > 0
        self.class_id = class_id
        self.value = value
        self.num_thresholds = num_thresholds
        self._make_counts()

    def _rates(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rate that must be reached and the one that is reported."""
        raise NotImplementedError

    def result(self) -> torch.Tensor:
        constrained, reported = self._rates()
        return torch.where(constrained >= self.value, reported, 0).amax()

    def _sensitivity(self) -> torch.Tensor:
        return divide(self.true_positives, self.true_positives + self.false_negatives)

    def _specificity(self) -> torch.Tensor:
        return divide(self.true_negatives, self.true_negatives + self.false_positives)

    def _precision(self) -> torch.Tensor:
        return divide(self.true_positives, self.true_positives + self.false_positives)

    def get_config(self) -> dict[str, Any]:
        own = {"num_thresholds": self.num_thresholds, self._argument: self.value, "class_id": self.class_id}
        return {**super().get_config(), **own}


class SensitivityAtSpecificity(_BestUnderConstraint):
    """Greatest share of ones found, at thresholds that leave at least this share of zeros alone.

    value = max over thresholds with TN / (TN + FP) >= specificity of TP / (TP + FN).

    Args:
        specificity: The share of zeros that must be predicted as zeros, from 0 to 1.
        num_thresholds: How many thresholds are tried.
        class_id: Look at this class only.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = SensitivityAtSpecificity(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
        >>> metric.result()
        tensor(0.5000)
    """

    _argument = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.specificity = specificity
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._specificity(), self._sensitivity()


class SpecificityAtSensitivity(_BestUnderConstraint):
    """Greatest share of zeros left alone, at thresholds that find at least this share of ones.

    value = max over thresholds with TP / (TP + FN) >= sensitivity of TN / (TN + FP).

    Args:
        sensitivity: The share of ones that must be found, from 0 to 1.
        num_thresholds: How many thresholds are tried.
        class_id: Look at this class only.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = SpecificityAtSensitivity(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
        >>> metric.result()
        tensor(0.6667)
    """

    _argument = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.sensitivity = sensitivity
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._sensitivity(), self._specificity()


class PrecisionAtRecall(_BestUnderConstraint):
    """Greatest precision, at thresholds whose recall is at least this.

    value = max over thresholds with TP / (TP + FN) >= recall of TP / (TP + FP).

    Args:
        recall: The share of ones that must be found, from 0 to 1.
        num_thresholds: How many thresholds are tried.
        class_id: Look at this class only.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = PrecisionAtRecall(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
        >>> metric.result()
        tensor(0.5000)
    """

    _argument = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.recall = recall
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._sensitivity(), self._precision()


class RecallAtPrecision(_BestUnderConstraint):
    """Greatest recall, at thresholds whose precision is at least this.

    value = max over thresholds with TP / (TP + FP) >= precision of TP / (TP + FN).

    Args:
        precision: The share of true ones among predicted ones, from 0 to 1.
        num_thresholds: How many thresholds are tried.
        class_id: Look at this class only.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = RecallAtPrecision(0.8)
        >>> metric.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
        >>> metric.result()
        tensor(0.5000)
    """

    _argument = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.precision = precision
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._precision(), self._sensitivity()
