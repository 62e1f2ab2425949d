"""Labels that are probably wrong: confident learning.

Source: Northcutt, Jiang and Chuang, 2021, Confident learning: estimating
uncertainty in dataset labels. Each class has a threshold: the mean
probability that the model gives it in the rows that carry its label. A row is
suspect if the likeliest class above its threshold is not the one on the label.
"""

from __future__ import annotations

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.features import features, forest, learnable, linear, out_of_fold, sample
from uncrumple.data.checks.report import Finding, share
from uncrumple.data.checks.values import SHOWN
from uncrumple.data.checks.view import View

_LIMIT = 0.01
_FOLDS = 5
# Below this accuracy out of fold the classes overlap, and a suspect row is more often hard than wrong.
_EASY = 0.9
# A label is doubted only between classes that the model tells apart: each with at least this F1 on the other rows, and
# with this one on average. Of a rare class that is missed, or called too often, the others' labels prove nothing.
_LEAST_F1 = 0.85
_LEAST_MEAN_F1 = 0.9
# A class of few rows has an F1 by chance: so many of its rows are taken to be as good as all rows are.
_BORROWED_ROWS = 20


def told_apart(codes: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Return which classes are told from the others, but for one mistake, which may be that of the label.

    Args:
        codes: The labels, whole numbers from 0.
        answers: What a model answered that did not learn from these rows.
        classes: How many classes there are.

    Example:
        >>> told_apart(np.repeat([0, 1, 2], 30), np.repeat([0, 1, 1], 30), 3).tolist()
        [False, False, False]
        >>> told_apart(np.repeat([0, 1, 2], 30), np.repeat([0, 1, 2], 30), 3).tolist()
        [True, True, True]
    """
    hits = np.bincount(codes[answers == codes], minlength=classes)
    named = np.bincount(codes, minlength=classes) + np.bincount(answers, minlength=classes)
    borrowed = 2 * _BORROWED_ROWS
    f1 = (2 * hits + borrowed * np.mean(answers == codes)) / (np.maximum(named - 1, 0) + borrowed)
    apart = (f1 >= _LEAST_F1) & (hits > 0)
    return apart & (f1[apart].mean() >= _LEAST_MEAN_F1) if apart.sum() > 1 else np.zeros(classes, bool)


def suspect_rows(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the rows whose label is probably wrong, the most suspect first.

    Args:
        probabilities: Of each class, from a model that did not learn from the row: (rows, classes).
        codes: The labels, whole numbers from 0.

    Example:
        >>> likely = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05]])
        >>> suspect_rows(likely, np.array([0, 0, 1, 1, 1])).tolist()
        [4]
    """
    classes = probabilities.shape[1]
    rows = np.arange(len(codes))
    thresholds = np.array(
        [probabilities[codes == kind, kind].mean() if (codes == kind).any() else np.inf for kind in range(classes)]
    )
    above = probabilities >= thresholds
    likeliest = np.where(above, probabilities, -1.0).argmax(axis=1)
    suspect = above.any(axis=1) & (likeliest != codes)
    margin = probabilities[rows, likeliest] - probabilities[rows, codes]
    found = np.flatnonzero(suspect)
    return found[np.argsort(-margin[found], kind="stable")]


def suspect_labels(view: View, clock: Clock) -> list[Finding]:
    """Find rows of the training part whose label two simple models together find improbable."""
    part = view.train
    if view.task != "classification":
        raise CannotRunError("there are no classes")
    drawn = sample(view, part, clock)
    made, rows = features(view, part, drawn, clock)
    kept, codes = learnable(view.codes(part)[rows], _FOLDS, least_rows=50)
    made, rows = made[kept], rows[kept]
    sparse = hasattr(made, "tocsr")
    makers = [lambda: linear(sparse), lambda: forest(view.seed)]
    probabilities = out_of_fold(made, codes, makers, _FOLDS, view.seed, clock)
    accuracy = float((probabilities.argmax(axis=1) == codes).mean())
    if accuracy < _EASY:
        raise CannotRunError(
            f"simple models are right {100 * accuracy:.0f} % of the time, and it takes {100 * _EASY:.0f} %: "
            "where classes overlap, a wrong label looks like a hard row"
        )
    suspect = suspect_rows(probabilities, codes)
    answers = probabilities.argmax(axis=1)
    apart = told_apart(codes, answers, probabilities.shape[1])
    suspect = suspect[apart[codes[suspect]] & apart[answers[suspect]] & (answers[suspect] != codes[suspect])]
    number = len(suspect) / len(codes)
    if not len(suspect) or number <= _LIMIT:
        if len(suspect):
            first = ", ".join(str(rows[row]) for row in suspect[:5])
            clock.remark(f"{share(len(suspect), len(codes))} rows were doubted, below the limit of 1 %: rows {first}")
        return []
    back = view.classes[np.unique(view.codes(part)[rows])]
    names = [view.class_name(int(np.searchsorted(view.classes, value))) for value in back]
    shown = [
        [
            int(rows[row]),
            names[codes[row]],
            names[int(probabilities[row].argmax())],
            round(float(probabilities[row].max()), 3),
        ]
        for row in suspect[:SHOWN]
    ]
    words = "; ".join(f"row {row}: '{label}', looks like '{other}'" for row, label, other, _ in shown[:3])
    return [
        Finding(
            "suspect-labels",
            "warning",
            f"{share(len(suspect), len(codes))} labels are worth a look ({words}).",
            number,
            _LIMIT,
            "of the labels",
            "Wrong labels are learnt like right ones, and wrong test labels punish right answers.",
            "look at these rows first, the most doubtful first; correct what is wrong",
            tuple(int(rows[row]) for row in suspect[:SHOWN]),
            part.name,
            details={"rows": shown, "columns": ["row", "label", "looks like", "probability"], "accuracy": accuracy},
        )
    ]
