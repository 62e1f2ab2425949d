"""Prepare, train, judge."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from uncrumple import callbacks, optimizers
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.seeds import set_random_seed
from uncrumple.data.kinds import Preparation, RawData
from uncrumple.data.split import Parts, Split, split
from uncrumple.experiment.chain import behind, forget
from uncrumple.experiment.networks import loss_and_metric
from uncrumple.experiment.recipe import Recipe
from uncrumple.judge import Judgement
from uncrumple.judge.judging import judge as judged


@dataclass(frozen=True)
class Prepared:
    """Data with its parts, and the preparation that was fitted on the training part.

    Args:
        dataset: The `Table`, `Images`, `Text` or `Series`.
        sealed: Its parts; the test part counts its uses.
        preparation: The layer that was fitted on the training part alone.
        seed: What the parts were drawn with.
    """

    dataset: RawData
    sealed: Parts
    preparation: Preparation
    seed: int

    @property
    def parts(self) -> Split:
        """Row numbers of the training, validation and test parts."""
        return self.sealed.rows

    def rows(self, part: str) -> tuple[Any, Any]:
        """Return raw rows and answers of `"train"`, `"validation"` or `"test"`; the test part counts a use."""
        chosen = getattr(self.sealed, part)
        return chosen.raw, chosen.y


def prepare(
    dataset: RawData, *, validation: float = 0.15, test: float = 0.15, seed: int = 0, folder: Any = None
) -> Prepared:
    """Split data (stratified by class, or by group or time) and fit the preparation on its training part.

    Args:
        dataset: A `Table`, `Images`, `Text` or `Series`.
        validation, test: Shares of the rows; a test part fixed by the data's authors is kept.
        seed: The same seed gives the same parts.
        folder: Where uses of the test part are counted across programs; None counts in this one.
    """
    if dataset.y is None:
        raise ValueError(
            explain(
                f"The {dataset.kind} '{dataset.name}' has no answers.",
                "Expected what is to be predicted.",
                "Table(path, target='price')",
            )
        )
    sealed = split(dataset, validation, test, seed, folder=folder)
    return Prepared(dataset, sealed, dataset.preparation(sealed.rows.train), seed)


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
        findings: What `fit(diagnose=True)` found; None where nobody watched.
        preflight: What was found before training; None where nobody looked.
    """

    model: Any
    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    recipe: Recipe
    stopped_early: bool
    findings: list[Any] | None = None
    preflight: Any = None


@dataclass
class Ready:
    """A network ready to be trained, and the rows as it takes them.

    What does not change from epoch to epoch is done once: `inner` is the network behind the
    preparation, with the same weights, and the rows are prepared.

    Args:
        model: The whole network, which takes raw rows.
        inner: What is trained, compiled; the same as `model` where nothing can be done once.
        x, y: The training rows.
        validation: Rows and answers to watch.
        recipe: How it is to be trained.
        loss, metric: What `inner` was compiled with.
    """

    model: Any
    inner: Any
    x: Any
    y: Any
    validation: tuple[Any, Any]
    recipe: Recipe
    loss: str
    metric: str

    def preflight(self, seconds: float = 20.0) -> Any:
        """Return what `uncrumple.preflight` finds about the network and the training rows; nothing is changed.

        Args:
            seconds: How long it may take.
        """
        from uncrumple.explain import preflight

        with _threads(self.recipe.threads):
            return preflight(self.inner, (self.x, self.y), batch_size=self.recipe.batch_size, seconds=seconds)

    def forget(self) -> None:
        """Take the calls of `inner` out of the layers, which then have one output each again."""
        if self.inner is not self.model:
            forget(self.inner)


def made_ready(model: Any, prepared: Prepared, recipe: Recipe) -> Ready:
    """Prepare the rows and compile the network, as `train` does it.

    Args:
        model: Not yet compiled.
        prepared: What `prepare` returned.
        recipe: How to train.
    """
    set_random_seed(prepared.seed)
    x, y = prepared.rows("train")
    held_back = prepared.rows("validation")
    inner, cut = model, behind(model)
    if cut is not None:
        preparation, inner = cut
        x = preparation.prepare(x)
        if len(held_back[1]):
            held_back = (preparation.prepare(held_back[0]), held_back[1])
    rate: Any = recipe.learning_rate
    if recipe.decays:
        steps = recipe.epochs * -(-len(y) // recipe.batch_size)
        rate = optimizers.schedules.CosineDecay(recipe.learning_rate, decay_steps=steps)
    loss, metric = loss_and_metric(prepared.dataset)
    inner.compile(optimizers.Adam(rate), loss, metrics=[metric])
    return Ready(model, inner, x, y, held_back, recipe, loss, metric)


def train(
    model: Any,
    prepared: Prepared,
    recipe: Recipe,
    *,
    balanced: bool = False,
    verbose: Any = "auto",
    diagnose: bool = False,
) -> Trained:
    """Train a network on the training part, watching the validation part; keep its best weights.

    Args:
        model: Not yet compiled; or what `made_ready` returned for the same data and recipe.
        prepared: What `prepare` returned.
        recipe: How to train.
        balanced: Whether every class counts the same, however rare it is.
        verbose: As for `fit`.
        diagnose: As for `fit`.
    """
    ready = model if isinstance(model, Ready) else made_ready(model, prepared, recipe)
    validation = ready.validation if len(ready.validation[1]) else None
    watched = "val_loss" if validation else "loss"
    stop = callbacks.EarlyStopping(monitor=watched, patience=recipe.patience, restore_best_weights=True)
    start = time.perf_counter()
    with _threads(recipe.threads):
        history = ready.inner.fit(
            ready.x,
            ready.y,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            validation_data=validation,
            validation_batch_size=512,
            class_weight=class_weights(prepared) if balanced else None,
            callbacks=[stop],
            verbose=verbose,
            diagnose=diagnose,
        )
    seconds = time.perf_counter() - start
    losses = history.history.get(watched, [])
    best = int(np.argmin(losses)) + 1 if losses else 0
    ready.forget()
    if ready.inner is not ready.model:  # the weights are the same; what is saved takes raw rows, and may be trained on
        ready.model.compile(ready.inner.optimizer, ready.loss, metrics=[ready.metric])
    findings = [_with_best_kept(one, best) for one in history.findings] if diagnose else None
    return Trained(ready.model, history.history, best, seconds, recipe, len(losses) < recipe.epochs, findings)


def _with_best_kept(finding: Any, best: int) -> Any:
    """Return a finding of `fit` as it stands for a run, which keeps the weights of the best epoch."""
    if finding.name != "overfitting" or finding.epoch is None or best > finding.epoch:
        return finding
    kept = f"Nothing about this network: the weights of epoch {best} were kept. For a better one, more data."
    return replace(finding, severity="note", try_this=kept)


def class_weights(prepared: Prepared) -> dict[int, float]:
    """Return what each row of a class counts, so that all classes count the same over the training rows.

    Raises:
        ValueError: There are no classes.
    """
    if prepared.dataset.task != "classification" or prepared.dataset.y is None:
        raise ValueError(
            explain(
                f"Balanced classes were asked for, and {prepared.dataset.name} asks for "
                f"{'numbers' if prepared.dataset.task == 'regression' else 'characters'}.",
                "Expected classes.",
                "leave out --balanced",
            )
        )
    counts = np.bincount(prepared.dataset.y[prepared.parts.train], minlength=len(prepared.dataset.class_names))
    present = counts > 0
    return {
        number: float(counts.sum() / (present.sum() * count)) if count else 1.0 for number, count in enumerate(counts)
    }


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute with this many threads within the block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def judge(
    trained: Trained,
    prepared: Prepared,
    *,
    budget_seconds: float = 60.0,
    slices: Mapping[str, np.ndarray] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **more: Any,
) -> Judgement:
    """Judge the network on the test part, which is one use of it, beside simpler models on the same rows.

    Args:
        trained: What `train` returned.
        prepared: What `prepare` returned.
        budget_seconds: About how long fitting the simpler models may take in all; they take
            fewer rows where it would be longer, and say so.
        slices: Columns of the test rows to look at one value at a time.
        progress: Called before each simpler model is fitted, with its name and its rows.
        **more: What `uncrumple.judge` takes besides: positive, cost, recall, folds, more_data.
    """
    if more.get("folds") or more.get("more_data"):
        more.setdefault("fit", {"epochs": max(1, trained.best_epoch), "batch_size": trained.recipe.batch_size})
    return judged(
        trained.model,
        prepared.sealed,
        slices=slices,
        fit_seconds=trained.seconds if np.isfinite(trained.seconds) else None,
        budget_seconds=budget_seconds,
        seed=prepared.seed,
        progress=progress,
        **more,
    )


def check_wishes(prepared: Prepared, *, balanced: bool = False, positive: str | None = None, **more: Any) -> None:
    """Refuse what data cannot answer before a minute is spent on training.

    Args:
        prepared: The data.
        balanced: As for `train`.
        positive: As for `judge`.
        **more: recall and folds, as for `judge`.

    Raises:
        ValueError: It asks for classes, and there are none; or for one that is not there.
    """
    data = prepared.dataset
    if balanced:
        class_weights(prepared)
    asked = [name for name, value in {"positive": positive, "recall": more.get("recall")}.items() if value is not None]
    if asked and data.task != "classification":
        raise ValueError(
            explain(
                f"{asked[0]} was given, and {data.name} asks for "
                f"{'numbers' if data.task == 'regression' else 'characters'}.",
                "Expected classes.",
                f"leave out --{asked[0]}",
            )
        )
    if positive is not None and positive not in data.class_names:
        raise ValueError(unknown_name("class", positive, data.class_names))
    if more.get("recall") is not None and not len(prepared.parts.validation):
        raise ValueError(
            explain(
                "recall was given, and there are no validation rows.",
                "Expected rows to choose the threshold on.",
                "--validation 0.15",
            )
        )
    if data.task == "language" and (more.get("folds") or more.get("more_data")):
        raise ValueError(
            explain(
                "Folds or more data were asked for, of plain text.",
                "Expected them for classes or values.",
                "leave out --folds and --more-data",
            )
        )


def answers_of(model: Any, part: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a network's answers to the rows of a part, and its probabilities (None where there are none).

    Args:
        model: It takes raw rows.
        part: A `Table`, `Images`, `Text` or `Series`.
    """
    outputs = np.asarray(model.predict(part.raw, batch_size=256, verbose=0))
    if part.task == "regression":
        return (outputs[:, 0] if outputs.ndim == 2 and outputs.shape[1] == 1 else outputs), None
    if part.task == "classification" and outputs.shape[-1] == 1:
        outputs = np.concatenate([1 - outputs, outputs], axis=-1)
    return outputs.argmax(-1), outputs
