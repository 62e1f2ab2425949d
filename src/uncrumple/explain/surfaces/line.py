"""The loss along straight lines through a network's weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.explain.asked import check_whole
from uncrumple.explain.keeping import on_trial
from uncrumple.explain.rows import rows_in
from uncrumple.explain.style import FAINT, RED
from uncrumple.explain.surfaces.measured import Measured, batches_to_measure
from uncrumple.explain.surfaces.weights import Place, mean_loss, random_directions, some_rows
from uncrumple.explain.tuning.drawing import LINES, heading, log_scale, styled
from uncrumple.explain.tuning.words import number, plural


@dataclass(repr=False)
class LossLine(Measured):
    """The loss along lines through a network's weights.

    Attributes:
        places: Where on the line; 0 is the start of training or, on random lines, the present weights.
        losses: (lines, places).
        validation: The same for other rows, or None.
        between: Whether the line leads from a start (0) to the present weights (1).
        rows: How many rows measured.
    """

    places: np.ndarray
    losses: np.ndarray
    validation: np.ndarray | None
    between: bool
    rows: int

    def hump(self) -> float:
        """Return how far the loss rises above what it was before, between start and end, as a share of its fall."""
        inside = (self.places >= 0) & (self.places <= 1)
        values = self.losses[0][inside]
        lowest = np.minimum.accumulate(values)
        fall = float(values[0] - values[-1])
        return float((values - lowest)[: int(values.argmin()) + 1].max()) / fall if fall > 0 else math.inf

    def verdict(self) -> str:
        """Return in a sentence how the loss goes along the line."""
        if self.between:
            first, last = (float(np.interp(at, self.places, self.losses[0])) for at in (0.0, 1.0))
            ends = f"{number(first)} → {number(last)}"
            if not last < first:
                return f"From start to end of training the loss does not fall ({ends})."
            hump = self.hump()
            if hump > 0.01:
                return f"Straight from start to end of training the loss goes over a hump ({ends})."
            return f"Straight from start to end of training the loss falls without a hump ({ends})."
        here = float(np.interp(0.0, self.places, self.losses[0]))
        lowest = float(np.nanmin(self.losses))
        if here - lowest > 0.02 * abs(here) + 1e-12:
            return (
                f"The loss here, {number(here)}, is not the lowest nearby: {number(lowest)} lies in a random direction."
            )
        width = self.width()
        if width is None:
            return f"The loss, {number(here)}, hardly changes in random directions: very flat."
        return (
            f"The loss, {number(here)} here, has doubled where the weights are changed by "
            f"{100 * width:.0f} % of their length."
        )

    def width(self) -> float | None:
        """Return how far from the present weights the loss has doubled on the mean over lines; None if nowhere."""
        mean = self.losses.mean(axis=0)
        here = float(np.interp(0.0, self.places, mean))
        beyond = np.abs(self.places)[mean > 2 * here]
        return float(beyond.min()) if len(beyond) else None

    def __str__(self) -> str:
        lines = [self.verdict()]
        shown = np.linspace(0, len(self.places) - 1, min(9, len(self.places))).round().astype(int)
        lines.append("at    " + "  ".join(f"{self.places[one]:>7.2f}" for one in shown))
        for values in self.losses:
            lines.append("loss  " + "  ".join(f"{number(float(values[one])):>7}" for one in shown))
        lines.append(self._how())
        return "\n".join(lines)

    def _how(self) -> str:
        lengths = "0 is the start, 1 the end of training" if self.between else "1 is as far as the weights are long"
        return (
            f"{plural(len(self.losses), 'line')}, {lengths}; measured on {plural(self.rows, 'row')}, without dropout."
        )

    @styled
    def plot(self) -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.8), layout="constrained")
        axes = figure.add_subplot()
        for index, values in enumerate(self.losses):
            line = LINES[index % len(LINES)]
            name = "training rows" if self.between else f"direction {index + 1}"
            axes.plot(self.places, values, linestyle=line.dash, color=line.colour, linewidth=2, label=name)
        if self.validation is not None:
            for index, values in enumerate(self.validation):
                colour = RED if self.between else LINES[index % len(LINES)].colour
                said = "validation rows" if not index else None
                axes.plot(self.places, values, linestyle=":", color=colour, linewidth=1.8, label=said)
        finite = self.losses[np.isfinite(self.losses)]
        if finite.min() > 0 and finite.max() > 100 * finite.min():
            log_scale(axes, "y")
        for at, name in ((0.0, "start"), (1.0, "end")) if self.between else ((0.0, "here"),):
            axes.axvline(at, color=FAINT, linewidth=1, linestyle=":")
            axes.annotate(f" {name}", (at, 1), xycoords=("data", "axes fraction"), va="top", fontsize=9.5, color="#555")
        unit = "share of the way from the start of training (0) to its end (1)"
        axes.set_xlabel(unit if self.between else "distance from the weights, in multiples of each filter's length")
        axes.set_ylabel("loss")
        if len(self.losses) > 1 or self.validation is not None:
            axes.legend(fontsize=9.5)
        heading(figure, self.verdict(), self._how())
        return figure


def loss_line(
    model: Any,
    data: Any,
    *,
    start: Sequence[Any] | None = None,
    lines: int = 3,
    points: int = 31,
    rows: int = 1000,
    validation: Any = None,
    seed: int = 0,
) -> LossLine:
    """Measure the loss along straight lines through a model's weights.

    With `start`: `weights(a) = (1 - a) * start + a * end`, from a little before the start of training to a little
    beyond its end. Without: `weights + a * direction`, for random directions in which each filter is as long as the
    model's own. The model is put back.

    Source: I. Goodfellow et al., 2015, Qualitatively characterizing neural network optimization problems (from start
    to end); H. Li et al., 2018, Visualizing the loss landscape of neural nets (random directions).

    Args:
        model: A compiled model, as training left it.
        data: Rows to measure on, as for `fit`; of parts the training part.
        start: The weights at the start of training, as `model.get_weights()` gave them then, or `WeightPath().start`.
        lines: How many random directions, where there is no start.
        points: How many places on each line, at least 5.
        rows: Most rows to measure on.
        validation: Further rows, drawn as dotted lines.
        seed: Of directions and rows.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> x = torch.linspace(-1, 1, 64)[:, None]
        >>> model = Sequential([Input((1,)), Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> start = model.get_weights()
        >>> _ = model.fit(x, 3 * x, epochs=50, verbose=0)
        >>> found = loss_line(model, (x, 3 * x), start=start)
        >>> found.verdict().startswith("Straight from start to end of training the loss falls without a hump")
        True
    """
    for name, value, least in (("points", points, 5), ("rows", rows, 1), ("lines", lines, 1)):
        check_whole("loss_line", name, value, least, f"{name}={max(least, 21)}")
    batches = batches_to_measure(model, data, "loss_line")
    others = None if validation is None else batches_to_measure(model, validation, "loss_line")
    with on_trial(model):
        measured = some_rows(model, batches, rows, seed)
        held = None if others is None else some_rows(model, others, rows, seed)
        if start is None:
            place = Place(model)
            directions = random_directions(model, place, lines, seed)
            places, shift = np.linspace(-1.0, 1.0, points + 1 - points % 2), 0.0
        else:
            place = Place(model, [weight for weight in model.weights if weight.is_floating_point()])
            directions = [_from_start(model, place, start)]
            places, shift = np.sort(np.unique([*np.linspace(-0.25, 1.25, points), 0.0, 1.0])), -1.0
        found = np.zeros((2, len(directions), len(places)))
        for line, direction in enumerate(directions):
            for at, share in enumerate(places):
                place.move((float(share) + shift, direction))
                found[0, line, at] = mean_loss(model, measured)
                if held is not None:
                    found[1, line, at] = mean_loss(model, held)
    count = sum(rows_in(batch[0]) for batch in measured)
    return LossLine(places, found[0], found[1] if held is not None else None, start is not None, count)


def _from_start(model: Any, place: Place, start: Any) -> list[torch.Tensor]:
    """Return the way from the weights at the start to the present ones; what are no floats stay as they are."""
    own = model.weights
    given = list(start)
    shapes = [tuple(np.shape(value)) for value in given]
    if shapes != [tuple(weight.shape) for weight in own]:
        raise ValueError(
            explain(
                f"loss_line got a start of {len(given)} arrays; the model has {len(own)} weights of other shapes."
                if len(given) == len(own)
                else f"loss_line got a start of {len(given)} arrays; the model has {len(own)} weights.",
                "Expected what model.get_weights() gave before training.",
                "start = model.get_weights(); model.fit(...); loss_line(model, data, start=start)",
            )
        )
    found = []
    for weight, value in zip(own, given):
        if weight.is_floating_point():
            first = torch.as_tensor(np.asarray(value)).to(weight.device, weight.dtype)
            found.append(weight.detach() - first)
    return found
