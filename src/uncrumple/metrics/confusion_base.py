"""The base of metrics that count true and false positives and negatives, at one or more thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.variable import Variable
from uncrumple.measures.pairing import aligned, as_float, as_tensor, mismatch, same_rank
from uncrumple.metrics.metric import Metric

# What predictions outside the k greatest become, and the threshold they then fall below.
NEVER = -1e10
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
            y_pred = torch.full_like(y_pred, NEVER).scatter(-1, best, y_pred.gather(-1, best))
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
