"""Prepare, train, judge."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from uncrumple import callbacks, optimizers
from uncrumple.core.errors import explain
from uncrumple.core.seeds import set_random_seed
from uncrumple.data.kinds import Preparation, RawData
from uncrumple.data.named import Dataset
from uncrumple.data.scale import Scaler
from uncrumple.data.split import Parts, Split, split
from uncrumple.experiment.networks import Recipe, loss_and_metric
from uncrumple.experiment.raw_networks import behind, forget
from uncrumple.judge import (
    Comparison,
    Confusion,
    Cost,
    Interval,
    Mistake,
    class_probabilities,
    classification_scores,
    compare,
    confusion_of,
    fit_baselines,
    largest_errors,
    measure_answers,
    regression_scores,
    worst_mistakes,
)

NETWORK = "network"


@dataclass(frozen=True)
class Prepared:
    """A data set with its parts and the statistics of its training part.

    Args:
        dataset: The data: a named data set, or a `Table`, `Images`, `Text` or `Series`.
        parts: Row numbers of the training, validation and test parts.
        scaler: Fitted on the training part alone; `"none"` for raw rows.
        seed: What the parts were drawn with.
        preparation: For raw rows, the layer that was fitted on the training part alone.
        sealed: For raw rows, the parts, whose test part counts its uses.
    """

    dataset: Any
    parts: Split
    scaler: Scaler
    seed: int
    preparation: Preparation | None = None
    sealed: Parts | None = None

    def rows(self, part: str) -> tuple[Any, Any]:
        """Return x and y of `"train"`, `"validation"` or `"test"`; of raw rows the test part counts a use."""
        if self.sealed is not None:
            chosen = getattr(self.sealed, part)
            return chosen.raw, chosen.y
        index = getattr(self.parts, part)
        return self.dataset.x[index], self.dataset.y[index]


def prepare(
    dataset: Dataset | RawData, *, validation: float = 0.15, test: float = 0.15, seed: int = 0, folder: Any = None
) -> Prepared:
    """Split a data set (stratified by class, or by group or time) and fit the scaling on its training part.

    Args:
        dataset: What `uncrumple.data.named.load` returned; or a `Table`, `Images`, `Text` or `Series`.
        validation, test: Shares of the rows; a test part fixed by the data's authors is kept.
        seed: The same seed gives the same parts.
        folder: For raw rows: where uses of the test part are counted across programs.
    """
    if isinstance(dataset, RawData):
        if dataset.y is None:
            raise ValueError(
                explain(
                    f"The {dataset.kind} '{dataset.name}' has no answers.",
                    "Expected what is to be predicted.",
                    "Table(path, target='price')",
                )
            )
        sealed = split(dataset, validation, test, seed, folder=folder)
        preparation = dataset.preparation(sealed.rows.train)
        return Prepared(dataset, sealed.rows, Scaler("none"), seed, preparation, sealed)
    if not np.isfinite(dataset.x).all():
        row = int(np.argwhere(~np.isfinite(dataset.x))[0][0])
        raise ValueError(
            explain(
                f"The data set '{dataset.name}' holds NaN or infinity (first in row {row}).",
                "Expected finite numbers.",
                "drop or fill these rows first",
            )
        )
    parts = split(
        dataset.y,
        validation=validation,
        test=test,
        seed=seed,
        stratify=dataset.task == "classification",
        test_rows=dataset.test_rows,
    )
    scaler = Scaler.for_data(dataset.x).fit(dataset.x[parts.train])
    return Prepared(dataset, parts, scaler, seed)


@dataclass
class Trained:
    """A trained network and how it came about.

    Args:
        model: With the weights of the best epoch.
        history: `History.history`.
        best_epoch: The epoch whose weights were kept, counted from 1.
        seconds: How long training took.
        recipe: How it was trained.
        stopped_early: Whether it ended before the last epoch.
    """

    model: Any
    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    recipe: Recipe
    stopped_early: bool


def train(model: Any, prepared: Prepared, recipe: Recipe, *, verbose: Any = "auto") -> Trained:
    """Train a network on the training part, watching the validation part; keep its best weights.

    Args:
        model: Not yet compiled.
        prepared: What `prepare` returned.
        recipe: How to train.
        verbose: As for `fit`.
    """
    set_random_seed(prepared.seed)
    x, y = prepared.rows("train")
    held_back = prepared.rows("validation")
    whole, cut = model, behind(model) if prepared.preparation is not None else None
    if cut is not None:  # what does not change from epoch to epoch is done once
        preparation, model = cut
        x, held_back = preparation.prepare(x), (preparation.prepare(held_back[0]), held_back[1])
    rate: Any = recipe.learning_rate
    if recipe.decays:
        steps = recipe.epochs * -(-len(y) // recipe.batch_size)
        rate = optimizers.schedules.CosineDecay(recipe.learning_rate, decay_steps=steps)
    loss, metric = loss_and_metric(prepared.dataset)
    model.compile(optimizers.Adam(rate), loss, metrics=[metric])
    watched = "val_loss" if len(held_back[1]) else "loss"
    stop = callbacks.EarlyStopping(monitor=watched, patience=recipe.patience, restore_best_weights=True)
    start = time.perf_counter()
    with _threads(recipe.threads):
        history = model.fit(
            x,
            y,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            validation_data=held_back if len(held_back[1]) else None,
            validation_batch_size=512,
            callbacks=[stop],
            verbose=verbose,
        )
    seconds = time.perf_counter() - start
    losses = history.history.get(watched, [])
    best = int(np.argmin(losses)) + 1 if losses else 0
    if cut is not None:  # the weights are the same; what is saved takes raw rows, and may be trained on
        forget(model)
        whole.compile(model.optimizer, loss, metrics=[metric])
    return Trained(whole, history.history, best, seconds, recipe, len(losses) < recipe.epochs)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute with this many threads within the block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass
class Judged:
    """What the test part said.

    Args:
        truth: The right answers of the test part.
        answers: The network's.
        probabilities: Its probability for each class; None for a regression.
        scores: By name, each with its interval.
        comparison: The network beside the classical models.
        confusion: None for a regression.
        mistakes: The worst first.
    """

    truth: np.ndarray
    answers: np.ndarray
    probabilities: np.ndarray | None
    scores: dict[str, Interval]
    comparison: Comparison | None = None
    confusion: Confusion | None = None
    mistakes: list[Mistake] = field(default_factory=list)


def ask(model: Any, dataset: Any, x: Any) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Return the network's answers, its probabilities (or None), and the milliseconds per row."""
    rows = np.arange(len(next(iter(x.values()))) if isinstance(x, dict) else len(x))  # a dict of columns has no rows
    outputs, milliseconds = measure_answers(lambda _: model.predict(x, batch_size=256, verbose=0), rows)
    if dataset.task == "regression":
        return outputs.reshape(-1), None, milliseconds
    probabilities = class_probabilities(outputs)
    return probabilities.argmax(axis=1), probabilities, milliseconds


def judge(
    trained: Trained,
    prepared: Prepared,
    *,
    budget_seconds: float = 60.0,
    size_bytes: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Judged:
    """Evaluate the network once on the test part, beside classical models on the same rows.

    Args:
        trained: What `train` returned.
        prepared: What `prepare` returned.
        budget_seconds: About how long fitting the classical models may take in all; they take
            fewer rows where it would be longer, and say so.
        size_bytes: Size of the saved network.
        progress: Called before each classical model is fitted, with its name and its rows.
    """
    judged, milliseconds = test(trained.model, prepared)
    x_train, y_train = prepared.rows("train")
    if prepared.sealed is not None and prepared.preparation is not None:
        # The classical models get what the network gets; and it is the same look at the test part.
        x_train = prepared.preparation.matrix(x_train)
        x_test = prepared.preparation.matrix(prepared.sealed.peek("test").raw)
    else:
        x_test, _ = prepared.rows("test")
    answers = {NETWORK: judged.answers}
    costs = {
        NETWORK: Cost(
            fit_seconds=trained.seconds,
            ms_per_row=milliseconds,
            size_bytes=size_bytes,
            rows_used=len(x_train),
            rows_given=len(x_train),
            settings=f"{trained.model.count_params():,} weights, {trained.best_epoch} epochs",
        )
    }
    dataset = prepared.dataset
    for baseline in fit_baselines(
        x_train, y_train, x_test, dataset.task, prepared.seed, budget_seconds=budget_seconds, progress=progress
    ):
        answers[baseline.name], costs[baseline.name] = baseline.answers, baseline.cost
    judged.comparison = compare(
        judged.truth,
        answers,
        task=dataset.task,
        network=NETWORK,
        costs=costs,
        class_names=dataset.class_names,
        seed=prepared.seed,
    )
    return judged


def test(model: Any, prepared: Prepared) -> tuple[Judged, float]:
    """Return what the test part says about a network alone, and its milliseconds per row."""
    dataset = prepared.dataset
    if dataset.task == "language" or np.ndim(dataset.y) > 1:
        asked = "language" if dataset.task == "language" else f"{np.shape(dataset.y)[1]} answers per row"
        raise ValueError(
            explain(
                f"test got a network of {asked}.",
                "Expected one class or one number per row.",
                "model.evaluate(parts.test.raw, parts.test.y)",
            )
        )
    x, y = prepared.rows("test")
    answers, probabilities, milliseconds = ask(model, dataset, x)
    if probabilities is None:
        scores = regression_scores(y, answers, seed=prepared.seed)
        return Judged(y, answers, None, scores, mistakes=largest_errors(y, answers)), milliseconds
    return (
        Judged(
            y,
            answers,
            probabilities,
            classification_scores(y, answers, seed=prepared.seed),
            confusion=confusion_of(y, answers, dataset.class_names),
            mistakes=worst_mistakes(y, probabilities, dataset.class_names),
        ),
        milliseconds,
    )
