"""The pictures of a judgement: reliability, ROC and precision-recall, residuals, learning curve, tree.

Like those in `uncrumple.judge.plots`, each is a figure of its own. `to_svg` turns any of them
into a drawing for a page, whose colours follow the page: light, dark, or printed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from uncrumple.judge.calibration import Calibration
from uncrumple.judge.learning import LearningCurve
from uncrumple.judge.plots import _FAINT, _INK, _STYLE, BLUE, GREEN, ORANGE, RED, _short, _styled
from uncrumple.judge.thresholds import Curves, Threshold
from uncrumple.judge.trees import Node, depth_of, leaves_of

# Told apart by dash as well as by colour, for those who cannot by colour.
_LINES = ((BLUE, "-"), (RED, "--"), (GREEN, "-."), (ORANGE, ":"), ("#56B4E9", (0, (5, 1))), ("#CC79A7", (0, (3, 1, 1, 1))),
          ("#555555", "-"), (BLUE, ":"), (RED, "-."), (GREEN, "--"))  # fmt: skip
_MOST_LEAVES = 10
# What a page calls the colours of the figures.
_VARIABLES = {
    _INK: "var(--ink)",
    _FAINT: "var(--soft)",
    "#555555": "var(--soft)",
    "#e4e4e4": "var(--line)",
    "#cccccc": "var(--line)",
    BLUE: "var(--blue)",
    RED: "var(--red)",
    GREEN: "var(--green)",
    ORANGE: "var(--orange)",
    "#ffffff": "var(--paper)",
}


def to_svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an SVG element to put into a page.

    Args:
        figure: Of this module or of `uncrumple.judge.plots`.
        name: A word that no other figure of the page has: it keeps their parts apart.
        label: What it shows, for those who do not see it.

    Example:
        >>> svg = to_svg(Figure(figsize=(1, 1)), "empty", "nothing")
        >>> svg.startswith('<svg role="img" aria-label="nothing"')
        True
    """
    content = io.StringIO()
    settings = {**_STYLE, "svg.hashsalt": name, "savefig.facecolor": "none", "figure.facecolor": "none"}
    with matplotlib.rc_context(settings):
        figure.savefig(content, format="svg", metadata={"Date": None}, transparent=True)
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The style of one figure would hold for the whole page.
    svg = re.sub(r"<style type=\"text/css\">.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    for colour, variable in _VARIABLES.items():
        svg = re.sub(rf"(fill|stroke): {colour}\b", rf"\1: {variable}", svg, flags=re.IGNORECASE)
    opening, _, rest = svg.partition(">")
    sizes = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
    width = f"{float(sizes.group(1)) / 72 * 96:.0f}" if sizes else "600"
    box = sizes.group(0) if sizes else ""
    told = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return (
        f'<svg role="img" aria-label="{told}" {box} width="{width}" xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" style="stroke-linejoin: round; stroke-linecap: butt">' + rest
    )


@_styled
def reliability_figure(found: Calibration, after: Calibration | None = None) -> Figure:
    """Draw how often the model is right against how sure it is, with Wilson's interval for each bin.

    Args:
        found: Of the model.
        after: With the temperature; drawn beside it.

    Example:
        >>> from uncrumple.judge.calibration import calibration_of
        >>> found = calibration_of(np.arange(40) % 2, np.tile([0.6, 0.4], (40, 1)))
        >>> reliability_figure(found).axes[1].get_xlabel()
        'how sure the model is'
    """
    figure = Figure(figsize=(6.2, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    above.plot([0, 1], [0, 1], color=_FAINT, linewidth=1.2, linestyle="--")
    shown = [(found, "as it is" if after else "", BLUE, "o", -0.004)]
    if after is not None:
        shown.append((after, "with temperature", RED, "s", 0.004))
    for one, label, colour, marker, aside in shown:
        for bin_ in one.bins:
            place = bin_.confidence + aside
            above.plot([place, place], [bin_.right.low, bin_.right.high], color=colour, linewidth=1.8)
        at = [bin_.confidence + aside for bin_ in one.bins]
        above.plot(at, [bin_.right.score for bin_ in one.bins], marker, color=colour, markersize=6, label=label or None)
    if after is not None:
        figure.legend(loc="outside lower center", ncols=2, fontsize=10)
    first = found.bins[0].low
    for bin_ in found.bins:
        below.bar(bin_.low, bin_.rows, width=bin_.high - bin_.low, align="edge", color=BLUE, alpha=0.55, linewidth=0)
    above.set_xlim(max(0.0, first - 0.02), 1.01)
    above.set_ylim(-0.02, 1.03)
    for axis in (above.yaxis, below.xaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    above.set_ylabel("how often it is right")
    off = found.p_value < 0.05
    above.set_title("Its confidence is off" if off else "No evidence that its confidence is off")
    above.grid(True)
    above.set_axisbelow(True)
    below.set_xlabel("how sure the model is")
    below.set_ylabel("rows")
    below.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    return figure


@_styled
def curves_figure(found: Sequence[Curves], thresholds: Sequence[Threshold] = ()) -> Figure:
    """Draw ROC and precision-recall curves beside each other; thresholds are points on them.

    Example:
        >>> from uncrumple.judge.thresholds import curves_of
        >>> one = curves_of(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), resamples=None)
        >>> len(curves_figure([one]).axes)
        2
    """
    figure = Figure(figsize=(9.2, 4.5 + (0.2 if len(found) > 1 else 0)), layout="constrained")
    roc, precision = figure.subplots(1, 2)
    roc.plot([0, 1], [0, 1], color=_FAINT, linewidth=1.2, linestyle="--")
    for one, (colour, dash) in zip(found, _LINES):
        label = f"{_short(one.name)}: AUC {one.auc.score:.3f}"
        if len(found) == 1:
            label += f", average precision {one.average_precision.score:.3f}"
        roc.plot(*one.roc, color=colour, linestyle=dash, linewidth=1.8, label=label)
        label = f"{_short(one.name)}: average {one.average_precision.score:.3f}"
        precision.plot(*one.precision_recall, color=colour, linestyle=dash, linewidth=1.8, label=label)
        if len(found) == 1:
            precision.axhline(one.share, color=_FAINT, linewidth=1.2, linestyle="--")
    for number, threshold in enumerate(thresholds):
        marker = "osD^v"[number % 5]
        label = f"{threshold.value:.3f}: {threshold.why}"
        alarms, recall, right = (one.score for one in (threshold.false_alarms, threshold.recall, threshold.precision))
        roc.plot([alarms], [recall], marker, color=RED, markersize=8, label=_short(label, 60))
        precision.plot([recall], [right], marker, color=RED, markersize=8)
    for axes in (roc, precision):
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.04)
        axes.grid(True)
        axes.set_axisbelow(True)
        if len(found) > 1:
            axes.legend(loc="lower right" if axes is roc else "lower left", fontsize=9)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    if len(found) == 1:  # thresholds lie anywhere, so the legend lies outside
        figure.legend(handles=roc.get_legend_handles_labels()[0], loc="outside lower center", ncols=2, fontsize=9)
    roc.set_xlabel("false alarms, of all no rows")
    roc.set_ylabel("found, of all yes rows (recall)")
    roc.set_title("ROC")
    precision.set_xlabel("found, of all yes rows (recall)")
    precision.set_ylabel("right, of those answered yes")
    precision.set_title("Precision and recall")
    return figure


@_styled
def residuals_figure(truth: np.ndarray, answers: np.ndarray) -> Figure:
    """Draw the errors of a regression: against the predicted value, and how many are how large.

    The running middle of the errors, in ten groups of equal size, shows a bend that the model missed.

    Example:
        >>> len(residuals_figure(np.arange(50.0), np.arange(50.0) + 1).axes)
        2
    """
    right, given = (np.asarray(values, dtype=float).reshape(-1) for values in (truth, answers))
    errors = given - right
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    left, other = figure.subplots(1, 2, width_ratios=(3, 2))
    many = len(errors) > 500
    left.axhline(0, color=_FAINT, linewidth=1.2, linestyle="--")
    left.plot(given, errors, "o", color=BLUE, alpha=0.25 if many else 0.6, markersize=3 if many else 5, mew=0)
    if len(errors) >= 50:
        groups = [group for group in np.array_split(np.argsort(given, kind="stable"), 10) if len(group)]
        middle = [float(np.median(errors[group])) for group in groups]
        left.plot([float(np.median(given[group])) for group in groups], middle, "s-", color=RED, linewidth=1.8,
                  markersize=4, label="running median")  # fmt: skip
        left.legend(loc="best", fontsize=9.5)
    left.set_xlabel("predicted")
    left.set_ylabel("predicted less true")
    left.set_title("Errors by predicted value")
    other.hist(errors, bins=min(40, max(8, int(np.sqrt(len(errors))))), color=BLUE, alpha=0.75)
    other.axvline(0, color=_FAINT, linewidth=1.2, linestyle="--")
    other.set_xlabel("predicted less true")
    other.set_ylabel("rows")
    other.set_title("How large they are")
    for axes in (left, other):
        axes.grid(True)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6 if axes is left else 3))
    return figure


@_styled
def learning_figure(found: LearningCurve) -> Figure:
    """Draw the score against the number of rows learnt from; a point for each model.

    Example:
        >>> from uncrumple.judge.intervals import Interval
        >>> curve = LearningCurve("accuracy", (10, 20), ((0.8,), (0.9,)), Interval(0.1, 0.0, 0.2), 0.04)
        >>> learning_figure(curve).axes[0].get_xlabel()
        'rows learnt from'
    """
    scale = 1 if found.headline == "mean error" else 100
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(found.rows, [scale * np.mean(scores) for scores in found.scores], color=BLUE, linewidth=1.8)
    for rows, scores in zip(found.rows, found.scores):
        axes.plot([rows] * len(scores), [scale * score for score in scores], "o", color=BLUE, markersize=6, alpha=0.7)
    axes.set_xscale("log")
    axes.set_xticks(found.rows, [f"{rows:,}" for rows in found.rows])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("rows learnt from")
    axes.set_ylabel(found.headline + (" in %" if scale == 100 else " (less is better)"))
    shown = found.p_value < found.alpha and found.gain.score > 0
    axes.set_title("More data would help" if shown else "That more data would help is not shown")
    axes.grid(True)
    axes.set_axisbelow(True)
    return figure


@_styled
def tree_figure(root: Node) -> Figure:
    """Draw a decision tree: questions in boxes, answers below; to the left if yes.

    Example:
        >>> figure = tree_figure(Node(2, "width ≤ 2", None, Node(1, "a", 1.0), Node(1, "b", 1.0)))
        >>> [text.get_text() for text in figure.axes[0].texts][-1]
        'width ≤ 2?'
    """
    if len(leaves_of(root)) > _MOST_LEAVES:
        root = _cut(root, 3)  # what does not fit would be too small to read
    leaves, depth = leaves_of(root), depth_of(root)
    wide = max(1.15, min(1.75, 0.082 * max(len(_short(leaf.said, 16)) for leaf in leaves) + 0.55))
    figure = Figure(figsize=(max(5.0, wide * len(leaves)), 1.02 * (depth + 1) + 0.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    places = {id(leaf): float(index) for index, leaf in enumerate(leaves)}

    def draw(node: Node, level: int) -> float:
        if node.yes is None or node.no is None:
            across = places[id(node)]
            share = f"{100 * node.share:.0f} % of {node.rows:,}" if node.share is not None else f"{node.rows:,} rows"
            more = f"\n… {node.more:,} more" if node.more else ""
            _box(axes, across, -level, f"{_short(node.said, 16)}\n{share}{more}", BLUE)
            return across
        ends = [draw(child, level + 1) for child in (node.yes, node.no)]
        across = sum(ends) / 2
        for end, word in zip(ends, ("yes", "no")):
            axes.plot([across, end], [-level, -level - 1], color=_FAINT, linewidth=1.3, zorder=1)
            axes.annotate(word, ((across + end) / 2, -level - 0.47), ha="center", va="center", fontsize=9, color="#555555",
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5}, zorder=2)  # fmt: skip
        _box(axes, across, -level, f"{_short(node.said, 30)}?", _FAINT)
        return across

    draw(root, 0)
    axes.set_xlim(-0.6, len(leaves) - 0.4)
    axes.set_ylim(-depth - 0.45, 0.35)
    return figure


def _cut(node: Node, levels: int) -> Node:
    """Return a tree with at most so many questions one below the other."""
    if node.yes is None or node.no is None:
        return node
    if not levels:
        more = _questions(node) + sum(leaf.more for leaf in leaves_of(node))
        return Node(node.rows, node.answer, node.share, more=more)
    return Node(node.rows, node.said, node.share, _cut(node.yes, levels - 1), _cut(node.no, levels - 1))


def _questions(node: Node) -> int:
    return 0 if node.yes is None or node.no is None else 1 + _questions(node.yes) + _questions(node.no)


def _box(axes: Any, across: float, up: float, text: str, edge: str) -> None:
    axes.annotate(text, (across, up), ha="center", va="center", fontsize=9.5, color=_INK, zorder=4,
                  bbox={"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": edge, "linewidth": 1.4})  # fmt: skip
