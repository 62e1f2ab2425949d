"""What a straight line finds: a linear probe of a layer, by ridge regression in closed form.

The classes (or values) are regressed on what the layer gives, on four fifths
of the samples, and asked of the last fifth, five times. A network whose
layers work turns crumpled classes into ones that a straight line tells
apart, and this number says how far that has come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

FOLDS = 5
_RESAMPLES = 300


@dataclass(frozen=True)
class Score:
    """The share of samples that a straight line finds (classes), or R² (values), with a 95 % interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"score": self.value, "low": self.low, "high": self.high}


def folds_of(labels: np.ndarray | None, rows: int, seed: int = 0) -> np.ndarray:
    """Return the fold of each sample; every class is spread over all of them.

    Example:
        >>> np.bincount(folds_of(np.repeat([0, 1], 10), 20)).tolist()
        [4, 4, 4, 4, 4]
    """
    order = np.random.default_rng(seed).permutation(rows)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(rows, np.int64)
    folds[order] = np.arange(rows) % FOLDS
    return folds


def penalty_of(features: np.ndarray) -> float:
    """Return the ridge penalty for training rows: the mean squared length of a row, counted from their middle.

    Of a narrow layer that is next to nothing, beside the scatter of all rows; of one wider than there are rows it is
    the mean eigenvalue of the scatter, about what cross-validation chooses.

    Example:
        >>> penalty_of(np.array([[-1.0, 0.0], [1.0, 0.0]]))
        1.0
    """
    centred = features - features.mean(axis=0)
    return float((centred**2).sum()) / len(features)


def ridge_predictions(features: torch.Tensor, targets: torch.Tensor, folds: np.ndarray) -> torch.Tensor:
    """Return for each sample what a ridge regression says that was fitted on the other folds.

    With centred features `X` and targets `Y` of the training rows: `X' (X X' + a I)^-1 Y`, or the same as
    `(X X + a I)^-1 X Y` where there are fewer features than rows.

    Args:
        features: (samples, features).
        targets: (samples, outputs).
        folds: The fold of each sample.
    """
    values, wanted = features.double(), targets.double()
    rows, width = values.shape
    wide = width >= rows
    if wide:
        # Float32 is exact enough for the products, and twice as fast; what is inverted is float64.
        centred = features.float() - features.float().mean(dim=0)
        gram = (centred @ centred.T).double()
    predictions = torch.empty_like(wanted)
    for fold in range(FOLDS):
        test = torch.from_numpy(folds == fold)
        train = ~test
        if not bool(test.any()) or not bool(train.any()):
            predictions[test] = wanted.mean(dim=0)
            continue
        mean = wanted[train].mean(dim=0)
        count = int(train.sum())
        if wide:
            inner, across = gram[train][:, train], gram[test][:, train]
            row_mean, whole = inner.mean(dim=0), inner.mean()
            across = across - across.mean(dim=1, keepdim=True) - row_mean + whole
            inner = inner - row_mean - row_mean[:, None] + whole
            penalty = _at_least(float(inner.trace()) / count)
            inner.diagonal().add_(penalty)
            predictions[test] = across @ torch.linalg.solve(inner, wanted[train] - mean) + mean
        else:
            middle = values[train].mean(dim=0)
            inside = values[train] - middle
            scatter = inside.T @ inside
            penalty = _at_least(float(scatter.trace()) / count)
            scatter.diagonal().add_(penalty)
            line = torch.linalg.solve(scatter, inside.T @ (wanted[train] - mean))
            predictions[test] = (values[test] - middle) @ line + mean
    return predictions


def _at_least(penalty: float) -> float:
    # A layer that gives the same for all samples: anything above 0 answers with the mean.
    return penalty if penalty > 0 else 1.0


def class_score(features: torch.Tensor, labels: np.ndarray, folds: np.ndarray) -> Score:
    """Return the share of samples whose class a straight line finds.

    Args:
        features: (samples, features).
        labels: Classes as whole numbers from 0.
        folds: The fold of each sample.

    Example:
        >>> labels = np.repeat([0, 1], 25)
        >>> class_score(torch.tensor(labels[:, None] * 1.0), labels, folds_of(labels, 50)).value
        1.0
    """
    numbers = torch.from_numpy(labels)
    targets = torch.nn.functional.one_hot(numbers, int(labels.max()) + 1)
    found = ridge_predictions(features, targets, folds).argmax(dim=1) == numbers
    return Score(float(found.double().mean()), *wilson(int(found.sum()), len(labels)))


def value_score(features: torch.Tensor, values: np.ndarray, folds: np.ndarray) -> Score:
    """Return R², the share of the values' variance that a straight line explains; the mean of several targets.

    Args:
        features: (samples, features).
        values: (samples, targets).
        folds: The fold of each sample.

    Example:
        >>> values = np.linspace(0, 1, 50)[:, None]
        >>> value_score(torch.from_numpy(values), values, folds_of(None, 50)).value > 0.95
        True
    """
    wanted = torch.from_numpy(np.asarray(values, np.float64))
    spread = (wanted - wanted.mean(dim=0)) ** 2
    error = (ridge_predictions(features, wanted, folds) - wanted) ** 2

    def explained(rows: np.ndarray) -> float:
        total = spread[rows].sum(dim=0)
        shares = 1 - error[rows].sum(dim=0) / torch.where(total > 0, total, torch.ones_like(total))
        return float(shares.mean())

    draw = np.random.default_rng(0)
    again = [explained(draw.integers(0, len(wanted), len(wanted))) for _ in range(_RESAMPLES)]
    low, high = np.quantile(again, [0.025, 0.975])
    return Score(explained(np.arange(len(wanted))), float(low), float(high))


def wilson(found: int, rows: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (E. B. Wilson, 1927).

    Example:
        >>> [round(end, 3) for end in wilson(97, 100)]
        [0.915, 0.99]
    """
    z = 1.959964
    share, extra = found / rows, z * z / rows
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * float(np.sqrt(share * (1 - share) / rows + extra / (4 * rows)))
    return max(0.0, middle - half), min(1.0, middle + half)
