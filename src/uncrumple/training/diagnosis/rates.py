"""Learning rates that are too high or too low."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.data.checks.report import figure
from uncrumple.training.diagnosis.finding import Finding

# Mean loss of the first steps, as a multiple of the loss before them.
MOST_RISE = 2.5
FIRST_STEPS = 10
# Change of the largest layer's weights in a step, as a share of their size.
LEAST_UPDATE = 1e-5
# A loss that has fallen by so much is falling, however small the steps are.
_FALLS = 0.02


def rate_of(model: Any) -> float | None:
    """Return the learning rate as it is now, or None for an optimizer that has several or none."""
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    try:
        if hasattr(inner, "_current_rate"):
            return float(inner._current_rate())
        rates = {float(group["lr"]) for group in inner.param_groups}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return rates.pop() if len(rates) == 1 else None


def too_high(first: float, losses: float, rate: float | None, when: str = "the first steps") -> list[Finding]:
    """Return whether the loss has risen instead of falling.

    Args:
        first: The loss before training.
        losses: The mean loss since then, or NaN.
        rate: The learning rate.
        when: Of which steps.
    """
    if not math.isfinite(first) or (math.isfinite(losses) and losses <= MOST_RISE * first):
        return []
    became = figure(losses) if math.isfinite(losses) else "NaN or infinity"
    return [
        Finding(
            "learning-rate-high",
            "error",
            f"The loss was {figure(first)} before training, and its mean over {when} is {became}.",
            losses / first if math.isfinite(losses) and first else math.inf,
            MOST_RISE,
            "times the loss before training",
            "Each step goes so far that it lands where the loss is higher.",
            _other_rate(rate, 0.1),
        )
    ]


def _other_rate(rate: float | None, times: float) -> str:
    if rate is None:
        return f"a learning rate {'ten times smaller' if times < 1 else 'ten times larger'}"
    if rate == 0:
        return "learning_rate=0.001"
    return f"learning_rate={figure(rate * times)} in place of {figure(rate)}"


class Updates:
    """How far the weights of the largest layer move in a step.

    Args:
        weights: The weights that are trained.
    """

    def __init__(self, weights: list[Any]) -> None:
        large = [weight for weight in weights if weight.dim() >= 2] or list(weights)
        self.weight = max(large, key=lambda weight: weight.numel()) if large else None
        self._before: torch.Tensor | None = None
        self._step = 0
        self.ratio: float | None = None

    @torch.no_grad()
    def measure(self, step: int) -> float | None:
        """Return the change since the last call, for each step, as a share of the weights' size."""
        if self.weight is None:
            return None
        now = self.weight.detach()
        ratio = None
        if self._before is not None and step > self._step:
            size = float(self._before.float().norm())
            change = float((now - self._before).float().norm()) / (step - self._step)
            ratio = change / size if size else None
        self._before, self._step = now.clone(), step
        if ratio is not None:
            self.ratio = ratio
        return ratio


def too_low(
    ratio: float | None, first: float, now: float, rate: float | None, steps: int, falls: float = _FALLS
) -> list[Finding]:
    """Return whether steps are so small that nothing changes.

    Args:
        ratio: Change of the largest layer in a step, as a share of its weights.
        first, now: The loss before training and now.
        rate: The learning rate.
        steps: Steps so far.
        falls: Share of the loss by which it must not have fallen.
    """
    if ratio is None or not ratio < LEAST_UPDATE or not math.isfinite(now) or now < (1 - falls) * first:
        return []
    return [
        Finding(
            "learning-rate-low",
            "warning",
            f"After {steps:,} steps the loss is {figure(now)} (before: {figure(first)}), and a step changes the "
            f"largest kernel by {figure(ratio)} of its size.",
            ratio,
            LEAST_UPDATE,
            "of the weights' size is the change in a step",
            f"At this pace the weights need {figure(1 / max(ratio, 1e-12))} steps to become others.",
            _other_rate(rate, 10 if ratio > LEAST_UPDATE / 30 else 100),
        )
    ]
