"""Counts of true and false positives and negatives, and the shares made of them."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.metrics.confusion_base import NEVER, ConfusionMetric, as_thresholds
from uncrumple.metrics.metric import divide


class _OneCount(ConfusionMetric):
    """One of the four counts."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        self.init_thresholds = thresholds
        self.thresholds = as_thresholds(type(self).__name__, thresholds, 0.5)
        super().__init__(self.thresholds, name, dtype)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")
        setattr(self, self._kept[0], self.accumulator)

    def result(self) -> torch.Tensor:
        return self._one_or_all(self.accumulator.detach().clone())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_OneCount):
    """Count ones that were predicted as ones.

    value = sum of sample_weight over (y_true = 1 and y_pred > threshold).

    Args:
        thresholds: A number or a list: predictions above it are ones; by default 0.5.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = TruePositives()
        >>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
        >>> metric.result()
        tensor(2.)
    """

    _kept = ("true_positives",)


class TrueNegatives(_OneCount):
    """Count zeros that were predicted as zeros.

    value = sum of sample_weight over (y_true = 0 and y_pred <= threshold).

    Args:
        thresholds: A number or a list: predictions above it are ones; by default 0.5.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = TrueNegatives()
        >>> metric.update_state([0, 1, 0, 0], [1, 1, 0, 0])
        >>> metric.result()
        tensor(2.)
    """

    _kept = ("true_negatives",)


class FalsePositives(_OneCount):
    """Count zeros that were predicted as ones.

    value = sum of sample_weight over (y_true = 0 and y_pred > threshold).

    Args:
        thresholds: A number or a list: predictions above it are ones; by default 0.5.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = FalsePositives()
        >>> metric.update_state([0, 1, 0, 0], [0, 0, 1, 1])
        >>> metric.result()
        tensor(2.)
    """

    _kept = ("false_positives",)


class FalseNegatives(_OneCount):
    """Count ones that were predicted as zeros.

    value = sum of sample_weight over (y_true = 1 and y_pred <= threshold).

    Args:
        thresholds: A number or a list: predictions above it are ones; by default 0.5.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = FalseNegatives()
        >>> metric.update_state([0, 1, 1, 1], [0, 1, 0, 0])
        >>> metric.result()
        tensor(2.)
    """

    _kept = ("false_negatives",)


class _Share(ConfusionMetric):
    """Share of true positives among something."""

    _direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        owner = type(self).__name__
        if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1):
            raise ValueError(
                explain(f"{owner} got top_k={top_k!r}.", "Expected a whole number, 1 or more.", f"{owner}(top_k=3)")
            )
        self.init_thresholds = thresholds
        self.thresholds = as_thresholds(owner, thresholds, 0.5 if top_k is None else NEVER)
        super().__init__(self.thresholds, name, dtype)
        self.top_k = top_k
        self.class_id = class_id
        self._make_counts()

    def result(self) -> torch.Tensor:
        hits, others = (getattr(self, name) for name in self._kept)
        return self._one_or_all(divide(hits, hits + others))

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_Share):
    """Share of true ones among what was predicted as one: true positives / all predicted positives.

    Args:
        thresholds: A number or a list: predictions above it are ones; by default 0.5.
        top_k: Take the k greatest predictions of a sample as its ones instead.
        class_id: Look at this class only.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = Precision()
        >>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
        >>> metric.result()
        tensor(0.6667)
    """

    _kept = ("true_positives", "false_positives")


class Recall(_Share):
    """Share of the true ones that were found: true positives / all true ones.

    Args:
        thresholds: A number or a list: predictions above it are ones; by default 0.5.
        top_k: Take the k greatest predictions of a sample as its ones instead.
        class_id: Look at this class only.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = Recall()
        >>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
        >>> metric.result()
        tensor(0.6667)
    """

    _kept = ("true_positives", "false_negatives")
