"""The chain rule for one weight: how the gradient came to it, layer by layer, from the loss."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from uncrumple import layers as L
from uncrumple.core import tree
from uncrumple.core.quick_torch import without_compiler
from uncrumple.explain.tracing.activating import is_linear, name_of, needs_row
from uncrumple.explain.tracing.arithmetic import full
from uncrumple.explain.tracing.watch import Call
from uncrumple.explain.tracing.words import number, place, sum_of_products
from uncrumple.layers.regularization import _Random

# A sum by parts is shown if it agrees with what autograd says to this share of its largest addend.
_AGREES = 1e-3
# Of a deeper network the lowest layers are shown.
_MOST_LINKS = 24


@dataclasses.dataclass
class Factor:
    """One factor of the chain rule.

    Attributes:
        name: A derivative, such as `d dense_1[0, 2] / d dense[0, 0]`.
        value: Its value.
    """

    name: str
    value: float


@dataclasses.dataclass
class Link:
    """How the gradient of one number came from the layer after it.

    Attributes:
        name: The derivative, such as `d loss / d dense[0, 0]`.
        value: Its value, as autograd has it.
        through: The layer that the gradient came through; `""` for the loss itself.
        numbers: The sum over the layer's outputs, each gradient times its derivative.
        total: What that sum gives.
    """

    name: str
    value: float
    through: str
    numbers: str
    total: float


@dataclasses.dataclass
class Chain:
    """The links from the loss to a number, and the strongest way among all.

    Attributes:
        links: From the loss down.
        path: The factors of the strongest way, from the loss down.
    """

    links: list[Link]
    path: list[Factor]


def local_derivative(call: Call, source: torch.Tensor, at: tuple[int, ...]) -> torch.Tensor | None:
    """Return the derivative of a call's output with respect to one number that came in; None where it cannot be had.

    Args:
        call: The call.
        source: The tensor that came in.
        at: The place of the number in it.
    """
    output = call.outputs[0]
    if isinstance(call.layer, (_Random, torch.nn.modules.dropout._DropoutNd)):
        return _of_dropout(source, output, at)
    direction = torch.zeros_like(source)
    direction[at] = 1.0
    if _measures_batch(call):
        return _directional(_plain_batch_normalization(call.layer), source.detach(), direction)
    mask = getattr(source, "_keras_mask", None)

    def run(x: torch.Tensor) -> torch.Tensor:
        if mask is not None:
            x._keras_mask = mask  # type: ignore[attr-defined]
        args, kwargs = tree.map_structure(lambda leaf: x if leaf is source else _free(leaf), (call.args, call.kwargs))
        return tree.flatten(call.layer(*args, **kwargs))[0]

    return _directional(run, source.detach(), direction)


def weight_derivative(call: Call, weight: torch.Tensor, at: tuple[int, ...]) -> torch.Tensor | None:
    """Return the derivative of a call's output with respect to one entry of a weight of its layer."""
    names = [name for name, one in call.layer.named_parameters(remove_duplicate=False) if one is weight]
    if not names:
        return None
    direction = torch.zeros_like(weight.data).as_subclass(torch.Tensor)
    direction[at] = 1.0
    if _measures_batch(call):
        plain, x = _plain_batch_normalization(call.layer), call.inputs[0].detach()
        given = weight.detach().as_subclass(torch.Tensor)
        return _directional(lambda w: plain(x, **{names[0]: w}), given, direction)

    def run(w: torch.Tensor) -> torch.Tensor:
        given = dict.fromkeys(names, w)
        args, kwargs = tree.map_structure(_free, (call.args, call.kwargs))
        return tree.flatten(torch.func.functional_call(call.layer, given, args, kwargs))[0]

    return _directional(run, weight.detach().as_subclass(torch.Tensor), direction)


def _plain_batch_normalization(layer: Any) -> Any:
    """Return what batch normalization computes in training, without moving its averages."""

    def run(x: torch.Tensor, gamma: Any = layer.gamma, beta: Any = layer.beta) -> torch.Tensor:
        axes = [axis for axis in range(x.dim()) if axis != layer._channel_axis]
        shape = [1] * x.dim()
        shape[layer._channel_axis] = -1
        mean = x.mean(axes, keepdim=True)
        found = (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + layer.epsilon).sqrt()
        found = found if gamma is None else found * gamma.reshape(shape)
        return found if beta is None else found + beta.reshape(shape)

    return run


def _measures_batch(call: Call) -> bool:
    layer = call.layer
    plain = isinstance(layer, L.BatchNormalization) and not layer.renorm and layer._trainable and layer.training
    return plain and getattr(call.inputs[0], "_keras_mask", None) is None


def _directional(run: Any, at: torch.Tensor, direction: torch.Tensor) -> torch.Tensor | None:
    """Return the derivative of a function along a direction; None where it cannot be had.

    What goes backwards through a function is linear in what it starts from, so going backwards through that goes
    forwards. (`torch.func.jvp` does the same, and takes seconds to get ready.)
    """
    try:
        with without_compiler():
            outputs, backwards = torch.func.vjp(run, at)[:2]
            forwards = torch.func.vjp(lambda start: backwards(start)[0], torch.zeros_like(outputs))[1]
            (found,) = forwards(direction)
    except (RuntimeError, NotImplementedError, ValueError, TypeError, AttributeError):
        return None  # a layer of the user's may not be differentiable twice
    return found.detach()


def _free(leaf: Any) -> Any:
    if not isinstance(leaf, torch.Tensor):
        return leaf
    free = leaf.detach()
    if hasattr(leaf, "_keras_mask"):
        free._keras_mask = leaf._keras_mask  # type: ignore[attr-defined]
    return free


def _of_dropout(source: torch.Tensor, output: torch.Tensor, at: tuple[int, ...]) -> torch.Tensor | None:
    """Return 0 for what was dropped, and the scale of what was kept."""
    if output.shape != source.shape:
        return None
    derivative = torch.zeros_like(output)
    came, went = float(source.detach()[at]), float(output.detach()[at])
    if came == 0:
        if source.grad is None or output.grad is None:
            return None
        went, came = float(source.grad[at]), float(output.grad[at]) or 1.0
    derivative[at] = went / came
    return derivative


def chain_to(calls: list[Call], call: Call, at: tuple[int, ...]) -> Chain | None:
    """Return how the gradient came from the loss to one number of a call's output.

    Args:
        calls: The calls of the parts of a model, with the gradients of their outputs.
        call: The call.
        at: The place of the number in its output.
    """
    leaves = [one for one in calls if not one.opened]
    links: list[Link] = []
    path: list[Factor] = []
    while True:
        output = call.outputs[0]
        if output.grad is None:
            return None
        value, name = float(output.grad[at]), f"d loss / d {place(at, call.name)}"
        readers = [one for one in leaves if any(tensor is output for tensor in one.inputs)]
        if not readers:
            links.append(Link(name, value, "", "the slope of the loss at the prediction", value))
            path.append(Factor(name, value))
            return Chain(links[::-1], path[::-1])
        if len(links) == _MOST_LINKS:
            above = len(leaves) - 1 - leaves.index(call)
            links.append(Link(name, value, "", f"as autograd has it, after {above} layers further up", value))
            return Chain(links[::-1], [])
        found = _through(readers, output, at)
        if found is None or abs(found.total - value) > _AGREES * max(found.size, abs(value)):
            links.append(Link(name, value, ", ".join(one.name for one in readers), "as autograd has it", value))
            return Chain(links[::-1], [])
        links.append(Link(name, value, found.through, found.numbers, found.total))
        # From the number upwards, to be turned round in the end.
        path += factors_of(found.call, found.at, place(at, call.name), found.slope)[::-1]
        call, at = found.call, found.at


@dataclasses.dataclass
class _Through:
    """A number's gradient as a sum over the outputs of the layers that read it."""

    total: float
    size: float
    numbers: str
    through: str
    call: Call
    at: tuple[int, ...]
    slope: float


def _through(readers: list[Call], source: torch.Tensor, at: tuple[int, ...]) -> _Through | None:
    gradients, slopes, where = [], [], []
    for call in readers:
        if not call.outputs or call.outputs[0].grad is None:
            return None
        slope = local_derivative(call, source, at)
        if slope is None:
            return None
        flat = full(slope).flatten()
        kept = flat.nonzero().flatten()
        gradients.append(full(call.outputs[0].grad).flatten()[kept])
        slopes.append(flat[kept])
        where += [(call, int(index)) for index in kept]
    if not where:
        call = readers[0]
        where, gradients, slopes = [(call, 0)], [full(call.outputs[0].grad).flatten()[:1]], [torch.zeros(1).double()]
    first, second = torch.cat(gradients).numpy(), torch.cat(slopes).numpy()
    numbers, total, size = sum_of_products(first, second)
    best = int(np.abs(first * second).argmax())
    call, index = where[best]
    names = ", ".join(dict.fromkeys(one.name for one, _ in where))
    return _Through(total, size, numbers, names, call, _unraveled(index, call.outputs[0].shape), float(second[best]))


def factors_of(call: Call, at: tuple[int, ...], of: str, slope: float) -> list[Factor]:
    """Return the derivative of one output of a call: of a dense layer in two, the slope of its curve and the rest.

    Args:
        call: The call.
        at: The place of the output.
        of: What it is derived for.
        slope: The derivative.
    """
    layer, shown = call.layer, place(at, call.name)
    curve = getattr(layer, "activation", None)
    if isinstance(layer, L.Dense) and not is_linear(curve) and not needs_row(curve):
        row, bias = full(call.inputs[0][at[:-1]]), layer.bias
        total = row @ full(layer.kernel)[:, at[-1]] + (0.0 if bias is None else full(bias)[at[-1]])
        total = total.requires_grad_()
        with torch.enable_grad():
            (bent,) = torch.autograd.grad(layer.activation(total), total)
        if float(bent):
            return [
                Factor(f"d {shown} / d sum, the slope of {name_of(curve)} there", float(bent)),
                Factor(f"d sum / d {of}", slope / float(bent)),
            ]
    return [Factor(f"d {shown} / d {of}", slope)]


def _unraveled(index: int, shape: Any) -> tuple[int, ...]:
    return tuple(int(one) for one in np.unravel_index(index, tuple(shape)))


def product_of(path: list[Factor]) -> tuple[str, float]:
    """Return a product of factors in words, and its value.

    Example:
        >>> product_of([Factor("d loss / d y", 2.0), Factor("d y / d w", -1.5)])
        ('2 x -1.5', -3.0)
    """
    value = 1.0
    for factor in path:
        value *= factor.value
    return " x ".join(number(factor.value) for factor in path), value
