"""Predictions of a chain of known layers, straight from one to the next.

A call of a layer looks after much: masks, hooks, types, losses that layers
add. For one sample that takes longer than the numbers. Where a model is a
chain of layers that are known here, and nobody looks on, `predict` on arrays
in memory calls what the layers call, with the same results. Whether that
holds is asked anew for each `predict`; whatever is not known here goes the
ordinary way, in `training/loop.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple import activations, layers
from uncrumple.core.hooks import GLOBAL_HOOKS, hooks_of
from uncrumple.core.settings import max_steps_per_epoch
from uncrumple.kernels import native
from uncrumple.kernels.convolution import convolve, takes_ending
from uncrumple.kernels.convolution_native import Ending, Geometry, OneKernel, convolve_and_end, for_one_kernel
from uncrumple.kernels.dense import MANY_WEIGHTS, multiply_add_row, multiply_add_wide
from uncrumple.kernels.pooling import max_pool
from uncrumple.kernels.transforms import watched
from uncrumple.layers import symbolic
from uncrumple.models.fusion import Fused
from uncrumple.training.loop import Steps, own_memory
from uncrumple.training.shared import is_shared

Step = Callable[[torch.Tensor], torch.Tensor]

_KINDS = (np.dtype("float32"), torch.float32)


def predict_at_once(model: Any, x: Any, batch_size: int | None) -> np.ndarray | None:
    """Return the predictions for an array in memory, or None if they must be found the ordinary way.

    Args:
        model: Any model.
        x: What `predict` was given; only float32 arrays and tensors of the model's own shape are known here.
        batch_size: Rows at a time; 32 by default.
    """
    if type(x) not in (np.ndarray, torch.Tensor) or x.dtype not in _KINDS or not len(x.shape) or not x.shape[0]:
        return None
    if not (batch_size is None or (type(batch_size) is int and batch_size > 0)):
        return None
    graph = model._graph
    if graph is None or graph._links is None or is_shared() or max_steps_per_epoch() is not None:
        return None
    if graph.inference is None:
        graph.inference = Inference(graph)
    inference = graph.inference
    if not inference.holds(model) or tuple(x.shape[1:]) != inference.shape:
        return None
    if isinstance(x, torch.Tensor):
        rows = x.detach()
    else:
        if not (x.flags.c_contiguous and x.flags.writeable and x.dtype.isnative):
            return None
        rows = torch.from_numpy(x)
    if rows.device.type != "cpu" or rows.layout is not torch.strided:
        return None
    most = batch_size or 32
    with torch.no_grad():
        if len(rows) <= most:
            out = inference(rows) if inference.multiplies else own_memory(inference(rows), rows)
        else:
            out = torch.cat([inference(part) for part in rows.split(most)])
    return (out.float() if out.dtype is torch.bfloat16 else out).numpy()


class Inference:
    """The steps from the input of a graph to its output.

    Args:
        graph: A chain, with its links.
    """

    def __init__(self, graph: Any) -> None:
        shape, kind = graph._expected[0]
        self.shape: tuple[int | None, ...] = tuple(shape[1:])
        self._layers = list(graph._chain)
        known = str(kind).removeprefix("torch.") == "float32" and None not in self.shape
        made: list[Step | None] = [] if known else [None]
        least = MANY_WEIGHTS
        for link in graph._links if known else ():
            made.append(_step(link, least))
            if type(link) is layers.Dense and link.built and link.kernel.numel() >= MANY_WEIGHTS:
                least = 0  # so many weights push torch's own product out of the caches, and the native one is there
        self._steps: list[Step] | None = None
        if all(step is not None for step in made):
            self._steps = [step for step in made if step is not None and step is not _nothing]
        # Then the predictions are new numbers, and not a view of what came in.
        self.multiplies = any(isinstance(layer, (layers.Dense, layers.Conv2D)) for layer in self._layers)
        self._states = [(layer, type(layer), layer._own_policy) for layer in self._layers]
        self._hooks = [hooks for layer in self._layers for hooks in hooks_of(layer)]

    def holds(self, model: Any) -> bool:
        """Return whether the layers still do what was written down, and nobody looks on."""
        if self._steps is None or any(GLOBAL_HOOKS) or any(self._hooks):
            return False
        if model._forward_hooks or model._forward_pre_hooks or symbolic.state.active or watched():
            return False
        kind, own = type(model), model.__dict__
        if kind.predict_step is not Steps.predict_step or not _calls_as_usual(kind) or not native.available():
            return False
        if "call" in own or "forward" in own or "predict_step" in own or own.get("activity_regularizer") is not None:
            return False
        for layer, cls, policy in self._states:
            inside = layer.__dict__
            if type(layer) is not cls or inside["_own_policy"] is not policy or inside.get("lora_enabled"):
                return False
            if "call" in inside or "forward" in inside or inside.get("activity_regularizer") is not None:
                return False
        return True

    def __reduce__(self) -> Any:
        return type(None), ()  # a copy of the graph writes down its own

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        assert self._steps is not None
        for step in self._steps:
            x = step(x)
        return x


def _calls_as_usual(kind: type) -> bool:
    """Return whether a class of models leaves calling to `Model` and `Sequential`."""
    from uncrumple.models.model import Model
    from uncrumple.models.sequential import Sequential

    usual: Any = kind
    own = usual.__call__ is Model.__call__ and usual.forward is Model.forward
    return own and usual.call in (Model.call, Sequential.call)


def _step(link: Any, least: int) -> Step | None:
    """Return what a link does to a batch; None if that is not known here."""
    if type(link) is Fused:
        return _convolution(link.parts[0], link.parts[1].pool_size) if _is_plain(*link.parts) else None
    if type(link) is layers.Dense:
        return _dense(link, least) if _is_plain(link) else None
    write = _WRITERS.get(type(link))
    return write(link) if write is not None and _is_plain(link) else None


def _is_plain(*parts: Any) -> bool:
    """Return whether layers compute in one type, on the CPU, with weights of their own."""
    for part in parts:
        plain = part.autocast and part._remat_mode is None and part._own_policy.quantization_mode is None
        if not plain or not all(
            weight.device.type == "cpu" for weight in part._parameters.values() if weight is not None
        ):
            return False
    return True


def _nothing(x: torch.Tensor) -> torch.Tensor:
    return x


def _dense(layer: Any, least: int) -> Step:
    weights, kind, wide = layer._parameters, layer._compute_in, layer._cast_weights_to is torch.bfloat16
    relu = layer.activation is activations.relu
    activate = None if relu or layer.activation is activations.linear else layer.activation

    def step(x: torch.Tensor) -> torch.Tensor:
        x = x if x.dtype is kind else x.to(kind)
        kernel, bias = weights["kernel"], weights.get("bias")
        if wide:
            out = multiply_add_wide(x, kernel, bias, relu)
        else:
            if kernel.dtype is not kind or (bias is not None and bias.dtype is not kind):
                kernel, bias = kernel.to(kind), _to(bias, kind)
            out = multiply_add_row(x, kernel, bias, relu, least)
        return out if activate is None else activate(out)

    return step


# Of batches that a step remembers.
_MOST_SHAPES = 64


def _fits(bias: torch.Tensor | None, kernel: torch.Tensor) -> bool:
    return bias is None or bias.shape == kernel.shape[-1:]


def _to(bias: torch.Tensor | None, kind: torch.dtype) -> torch.Tensor | None:
    return None if bias is None else bias.to(kind)


def _convolution(layer: Any, window: tuple[int, int] | None = None) -> Step:
    weights, kind = layer._parameters, layer._compute_in
    relu = layer.activation is activations.relu
    activate = None if relu or layer.activation is activations.linear else layer.activation
    # Where nothing is padded, or as much on both sides, all is known but the numbers.
    geometry = Geometry(layer.strides, (0, 0), layer.dilation_rate, layer.groups)
    simple = layer.padding == "valid" and layer._channels_last and activate is None and (relu or window is not None)
    ending = Ending(relu, window)
    settings: dict[str, Any] = {
        "strides": layer.strides,
        "dilation": layer.dilation_rate,
        "padding": layer.padding,
        "groups": layer.groups,
        "channels_last": layer._channels_last,
    }

    # By the shapes of batch and kernel: how one native kernel does it all.
    found: dict[Any, OneKernel | None] = {}

    def step(x: torch.Tensor) -> torch.Tensor:
        x = x if x.dtype is kind else x.to(kind)
        kernel, bias = weights["kernel"], weights.get("bias")
        if kernel.dtype is not kind:
            kernel, bias = kernel.to(kind), None if bias is None else bias.to(kind)
        if simple:
            shapes = x.shape, kernel.shape
            alone = found.get(shapes)
            # `holds` has seen that nobody looks on.
            if alone is not None and native.takes(x, kernel, bias, half=True) and _fits(bias, kernel):
                return alone.run(x.contiguous(), kernel, bias)
        known = takes_ending(x, kernel, bias)
        if simple and known:
            image, weight = x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1)
            if shapes not in found and len(found) < _MOST_SHAPES:
                found[shapes] = for_one_kernel(image, weight, geometry, ending)
            return convolve_and_end(image, weight, bias, geometry, ending).permute(0, 2, 3, 1)
        if window is None:
            out = convolve(x, kernel, bias, **settings, relu=relu)
        elif known:
            out = convolve(x, kernel, bias, **settings, ending=ending)
        else:
            out = max_pool(convolve(x, kernel, bias, **settings, relu=relu), window, window)
        return out if activate is None else activate(out)

    return step


def _flatten(layer: Any) -> Step | None:
    return None if layer.data_format == "channels_first" else lambda x: x.flatten(1)


def _activation(layer: Any) -> Step:
    activate, kind = layer.activation, layer._compute_in
    return lambda x: activate(x if x.dtype is kind else x.to(kind))


_WRITERS: dict[type, Callable[[Any], Step | None]] = {
    layers.Conv2D: _convolution,
    layers.Flatten: _flatten,
    layers.Dropout: lambda layer: _nothing,
    layers.Activation: _activation,
}
