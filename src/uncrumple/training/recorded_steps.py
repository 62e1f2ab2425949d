"""Steps on a GPU that are recorded once, as a CUDA graph, and then handed over whole.

Python hands a GPU one operation after another, and with a small network or few
rows that takes longer than the GPU computes. Recorded are the forward pass, the
loss and the backward pass. What follows is a handful of operations, and stays
what it is: a learning rate may change, and gradients be clipped, at every step.

A recording knows the GPU's part of a step, and nothing of Python's. So a step is
recorded only where every part of it is known here, nobody looks on, and what
it is given has the shapes of the steps before; and before it is used,
it must give what the ordinary step gives, on two batches in a row. What cannot be
recorded, or gives other numbers, goes the ordinary way.
`compile(run_eagerly=True)` records nothing.

Source: the CUDA programming guide's "CUDA Graphs", and torch's notes on CUDA semantics.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch

from uncrumple.core import own_parts, tree
from uncrumple.core.allocator import freed_memory_kept
from uncrumple.core.hooks import GLOBAL_HOOKS, hooks_of
from uncrumple.core.variable import watch
from uncrumple.data.background import DrawWatch
from uncrumple.optimizers import Optimizer
from uncrumple.training.shared import is_shared

_log = logging.getLogger(__name__)

_WARM_UP = 2  # ordinary steps of one shape before it is recorded
_TRIALS = 2  # steps in which the recording must agree with the ordinary step
# How far apart numbers may be, as a part of the greatest: sums may come in another order.
_NEAR, _NEAR_HALF = 1e-3, 2e-2
# Layers that never wait for a number from the GPU, draw nothing in Python, and keep nothing from step to step but weights.
_NAMES = """Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
    AveragePooling2D AveragePooling3D BatchNormalization Bidirectional Concatenate Conv1D Conv1DTranspose Conv2D
    Conv2DTranspose Conv3D Conv3DTranspose Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D
    Dot Dropout ELU EinsumDense Embedding Flatten Functional GRU GRUCell GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D GroupNormalization GroupQueryAttention GroupedQueryAttention Identity InputLayer LSTM LSTMCell
    LayerNormalization LeakyReLU MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention Multiply
    PReLU Permute RMSNormalization ReLU Relu RepeatVector Reshape SeparableConv1D SeparableConv2D Sequential SimpleRNN
    SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D Subtract UnitNormalization UpSampling1D
    UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D"""
_KNOWN = frozenset(_NAMES.split())
_MOST_DRAWN = 3  # trials in which Python drew random numbers: once may be another thread's doing
_OF_MODELS = ("training", "_trainable")  # what else a model knows changes from step to step
_PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)
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

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Run a block beside the rest of the program, as recording wants it, but one after the other."""
        outside = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            outside.wait_stream(self._stream)

    def has_room(self) -> bool:
        """Return whether the memory of one more step can be kept, and another step be done beside it."""
        held = torch.cuda.memory_allocated(self.device)
        room = torch.cuda.mem_get_info(self.device)[0] + torch.cuda.memory_reserved(self.device) - held
        return room > 2 * (torch.cuda.max_memory_allocated(self.device) - held)

    def record(self, work: Callable[[], Any], generators: list[torch.Generator]) -> tuple[Callable[[], None], Any]:
        """Return what does `work` again, and what it returned, which is overwritten each time; it is not done now."""
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            if generator is not self.generator():  # that one is known to every graph
                graph.register_generator_state(generator)
        pool = torch.cuda.graph_pool_handle()
        try:
            # Threads that read data ahead may ask for memory meanwhile.
            with torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
                result = work()
        except BaseException:
            _failed.append(graph)
            # What CUDA broke off leaves torch putting memory aside for it; where the recording did end, this raises.
            with contextlib.suppress(Exception):
                where = self.device.index or 0
                torch._C._cuda_endAllocateToPool(where, pool)
                torch._C._cuda_releasePool(where, pool)
            raise
        return graph.replay, result


# Recordings that were broken off: torch may point at them still, and after one of them nothing is recorded any more.
_failed: list[Any] = []


def recorder_for(device: torch.device) -> Recorder | None:
    """Return what records steps on a device; None where there is no such thing."""
    return Recorder(device) if device.type == "cuda" and torch.version.cuda is not None and not _failed else None


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
        self._given_up, self._drawn = False, 0
        self._seen: tuple[Any, int] = (None, 0)  # shapes, and how many steps in a row had them
        self._recording: Recording | None = None
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._memory = [*model.parameters(), *model.buffers()]
        # What a forward pass may change: moving averages and the like, and no weight, trained or frozen.
        self._state = [one for one in self._memory if not getattr(one, "_own_trainable", one.requires_grad)]
        self._insides = [vars(module) for module in model.modules()]
        halves = any(inside.get("_compute_in") in (torch.bfloat16, torch.float16) for inside in self._insides)
        self._near = _NEAR_HALF if halves else _NEAR
        self._makeup = self._made_up()

    def holds(self) -> bool:
        """Return whether the model is still what it was, and nobody looks at its layers."""
        return (
            not any(GLOBAL_HOOKS)
            and watch.scope is None
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled(self._weights[0].device.type)
            and all(_same(owner.get(name), value) for owner, name, value in self._makeup[0])
            and not any(self._makeup[1])
            and not any("call" in inside or "forward" in inside for inside in self._insides)
            and [(one.data_ptr(), one.requires_grad) for one in self._memory] == self._makeup[2]
            and not any(one._backward_hooks or one._post_accumulate_grad_hooks for one in self._weights)
            and (self.model.optimizer, self.model._compile_loss, self.model._compile_metrics) == self._makeup[3]
        )

    def _made_up(self) -> Any:
        """Return what a recording takes for granted: settings of layers and losses, hooks, places of weights."""
        model = self.model
        compiled = model._compile_loss
        owners = [*model.modules(), compiled._only]
        punishing = [getattr(module, "activity_regularizer", None) for module in model.modules()]
        punishing += [getattr(weight, "regularizer", None) for weight in self._weights]
        owners += [one for one in punishing if one is not None]
        settings = [
            (vars(owner), name, value)
            for owner in owners
            for name, value in vars(owner).items()
            if (name in _OF_MODELS if hasattr(owner, "train_step") else _is_setting(name, value))
        ]
        hooks = [hooks for module in model.modules() for hooks in hooks_of(module)]
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
            if self.model._compile_metrics is not None:
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
        return loss.detach(), tree.map_structure(_apart, y_pred)

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
            agree: bool | None = False
            try:
                self._put_back(before, generators, drawn)
                if host.drawn():  # the same numbers in every step that is played again
                    self._drawn += 1
                    agree = None if self._drawn < _MOST_DRAWN else False
                elif not any(hasattr(one, "_keras_mask") for one in tree.flatten(outputs)):  # metrics would not see it
                    agree = self._tried(given, parts, generators, drawn, [loss, *gradients, *after])
            except Exception as error:  # whatever torch stumbles over: the ordinary step is done already
                _log.debug("A step could not be recorded: %s", error)
            finally:
                self._put_back(after, generators, drawn_after)
                self._give(gradients)
        if agree is False:
            self._given_up, self._recording = True, None
        return loss, outputs

    def _tried(self, given: Any, parts: Any, generators: Any, drawn: Any, wanted: list[Any]) -> bool:
        recording = self._recording
        if recording is None:
            if not self._recorder.has_room():
                return False
            recording = self._recording = Recording(given)
            filled = iter(recording.given)
            own = tree.pack(parts, [None if leaf is None else next(filled) for leaf in tree.flatten(parts)])
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
        return _agree(wanted, found, self._near)

    def _put_back(self, values: list[torch.Tensor], generators: list[torch.Generator], drawn: list[Any]) -> None:
        with torch.no_grad():
            for one, value in zip(self._state, values, strict=True):
                one.copy_(value)
        for generator, state in zip(generators, drawn, strict=True):
            generator.set_state(state)

    def _generators(self) -> list[torch.Generator]:
        """Return what random numbers of a step may come from: torch's own, and those of layers with a seed."""
        own = [one for inside in self._insides for one in inside.values()]
        own += [one for inside in self._insides for one in (inside.get("_generators") or {}).values()]
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


def _apart(one: torch.Tensor) -> torch.Tensor:
    """Return predictions without the way back to the weights, and with the mask that metrics heed."""
    made, mask = one.detach(), getattr(one, "_keras_mask", None)
    if mask is not None:
        made._keras_mask = mask  # type: ignore[attr-defined]
    return made


def _is_setting(name: str, value: Any) -> bool:
    """Return whether an attribute says what a layer computes, and not what it has made for itself on the way."""
    if isinstance(value, tuple):
        return all(_is_setting("", one) for one in value)
    return (callable(value) or isinstance(value, _PLAIN)) and not (name.startswith("_") and value is None)


def _same(now: Any, before: Any) -> bool:
    return now is before or (type(now) is type(before) and now == before)


def _agree(wanted: list[Any], found: list[Any], near: float) -> bool:
    """Return whether numbers are the same but for the order of sums; NaN is not the same as anything."""
    said = []
    for one, other in zip(wanted, found, strict=True):
        if one is None or other is None:
            if one is not other:
                return False
        elif not one.is_floating_point():
            said.append((one == other).all())
        elif one.numel():
            one, other = one.float(), other.float()
            said.append((one - other).abs().max() <= near * one.abs().max())
    return all(bool(one) for one in said)


def recorded_steps(model: Any) -> RecordedSteps | None:
    """Return what records a model's steps and does them; None where they are not to be recorded."""
    places = {weight.device for weight in model.parameters() if weight.requires_grad}
    recorder = recorder_for(places.pop()) if len(places) == 1 else None
    return RecordedSteps(model, recorder) if recorder is not None and _is_known(model) else None


def _is_known(model: Any) -> bool:
    """Return whether no part of a step is a user's own, and nothing else speaks against recording it."""
    compiled = model._compile_loss
    if model.run_eagerly or model.jit_compile or is_shared() or _scales_its_loss(model.optimizer):
        return False
    if compiled is None or not compiled.built or not getattr(model.optimizer, "built", False):
        return False
    for module in model.modules():
        kind, inside = type(module), vars(module)
        if kind.__name__ not in _KNOWN or own_parts.is_own(module) or any(part in inside for part in _PARTS):
            return False
        if inside.get("stateful") or any(callable(value) and own_parts.is_own(value) for value in inside.values()):
            return False  # an activation, a regularizer; states that stay from batch to batch
    loss, known = compiled._only, (model._loss_tracker, model._compile_metrics)
    if loss is None or any(all(metric is not one for one in known) for metric in model.metrics):
        return False  # metrics that count in Python what a step adds to them
    regularizers = [getattr(one, "regularizer", None) for one in model.parameters()]
    function = getattr(loss, "fn", None)
    if "ctc" in f"{type(loss).__name__} {getattr(function, '__name__', '')}".lower():
        return False  # it asks for the lengths
    return not any(own_parts.is_own(one) for one in (loss, function, *regularizers) if one is not None)


def _scales_its_loss(optimizer: Any) -> bool:
    """Return whether gradients are of another number than the loss, which may change from step to step."""
    own = getattr(type(optimizer), "scale_loss", None)
    return getattr(optimizer, "loss_scale_factor", None) is not None or own not in (None, Optimizer.scale_loss)


@contextlib.contextmanager
def memory_of_steps(model: Any) -> Iterator[None]:
    """Keep what steps of a model free for the next ones, and what was recorded of them, until the end of the block."""
    try:
        with freed_memory_kept():
            yield
    finally:
        if isinstance(model._plan, RecordedSteps):
            model._plan.forget()
            model._plan = None
