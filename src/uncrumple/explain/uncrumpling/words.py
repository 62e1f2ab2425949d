"""What an uncrumple view shows, said in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from uncrumple.explain.uncrumpling.view import LayerView, Uncrumpled

DATA = "the data"


def measure(task: str | None) -> str:
    """Return what the scores are called."""
    return {"classification": "accuracy of a linear probe", "regression": "R² of a linear probe"}.get(task or "", "")


def said(value: float, task: str | None) -> str:
    """Return a score in words.

    Example:
        >>> said(0.98, "classification"), said(0.9975, "classification"), said(0.5, "regression")
        ('98 %', '99.8 %', 'R² 0.50')
    """
    if task == "regression":
        return f"R² {value:.2f}"
    return percent(value)


def percent(share: float) -> str:
    """Return a share in percent, with a decimal only where 100 would be said of less."""
    return f"{100 * share:.1f} %" if 0.995 <= share < 0.9995 else f"{100 * share:.0f} %"


def finding(layers: Sequence[LayerView], task: str | None, rows: int, classes: int, chance: float) -> str:
    """Return what the scores of the layers say, in a sentence.

    A rise counts where it is more than two standard errors of the score.
    """
    scored = [(place, one) for place, one in enumerate(layers) if one.score is not None]
    if not scored or task is None:
        named = [one for one in layers if one.name != DATA]
        return f"The same samples in two dimensions, after each of {len(named)} layers"
    values = [one.score.value for _, one in scored if one.score is not None]
    first, rest = values[0], values[1:]
    if not rest:
        return f"{_line(classes, task)} {said(first, task)} in {_after(scored[0][1])}"
    best = int(np.argmax(rest)) + 1
    noise = _noise(first, values[best], rows, task)
    # Below what always the same answer finds there is nothing to rise from.
    whole = values[best] - max(first, chance)
    start = "in the data" if scored[0][1].name == DATA else f"after '{scored[0][1].name}'"
    if whole <= noise:
        return _nothing_gained(values, scored, best, task, classes, start, noise, chance)
    if whole < 0.25 * (1 - first):
        what = "pull the classes apart a little" if task == "classification" else "straighten the target a little"
        return (
            f"The layers {what}: {_line(classes, task)} {said(first, task)} {start}, "
            f"and {said(values[best], task)} at best after '{scored[best][1].name}'"
        )
    text = _gained(values, scored, best, task, classes, start, noise)
    control = [one.untrained.value for _, one in scored if one.untrained is not None]
    if len(control) == len(values) and values[best] - max(control) <= noise:
        text += f"; but the same network untrained reaches {said(max(control), task)}"
    return text


def _gained(
    values: list[float], scored: list, best: int, task: str, classes: int, start: str, noise: float
) -> str:  # fmt: skip
    rises = np.array(values[1:]) - np.maximum.accumulate(values)[:-1]
    most = int(np.argmax(rises)) + 1
    whole = values[best] - values[0]
    place, layer = scored[most]
    if rises[most - 1] < 0.65 * whole:
        # More than one layer has its part in it: those that raise the score the most, in their order.
        steps = sorted(np.argsort(-rises, kind="stable")[:2] + 1)
        steps = sorted({best, *(step for step in steps if step < best and rises[step - 1] > noise)})
        said_steps = [f"{said(values[step], task)} after '{scored[step][1].name}'" for step in steps]
        what = "classes come apart" if task == "classification" else "target straightens"
        found = ", ".join([f"{said(values[0], task)} {start}", *said_steps])
        return f"The {what} step by step: {_line(classes, task)} {found}"
    what = "the classes come apart" if task == "classification" else "the target becomes a straight line"
    text = (
        f"Layer {place} ('{layer.name}') is where {what}: {_line(classes, task, then=True)} "
        f"{said(values[most], task)}, against {said(values[0], task)} {start}"
    )
    if values[best] - values[most] > noise:
        text += f", and {said(values[best], task)} after '{scored[best][1].name}'"
    return text


def _nothing_gained(
    values: list[float], scored: list, best: int, task: str, classes: int, start: str, noise: float, chance: float
) -> str:  # fmt: skip
    line = _line(classes, task)
    if values[0] - max(values[best], chance) > noise:
        return (
            f"The layers lose what the data shows: {line} {said(values[0], task)} {start}, "
            f"and {said(values[best], task)} at best after '{scored[best][1].name}'"
        )
    what = "pull the classes apart" if task == "classification" else "straighten the target"
    return (
        f"The layers do not {what}: {line} {said(values[0], task)} {start}, "
        f"and {said(values[best], task)} at best after '{scored[best][1].name}'"
    )


def _noise(a: float, b: float, rows: int, task: str | None) -> float:
    if task == "regression":
        return 0.02 + 1 / np.sqrt(rows) * max(0.0, 1 - max(a, b))
    middle = min(max((a + b) / 2, 1 / rows), 1 - 1 / rows)
    return 2 * float(np.sqrt(middle * (1 - middle) / rows))


def _line(classes: int, task: str, then: bool = False) -> str:
    if task == "regression":
        return "a straight line then reaches" if then else "a straight line reaches"
    if classes == 2:
        return "a straight line then finds" if then else "a straight line finds"
    return "straight lines then find" if then else "straight lines find"


def _after(layer: LayerView) -> str:
    return layer.name if layer.name == DATA else f"'{layer.name}'"


def how_to_read(view: Uncrumpled) -> str:
    """Return what the picture is of."""
    probe = view.probe
    text = f"Each point is one of {len(probe)} samples ({probe.where}), as a layer gives it: the two directions in which they are spread the most"
    if any(one.exact for one in view.layers):
        text += ", or a layer's two numbers themselves"
    text += ". "
    if probe.task == "classification":
        text += "In %: samples whose class a straight line finds in all of the layer's numbers (ridge regression, on samples it was not fitted on)"
        text += f"; always the most frequent class: {percent(view.chance)}."
    elif probe.task == "regression":
        text += "R²: share of the target's variance that a straight line explains from all of the layer's numbers (ridge regression, on samples it was not fitted on)."
    return " ".join([text.strip(), *view.notes])


def gives(layer: LayerView) -> str:
    """Return the size of what a layer gives for a sample.

    Example:
        >>> from uncrumple.explain.uncrumpling.view import LayerView
        >>> gives(LayerView("conv", "Conv2D", (26, 26, 8), None, False, 0.5))
        '26 × 26 × 8 numbers'
    """
    size = " × ".join(f"{number:,}" for number in layer.shape) or "1"
    return f"{size} number{'s' * (layer.width != 1)}"


def shown(layer: LayerView) -> str:
    """Return what of a layer two dimensions show.

    Example:
        >>> from uncrumple.explain.uncrumpling.view import LayerView
        >>> shown(LayerView("dense", "Dense", (16,), None, False, 0.934))
        '2 of 16 dimensions, 93 % of the variance'
    """
    if layer.exact:
        return "both numbers, nothing left out" if layer.width == 2 else "its one number; the height means nothing"
    return f"2 of {layer.width:,} dimensions, {percent(layer.variance)} of the variance"


def table(view: Uncrumpled) -> list[str]:
    """Return a line for each layer at the last moment."""
    task = view.probe.task
    with_control = any(one.untrained is not None for one in view.layers)
    header = ["", "layer", "gives"]
    if task:
        header += ["straight line", "95 % interval"] + (["untrained"] if with_control else [])
    header += ["two dimensions show"]
    rows = [header]
    for place, one in enumerate(view.layers):
        name = one.name if one.name == DATA else f"{one.name} ({one.kind})"
        row = [str(place), name, gives(one)]
        if task:
            score = one.score
            row += ["–", "–"] if score is None else [said(score.value, task), interval(score.low, score.high, task)]
            if with_control:
                row.append("–" if one.untrained is None else said(one.untrained.value, task))
        row.append("all" if one.exact else f"{percent(one.variance)}")
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    if len(view.frames) > 1:
        lines.insert(0, f"{len(view.frames)} moments, the last one: {view.frames[-1].in_words()}")
    lines += list(view.notes)
    return lines


def interval(low: float, high: float, task: str | None) -> str:
    """Return an interval in words."""
    if task == "regression":
        return f"{low:.2f} to {high:.2f}"
    return f"{100 * low:.0f} to {100 * high:.0f} %"
