"""`judge`: one call from a trained model and its data to an honest verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.judge.again import train_again
from uncrumple.judge.asked import Asked, ask, rows_of, size_of
from uncrumple.judge.baselines import LAST, TREE, Baseline, Cost, fit_baselines
from uncrumple.judge.calibration import calibration_of, fit_temperature
from uncrumple.judge.confusion import confusion_of
from uncrumple.judge.fairness import fairness_of
from uncrumple.judge.given import given
from uncrumple.judge.imbalance import imbalance_of
from uncrumple.judge.intervals import bootstrap
from uncrumple.judge.judgement import Judgement
from uncrumple.judge.made import how_it_was_made
from uncrumple.judge.markov import fit_markov
from uncrumple.judge.mistakes import largest_errors
from uncrumple.judge.purposes import curves_and_thresholds, positive_class
from uncrumple.judge.rows import Given
from uncrumple.judge.scores import balanced_scores, classification_scores, regression_scores
from uncrumple.judge.shift import shift_robustness
from uncrumple.judge.slices import slices_of
from uncrumple.judge.suspects import two_piles
from uncrumple.judge.table import compare, compare_bits
from uncrumple.judge.targets import Targets
from uncrumple.judge.trees import tree_of

NETWORK = "network"
_MOST_GROUPS = 10


def judge(
    model: Any,
    data: Any,
    *,
    parts: Any = None,
    task: str | None = None,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    groups: Any = None,
    slices: Any = None,
    validation: Any = None,
    positive: str | int | None = None,
    cost: Mapping[str, float] | None = None,
    recall: float | None = None,
    folds: int = 0,
    seeds: int | Sequence[int] = 0,
    more_data: bool = False,
    make: Callable[..., Any] | None = None,
    fit: Mapping[str, Any] | None = None,
    fit_seconds: float | None = None,
    budget_seconds: float = 60.0,
    alpha: float = 0.05,
    seed: int = 0,
    title: str = "",
    progress: Callable[[str, int, int], None] | None = None,
) -> Judgement:
    """Judge a trained model on rows it never saw, beside simpler models on the same rows.

    Beside it stand: always the same answer, a decision tree, logistic (or ridge) regression, an RBF
    SVM and gradient boosting; for language, the symbols' frequencies and a Markov chain. Every score
    has a 95 % interval, every comparison a paired test corrected for their number (Holm).

    Args:
        model: Trained; anything with `predict`, or a function of the rows.
        data: `(x_train, y_train, x_test, y_test)`; or `(x, y)` with `parts=split(y)`; or what
            `uncrumple.data.split` of a `Table`, `Images`, `Text` or `Series` returned.
        parts: Row numbers for `(x, y)`.
        task: `"classification"`, `"regression"` or `"language"`; by default told by the answers.
        class_names: The classes in the order of the model's outputs.
        feature_names: A name for each column, for the drawing of the tree.
        groups: What belongs together (a patient, a document), one per test row: tests and intervals
            then take whole groups.
        slices: Columns to look at one value at a time: a dict of one value per test row, or names of columns.
        validation: `(x_validation, y_validation)`: thresholds and temperature are chosen on it.
        positive: For two classes, the one that counts as yes; by default the second.
        cost: `{"miss": 10, "false_alarm": 1}`: also find the threshold that costs least.
        recall: Also find the threshold that finds this share of the yes rows.
        folds: Also cross-validate with so many folds of the training rows; 0 does not.
        seeds: Also train with so many seeds (or these); 0 does not, otherwise at least 3.
        more_data: Also train on shares of the training rows: would more data help?
        make: Returns a new compiled model for `folds`, `seeds` and `more_data`; if it takes an
            argument it is given the training rows. By default a clone of `model`.
        fit: What `fit` is given for them; by default the epochs and the rows a step that `model` was trained with.
        fit_seconds: How long training the model took, for the table.
        budget_seconds: About how long the simpler models may take in all; those that would take
            longer get fewer rows or rounds, and say so.
        alpha: From which p-value on a difference counts as shown.
        seed: For all that is drawn.
        title: A heading; by default the name of the data.
        progress: Called before each simpler model with its name, the rows it is given and the rows there are.

    Returns:
        A `Judgement`: print it, or `.save("report.html")`, `.save("report.json")`.

    Raises:
        ValueError: The data does not fit together, or something is asked for that it cannot answer.

    Example:
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(300, 2))
        >>> y = (x[:, 0] + 0.3 * random.normal(size=300) > 0).astype(int)
        >>> found = judge(lambda rows: rows[:, 0] > 0, (x[:200], y[:200], x[200:], y[200:]))
        >>> [row.name for row in found.comparison.rows]  # doctest: +NORMALIZE_WHITESPACE
        ['network', 'majority class', 'decision tree', 'logistic regression', 'RBF SVM', 'gradient boosting']
    """
    start = time.perf_counter()
    _check(alpha, cost, recall, folds, seeds)
    rows = given(
        model,
        data,
        parts=parts,
        task=task,
        class_names=class_names,
        feature_names=feature_names,
        groups=groups,
        slices=slices,
        validation=validation,
    )
    if rows.task not in ("classification", "regression", "language"):
        raise ValueError(unknown_name("task", str(rows.task), ("classification", "regression", "language")))
    found = _Judging(model, rows, seed, alpha)
    if rows.task == "language":
        found.language(fit_seconds, budget_seconds)
    else:
        found.beside(budget_seconds, fit_seconds, progress)
        if rows.task == "classification":
            found.classes()
            found.purposes(positive, cost, recall)
            found.shifts()
        else:
            found.values()
        found.slices(positive)
    found.again(budget_seconds, folds=folds, seeds=seeds, more_data=more_data, make=make, fit=fit)
    made = how_it_was_made(seed=seed, seconds=time.perf_counter() - start)
    return found.judgement(title or rows.title, made)


class _Judging:
    """One judgement in the making."""

    def __init__(self, model: Any, rows: Given, seed: int, alpha: float) -> None:
        self.model, self.rows, self.seed, self.alpha = model, rows, seed, alpha
        self.found: dict[str, Any] = {}
        self.ran: list[str] = []
        self.not_run: list[str] = []
        self.asked = ask(model, rows.x_test, rows.task, rows.y_test)
        if self.asked.probabilities is not None and self.asked.probabilities.shape[1] > len(rows.class_names):
            raise ValueError(
                explain(
                    f"The model gives {self.asked.probabilities.shape[1]} probabilities, and there are "
                    f"{len(rows.class_names)} classes.",
                    "Expected one for each class.",
                    "class_names=[...] with a name for each output.",
                )
            )
        self.baselines: list[Baseline] = []
        self.targets = Targets(rows)
        if self.targets.remark():
            rows.remarks.append(self.targets.remark())
        self.truth, self.answers, self.groups = rows.y_test, self.asked.answers, rows.groups
        if rows.task == "regression":
            self.truth, self.answers = self.targets.flat(rows.y_test), self.targets.flat(self.asked.answers)
            self.groups = self.targets.groups()
        self.validated: Asked | None = None
        if rows.x_validation is not None and self.asked.probabilities is not None:
            self.validated = ask(model, rows.x_validation, rows.task)

    def _own_cost(self, fit_seconds: float | None) -> Cost:
        weights = f"{self.model.count_params():,} weights" if hasattr(self.model, "count_params") else ""
        count = rows_of(self.rows.x_train)
        seconds = math.nan if fit_seconds is None else float(fit_seconds)
        remarks = (self.asked.remark,) if self.asked.remark else ()
        return Cost(seconds, self.asked.ms_per_row, size_of(self.model), count, count, False, weights, remarks)

    def _shown(self) -> dict[int, str]:
        """Return in words the rows that are listed somewhere."""
        if self.rows.shown is None:
            return {}
        piles = self.found.get("piles")
        listed = [*self.found.get("largest", ()), *((*piles.label_suspect, *piles.model_wrong) if piles else ())]
        return {one.row: self.rows.shown(one.row) for one in listed}

    # --- the parts -------------------------------------------------------------------

    def beside(
        self, budget: float, fit_seconds: float | None, progress: Callable[[str, int, int], None] | None
    ) -> None:
        rows = self.rows
        answers = {NETWORK: self.answers}
        costs = {NETWORK: self._own_cost(fit_seconds)}
        if rows.last is not None:
            answers[LAST] = self.targets.flat(rows.last)
            costs[LAST] = Cost(0.0, 0.0, 0, 0, rows_of(rows.x_train), True, "no fit: the value before")
        x_train, x_test = _numbers(rows.matrix_train), _numbers(rows.matrix_test)
        for one in fit_baselines(
            x_train,
            rows.y_train,
            x_test,
            rows.task,  # type: ignore[arg-type]
            self.seed,
            budget_seconds=budget,
            progress=progress,
            scale=rows.scale,
        ):
            self.baselines.append(one)
            answers[one.name], costs[one.name] = one.answers, one.cost
            if rows.task == "regression":
                answers[one.name] = self.targets.flat(one.answers)
            if one.name == TREE and one.model is not None:
                self.found["tree"] = tree_of(
                    one.model,
                    _names_of_columns(rows),
                    rows.class_names,
                    units=rows.units,
                    yes_or_no=rows.yes_or_no,
                )
        self.found["comparison"] = compare(
            self.truth,
            answers,
            task=rows.task,  # type: ignore[arg-type]
            network=NETWORK,
            costs=costs,
            class_names=rows.class_names,
            alpha=self.alpha,
            seed=self.seed,
            groups=self.groups,
        )
        self.ran.append(f"{len(answers) - 1} simpler models on the same rows, with paired tests")

    def classes(self) -> None:
        rows, asked = self.rows, self.asked
        scores = classification_scores(rows.y_test, asked.answers, self.seed, groups=rows.groups)
        scores |= balanced_scores(rows.y_test, asked.answers, self.seed, groups=rows.groups)
        self.found["scores"] = scores
        self.found["imbalance"] = imbalance_of(rows.y_test, rows.class_names)
        self.found["confusion"] = confusion_of(rows.y_test, asked.answers, rows.class_names)
        self.ran.append("confusion matrix, precision, recall and F1 by class, Matthews's correlation")
        shares = asked.probabilities
        if shares is None:
            self.not_run.append("calibration, curves, thresholds, worst mistakes: the model gives no probabilities")
            return
        if shares.shape[1] < len(rows.class_names):
            shares = np.pad(shares, ((0, 0), (0, len(rows.class_names) - shares.shape[1])))
        others = {one.name: one.answers for one in self.baselines}
        self.found["piles"] = two_piles(rows.y_test, shares, rows.class_names, others)
        self.found["calibration"] = calibration_of(rows.y_test, shares, seed=self.seed, groups=rows.groups)
        self.ran.append("calibration beside its floor; worst mistakes in two piles")
        if self.validated is None or self.validated.probabilities is None or rows.y_validation is None:
            self.not_run.append("temperature scaling: there are no validation rows (validation=(x, y))")
            return
        if np.array_equal(self.validated.answers, np.reshape(rows.y_validation, -1)):
            # Without a mistake the smallest log loss lies at temperature 0, which means nothing for other rows.
            self.not_run.append(
                f"temperature scaling: all {len(rows.y_validation):,} validation rows are answered right, and without "
                "a mistake there is nothing to fit it to"
            )
            return
        temperature = fit_temperature(rows.y_validation, self.validated.probabilities)
        self.found["temperature"] = temperature
        after = calibration_of(rows.y_test, temperature.apply(shares), seed=self.seed, groups=rows.groups)
        self.found["calibration_after"] = after
        self.ran.append("temperature scaling, fitted on the validation rows")

    def purposes(self, positive: str | int | None, cost: Mapping[str, float] | None, recall: float | None) -> None:
        validated = None if self.validated is None else self.validated.probabilities
        self._keep(
            *curves_and_thresholds(
                self.rows,
                self.asked.probabilities,
                validated,
                positive=positive,
                cost=cost,
                recall=recall,
                rare=self.found["imbalance"].rare,
                seed=self.seed,
            )
        )

    def _keep(self, found: Mapping[str, Any], ran: Sequence[str], not_run: Sequence[str]) -> None:
        self.found |= found
        self.ran += ran
        self.not_run += not_run

    def shifts(self) -> None:
        rows = self.rows
        if rows.pictures is None:
            return
        if min(np.shape(rows.pictures)[1:3]) < 2:
            self.not_run.append("shift by a pixel: the pictures are one pixel wide")
            return
        self.found["shift"] = shift_robustness(
            lambda x: ask(self.model, x, "classification").answers,
            rows.pictures,
            rows.y_test,
            alpha=self.alpha,
            groups=rows.groups,
        )
        self.ran.append("shift by one pixel in four directions")

    def values(self) -> None:
        truth, answers = self.truth, self.answers
        self.found["scores"] = regression_scores(truth, answers, self.seed, groups=self.groups)
        self.found["scores"]["bias"] = bootstrap(np.mean, answers - truth, seed=self.seed, groups=self.groups)
        self.found["largest"] = tuple(self.targets.of_row(one) for one in largest_errors(truth, answers))
        self.ran.append("mean and squared errors, R², residuals, largest errors")

    def slices(self, positive: str | int | None) -> None:
        rows, asked = self.rows, self.asked
        if not rows.columns:
            self.not_run.append("slices: no columns were named (slices=...)")
            return
        is_classes = rows.task == "classification"
        if is_classes:
            scores = asked.answers == rows.y_test
        else:
            scores = self.targets.per_row(np.abs(self.answers - self.truth))
        self.found["slices"] = slices_of(rows.columns, scores, shares=is_classes, alpha=self.alpha, seed=self.seed)
        self.ran.append(f"slices by {', '.join(rows.columns)}")
        if rows.groups is not None:
            self.ran.append("(slices take rows for independent, although there are groups)")
        if is_classes and len(rows.class_names) == 2:
            number = positive_class(rows.class_names, positive)
            yes = rows.class_names[number]
            self.found["fairness"] = tuple(
                fairness_of(
                    name, column, rows.y_test == number, asked.answers == number,
                    positive=yes, alpha=self.alpha, seed=self.seed,
                )
                for name, column in rows.columns.items()
                if len({str(value) for value in column}) <= _MOST_GROUPS
            )  # fmt: skip
            if self.found["fairness"]:
                self.ran.append("fairness by group: answers, recall and false alarms")

    def language(self, fit_seconds: float | None, budget: float) -> None:
        rows = self.rows
        assert self.asked.bits is not None
        symbols = len(rows.class_names) or 1 + int(max(np.max(rows.x_train), np.max(rows.y_train), np.max(rows.y_test)))
        bits, costs = {NETWORK: self.asked.bits}, {NETWORK: self._own_cost(fit_seconds)}
        fitted = fit_markov(
            rows.matrix_train, rows.y_train, rows.matrix_test, rows.y_test, symbols, budget_seconds=budget
        )
        for name, (each, its_cost) in fitted.items():
            bits[name], costs[name] = each, its_cost
        comparison = compare_bits(
            bits,
            network=NETWORK,
            costs=costs,
            alpha=self.alpha,
            seed=self.seed,
            groups=rows.groups,
            symbol=rows.symbol,
        )
        self.found["comparison"] = comparison
        self.found["scores"] = {
            f"bits_per_{rows.symbol}": comparison.network.score,
            "perplexity": comparison.network.second,
        }
        self.ran.append(f"the {rows.symbol}s' frequencies and a Markov chain on the same text, with paired tests")

    def again(self, budget: float, **asked: Any) -> None:
        found, ran, not_run = train_again(
            self.model,
            self.rows,
            matrix=lambda: _numbers(self.rows.matrix_train),
            budget_seconds=budget,
            seed=self.seed,
            alpha=self.alpha,
            **asked,
        )
        self._keep(found, ran, not_run)

    def judgement(self, title: str, made: dict[str, str]) -> Judgement:
        rows = self.rows
        return Judgement(
            title=title or "Judgement",
            task=rows.task,
            class_names=rows.class_names,
            truth=self.truth,
            answers=self.answers,
            probabilities=self.asked.probabilities,
            pictures=rows.pictures,
            shown=self._shown(),
            uses=rows.uses,
            remarks=tuple(rows.remarks),
            ran=tuple(self.ran),
            not_run=tuple(self.not_run),
            made=made,
            **self.found,
        )


def _names_of_columns(rows: Given) -> Sequence[str]:
    """Return the names of the matrix's columns; those of grey pictures are their places."""
    shape = np.shape(rows.pictures)[1:] if rows.pictures is not None else ()
    if rows.feature_names or not shape or (len(shape) == 3 and shape[2] != 1):
        return rows.feature_names
    return [f"pixel {down},{across}" for down in range(shape[0]) for across in range(shape[1])]


def _numbers(matrix: Any) -> np.ndarray:
    values = np.asarray(matrix)
    if values.dtype.kind not in "fiub":
        raise ValueError(
            explain(
                f"judge got training rows of {values.dtype}, which the simpler models cannot read.",
                "Expected numbers, or data that knows how to prepare them (Table, Images, Text, Series).",
                "judge(model, split(Table(...)))",
            )
        )
    return values[:, None] if values.ndim == 1 else values


def _check(
    alpha: float, cost: Mapping[str, float] | None, recall: float | None, folds: int, seeds: int | Sequence[int]
) -> None:
    if not 0 < alpha < 1:
        raise ValueError(explain(f"judge got alpha={alpha}.", "Expected 0 < alpha < 1.", "alpha=0.05"))
    if cost is not None and set(cost) != {"miss", "false_alarm"}:
        raise ValueError(
            explain(
                f"judge got cost with {sorted(cost)}.",
                "Expected what a miss and a false alarm cost.",
                'cost={"miss": 10, "false_alarm": 1}',
            )
        )
    if recall is not None and not 0 < recall <= 1:
        raise ValueError(explain(f"judge got recall={recall}.", "Expected 0 < recall <= 1.", "recall=0.9"))
    if folds < 0 or folds == 1:
        raise ValueError(explain(f"judge got folds={folds}.", "Expected 0, or at least 2.", "folds=5"))
    if isinstance(seeds, int) and (seeds < 0 or 0 < seeds < 3):
        raise ValueError(explain(f"judge got seeds={seeds}.", "Expected 0, or at least 3.", "seeds=3"))


__all__ = ["judge"]
