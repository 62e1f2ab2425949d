"""Train again: on other folds, with other seeds, on fewer rows. How much of a score is luck?

All three train new models, which `fit_many` does at once where the
architecture allows. Folds are compared by the corrected t-test: the folds of one
data set share most of their training rows, and an ordinary t-test takes that
for agreement; it cries wolf up to 43 % of the time.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from uncrumple.core.errors import explain
from uncrumple.data.folds import k_folds
from uncrumple.judge.baselines import fit_baselines
from uncrumple.judge.imbalance import imbalance_of
from uncrumple.judge.intervals import Interval
from uncrumple.judge.mistakes import class_probabilities
from uncrumple.judge.paired import Paired, compare_errors, compare_right, holm
from uncrumple.judge.words import decimals, p_in_words
from uncrumple.training.many import fit_many

Make = Callable[..., Any]


def corrected_t(differences: Sequence[float], train_rows: int, test_rows: int) -> tuple[float, Interval]:
    """Return the p-value and the 95 % interval of a mean difference over the folds of cross-validation.

    `t = mean / sqrt(variance * (1/J + test_rows/train_rows))` with `J - 1` degrees of freedom; an
    ordinary t-test has `1/J` alone.

    Source: C. Nadeau and Y. Bengio, 2003, Inference for the generalization error; R. Bouckaert and
    E. Frank, 2004.

    Args:
        differences: First model's score less the second's, one for each of `J` folds, at least 2.
        train_rows: How many rows a fold's models learnt from.
        test_rows: How many rows a fold held back.

    Example:
        >>> p_value, mean = corrected_t([0.02, 0.01, 0.03, 0.02, 0.02], 80, 20)
        >>> round(p_value, 3), round(mean.score, 3)
        (0.014, 0.02)
    """
    gaps: np.ndarray = np.asarray(differences, dtype=np.float64)
    if len(gaps) < 2 or train_rows < 1 or test_rows < 1:
        raise ValueError(
            explain(
                f"corrected_t got {len(gaps)} differences, train_rows={train_rows}, test_rows={test_rows}.",
                "Expected at least 2 folds, each with rows to learn from and rows held back.",
                "corrected_t(differences, train_rows=80, test_rows=20)",
            )
        )
    mean, folds = float(gaps.mean()), len(gaps)
    spread = math.sqrt(float(gaps.var(ddof=1)) * (1 / folds + test_rows / train_rows))
    if spread == 0:
        return (1.0 if mean == 0 else 0.0), Interval(mean, mean, mean)
    half = float(student.ppf(0.975, folds - 1)) * spread
    return float(2 * student.sf(abs(mean) / spread, folds - 1)), Interval(mean, mean - half, mean + half)


# --- folds --------------------------------------------------------------------------


@dataclass(frozen=True)
class FoldRow:
    """One model over all folds.

    Args:
        name: The model.
        scores: Its score on each fold.
        lead: By how much the network is better, with its corrected interval; None for the network.
        p_value: Of the corrected t-test, corrected by Holm for several models; None for the network.
    """

    name: str
    scores: tuple[float, ...]
    lead: Interval | None
    p_value: float | None


@dataclass(frozen=True)
class Folds:
    """The network and the others over the folds of cross-validation.

    Args:
        headline: What the score is.
        rows: The network first.
        folds: How many folds there were in all.
        alpha: From which p-value on a difference counts as shown.
    """

    headline: str
    rows: tuple[FoldRow, ...]
    folds: int
    alpha: float = 0.05

    def in_words(self) -> str:
        """Return what the folds say, in a sentence."""
        network, others = self.rows[0], self.rows[1:]
        first = f"Over {self.folds} folds the {network.name} reaches {self._mean(network)}"
        if not others:
            return f"{first}."
        shares = self.headline != "mean error"
        best = max(others, key=lambda row: np.mean(row.scores) if shares else -np.mean(row.scores))
        said = p_in_words(best.p_value or 0.0)
        p = f"p {said}" if said.startswith("<") else f"p = {said}"
        shown = best.p_value is not None and best.p_value < self.alpha
        what = "no difference is shown"
        if shown:
            what = f"the {network.name} is better" if best.lead.score > 0 else f"{best.name} is better"  # type: ignore[union-attr]
        return f"{first}, {best.name}, the best of the others, {self._mean(best)}: {what} ({p}, corrected t-test)."

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows as text."""
        scale = 1 if self.headline == "mean error" else 100
        header = [f"{self.headline} over {self.folds} folds", "mean", "spread", "worst", "best", "network's lead", "p"]
        places = 1 if scale == 100 else decimals(max(float(np.mean(row.scores)) for row in self.rows))
        rows = []
        for row in self.rows:
            scores = scale * np.asarray(row.scores)
            ends = (scores.min(), scores.max()) if scale == 100 else (scores.max(), scores.min())
            numbers = [f"{value:.{places}f}" for value in (scores.mean(), scores.std(ddof=1), *ends)]
            lead = "–" if row.lead is None else f"{scale * row.lead.score:+.{places}f}"
            rows.append([row.name, *numbers, lead, "–" if row.p_value is None else p_in_words(row.p_value)])
        return header, rows

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        rows = [
            {
                "name": row.name,
                "scores": list(row.scores),
                "lead": None if row.lead is None else row.lead._asdict(),
                "p_value": row.p_value,
            }
            for row in self.rows
        ]
        return {"headline": self.headline, "folds": self.folds, "rows": rows, "said": self.in_words()}

    def _mean(self, row: FoldRow) -> str:
        mean, spread = float(np.mean(row.scores)), float(np.std(row.scores, ddof=1))
        if self.headline == "mean error":
            return f"{mean:.{decimals(mean)}f} ± {spread:.{decimals(mean)}f}"
        return f"{100 * mean:.1f} ± {100 * spread:.1f} %"


def cross_validate(
    make: Make,
    x: Any,
    y: np.ndarray,
    *,
    folds: int = 5,
    repeats: int = 1,
    task: str = "classification",
    fit: Mapping[str, Any] | None = None,
    matrix: np.ndarray | None = None,
    baselines: bool = True,
    budget_seconds: float = 60.0,
    groups: np.ndarray | None = None,
    headline: str | None = None,
    seed: int = 0,
    alpha: float = 0.05,
) -> Folds:
    """Judge a network over folds, beside the baselines on the same folds, by the corrected t-test.

    Args:
        make: Returns a new compiled model; if it takes an argument it is given the fold's training
            rows, so that a layer can be adapted to them.
        x: The rows, as the model takes them.
        y: Their answers.
        folds, repeats: As for `k_folds`.
        task: `"classification"` or `"regression"`.
        fit: What `fit` is given, such as `{"epochs": 20, "batch_size": 32}`.
        matrix: The rows as a table for the baselines; by default `x`.
        baselines: Whether to fit them.
        budget_seconds: For all baselines of all folds.
        groups: A group for each row; no group is then on both sides of a fold.
        headline: As for `compare`.
        seed: For folds, models and baselines.
        alpha: From which p-value on a difference counts as shown.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> x = np.random.default_rng(0).normal(size=(90, 4)).astype("float32")
        >>> y = (x[:, 0] > 0).astype(int)
        >>> def make():
        ...     model = Sequential([Input((4,)), Dense(2, "softmax")])
        ...     model.compile("adam", "sparse_categorical_crossentropy")
        ...     return model
        >>> found = cross_validate(make, x, y, folds=3, fit={"epochs": 2}, baselines=False)
        >>> len(found.rows[0].scores)
        3
    """
    truth = np.asarray(y).reshape(-1)
    if task == "classification":
        headline = headline or imbalance_of(truth).headline
    else:
        headline = "mean error"
    pairs = k_folds(truth, folds, seed=seed, repeats=repeats, stratify=None if task == "classification" else False)
    if groups is not None:
        pairs = _group_folds(groups, folds, seed, repeats)
    models = _trained(make, x, truth, [rows for rows, _ in pairs], fit, range(seed, seed + len(pairs)))
    names: dict[str, list[float]] = {"network": []}
    table = np.asarray(x if matrix is None else matrix) if baselines else None
    for number, (model, (rows, held)) in enumerate(zip(models, pairs)):
        answers = {"network": answers_of(model, taken(x, held), task)}
        if table is not None:
            share = max(1.0, budget_seconds / len(pairs))
            for one in fit_baselines(table[rows], truth[rows], table[held], task, seed + number, share):  # type: ignore[arg-type]
                answers[one.name] = one.answers
        for name, given in answers.items():
            names.setdefault(name, []).append(_score(truth[held], given, headline))
    sign = -1 if task == "regression" else 1
    found, tests = [], []
    for name in list(names)[1:]:
        gaps = sign * (np.asarray(names["network"]) - np.asarray(names[name]))
        tests.append((name, *corrected_t(gaps.tolist(), len(pairs[0][0]), len(pairs[0][1]))))
    corrected = holm([p for _, p, _ in tests])
    found = [FoldRow("network", tuple(names["network"]), None, None)]
    found += [FoldRow(name, tuple(names[name]), lead, p) for (name, _, lead), p in zip(tests, corrected)]
    return Folds(headline, tuple(found), len(pairs), alpha)


def _group_folds(groups: np.ndarray, folds: int, seed: int, repeats: int) -> list[tuple[np.ndarray, np.ndarray]]:
    kinds, of_row = np.unique(np.asarray(groups), return_inverse=True)
    pairs = k_folds(len(kinds), folds, seed=seed, repeats=repeats)
    return [(np.flatnonzero(np.isin(of_row, one)), np.flatnonzero(np.isin(of_row, other))) for one, other in pairs]


# --- seeds --------------------------------------------------------------------------


@dataclass(frozen=True)
class Seeds:
    """The same model trained with several seeds.

    Args:
        headline: What the score is.
        scores: By seed.
    """

    headline: str
    scores: dict[int, float]

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds."""
        return float(np.std(list(self.scores.values()), ddof=1))

    def in_words(self) -> str:
        """Return mean, spread and range in a sentence."""
        values = np.asarray(list(self.scores.values()))
        scale, unit = (1, "") if self.headline == "mean error" else (100, " %")
        places = 1 if scale == 100 else decimals(float(values.mean()))
        mean, spread, low, high = (scale * float(v) for v in (values.mean(), self.spread, values.min(), values.max()))
        return (
            f"{len(values)} seeds: {self.headline} {mean:.{places}f} ± {spread:.{places}f}{unit}, "
            f"from {low:.{places}f} to {high:.{places}f}{unit}. Differences of this size need no other reason than luck."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {"headline": self.headline, "scores": {str(seed): score for seed, score in self.scores.items()},
                "spread": self.spread, "said": self.in_words()}  # fmt: skip


def several_seeds(
    make: Make,
    x: Any,
    y: np.ndarray,
    x_held: Any,
    y_held: np.ndarray,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    task: str = "classification",
    fit: Mapping[str, Any] | None = None,
    headline: str | None = None,
) -> Seeds:
    """Train the same model with several seeds on the same rows, and score each on the same held-back rows.

    Args:
        make: As for `cross_validate`.
        x, y: The rows to learn from.
        x_held, y_held: The rows to score on: those for validation, not the test part, if anything is chosen by it.
        seeds: At least 3 different whole numbers.
        task: `"classification"` or `"regression"`.
        fit: What `fit` is given.
        headline: As for `compare`.

    Example:
        >>> found = Seeds("accuracy", {0: 0.9, 1: 0.92, 2: 0.94})
        >>> found.in_words()[:56]
        '3 seeds: accuracy 92.0 ± 2.0 %, from 90.0 to 94.0 %. Dif'
    """
    if len(set(seeds)) < 3 or len(set(seeds)) != len(list(seeds)):
        raise ValueError(
            explain(f"several_seeds got seeds={list(seeds)}.", "Expected at least 3 different ones.", "seeds=range(5)")
        )
    truth, held = np.asarray(y).reshape(-1), np.asarray(y_held).reshape(-1)
    headline = "mean error" if task != "classification" else headline or imbalance_of(held).headline
    every = np.arange(len(truth))
    models = _trained(make, x, truth, [every] * len(list(seeds)), fit, seeds)
    scores = [_score(held, answers_of(model, x_held, task), headline) for model in models]
    return Seeds(headline, {int(seed): score for seed, score in zip(seeds, scores)})


# --- learning curve -----------------------------------------------------------------


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
    truth, held = np.asarray(y).reshape(-1), np.asarray(y_held).reshape(-1)
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
        models = _trained(make, x, truth, parts, {**settings, "epochs": epochs}, numbers)
        answers = [answers_of(model, x_held, task) for model in models]
        counts.append(count)
        answered.append(answers)
        scores.append(tuple(_score(held, one, headline) for one in answers))
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
        wrong = [np.mean([np.abs(one - held) for one in given], axis=0) for given in (before, after)]
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


# --- for all three ------------------------------------------------------------------


def taken(x: Any, rows: np.ndarray) -> Any:
    """Return some rows of an array, or of each array in a dict or list.

    Example:
        >>> taken({"a": np.arange(4)}, np.array([1, 3]))["a"].tolist()
        [1, 3]
    """
    if isinstance(x, Mapping):
        return {name: taken(column, rows) for name, column in x.items()}
    if isinstance(x, (list, tuple)):
        return [taken(part, rows) for part in x]
    return x[rows] if hasattr(x, "shape") and not hasattr(x, "iloc") else np.asarray(x)[rows]


def answers_of(model: Any, x: Any, task: str) -> np.ndarray:
    """Return a network's answers: the class with the highest probability, or the value."""
    outputs = np.asarray(model.predict(x, verbose=0))
    if task == "regression":
        return outputs.reshape(-1)
    return (class_probabilities(outputs) if outputs.shape[-1] == 1 or outputs.ndim == 1 else outputs).argmax(axis=-1)


def _trained(
    make: Make, x: Any, y: np.ndarray, parts: Sequence[np.ndarray], fit: Mapping[str, Any] | None, seeds: Sequence[int]
) -> list[Any]:
    from uncrumple.core.seeds import set_random_seed

    models = []
    takes_rows = len(inspect.signature(make).parameters) > 0
    for rows, seed in zip(parts, seeds):
        set_random_seed(int(seed))  # a model that is built when it is made draws its weights now
        models.append(make(taken(x, rows)) if takes_rows else make())
    settings = {"epochs": 1, "verbose": 0, **(fit or {})}
    if isinstance(x, (Mapping, list, tuple)):
        data = [(taken(x, rows), y[rows]) for rows in parts]
        fit_many(models, data=data, seeds=list(seeds), **settings)
    else:
        fit_many(models, np.asarray(x), y, rows=list(parts), seeds=list(seeds), **settings)
    return models


def _score(truth: np.ndarray, answers: np.ndarray, headline: str) -> float:
    if headline == "mean error":
        return float(np.abs(answers - truth).mean())
    if headline == "balanced accuracy":
        kinds = np.unique(truth)
        return float(np.mean([(answers[truth == kind] == kind).mean() for kind in kinds]))
    return float((answers == truth).mean())
