"""Measures over whole maps, sequences and sets: overlap, alignment, similarity of embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.errors import explain
from uncrumple.core.settings import epsilon
from uncrumple.measures.pairing import as_float, as_tensor, pair


def _sum(values: torch.Tensor, axis: int | Sequence[int] | None) -> torch.Tensor:
    if axis is None:
        return values.sum()
    return values.sum(axis if isinstance(axis, int) else tuple(axis))


def dice(y_true: Any, y_pred: Any, axis: int | Sequence[int] | None = None) -> torch.Tensor:
    """Return 1 - 2 * overlap / (size of y_true + size of y_pred).

    Args:
        y_true: Any shape: 1 where the thing is, 0 elsewhere.
        y_pred: The same shape: probabilities.
        axis: The axes to sum over; None means all, which gives one number.

    Source: Dice, 1945; Sorensen, 1948.

    Example:
        >>> dice([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        tensor(0.3333)
    """
    y_true, y_pred = pair("dice", y_true, y_pred)
    return 1 - 2.0 * _sum(y_true * y_pred, axis) / (_sum(y_true, axis) + _sum(y_pred, axis) + epsilon())


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: int | Sequence[int] | None = None
) -> torch.Tensor:
    """Return 1 - overlap / (overlap + alpha * missed + beta * false alarms).

    Args:
        y_true: Any shape: 1 where the thing is, 0 elsewhere.
        y_pred: The same shape: probabilities.
        alpha: Weight of what y_pred misses.
        beta: Weight of what y_pred has too much.
        axis: The axes to sum over; None means all, which gives one number.

    Source: Salehi et al., 2017, arXiv:1706.05721.

    Example:
        >>> tversky([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        tensor(0.3333)
    """
    y_true, y_pred = pair("tversky", y_true, y_pred)
    overlap = _sum(y_true * y_pred, axis)
    missed = _sum((1 - y_pred) * y_true, axis)
    excess = _sum(y_pred * (1 - y_true), axis)
    return 1 - overlap / (overlap + missed * alpha + excess * beta + epsilon())


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> torch.Tensor:
    """Return how badly embeddings of one class lie together and those of different classes apart.

    Args:
        y_true: (samples,) class numbers.
        y_pred: (samples, features) embeddings of length 1.
        ref_labels: Class numbers to compare with; by default y_true.
        ref_embeddings: Embeddings to compare with; by default y_pred.
        remove_diagonal: Whether to leave out the pair of sample i and reference i.
        gamma: Scale of the exponentials.
        margin: How far a similarity may be from its best value.

    Source: Sun et al., 2020, arXiv:2002.10857.

    Example:
        >>> vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]), dim=-1)
        >>> bool((circle([0, 0, 1], vectors) >= 0).all())
        True
    """
    y_pred = as_float(y_pred)
    y_true = as_tensor(y_true, torch.int32, y_pred.device)
    if y_pred.dim() != 2 or tuple(y_true.shape) not in ((y_pred.shape[0],), (y_pred.shape[0], 1)):
        raise ValueError(
            explain(
                f"circle got y_true of shape {tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}.",
                "Expected one class number per sample, and one row of features per sample.",
                "end the model with Dense(features) and UnitNormalization(), and pass class numbers of shape (samples,).",
            )
        )
    y_true = y_true.reshape(-1, 1)
    others = y_pred if ref_embeddings is None else as_tensor(ref_embeddings, y_pred.dtype, y_pred.device)
    labels = y_true if ref_labels is None else as_tensor(ref_labels, torch.int32, y_pred.device).reshape(-1, 1)
    distance = (1 - y_pred @ others.T).clamp(min=0)
    same = y_true == labels.T
    different = ~same
    if remove_diagonal:
        same = same & ~torch.eye(*same.shape, dtype=torch.bool, device=same.device)
    pull = -gamma * ((margin + distance) * same).clamp(min=0) * (margin - distance)
    push = gamma * ((1 + margin - distance) * different).clamp(min=0) * (1 - margin - distance)
    nothing = float("-inf")
    positive = torch.logsumexp(torch.where(same, pull, nothing), 1)
    negative = torch.logsumexp(torch.where(different, push, nothing), 1)
    out = F.softplus(positive + negative)
    out._keras_mask = out > 0  # type: ignore[attr-defined]
    return out


def ctc(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return -log(probability of a text), summed over all ways to spread it over the time steps.

    Args:
        y_true: (samples, longest text) class numbers; 0 is the blank and fills up short texts.
        y_pred: (samples, time steps, classes) scores before softmax.

    A text that needs more time steps than there are has the probability zero, and an infinite loss.
    Between two equal symbols, one more step is needed.

    Source: Graves et al., 2006.

    Example:
        >>> ctc([[1, 2]], torch.zeros(1, 2, 3))
        tensor([2.1972])
    """
    y_pred = as_float(y_pred)
    y_true = as_tensor(y_true, torch.int64, y_pred.device)
    if y_true.dim() != 2 or y_pred.dim() != 3 or y_true.shape[0] != y_pred.shape[0]:
        raise ValueError(
            explain(
                f"ctc got y_true of shape {tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}.",
                "Expected y_true (samples, longest text) and y_pred (samples, time steps, classes).",
                "end the model with Dense(classes) on a sequence, and fill up the texts with 0.",
            )
        )
    lengths = (y_true != 0).sum(-1)
    steps = torch.full((y_pred.shape[0],), y_pred.shape[1], dtype=torch.int64, device=y_pred.device)
    scores = torch.log_softmax(y_pred.float() if y_pred.dtype.itemsize < 4 else y_pred, -1)
    if scores.is_meta:  # torch cannot run its own without numbers
        return scores.sum((1, 2))
    return F.ctc_loss(scores.transpose(0, 1), y_true, steps, lengths, blank=0, reduction="none")
