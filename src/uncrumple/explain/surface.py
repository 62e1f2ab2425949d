"""The loss around a network: along a line, and on a plane with the way that training took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.callbacks import Callback
from uncrumple.core.errors import explain
from uncrumple.explain.tuning.drawing import (
    FAINT,
    GREEN,
    INK,
    LINES,
    RED,
    Drawn,
    finite_or_none,
    heading,
    log_scale,
    plain,
    styled,
)
from uncrumple.explain.tuning.given import batches_of
from uncrumple.explain.tuning.kept import kept, prepared
from uncrumple.explain.tuning.weights import Place, main_directions, mean_loss, random_direction, some_rows
from uncrumple.explain.tuning.words import number, plural


class WeightPath(Callback):
    """Notes the trainable weights while a model trains: at the start, and after each epoch or every so many steps.

    Args:
        every: After how many steps; None notes them after each epoch, which costs training next to nothing.

    Attributes:
        points: What was noted, each a flat float32 array.
        steps: After which epoch (or step) each was noted; 0 is the start.
        start: All weights at the start, as `get_weights` gives them: for `loss_line(..., start=path.start)`.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> path = WeightPath()
        >>> _ = model.fit(torch.ones(8, 2), torch.ones(8, 1), epochs=3, verbose=0, callbacks=[path])
        >>> len(path.points), path.points[0].shape
        (4, (3,))
    """

    def __init__(self, every: int | None = None) -> None:
        super().__init__()
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise ValueError(
                explain(
                    f"WeightPath got every={every!r}.",
                    "Expected a whole number of steps of at least 1, or None for each epoch.",
                    "WeightPath(every=10)",
                )
            )
        self.every = every
        self.points: list[np.ndarray] = []
        self.steps: list[int] = []
        self.start: list[np.ndarray] = []
        self._seen = 0

    def _note(self, step: int) -> None:
        self.points.append(Place(self.model).flat().numpy())
        self.steps.append(step)

    def on_train_begin(self, logs: Any = None) -> None:
        self.points, self.steps, self._seen = [], [], 0
        self.start = self.model.get_weights()
        self._note(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._seen += 1
        if self.every is not None and self._seen % self.every == 0:
            self._note(self._seen)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.every is None:
            self._note(epoch + 1)

    def _idle_batch_hooks(self) -> tuple[Any, ...]:
        return (WeightPath.on_train_batch_end,) if self.every is None else ()


@dataclass(repr=False)
class LossLine(Drawn):
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

    def to_dict(self) -> dict[str, Any]:
        return finite_or_none(
            {
                "verdict": self.verdict(),
                "places": self.places,
                "losses": self.losses,
                "validation": self.validation,
                "between": self.between,
                "rows": self.rows,
            }
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
    _check("loss_line", points=(points, 5), rows=(rows, 1), lines=(lines, 1))
    batches = prepared(model, batches_of(data, "loss_line", None, shuffle=False), "loss_line")
    others = (
        None if validation is None else prepared(model, batches_of(validation, "loss_line", None, False), "loss_line")
    )
    with kept(model):
        device = next((weight.device for weight in model.weights), "cpu")
        measured = some_rows(batches, rows, seed, device)
        held = None if others is None else some_rows(others, rows, seed, device)
        if start is None:
            place = Place(model)
            generator = torch.Generator().manual_seed(seed)
            directions = [random_direction(model, place, generator) for _ in range(lines)]
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
    count = sum(_rows(batch) for batch in measured)
    return LossLine(places, found[0], found[1] if held is not None else None, start is not None, count)


@dataclass(repr=False)
class LossPlane(Drawn):
    """The loss on a plane through a network's weights.

    Attributes:
        across, up: The coordinates of the grid's columns and rows; the present weights are at (0, 0).
        losses: (rows, columns).
        path: Where training went, (points, 2), or None.
        path_losses: The true loss at each point of the path, which need not lie in the plane.
        share: How much of the path's squared distances from the present weights lies in the plane.
        here: The loss of the present weights.
        rows: How many rows measured.
    """

    across: np.ndarray
    up: np.ndarray
    losses: np.ndarray
    path: np.ndarray | None
    path_losses: np.ndarray | None
    share: float
    here: float
    rows: int

    def verdict(self) -> str:
        """Return in a sentence what the plane shows."""
        if self.path is not None and self.path_losses is not None:
            first = number(float(self.path_losses[0]))
            return (
                f"Training went from a loss of {first} to {number(self.here)}; this plane holds "
                f"{100 * self.share:.0f} % of its way."
            )
        lowest = float(np.nanmin(self.losses))
        if self.here - lowest > 0.02 * abs(self.here) + 1e-12:
            return f"The loss here, {number(self.here)}, is not the lowest on this plane: {number(lowest)} is near."
        return f"The loss, {number(self.here)} here, rises to all sides of this plane."

    def __str__(self) -> str:
        lines = [self.verdict()]
        lowest = np.unravel_index(int(np.nanargmin(self.losses)), self.losses.shape)
        lines.append(
            f"On the plane the loss is from {number(float(np.nanmin(self.losses)))} to "
            f"{number(float(np.nanmax(self.losses)))}, lowest at "
            f"({number(float(self.across[lowest[1]]), 2)}, {number(float(self.up[lowest[0]]), 2)}); "
            "the present weights are at (0, 0)."
        )
        lines.append(self._how())
        return "\n".join(lines)

    def _how(self) -> str:
        if self.path is None:
            kind = "two random directions, each filter as long as the model's own"
        else:
            kind = f"the two main directions of {plural(len(self.path), 'point')} of training"
        return f"{_capital(kind)}; measured on {plural(self.rows, 'row')}, without dropout."

    def to_dict(self) -> dict[str, Any]:
        return finite_or_none(
            {
                "verdict": self.verdict(),
                "across": self.across,
                "up": self.up,
                "losses": self.losses,
                "path": self.path,
                "path_losses": self.path_losses,
                "share": self.share,
                "here": self.here,
                "rows": self.rows,
            }
        )

    @styled
    def plot(self) -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.0, 5.0), layout="constrained")
        axes = figure.add_subplot()
        image, levels = contours(axes, self.across, self.up, self.losses)
        if self.path is not None:
            axes.plot(self.path[:, 0], self.path[:, 1], "-", color="white", linewidth=4)
            axes.plot(
                self.path[:, 0], self.path[:, 1], "-o", color=RED, linewidth=2, markersize=4, mec="white", mew=0.6
            )
            axes.plot(*self.path[0], "s", color=RED, markersize=9, mec="white", mew=1.2)
            axes.annotate("start", self.path[0], xytext=(8, 4), textcoords="offset points", fontweight="bold", color=INK,
                          bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8})  # fmt: skip
        axes.plot(0, 0, "*", color=GREEN, markersize=15, mec="white", mew=1.2)
        axes.annotate("present weights", (0, 0), xytext=(9, -13), textcoords="offset points", fontweight="bold", color=INK,
                      bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8})  # fmt: skip
        names = ("first", "second") if self.path is None else ("first main", "second main")
        unit = "in lengths of the filters" if self.path is None else "distance of the weights"
        axes.set_xlabel(f"{names[0]} direction ({unit})")
        axes.set_ylabel(f"{names[1]} direction ({unit})")
        colour_bar(figure, axes, image, levels)
        heading(figure, self.verdict(), self._how())
        return figure


def contours(axes: Any, across: np.ndarray, up: np.ndarray, losses: np.ndarray) -> tuple[Any, np.ndarray]:
    """Draw a loss as shades and lines of equal height, denser where it is low; return the shades and their levels."""
    from matplotlib.colors import BoundaryNorm

    values = np.where(np.isfinite(losses), losses, np.nanmax(losses[np.isfinite(losses)]))
    low, high = float(values.min()), float(np.quantile(values, 0.98))
    high = high if high > low else low + 1.0
    # Steps that grow, so that each shade covers about as much: equal steps would leave the floor of a valley one shade.
    middle = float(np.clip((np.median(values) - low) / (high - low), 1e-4, 0.5))
    levels = low + (high - low) * np.linspace(0, 1, 16) ** min(3.0, math.log(middle) / math.log(0.5))
    shades = axes.contourf(
        across, up, values, levels=levels, cmap="cividis", norm=BoundaryNorm(levels, 256), extend="max"
    )
    axes.contour(across, up, values, levels=levels[1:], colors="white", linewidths=0.5, alpha=0.5)
    axes.set_xlim(float(across[0]), float(across[-1]))
    axes.set_ylim(float(up[0]), float(up[-1]))
    axes.grid(False)
    return shades, levels


def colour_bar(figure: Any, axes: Any, image: Any, levels: np.ndarray) -> None:
    """Say beside a picture which loss each shade stands for, the lowest and the highest among them."""
    shown: dict[str, float] = {}
    for level in [*levels[:: max(1, len(levels) // 6)], levels[-1]]:
        shown.setdefault(plain(float(f"{level:.2g}")), float(level))
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_ticks(list(shown.values()), labels=list(shown))
    bar.ax.minorticks_off()
    bar.set_label("loss")
    bar.outline.set_visible(False)


def loss_plane(
    model: Any,
    data: Any,
    *,
    path: Any = None,
    points: int = 21,
    span: float = 1.0,
    rows: int = 500,
    seed: int = 0,
) -> LossPlane:
    """Measure the loss on a plane through a model's weights, and draw the way of training into it.

    With a path the plane has its two main directions (the principal components of where it went, seen from the present
    weights); the part of the way outside of the plane is not seen, and the result says how much that is. Without one it
    has two random directions, in which each filter is as long as the model's own. The model is put back.

    Source: H. Li et al., 2018, Visualizing the loss landscape of neural nets.

    Args:
        model: A compiled model, as training left it.
        data: Rows to measure on, as for `fit`; of parts the training part.
        path: A `WeightPath` that was among the callbacks of `fit`, or a list of flat arrays of trainable weights.
        points: How many places each way, at least 5: points * points measurements.
        span: Without a path: how far to go, in lengths of the filters.
        rows: Most rows to measure on.
        seed: Of directions and rows.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> x = torch.linspace(-1, 1, 64)[:, None]
        >>> model = Sequential([Input((1,)), Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> path = WeightPath()
        >>> _ = model.fit(x, 3 * x + 1, epochs=20, verbose=0, callbacks=[path])
        >>> found = loss_plane(model, (x, 3 * x + 1), path=path, points=5)
        >>> found.losses.shape, found.path.shape, round(found.share, 2)
        ((5, 5), (21, 2), 1.0)
    """
    _check("loss_plane", points=(points, 5), rows=(rows, 1))
    if isinstance(span, bool) or not isinstance(span, (int, float)) or not 0 < span < math.inf:
        raise ValueError(explain(f"loss_plane got span={span!r}.", "Expected a number above 0.", "span=1.0"))
    batches = prepared(model, batches_of(data, "loss_plane", None, shuffle=False), "loss_plane")
    went = _points(path, model)
    with kept(model):
        device = next((weight.device for weight in model.weights), "cpu")
        measured = some_rows(batches, rows, seed, device)
        place = Place(model)
        share, places, path_losses = 1.0, None, None
        if went is None:
            generator = torch.Generator().manual_seed(seed)
            plane = [random_direction(model, place, generator) for _ in range(2)]
            across = up = np.linspace(-span, span, points)
        else:
            center = place.flat().double().numpy()
            directions, places, share = main_directions(went, center)
            plane = [place.unpacked(direction) for direction in directions]
            across, up = _grid(places, points)
            path_losses = np.zeros(len(went))
            for index, point in enumerate(went):
                place.move((1.0, [a - b for a, b in zip(place.unpacked(point), place.here)]))
                path_losses[index] = mean_loss(model, measured)
        losses = np.zeros((len(up), len(across)))
        for row, b in enumerate(up):
            for column, a in enumerate(across):
                place.move((float(a), plane[0]), (float(b), plane[1]))
                losses[row, column] = mean_loss(model, measured)
        place.move()
        here = mean_loss(model, measured)
    return LossPlane(across, up, losses, places, path_losses, share, here, sum(_rows(batch) for batch in measured))


def _grid(places: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates of a grid with all places and the origin in it, and some room around them."""
    found = []
    low, high = np.minimum(places.min(axis=0), 0.0), np.maximum(places.max(axis=0), 0.0)
    reach = float((high - low).max()) or 1.0
    for axis in range(2):
        room = 0.25 * max(float(high[axis] - low[axis]), 0.4 * reach)
        found.append(np.linspace(low[axis] - room, high[axis] + room, points))
    return found[0], found[1]


def _points(path: Any, model: Any) -> np.ndarray | None:
    if path is None:
        return None
    given = path.points if isinstance(path, WeightPath) else path
    size = sum(weight.numel() for weight in model.trainable_weights)
    points = [np.asarray(point, np.float32).reshape(-1) for point in given]
    if len(points) < 2 or any(len(point) != size for point in points):
        lengths = sorted({len(point) for point in points})
        raise ValueError(
            explain(
                f"loss_plane got a path of {plural(len(points), 'point')} with {lengths} numbers.",
                f"Expected at least 2 points, each with the {size} trainable weights of this model.",
                "path = WeightPath(); model.fit(..., callbacks=[path]); loss_plane(model, data, path=path)",
            )
        )
    return np.stack(points)


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


def _rows(batch: tuple[Any, Any, Any]) -> int:
    from uncrumple.core import tree

    return int(tree.flatten(batch[0])[0].shape[0])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _check(owner: str, **given: tuple[Any, int]) -> None:
    for name, (value, least) in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(
                explain(
                    f"{owner} got {name}={value!r}.",
                    f"Expected a whole number of at least {least}.",
                    f"{name}={max(least, 21)}",
                )
            )
