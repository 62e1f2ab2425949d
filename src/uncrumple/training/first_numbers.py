"""The layers, loss and metrics that a user wrote, on the numbers of the first batch: NaN is named where it arises.

What this package has is left alone, and a model without parts of the user's own costs nothing here.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch

from uncrumple import losses as losses_room
from uncrumple.core import own_parts, tree
from uncrumple.core.errors import explain, warn
from uncrumple.layers.base import Layer
from uncrumple.layers.modes import told


def check_first_numbers(model: Any, x: Any, y: Any, sample_weight: Any) -> None:
    """Refuse a user's own layer, activation or loss that turns the finite numbers of the first batch into NaN.

    The model is run once in its mode for evaluation; what that changes is put back.

    Raises:
        ValueError: One does.
    """
    loss = model._compile_loss
    own_losses = [term[1] for term in loss._terms if own_parts.is_own(_code_of_loss(term[1]))]
    layers = [layer for layer in model._flatten_layers() if _own_code(layer) is not None]
    penalized = [layer for layer in model._flatten_layers() if _has_own_penalty(layer)]
    if not layers and not own_losses and not penalized:
        return
    if any(getattr(layer, "stateful", False) for layer in model._flatten_layers()):
        return
    seen: list[tuple[Any, str]] = []
    broken: list[Any] = []

    def see(layer: Any, args: Any, outputs: Any) -> None:
        if not seen and _has_nan(outputs) and not _has_nan(args):
            seen.append((layer, own_parts.shapes_of(tree.flatten(args))))

    try:
        with _left_as_it_is(model):
            outputs = model(x)
            value = loss(y, outputs, sample_weight)
            broken = [layer for layer in penalized if _has_nan(layer._losses)]
            if not _has_nan(value) and not broken:
                return
            hooks = [layer.register_forward_hook(see) for layer in model._flatten_layers()]
            try:
                outputs = model(x)
            finally:
                for hook in hooks:
                    hook.remove()
    except Exception:
        return  # what cannot run will say so when it is trained
    finally:
        for tracker in loss.metrics:
            tracker.reset_state()
    if seen:
        _refuse_layer(*seen[0])
    elif broken:
        regularizer = broken[0].activity_regularizer
        raise ValueError(
            explain(
                f"{own_parts.named('regularizer', regularizer)} returned NaN on the output of {broken[0]._label}, "
                "in the first batch.",
                "Expected a finite penalty: one NaN turns every weight into NaN.",
                f"x.clamp(min=1e-7) before a logarithm, root or division in {own_parts.code_name(regularizer)}",
            )
        )
    elif own_losses and not _has_nan(outputs):
        name = own_losses[0]._who
        raise ValueError(
            explain(
                f"{name} returned NaN for the first batch, whose y and y_pred are finite.",
                "Expected finite numbers: one NaN turns every weight into NaN.",
                f"y_pred.clamp(min=1e-7) before a logarithm, root or division in {own_parts.code_name(_code_of_loss(own_losses[0]), 'call')}",
            )
        )


def _has_own_penalty(layer: Any) -> bool:
    regularizer = getattr(layer, "activity_regularizer", None)
    return regularizer is not None and own_parts.is_own(regularizer)


def _refuse_layer(layer: Any, shapes: str) -> None:
    code = _own_code(layer)
    if code is None:
        return  # a layer of this package: numbers too large for it, perhaps
    what = "its call()" if code is layer else f"its function '{code.__name__}'"
    raise ValueError(
        explain(
            f"{getattr(layer, '_label', type(layer).__name__)}: {what} returned NaN "
            f"for finite numbers of shape {shapes}, in the first batch.",
            "Expected finite numbers: one NaN turns every weight into NaN.",
            f"x.clamp(min=1e-7) before a logarithm, root or division in {own_parts.code_name(code, 'call')}",
        )
    )


def _own_code(layer: Any) -> Any:
    """Return what a user wrote of a layer: the layer itself, or a function that it applies; None for nothing."""
    if own_parts.is_own(layer) and isinstance(layer, Layer) and type(layer).call is not Layer.call:
        return layer if own_parts.is_own(type(layer).call) else None
    return own_parts.own_function(layer)


def _code_of_loss(loss: Any) -> Any:
    fn = getattr(loss, "fn", None)
    return loss if fn is None or isinstance(loss, losses_room.base.BuiltinLoss) else fn


def _has_nan(structure: Any) -> bool:
    return any(
        isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and bool(torch.isnan(leaf).any())
        for leaf in tree.flatten(structure)
    )


@contextlib.contextmanager
def _left_as_it_is(model: Any) -> Iterator[None]:
    """Within this block the model evaluates; afterwards it, its moving weights and the random state are as before."""
    modes = [(module, module.training) for module in model.modules()]
    kept = [weight for weight in model.parameters() if not weight.requires_grad] + list(model.buffers())
    values = [one.detach().clone() for one in kept]
    random_state = torch.get_rng_state()
    model.train(False)
    try:
        with told(model), torch.enable_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for one, value in zip(kept, values):
                one.copy_(value)
        torch.set_rng_state(random_state)


def warn_of_nan(model: Any, logs: dict[str, Any], said: set[str]) -> None:
    """Warn about metrics that a user wrote whose value for an epoch is NaN, while the loss is a number.

    Args:
        model: The model.
        logs: The values of the epoch.
        said: Names that there was a warning about; it grows.
    """
    compiled = model._compile_metrics
    own = [entry for entry in compiled._entries if _is_own_metric(entry[1])] if compiled is not None else []
    if not own or not math.isfinite(_number(logs.get("loss", 0.0))):
        return
    for _, metric, name, _ in own:
        if name in logs and name not in said and math.isnan(_number(logs[name])):
            said.add(name)
            who = getattr(metric, "_who", own_parts.named("metric", type(metric), metric.name))
            fix = f"numerator / (denominator + 1e-7) in {own_parts.code_name(getattr(metric, '_fn', metric), 'result')}"
            warn(f"{who} is NaN for this epoch, and the loss is not.", "Expected a finite number.", fix)


def _is_own_metric(metric: Any) -> bool:
    return own_parts.is_own(metric) or own_parts.is_own(getattr(metric, "_fn", torch.relu))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
