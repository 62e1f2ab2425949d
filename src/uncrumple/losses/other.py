"""Losses with margins, and those over maps, sequences and embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uncrumple import measures
from uncrumple.core.errors import explain
from uncrumple.losses.base import BuiltinLoss


class Hinge(BuiltinLoss):
    """Take max(1 - y_true * y_pred, 0): a score must be on the right side by 1.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true (samples, ..., outputs) of -1 and 1 or of 0 and 1; y_pred the same, scores.

    Example:
        >>> Hinge()([[1.0, -1.0]], [[0.5, -2.0]])
        tensor(0.2500)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "hinge", dtype: Any = None
    ) -> None:
        super().__init__(measures.hinge, reduction, name, dtype)


class SquaredHinge(BuiltinLoss):
    """Take max(1 - y_true * y_pred, 0)**2.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true (samples, ..., outputs) of -1 and 1 or of 0 and 1; y_pred the same, scores.

    Example:
        >>> SquaredHinge()([[1.0, -1.0]], [[0.5, -2.0]])
        tensor(0.1250)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "squared_hinge", dtype: Any = None
    ) -> None:
        super().__init__(measures.squared_hinge, reduction, name, dtype)


class CategoricalHinge(BuiltinLoss):
    """Take max(best wrong score - right score + 1, 0).

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true (samples, ..., classes) one-hot; y_pred the same, scores.

    Example:
        >>> CategoricalHinge()([[0.0, 1.0, 0.0]], [[0.5, 2.0, 1.5]])
        tensor(0.5000)
    """

    _per_number = False

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "categorical_hinge", dtype: Any = None
    ) -> None:
        super().__init__(measures.categorical_hinge, reduction, name, dtype)


class Dice(BuiltinLoss):
    """Take 1 - 2 * overlap / (sum of the two sizes): for segmentation.

    Args:
        reduction, name: As in `Loss`.
        axis: The axes to sum over; None means the whole batch at once, `(1, 2, 3)` each image.
        dtype: As in `Loss`.

    Shapes: y_true and y_pred of one shape, y_pred probabilities.

    Example:
        >>> Dice()([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        tensor(0.3333)
    """

    _per_number = False

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: int | Sequence[int] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(measures.dice, reduction, name, dtype, axis=axis)


class Tversky(BuiltinLoss):
    """Take 1 - overlap / (overlap + alpha * missed + beta * excess): for segmentation.

    Args:
        alpha: Weight of what y_pred misses.
        beta: Weight of what y_pred has too much.
        reduction, name: As in `Loss`.
        axis: The axes to sum over; None means the whole batch at once.
        dtype: As in `Loss`.

    Shapes: y_true and y_pred of one shape, y_pred probabilities.
    Source: Salehi et al., 2017, arXiv:1706.05721.

    Example:
        >>> Tversky()([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        tensor(0.3333)
    """

    _per_number = False

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: int | Sequence[int] | None = None,
        dtype: Any = None,
    ) -> None:
        for key, value in (("alpha", alpha), ("beta", beta)):
            if not value >= 0:
                raise ValueError(
                    explain(f"Tversky got {key}={value!r}.", f"Expected {key} >= 0.", f"Tversky({key}=0.5)")
                )
        super().__init__(measures.tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


class Circle(BuiltinLoss):
    """Draw embeddings of one class together and push those of different classes apart.

    Args:
        gamma: Scale of the exponentials.
        margin: How far a similarity may be from its best value.
        remove_diagonal: Whether to leave out the pairs of a sample with itself.
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true (samples,) class numbers, y_pred (samples, features) of length 1.
    Source: Sun et al., 2020, arXiv:2002.10857.

    Example:
        >>> bool(Circle()([0, 0, 1], [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]) > 0)
        True
    """

    _keeps_label_dtype = True
    _per_number = False

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        if not gamma > 0:
            raise ValueError(explain(f"Circle got gamma={gamma!r}.", "Expected gamma > 0.", "Circle(gamma=80)"))
        settings = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(measures.circle, reduction, name, dtype, **settings)


class CTC(BuiltinLoss):
    """Take -log(probability of a text), whatever the time steps it is spread over: for speech and handwriting.

    Args:
        reduction, name, dtype: As in `Loss`.

    Shapes: y_true (samples, longest text) class numbers, filled up with 0, the blank;
    y_pred (samples, time steps, classes) scores before softmax.
    Source: Graves et al., 2006.

    Example:
        >>> CTC()([[1, 2]], [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
        tensor(2.1972)
    """

    _keeps_label_dtype = True
    _per_number = False

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "ctc", dtype: Any = None
    ) -> None:
        super().__init__(measures.ctc, reduction, name, dtype)
