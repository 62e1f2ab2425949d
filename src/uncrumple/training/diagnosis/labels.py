"""The loss beside that of always giving the same answer: at the start, while training, and on other rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.data.checks.report import figure
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.look import Look, kind_of, terms_of

# The loss before training, beside that of equal probabilities; for numbers beside that of the best constant.
MOST_INITIAL = 2.5
MOST_INITIAL_OF_NUMBERS = 20.0
# A loss of at least this share of the best constant's has learned nothing.
NOTHING_LEARNED = 0.98
# The same for the lowest validation loss, which chance may bring down.
LEAST_OF_CONSTANT = 0.93
_OF_CLASSES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")


@dataclass(frozen=True)
class Baseline:
    """The losses of models that do not look at their inputs.

    Args:
        best: The loss of the best constant answer: the entropy of the labels, or about their variance.
        even: The loss of equal probabilities for all classes; for numbers the same as `best`.
        of_classes: Whether the answers are classes.
    """

    best: float
    even: float
    of_classes: bool


@torch.no_grad()
def baseline(model: Any, y: Any, outputs: Any) -> Baseline | None:
    """Return the losses of constant answers, or None for a loss of which they are not known.

    Args:
        model: A compiled and built model.
        y: Targets, as many as there are: more of them make a better number.
        outputs: What the model gave for some of them; their shapes are used.
    """
    best = even = 0.0
    classes = True
    terms = terms_of(model, y, outputs)
    if not terms:
        return None
    for _, loss, target, output, weight in terms:
        kind = kind_of(loss)
        if getattr(loss, "reduction", None) not in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
            return None
        if kind in _OF_CLASSES and not getattr(loss, "label_smoothing", 0):
            entropy, uniform = _entropies(str(kind), target, output.shape[-1])
        else:
            classes = False
            entropy = uniform = _best_constant(loss, target, output)
        best, even = best + weight * entropy, even + weight * uniform
    if not (math.isfinite(best) and best > 1e-9):
        return None
    return Baseline(best, even, classes)


def _entropies(kind: str, target: torch.Tensor, units: int) -> tuple[float, float]:
    """Return the entropy of the labels, and that of equal probabilities, in nats."""
    if kind == "binary_crossentropy":
        shares = target.float().reshape(len(target), -1).mean(0).clamp(1e-7, 1 - 1e-7)
        return float(-(shares * shares.log() + (1 - shares) * (1 - shares).log()).mean()), math.log(2)
    if kind == "sparse_categorical_crossentropy":
        shares = torch.bincount(target.reshape(-1).long().clamp(0), minlength=units).float()
    else:
        shares = target.float().reshape(-1, units).sum(0)
    shares = shares / shares.sum()
    known = shares[shares > 0]
    return float(-(known * known.log()).sum()), math.log(max(units, 2))


def _best_constant(loss: Any, target: torch.Tensor, output: torch.Tensor) -> float:
    values = target.to(output.dtype) if output.is_floating_point() else target.float()
    if values.dim() == output.dim() - 1:
        values = values[..., None]
    if values.shape[1:] != output.shape[1:]:
        return math.nan
    try:
        found = [float(loss(values, middle.expand_as(values))) for middle in (values.mean(0), values.median(0).values)]
    except (RuntimeError, ValueError, TypeError):
        return math.nan
    return min(found)


def too_large_at_start(look: Look, base: Baseline) -> list[Finding]:
    """Return whether the loss before training is far above that of knowing nothing."""
    if look.data_loss is None or not math.isfinite(look.data_loss):
        return []
    ratio = look.data_loss / base.even
    limit = MOST_INITIAL if base.of_classes else MOST_INITIAL_OF_NUMBERS
    if ratio <= limit or look.data_loss <= base.even + (1.5 if base.of_classes else 0.0):
        return []
    outputs = [leaf for leaf in tree.flatten(look.outputs) if isinstance(leaf, torch.Tensor)]
    targets = [leaf for leaf in tree.flatten(look.y) if isinstance(leaf, torch.Tensor)]
    if not base.of_classes:
        given, wanted = (float(part[0].detach().float().square().mean().sqrt()) for part in (outputs, targets))
        if wanted > given:
            return [
                Finding(
                    "unscaled-targets",
                    "warning",
                    f"The loss begins at {figure(look.data_loss)}; always answering the mean of the targets gives "
                    f"{figure(base.best)}.",
                    ratio,
                    limit,
                    "times the loss of always answering the mean",
                    "The targets are far from 0, where the outputs begin: most of training goes into getting there.",
                    "y = (y - y.mean()) / y.std(), and the other way round for predictions",
                )
            ]
    means = "equal probabilities for all classes" if base.of_classes else "always answering the mean"
    last = look.weighted[-1].label if look.weighted else ""
    return [
        Finding(
            "initial-loss",
            "warning",
            f"The loss begins at {figure(look.data_loss)}; {means} would give {figure(base.even)}.",
            ratio,
            limit,
            f"times the loss of {means}",
            "The model begins by being sure of what it cannot know; the first steps go into unlearning that.",
            "the default kernel_initializer, and inputs scaled to numbers of about 1",
            layer=last,
        )
    ]


def not_learning(loss: float, base: Baseline, steps: int, cause: Finding | None, rate: float | None) -> list[Finding]:
    """Return whether the training loss, after many steps, still is that of a constant answer."""
    if not math.isfinite(loss) or loss < NOTHING_LEARNED * base.best:
        return []
    answer = "the shares of the classes" if base.of_classes else "the mean of the targets"
    if cause is not None:
        place = f" ({cause.layer})" if cause.layer else ""
        why, fix = f"Most likely because of {cause.name}{place}, found before.", cause.try_this
    else:
        why = "So far nothing of the inputs has found its way into the answers."
        fix = "check that row i of y belongs to row i of x"
        if rate is not None:
            fix += f"; or learning_rate={figure(rate * 10)}"
    return [
        Finding(
            "not-learning",
            "error",
            f"After {steps:,} steps the training loss is {figure(loss)}; always answering {answer} gives "
            f"{figure(base.best)}.",
            loss / base.best,
            NOTHING_LEARNED,
            "of the loss of a constant answer",
            why,
            fix,
            layer="" if cause is None else cause.layer,
        )
    ]


def shuffled(
    losses: list[float],
    validation: list[float],
    base: Baseline,
    validation_base: Baseline | None,
    rising: bool = False,
    error: float | None = None,
) -> list[Finding]:
    """Return whether the model learns its rows by heart, and nothing that helps with others.

    Args:
        losses, validation: The losses of the epochs so far.
        base, validation_base: The losses of constant answers on the two parts.
        rising: Whether the validation loss has risen for some epochs: then less has to be known by heart.
        error: Standard error of the validation loss, which chance may bring below the constant answer's.
    """
    if len(losses) < 3 or len(validation) < 3 or validation_base is None:
        return []
    limit = validation_base.best
    least = min(validation)
    # The error is that of a network that is sure and wrong by now; at its best it was smaller.
    share = min(NOTHING_LEARNED, max(1 - (error or 0.0) / limit, LEAST_OF_CONSTANT))
    if not least >= share * limit or not losses[-1] < (0.9 if rising else 0.7) * base.best:
        return []
    return [
        Finding(
            "shuffled-labels",
            "error",
            f"The training loss has fallen to {figure(losses[-1])}, and the validation loss was never below "
            f"{figure(least)}; a constant answer gives {figure(limit)}.",
            least / limit,
            share,
            "of the loss of a constant answer, on rows it has not seen",
            "The rows are learned by heart: nothing in the inputs tells the answers of others. "
            "Labels that were shuffled apart from their inputs look like this.",
            "check that row i of y belongs to row i of x, in both parts",
        )
    ]
