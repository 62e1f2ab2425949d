"""Steps on a GPU that are recorded once, as a CUDA graph, and then handed over whole.

Python hands a GPU one operation after another, and with a small network or few
rows that takes longer than the GPU computes. Recorded are the forward pass, the
loss and the backward pass. What follows is a handful of operations, and stays
what it is: a learning rate may change, and gradients be clipped, at every step.

A recording knows the GPU's part of a step, and nothing of Python's. So a step is
recorded only where every part of it is known here, nobody looks on, and what
it is given has the shapes of the steps before; and before it is used,
it must give what the ordinary step gives, on two batches in a row. What cannot be
recorded, or gives other numbers, goes the ordinary way as if nothing had been.
`compile(run_eagerly=True)` records nothing.

Source: the CUDA programming guide's "CUDA Graphs", and torch's notes on CUDA semantics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules import module as torch_module

from uncrumple import layers
from uncrumple.core import own_parts, tree
from uncrumple.core.variable import watch
from uncrumple.data.background import DrawWatch
from uncrumple.optimizers import Optimizer
from uncrumple.training.shared import is_shared

_WARM_UP = 2  # ordinary steps of one shape before it is recorded
_TRIALS = 2  # steps in which the recording must agree with the ordinary step
# How far apart numbers may be, as a part of the greatest: sums may come in another order.
_NEAR, _NEAR_HALF = 1e-3, 2e-2
# What can run a user's code, or hand work to somewhere that a recording does not see.
_UNKNOWN = (layers.Lambda,)
_OF_MODELS = ("training", "_trainable")  # what else a model knows changes from step to step
_PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)
_GLOBAL_HOOKS = (
    torch_module._global_forward_hooks,
    torch_module._global_forward_pre_hooks,
    torch_module._global_backward_hooks,
    torch_module._global_backward_pre_hooks,
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_PARTS = ("__call__", "forward", "call", "train_step", "compute_loss", "compute_metrics", "get_metrics_result")

Result = tuple[torch.Tensor, Any]  # the loss, and the predictions in their structure


class Recorder:
    """Records work for one GPU.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)

    def generator(self) -> torch.Generator:
        """Return what torch draws this GPU's random numbers from."""
        return torch.cuda.default_generators[
            torch.cuda.current_device() if self.device.index is None else self.device.index
        ]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Run a block beside the rest of the program, as recording wants it, but one after the other."""
        outside = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            yield
        outside.wait_stream(self._stream)

    def record(self, work: Callable[[], Any], generators: list[torch.Generator]) -> tuple[Callable[[], None], Any]:
        """Return what does `work` again, and what it returned, which is overwritten each time; it is not done now."""
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            if generator is not self.generator():  # that one is known to every graph
                graph.register_generator_state(generator)
        # Threads that read data ahead may ask for memory meanwhile.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            result = work()
        return graph.replay, result


def recorder_for(device: torch.device) -> Recorder | None:
    """Return what records steps on a device; None where there is no such thing."""
    return Recorder(device) if device.type == "cuda" and torch.version.cuda is not None else None


class Recording:
    """A step for batches of one kind: where they are put, what does the step, and where its results then lie."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        self.given = [one.clone() for one in given]
        self.replay: Callable[[], None] | None = None
        self.result: Any = None
        self.gradients: list[torch.Tensor | None] = []
        self.agreed = 0

    def takes(self, given: list[torch.Tensor]) -> bool:
        return len(given) == len(self.given) and all(
            one.shape == own.shape and one.dtype is own.dtype and one.device == own.device
            for one, own in zip(given, self.given, strict=True)
        )

    def put(self, given: list[torch.Tensor]) -> None:
        for own, one in zip(self.given, given, strict=True):
            own.copy_(one, non_blocking=True)


class RecordedSteps:
    """The training steps of one model; `step` does one, or says that it is to be done the ordinary way.

    Args:
        model: A compiled model of known parts.
        recorder: What its device records with.
    """

    def __init__(self, model: Any, recorder: Recorder) -> None:
        self.model, self._recorder = model, recorder
        self._given_up = False
        self._seen: tuple[Any, int] = (None, 0)  # shapes, and how many steps in a row had them
        self._recording: Recording | None = None
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._memory = [*model.parameters(), *model.buffers()]
        # What a forward pass may change: moving averages and the like, and no weight, trained or frozen.
        self._state = [one for one in self._memory if not getattr(one, "_own_trainable", one.requires_grad)]
        self._makeup = self._made_up()

    def holds(self) -> bool:
        """Return whether the model is still what it was, and nobody looks at its layers."""
        return (
            not any(_GLOBAL_HOOKS)
            and watch.scope is None
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled(self._weights[0].device.type)
            and all(owner.get(name) == value for owner, name, value in self._makeup[0])
            and not any(self._makeup[1])
            and [(one.data_ptr(), one.requires_grad) for one in self._memory] == self._makeup[2]
            and not any(one._backward_hooks or one._post_accumulate_grad_hooks for one in self._weights)
            and (self.model.optimizer, self.model._compile_loss, self.model._compile_metrics) == self._makeup[3]
        )

    def _made_up(self) -> Any:
        """Return what a recording takes for granted: settings of layers and losses, hooks, places of weights."""
        model = self.model
        compiled = model._compile_loss
        owners = [*model.modules(), compiled._only]
        owners += [weight.regularizer for weight in self._weights if getattr(weight, "regularizer", None) is not None]
        settings = [
            (vars(owner), name, value)
            for owner in owners
            for name, value in vars(owner).items()
            if (name in _OF_MODELS if hasattr(owner, "train_step") else _is_setting(name, value))
        ]
        hooks = [getattr(module, name) for module in model.modules() for name in _HOOKS]
        places = [(one.data_ptr(), one.requires_grad) for one in self._memory]
        return settings, hooks, places, (model.optimizer, compiled, model._compile_metrics)

    def step(self, x: Any, y: Any, sample_weight: Any) -> bool:
        """Do a step, metrics included; return False, with nothing done, where that is for the ordinary way to do."""
        if self._given_up:
            return False
        parts = (x, y, sample_weight)
        given = [leaf for leaf in tree.flatten(parts) if leaf is not None]
        if not all(type(leaf) is torch.Tensor for leaf in given) or not self.holds():
            return False
        recording = self._recording
        if recording is None:
            shapes = [(one.shape, one.dtype, one.device) for one in given]
            seen = self._seen[1] + 1 if shapes == self._seen[0] else 1
            self._seen = shapes, seen
            if seen <= _WARM_UP or any(one.device != self._weights[0].device for one in given):
                return False
        elif not recording.takes(given):
            return False  # the last batch of an epoch, with fewer rows
        if recording is not None and recording.agreed == _TRIALS:
            recording.put(given)
            assert recording.replay is not None
            recording.replay()
            loss, outputs = recording.result
            outputs = tree.map_structure(torch.clone, outputs)  # a metric may keep them
            self._give(recording.gradients)
        else:
            loss, outputs = self._on_trial(given, parts)
        model = self.model
        model._loss_tracker.update_state(loss, sample_weight=tree.flatten(x)[0].shape[0])
        model.optimizer.step()
        model.compute_metrics(x, y, outputs, sample_weight)
        return True

    def _give(self, gradients: list[torch.Tensor | None]) -> None:
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight.grad = gradient

    def _forward_and_backward(self, parts: Any) -> Result:
        x, y, sample_weight = parts
        model = self.model
        self._give([None] * len(self._weights))
        y_pred = model(x)
        loss = model.compute_loss(x, y, y_pred, sample_weight)
        loss.backward()
        return loss.detach(), tree.map_structure(lambda one: one.detach(), y_pred)

    def _on_trial(self, given: list[torch.Tensor], parts: Any) -> Result:
        """Do the forward and backward pass in the ordinary way, and see whether a recording would do the same."""
        generators, host = self._generators(), DrawWatch()
        drawn = [one.get_state() for one in generators]
        before = [one.detach().clone() for one in self._state]
        with self._recorder.aside():
            loss, outputs = self._forward_and_backward(parts)
            gradients = [weight.grad for weight in self._weights]
            after = [one.detach().clone() for one in self._state]
            drawn_after = [one.get_state() for one in generators]
            try:
                self._put_back(before, generators, drawn)
                # Random numbers that Python draws would be the same in every step that is played again.
                wanted = [loss, *gradients, *after]
                agree = not host.drawn() and self._tried(given, parts, generators, drawn, wanted)
            except Exception:  # whatever torch stumbles over: the ordinary step is done already
                agree = False
            finally:
                self._put_back(after, generators, drawn_after)
        self._give(gradients)
        if not agree:
            self._given_up, self._recording = True, None
        return loss, outputs

    def _tried(self, given: Any, parts: Any, generators: Any, drawn: Any, wanted: list[Any]) -> bool:
        recording = self._recording
        if recording is None:
            recording = self._recording = Recording(given)
            filled = iter(recording.given)
            own = tree.map_structure(lambda leaf: None if leaf is None else next(filled), parts)
            recording.replay, recording.result = self._recorder.record(
                lambda: self._forward_and_backward(own), generators
            )
            recording.gradients = [weight.grad for weight in self._weights]
            for generator, state in zip(generators, drawn, strict=True):
                generator.set_state(state)
        assert recording.replay is not None
        recording.put(given)
        recording.replay()
        found = [recording.result[0], *recording.gradients, *(one.detach() for one in self._state)]
        recording.agreed += 1
        return _agree(wanted, found)

    def _put_back(self, values: list[torch.Tensor], generators: list[torch.Generator], drawn: list[Any]) -> None:
        with torch.no_grad():
            for one, value in zip(self._state, values, strict=True):
                one.copy_(value)
        for generator, state in zip(generators, drawn, strict=True):
            generator.set_state(state)

    def _generators(self) -> list[torch.Generator]:
        """Return what random numbers of a step may come from: torch's own, and those of layers with a seed."""
        own = [getattr(module, "_generator", None) for module in self.model.modules()]
        device = self._weights[0].device.type
        seeded = [one for one in own if isinstance(one, torch.Generator) and one.device.type == device]
        return [self._recorder.generator(), *{id(one): one for one in seeded}.values()]

    def forget(self) -> None:
        """Give the memory back."""
        if self._recording is not None:
            self._give([None] * len(self._weights))
        self._recording = None

    def __reduce__(self) -> Any:
        return type(None), ()  # a copy of the model records its own


def _is_setting(name: str, value: Any) -> bool:
    """Return whether an attribute says what a layer computes, and not what it has made for itself on the way."""
    return (callable(value) or isinstance(value, _PLAIN)) and not (name.startswith("_") and value is None)


def _agree(wanted: list[Any], found: list[Any]) -> bool:
    """Return whether numbers are the same but for the order of sums; NaN is not the same as anything."""
    said = []
    for one, other in zip(wanted, found, strict=True):
        if one is None or other is None:
            if one is not other:
                return False
        elif not one.is_floating_point():
            said.append((one == other).all())
        elif one.numel():
            near = _NEAR if one.dtype in (torch.float32, torch.float64) else _NEAR_HALF
            one, other = one.float(), other.float()
            said.append((one - other).abs().max() <= near * one.abs().max())
    return all(bool(one) for one in said)


def recorded_steps(model: Any) -> RecordedSteps | None:
    """Return what records a model's steps and does them; None where they are not to be recorded."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    places = {one.device for one in weights}
    if len(places) != 1 or not _is_known(model):
        return None
    recorder = recorder_for(places.pop())
    return None if recorder is None else RecordedSteps(model, recorder)


def _is_known(model: Any) -> bool:
    """Return whether no part of a step is a user's own, and nothing else speaks against recording it."""
    compiled = model._compile_loss
    if model.run_eagerly or model.jit_compile or is_shared() or _scales_its_loss(model.optimizer):
        return False
    if compiled is None or not compiled.built or not getattr(model.optimizer, "built", False):
        return False
    for module in model.modules():
        if own_parts.is_own(module) or isinstance(module, _UNKNOWN) or any(part in vars(module) for part in _PARTS):
            return False
        if any(callable(value) and own_parts.is_own(value) for value in vars(module).values()):
            return False  # an activation, a regularizer
    loss, known = compiled._only, (model._loss_tracker, model._compile_metrics)
    if loss is None or any(all(metric is not one for one in known) for metric in model.metrics):
        return False  # metrics that count in Python what a step adds to them
    regularizers = [getattr(one, "regularizer", None) for one in model.parameters()]
    return not any(own_parts.is_own(one) for one in (loss, getattr(loss, "fn", None), *regularizers) if one is not None)


def _scales_its_loss(optimizer: Any) -> bool:
    """Return whether gradients are of another number than the loss, which may change from step to step."""
    own = getattr(type(optimizer), "scale_loss", None)
    return getattr(optimizer, "loss_scale_factor", None) is not None or own not in (None, Optimizer.scale_loss)


@contextmanager
def recordings_of(model: Any) -> Iterator[None]:
    """Let steps be recorded inside the block; what they take up is given back at its end."""
    try:
        yield
    finally:
        if isinstance(model._plan, RecordedSteps):
            model._plan.forget()
            model._plan = None
