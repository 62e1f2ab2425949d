"""What an optimizer makes of one entry of a weight: its formula with numbers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from uncrumple import optimizers
from uncrumple.explain.tracing.arithmetic import Line, full
from uncrumple.explain.tracing.words import bracketed, number
from uncrumple.optimizers.adam import one_minus_power

# The kernels work in float32; the words are computed in float64.
_ROUNDING = 1e-5


@dataclasses.dataclass
class Before:
    """What there was before a step: the learning rate, the number of the step, and the optimizer's state.

    Attributes:
        optimizer: The optimizer; of one that scales the loss, the one inside.
        rate: Its learning rate for this step.
        step: The number of the update, from 1.
        state: For each weight, by id, {name: value}.
    """

    optimizer: Any
    rate: float
    step: int
    state: dict[int, dict[str, torch.Tensor]]


def before_step(optimizer: Any) -> Before:
    """Return what an optimizer keeps, before it takes a step."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    state = {
        id(weight): {name: slot.detach().clone() for name, slot in slots.items() if isinstance(slot, torch.Tensor)}
        for weight, slots in inner.state.items()
    }
    ours = isinstance(inner, optimizers.Optimizer)
    rate = float(inner.learning_rate) if ours else float(inner.param_groups[0]["lr"])
    step = int(inner.iterations) + 1 if ours else 0
    return Before(inner, rate, step, state)


def used_gradients(before: Before, gradients: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the gradients as the optimizer uses them: clipped, if it was told to."""
    clips = isinstance(before.optimizer, optimizers.Optimizer) and hasattr(before.optimizer, "_clip")
    return before.optimizer._clip([one.clone() for one in gradients]) if clips else gradients


def update_lines(
    before: Before, weight: torch.Tensor, old: float, gradient: float, used: float, new: float, index: tuple[int, ...]
) -> list[Line]:
    """Return the lines that lead from the old value of an entry of a weight to the new one.

    Args:
        before: What there was before the step.
        weight: The weight.
        old, new: The entry before and after.
        gradient: Its gradient.
        used: The gradient that the optimizer used, after clipping.
        index: Where the entry is.
    """
    lines: list[Line] = []
    if abs(used - gradient) > _ROUNDING * abs(gradient):
        lines.append(Line("gradient", "clipped", f"{number(gradient)} becomes {number(used)}", used))
    start = old
    optimizer = before.optimizer
    decay = getattr(optimizer, "weight_decay", None) or 0.0
    if decay and isinstance(optimizer, optimizers.Optimizer):
        start = old * (1 - decay * before.rate)
        numbers = f"{number(old)} x (1 - {number(decay)} x {number(before.rate)})"
        lines.append(Line("decayed", "weight x (1 - weight decay x learning rate)", numbers, start))
    kinds: dict[type, Any] = {optimizers.SGD: _sgd, optimizers.Adam: _adam, optimizers.RMSprop: _rmsprop}
    for kind, made in kinds.items():
        if (
            isinstance(optimizer, kind)
            and getattr(type(optimizer), "update_weights", None) is vars(kind)["update_weights"]
        ):
            slots = {name: float(full(slot)[index]) for name, slot in before.state.get(id(weight), {}).items()}
            found = made(optimizer, before, slots, start, used)
            if found and abs(found[-1].value - new) <= _ROUNDING * max(abs(old), abs(new), abs(new - old)):
                return [*lines, *found]
    formula = f"weight + what {type(optimizer).__name__} makes of the gradient {number(gradient)}"
    return [_moved(old, new, formula, f"+ {number(new - old)}")]


def _moved(start: float, value: float, formula: str, shown: str) -> Line:
    """Return the line for the new value of an entry: with as many digits as show that it has moved.

    Args:
        start: The value before.
        value: The value after.
        formula: How it was moved.
        shown: What was added, or taken off, with its sign.
    """
    change = abs(value - start)
    digits = 4
    if change and start and math.isfinite(change):
        digits = min(9, 4 + max(0, math.ceil(math.log10(max(abs(start) / change, 1.0))) - 1))
    return Line("new weight", formula, f"{number(start, digits)} {shown}", value, digits=digits)


def _sgd(optimizer: Any, before: Before, slots: dict[str, float], start: float, gradient: float) -> list[Line]:
    rate, momentum = before.rate, float(optimizer.momentum)
    if not momentum:
        shown = f"{number(rate)} x {number(gradient)}"
        return [_moved(start, start - rate * gradient, "weight - learning rate x gradient", f"- {shown}")]
    old = slots.get("momentum", 0.0)
    speed = momentum * old - rate * gradient
    numbers = f"{number(momentum)} x {number(old)} - {number(rate)} x {number(gradient)}"
    lines = [Line("velocity", "momentum x velocity of before - learning rate x gradient", numbers, speed)]
    if optimizer.nesterov:
        value = start + momentum * speed - rate * gradient
        shown = f"+ {number(momentum)} x {number(speed)} - {number(rate)} x {number(gradient)}"
        formula = "weight + momentum x velocity - learning rate x gradient"
        return [*lines, _moved(start, value, formula, shown)]
    return [*lines, _moved(start, start + speed, "weight + velocity", f"+ {number(speed)}")]


def _adam(optimizer: Any, before: Before, slots: dict[str, float], start: float, gradient: float) -> list[Line]:
    if optimizer.amsgrad:
        return []
    one, two, step = float(optimizer.beta_1), float(optimizer.beta_2), before.step
    mean = one * slots.get("momentum", 0.0) + (1 - one) * gradient
    square = two * slots.get("velocity", 0.0) + (1 - two) * gradient**2
    corrections = [one_minus_power(beta, step, torch.float32) for beta in (one, two)]
    rate = before.rate * math.sqrt(corrections[1]) / corrections[0]
    g, root = number(gradient), math.sqrt(square)
    value = start - rate * mean / (root + optimizer.epsilon)
    return [
        Line(
            "mean m",
            "beta_1 x m of before + (1 - beta_1) x gradient",
            f"{number(one)} x {number(slots.get('momentum', 0.0))} + {number(1 - one)} x {g}",
            mean,
        ),
        Line(
            "mean square v",
            "beta_2 x v of before + (1 - beta_2) x gradient squared",
            f"{number(two)} x {number(slots.get('velocity', 0.0))} + {number(1 - two)} x {bracketed(gradient)}^2",
            square,
        ),
        Line(
            "rate",
            f"learning rate x sqrt(1 - beta_2^{step}) / (1 - beta_1^{step})",
            f"{number(before.rate)} x {number(math.sqrt(corrections[1]))} / {number(corrections[0])}",
            rate,
        ),
        _moved(
            start,
            value,
            "weight - rate x m / (sqrt(v) + epsilon)",
            f"- {number(rate)} x {number(mean)} / ({number(root)} + {number(optimizer.epsilon)})",
        ),
    ]


def _rmsprop(optimizer: Any, before: Before, slots: dict[str, float], start: float, gradient: float) -> list[Line]:
    if optimizer.centered or optimizer.momentum:
        return []
    rho, old = float(optimizer.rho), slots.get("velocity", 0.0)
    square = rho * old + (1 - rho) * gradient**2
    root = math.sqrt(square + optimizer.epsilon)
    numbers = f"{number(rho)} x {number(old)} + {number(1 - rho)} x {bracketed(gradient)}^2"
    shown = f"{number(before.rate)} x {number(gradient)} / {number(root)}"
    formula = "weight - learning rate x gradient / sqrt(v + epsilon)"
    return [
        Line("mean square v", "rho x v of before + (1 - rho) x gradient squared", numbers, square),
        _moved(start, start - before.rate * gradient / root, formula, f"- {shown}"),
    ]
