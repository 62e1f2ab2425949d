"""Is a model as often right as it says? Calibration, beside what a perfect model would show.

The expected calibration error (ECE) of a perfectly calibrated model is not 0
on a test part of limited size: at 200 rows it is about .045. The error is
therefore shown beside its floor, found by drawing the truth from the model's
own probabilities.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from uncrumple.core.errors import explain
from uncrumple.judge.intervals import Interval, bootstrap, wilson
from uncrumple.judge.mistakes import class_probabilities
from uncrumple.judge.words import p_in_words

_SMALLEST = 1e-12  # a probability of 0 for the truth would make the log loss infinite
_DRAWS = 1000


@dataclass(frozen=True)
class Bin:
    """The rows in which the model was about equally sure.

    Args:
        low, high: From which confidence to which, without the first.
        rows: How many rows.
        confidence: How sure the model was on average.
        right: The share it was right on, with Wilson's interval.
    """

    low: float
    high: float
    rows: int
    confidence: float
    right: Interval


@dataclass(frozen=True)
class Calibration:
    """How well a model's confidence tells how often it is right.

    Args:
        brier: `mean(sum over classes (p - truth)²)`, 0 is best, with its interval.
        log_loss: `mean(-ln p of the truth)`, 0 is best, with its interval.
        ece: Expected calibration error: `sum over bins rows/n * |right - confidence|`.
        floor: The mean ECE of a perfectly calibrated model with these confidences and as many rows.
        floor_high: What only one in 20 such models exceeds.
        p_value: How often a perfectly calibrated model shows an ECE at least as large.
        lean: Mean confidence less accuracy: above 0 the model is too sure of itself.
        bins: Of equal width, those without rows left out.

    Example:
        >>> random = np.random.default_rng(0)
        >>> sure = random.uniform(0.5, 1, 500)
        >>> truth = (random.random(500) < sure).astype(int)
        >>> calibration_of(truth, sure).in_words()[:42]
        'ECE 0.065; a perfectly calibrated model sh'
    """

    brier: Interval
    log_loss: Interval
    ece: float
    floor: float
    floor_high: float
    p_value: float
    lean: float
    bins: tuple[Bin, ...]

    def in_words(self, alpha: float = 0.05) -> str:
        """Return what the numbers say, in a sentence."""
        rows = sum(one.rows for one in self.bins)
        first = f"ECE {self.ece:.3f}; a perfectly calibrated model shows {self.floor:.3f} on {rows:,} rows"
        said = p_in_words(self.p_value)
        p = f"p {said}" if said.startswith("<") else f"p = {said}"
        if self.p_value >= alpha:
            return f"{first} ({p}): no evidence that its confidence is off."
        if abs(self.lean) < self.ece / 4:  # too sure of some, not sure enough of others
            return f"{first} ({p}): its confidence is off: about right on average, too high for some rows, too low for others."
        way = "surer than it is right" if self.lean > 0 else "less sure than it is right"
        return f"{first} ({p}): its confidence is off. On average it is {100 * abs(self.lean):.1f} points {way}."

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        plain = {name: getattr(self, name) for name in ("ece", "floor", "floor_high", "p_value", "lean")}
        return {
            "brier": self.brier._asdict(),
            "log_loss": self.log_loss._asdict(),
            **plain,
            "bins": [asdict(one) | {"right": one.right._asdict()} for one in self.bins],
        }


def calibration_of(
    truth: np.ndarray,
    probabilities: np.ndarray,
    *,
    bins: int = 15,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Calibration:
    """Measure how well a classifier's probabilities hold.

    Source: C. Guo et al., 2017, On calibration of modern neural networks; the floor is simulated:
    the truth of each row is drawn from the row's confidence, 1,000 times.

    Args:
        truth: The right class of each test row, a whole number from 0.
        probabilities: Of shape (rows, classes), or one column for two classes.
        bins: How many bins of equal width from 0 to 1, at least 2.
        seed: For what is drawn.
        groups: A group for each row, for the intervals of Brier score and log loss.

    Example:
        >>> found = calibration_of(np.zeros(50, int), np.tile([0.6, 0.4], (50, 1)))
        >>> round(found.ece, 2), found.p_value < 0.01, found.lean < 0
        (0.4, True, True)
    """
    shares = class_probabilities(probabilities)
    right = _checked_truth(truth, shares)
    if bins < 2:
        raise ValueError(explain(f"calibration_of got bins={bins}.", "Expected at least 2.", "bins=15"))
    of_truth = shares[np.arange(len(right)), right]
    squares = (shares**2).sum(axis=1) - 2 * of_truth + 1
    confidence, hits = shares.max(axis=1), shares.argmax(axis=1) == right
    of_row = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    ece = float(_ece(hits[None], confidence, of_row, bins)[0])
    random = np.random.default_rng(seed)
    step = max(1, 4_000_000 // len(right))
    drawn = np.concatenate(
        [
            _ece(random.random((min(step, _DRAWS - start), len(right))) < confidence, confidence, of_row, bins)
            for start in range(0, _DRAWS, step)
        ]
    )
    found = []
    for number in range(bins):
        mine = of_row == number
        if mine.any():
            share = wilson(int(hits[mine].sum()), int(mine.sum()))
            mean = float(confidence[mine].mean())
            found.append(Bin(number / bins, (number + 1) / bins, int(mine.sum()), mean, share))
    return Calibration(
        brier=bootstrap(np.mean, squares, seed=seed, groups=groups),
        log_loss=bootstrap(np.mean, -np.log(np.maximum(of_truth, _SMALLEST)), seed=seed, groups=groups),
        ece=ece,
        floor=float(drawn.mean()),
        floor_high=float(np.quantile(drawn, 0.95)),
        p_value=float((1 + (drawn >= ece - 1e-12).sum()) / (1 + _DRAWS)),
        lean=float(confidence.mean() - hits.mean()),
        bins=tuple(found),
    )


def _ece(hits: np.ndarray, confidence: np.ndarray, of_row: np.ndarray, bins: int) -> np.ndarray:
    """Return the ECE of each row of `hits`, of shape (draws, rows)."""
    gaps = hits - confidence
    sums = np.zeros((len(hits), bins))
    for number in np.unique(of_row):
        sums[:, number] = gaps[:, of_row == number].sum(axis=1)
    return np.abs(sums).sum(axis=1) / len(confidence)


@dataclass(frozen=True)
class Temperature:
    """One number that makes a classifier's probabilities milder (above 1) or sharper (below 1).

    Which class is answered stays as it is. `p -> softmax(ln(p) / value)`.

    Args:
        value: The temperature.
        rows: The rows it was fitted on.

    Example:
        >>> Temperature(2.0, 100).apply(np.array([[0.8, 0.2]])).round(3).tolist()
        [[0.667, 0.333]]
    """

    value: float
    rows: int

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Return probabilities of shape (rows, classes) at this temperature."""
        logits = np.log(np.maximum(class_probabilities(probabilities), _SMALLEST)) / self.value
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(truth: np.ndarray, probabilities: np.ndarray) -> Temperature:
    """Find the temperature with the smallest log loss; on validation rows, never on test rows.

    Source: C. Guo et al., 2017, On calibration of modern neural networks.

    Args:
        truth: The right class of each validation row.
        probabilities: What the model gives each class.

    Example:
        >>> random = np.random.default_rng(0)
        >>> p = random.uniform(0.01, 0.99, 4000)
        >>> truth = (random.random(4000) < p).astype(int)
        >>> logits = np.log(p / (1 - p)) * 5
        >>> too_sure = 1 / (1 + np.exp(-logits))
        >>> 4.5 < fit_temperature(truth, too_sure).value < 5.5
        True
    """
    shares = class_probabilities(probabilities)
    right = _checked_truth(truth, shares)
    rows = np.arange(len(right))

    def loss(log_value: float) -> float:
        scaled = Temperature(float(np.exp(log_value)), len(right)).apply(shares)
        return float(-np.log(np.maximum(scaled[rows, right], _SMALLEST)).mean())

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return Temperature(float(np.exp(best.x)), len(right))


def _checked_truth(truth: np.ndarray, shares: np.ndarray) -> np.ndarray:
    right = np.asarray(truth).reshape(-1)
    known = right.dtype.kind in "iub" and len(right) == len(shares) and len(right) > 0
    if not known or right.min() < 0 or right.max() >= shares.shape[1]:
        raise ValueError(
            explain(
                f"Judging got labels of shape {np.shape(truth)} ({right.dtype}) and probabilities of shape {shares.shape}.",
                f"Expected a whole number from 0 to {shares.shape[1] - 1} for each row of probabilities.",
                "calibration_of(y_test, model.predict(x_test))",
            )
        )
    return right.astype(np.int64)
