"""The training loop: the epoch and the step, from the first line to the last.

    draw a batch -> run the network -> loss -> backward -> move the weights -> metrics -> callbacks

Override `train_step` in a model of your own to change what a step does.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from uncrumple.callbacks import CallbackList, LazyLogs
from uncrumple.callbacks.logs import plain_logs
from uncrumple.callbacks.screen import message
from uncrumple.core import own_parts, tree
from uncrumple.core.errors import explain, warn
from uncrumple.data.batches import EndlessEpochs, unpack_x_y_sample_weight
from uncrumple.optimizers.base import large_gradients
from uncrumple.training.first_numbers import warn_of_nan
from uncrumple.training.interrupt import Interrupt
from uncrumple.training.native_epochs import planned_epochs
from uncrumple.training.plan import make_plan
from uncrumple.training.recorded_steps import memory_of_steps, recorded_steps
from uncrumple.training.shared import SharedWork, shared_work
from uncrumple.training.threads import thread_choice


class Steps:
    """What one step does, as methods of a model; each may be overridden."""

    def train_step(self: Any, data: Any) -> Any:
        """Learn from one batch; return the metrics so far."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        if self._plan is not None and self._plan.step(x, y, sample_weight):
            return LazyLogs(self.get_metrics_result)  # all of what follows in one native call, or recorded for a GPU
        y_pred = self(x)
        loss = _one_number(self, self.compute_loss(x, y, y_pred, sample_weight))
        self._loss_tracker.update_state(loss.detach(), sample_weight=batch_size_of(x))
        self.optimizer.zero_grad()
        if not loss.requires_grad:
            _explain_no_gradient(self)
        else:
            if self._scales_loss:
                loss = self.optimizer.scale_loss(loss)
            with large_gradients(self.optimizer):  # those of large embeddings stay rows
                loss.backward()
            self.optimizer.step()
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self: Any, data: Any) -> Any:
        """Evaluate one batch; return the metrics so far."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x)
        loss = _one_number(self, self.compute_loss(x, y, y_pred, sample_weight, **self._when_testing))
        self._loss_tracker.update_state(loss, sample_weight=batch_size_of(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self: Any, data: Any) -> Any:
        """Return the predictions for one batch."""
        return self(unpack_x_y_sample_weight(data)[0])

    def compute_loss(
        self: Any, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> torch.Tensor:
        """Return the total loss: that of `compile`, of `add_loss`, and of the regularizers."""
        loss = self._compile_loss(y, y_pred, sample_weight) if self._compile_loss is not None else None
        for extra in self._extra_losses():
            extra = extra.sum() if extra.ndim else extra
            loss = extra if loss is None else loss + extra
        if loss is None:
            raise ValueError(
                explain(
                    f"Model '{self.name}' has no loss to compute.",
                    "Expected a loss in compile(), or add_loss() in a layer.",
                    'model.compile(optimizer="adam", loss="mse")',
                )
            )
        return loss

    def compute_metrics(self: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Update the metrics of `compile`; return all results so far, computed when looked at."""
        if self._compile_metrics is not None:
            with torch.no_grad():
                self._compile_metrics.update_state(y, y_pred, sample_weight)
        return LazyLogs(self.get_metrics_result)

    def get_metrics_result(self: Any) -> dict[str, Any]:
        """Return the value of every metric by name."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            if isinstance(result, dict):
                found.update(result)
            else:
                found[metric.name] = result
        return found

    def reset_metrics(self: Any) -> None:
        """Set every metric back to its beginning."""
        for metric in self.metrics:
            metric.reset_state()


def fit(
    model: Any,
    batches: EndlessEpochs,
    validation: EndlessEpochs | None,
    callbacks: CallbackList,
    initial_epoch: int,
    epochs: int,
    validation_freq: Any = 1,
    diagnosis: Any = None,
) -> Any:
    """Train `model` for the epochs from `initial_epoch` to `epochs`; return its `History`."""
    model.stop_training = False
    epoch_logs: dict[str, Any] = {}
    nan_said: set[str] = set()
    work = shared_work(model, learn=True)  # None, but for several processes
    batches = batches if work is None else work.share_of(batches)
    callbacks.on_train_begin()
    initial_epoch = getattr(model, "_initial_epoch", None) or initial_epoch
    with memory_of_steps(model), Interrupt(model) as interrupt, thread_choice() as threads, work or nullcontext():
        for epoch in range(initial_epoch, epochs):
            model.reset_metrics()
            model.train()
            callbacks.on_epoch_begin(epoch)
            plan_steps(model)
            hooked, each = callbacks.has_train_batch_hooks, model.steps_per_execution
            logs: Any = None
            skip, step = _steps_to_skip(model, epoch, initial_epoch), -1
            planned = None if hooked or skip else planned_epochs(model, batches)
            if planned is not None:
                step = planned.run() - 1  # a small network: many steps by one native call
            drawn: Any = batches.epoch() if planned is None else ()
            for step, batch in enumerate(threads.watched(drawn if diagnosis is None else diagnosis.watched(drawn))):
                if step < skip:
                    continue
                if hooked and step % each == 0:
                    callbacks.on_train_batch_begin(step)
                logs = model.train_step(as_handed(batch))
                if not isinstance(logs, dict):
                    _refuse_logs(model, "train_step", logs)
                if hooked and (step + 1) % each == 0:
                    callbacks.on_train_batch_end(step, logs)
                if model.stop_training:
                    break
            if hooked and (step + 1) % each:  # fewer batches than steps_per_execution were left
                callbacks.on_train_batch_end(step, logs)
            model.train(False)
            if step < 0:
                break  # the data ran out, and said so
            epoch_logs = _final(model, logs, work)
            if validation is not None and not interrupt.asked and _wanted(validation_freq, epoch):
                results = evaluate(model, validation, callbacks)
                if not interrupt.asked:
                    epoch_logs.update({f"val_{name}": value for name, value in results.items()})
            if interrupt.asked:
                _say_interrupted(epoch, epochs, step + 1)
                break
            warn_of_nan(model, epoch_logs, nan_said)
            callbacks.on_epoch_end(epoch, epoch_logs)
            if model.stop_training:
                break
        if epochs > initial_epoch and hasattr(model.optimizer, "finalize_variable_values"):
            model.optimizer.finalize_variable_values(model.trainable_variables)
    callbacks.on_train_end(epoch_logs)
    return model.history


@torch.no_grad()
def evaluate(model: Any, batches: EndlessEpochs, callbacks: CallbackList) -> dict[str, Any]:
    """Run `model` over all batches without learning; return the metrics by name."""
    model.train(False)
    model.reset_metrics()
    callbacks.on_test_begin()
    hooked, logs = callbacks.has_test_batch_hooks, None
    model.stop_evaluating = False
    work = shared_work(model, learn=False)
    batches = batches if work is None else work.share_of(batches)
    batches.restart()
    step = -1
    for step, batch in enumerate(batches.epoch()):
        if hooked:
            callbacks.on_test_batch_begin(step)
        logs = model.test_step(as_handed(batch))
        if not isinstance(logs, dict):
            _refuse_logs(model, "test_step", logs)
        if hooked:
            callbacks.on_test_batch_end(step, logs)
        if model.stop_evaluating:
            break
    results = plain_logs(_final(model, logs, work)) if step >= 0 else {}
    callbacks.on_test_end(results)
    return results


@torch.no_grad()
def predict(model: Any, batches: EndlessEpochs, callbacks: CallbackList) -> Any:
    """Return the predictions for all batches, joined, as NumPy arrays."""
    model.train(False)
    callbacks.on_predict_begin()
    hooked = callbacks.has_predict_batch_hooks
    model.stop_predicting = False
    structure: Any = None
    collected: list[list[torch.Tensor]] = []
    for step, batch in enumerate(batches.epoch()):
        if hooked:
            callbacks.on_predict_batch_begin(step)
        handed = as_handed(batch)
        outputs = model.predict_step(handed)
        if outputs is None:
            _refuse_nothing(model)
        structure = outputs if structure is None else structure
        collected.append([own_memory(one, *tree.flatten(handed)) for one in tree.flatten(outputs)])
        if hooked:
            callbacks.on_predict_batch_end(step, {"outputs": outputs})
        if model.stop_predicting:
            break
    callbacks.on_predict_end()
    return tree.pack(structure, [_joined(parts) for parts in zip(*collected)])


# --- small things ---------------------------------------------------------------------


def plan_steps(model: Any) -> None:
    """Write the step down, for the native kernels or for a GPU, where it is known what it does and it is not yet."""
    if model._plan is None or not model._plan.holds():
        model._plan = make_plan(model) or recorded_steps(model)


def as_handed(batch: tuple[Any, ...]) -> Any:
    """Return a batch as steps get it in Keras: inputs that come alone are not in a tuple, but where they are a list."""
    return batch[0] if len(batch) == 1 and not isinstance(batch[0], (tuple, list)) else batch


def batch_size_of(x: Any) -> int:
    """Return the number of samples in a batch."""
    return (x if isinstance(x, torch.Tensor) else tree.flatten(x)[0]).shape[0]


def _one_number(model: Any, loss: Any) -> torch.Tensor:
    """Return what `compute_loss` returned, if it is a tensor with one number."""
    if isinstance(loss, torch.Tensor) and loss.ndim == 0:
        return loss
    own = type(model).compute_loss is not Steps.compute_loss
    fix = f"return ... as the last line of {type(model).__name__}.compute_loss"
    if isinstance(loss, torch.Tensor):
        fix = "loss.mean()" if own else 'reduction="sum_over_batch_size" in the loss, which is the default'
    elif loss is not None:
        fix = "torch functions, and no .item() or .numpy(), in compute_loss()"
    kind = ValueError if isinstance(loss, torch.Tensor) else TypeError
    raise kind(
        explain(
            f"{type(model).__name__} '{model.name}': its compute_loss() returned {own_parts.described(loss)}.",
            "Expected a tensor with one number: the loss of the batch.",
            fix,
        )
    )


def _refuse_logs(model: Any, step: str, logs: Any) -> None:
    raise TypeError(
        explain(
            f"{type(model).__name__} '{model.name}': its {step}() returned {own_parts.described(logs)}.",
            "Expected a dict of numbers by name: what is shown and kept in the history.",
            f'return {{"loss": loss}} as the last line of {step}',
        )
    )


def _refuse_nothing(model: Any) -> None:
    raise TypeError(
        explain(
            f"{type(model).__name__} '{model.name}': its predict_step() returned None.",
            "Expected a tensor, or a list, tuple or dict of tensors, with a row per sample.",
            f"return ... as the last line of {type(model).__name__}.predict_step",
        )
    )


def _explain_no_gradient(model: Any) -> None:
    """Warn where nothing can learn; raise where the loss has lost its way back to the weights."""
    if not model.trainable_weights:
        warn(
            f"Model '{model.name}' has no weights to train: all are frozen, or it has none.",
            "Expected at least one trainable weight.",
            "layer.trainable = True, then model.compile(...) again",
        )
        return
    raise ValueError(
        explain(
            "The loss has no gradient: it does not depend on any weight that is trained.",
            "Expected a loss computed from the model's outputs with torch functions alone.",
            "no .numpy(), .detach(), .item(), argmax or torch.no_grad() between the outputs and the loss",
        )
    )


def own_memory(output: Any, *inputs: Any) -> Any:
    """Return predictions that share no memory with the data: who changes them must not change that."""
    if not isinstance(output, torch.Tensor) or output.device.type == "meta":
        return output
    place = output.untyped_storage().data_ptr()
    shared = any(isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() == place for one in inputs)
    return output.clone() if shared else output


def _joined(parts: Any) -> np.ndarray:
    parts = [part.float() if part.dtype is torch.bfloat16 else part for part in parts]
    # Joined in the computer's memory: a GPU would need room for all of it twice.
    return (parts[0].cpu() if len(parts) == 1 else torch.cat([part.cpu() for part in parts])).numpy()


def _final(model: Any, logs: Any, work: SharedWork | None = None) -> dict[str, Any]:
    """Return the logs of a whole epoch: the metrics, or what a `train_step` of the user's returned last."""
    if work is not None and work.learn:
        work.settle()
    metrics = model.get_metrics_result() if work is None else work.metrics_result()
    if logs is None or set(logs) == set(metrics):
        return metrics
    return dict(logs) if work is None else work.mean_of(logs)


def _wanted(validation_freq: Any, epoch: int) -> bool:
    if isinstance(validation_freq, int):
        return (epoch + 1) % validation_freq == 0
    return epoch + 1 in validation_freq


def _steps_to_skip(model: Any, epoch: int, initial_epoch: int) -> int:
    """Return how many steps of this epoch were done before, where `BackupAndRestore` resumed in its middle."""
    return (getattr(model, "_initial_step", None) or 0) if epoch == initial_epoch else 0


def _say_interrupted(epoch: int, epochs: int, steps: int) -> None:
    message(
        f"Stopped by Ctrl-C in epoch {epoch + 1} of {epochs}, after {steps} step{'s' * (steps != 1)} of it. "
        "The model keeps what it has learned."
    )
