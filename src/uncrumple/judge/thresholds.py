"""From which probability on is the answer yes? ROC and precision-recall curves, and thresholds for a purpose.

One half is a threshold like any other. Where a miss costs ten times a false
alarm, or nine of ten sick people must be found, another one serves better. It is
chosen on validation rows; the test rows then say what it does.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from uncrumple.core.errors import explain
from uncrumple.judge.intervals import Interval, bootstrap, wilson

_POINTS = 200


@dataclass(frozen=True)
class Curves:
    """ROC and precision-recall curve of one class against the others.

    Args:
        name: The class that counts as yes.
        auc: Area under the ROC curve: how often a yes row is given a higher probability than a no
            row; one half is chance. With its bootstrap interval.
        average_precision: Area under the precision-recall curve; chance is `share`.
        share: The share of yes rows.
        roc: False-alarm rates and recalls, as two lists.
        precision_recall: Recalls and precisions, as two lists.

    Example:
        >>> found = curves_of(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), resamples=None)
        >>> found.auc.score, found.share
        (0.75, 0.5)
    """

    name: str
    auc: Interval
    average_precision: Interval
    share: float
    roc: tuple[list[float], list[float]]
    precision_recall: tuple[list[float], list[float]]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {
            "name": self.name,
            "auc": _plain(self.auc),
            "average_precision": _plain(self.average_precision),
            "share": self.share,
            "roc": {"false_alarms": self.roc[0], "recall": self.roc[1]},
            "precision_recall": {"recall": self.precision_recall[0], "precision": self.precision_recall[1]},
        }


def curves_of(
    truth: np.ndarray,
    probability: np.ndarray,
    name: str = "yes",
    *,
    seed: int = 0,
    groups: np.ndarray | None = None,
    resamples: int | None = 1000,
) -> Curves:
    """Draw up the ROC and the precision-recall curve of a yes-or-no question.

    Args:
        truth: Whether the answer is yes, for each test row.
        probability: The model's probability for yes, or any score that is larger the surer it is.
        name: What yes means.
        seed: For the bootstrap.
        groups: A group for each row: whole groups are then drawn.
        resamples: How many for the intervals; None for none.
    """
    right, given = _checked("curves_of", truth, probability)
    if right.all() or not right.any():
        raise ValueError(
            explain(
                f"curves_of got {len(right)} rows that are all {'yes' if right.all() else 'no'}.",
                "Expected rows of both kinds.",
                "more test rows, or a stratified split.",
            )
        )

    # Equal probabilities share a place, so that counting takes the place of sorting in every resample.
    kinds, places = np.unique(given, return_inverse=True)
    count = len(kinds)

    def auc(one: np.ndarray, place: np.ndarray) -> float:
        yes = np.bincount(place, one, count)
        no = np.bincount(place, minlength=count) - yes
        total = yes.sum() * no.sum()
        return float(yes @ (np.cumsum(no) - no / 2) / total) if total else math.nan

    def precision(one: np.ndarray, place: np.ndarray) -> float:
        yes = np.bincount(place, one, count)[::-1]
        said = np.cumsum(np.bincount(place, minlength=count)[::-1])
        return float((yes * np.cumsum(yes) / np.maximum(said, 1)).sum() / yes.sum()) if yes.any() else math.nan

    found, numbers = [], right.astype(np.float64)
    for score in (auc, precision):
        if resamples is None:
            found.append(Interval(score(numbers, places), math.nan, math.nan))
        else:
            found.append(bootstrap(score, numbers, places, resamples=resamples, seed=seed, groups=groups))
    alarms, recalls, _ = roc_curve(right, given)
    precisions, reached, _ = precision_recall_curve(right, given)
    return Curves(
        name, found[0], found[1], float(right.mean()), _thinned(alarms, recalls), _thinned(reached, precisions)
    )


@dataclass(frozen=True)
class Threshold:
    """From which probability on the answer is yes, and what that does on some rows.

    Args:
        value: The threshold: yes if the probability is at least this.
        why: What it was chosen for.
        precision: Of the rows answered with yes, the share that is yes, with Wilson's interval.
        recall: Of the yes rows, the share that was found.
        false_alarms: Of the no rows, the share answered with yes.
        cost: The mean cost of a row, where costs were given.
        rows: How many rows it was measured on.

    Example:
        >>> truth, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
        >>> apply_threshold(truth, p, 0.3).in_words()
        'yes from 0.300 on: recall 100.0 %, precision 66.7 %, false alarms 50.0 %'
    """

    value: float
    why: str
    precision: Interval
    recall: Interval
    false_alarms: Interval
    cost: float | None
    rows: int

    def in_words(self) -> str:
        """Return the threshold and what it does."""
        parts = [f"recall {_percent(self.recall)}", f"precision {_percent(self.precision)}"]
        parts.append(f"false alarms {_percent(self.false_alarms)}")
        if self.cost is not None:
            parts.append(f"mean cost {self.cost:.4g}")
        return f"{f'{self.why}: ' if self.why else ''}yes from {self.value:.3f} on: {', '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        intervals = {name: _plain(getattr(self, name)) for name in ("precision", "recall", "false_alarms")}
        return asdict(self) | intervals


def apply_threshold(
    truth: np.ndarray,
    probability: np.ndarray,
    threshold: float,
    *,
    why: str = "",
    miss: float | None = None,
    false_alarm: float | None = None,
) -> Threshold:
    """Measure what a threshold does on some rows.

    Args:
        truth: Whether the answer is yes.
        probability: The model's probability for yes.
        threshold: Yes if the probability is at least this.
        why: What it was chosen for, in words.
        miss, false_alarm: What a missed yes and a false alarm cost; None leaves costs out.
    """
    right, given = _checked("apply_threshold", truth, probability)
    said = given >= threshold
    hits, missed, false = int((said & right).sum()), int((~said & right).sum()), int((said & ~right).sum())
    cost = None
    if miss is not None and false_alarm is not None:
        cost = (miss * missed + false_alarm * false) / len(right)
    return Threshold(
        float(threshold),
        why,
        _share(hits, hits + false),
        _share(hits, hits + missed),
        _share(false, int((~right).sum())),
        cost,
        len(right),
    )


def threshold_for_cost(truth: np.ndarray, probability: np.ndarray, miss: float, false_alarm: float) -> float:
    """Return the threshold with the smallest mean cost on these rows; choose it on validation rows.

    Of several that cost the same, the middle of the widest stretch is taken.

    Args:
        truth: Whether the answer is yes.
        probability: The model's probability for yes.
        miss: What a missed yes costs, above 0.
        false_alarm: What a false alarm costs, above 0.

    Example:
        >>> truth, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.3, 0.8])
        >>> round(threshold_for_cost(truth, p, miss=10, false_alarm=1), 2)
        0.2
    """
    right, given = _checked("threshold_for_cost", truth, probability)
    for name, value in (("miss", miss), ("false_alarm", false_alarm)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(
                explain(f"threshold_for_cost got {name}={value}.", "Expected a number above 0.", f"{name}=1.0")
            )
    # Between each two neighbouring probabilities the answers, and so the cost, stay the same.
    edges = np.unique(given)
    below = np.searchsorted(np.sort(given[right]), edges, side="left")  # missed yes rows
    above = (~right).sum() - np.searchsorted(np.sort(given[~right]), edges, side="left")
    costs = np.append(miss * below + false_alarm * above, miss * right.sum())
    lows = np.concatenate([[min(0.0, edges[0])], edges])
    highs = np.append(edges, max(1.0, edges[-1]))
    best = np.flatnonzero(costs <= costs.min() + 1e-12 * (1 + abs(costs.min())))
    widest = best[int(np.argmax(highs[best] - lows[best]))]
    return float((lows[widest] + highs[widest]) / 2)


def threshold_for_balance(truth: np.ndarray, probability: np.ndarray) -> float:
    """Return the threshold with the highest balanced accuracy on these rows; choose it on validation rows.

    It is the one for which a miss costs as much as there are no rows for each yes row: both
    classes then count the same, however rare one of them is (Youden's index).

    Source: W. Youden, 1950, Index for rating diagnostic tests.

    Args:
        truth: Whether the answer is yes; rows of both kinds.
        probability: The model's probability for yes.

    Example:
        >>> truth, p = np.array([0, 0, 0, 0, 1]), np.array([0.1, 0.1, 0.2, 0.05, 0.3])
        >>> round(threshold_for_balance(truth, p), 2)
        0.25
    """
    right, given = _checked("threshold_for_balance", truth, probability)
    if right.all() or not right.any():
        raise ValueError(
            explain(
                f"threshold_for_balance got {len(right)} rows that are all {'yes' if right.all() else 'no'}.",
                "Expected rows of both kinds.",
                "more validation rows, or a stratified split.",
            )
        )
    return threshold_for_cost(right, given, miss=float((~right).sum()), false_alarm=float(right.sum()))


def threshold_for_recall(truth: np.ndarray, probability: np.ndarray, recall: float) -> float:
    """Return the highest threshold that still finds this share of the yes rows; choose it on validation rows.

    Args:
        truth: Whether the answer is yes.
        probability: The model's probability for yes.
        recall: The share wanted, 0 < recall <= 1.

    Example:
        >>> threshold_for_recall(np.array([0, 1, 1, 1]), np.array([0.5, 0.3, 0.6, 0.9]), recall=0.6)
        0.6
    """
    right, given = _checked("threshold_for_recall", truth, probability)
    if not 0 < recall <= 1:
        raise ValueError(
            explain(f"threshold_for_recall got recall={recall}.", "Expected 0 < recall <= 1.", "recall=0.9")
        )
    if not right.any():
        raise ValueError(
            explain("threshold_for_recall got no row that is yes.", "Expected at least one.", "more validation rows.")
        )
    descending = np.sort(given[right])[::-1]
    return float(descending[math.ceil(recall * len(descending) - 1e-9) - 1])


def _checked(owner: str, truth: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    right = np.asarray(truth).reshape(-1)
    given: np.ndarray = np.asarray(probability, dtype=np.float64).reshape(-1)
    boolean = right.dtype.kind == "b" or bool(np.isin(right, (0, 1)).all())
    if len(right) != len(given) or not len(right) or not boolean or not np.isfinite(given).all():
        raise ValueError(
            explain(
                f"{owner} got truth of shape {right.shape} ({right.dtype}) and probabilities of shape {given.shape}.",
                "Expected yes or no (1 or 0) and a finite number for each row.",
                f"{owner}(y_test == 1, probabilities[:, 1], ...)",
            )
        )
    return right.astype(bool), given


def _share(count: int, total: int) -> Interval:
    return wilson(count, total) if total else Interval(math.nan, math.nan, math.nan)


def _percent(share: Interval) -> str:
    return "–" if math.isnan(share.score) else f"{100 * share.score:.1f} %"


def _plain(interval: Interval) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in interval._asdict().items()}


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Return at most about 200 points of a curve, the ends included."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).round().astype(int))
    return [float(value) for value in x[kept]], [float(value) for value in y[kept]]
