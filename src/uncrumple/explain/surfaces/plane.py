"""The loss on a plane through a network's weights, with the way that training took."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.explain.asked import check_whole
from uncrumple.explain.keeping import on_trial
from uncrumple.explain.rows import rows_in
from uncrumple.explain.style import GREEN, INK, RED
from uncrumple.explain.surfaces.measured import Measured, batches_to_measure
from uncrumple.explain.surfaces.path import WeightPath
from uncrumple.explain.surfaces.weights import Place, main_directions, mean_loss, random_directions, some_rows
from uncrumple.explain.tuning.drawing import as_tick, heading, styled
from uncrumple.explain.tuning.words import number, plural


@dataclass(repr=False)
class LossPlane(Measured):
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
        shown.setdefault(as_tick(float(f"{level:.2g}")), float(level))
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
        >>> import torch
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
    for name, value, least in (("points", points, 5), ("rows", rows, 1)):
        check_whole("loss_plane", name, value, least, f"{name}={max(least, 21)}")
    if isinstance(span, bool) or not isinstance(span, (int, float)) or not 0 < span < math.inf:
        raise ValueError(explain(f"loss_plane got span={span!r}.", "Expected a number above 0.", "span=1.0"))
    batches = batches_to_measure(model, data, "loss_plane")
    went = _points(path, model)
    with on_trial(model):
        measured = some_rows(model, batches, rows, seed)
        place = Place(model)
        share, places, path_losses = 1.0, None, None
        if went is None:
            plane = random_directions(model, place, 2, seed)
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
    return LossPlane(across, up, losses, places, path_losses, share, here, sum(rows_in(batch[0]) for batch in measured))


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


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
