"""The learning curve: would more data help?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.imbalance import imbalance_of
from uncrumple.judge.intervals import Interval
from uncrumple.judge.paired import Paired, compare_errors, compare_right
from uncrumple.judge.retrain import Make, answers_in, answers_of, score_of, trained
from uncrumple.judge.words import decimals, p_in_words


@dataclass(frozen=True)
class LearningCurve:
    """Scores by how many rows were learnt from.

    Args:
        headline: What the score is.
        rows: The numbers of rows, ascending.
        scores: The scores for each, one per seed.
        gain: What the second half of the rows brought, as accuracy (or less error), with its interval.
        p_value: Of that gain: a paired test on the same held-back rows.
        alpha: From which p-value on the gain counts as shown.
    """

    headline: str
    rows: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    gain: Interval
    p_value: float
    alpha: float = 0.05

    def in_words(self) -> str:
        """Answer "would more data help?" in a sentence."""
        shares = self.headline != "mean error"
        scale, unit = (100, " points") if shares else (1, "")
        places = 1 if shares else decimals(max(abs(self.gain.low), abs(self.gain.high)))
        low, high = (f"{scale * end:+.{places}f}" for end in (self.gain.low, self.gain.high))
        score = f"{scale * self.gain.score:+.{places}f}{unit}"
        said = p_in_words(self.p_value)
        p = f"p {said}" if said.startswith("<") else f"p = {said}"
        what = "accuracy" if shares else "a lower mean error"
        first = (
            f"From {self.rows[-2]:,} to {self.rows[-1]:,} rows the gain is {score} of {what} [{low} to {high}] ({p})"
        )
        if self.p_value < self.alpha and self.gain.score > 0:
            return f"{first}: more data would help; expect less from each further doubling."
        return f"{first}: that more data would help is not shown."

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows as text."""
        scale = 100 if self.headline != "mean error" else 1
        places = 1 if scale == 100 else decimals(float(np.mean(self.scores[-1])))
        rows = []
        for count, scores in zip(self.rows, self.scores):
            values = scale * np.asarray(scores)
            rows.append([f"{count:,}", *(f"{v:.{places}f}" for v in (values.mean(), values.min(), values.max()))])
        return ["rows learnt from", self.headline, "lowest", "highest"], rows

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {
            "headline": self.headline,
            "rows": list(self.rows),
            "scores": [list(scores) for scores in self.scores],
            "gain": self.gain._asdict(),
            "p_value": self.p_value,
            "said": self.in_words(),
        }


def learning_curve(
    make: Make,
    x: Any,
    y: np.ndarray,
    x_held: Any,
    y_held: np.ndarray,
    *,
    shares: Sequence[float] = (0.125, 0.25, 0.5, 1.0),
    repeats: int = 3,
    task: str = "classification",
    fit: Mapping[str, Any] | None = None,
    headline: str | None = None,
    groups: np.ndarray | None = None,
    seed: int = 0,
    alpha: float = 0.05,
) -> LearningCurve:
    """Train on growing shares of the rows, to see whether more data would help.

    Fewer rows with as many epochs are also fewer steps: `fit["epochs"]` is raised so that every
    model gets as many steps as the one with all rows.

    Args:
        make: As for `cross_validate`.
        x, y: The rows to learn from.
        x_held, y_held: The rows to score on.
        shares: Which shares of the rows, ascending, the last 1.0 and the one before it one half.
        repeats: Models for each share, each with rows and seed of its own.
        task: `"classification"` or `"regression"`.
        fit: What `fit` is given.
        headline: As for `compare`; the gain is tested on accuracy.
        groups: A group for each held-back row, as in `compare_right`.
        seed: For rows and models.
        alpha: From which p-value on the gain counts as shown.
    """
    given = list(shares)
    if len(given) < 2 or given != sorted(given) or given[0] <= 0 or given[-1] != 1.0 or repeats < 1:
        raise ValueError(
            explain(
                f"learning_curve got shares={given}, repeats={repeats}.",
                "Expected ascending shares above 0, the last 1.0, and at least one repeat.",
                "shares=(0.125, 0.25, 0.5, 1.0), repeats=3",
            )
        )
    truth, held = answers_in(y), answers_in(y_held)
    headline = "mean error" if task != "classification" else headline or imbalance_of(held).headline
    random = np.random.default_rng(seed)
    settings = dict(fit or {})
    orders = [_mixed(truth, task, random) for _ in range(repeats)]
    counts, scores, answered = [], [], []
    for place, share in enumerate(given):
        count = max(2, round(share * len(truth)))
        # As many steps for all: an epoch of half the rows has half the steps.
        epochs = max(1, round(settings.get("epochs", 1) * len(truth) / count))
        parts = [np.sort(order[:count]) for order in orders]
        numbers = range(seed + 1000 * place, seed + 1000 * place + repeats)
        models = trained(make, x, truth, parts, {**settings, "epochs": epochs}, numbers)
        answers = [answers_of(model, x_held, task) for model in models]
        counts.append(count)
        answered.append(answers)
        scores.append(tuple(score_of(held, one, headline) for one in answers))
    found = _gain(answered[-2], answered[-1], held, task, groups, seed)
    return LearningCurve(headline, tuple(counts), tuple(scores), found.difference, found.p_value, alpha)


def _gain(
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    held: np.ndarray,
    task: str,
    groups: np.ndarray | None,
    seed: int,
) -> Paired:
    """Compare the mean over the repeats on each held-back row."""
    if task == "classification" and len(before) == 1:
        return compare_right(after[0] == held, before[0] == held, groups=groups, seed=seed)
    if task == "classification":
        wrong = [np.mean([one != held for one in given], axis=0) for given in (before, after)]
    else:
        # Of several values that are asked for at once, the mean.
        wrong = [
            np.mean([np.abs(one - held).reshape(len(held), -1).mean(axis=1) for one in given], axis=0)
            for given in (before, after)
        ]
    # Errors before less errors after: above 0 the larger share is better.
    return compare_errors(wrong[0], wrong[1], seed=seed, groups=groups)


def _mixed(truth: np.ndarray, task: str, random: np.random.Generator) -> np.ndarray:
    """Return the rows in an order whose every beginning has about the whole's share of each class."""
    if task != "classification":
        return random.permutation(len(truth))
    place = np.empty(len(truth))
    for kind in np.unique(truth):
        mine = np.flatnonzero(truth == kind)
        place[random.permutation(mine)] = (np.arange(len(mine)) + random.random()) / len(mine)
    return np.argsort(place, kind="stable")
