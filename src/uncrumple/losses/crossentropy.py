"""Losses for probabilities: how surprised a prediction is by what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple import measures
from uncrumple.core.errors import explain
from uncrumple.kernels import crossentropy as kernels
from uncrumple.losses.base import BuiltinLoss, matched


def _check(owner: BuiltinLoss, name: str, value: float, right: bool, wanted: str, example: str) -> None:
    if not right:
        cls = type(owner).__name__
        raise ValueError(explain(f"{cls} got {name}={value!r}.", f"Expected {wanted}.", f"{cls}({name}={example})"))


def _check_smoothing(owner: BuiltinLoss, value: float) -> None:
    _check(owner, "label_smoothing", value, 0 <= value <= 1, "0 <= label_smoothing <= 1", "0.1")


class SparseCategoricalCrossentropy(BuiltinLoss):
    """Take -log(probability of the true class), with classes given by number: one of several classes.

    loss = -log(p[y_true]), with p = y_pred / sum(y_pred) or softmax(y_pred).

    Args:
        from_logits: Whether y_pred holds scores, without a softmax in the model.
        ignore_class: A class number whose samples do not count.
        reduction: As in `Loss`.
        axis: The axis of the classes.
        name, dtype: As in `Loss`.

    Shapes: y_true (samples, ...) or (samples, ..., 1), y_pred (samples, ..., classes).

    Example:
        >>> SparseCategoricalCrossentropy()([1, 2], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
        tensor(1.1769)
    """

    _keeps_label_dtype = True
    _per_number = False
    from_logits: bool
    ignore_class: int | None
    axis: int

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        settings = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(measures.sparse_categorical_crossentropy, reduction, name, dtype, **settings)

    def batch_mean(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        if y_pred.dim() != 2 or self.axis not in (-1, 1) or self.ignore_class is not None:
            return None
        if y_true.dim() == 2 and y_true.shape[1] == 1:
            y_true = y_true.squeeze(1)
        if y_true.dim() != 1 or y_true.shape[0] != y_pred.shape[0] or y_pred.shape[1] < 2:
            return None
        labels = y_true if y_true.dtype is torch.int64 else y_true.long()
        if self.from_logits:
            return kernels.sparse_from_logits(labels, y_pred, mean=True)
        return kernels.sparse_from_probabilities(labels, y_pred, mean=True)


class CategoricalCrossentropy(BuiltinLoss):
    """Take -sum(y_true * log(y_pred)), with classes given one-hot or as probabilities: one of several classes.

    Args:
        from_logits: Whether y_pred holds scores, without a softmax in the model.
        label_smoothing: Share of every row of y_true that is spread evenly over the classes, from 0 to 1.
        axis: The axis of the classes.
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., classes).

    Example:
        >>> CategoricalCrossentropy()([[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
        tensor(1.1769)
    """

    _per_number = False
    from_logits: bool
    label_smoothing: float
    axis: int

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        _check_smoothing(self, label_smoothing)
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(measures.categorical_crossentropy, reduction, name, dtype, **settings)

    def batch_mean(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        if y_pred.dim() != 2 or self.axis not in (-1, 1) or y_true.shape != y_pred.shape or y_pred.shape[1] < 2:
            return None
        if y_true.dtype is not y_pred.dtype:
            y_true = y_true.to(y_pred.dtype)
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + self.label_smoothing / y_true.shape[1]
        if self.from_logits:
            return kernels.categorical_from_logits(y_true, y_pred, mean=True)
        return kernels.categorical_from_probabilities(y_true, y_pred, mean=True)


class BinaryCrossentropy(BuiltinLoss):
    """Take -log(probability of the truth) for yes-or-no questions, each with one output.

    loss = mean over outputs of -(y_true * log(p) + (1 - y_true) * log(1 - p)), with p = y_pred or
    sigmoid(y_pred).

    Args:
        from_logits: Whether y_pred holds scores, without a sigmoid in the model.
        label_smoothing: How far labels are drawn towards one half, from 0 to 1.
        axis: The axis to average over.
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs).

    Example:
        >>> BinaryCrossentropy()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]])
        tensor(0.8149)
    """

    from_logits: bool
    label_smoothing: float
    axis: int

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        _check_smoothing(self, label_smoothing)
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(measures.binary_crossentropy, reduction, name, dtype, **settings)

    def batch_mean(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        both = matched(y_true, y_pred)
        if both is None:
            return None
        y_true, y_pred = both
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            return kernels.binary_from_logits(y_true, y_pred, mean=True)
        return kernels.binary_from_probabilities(y_true, y_pred, mean=True)


class BinaryFocalCrossentropy(BuiltinLoss):
    """Weigh the binary cross-entropy by (1 - probability of the truth)**gamma, so that easy samples count less.

    Args:
        apply_class_balancing: Whether to weigh ones by alpha and zeros by 1 - alpha.
        alpha: Weight of the ones, from 0 to 1.
        gamma: How much less easy samples count; 0 is the plain cross-entropy.
        from_logits: Whether y_pred holds scores, without a sigmoid in the model.
        label_smoothing: How far labels are drawn towards one half, from 0 to 1.
        axis: The axis to average over.
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs).
    Source: Lin et al., 2017, arXiv:1708.02002.

    Example:
        >>> BinaryFocalCrossentropy()([[1.0]], [[0.5]])
        tensor(0.1733)
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        _check_smoothing(self, label_smoothing)
        _check(self, "gamma", gamma, gamma >= 0, "gamma >= 0", "2.0")
        _check(self, "alpha", alpha, 0 <= alpha <= 1, "0 <= alpha <= 1", "0.25")
        super().__init__(
            measures.binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalFocalCrossentropy(BuiltinLoss):
    """Weigh the categorical cross-entropy by alpha * (1 - p)**gamma, so that easy samples count less.

    Args:
        alpha: A weight for all classes, or a list with one per class.
        gamma: How much less easy samples count; 0 is the plain cross-entropy.
        from_logits: Whether y_pred holds scores, without a softmax in the model.
        label_smoothing: Share of every row of y_true that is spread evenly over the classes, from 0 to 1.
        axis: The axis of the classes.
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., classes).
    Source: Lin et al., 2017, arXiv:1708.02002.

    Example:
        >>> CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.0433)
    """

    _per_number = False

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        _check_smoothing(self, label_smoothing)
        _check(self, "gamma", gamma, gamma >= 0, "gamma >= 0", "2.0")
        super().__init__(
            measures.categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalGeneralizedCrossEntropy(BuiltinLoss):
    """Take (1 - p**q) / q of the true class's probability p, which bears wrong labels better.

    Args:
        q: Between 0 (nearly the cross-entropy) and 1 (nearly the mean absolute error).
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true (samples,) or (samples, 1) class numbers, y_pred (samples, classes).
    Source: Zhang and Sabuncu, 2018, arXiv:1805.07836.

    Example:
        >>> CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]])
        tensor(1.)
    """

    _keeps_label_dtype = True
    _per_number = False

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        _check(self, "q", q, 0 < q < 1, "0 < q < 1", "0.5")
        super().__init__(measures.categorical_generalized_cross_entropy, reduction, name, dtype, q=q)


class KLDivergence(BuiltinLoss):
    """Take sum(y_true * log(y_true / y_pred)): how far one distribution is from another.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., classes), probabilities.

    Example:
        >>> KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])
        tensor(0.1438)
    """

    _per_number = False

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "kl_divergence", dtype: Any = None
    ) -> None:
        super().__init__(measures.kl_divergence, reduction, name, dtype)


class Poisson(BuiltinLoss):
    """Take y_pred - y_true * log(y_pred): for counts, with y_pred the expected count.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true and y_pred (samples, ..., outputs); y_pred above zero.

    Example:
        >>> Poisson()([[2.0, 0.0]], [[1.0, 1.0]])
        tensor(1.0000)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "poisson", dtype: Any = None
    ) -> None:
        super().__init__(measures.poisson, reduction, name, dtype)
