"""Numbers that are none, and numbers too small for the type that they are computed in."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.quick_torch import without_compiler
from uncrumple.data.checks.report import figure
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.gradients import first_broken
from uncrumple.training.diagnosis.look import Look, Seen, as_it_is

# Share of the gradient's numbers that are lost below the smallest number of the type.
MOST_LOST = 0.1
_LARGER = 4096.0
_HALVES = (torch.float16, torch.bfloat16)


def first_nan(look: Look) -> list[Finding]:
    """Return the first layer that makes NaN or infinity out of finite numbers, and out of which."""
    for leaf in tree.flatten(look.x):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and not _finite(leaf):
            rows = (~torch.isfinite(leaf)).reshape(len(leaf), -1).any(1)
            return [
                _nan(
                    f"{int(rows.sum())} of {len(leaf)} samples of the batch hold NaN or infinity.",
                    int(rows.sum()),
                    "samples with such numbers",
                    "rows = np.isfinite(x).reshape(len(x), -1).all(axis=1); x, y = x[rows], y[rows]",
                )
            ]
    for one in look.layers:
        if not one.output.is_floating_point() or _finite(one.output):
            continue
        weights = [(name, weight) for name, weight in one.part.named_parameters() if not _finite(weight)]
        if weights:
            name, weight = weights[0]
            bad = int((~torch.isfinite(weight)).sum())
            return [
                _nan(
                    f"{bad} of {weight.numel()} numbers of the weight '{name}' of {one.label} are NaN or infinity.",
                    bad,
                    "such numbers in the weight",
                    "learning_rate ten times smaller, and clipnorm=1.0 in the optimizer",
                    one.label,
                )
            ]
        return [_operand(one)]
    if not math.isfinite(look.loss):
        values = [leaf.detach() for leaf in tree.flatten(look.outputs) if isinstance(leaf, torch.Tensor)]
        low, high = min(float(one.min()) for one in values), max(float(one.max()) for one in values)
        return [
            _nan(
                f"The loss is {look.loss} for finite outputs from {figure(low)} to {figure(high)}.",
                1,
                "loss that is none",
                "y_pred.clamp(min=1e-7) before a logarithm, root or division in the loss",
                "the loss",
            )
        ]
    broken = first_broken(look)
    if broken is not None:
        label, weight = broken
        return [
            _nan(
                f"The loss is {figure(look.loss)}, and the gradient of '{getattr(weight, 'name', 'weight')}' of {label} "
                f"is not finite, with the weight from {figure(float(weight.detach().min()))} to {figure(float(weight.detach().max()))}.",
                int((~torch.isfinite(look.gradients[id(weight)])).sum()),  # type: ignore[arg-type]
                "numbers of the gradient are none",
                "x + 1e-7 under a root or in front of a logarithm behind this layer: their slope at 0 is infinite",
                label,
            )
        ]
    return []


def _operand(one: Seen) -> Finding:
    given = [leaf.detach().float() for leaf in one.inputs if leaf.is_floating_point() and leaf.numel()]
    bad = int((~torch.isfinite(one.output)).sum())
    what = "NaN" if bool(torch.isnan(one.output).any()) else "infinity"
    inside = ""
    if given:
        low, high = min(float(leaf.min()) for leaf in given), max(float(leaf.max()) for leaf in given)
        inside = f" for inputs from {figure(low)} to {figure(high)}"
    half = one.output.dtype in _HALVES and what == "infinity"
    return _nan(
        f"{one.label} gives {what}{inside}.",
        bad,
        "such numbers in its output",
        'dtype="float32" for this layer: its numbers are too large for half precision'
        if half
        else "x.clamp(min=1e-7) before a logarithm, root or division in this layer",
        one.label,
    )


def _nan(seen: str, number: float, measure: str, fix: str, layer: str = "") -> Finding:
    why = "One NaN turns every weight into NaN: nothing that comes after it is worth anything."
    return Finding("nan", "error", seen, number, 0, measure, why, fix, layer=layer)


def _finite(values: torch.Tensor) -> bool:
    return math.isfinite(float(values.detach().float().sum())) or bool(torch.isfinite(values.detach()).all())


def computes_in_half(model: Any) -> bool:
    """Return whether a layer of the model computes in, or a weight is kept in, half precision."""
    kinds = {getattr(module, "_compute_in", None) for module in model.modules()}
    return bool(kinds & set(_HALVES)) or any(weight.dtype in _HALVES for weight in model.parameters())


def underflow(model: Any, look: Look) -> list[Finding]:
    """Return the layer in which gradients are lost because they are below the smallest number of their type.

    The gradient is computed a second time from a loss that is 4,096 times larger: numbers that are 0 in the first
    and not in the second were lost.
    """
    if not computes_in_half(model):
        return []
    scale = 1.0
    if model._scales_loss:
        scale = float(model.optimizer.scale_loss(torch.ones(())))
    usual, larger = _gradients(model, look, scale), _gradients(model, look, scale * _LARGER)
    worst: tuple[float, Seen] | None = None
    for one in look.weighted:
        pairs = [(usual.get(id(weight)), larger.get(id(weight))) for weight in one.part.parameters()]
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        there = sum(int(((b != 0) & torch.isfinite(b)).sum()) for _, b in known)
        lost = sum(int(((a == 0) & (b != 0) & torch.isfinite(b)).sum()) for a, b in known)
        if there and lost / there > MOST_LOST and (worst is None or lost / there > worst[0]):
            worst = lost / there, one
    if worst is None:
        return []
    share, one = worst
    return [
        Finding(
            "underflow",
            "error" if share > 0.5 else "warning",
            f"{100 * share:.0f} % of the gradient of {one.label} is 0 in half precision, and not with a loss that is "
            f"{_LARGER:,.0f} times larger.",
            share,
            MOST_LOST,
            "of the gradient is lost",
            "float16 knows nothing between 0 and 0.00000006: what is smaller does not reach the weights.",
            "auto_scale_loss=True in compile() (the default), or LossScaleOptimizer around the optimizer",
            layer=one.label,
        )
    ]


def _gradients(model: Any, look: Look, scale: float) -> dict[int, torch.Tensor | None]:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    with as_it_is(model), torch.enable_grad(), without_compiler():
        outputs = model(look.x)
        loss = model.compute_loss(look.x, look.y, outputs, look.sample_weight, **model._when_testing)
        found = torch.autograd.grad(loss * scale, weights, allow_unused=True)
    return dict(zip(map(id, weights), found))


def unmoved(before: list[torch.Tensor], model: Any, gradients: list[torch.Tensor | None]) -> tuple[float, int]:
    """Return the share of numbers kept in half precision that a step did not change though they had a gradient.

    Args:
        before: The trained weights before the step.
        model: The model after it.
        gradients: What the step was made from.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    there = stayed = 0
    for weight, old, gradient in zip(weights, before, gradients):
        if weight.dtype in _HALVES and gradient is not None:
            moving = gradient != 0
            there += int(moving.sum())
            stayed += int((moving & (weight.detach() == old)).sum())
    return (stayed / there if there else 0.0), there


def lost_updates(share: float, there: int) -> list[Finding]:
    """Return whether most updates are rounded away: the weights themselves are kept in half precision."""
    if not there or share <= 0.5:
        return []
    return [
        Finding(
            "underflow",
            "error",
            f"A step leaves {100 * share:.0f} % of the weights as they are, though they have a gradient.",
            share,
            0.5,
            "of the updates are rounded away",
            "Weights in half precision have two or three digits: an update that is smaller than the last one is lost.",
            'the policy "mixed_bfloat16" or "mixed_float16", which keeps weights in float32',
        )
    ]
