"""An uncrumple view on paper: a panel for each layer, and what a straight line finds, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from uncrumple.explain.pictures.style import MARKERS, MOST_COLOURS, OTHERS, class_colours, in_grid, new_figure, theme_of
from uncrumple.explain.uncrumpling import words

if TYPE_CHECKING:
    from uncrumple.explain.uncrumpling.view import Frame, LayerView, Uncrumpled

_SIDE = 2.35
_MOST_ACROSS = 5
_MOST_IN_STRIP = 6


def one_moment(view: Uncrumpled, theme: str) -> Figure:
    """Draw every layer at the last moment."""
    drawing = Drawing(view, theme, len(view.frames) - 1)
    return drawing.figure


class Drawing:
    """The figure of one moment, which can go on to the next without being made anew.

    Args:
        view: The view.
        theme: `"light"` or `"dark"`.
        place: Which moment it begins with.
        note: Whether to say below how it is to be read.
    """

    def __init__(self, view: Uncrumpled, theme: str, place: int, note: bool = True) -> None:
        self.view, self.theme = view, theme
        layers = view.frames[place].layers
        rows, columns = in_grid(len(layers), _MOST_ACROSS)
        width = max(6.6, _SIDE * columns + 0.3)
        has_strip = view.probe.task is not None
        height = (_SIDE + 0.45) * rows + (2.1 if has_strip else 0.0) + 1.6
        self.figure = new_figure(width, height, view.title, theme, view.note if note else "")
        groups = Groups(view, theme)
        ratios = [groups.legend_share(width)] + [1.0] * rows + ([0.62] if has_strip else [])
        grid = self.figure.add_gridspec(len(ratios), columns, height_ratios=ratios)
        self.panels = []
        for index, layer in enumerate(layers):
            axes = self.figure.add_subplot(grid[1 + index // columns, index % columns])
            limits = _limits([frame.layers[index] for frame in view.frames])
            self.panels.append(Panel(axes, layer, index, groups, theme, limits, view.probe.task))
        groups.legend(self.figure, self.figure.add_subplot(grid[0, :]), [panel.axes for panel in self.panels])
        self.strip = None
        if has_strip:
            self.strip = Strip(self.figure.add_subplot(grid[1 + rows, :]), view, theme, place)

    def show(self, place: int, share: float = 0.0) -> None:
        """Draw another moment, or a share of the way from it to the next."""
        frame = self.view.frames[place]
        after = self.view.frames[min(place + 1, len(self.view.frames) - 1)]
        for panel, layer, then in zip(self.panels, frame.layers, after.layers):
            panel.show(layer, layer.points + share * (then.points - layer.points), between(layer, then, share))
        if self.strip is not None:
            self.strip.show(frame)


def between(layer: LayerView, then: LayerView, share: float) -> np.ndarray | None:
    """Return the grid a share of the way to the next moment."""
    if layer.lines is None or then.lines is None:
        return layer.lines
    return layer.lines + share * (then.lines - layer.lines)


def film_strip(view: Uncrumpled, theme: str) -> Figure:
    """Draw the first moment, one in the middle and the last below each other."""
    last = len(view.frames) - 1
    moments = sorted({0, _turning_point(view), last})
    count = len(view.layers)
    columns = list(range(count))
    if count > _MOST_IN_STRIP:
        columns = np.unique(np.linspace(0, count - 1, _MOST_IN_STRIP).round().astype(int)).tolist()
    has_strip = view.probe.task is not None
    width = max(6.6, _SIDE * len(columns) + 0.6)
    height = (_SIDE + 0.35) * len(moments) + (2.1 if has_strip else 0.0) + 1.6
    figure = new_figure(width, height, view.title, theme, view.note)
    groups = Groups(view, theme)
    ratios = [groups.legend_share(width)] + [1.0] * len(moments) + ([0.62] if has_strip else [])
    grid = figure.add_gridspec(len(ratios), len(columns), height_ratios=ratios)
    panels = []
    for row, moment in enumerate(moments):
        frame = view.frames[moment]
        for column, place in enumerate(columns):
            axes = figure.add_subplot(grid[1 + row, column])
            layer = frame.layers[place]
            panel = Panel(axes, layer, place, groups, theme, _limits([layer]), view.probe.task)
            panels.append(panel.axes)
            if column == 0:
                axes.set_ylabel(_moment(frame), fontsize=9.5, fontweight="bold")
    groups.legend(figure, figure.add_subplot(grid[0, :]), panels)
    if has_strip:
        Strip(figure.add_subplot(grid[1 + len(moments), :]), view, theme, last, moments)
    return figure


def _turning_point(view: Uncrumpled) -> int:
    """Return the moment that is nearest to half of what the best layer has gained; else the middle."""
    scores = view.scores
    middle = len(view.frames) // 2
    if np.isnan(scores).all() or len(scores) < 3:
        return middle
    best = scores[:, int(np.nanargmax(np.nan_to_num(scores[-1], nan=-1e9)))]
    if best[-1] - best[0] <= 0.02:
        return middle
    inside = np.abs(best[1:-1] - (best[0] + best[-1]) / 2)
    return int(inside.argmin()) + 1


# --- colours -----------------------------------------------------------------------------


class Groups:
    """Which samples are drawn alike: those of a class, or all with a colour by value."""

    def __init__(self, view: Uncrumpled, theme: str) -> None:
        probe = view.probe
        self.theme, self.colours = theme, theme_of(theme)
        self.values = None if probe.values is None else probe.values[:, 0]
        self.members: list[tuple[str, str, str, np.ndarray]] = []
        if probe.labels is None:
            self.members = [("", self.colours["blue"], "o", np.arange(len(probe)))]
            return
        for name, colour, marker, rows in class_groups(probe.labels, probe.class_names, theme):
            self.members.append((name, colour, marker, rows))

    def _across(self, width: float) -> int:
        """Return how many names stand side by side."""
        return max(2, int(width / (0.55 + 0.085 * max(len(name) for name, *_ in self.members))))

    def legend_share(self, width: float) -> float:
        """Return the height of the legend, as a share of a panel's."""
        if self.values is None and len(self.members) < 2:
            return 0.01
        return 0.13 if self.values is not None else 0.09 * -(-len(self.members) // self._across(width))

    def legend(self, figure: Figure, axes: Any, panels: Sequence[Any]) -> None:
        """Write what the colours mean into an empty row."""
        axes.set_axis_off()
        if self.values is not None:
            from matplotlib.cm import ScalarMappable
            from matplotlib.colors import Normalize

            low, high = float(self.values.min()), float(self.values.max())
            shades = ScalarMappable(Normalize(low, high), self.colours["sequential"])
            place = axes.inset_axes((0.0, 0.35, 0.3, 0.5))
            bar = figure.colorbar(shades, cax=place, orientation="horizontal")
            bar.set_ticks([low, high])
            bar.set_ticklabels([f"{low:.4g}", f"{high:.4g}"])
            place.set_title("target", fontsize=8.5, loc="left", pad=2)
            bar.outline.set_visible(False)  # type: ignore[operator]
        elif len(self.members) > 1:
            from matplotlib.lines import Line2D

            marks = [
                Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5.5, label=name,
                       markeredgecolor=self.colours["outline"], markeredgewidth=0.3)
                for name, colour, marker, _ in self.members
            ]  # fmt: skip
            axes.legend(handles=marks, loc="upper left", ncols=self._across(figure.get_figwidth()), fontsize=8.5,
                        handletextpad=0.1, columnspacing=1.0, borderaxespad=0.0, borderpad=0.0)  # fmt: skip


def class_groups(labels: np.ndarray, names: Sequence[str], theme: str) -> list[tuple[str, str, str, np.ndarray]]:
    """Return (name, colour, marker, rows) of each class; beyond ten, the rare ones together in grey."""
    kinds, counts = np.unique(labels, return_counts=True)
    own = (
        kinds if len(kinds) <= MOST_COLOURS else np.sort(kinds[np.argsort(-counts, kind="stable")][: MOST_COLOURS - 1])
    )
    colours = class_colours(len(own), theme)
    found = []
    rest = np.flatnonzero(~np.isin(labels, own))
    if len(rest):
        found.append((f"{len(kinds) - len(own)} others", OTHERS, "o", rest))
    for place, kind in enumerate(own.tolist()):
        name = str(names[kind]) if kind < len(names) else str(kind)
        name = {" ": "space", "\n": "newline"}.get(name, name)
        found.append((name if len(name) <= 24 else f"{name[:23]}…", colours[place], MARKERS[place % len(MARKERS)],
                      np.flatnonzero(labels == kind)))  # fmt: skip
    return found


# --- parts of the figure -----------------------------------------------------------------


def _limits(layers: Sequence[LayerView]) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top for a layer at several moments."""
    everything = np.concatenate([one.points for one in layers])
    if layers[0].exact:
        low, high = everything.min(axis=0), everything.max(axis=0)
        room = np.where(high > low, 0.06 * (high - low), 0.5)
        low, high = low - room, high + room
        return float(low[0]), float(high[0]), float(low[1]), float(high[1])
    # A few that lie far out must not squeeze the others together.
    far = float(np.quantile(np.abs(everything), 0.995)) * 1.1 or 1.0
    return -far, far, -far, far


class Panel:
    """The samples after one layer."""

    def __init__(
        self, axes: Any, layer: LayerView, place: int, groups: Groups, theme: str, limits: Any, task: str | None
    ) -> None:
        self.axes, self.groups, self.task, self.place = axes, groups, task, place
        colours = theme_of(theme)
        self.lines = None
        if layer.lines is not None:
            self.lines = LineCollection([], colors=colours["faint"], linewidths=0.55, alpha=0.75, zorder=1)
            axes.add_collection(self.lines)
        self.marks = []
        for _, colour, marker, rows in groups.members:
            look: dict[str, Any] = {"color": colour}
            if groups.values is not None:
                look = {"c": groups.values[rows], "cmap": colours["sequential"]}
            size = 13 if len(groups.members) > 1 or groups.values is not None else 10
            self.marks.append(
                (axes.scatter(layer.points[rows, 0], layer.points[rows, 1], s=size, marker=marker, linewidths=0.25,
                              edgecolors=colours["outline"], alpha=0.85, zorder=2, **look), rows)
            )  # fmt: skip
        axes.set_xlim(limits[0], limits[1])
        axes.set_ylim(limits[2], limits[3])
        axes.set_box_aspect(1)
        for side in ("top", "right"):
            axes.spines[side].set_visible(True)
        for spine in axes.spines.values():
            spine.set_color(colours["line"])
        if layer.exact:
            axes.set_xticks([limits[0], limits[1]], [f"{limits[0]:.2g}", f"{limits[1]:.2g}"])
            axes.set_yticks([limits[2], limits[3]], [f"{limits[2]:.2g}", f"{limits[3]:.2g}"])
            axes.tick_params(length=2, labelsize=7)
            for label, side in zip(axes.get_xticklabels(), ("left", "right")):
                label.set_horizontalalignment(side)
            for label, side in zip(axes.get_yticklabels(), ("bottom", "top")):
                label.set_verticalalignment(side)
            if layer.width == 1:
                axes.set_yticks([])
        else:
            axes.set_xticks([])
            axes.set_yticks([])
        self.score = axes.set_title("", loc="right", fontsize=10.5, fontweight="bold", color=colours["blue"])
        name = f"{place} {layer.name}" if place else layer.name
        room = 15 if task == "regression" else 18
        axes.set_title(name if len(name) <= room else f"{name[: room - 1]}…", loc="left", fontsize=9.5)
        self.show(layer, layer.points, layer.lines)

    def show(self, layer: LayerView, points: np.ndarray, lines: np.ndarray | None) -> None:
        """Draw other points."""
        for marks, rows in self.marks:
            marks.set_offsets(points[rows])
        if self.lines is not None and lines is not None:
            self.lines.set_segments(list(lines))
        if layer.score is not None:
            self.score.set_text(words.said(layer.score.value, self.task))
        if layer.exact:
            said = "its two numbers themselves" if layer.width == 2 else "its number; height means nothing"
            self.axes.set_xlabel(said, fontsize=7.8, labelpad=1)
        else:
            self.axes.set_xlabel(
                f"{words.gives(layer)}\n2 dimensions show {words.percent(layer.variance)}", fontsize=7.8, labelpad=2
            )


class Strip:
    """What a straight line finds, layer by layer."""

    def __init__(
        self, axes: Any, view: Uncrumpled, theme: str, place: int, moments: Sequence[int] | None = None
    ) -> None:  # fmt: skip
        self.axes, self.view = axes, view
        self.texts: list[tuple[float, float, str, str]] = []
        colours = theme_of(theme)
        task = view.probe.task
        names = [one.name for one in view.layers]
        steps = np.arange(len(names))
        if task == "classification":
            axes.axhline(view.chance, color=colours["faint"], linestyle=":", linewidth=1)
            axes.annotate("most frequent class", (1.0, view.chance), fontsize=7.5, color=colours["soft"], va="top",
                          ha="right", xytext=(-2, -2), textcoords="offset points",
                          xycoords=("axes fraction", "data"))  # fmt: skip
            axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
        control = [np.nan if one.untrained is None else one.untrained.value for one in view.layers]
        if not np.isnan(control).all():
            axes.plot(steps, control, "s--", color=colours["orange"], markersize=4, linewidth=1.3)
            self._say(control, "untrained", colours["orange"])
        others = list(moments or [])
        if moments is None and len(view.frames) > 1:
            others = [0]
        for other in others:
            if other != place:
                before = [np.nan if one.score is None else one.score.value for one in view.frames[other].layers]
                axes.plot(steps, before, "s--", color=colours["orange"], markersize=3.5, linewidth=1.1,
                          alpha=0.9 if other == 0 else 0.5)  # fmt: skip
                self._say(before, _moment(view.frames[other]), colours["orange"])
        layers = view.frames[place].layers
        self.line = axes.plot(steps, self._values(view.frames[place]), "o-", color=colours["blue"], markersize=5,
                              linewidth=1.8, zorder=4)[0]  # fmt: skip
        if len(view.frames) == 1 or moments is not None:
            for step, one in zip(steps, layers):
                if one.score is not None:
                    axes.plot([step, step], [one.score.low, one.score.high], color=colours["blue"], linewidth=1.2)
            self._say(self._values(view.frames[place]), _moment(view.frames[place])
                      if moments is not None else "trained" if not np.isnan(control).all() else "", colours["blue"])  # fmt: skip
        axes.set_xticks(steps, [_short(name) for name in names])
        if len(names) * max(len(_short(name)) for name in names) > 11 * axes.figure.get_figwidth():
            for label in axes.get_xticklabels():
                label.set_rotation(20)
                label.set_horizontalalignment("right")
        everything = np.array([*view.scores.reshape(-1), *control, view.chance])
        everything = everything[np.isfinite(everything)]
        low = min(float(everything.min()), 0.0 if task == "regression" else 1.0)
        axes.set_ylim(max(low, -1.0) - 0.09, 1.06)
        # Room on the right for what the lines are called.
        self._write()
        axes.set_xlim(-0.3, len(names) - 1 + max(0.25, 0.14 * len(names)))
        axes.grid(True, axis="y")
        axes.set_axisbelow(True)
        axes.set_title("What a straight line finds, layer by layer (95 % interval)" if len(view.frames) == 1
                       else "What a straight line finds, layer by layer", fontsize=9.5)  # fmt: skip
        axes.set_ylabel("accuracy" if task == "classification" else "R²")

    def _say(self, values: Sequence[float], text: str, colour: str) -> None:
        known = [(step, value) for step, value in enumerate(values) if np.isfinite(value)]
        if known and text:
            self.texts.append((known[-1][1], float(known[-1][0]), text, colour))

    def _write(self) -> None:
        """Write at the end of each line what it is, none over another."""
        low, high = self.axes.get_ylim()
        gap, free = 0.1 * (high - low), low
        heights = []
        for value, *_ in sorted(self.texts):
            heights.append(max(value, free))
            free = heights[-1] + gap
        for place in range(len(heights) - 1, -1, -1):  # down again what was pushed out at the top
            most = high - 0.3 * gap if place == len(heights) - 1 else heights[place + 1] - gap
            heights[place] = min(heights[place], most)
        for height, (_, step, text, colour) in zip(heights, sorted(self.texts)):
            self.axes.annotate(text, (step, height), xytext=(8, 0), textcoords="offset points", fontsize=8,
                               color=colour, va="center", annotation_clip=False)  # fmt: skip

    def _values(self, frame: Frame) -> list[float]:
        return [np.nan if one.score is None else one.score.value for one in frame.layers]

    def show(self, frame: Frame) -> None:
        """Draw another moment."""
        self.line.set_ydata(self._values(frame))
        self.axes.set_title(f"What a straight line finds, layer by layer: {frame.in_words()}", fontsize=9.5)


def _moment(frame: Frame) -> str:
    """Return when it was, as briefly as can be."""
    if not frame.step and not frame.epoch:
        return "before training"
    return f"step {frame.step:,}" if not frame.epoch else f"epoch {frame.epoch:,}"


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"
