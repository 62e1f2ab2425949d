"""Area under a curve that is drawn by moving the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.errors import explain, unknown_name
from uncrumple.measures.pairing import as_float, as_tensor
from uncrumple.metrics.confusion_base import ConfusionMetric, as_thresholds, evenly_spaced
from uncrumple.metrics.metric import divide

_CURVES = ("ROC", "PR", "PRGAIN")
_SUMMATIONS = ("interpolation", "minoring", "majoring")


class AUC(ConfusionMetric):
    """Approximate the area under the ROC or precision-recall curve: how well ones are ranked above zeros.

    Args:
        num_thresholds: How many thresholds draw the curve, 2 or more.
        curve: `"ROC"` (ones found against false alarms), `"PR"` (precision
            against recall) or `"PRGAIN"` (their gains).
        summation_method: `"interpolation"` (trapezia; for PR, interpolated
            counts), `"minoring"` (lower) or `"majoring"` (upper rectangles).
        name, dtype: As in `Metric`.
        thresholds: Thresholds between 0 and 1 to use in place of `num_thresholds`.
        multi_label: Draw a curve for each label and average the areas.
        num_labels: How many labels there are, if known before the first batch.
        label_weights: One weight per label, for that average; without
            `multi_label`, each prediction's weight.
        from_logits: Whether predictions are scores that a sigmoid has yet to turn into probabilities.

    Shapes: y_true and y_pred (samples, ...), or (samples, labels) with `multi_label`.
    Source: for PR, Davis and Goadrich, 2006.

    Example:
        >>> metric = AUC(num_thresholds=3)
        >>> metric.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
        >>> metric.result()
        tensor(0.7500)
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        self.curve = _choice("curve", curve, _CURVES)
        self.summation_method = _choice("summation_method", summation_method, _SUMMATIONS)
        if thresholds is None:
            if num_thresholds < 2:
                raise ValueError(
                    explain(
                        f"AUC got num_thresholds={num_thresholds!r}.",
                        "Expected a whole number, 2 or more.",
                        "AUC(num_thresholds=200)",
                    )
                )
            inner = [step / (num_thresholds - 1) for step in range(1, num_thresholds - 1)]
            even = True
        else:
            inner = sorted(as_thresholds("AUC", list(thresholds), 0.5))
            even = evenly_spaced([0.0, *inner, 1.0])
        if num_labels and not multi_label:
            raise ValueError(
                explain(
                    f"AUC got num_labels={num_labels} and multi_label=False.",
                    "Expected num_labels only together with multi_label=True.",
                    f"AUC(multi_label=True, num_labels={num_labels})",
                )
            )
        # A little beyond 0 and 1, so that the curve reaches both its ends whatever the rounding.
        super().__init__([-1e-7, *inner, 1.0 + 1e-7], name, dtype)
        self._even = even
        self._init_from_thresholds = thresholds is not None
        self.num_thresholds = len(inner) + 2
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = label_weights
        self._from_logits = from_logits
        self._built = False
        if not multi_label:
            self._build(())
        elif num_labels:
            self._build((num_labels,))

    @property
    def thresholds(self) -> list[float]:
        """The thresholds, with the two ends."""
        return list(self._threshold_list)

    def _build(self, labels: tuple[int, ...]) -> None:
        self._make_counts(*labels)
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = as_float(y_pred).detach()
        if self.multi_label:
            labels = y_pred.shape[1] if y_pred.dim() == 2 else None
            if labels is None or (self._built and tuple(self.true_positives.shape[1:]) != (labels,)):
                shown = tuple(self.true_positives.shape[1:]) if self._built else ("labels",)
                raise ValueError(
                    explain(
                        f"AUC with multi_label=True got y_pred of shape {tuple(y_pred.shape)}.",
                        f"Expected (samples, {shown[0]}).",
                        "leave multi_label out for one curve over all predictions",
                    )
                )
            if not self._built:
                self._build((labels,))
        if self._from_logits:
            y_pred = torch.sigmoid(y_pred)
        super().update_state(y_true, y_pred, sample_weight)

    def reset_state(self) -> None:
        if self._built:
            super().reset_state()

    def result(self) -> torch.Tensor:
        if not self._built:
            return torch.zeros((), dtype=self._torch_dtype)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._over_labels(self._interpolated_slices())
        x, y = self._curve()
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2.0
        elif self.summation_method == "minoring":
            heights = torch.minimum(y[:-1], y[1:])
        else:
            heights = torch.maximum(y[:-1], y[1:])
        return self._over_labels((x[:-1] - x[1:]) * heights)

    def _curve(self) -> tuple[torch.Tensor, torch.Tensor]:
        hits, alarms = self.true_positives, self.false_positives
        missed, quiet = self.false_negatives, self.true_negatives
        recall = divide(hits, hits + missed)
        if self.curve == "ROC":
            return divide(alarms, alarms + quiet), recall
        if self.curve == "PR":
            return recall, divide(hits, hits + alarms)
        # Gains are undefined without true positives, and below zero for a model worse than always saying yes.
        scale = divide(hits + missed, quiet + alarms)
        recall_gain = torch.where(hits == 0, 0, 1.0 - scale * divide(missed, hits)).clamp(min=0)
        return recall_gain, torch.where(hits == 0, 1, 1.0 - scale * divide(alarms, hits))

    def _interpolated_slices(self) -> torch.Tensor:
        """Return the areas between thresholds under PR, with counts (not precision) going in straight lines."""
        hits = self.true_positives
        positives = hits + self.false_positives
        new_hits = hits[:-1] - hits[1:]
        slope = divide(new_hits, (positives[:-1] - positives[1:]).clamp(min=0))
        intercept = hits[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        ratio = torch.where(both, divide(positives[:-1], positives[1:].clamp(min=0)), 1)
        ones = (hits[1:] + self.false_negatives[1:]).clamp(min=0)
        return divide(slope * (new_hits + intercept * ratio.log()), ones)

    def _over_labels(self, slices: torch.Tensor) -> torch.Tensor:
        if not self.multi_label:
            return slices.sum()
        areas = slices.sum(0)
        if self.label_weights is None:
            return areas.mean()
        weights = as_tensor(self.label_weights, areas.dtype, areas.device)
        return divide((areas * weights).sum(), weights.sum())

    def get_config(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": registry.serialize_keras_object(self.label_weights),
            "from_logits": self._from_logits,
        }
        if self._init_from_thresholds:
            own["thresholds"] = self._threshold_list[1:-1]
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{key: registry.deserialize_keras_object(value) for key, value in config.items()})


def _choice(name: str, value: Any, known: tuple[str, ...]) -> str:
    # Keras also takes members of enumerations, whose value is the name.
    value = getattr(value, "value", value)
    for word in known:
        if str(value).lower() == word.lower():
            return word
    raise ValueError(unknown_name(f"AUC {name}", str(value), known))
