"""How often predictions are right."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.dtypes import floatx, torch_dtype
from uncrumple.core.errors import explain
from uncrumple.measures.pairing import aligned, as_tensor, keras_mask, pair_labels, pair_one_hot, same_rank
from uncrumple.metrics.mean import BuiltinMeanMetric


def _as_rates(matches: torch.Tensor) -> torch.Tensor:
    return matches.to(torch_dtype(floatx()))


def _pair_values(owner: str, y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
    y_pred = as_tensor(y_pred)
    return aligned(owner, as_tensor(y_true, device=y_pred.device), y_pred)


def accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return 1 where y_pred equals y_true and 0 elsewhere, value by value.

    Args:
        y_true, y_pred: Labels, of one shape.

    Example:
        >>> accuracy([1, 2, 3], [1, 0, 3])
        tensor([1., 0., 1.])
    """
    y_true, y_pred = _pair_values("accuracy", y_true, y_pred)
    return _as_rates(y_true == y_pred)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> torch.Tensor:
    """Return 1 where (y_pred > threshold) equals y_true and 0 elsewhere, value by value.

    mean of (y_pred > threshold) == y_true, over the last axis.

    Args:
        y_true: Zeros and ones.
        y_pred: Probabilities, of the same shape.
        threshold: A prediction must be greater to count as one.

    Example:
        >>> binary_accuracy([[1], [1], [0]], [[0.9], [0.5], [0.1]])
        tensor([[1.],
                [0.],
                [1.]])
    """
    y_true, y_pred = _pair_values("binary_accuracy", y_true, y_pred)
    return _as_rates(y_true == (y_pred > threshold))


def categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return 1 where the likeliest class is the true one and 0 elsewhere, per sample.

    1 where argmax(y_true) == argmax(y_pred), else 0.

    Args:
        y_true: (samples, ..., classes) one-hot.
        y_pred: (samples, ..., classes) probabilities or scores.

    Example:
        >>> categorical_accuracy([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]])
        tensor([0., 1.])
    """
    y_true, y_pred = pair_one_hot("categorical_accuracy", y_true, y_pred)
    return _as_rates(y_true.argmax(-1) == y_pred.argmax(-1))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return 1 where the likeliest class has the true number and 0 elsewhere, per sample.

    1 where y_true == argmax(y_pred), else 0.

    Args:
        y_true: (samples, ...) or (samples, ..., 1) class numbers from 0.
        y_pred: (samples, ..., classes) probabilities or scores.

    Example:
        >>> sparse_categorical_accuracy([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0.0]])
        tensor([0., 1.])
    """
    y_true, y_pred = pair_labels("sparse_categorical_accuracy", y_true, y_pred)
    matches = _as_rates(y_true == y_pred.argmax(-1))
    return matches.squeeze(-1) if matches.dim() > 1 and matches.shape[-1] == 1 else matches


def _check_k(owner: str, k: Any) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(explain(f"{owner} got k={k!r}.", "Expected a whole number, 1 or more.", f"{owner}(k=5)"))


def _in_top_k(labels: torch.Tensor, scores: torch.Tensor, k: int) -> torch.Tensor:
    """Return whether the label's score is among the k greatest; equal scores all are."""
    least = scores.topk(min(k, scores.shape[-1]), dim=-1).values[..., -1]
    return scores.gather(-1, labels.unsqueeze(-1)).squeeze(-1) >= least


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> torch.Tensor:
    """Return 1 where the true class is among the k likeliest and 0 elsewhere, per sample.

    1 where argmax(y_true) is among the k largest of y_pred, else 0.

    Args:
        y_true: (samples, ..., classes) one-hot.
        y_pred: (samples, ..., classes) probabilities or scores.
        k: How many classes are looked at.

    Example:
        >>> top_k_categorical_accuracy([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.0, 0.95]], k=2)
        tensor([1., 0.])
    """
    _check_k("top_k_categorical_accuracy", k)
    y_true, y_pred = pair_one_hot("top_k_categorical_accuracy", y_true, y_pred)
    return _as_rates(_in_top_k(y_true.argmax(-1), y_pred, k))


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> torch.Tensor:
    """Return 1 where the true class number is among the k likeliest and 0 elsewhere, per sample.

    Args:
        y_true: (samples, ...) or (samples, ..., 1) class numbers from 0.
        y_pred: (samples, ..., classes) probabilities or scores; or class
            numbers, likeliest first, with `from_sorted_ids`.
        k: How many classes are looked at.
        from_sorted_ids: Whether y_pred holds class numbers.

    Example:
        >>> sparse_top_k_categorical_accuracy([2, 1], [[0.1, 0.9, 0.8], [0.05, 0.0, 0.95]], k=2)
        tensor([1., 0.])
    """
    owner = "sparse_top_k_categorical_accuracy"
    _check_k(owner, k)
    y_true, y_pred = pair_labels(owner, y_true, y_pred)
    if from_sorted_ids:
        return _as_rates((y_true.unsqueeze(-1) == y_pred[..., :k]).any(-1))
    return _as_rates(_in_top_k(y_true.long(), y_pred, k))


class Accuracy(BuiltinMeanMetric):
    """Share of predictions that equal the truth exactly.

    value = (number of y_true == y_pred) / (number of all).

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = Accuracy()
        >>> metric.update_state([[1], [2], [3], [4]], [[0], [2], [3], [4]])
        >>> metric.result()
        tensor(0.7500)
    """

    _direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class _FastAccuracy(BuiltinMeanMetric):
    """An accuracy that counts hits directly in the usual case: tensors, no weights, no mask."""

    _direction = "up"

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        if (
            sample_weight is None
            and isinstance(y_pred, torch.Tensor)
            and isinstance(y_true, torch.Tensor)
            and y_pred.device == y_true.device
            and keras_mask(y_pred) is None
        ):
            matches = self._matches(y_true, y_pred)
            if matches is not None:
                if self.total.device != y_pred.device:
                    self.to(y_pred.device)
                hits, samples = torch.count_nonzero(matches), matches.shape[0]
                self._add(hits if matches.dim() == 1 else hits * (samples / matches.numel()), samples)
                return
        super().update_state(y_true, y_pred, sample_weight)

    def _matches(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        """Return (samples, ...) booleans, or None where the long way must be taken."""
        raise NotImplementedError


class BinaryAccuracy(_FastAccuracy):
    """Share of yes-or-no questions answered rightly.

    value = mean of (y_pred > threshold) == y_true.

    Args:
        name, dtype: As in `Metric`.
        threshold: A prediction must be greater to count as one.

    Example:
        >>> metric = BinaryAccuracy()
        >>> metric.update_state([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]])
        >>> metric.result()
        tensor(0.7500)
    """

    threshold: float

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):
            raise ValueError(
                explain(
                    f"BinaryAccuracy got threshold={threshold!r}.",
                    "Expected a number: 0.5 for probabilities, 0 for scores before a sigmoid.",
                    "BinaryAccuracy(threshold=0.5)",
                )
            )
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)

    def _matches(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        if y_true.shape != y_pred.shape:
            y_true, y_pred = same_rank(y_true, y_pred)
            if y_true.shape != y_pred.shape:
                return None
        return (y_pred > self.threshold) == y_true if y_pred.dim() and y_pred.numel() else None


class CategoricalAccuracy(_FastAccuracy):
    """Share of samples whose likeliest class is the true one, with one-hot labels.

    value = mean of argmax(y_true) == argmax(y_pred).

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = CategoricalAccuracy()
        >>> metric.update_state([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]])
        >>> metric.result()
        tensor(0.5000)
    """

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)

    def _matches(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        if y_true.shape != y_pred.shape or y_pred.dim() < 2:
            return None
        return y_true.argmax(-1) == y_pred.argmax(-1)


class SparseCategoricalAccuracy(_FastAccuracy):
    """Share of samples whose likeliest class is the true one, with class numbers as labels.

    value = mean of y_true == argmax(y_pred).

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = SparseCategoricalAccuracy()
        >>> metric.update_state([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0.0]])
        >>> metric.result()
        tensor(0.5000)
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)

    def _matches(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        rank = y_pred.dim()
        if y_true.dim() == rank and rank and y_true.shape[-1] == 1:
            y_true = y_true.squeeze(-1)
        if rank < 2 or y_true.shape != y_pred.shape[:-1] or y_pred.shape[-1] < 2:
            return None
        return y_pred.argmax(-1) == y_true


class TopKCategoricalAccuracy(BuiltinMeanMetric):
    """Share of samples whose true class is among the k likeliest, with one-hot labels.

    value = mean of (argmax(y_true) is among the k largest of y_pred).

    Args:
        k: How many classes are looked at.
        name, dtype: As in `Metric`.

    Example:
        >>> metric = TopKCategoricalAccuracy(k=2)
        >>> metric.update_state([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.0, 0.95]])
        >>> metric.result()
        tensor(0.5000)
    """

    _direction = "up"
    k: int

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        _check_k("TopKCategoricalAccuracy", k)
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(BuiltinMeanMetric):
    """Share of samples whose true class is among the k likeliest, with class numbers as labels.

    value = mean of (y_true is among the k largest of y_pred).

    Args:
        k: How many classes are looked at.
        name, dtype: As in `Metric`.
        from_sorted_ids: Whether predictions are class numbers, likeliest first.

    Example:
        >>> metric = SparseTopKCategoricalAccuracy(k=2)
        >>> metric.update_state([2, 1], [[0.1, 0.9, 0.8], [0.05, 0.0, 0.95]])
        >>> metric.result()
        tensor(0.5000)
    """

    _direction = "up"
    k: int
    from_sorted_ids: bool

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        _check_k("SparseTopKCategoricalAccuracy", k)
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
