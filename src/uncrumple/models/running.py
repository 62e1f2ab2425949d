"""What `fit`, `evaluate`, `predict` and the methods for single batches do before the loop and after it.

Arguments are checked, data becomes batches, the model is built and compared
with the data, callbacks are listed; afterwards the model is in the mode that
it was in. The loop itself is `training/loop.py`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch

from uncrumple.callbacks import CallbackList
from uncrumple.callbacks.logs import plain_logs
from uncrumple.core import own_parts
from uncrumple.core.allocator import freed_memory_kept
from uncrumple.core.errors import explain
from uncrumple.core.settings import max_epochs
from uncrumple.data.batches import EndlessEpochs, unpack_x_y_sample_weight
from uncrumple.data.from_arguments import make_batches
from uncrumple.models.reported import in_order
from uncrumple.training import checks, loop, own_steps
from uncrumple.training.shared import quiet_elsewhere


class Run:
    """A block in which a model runs: its calls go by its mode, and failures of steps that a user wrote are explained.

    Args:
        model: The model.
        training: Whether it is in training mode afterwards.
    """

    def __init__(self, model: Any, training: bool) -> None:
        self.model, self.training = model, training

    def __enter__(self) -> Any:
        # As `layers.modes.told`; without its generator, for `train_on_batch` comes here at each step.
        self._ran = self.model._runs
        self.model.__dict__["_runs"] = True
        return self

    def __exit__(self, kind: Any, error: BaseException | None, where: TracebackType | None) -> None:
        self.model.__dict__["_runs"] = self._ran
        try:
            failure = own_steps.explained(self.model, error) if isinstance(error, Exception) else None
        finally:
            self.model.train(self.training)
        if failure is not None:
            raise failure from None


class Fitting(Run):
    """A block for `loop.fit`; hands out what that takes after the model.

    Args:
        model: The model.
        given: The batches, those for validation, the callbacks, the first epoch, the last, how often to validate,
            and the diagnosis, or None.
    """

    def __init__(self, model: Any, *given: Any) -> None:
        super().__init__(model, training=False)
        self._given = given

    def __enter__(self) -> tuple[Any, ...]:
        super().__enter__()
        return self._given

    def __exit__(self, kind: Any, error: BaseException | None, where: TracebackType | None) -> None:
        try:
            super().__exit__(kind, error, where)
        finally:
            callbacks, diagnosis = self._given[2], self._given[-1]
            if diagnosis is not None:  # the list may be the caller's
                callbacks.callbacks.remove(diagnosis)


def prepare_fit(
    model: Any,
    x: Any,
    y: Any,
    *,
    batch_size: int | None,
    epochs: int,
    verbose: Any,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: Any,
    diagnose: bool,
) -> Fitting:
    """Do all that `Model.fit` does before the first step; the arguments are its own.

    Returns:
        The block in which `loop.fit` is called.

    Raises:
        ValueError: The model is not compiled, or data and model do not fit.
    """
    require_compiled(model, "fit")
    checks.check_arguments(
        "fit",
        batch_size=batch_size,
        epochs=epochs,
        verbose=verbose,
        validation_split=validation_split,
        initial_epoch=initial_epoch,
        steps_per_epoch=steps_per_epoch,
        validation_steps=validation_steps,
        validation_batch_size=validation_batch_size,
        validation_freq=validation_freq,
    )
    limit = max_epochs()
    epochs = epochs if limit is None else min(epochs, limit)
    checks.warn_if_trainable_changed(model)
    x, y, sample_weight, validation_data = checks.split_for_validation(
        x, y, sample_weight, validation_data, validation_split
    )
    training = make_batches(
        x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, class_weight=class_weight, training=True
    )
    validation = None
    if validation_data is not None:
        streams = not isinstance(validation_data, (tuple, list))
        parts = (validation_data, None, None) if streams else unpack_x_y_sample_weight(validation_data)
        size = None if streams else validation_batch_size or batch_size
        validation = make_batches(*parts, batch_size=size, prefix="validation ")
    prepare(model, training, validation, learn=True)
    epochs_of_training = EndlessEpochs(training, steps_per_epoch)
    verbose = quiet_elsewhere(verbose)
    if not isinstance(callbacks, CallbackList):
        callbacks = CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=epochs_of_training.steps,
            batch_size=training.batch_size,
        )
    checks.check_monitors(model, callbacks.callbacks, validation is not None)
    epochs_of_validation = EndlessEpochs(validation, validation_steps) if validation is not None else None
    diagnosis = None
    if diagnose:
        from uncrumple.training.diagnosis import Diagnosis

        diagnosis = Diagnosis(
            model, epochs_of_training, epochs_of_validation, loud=verbose != 0, callbacks=callbacks.callbacks
        )
        callbacks.append(diagnosis)
    return Fitting(
        model, epochs_of_training, epochs_of_validation, callbacks, initial_epoch, epochs, validation_freq, diagnosis
    )


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    verbose: Any,
    sample_weight: Any,
    steps: int | None,
    callbacks: Any,
    return_dict: bool,
) -> Any:
    """Do what `Model.evaluate` says."""
    require_compiled(model, "evaluate")
    checks.check_arguments("evaluate", batch_size=batch_size, verbose=verbose, steps=steps)
    batches = make_batches(x, y, sample_weight, batch_size=batch_size)
    prepare(model, batches, learn=False)
    epochs = EndlessEpochs(batches, steps)
    listed = _listed(callbacks, model, quiet_elsewhere(verbose), epochs)
    with Run(model, model.training):  # a callback may ask in the midst of training
        logs = loop.evaluate(model, epochs, listed)
    return logs if return_dict else in_order(model, logs)


def predict(model: Any, x: Any, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any) -> Any:
    """Do what `Model.predict` says, for whatever `predict_at_once` does not know."""
    checks.check_arguments("predict", batch_size=batch_size, verbose=verbose, steps=steps)
    batches = make_batches(x, batch_size=batch_size)
    if any(True for _ in model.parameters()):
        batches = batches.to(next(model.parameters()).device)
    checks.check_inputs_of(model, batches)
    epochs = EndlessEpochs(batches, steps)
    listed = _listed(callbacks, model, verbose, epochs)
    with Run(model, model.training), freed_memory_kept():
        return loop.predict(model, epochs, listed)


def on_batch(model: Any, method: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool) -> Any:
    """Do what `train_on_batch` or `test_on_batch` says; `method` is its name."""
    require_compiled(model, method)
    batches = make_batches(x, y, sample_weight, class_weight=class_weight, batch_size=2**62)
    learn = method == "train_on_batch"
    prepare(model, batches, learn=learn, again=False)
    model.reset_metrics()
    learning = model.training
    model.train(learn)
    batch = loop.as_handed(next(batches.epoch()))
    with Run(model, learning), torch.set_grad_enabled(learn and torch.is_grad_enabled()):
        if learn:
            loop.plan_steps(model)
        logs = model.train_step(batch) if learn else model.test_step(batch)
    results = plain_logs(logs)
    return results if return_dict else in_order(model, results)


def require_compiled(model: Any, method: str) -> None:
    """Refuse to run a model that was not compiled; `method` is what was called."""
    if not model.compiled:
        raise ValueError(
            explain(
                f"Model '{model.name}': {method}() was called before compile().",
                "Expected an optimizer and a loss first.",
                f'model.compile(optimizer="adam", loss="mse"), then model.{method}(...)',
            )
        )


def prepare(model: Any, training: Any, validation: Any = None, *, learn: bool, again: bool = True) -> None:
    """Build what is not built, look at the data, and refuse what cannot work, before anything runs.

    Args:
        model: The model.
        training, validation: Batches.
        learn: Whether weights will be moved.
        again: Whether to read the values of data whose shapes are known already: not for single batches.
    """
    device = next((weight.device for weight in model.weights), model._home or torch.get_default_device())
    training.to(device)
    checks.check_data(model, training, again=again)
    if validation is not None:
        validation.to(device)
        checks.check_data(model, validation, "validation x", "validation y")
    if learn and hasattr(model.optimizer, "build") and not getattr(model.optimizer, "built", False):
        weights = model.trainable_variables
        if weights:  # a model with a train_step of its own may make them there
            _build(model.optimizer, weights)
    model._regularized = None
    model._metrics_cache = None
    model._metrics_cache = model.metrics


def _build(optimizer: Any, weights: list[Any]) -> None:
    """Let an optimizer take the weights; one that a user wrote is named if it fails there."""
    try:
        optimizer.build(weights)
    except Exception as error:
        failure = None
        if own_parts.is_own(optimizer):
            failure = own_parts.failed(
                own_parts.named("optimizer", type(optimizer), optimizer.name),
                error,
                on=" in build()",
                expected="Expected build() to take the weights, and to make a state for them.",
                fix='super().build(variables); self.add_optimizer_variables(variables, "velocity")',
            )
        if failure is None:
            raise
        raise failure from None


def _listed(callbacks: Any, model: Any, verbose: Any, epochs: EndlessEpochs) -> CallbackList:
    """Return callbacks as a list that calls them, if they are none, for one time through the data."""
    if isinstance(callbacks, CallbackList):
        return callbacks
    return CallbackList(callbacks, add_progbar=verbose != 0, model=model, verbose=verbose, epochs=1, steps=epochs.steps)
