"""How surprised predictions are by what happened, and how far they are on the wrong side of a margin."""

from __future__ import annotations

from typing import Any

from uncrumple import measures
from uncrumple.core.errors import explain
from uncrumple.metrics.mean import BuiltinMeanMetric


def _check_smoothing(owner: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(
            explain(
                f"{owner} got label_smoothing={value!r}.",
                "Expected 0 <= label_smoothing <= 1.",
                f"{owner}(label_smoothing=0.1)",
            )
        )


class BinaryCrossentropy(BuiltinMeanMetric):
    """Mean of -log(probability of the truth) over yes-or-no questions.

    value = mean of -(y_true * log(p) + (1 - y_true) * log(1 - p)).

    Args:
        name, dtype: As in `Metric`.
        from_logits: Whether y_pred holds scores before the sigmoid.
        label_smoothing: How far labels are drawn towards one half, from 0 to 1.

    Example:
        >>> metric = BinaryCrossentropy()
        >>> metric.update_state([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]])
        >>> metric.result()
        tensor(0.8149)
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        _check_smoothing("BinaryCrossentropy", label_smoothing)
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(measures.binary_crossentropy, name, dtype, **settings)


class CategoricalCrossentropy(BuiltinMeanMetric):
    """Mean of -log(probability of the true class), with one-hot labels.

    value = mean of -sum(y_true * log(p)).

    Args:
        name, dtype: As in `Metric`.
        from_logits: Whether y_pred holds scores before the softmax.
        label_smoothing: Share of every label row that is spread evenly over the classes, from 0 to 1.
        axis: The axis of the classes.

    Example:
        >>> metric = CategoricalCrossentropy()
        >>> metric.update_state([[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]])
        >>> metric.result()
        tensor(1.1769)
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        _check_smoothing("CategoricalCrossentropy", label_smoothing)
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(measures.categorical_crossentropy, name, dtype, **settings)


class SparseCategoricalCrossentropy(BuiltinMeanMetric):
    """Mean of -log(probability of the true class), with class numbers as labels.

    value = mean of -log(p[y_true]).

    Args:
        name, dtype: As in `Metric`.
        from_logits: Whether y_pred holds scores before the softmax.
        ignore_class: A class number whose samples count as 0.
        axis: The axis of the classes.

    Example:
        >>> metric = SparseCategoricalCrossentropy()
        >>> metric.update_state([1, 2], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]])
        >>> metric.result()
        tensor(1.1769)
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        settings = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(measures.sparse_categorical_crossentropy, name, dtype, **settings)


class KLDivergence(BuiltinMeanMetric):
    """Mean of sum(y_true * log(y_true / y_pred)): how far predicted distributions are from true ones.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = KLDivergence()
        >>> metric.update_state([[0.5, 0.5]], [[0.25, 0.75]])
        >>> metric.result()
        tensor(0.1438)
    """

    _direction = "down"

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(measures.kl_divergence, name, dtype)


class Poisson(BuiltinMeanMetric):
    """Mean of y_pred - y_true * log(y_pred), for counts.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = Poisson()
        >>> metric.update_state([[2.0, 0.0]], [[1.0, 1.0]])
        >>> metric.result()
        tensor(1.0000)
    """

    _direction = "down"

    def __init__(self, name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(measures.poisson, name, dtype)


class Hinge(BuiltinMeanMetric):
    """Mean of max(1 - y_true * y_pred, 0), with labels -1 and 1 or 0 and 1.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = Hinge()
        >>> metric.update_state([[1.0, -1.0]], [[0.5, -2.0]])
        >>> metric.result()
        tensor(0.2500)
    """

    _direction = "down"

    def __init__(self, name: str | None = "hinge", dtype: Any = None) -> None:
        super().__init__(measures.hinge, name, dtype)


class SquaredHinge(BuiltinMeanMetric):
    """Mean of max(1 - y_true * y_pred, 0)**2, with labels -1 and 1 or 0 and 1.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = SquaredHinge()
        >>> metric.update_state([[1.0, -1.0]], [[0.5, -2.0]])
        >>> metric.result()
        tensor(0.1250)
    """

    _direction = "down"

    def __init__(self, name: str | None = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(measures.squared_hinge, name, dtype)


class CategoricalHinge(BuiltinMeanMetric):
    """Mean of max(best wrong score - right score + 1, 0), with one-hot labels.

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = CategoricalHinge()
        >>> metric.update_state([[0.0, 1.0, 0.0]], [[0.5, 2.0, 1.5]])
        >>> metric.result()
        tensor(0.5000)
    """

    _direction = "down"

    def __init__(self, name: str | None = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(measures.categorical_hinge, name, dtype)
