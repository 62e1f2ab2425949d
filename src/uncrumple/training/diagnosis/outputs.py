"""What reaches the outputs: inputs that are ignored, and samples that see each other."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.data.checks.report import figure
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.look import Look, Seen, few, take_look
from uncrumple.training.diagnosis.watched import own_weights

# Spread of a layer's outputs over samples, as a share of their size, below which they are all the same.
LEAST_SPREAD = 1e-6
# Change of one sample's output when others are exchanged, as a share of the differences between samples.
MOST_MIXING = 0.01
_MIXED = 16
_ROUNDING = 1e-5


def spread(values: torch.Tensor) -> float:
    """Return how much rows differ, as a share of the size of their numbers: 0 where all rows are the same."""
    rows = values.detach().flatten(1).float() if values.dim() > 1 else values.detach().float()[:, None]
    size = float(rows.square().mean().sqrt())
    return 0.0 if size == 0 else float((rows - rows[:1]).abs().max()) / size


def ignored(look: Look, *, trained: bool = False) -> list[Finding]:
    """Return the layer behind which all samples look alike.

    Before training that is meant only where no gradient can mend it: a last layer that starts with zeros learns.
    """
    outputs = [leaf for leaf in tree.flatten(look.outputs) if isinstance(leaf, torch.Tensor)]
    if not outputs or len(outputs[0]) < 2 or any(spread(leaf) > LEAST_SPREAD for leaf in outputs):
        return []
    if not any(isinstance(leaf, torch.Tensor) and _rows_differ(leaf) for leaf in tree.flatten(look.x)):
        return []
    guilty: Seen | None = None
    for one in look.layers:
        differ = any(_rows_differ(given) for given in one.inputs if given.shape[:1] == outputs[0].shape[:1])
        if differ and spread(one.output) <= LEAST_SPREAD:
            guilty = one
            break
    before = look.layers if guilty is None else look.layers[: look.layers.index(guilty) + 1]
    reached = [one for one in before if own_weights(one.part) and look.gradient_size(one.part)]
    if reached and not trained and guilty is not None and guilty is look.layers[-1]:
        return []
    if reached and not trained and guilty is not None and not any(map(bool, _zero_kernels(guilty))):
        return []
    where = "the outputs" if guilty is None else guilty.label
    largest = max(spread(leaf) for leaf in outputs)
    return [
        Finding(
            "ignored-inputs",
            "error",
            f"{len(outputs[0])} different samples give the same output; behind {where} nothing differs any more."
            if guilty is not None
            else f"{len(outputs[0])} different samples give the same output.",
            largest,
            LEAST_SPREAD,
            "is the difference between samples, as a share of the outputs' size",
            "A model that gives everyone the same answer has not looked at its inputs.",
            _mend(guilty),
            layer="" if guilty is None else guilty.label,
        )
    ]


def _zero_kernels(one: Seen) -> list[bool]:
    return [not bool(weight.detach().any()) for weight in own_weights(one.part)]


def _rows_differ(values: torch.Tensor) -> bool:
    rows = values.detach()
    return rows.dim() > 0 and len(rows) > 1 and bool((rows != rows[:1]).any())


def _mend(guilty: Seen | None) -> str:
    if guilty is None:
        return "look at the line that computes the outputs: does it use the inputs?"
    if any(_zero_kernels(guilty)):
        return f'kernel_initializer="glorot_uniform" in {guilty.label}: its kernel is all zeros'
    if own_weights(guilty.part):
        return f'the default initializers and activation="leaky_relu" in {guilty.label}'
    return f"look at what {guilty.label} computes: a product with 0, or a mean over samples"


def mixed(model: Any, look: Look) -> list[Finding]:
    """Return the layer through which one sample's output depends on another sample.

    The first sample stays, the others are exchanged; the model is in its mode for evaluation, where batch
    normalization mixes nothing.
    """
    x = few(look.x, _MIXED)
    leaves = [leaf for leaf in tree.flatten(x) if isinstance(leaf, torch.Tensor)]
    count = len(leaves[0])
    # Another batch of the same size, with the same first sample and only every other of the rest.
    order = torch.tensor([0, *[1 + place // 2 for place in range(count - 1)]], device=leaves[0].device)
    here = take_look(model, x, None, gradients=False)
    other = take_look(model, tree.map_structure(lambda leaf: leaf[order], x), None, gradients=False)
    pairs = zip(tree.flatten(here.outputs), tree.flatten(other.outputs))
    changed = max((_first_changed(a, b) for a, b in pairs if isinstance(a, torch.Tensor)), default=0.0)
    if changed <= MOST_MIXING:
        return []
    by_label = {one.label: one.output for one in other.layers}
    guilty = next(
        (
            one.label
            for one in here.layers
            if one.label in by_label and _first_changed(one.output, by_label[one.label]) > MOST_MIXING
        ),
        "",
    )
    return [
        Finding(
            "mixed-samples",
            "error",
            "The output for a sample changes when other samples of the batch are exchanged"
            + (f"; {guilty} is the first layer where it does." if guilty else "."),
            changed,
            MOST_MIXING,
            "is the change, as a share of the differences between samples",
            "The answer for a sample must not depend on who is next to it: alone it gets another one.",
            f"in {guilty or 'call()'}: keep axis 0 apart; axis=-1 or axis=1 in softmax, mean, reshape and the like",
            layer=guilty,
        )
    ]


def _first_changed(here: torch.Tensor, other: torch.Tensor) -> float:
    """Return how much the first row changed, as a share of the differences between rows; 0 for what is rounding."""
    if here.dim() == 0 or not here.is_floating_point() or here.shape != other.shape or not len(here):
        return 0.0
    rows = here.detach().float()
    change = float((rows[0] - other[0].detach().float()).abs().max())
    differences = float((rows - rows.mean(0)).abs().max())
    return 0.0 if change <= _ROUNDING * float(rows.abs().max()) else change / max(differences, 1e-30)


def said_of_collapse(look: Look, first: Look, rate: float | None) -> list[Finding]:
    """Return whether training has made all outputs the same, which they were not before."""
    found = ignored(look, trained=True)
    if not found or ignored(first, trained=True):
        return []
    if rate is None:
        return found
    why = found[0].why + " Before training they differed: a step that was too large is the usual cause."
    fix = f"learning_rate={figure(rate / 10)} in place of {figure(rate)}"
    return [dataclasses.replace(found[0], why=why, try_this=fix)]
