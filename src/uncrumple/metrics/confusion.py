"""Metrics made of true and false positives and negatives, at one or more thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.variable import Variable
from uncrumple.measures.pairing import aligned, as_float, as_tensor, mismatch, same_rank
from uncrumple.metrics.metric import Metric, divide

# What predictions outside the k greatest become, and the threshold they then fall below.
_NEVER = -1e10
_COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def as_thresholds(owner: str, thresholds: Any, default: float) -> list[float]:
    """Return thresholds as a list, each between 0 and 1."""
    if thresholds is None:
        return [default]
    found = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    if not found or any(value is None or not 0 <= value <= 1 for value in found):
        raise ValueError(
            explain(
                f"{owner} got thresholds={thresholds!r}.",
                "Expected probabilities: numbers from 0 to 1.",
                f"{owner}(thresholds=0.5)",
            )
        )
    return found


def evenly_spaced(thresholds: Sequence[float]) -> bool:
    """Return whether thresholds are those that divide 0 to 1 into equal parts, three or more of them."""
    steps = len(thresholds) - 1
    return steps >= 2 and all(
        abs(value - step / steps) <= 1e-5 * step / steps + 1e-7 for step, value in enumerate(thresholds)
    )


def between(owner: str, name: str, value: float) -> None:
    """Refuse what is not between 0 and 1."""
    if not 0 <= value <= 1:
        raise ValueError(
            explain(f"{owner} got {name}={value!r}.", f"Expected 0 <= {name} <= 1.", f"{owner}({name}=0.5)")
        )


class ConfusionMetric(Metric):
    """Base: counts, weighted, how predictions above and below thresholds meet labels."""

    # Which counts are kept, in the order of the variables.
    _kept: tuple[str, ...] = _COUNTS

    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def __init__(self, thresholds: Sequence[float], name: str | None, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self._threshold_list = [float(value) for value in thresholds]
        self._even = evenly_spaced(self._threshold_list)
        self._threshold_tensor: torch.Tensor | None = None
        self._label_weight_tensor: torch.Tensor | None = None
        self.top_k: int | None = None
        self.class_id: int | None = None
        self.multi_label = False
        self.label_weights: Any = None

    def _make_counts(self, *labels: int) -> None:
        for name in self._kept:
            setattr(self, name, self.add_variable((len(self._threshold_list), *labels), "zeros", name=name))

    def _pair(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Return labels as booleans, predictions and weights, all of one shape; weights may be None."""
        y_pred = as_float(y_pred).detach()
        y_true = as_tensor(y_true, device=y_pred.device)
        several = y_pred.dim() == 2 and y_pred.shape[1] > 1
        if several and tuple(y_true.shape) in (y_pred.shape[:1], (y_pred.shape[0], 1)):
            fix = f"y = to_categorical(y, {y_pred.shape[1]}), or end the model with one unit, Dense(1)."
            raise mismatch(type(self).__name__, y_true, y_pred, fix)
        y_true, y_pred = aligned(type(self).__name__, y_true, y_pred)
        if sample_weight is not None:
            weights = as_tensor(sample_weight, torch.float32, y_pred.device).unsqueeze(-1)
            sample_weight = same_rank(y_true, weights, grow=False)[1]
        if self.top_k is not None:
            best = y_pred.topk(min(self.top_k, y_pred.shape[-1]), dim=-1).indices
            y_pred = torch.full_like(y_pred, _NEVER).scatter(-1, best, y_pred.gather(-1, best))
        if self.class_id is not None:
            if y_pred.dim() < 2 or not self.class_id < y_pred.shape[-1]:
                raise ValueError(
                    explain(
                        f"{type(self).__name__} got class_id={self.class_id} "
                        f"and y_pred of shape {tuple(y_pred.shape)}.",
                        "Expected the number of one of the classes along the last axis.",
                        "leave class_id out for a model with one output",
                    )
                )
            y_true = y_true[..., self.class_id, None]
            y_pred = y_pred[..., self.class_id, None]
        if sample_weight is not None:
            try:
                sample_weight = sample_weight.expand(y_pred.shape)
            except RuntimeError:
                raise ValueError(
                    explain(
                        f"{type(self).__name__} got sample weights of shape {tuple(sample_weight.shape[:-1])} "
                        f"for predictions of shape {tuple(y_pred.shape)}.",
                        "Expected one weight per sample, or one per prediction.",
                        f"sample_weight of shape {tuple(y_pred.shape[:1])}",
                    )
                ) from None
        return y_true.bool(), y_pred, sample_weight

    def _weights(self, shape: torch.Size, weights: torch.Tensor | None, device: torch.device) -> torch.Tensor | None:
        """Return sample weights times label weights, where labels are taken together."""
        if self.label_weights is None or self.multi_label:
            return weights
        if self._label_weight_tensor is None or self._label_weight_tensor.device != device:
            self._label_weight_tensor = as_tensor(self.label_weights, torch.float32, device)
        by_label = self._label_weight_tensor.expand(shape)
        return by_label if weights is None else weights * by_label

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch.

        Args:
            y_true: Zeros and ones, of the shape of y_pred.
            y_pred: Probabilities (samples, ...).
            sample_weight: One weight per sample or per prediction.
        """
        truth, predicted, weights = self._pair(y_true, y_pred, sample_weight)
        self._follow(predicted)
        weights = self._weights(predicted.shape, weights, predicted.device)
        if not self.multi_label:
            truth, predicted = truth.reshape(-1), predicted.reshape(-1)
            weights = None if weights is None else weights.reshape(-1)
        count = self._count_evenly if self._even else self._count
        for name, value in count(truth, predicted, weights).items():
            getattr(self, name).add_(value)

    def _count(
        self, truth: torch.Tensor, predicted: torch.Tensor, weights: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """Compare every prediction with every threshold."""
        if self._threshold_tensor is None or self._threshold_tensor.device != predicted.device:
            # Filled on the device: copying a list there would wait for it.
            found = torch.empty(len(self._threshold_list), device=predicted.device)
            for place, value in enumerate(self._threshold_list):
                found[place].fill_(value)
            self._threshold_tensor = found
        thresholds = self._threshold_tensor.reshape(-1, *(1,) * predicted.dim())
        positive = predicted > thresholds
        sides = {
            "true_positives": (truth, positive),
            "false_positives": (~truth, positive),
            "true_negatives": (~truth, ~positive),
            "false_negatives": (truth, ~positive),
        }
        found_counts = {}
        for name in self._kept:
            label_side, predicted_side = sides[name]
            both = label_side & predicted_side
            found_counts[name] = (both if weights is None else torch.where(both, weights, 0)).sum(
                1, dtype=torch.float32
            )
        return found_counts

    def _count_evenly(
        self, truth: torch.Tensor, predicted: torch.Tensor, weights: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """Sort predictions into the intervals between evenly spaced thresholds, and add these up from above."""
        size = len(self._threshold_list)
        place = (predicted.clamp(0, 1).float() * (size - 1)).ceil().long() - 1
        if self._threshold_list[0] < 0.0 or self._threshold_list[-1] > 1.0:
            # The first threshold lies below zero: every prediction is above it.
            place = place.clamp(min=0)
        # What is above no threshold goes into a place of its own, that is dropped.
        place = torch.where(place < 0, size, place)
        labels = predicted.shape[1] if self.multi_label else 1
        if self.multi_label:
            place = place * labels + torch.arange(labels, device=place.device)
        hits = truth.float() if weights is None else truth * weights
        misses = (~truth).float() if weights is None else ~truth * weights

        def above(values: torch.Tensor) -> torch.Tensor:
            table = torch.zeros((size + 1) * labels, device=values.device)
            table.index_add_(0, place.reshape(-1), values.reshape(-1))
            table = table.reshape(size + 1, labels)[:size].flip(0).cumsum(0).flip(0)
            return table if self.multi_label else table.squeeze(1)

        found = {}
        true_positives, false_positives = above(hits), above(misses)
        found["true_positives"], found["false_positives"] = true_positives, false_positives
        found["true_negatives"] = misses.sum(0) - false_positives
        found["false_negatives"] = hits.sum(0) - true_positives
        return {name: found[name] for name in self._kept}

    def _one_or_all(self, values: torch.Tensor) -> torch.Tensor:
        return values[0] if len(self._threshold_list) == 1 else values


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
        self.thresholds = as_thresholds(owner, thresholds, 0.5 if top_k is None else _NEVER)
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
