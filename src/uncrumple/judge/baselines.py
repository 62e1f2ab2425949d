"""What simpler models reach on the same rows: the yardstick beside a network.

Five models from scikit-learn, from the simplest up: always the same answer, a
decision tree, a linear model, a support vector machine with an RBF kernel, and
gradient boosting. They get sensible settings, not straw ones, and they see the rows that the
network saw and no others.

Each has a share of the time budget. Where all rows would take too long, fewer
are drawn, the same share of each class, and the result says how many. How many
follows from the data's size and the budget alone, so that a second run, or one
on a slower machine, compares the same things.
"""

from __future__ import annotations

import math
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectKBest, f_classif, f_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedShuffleSplit
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from uncrumple.core.errors import explain, unknown_name

Task = Literal["classification", "regression", "language"]

MAJORITY, MEDIAN = "majority class", "always the median"
TREE, LOGISTIC, RIDGE, SVM = "decision tree", "logistic regression", "ridge regression", "RBF SVM"
BOOSTING = "gradient boosting"
# For a series (judge/raw_rows.py): what is forecast stays as it was.
LAST = "the last value again"
# For language (judge/markov.py): each symbol's share of the text, and what follows the last few symbols.
FREQUENCIES, MARKOV = "symbol frequencies", "Markov chain"

# A tree of up to this many leaves fits on a page; so do this many weights.
_READABLE_LEAVES = 32
_READABLE_FEATURES = 40
_TREE_SIZES = (4, 8, 16, 32, 64, 256, None)
_FEWEST_ROWS = 500
# Seconds per unit of work, measured on two CPU cores with MNIST's 784 columns (scikit-learn 1.9).
_TREE_COST = 1.7e-8  # x rows x log2(rows) x columns
_LINEAR_COST = 2.3e-10  # x rows x columns x classes, for each round
_SVM_FIT_COST = 1.2e-10  # x rows² x columns
_SVM_ANSWER_COST = 1.6e-10  # x rows x test rows x columns
_BOOSTING_COST = (7.5e-5, 1.7e-8)  # (the first + the second x rows) x columns, for each tree
_BOOSTING_ROUNDS, _FEWEST_ROUNDS = 100, 20
# Boosting pays for each column in each round: of many that are nearly always 0, such as words, it gets
# the best few, and of other many where all would take too long, rather than fewer rows.
_SPARSE, _BEST_COLUMNS = 0.9, 200
_SHARES = {TREE: 0.2, LOGISTIC: 0.2, RIDGE: 0.2, SVM: 0.3, BOOSTING: 0.3}


@dataclass(frozen=True)
class Cost:
    """What a model costs, and how it was made.

    Args:
        fit_seconds: How long fitting took, the search for settings included; NaN if it was not measured.
        ms_per_row: Milliseconds to answer one row, in the batches it was measured in.
        size_bytes: What it takes on disk.
        rows_used: The training rows it learnt from.
        rows_given: The training rows there are.
        readable: Whether a person can follow how it comes to an answer.
        settings: How it was set up, in a few words.
        remarks: What a reader of its score must know: rows left out, rounds cut short.
    """

    fit_seconds: float
    ms_per_row: float
    size_bytes: int
    rows_used: int
    rows_given: int
    readable: bool = False
    settings: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline: its name, its answers for the test rows, its cost, and the fitted model itself."""

    name: str
    answers: np.ndarray
    cost: Cost
    model: Any = field(default=None, repr=False, compare=False)


def fit_baselines(
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    task: Task,
    seed: int = 0,
    budget_seconds: float = 60.0,
    progress: Callable[[str, int, int], None] | None = None,
    scale: bool | None = None,
) -> Iterator[Baseline]:
    """Fit the baselines one after the other, simplest first, and yield each as it is ready.

    The test labels are not asked for: nothing here can learn from them.

    Args:
        x_train: The training rows; pictures are laid out as rows of numbers. Tables are scaled
            to mean 0 and deviation 1 within each model, pictures to at most 1.
        y_train: Their answers: whole numbers for classes, values for a regression, with a column for
            each where several are asked for at once.
        x_test: The test rows.
        task: `"classification"` or `"regression"`.
        seed: The same seed gives the same models.
        budget_seconds: About how long all together may take on two CPU cores, at least 1.
        progress: Called before each fit with the model's name, the rows used and the rows given.
        scale: Whether linear models and SVM scale the columns of a table; None does. Not for columns that
            are of one kind, such as pixels or the weights of words.

    Example:
        >>> x, y = np.arange(40.0)[:, None], np.repeat([0, 1], 20)
        >>> for baseline in fit_baselines(x, y, x, "classification"):
        ...     print(baseline.name, (baseline.answers == y).mean())
        majority class 0.5
        decision tree 1.0
        logistic regression 1.0
        RBF SVM 1.0
        gradient boosting 1.0
    """
    if task not in ("classification", "regression"):
        raise ValueError(unknown_name("task", str(task), ("classification", "regression")))
    if not budget_seconds >= 1:
        raise ValueError(
            explain(f"fit_baselines got budget_seconds={budget_seconds}.", "Expected at least 1.", "budget_seconds=60")
        )
    train, test = _as_rows(x_train, x_test)
    answers = np.asarray(y_train)
    several = task == "regression" and answers.ndim == 2 and answers.shape[1] > 1
    answers = answers if several else answers.reshape(-1)
    if len(answers) != len(train):
        raise ValueError(
            explain(
                f"fit_baselines got {len(train)} rows and {len(answers)} answers.",
                "Expected one answer for each row.",
                "fit_baselines(x_train, y_train, x_test, task)",
            )
        )
    if task == "classification" and len(np.unique(answers)) < 2:
        raise ValueError(
            explain(
                f"fit_baselines got {len(answers)} training rows, all of class {answers[0]}.",
                "Expected at least two classes.",
                "split with stratify=True, so that every class is in the training part.",
            )
        )
    is_table = np.ndim(x_train) == 2 and scale is not False
    return _fitted(train, answers, test, task, is_table, seed, budget_seconds, progress)


def measure_answers(answer: Callable[[np.ndarray], Any], x: np.ndarray) -> tuple[Any, float]:
    """Return what `answer(x)` gives, and the milliseconds it takes for each row.

    A quick one is asked again, up to five times, and the shortest time counts: the first call
    also pays for what is set up once.

    Example:
        >>> doubled, milliseconds = measure_answers(lambda x: x * 2, np.ones((10, 2)))
        >>> doubled.shape, milliseconds >= 0
        ((10, 2), True)
    """
    shortest, spent = math.inf, 0.0
    for _ in range(5):
        start = time.perf_counter()
        given = answer(x)
        took = time.perf_counter() - start
        shortest, spent = min(shortest, took), spent + took
        if spent > 0.5:
            break
    return given, 1000 * shortest / max(1, len(x))


def _fitted(
    x: np.ndarray,
    y: np.ndarray,
    x_test: np.ndarray,
    task: Task,
    is_table: bool,
    seed: int,
    budget: float,
    progress: Callable[[str, int, int], None] | None,
) -> Iterator[Baseline]:
    # Of a regression, the number of values that are asked for at once.
    classes = len(np.unique(y)) if task == "classification" else y.shape[1] if y.ndim == 2 else 1
    makers = [_constant, _tree, _linear, _svm, _boosting]
    for make in makers:
        columns = x.shape[1]
        name, seconds_for, build = make(task, is_table, columns, classes, len(x_test), seed, budget)
        if make is _boosting and columns > _BEST_COLUMNS:
            too_long = seconds_for(len(x)) > budget * _SHARES[BOOSTING]
            if too_long or (x == 0).mean() > _SPARSE:
                name, seconds_for, build = make(task, is_table, _BEST_COLUMNS, classes, len(x_test), seed, budget)
        rows = _rows_within(seconds_for, len(x), budget * _SHARES.get(name, 1.0))
        remarks = []
        used_x, used_y = x, y
        if rows < len(x):
            chosen = _drawn(y, rows, task, seed)
            used_x, used_y = x[chosen], y[chosen]
            remarks.append(f"fitted on {rows:,} of {len(x):,} rows to stay within its share of {budget:g} s")
        if progress:
            progress(name, len(used_x), len(x))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            start = time.perf_counter()
            model, settings, readable, more = build(used_x, used_y)
            fit_seconds = time.perf_counter() - start
        if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
            remarks.append("stopped before it had settled: more rounds could change it a little")
        answers, milliseconds = measure_answers(model.predict, x_test)
        cost = Cost(
            fit_seconds=fit_seconds,
            ms_per_row=milliseconds,
            size_bytes=len(pickle.dumps(model)),
            rows_used=len(used_x),
            rows_given=len(x),
            readable=readable,
            settings=settings,
            remarks=(*remarks, *more),
        )
        yield Baseline(name, np.asarray(answers), cost, model)


# --- the five models ----------------------------------------------------------------
#
# Each returns its name, a function that says how many seconds fitting and answering take for so
# many rows, and one that fits it and returns (model, settings, whether it is readable, remarks).

_Build = Callable[[np.ndarray, np.ndarray], tuple[Any, str, bool, tuple[str, ...]]]
_Made = tuple[str, Callable[[int], float], _Build]


def _constant(task: Task, is_table: bool, columns: int, classes: int, asked: int, seed: int, budget: float) -> _Made:
    def build(x: np.ndarray, y: np.ndarray) -> tuple[Any, str, bool, tuple[str, ...]]:
        if task == "classification":
            return DummyClassifier(strategy="most_frequent").fit(x, y), "", True, ()
        # The median, not the mean: of all constants it has the smallest mean absolute error.
        return DummyRegressor(strategy="median").fit(x, y), "", True, ()

    return (MAJORITY if task == "classification" else MEDIAN), lambda rows: 0.0, build


def _tree(task: Task, is_table: bool, columns: int, classes: int, asked: int, seed: int, budget: float) -> _Made:
    def seconds_for(rows: int) -> float:
        return _TREE_COST * rows * math.log2(max(rows, 2)) * columns

    def build(x: np.ndarray, y: np.ndarray) -> tuple[Any, str, bool, tuple[str, ...]]:
        kind = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
        tree = kind(random_state=seed)
        folds = 5 if task == "regression" else min(5, int(np.unique(y, return_counts=True)[1].min()))
        searches = len(_TREE_SIZES) * folds
        affordable = budget * _SHARES[TREE] / max(seconds_for(len(x)), 1e-12)
        if folds >= 2 and len(x) >= 20 and affordable >= len(_TREE_SIZES):
            score = "accuracy" if task == "classification" else "neg_mean_absolute_error"
            held: Any = folds
            how = f"its size chosen by {folds}-fold cross-validation on the training rows"
            if affordable < searches:
                once = StratifiedShuffleSplit if task == "classification" else ShuffleSplit
                held = once(n_splits=1, test_size=max(0.2, 2 * folds / len(x)), random_state=seed)
                how = "its size chosen on a fifth of the training rows"
            search = GridSearchCV(tree, {"max_leaf_nodes": list(_TREE_SIZES)}, cv=held, scoring=score)
            model = search.fit(x, y).best_estimator_
        else:
            model, how = tree.fit(x, y), "grown to the end"
        leaves = int(model.get_n_leaves())
        return model, f"{leaves:,} leaves, {how}", leaves <= _READABLE_LEAVES, ()

    return TREE, seconds_for, build


def _linear(task: Task, is_table: bool, columns: int, classes: int, asked: int, seed: int, budget: float) -> _Made:
    outputs = classes if task == "regression" or classes > 2 else 1
    per_round = _LINEAR_COST * columns * outputs

    def seconds_for(rows: int) -> float:
        rounds = 100 if task == "classification" else columns
        return rounds * per_round * rows

    def build(x: np.ndarray, y: np.ndarray) -> tuple[Any, str, bool, tuple[str, ...]]:
        readable = is_table and columns <= _READABLE_FEATURES
        if task == "regression":
            model = _scaled(Ridge(random_state=seed), is_table).fit(x, y)
            return model, "alpha 1", readable, ()
        rounds = int(min(1000, max(100, budget * _SHARES[LOGISTIC] / (per_round * len(x)))))
        model = _scaled(LogisticRegression(max_iter=rounds, random_state=seed), is_table).fit(x, y)
        return model, f"C 1, at most {rounds:,} rounds", readable, ()

    return (LOGISTIC if task == "classification" else RIDGE), seconds_for, build


def _svm(task: Task, is_table: bool, columns: int, classes: int, asked: int, seed: int, budget: float) -> _Made:
    values = classes if task == "regression" else 1

    def seconds_for(rows: int) -> float:
        return values * (_SVM_FIT_COST * rows + _SVM_ANSWER_COST * asked) * rows * columns

    def build(x: np.ndarray, y: np.ndarray) -> tuple[Any, str, bool, tuple[str, ...]]:
        if task == "classification":
            return _scaled(SVC(C=10), is_table).fit(x, y), "C 10, gamma 'scale'", False, ()
        # Its C and epsilon are in units of the target, so the target is scaled too.
        regressor = SVR() if values == 1 else MultiOutputRegressor(SVR())
        machine = TransformedTargetRegressor(regressor, transformer=StandardScaler())
        return _scaled(machine, is_table).fit(x, y), "C 1, epsilon 0.1, gamma 'scale', target scaled", False, ()

    return SVM, seconds_for, build


def _boosting(task: Task, is_table: bool, columns: int, classes: int, asked: int, seed: int, budget: float) -> _Made:
    # Two classes take one tree in each round, more take one each; so does each value of a regression.
    trees, (fixed, per_row) = (classes if task == "regression" or classes > 2 else 1), _BOOSTING_COST

    def seconds_of(rounds: int, rows: int) -> float:
        return rounds * trees * columns * (fixed + per_row * rows)

    def seconds_for(rows: int) -> float:
        # Fewer rounds before fewer rows: most of a round's cost is there however few the rows.
        return seconds_of(_FEWEST_ROUNDS, rows)

    def build(x: np.ndarray, y: np.ndarray) -> tuple[Any, str, bool, tuple[str, ...]]:
        affordable = budget * _SHARES[BOOSTING] / seconds_of(1, len(x))
        rounds = int(min(_BOOSTING_ROUNDS, max(_FEWEST_ROUNDS, affordable)))
        kind = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
        model: Any = kind(max_iter=rounds, early_stopping=False, random_state=seed)
        settings = f"{rounds} rounds, rate 0.1"
        if columns < x.shape[1]:
            model = make_pipeline(
                SelectKBest(f_classif if task == "classification" else f_regression, k=columns), model
            )
            settings += f", the {columns:,} of {x.shape[1]:,} columns that tell most by themselves"
        if y.ndim == 2:
            model = MultiOutputRegressor(model)
        # One thread: the number of threads must not change the sums, nor a busy machine stall it.
        with threadpool_limits(1):
            model.fit(x, y)
        cut = (f"cut to {rounds} of {_BOOSTING_ROUNDS} rounds by its share of {budget:g} s",)
        return model, settings, False, cut if rounds < _BOOSTING_ROUNDS else ()

    return BOOSTING, seconds_for, build


def _scaled(model: Any, is_table: bool) -> Any:
    return make_pipeline(StandardScaler(), model) if is_table else model


# --- rows ---------------------------------------------------------------------------


def _as_rows(x_train: np.ndarray, x_test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float32 tables, pictures scaled to at most 1."""
    train, test = np.asarray(x_train), np.asarray(x_test)
    if train.ndim < 2 or train.shape[1:] != test.shape[1:] or not len(train) or not len(test):
        raise ValueError(
            explain(
                f"fit_baselines got x_train of shape {train.shape} and x_test of shape {test.shape}.",
                "Expected samples of one shape in both, at least one in each.",
                "fit_baselines(x_train, y_train, x_test, task)",
            )
        )
    largest = float(np.abs(train).max()) if train.ndim > 2 else 1.0
    tables = []
    for name, rows in (("x_train", train), ("x_test", test)):
        flat = np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=np.float32)
        if train.ndim > 2 and largest > 1:
            flat = flat / np.float32(largest)
        if not np.isfinite(flat).all():
            raise ValueError(
                explain(
                    f"fit_baselines got {int((~np.isfinite(flat)).sum())} values in {name} that are NaN or infinite.",
                    "Expected finite numbers.",
                    "fill or drop them first: x = np.nan_to_num(x)",
                )
            )
        tables.append(flat)
    return tables[0], tables[1]


def _rows_within(seconds_for: Callable[[int], float], rows: int, seconds: float) -> int:
    """Return the most rows, to two digits, that take no longer than `seconds`; never below 500 or all."""
    if seconds_for(rows) <= seconds:
        return rows
    low, high = 1, rows
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if seconds_for(middle) <= seconds else (low, middle)
    step = 10 ** max(0, len(str(low)) - 2)
    return min(rows, max(_FEWEST_ROWS, low // step * step))


def _drawn(y: np.ndarray, rows: int, task: Task, seed: int) -> np.ndarray:
    """Return `rows` row numbers; each class keeps its share."""
    kinds, counts = np.unique(y if task == "classification" else np.zeros(len(y)), return_counts=True)
    if task == "classification" and counts.min() >= 2 and min(rows, len(y) - rows) >= len(kinds):
        halves = StratifiedShuffleSplit(n_splits=1, train_size=rows, random_state=seed)
        return next(halves.split(np.zeros(len(y)), y))[0]
    return np.random.default_rng(seed).permutation(len(y))[:rows]
