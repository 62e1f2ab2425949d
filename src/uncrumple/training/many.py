"""`fit_many`: many models trained at once; folds, seeds, hyperparameters.

What it returns is what `fit` returns for each of them. Chains of dense layers
with Adam and the sparse cross-entropy, for which `plan.py` writes a step down,
are trained together by the native kernels (`many_steps.py`); every other model
by a `fit` of its own, one after the other.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from uncrumple import optimizers
from uncrumple.callbacks import Callback, CallbackList, History, callback_list
from uncrumple.callbacks.model_checkpoint import ModelCheckpoint
from uncrumple.callbacks.progress import Progbar
from uncrumple.callbacks.screen import message
from uncrumple.core.seeds import set_random_seed
from uncrumple.data.batches import ArrayBatches
from uncrumple.training import checks, loop, many_arguments, many_loop, many_steps
from uncrumple.training.many_arguments import Part
from uncrumple.training.many_loop import Run
from uncrumple.training.many_steps import Network, Samples
from uncrumple.training.plan import Plan


def fit_many(
    models: Any,
    x: Any = None,
    y: Any = None,
    *,
    data: Any = None,
    rows: Any = None,
    validation_rows: Any = None,
    validation_data: Any = None,
    validation_split: float = 0.0,
    sample_weight: Any = None,
    class_weight: Any = None,
    batch_size: Any = None,
    epochs: int = 1,
    shuffle: bool = True,
    callbacks: Any = None,
    seeds: Any = None,
    verbose: Any = "auto",
) -> list[History]:
    """Train many models at once, such as one per fold, seed or setting; each learns what `fit` would teach it alone.

    `histories = fit_many(models, x, y, seeds=seeds, ...)` does for each model what
    `set_random_seed(seed); history = model.fit(x, y, ...)` does: the same draws of random numbers, the same weights,
    the same `History`. Validation is computed in another order of additions, so its loss may differ in the last digit.

    Small networks gain: many of them need little more time than the arithmetic itself. This goes for models made of
    `Dense`, `Dropout`, activations and, first, `Flatten`, compiled with `Adam` or `AdamW`, sparse categorical
    cross-entropy, and accuracy or no metric, on float32 inputs in memory, without sample weights; their callbacks may
    use the beginning and the end of training and of epochs. They need not be alike: they may differ in width, depth,
    rates and decay. Every other model is trained by `fit`, one after the other.

    Args:
        models: Compiled models, which share no weights.
        x, y: Arrays for all models, as for `fit`; not data sets or generators.
        data: In place of x and y: one (x, y) or (x, y, sample_weight) per model.
        rows: Which rows each model learns from: one array of row numbers (or of booleans) per model; all by default.
        validation_rows: Which rows each model is validated on, likewise; none by default.
        validation_data: (x, y) or (x, y, sample_weight) for all models, or a list with one such tuple per model.
        validation_split: Share of each model's rows, taken from their end before shuffling, to validate on.
        sample_weight: One weight per row of x.
        class_weight: {class number: weight}, for all models.
        batch_size: Samples per step, 32 by default; or a list with one number per model.
        epochs: How many epochs to train for.
        shuffle: Draw the samples in a new order each epoch.
        callbacks: A function that returns the callbacks of a model, called once per model, with the model's place in
            `models` if it takes an argument; or a list with one list of callbacks per model. `EarlyStopping` ends the
            training of its own model.
        seeds: One whole number per model, such as `range(500)`; by default drawn from torch's generator, which
            `set_random_seed` sets. Each is noted in `history.params["seed"]`.
        verbose: 0 silent, 1 live progress, 2 one line per epoch with the means over all models; "auto" is 1.

    Returns:
        A list with a `History` per model, in the order of `models`.

    Raises:
        ValueError: Arguments do not fit together, or a model does not fit the data; the message says which model.
            Nothing was trained then.

    Example:
        >>> from uncrumple import k_folds
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> x, y = torch.randn(60, 4), torch.arange(60) % 3
        >>> models = [Sequential([Input((4,)), Dense(10, "relu"), Dense(3, "softmax")]) for _ in range(5)]
        >>> for model in models:
        ...     model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> rows, held_back = zip(*k_folds(y, 5, seed=0))
        >>> histories = fit_many(models, x, y, rows=rows, validation_rows=held_back, epochs=3, verbose=0)
        >>> len(histories), sorted(histories[0].history)
        (5, ['accuracy', 'loss', 'val_accuracy', 'val_loss'])
    """
    models = many_arguments.check_models(models)
    checks.check_arguments("fit_many", epochs=epochs, verbose=verbose, validation_split=validation_split)
    sizes = many_arguments.sizes_of_batches(batch_size, len(models))
    parts = many_arguments.parts_of_data(x, y, sample_weight, data, rows, len(models))
    held = many_arguments.held_back(parts, validation_rows, validation_data, validation_split)
    numbers = many_arguments.checked_seeds(seeds, len(models))
    listed = many_arguments.callbacks_of_models(callbacks, len(models))
    fits = [
        _Fit(number, *given, class_weight=class_weight, epochs=int(epochs), shuffle=bool(shuffle))
        for number, given in enumerate(zip(models, parts, held, sizes, listed, numbers))
    ]
    verbose = 1 if verbose == "auto" else int(verbose)
    with _random_numbers_left_alone():
        apart = []
        together = []
        for fit, run in zip(fits, _prepared(fits)):
            if run is None:
                apart.append(fit)
            else:
                together.append(run)
        if many_loop.train(together, int(epochs), verbose):
            _fit_apart(apart, verbose)
        else:
            _leave_untrained(apart)
    return [fit.history for fit in fits]


class _Fit:
    """What is to be done for one model."""

    def __init__(
        self,
        number: int,
        model: Any,
        part: Part,
        held: Part | None,
        batch_size: int,
        callbacks: Any,
        seed: int,
        *,
        class_weight: Any,
        epochs: int,
        shuffle: bool,
    ) -> None:
        self.number, self.model, self.part, self.held = number, model, part, held
        self.batch_size, self.given, self.seed = batch_size, callbacks, seed
        self.class_weight, self.epochs, self.shuffle = class_weight, epochs, shuffle
        self.history: Any = None
        # The random state after the model was built here, which draws its weights; None if that was before.
        self.random_states: Any = None

    def start(self) -> CallbackList:
        """Return the callbacks as `fit` lists them, and prepare the history."""
        steps = -(-self.part.count // self.batch_size)
        made = CallbackList(
            self.given,
            add_history=True,
            model=self.model,
            verbose=0,
            epochs=self.epochs,
            steps=steps,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        self.history = self.model.history
        return made


# --- one after the other --------------------------------------------------------------------------


class _Ended(Callback):
    """Notes whether an epoch was begun and not ended: Ctrl-C ends training like that."""

    open = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.open = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.open = False


def _fit_apart(fits: list[_Fit], verbose: int) -> None:
    """Train models one after the other, each by its `fit`."""
    bar = Progbar(len(fits), verbose=min(verbose, 1), unit_name="model", stateless_metrics=())
    for count, fit in enumerate(fits, start=1):
        callbacks, ended = fit.start(), _Ended()
        set_random_seed(fit.seed)
        if fit.random_states is not None:
            _set_random_states(fit.random_states)
        x, y, sample_weight = fit.part.taken()
        callbacks.append(ended)
        with many_arguments.naming(fit.number, fit.model):
            fit.model.fit(
                x,
                y,
                batch_size=fit.batch_size,
                epochs=fit.epochs,
                verbose=0,
                callbacks=callbacks,
                validation_data=None if fit.held is None else fit.held.taken(),
                shuffle=fit.shuffle,
                class_weight=fit.class_weight,
                sample_weight=sample_weight,
            )
        if ended.open:
            _leave_untrained(fits[count:])
            return
        if verbose:
            bar.update(count)


def _leave_untrained(fits: list[_Fit]) -> None:
    """Say which models were not trained, because of Ctrl-C, and give them a history of nothing."""
    for fit in fits:
        fit.start()
    if fits:
        places = f"models[{fits[0].number}]" + (f" and {len(fits) - 1} more" if len(fits) > 1 else "")
        message(f"Not trained at all: {places}.")


# --- together -------------------------------------------------------------------------------------


def _prepared(fits: list[_Fit]) -> list[Run | None]:
    """Check models and data; return what is needed to train a model together with others, None where that cannot be."""
    kinds: set[Any] = set()
    ready = [_prepare(fit, kinds) for fit in fits]
    return [_run_of(fit) if good else None for fit, good in zip(fits, ready)]


def _run_of(fit: _Fit) -> Run:
    callbacks = fit.start()
    with many_arguments.naming(fit.number, fit.model):
        checks.check_monitors(fit.model, callbacks.callbacks, fit.held is not None)
    held = None if fit.held is None else _samples(fit.held)
    network = Network(fit.model._plan, _samples(fit.part), held, fit.batch_size, fit.shuffle, _start_of(fit), callbacks)
    return Run(network, lambda: _batches_of(fit))


def _batches_of(fit: _Fit) -> tuple[ArrayBatches, ArrayBatches | None]:
    """Return the data as the ordinary loop takes them."""
    training = ArrayBatches(*fit.part.taken(), batch_size=fit.batch_size, shuffle=fit.shuffle)
    return training, None if fit.held is None else ArrayBatches(*fit.held.taken(), batch_size=fit.batch_size)


def _samples(part: Part) -> Samples:
    return Samples(part.arrays.x, part.arrays.labels(), part.rows)  # type: ignore[arg-type]


def _start_of(fit: _Fit) -> torch.Tensor:
    """Return the state of torch's generator that the fit begins with."""
    if fit.random_states is not None:
        return fit.random_states[0]
    return torch.Generator().manual_seed(fit.seed).get_state()


def _may_be_together(fit: _Fit) -> bool:
    """Return whether data and callbacks are such as the kernels can serve."""
    if fit.class_weight is not None or not many_steps.draws_like_torch() or not fit.epochs:
        return False
    for part in (fit.part, fit.held):
        if part is None:
            continue
        x = part.arrays.x
        if part.arrays.sample_weight is not None or not isinstance(x, torch.Tensor) or part.arrays.labels() is None:
            return False
        if x.dtype is not torch.float32 or not x.is_contiguous() or x.device.type != "cpu":
            return False
    model = fit.model
    for name in ("fit", "evaluate", "test_step", "reset_metrics", "metrics", "train", "compute_loss"):
        method = getattr(type(model), name)
        method = getattr(method, "fget", None) or method
        module = method.__module__ or ""
        if name in model.__dict__ or not module.startswith(("uncrumple.", "torch.nn")):
            return False
    return all(_watches_epochs_only(callback) for callback in callback_list._flatten(fit.given, "callbacks"))


def _watches_epochs_only(callback: Any) -> bool:
    """Return whether a callback has nothing to do at batches and in validation."""
    kind = type(callback)
    if not isinstance(callback, Callback) or kind.set_model is not Callback.set_model:
        return False
    if kind._idle_batch_hooks is not Callback._idle_batch_hooks and kind is not ModelCheckpoint:
        return False
    names = [f"on_{what}_batch_{when}" for what in ("train", "test") for when in ("begin", "end")]
    return all(callback_list._wanted(callback, name) is None for name in (*names, "on_test_begin", "on_test_end"))


def _prepare(fit: _Fit, kinds: set[Any]) -> bool:
    """Build and check what `fit` builds and checks, and plan the step; return whether it can be done together.

    Args:
        fit: The model and its data.
        kinds: What was checked before: the same kind of model on the same arrays need not be checked again.
    """
    model, was_built, together = fit.model, fit.model.built, _may_be_together(fit)
    with many_arguments.naming(fit.number, model):
        checks.warn_if_trainable_changed(model)
        kind = _kind_of(fit) if together and was_built and model._graph is not None else None
        if kind is not None and kind in kinds:
            _prepare_alike(fit)
        else:
            if not was_built:
                set_random_seed(fit.seed)
            training = fit.part.arrays.batches(fit.batch_size)
            validation = None if fit.held is None else fit.held.arrays.batches(fit.batch_size)
            model._prepare(training, validation, learn=True)
            if not was_built:
                fit.random_states = _random_states()
        if not together or not _plans(fit):
            return False
        if kind is not None:
            kinds.add(kind)
    return True


def _kind_of(fit: _Fit) -> Any:
    """Return what the checks before training look at: the layers, the loss, the metrics, and the data."""
    model = fit.model
    chain = tuple(
        (type(layer), getattr(layer, "units", None), getattr(layer, "activation", None))
        for layer in model._graph._chain or ()
    )
    compiled = model._compile_config
    told = repr(compiled["loss"]) if isinstance(compiled["loss"], str) else _settings_of(compiled["loss"])
    asked = repr((compiled["metrics"], compiled["weighted_metrics"]))
    held = None if fit.held is None else id(fit.held.arrays)
    return str(model.input_shape), chain, told, asked, id(fit.part.arrays), held


def _settings_of(loss: Any) -> Any:
    return (type(loss), repr(loss.get_config())) if hasattr(loss, "get_config") else id(loss)


def _prepare_alike(fit: _Fit) -> None:
    """Do what `Model._prepare` does, for a model of a kind that was checked."""
    model = fit.model
    if not getattr(model.optimizer, "built", True):  # optimizers of torch are made with their weights
        model.optimizer.build(model.trainable_variables)
    y_pred = torch.empty(2, *model.output_shape[1:], device="meta")
    y = fit.part.arrays.y[:2].to("meta")
    for compiled in (model._compile_loss, model._compile_metrics):
        if compiled is not None and not compiled.built:
            compiled.build(y, y_pred)
    model._regularized = None
    model._metrics_cache = None
    model._metrics_cache = model.metrics


def _plans(fit: _Fit) -> bool:
    """Return whether the native kernels know every part of the model's training."""
    model = fit.model
    loop.plan_steps(model)
    plan = model._plan
    if not isinstance(plan, Plan) or not (plan._crossentropy and plan._adam) or not plan.holds():
        return False
    schedule = model.optimizer._schedule
    compiled = model._compile_metrics
    if plan._accuracy is None and compiled is not None and compiled._entries:
        return False
    if len(model.metrics) != (1 if compiled is None else 2) or "loss" in (compiled.names if compiled else ()):
        return False
    if schedule is not None and not isinstance(schedule, optimizers.schedules.LearningRateSchedule):
        return False  # a function may look at anything
    if fit.held is not None and any(stage.half for stage in plan.stages):
        return False
    return all(part is None or part.arrays.x[0].numel() == plan.features for part in (fit.part, fit.held))


# --- random numbers ---------------------------------------------------------------------------------


def _random_states() -> tuple[Any, ...]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def _set_random_states(states: tuple[Any, ...]) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])


@contextlib.contextmanager
def _random_numbers_left_alone() -> Iterator[None]:
    """Put the common generators back afterwards: models draw from seeds of their own."""
    states = _random_states()
    try:
        yield
    finally:
        _set_random_states(states)
