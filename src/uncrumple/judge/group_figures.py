"""The pictures of slices and of fairness: every group a line, with its interval."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from uncrumple.judge.fairness import Fairness
from uncrumple.judge.plots import _FAINT, _INK, BLUE, RED, _short, _styled
from uncrumple.judge.slices import FEWEST_ROWS, Slices

_MOST_LINES = 40


@_styled
def slices_figure(found: Slices) -> Figure:
    """Draw the score of each slice with its interval; those shown to be served worse are red squares.

    Slices of fewer than 30 rows are hollow and grey: nothing is claimed of them.

    Example:
        >>> import numpy as np
        >>> from uncrumple.judge.slices import slices_of
        >>> found = slices_of({"time": np.repeat(["night", "day"], 100)}, np.arange(200) % 4 > 0)
        >>> [label.get_text() for label in slices_figure(found).axes[0].get_yticklabels()]
        ['time = day  (100)', 'time = night  (100)']
    """
    shown = found.slices[:_MOST_LINES]
    scale = 100 if found.shares else 1
    figure = Figure(figsize=(8.6, 0.36 * len(shown) + 1.4), layout="constrained")
    axes = figure.add_subplot()
    worse = {(one.column, one.value) for one in found.worse}
    for place, one in enumerate(shown):
        marked = (one.column, one.value) in worse
        colour = _FAINT if one.too_few else RED if marked else BLUE
        _interval(axes, place, [scale * value for value in one.score], colour, "s" if marked else "o", one.too_few)
        if marked:
            axes.annotate("  worse", (1.0, place), xycoords=("axes fraction", "data"), va="center", fontsize=10,
                          color=RED, annotation_clip=False)  # fmt: skip
    whole = sum(one.score.score * one.rows for one in found.slices) / max(1, sum(one.rows for one in found.slices))
    axes.axvline(scale * whole, color=_FAINT, linewidth=1.2, linestyle="--", zorder=0)
    names = [f"{_short(one.column, 18)} = {_short(one.value, 18)}  ({one.rows:,})" for one in shown]
    _finish(axes, names, found.shares)
    what = "accuracy in %" if found.shares else "mean error (less is better)"
    axes.set_xlabel(f"{what}, with 95 % intervals; dashed: all rows")
    axes.set_title("Some are served worse than the others" if worse else "No slice is shown to be served worse")
    return figure


@_styled
def fairness_figure(found: Fairness) -> Figure:
    """Draw the three rates of each group beside each other, with their intervals.

    A rate whose gap is shown to be more than chance has its title in red, and says so. Groups of fewer than
    30 rows are hollow and grey.

    Example:
        >>> import numpy as np
        >>> from uncrumple.judge.fairness import fairness_of
        >>> sex, yes = np.repeat(["f", "m"], 100), np.tile([True, False], 100)
        >>> figure = fairness_figure(fairness_of("sex", sex, yes, yes & (sex == "f")))
        >>> [axes.get_title('left') for axes in figure.axes]
        ['answered yes\\napart by 50 points [40 to 60]', 'recall\\napart by 100 points [90 to 100]', 'false alarms\\nno gap shown']
    """
    groups = [rate.group for rate in found.gaps[0].rates]
    figure = Figure(figsize=(9.4, 0.42 * len(groups) + 1.7), layout="constrained")
    every: Any = figure.subplots(1, len(found.gaps), sharey=True, squeeze=False)[0]
    for axes, gap in zip(every, found.gaps):
        shown = gap.p_value is not None and gap.p_value < found.alpha
        for place, rate in enumerate(gap.rates):
            few = rate.rows < FEWEST_ROWS
            colour = _FAINT if few else RED if shown else BLUE
            if math.isfinite(rate.share.score):
                _interval(axes, place, [100 * value for value in rate.share], colour, "s" if shown else "o", few)
        said = "too few rows" if gap.p_value is None else "no gap shown"
        if shown:
            said = f"apart by {100 * gap.gap.score:.0f} points [{100 * max(0.0, gap.gap.low):.0f} to {100 * gap.gap.high:.0f}]"
        axes.set_title(f"{gap.what}\n{said}", fontsize=11.5, color=RED if shown else _INK)
        _finish(axes, [_short(group, 20) for group in groups], True)
        axes.set_xlim(-3, 103)
        axes.set_xticks([0, 25, 50, 75, 100], ["0 %", "", "50 %", "", "100 %"])
        axes.set_xlabel("of all rows" if gap.what == "answered yes" else _OF_WHOM[gap.what])
    return figure


_OF_WHOM = {"recall": "of those who are yes", "false alarms": "of those who are no"}


def _interval(axes: Any, place: int, values: list[float], colour: str, marker: str, hollow: bool) -> None:
    score, low, high = values
    axes.plot([low, high], [place, place], color=colour, linewidth=1.4 if hollow else 2.2, solid_capstyle="butt")
    fill = {"markerfacecolor": "#ffffff"} if hollow else {}
    axes.plot([score], [place], marker, color=colour, markersize=7, **fill)


def _finish(axes: Any, names: list[str], shares: bool) -> None:
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    if shares:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
