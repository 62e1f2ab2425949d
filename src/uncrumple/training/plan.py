"""Steps of dense networks by one call of the native kernels.

In a small network the matrix products take a few microseconds, and a hundred
goes into calling torch. Where a model is a chain of dense layers, with
dropout between them, the whole step (forward, loss, backward, update) is
written down once as a program on memory that stays where it is.

It is the same step: the same formulas, the same draws of random numbers, the
same order. Whatever is not known here (another layer, a hook, a penalty, a
loss or a `train_step` of one's own) goes the ordinary way in `loop.py`; this
is found out anew before each step, so that hooks may come and layers be
frozen at any time.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import torch
from torch.autograd.graph import increment_version

from uncrumple import activations, layers, losses, metrics, optimizers
from uncrumple.core.errors import explain
from uncrumple.core.hooks import GLOBAL_HOOKS, hooks_of
from uncrumple.core.settings import USUAL_EPSILON, epsilon
from uncrumple.core.variable import gradient_of
from uncrumple.kernels import native
from uncrumple.kernels.dropout import draw_seed
from uncrumple.kernels.native import program as native_program
from uncrumple.losses.base import BuiltinLoss
from uncrumple.optimizers.adam import one_minus_power
from uncrumple.training.shared import is_shared
from uncrumple.training.step_writer import Stage, StepWriter, weights_of

_ACTIVATIONS = {
    activations.linear: "linear",
    activations.relu: "relu",
    activations.tanh: "tanh",
    activations.sigmoid: "sigmoid",
    activations.softmax: "softmax",
}
_MOST_SIZES = 8  # how many sizes of batches programs are kept for


def make_plan(model: Any) -> Plan | None:
    """Return a plan of a compiled model's training step, or None if it is not a chain of dense layers."""
    if not native.available() or model._graph is None or model.jit_compile or _is_own(model) or is_shared():
        return None
    stages = _stages(model._graph._chain or [])
    optimizer = model.optimizer
    if stages is None or not getattr(optimizer, "built", False) or model._extra_losses():
        return None
    if optimizer.loss_scale_factor or type(optimizer).scale_loss is not optimizers.Optimizer.scale_loss:
        return None
    weights = [weight for stage in stages for weight in (stage.dense.kernel, stage.dense.bias) if weight is not None]
    if (
        not native.takes(*weights)
        or not all(weight.is_contiguous() for weight in weights)
        or not _fit_together(stages)
        or _overlap(weights)
        or torch.is_autocast_enabled("cpu")
    ):
        return None
    known = {id(weight) for weight in optimizer._weights}
    if len(known) != len(weights) or any(id(weight) not in known for weight in weights):
        return None
    return Plan(model, stages, weights)


def _fit_together(stages: list[Stage]) -> bool:
    """Return whether weights have the shapes that they were built with: one that does not fit is torch's to refuse."""
    widths = [stage.dense.units for stage in stages]
    shapes = zip([stages[0].dense.kernel.shape[0], *widths], widths, strict=False)
    return all(
        stage.dense.kernel.shape == shape and (stage.dense.bias is None or stage.dense.bias.shape == shape[1:])
        for stage, shape in zip(stages, shapes, strict=True)
    )


def _overlap(weights: list[Any]) -> bool:
    """Return whether weights share memory: then it matters when each of them is moved."""
    places = sorted((weight.data_ptr(), weight.data_ptr() + weight.nbytes) for weight in weights)
    return any(end > begin for (_, end), (begin, _) in itertools.pairwise(places))


def _is_own(model: Any) -> bool:
    """Return whether a user's code is part of the model's step."""
    parts = ("__call__", "forward", "call", "train_step", "compute_loss", "compute_metrics", "get_metrics_result")
    for name in parts:
        method = getattr(type(model), name)
        if name in model.__dict__ or not (method.__module__ or "").startswith("uncrumple."):
            return True
    compiled = model._compile_loss
    loss = compiled._only if compiled is not None and compiled.built else None
    return not isinstance(loss, BuiltinLoss) or not type(loss).__module__.startswith("uncrumple.")


def _stages(chain: list[Any]) -> list[Stage] | None:
    """Return the chain as dense layers with what follows each, or None if there is anything else."""
    found: list[Stage] = []
    kind_of_input = None
    for layer in chain:
        kind = type(layer)
        if layer.activity_regularizer is not None:
            return None
        if kind is layers.Dense:
            if _ACTIVATIONS.get(layer.activation) is None or layer.kernel.dim() != 2:
                return None
            half = layer._cast_weights_to is torch.bfloat16
            if not half and (layer._cast_weights_to is not None or layer._compute_in is not torch.float32):
                return None
            if not found and kind_of_input not in (None, layer._compute_in):
                return None
            found.append(Stage(layer, _ACTIVATIONS[layer.activation], None, half))
        elif kind is layers.Flatten:
            if found:
                return None
            kind_of_input = layer._compute_in
        elif not found or layer._compute_in is not found[-1].dense._compute_in:
            return None
        elif kind is layers.Dropout:
            if layer.noise_shape is not None or found[-1].dropout is not None or not layer.rate < 1:
                return None
            found[-1] = found[-1]._replace(dropout=layer if layer.rate else None)
        elif kind in (layers.Activation, layers.ReLU, layers.Softmax):
            name = _name_of_activation(layer)
            if name is None or found[-1].activation != "linear" or found[-1].dropout is not None:
                return None
            found[-1] = found[-1]._replace(activation=name)
        else:
            return None
    if not found or any(stage.activation == "softmax" for stage in found[:-1]):
        return None
    last = found[-1]
    # The last activation is computed together with the loss, in float32.
    whole = last.dropout is None and (last.activation == "linear" or not last.half)
    return found if whole or (last.activation != "softmax" and not last.half) else None


def _name_of_activation(layer: Any) -> str | None:
    if type(layer) is layers.Activation:
        return _ACTIVATIONS.get(layer.activation)
    if type(layer) is layers.ReLU:
        plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
        return "relu" if plain else None
    return "softmax" if layer.axis == -1 else None


class _Sized(NamedTuple):
    """The program for one number of samples, and which of its fields change from step to step."""

    program: native_program.Program
    operations: Any
    forward: int
    inputs: tuple[tuple[int, int], ...]
    labels: int | None
    dropouts: tuple[tuple[Any, tuple[int, ...]], ...]
    last: torch.Tensor
    d_last: torch.Tensor


class Plan:
    """The training step of one model; `step` does it, or says that it cannot.

    Args:
        model: A compiled and built model.
        stages: What it consists of.
        weights: Their kernels and biases.
    """

    def __init__(self, model: Any, stages: list[Stage], weights: list[Any]) -> None:
        self.model, self.stages = model, stages
        self.features = stages[0].dense.kernel.shape[0]
        self._compiled = (model.optimizer, model._compile_loss, model._compile_metrics)
        self._weights = weights
        self._owners = [(stage.dense._parameters, name) for stage in stages for name in ("kernel", "bias")]
        self._owners = [(owned, name) for owned, name in self._owners if owned.get(name) is not None]
        self._places = [weight.data_ptr() for weight in weights]
        self._shapes = [weight.shape for weight in weights]
        self._gradients = [torch.empty_like(weight, requires_grad=False) for weight in weights]
        self._trained = [weight.requires_grad for weight in weights]
        watchable = [model, *model._graph._chain]
        self._hooks = [*GLOBAL_HOOKS, *(hooks for layer in watchable for hooks in hooks_of(layer))]
        self._crossentropy = _is_crossentropy(model._compile_loss, stages[-1])
        self._accuracy = _only_accuracy(model._compile_metrics) if self._crossentropy else None
        self._settings = native_program.AdamSettings()
        self._adam = self._has_plain_adam(model.optimizer)
        # The metrics that the program adds to.
        slots = [slot for weight in weights for slot in model.optimizer.state[weight].values()]
        self._slots = [(slot, slot.data_ptr()) for slot in slots] if self._adam else []
        self._counters = [model._loss_tracker, *([self._accuracy] if self._accuracy is not None else [])]
        self._counter_places = [metric.total.data_ptr() for metric in self._counters]
        self._sized: dict[int, _Sized] = {}
        self.epochs: Any = None  # what `native_epochs.py` keeps

    def __reduce__(self) -> Any:
        return _nothing, ()  # a copy of the model makes a plan of its own

    # --- may it be used? ------------------------------------------------------------------

    def _has_plain_adam(self, optimizer: Any) -> bool:
        """Return whether the update is Adam's formula and nothing else."""
        return (
            type(optimizer) in (optimizers.Adam, optimizers.AdamW)
            and all(self._trained)
            and optimizer._fused
            and not optimizer.amsgrad
            and not (optimizer.clipnorm or optimizer.clipvalue or optimizer.global_clipnorm)
            and not (optimizer.use_ema or optimizer.gradient_accumulation_steps or optimizer.loss_scale_factor)
            and not optimizer._constrained
            and (not optimizer.weight_decay or optimizer._decay_is_fused)
            and all(
                slot.shape == weight.shape and slot.dtype is weight.dtype and slot.is_contiguous()
                for weight in self._weights
                for slot in optimizer.state[weight].values()
            )
        )

    def holds(self) -> bool:
        """Return whether everything still is as it was when the plan was made."""
        model = self.model
        if any(self._hooks) or self._compiled != (model.optimizer, model._compile_loss, model._compile_metrics):
            return False
        for (owned, name), weight, place, shape, trained in zip(
            self._owners, self._weights, self._places, self._shapes, self._trained
        ):
            if (
                owned.get(name) is not weight
                or weight.data_ptr() != place
                or weight.shape != shape
                or not weight.is_contiguous()
                or weight.requires_grad is not trained
                or weight._backward_hooks
                or weight._post_accumulate_grad_hooks
            ):
                return False
        if any(slot.data_ptr() != place for slot, place in self._slots):
            return False
        return [metric.total.data_ptr() for metric in self._counters] == self._counter_places

    # --- a step -----------------------------------------------------------------------------

    def step(self, x: Any, y: Any, sample_weight: Any) -> bool:
        """Learn from one batch, metrics included; False if it must be done the ordinary way, and nothing was done."""
        if type(x) is not torch.Tensor or x.dtype is not torch.float32 or not x.is_contiguous():
            return False
        samples = x.shape[0]
        if not samples or x.numel() != samples * self.features or x.device.type != "cpu" or not self.holds():
            return False
        counted = self._crossentropy and sample_weight is None
        labels = _labels(y, samples) if counted else None
        if self._crossentropy and labels is None:
            return False
        sized = self._sized.get(samples) or self._write(samples)
        operations = sized.operations
        place = x.data_ptr()
        for number, argument in sized.inputs:
            operations[number].memory[argument] = place
        for layer, numbers in sized.dropouts:
            seed = draw_seed(layer._source(x))
            for number in numbers:
                operations[number].sizes[2] = seed
        if labels is not None:
            operations[sized.labels].memory[1] = labels.data_ptr()
        if counted:
            self._begin_update()
            self._run(sized, 0, None)
        else:
            self._run(sized, 0, sized.forward)
            self._ordinary_loss(sized, x, y, sample_weight)
            self._begin_update()
            self._run(sized, sized.forward, None)
        for weight, gradient, trained in zip(self._weights, self._gradients, self._trained):
            if trained and gradient_of(weight) is not gradient:
                weight.grad = gradient
        if self._adam:
            increment_version(self._weights)
            self.model.optimizer._iterations += 1
        else:
            self.model.optimizer.step()
        if counted:
            for metric in self._counters:
                metric.count_in(samples)
        if self._accuracy is None:
            # With the cross-entropy, the program has turned the last sums into probabilities in their place.
            y_pred = sized.last if counted else _prediction(self.stages[-1], sized.last)
            self.model.compute_metrics(x, y, y_pred, sample_weight)
        return True

    def _run(self, sized: _Sized, first: int, last: int | None) -> None:
        try:
            sized.program.run(first, last)
        except IndexError:
            classes = sized.last.shape[1]
            raise ValueError(
                explain(
                    "A label in y is not the number of a class.",
                    f"Expected whole numbers from 0 to {classes - 1}: the last layer has {classes} units.",
                    "print(y.min(), y.max())",
                )
            ) from None

    def _ordinary_loss(self, sized: _Sized, x: Any, y: Any, sample_weight: Any) -> None:
        """Compute the loss with torch from the last sums, and leave their gradient where the program reads it."""
        leaf = sized.last.detach().requires_grad_()
        model = self.model
        loss = model.compute_loss(x, y, _prediction(self.stages[-1], leaf), sample_weight)
        model._loss_tracker.update_state(loss.detach(), sample_weight=x.shape[0])
        (gradient,) = torch.autograd.grad(loss, leaf)
        sized.d_last.copy_(gradient)

    def _begin_update(self) -> None:
        optimizer = self.model.optimizer
        if not self._adam:
            return
        settings = self._settings
        rate = optimizer._current_rate()
        beta_1, beta_2 = optimizer._settings["betas"]
        update = optimizer._iterations + 1
        correction = math.sqrt(one_minus_power(beta_2, update, torch.float32))
        settings.rate = rate * correction / one_minus_power(beta_1, update, torch.float32)
        settings.beta_1, settings.beta_2, settings.epsilon = beta_1, beta_2, optimizer.epsilon
        settings.keep = 1.0 - (optimizer.weight_decay or 0.0) * rate

    # --- writing the program -------------------------------------------------------------------

    def _write(self, samples: int) -> _Sized:
        """Write the program for batches of so many samples, and keep it."""
        writer = StepWriter(samples, self.stages)
        for index in range(len(self.stages)):
            writer.forward(index)
        forward = len(writer.made)
        labels = None
        if self._crossentropy:
            totals = [metric.total for metric in self._counters]
            labels = writer.crossentropy(totals)
            forward = len(writer.made)
        gradients = {
            id(weight): gradient
            for weight, gradient, trained in zip(self._weights, self._gradients, self._trained)
            if trained
        }
        moves = {}
        if self._adam:
            for weight in self._weights:
                state = self.model.optimizer.state[weight]
                moves[id(weight)] = state["momentum"], state["velocity"], self._settings
        for index in range(len(self.stages) - 1, -1, -1):
            further = any(id(weight) in gradients for below in self.stages[:index] for weight in weights_of(below))
            writer.backward(index, gradients, further, moves)
            if not further:
                break  # everything before it is frozen
        dropouts = tuple((self.stages[index].dropout, tuple(numbers)) for index, numbers in writer.dropouts.items())
        sized = _Sized(
            writer.made,
            writer.made.finish(),
            forward,
            tuple(writer.inputs),
            labels,
            dropouts,
            writer.outputs[-1],
            writer.d_outputs[-1],
        )
        if len(self._sized) == _MOST_SIZES:
            del self._sized[next(iter(self._sized))]
        self._sized[samples] = sized
        return sized


def _nothing() -> None:
    """What a plan is copied to."""


def _prediction(stage: Stage, sums: torch.Tensor) -> torch.Tensor:
    """Return what the last layer gives for its sums."""
    activation: Any = {name: function for function, name in _ACTIVATIONS.items()}[stage.activation]
    return sums if stage.activation == "linear" else activation(sums)


def _is_crossentropy(compiled: Any, last: Stage) -> bool:
    """Return whether the loss is the mean sparse cross-entropy of what the last layer gives."""
    loss = compiled._only if compiled is not None and compiled.built else None
    if type(loss) is not losses.SparseCategoricalCrossentropy or not loss._takes_short_way:
        return False
    if epsilon() != USUAL_EPSILON:  # the native code knows no other
        return False
    fits = last.activation == ("linear" if loss.from_logits else "softmax")
    several = last.dense.units > 1 and last.dropout is None
    return fits and several and loss.ignore_class is None and loss.axis in (-1, 1) and loss.dtype == "float32"


def _only_accuracy(compiled: Any) -> Any:
    """Return the accuracy if it is the only metric and leaves weights out, else None."""
    if compiled is None or not compiled.built or len(compiled._entries) != 1 or not compiled._single:
        return None
    _, metric, _, weighted = compiled._entries[0]
    return metric if type(metric) is metrics.SparseCategoricalAccuracy and not weighted else None


def _labels(y: Any, samples: int) -> torch.Tensor | None:
    """Return the class numbers, one per sample, as the kernel reads them; None if they are something else."""
    if type(y) is not torch.Tensor or y.numel() != samples or y.dim() not in (1, 2) or y.shape[0] != samples:
        return None
    if y.is_floating_point() or y.dtype is torch.bool:
        return None
    return y.to(torch.int64).contiguous()
