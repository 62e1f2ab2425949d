"""How far a score is from being on the right side of a margin."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.measures.pairing import pair, pair_one_hot


def _signs(y_true: torch.Tensor) -> torch.Tensor:
    """Return labels 0 and 1 as -1 and 1; other labels as they are."""
    binary = ((y_true == 0) | (y_true == 1)).all()
    return torch.where(binary, 2.0 * y_true - 1.0, y_true)


def hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return mean(max(1 - y_true * y_pred, 0)) over the last axis.

    Args:
        y_true: (samples, ..., outputs) of -1 and 1, or of 0 and 1.
        y_pred: (samples, ..., outputs) scores; the sign is the decision.

    Example:
        >>> hinge([[1.0, -1.0]], [[0.5, -2.0]])
        tensor([0.2500])
    """
    y_true, y_pred = pair("hinge", y_true, y_pred)
    return (1.0 - _signs(y_true) * y_pred).clamp(min=0).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return mean(max(1 - y_true * y_pred, 0)**2) over the last axis.

    Args:
        y_true: (samples, ..., outputs) of -1 and 1, or of 0 and 1.
        y_pred: (samples, ..., outputs) scores; the sign is the decision.

    Example:
        >>> squared_hinge([[1.0, -1.0]], [[0.5, -2.0]])
        tensor([0.1250])
    """
    y_true, y_pred = pair("squared_hinge", y_true, y_pred)
    return (1.0 - _signs(y_true) * y_pred).clamp(min=0).square().mean(-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return max(best wrong score - right score + 1, 0).

    Args:
        y_true: (samples, ..., classes) one-hot.
        y_pred: (samples, ..., classes) scores.

    Example:
        >>> categorical_hinge([[0.0, 1.0, 0.0]], [[0.5, 2.0, 1.5]])
        tensor([0.5000])
    """
    y_true, y_pred = pair_one_hot("categorical_hinge", y_true, y_pred)
    right = (y_true * y_pred).sum(-1)
    wrong = ((1.0 - y_true) * y_pred).amax(-1)
    return (wrong - right + 1.0).clamp(min=0)
