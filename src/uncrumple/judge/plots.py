"""The pictures of a report: curves, confusion matrix, mistakes, comparison, predicted against true.

Every function returns a matplotlib `Figure` of its own: nothing is shown, no
window is opened, and pyplot's list of open figures is not touched. The colours
are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import functools
import io
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from uncrumple.core.errors import explain
from uncrumple.judge.baselines import FREQUENCIES, MAJORITY, MEDIAN
from uncrumple.judge.confusion import Confusion
from uncrumple.judge.files import write_whole
from uncrumple.judge.mistakes import Mistake
from uncrumple.judge.table import Comparison
from uncrumple.judge.verdict import finding
from uncrumple.judge.words import decimals, p_in_words

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
_INK, _FAINT = "#222222", "#8a8a8a"
_STYLE: Any = {
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the picture is the same everywhere
    "font.size": 11,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "text.color": _INK,
    "text.parse_math": False,  # a class may be called "$"
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_MOST_CLASSES_WITH_NUMBERS = 25
_CAPTION_WIDTH = 20

_Plot = TypeVar("_Plot", bound=Callable[..., Figure])


def _styled(plot: _Plot) -> _Plot:
    @functools.wraps(plot)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        with matplotlib.rc_context(_STYLE):
            figure = plot(*args, **kwargs)
            FigureCanvasAgg(figure)
            return figure

    return drawn  # type: ignore[return-value]


def to_png(figure: Figure, dpi: int = 130) -> bytes:
    """Return a figure as the bytes of a PNG file.

    Example:
        >>> to_png(Figure(figsize=(1, 1)))[1:4]
        b'PNG'
    """
    content = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()


def save_png(figure: Figure, path: str | os.PathLike[str], dpi: int = 130) -> Path:
    """Write a figure as a PNG file, whole or not at all."""
    return write_whole(path, to_png(figure, dpi))


@_styled
def training_curves(history: Mapping[str, Sequence[float]], best_epoch: int | None = None) -> Figure:
    """Draw loss and score of the training and the validation part, epoch by epoch.

    Args:
        history: `History.history`: lists by key, such as `loss`, `val_loss`, `accuracy`,
            `val_accuracy`. The score is the first key other than the loss that has a `val_` twin,
            or else the first that is a number per epoch.
        best_epoch: The epoch whose weights were kept, counted from 1; by default the one with the
            lowest validation loss. None is marked if there is no validation loss.

    Example:
        >>> figure = training_curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]})
        >>> len(figure.axes)
        1
    """
    if not history or not len(history.get("loss", ())):
        raise ValueError(
            explain(
                f"training_curves got a history with the keys {sorted(history)}.",
                "Expected at least one epoch of 'loss'.",
                "training_curves(model.fit(...).history)",
            )
        )
    epochs = len(history["loss"])
    if best_epoch is None and len(history.get("val_loss", ())) == epochs and np.isfinite(history["val_loss"]).any():
        best_epoch = int(np.nanargmin(history["val_loss"])) + 1
    names = ["loss"]
    others = [key for key in history if key != "loss" and not key.startswith("val_") and len(history[key]) == epochs]
    others = [key for key in others if key not in ("lr", "learning_rate")]
    names += [key for key in others if f"val_{key}" in history][:1] or others[:1]
    figure = Figure(figsize=(5.6 * len(names), 4.2), layout="constrained")
    for index, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), index + 1)
        _curve(axes, name, history, epochs, best_epoch)
        if index == 0:
            axes.legend(loc="best", fontsize=10)
    return figure


def _curve(axes: Axes, name: str, history: Mapping[str, Sequence[float]], epochs: int, best_epoch: int | None) -> None:
    steps = np.arange(1, epochs + 1)
    marker = "o" if epochs <= 30 else None
    lines = [("training", np.asarray(history[name], dtype=float), BLUE, "-")]
    if len(history.get(f"val_{name}", ())) == epochs:
        lines.append(("validation", np.asarray(history[f"val_{name}"], dtype=float), RED, "--"))
    for label, values, colour, dash in lines:
        axes.plot(steps, values, dash, color=colour, label=label, marker=marker, markersize=3.5, linewidth=1.8)
    everything = np.concatenate([values for _, values, _, _ in lines])
    finite = everything[np.isfinite(everything)]
    is_share = "accuracy" in name and len(finite) and finite.min() >= 0 and finite.max() <= 1
    if name == "loss" and len(finite) and finite.min() > 0 and finite.max() > 100 * finite.min():
        axes.set_yscale("log")
        # The usual formatter writes powers of ten as formulas, which are not parsed here.
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if is_share:
        span = np.ptp(finite)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.{0 if span > 0.05 else 1}f} %"))
    axes.set_title(name.replace("_", " "))
    axes.set_xlabel("epoch")
    axes.set_xlim(1 - 0.03 * epochs, epochs + 0.03 * epochs)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    if best_epoch is not None and 1 <= best_epoch <= epochs:
        axes.axvline(best_epoch, color=_FAINT, linewidth=1, linestyle=":")
        values = lines[-1][1]
        axes.plot(
            [best_epoch], [values[best_epoch - 1]], "o", color=lines[-1][2], markersize=8, fillstyle="none", mew=1.8
        )
        late = best_epoch > epochs / 2
        axes.annotate(
            f"best epoch {best_epoch} ",
            (best_epoch, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if late else 4, -2),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top",
            fontsize=9.5,
            color="#555555",
        )


@_styled
def confusion_figure(found: Confusion) -> Figure:
    """Draw a confusion matrix: in each cell the rows and their share of the truth's row.

    What is right lies on the blue diagonal. Mistakes are orange, the more the darker, on a scale
    of their own: a few in a hundred are what one wants to see.

    Example:
        >>> from uncrumple.judge.confusion import confusion_of
        >>> figure = confusion_figure(confusion_of(np.array([0, 1, 1]), np.array([0, 1, 0]), ("cat", "dog")))
        >>> figure.axes[0].get_xlabel()
        'answer'
    """
    count = len(found.class_names)
    shares = found.row_shares
    wrong = shares * (1 - np.eye(count))
    top = max(float(wrong.max()), 0.02)
    # Linear from white to nearly the full colour, on which dark numbers are easier to read than white ones; the
    # diagonal is never so pale that it looks empty.
    strength = np.where(np.eye(count, dtype=bool), 0.15 + 0.7 * shares, 0.85 * wrong / top)
    strength = np.where(found.matrix > 0, np.maximum(strength, 0.06), 0.0)[..., None]
    colours = np.where(np.eye(count, dtype=bool)[..., None], _rgb(BLUE), _rgb(ORANGE))
    longest = max(len(_short(name)) for name in found.class_names)
    side = max(4.2, min(13.0, 0.78 * count + 1.4))
    figure = Figure(figsize=(side + 0.09 * longest - 0.3, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(1 - strength * (1 - colours), aspect="equal", interpolation="nearest")
    axes.set_xticks(range(count), [_short(name) for name in found.class_names])
    axes.set_yticks(range(count), [_short(name) for name in found.class_names])
    if 0.1 * longest > 0.85 * side / count:  # they would run into each other
        axes.tick_params(axis="x", rotation=35)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")
    axes.tick_params(length=0)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(True, which="minor", color="white" if count > _MOST_CLASSES_WITH_NUMBERS else "#e4e4e4", linewidth=1)
    axes.tick_params(which="minor", length=0)
    if count <= _MOST_CLASSES_WITH_NUMBERS:
        size = 12 if count <= 6 else 10.5 if count <= 12 else 7
        for row in range(count):
            for column in range(count):
                if found.matrix[row, column]:
                    _cell(axes, row, column, found, row == column, size)
    axes.set_title("What was taken for what")
    return figure


def _cell(axes: Axes, row: int, column: int, found: Confusion, right: bool, size: float) -> None:
    share = 100 * found.row_shares[row, column]
    both = size > 8
    texts = [(f"{found.matrix[row, column]:,}", size, 0.45 * size if both else 0.0, "bold" if right else "normal")]
    if both:
        texts.append((f"{share:.0f} %" if share >= 10 else f"{share:.1f} %", size - 2.5, -0.75 * size, "normal"))
    for said, points, up, weight in texts:
        axes.annotate(said, (column, row), xytext=(0, up), textcoords="offset points", ha="center", va="center",
                      fontsize=points, color=_INK, fontweight=weight)  # fmt: skip


@_styled
def picture_grid(
    pictures: Sequence[np.ndarray], captions: Sequence[str], title: str = "", right: Sequence[bool] | None = None
) -> Figure:
    """Draw pictures in a grid, each with a caption above it.

    Args:
        pictures: Arrays of shape (height, width), (height, width, 1) or (height, width, 3). Grey
            pictures are drawn as ink on paper; all share one scale.
        captions: One for each, such as `7 → 1 (98 %)`.
        title: A line above the grid.
        right: Whether each is right; what is not gets an orange frame.

    Example:
        >>> len(picture_grid([np.eye(8), np.eye(8)], ["1", "2"]).axes)
        2
    """
    if not len(pictures) or len(pictures) != len(captions):
        raise ValueError(
            explain(
                f"picture_grid got {len(pictures)} pictures and {len(captions)} captions.",
                "Expected one caption for each picture, at least one.",
                "picture_grid(x[:4], ['a', 'b', 'c', 'd'])",
            )
        )
    columns = min(len(pictures), 6 if len(pictures) > 8 else 4)
    rows = -(-len(pictures) // columns)
    wrapped = [textwrap.wrap(caption, _CAPTION_WIDTH, max_lines=2, placeholder="…") for caption in captions]
    lines = max(1, *(len(caption) for caption in wrapped))
    tall = (1.78 + 0.2 * lines) * rows + (0.5 if title else 0.1)
    figure = Figure(figsize=(1.75 * columns + 0.2, tall), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")
    low, high = min(float(np.min(one)) for one in pictures), max(float(np.max(one)) for one in pictures)
    for index, (picture, caption) in enumerate(zip(pictures, wrapped)):
        axes = figure.add_subplot(rows, columns, index + 1)
        values = np.asarray(picture, dtype=np.float64)
        if values.ndim == 3 and values.shape[-1] in (3, 4):
            axes.imshow((values - low) / (high - low if high > low else 1.0), interpolation="nearest")
        else:
            values = values[..., 0] if values.ndim == 3 else values
            axes.imshow(values, cmap="gray_r", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title("\n".join(caption), fontsize=11, fontweight="normal", loc="center")
        axes.set_xticks([])
        axes.set_yticks([])
        wrong = right is not None and not right[index]
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_edgecolor(RED if wrong else "#cccccc")
            spine.set_linewidth(2.5 if wrong else 1)
    return figure


def mistakes_figure(mistakes: Sequence[Mistake], pictures: np.ndarray) -> Figure:
    """Draw the pictures that were most wrong, captioned with truth, answer and confidence.

    Args:
        mistakes: What `worst_mistakes` returned.
        pictures: The pictures of the whole test part; each mistake says which is its own.

    Example:
        >>> figure = mistakes_figure([Mistake(0, "7", "1", 0.98, 0.01)], np.zeros((1, 8, 8, 1)))
        >>> figure.axes[0].get_title()
        '7 → 1 (98 %)'
    """
    return picture_grid(
        [pictures[mistake.row] for mistake in mistakes],
        [mistake.in_words() for mistake in mistakes],
        title="Worst mistakes: truth → answer (confidence)",
    )


@_styled
def comparison_figure(found: Comparison) -> Figure:
    """Draw each model's score with its 95 % interval, the network on top.

    The scale is that of the models that learn; a constant answer that lies far from them is named
    at the edge, with an arrow, so that it does not squeeze the others together.

    Example:
        >>> from uncrumple.judge.table import compare
        >>> truth = np.repeat([0, 1], 50)
        >>> figure = comparison_figure(compare(truth, {"network": truth, "decision tree": 1 - truth}))
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['network', 'decision tree']
    """
    shares = found.shares
    scale = 100 if shares else 1
    learnt = [row for row in found.rows if row.name not in (MAJORITY, MEDIAN, FREQUENCIES)] or list(found.rows)
    ends = [scale * end for row in learnt for end in (row.score.low, row.score.high)]
    low, high = min(ends), max(ends)
    room = max(high - low, 1e-9) * 0.08
    low, high = low - room, high + room
    if shares:
        high = min(high, 100 + room / 2)
    places = 1 if shares else decimals(max(row.score.score for row in found.rows))
    figure = Figure(figsize=(8.6, 0.56 * len(found.rows) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    for index, row in enumerate(found.rows):
        score, left, right = (scale * value for value in row.score)
        colour = BLUE if row is found.network else "#555555"
        said = f"{score:.{places}f}{' %' if shares else ''}"
        if row.p_value is not None:
            said += f"   p {p_in_words(row.p_value)}" if row.p_value < 0.001 else f"   p = {p_in_words(row.p_value)}"
        if score < low or score > high:
            at_left = score < low
            edge = low + 0.02 * (high - low) if at_left else high - 0.02 * (high - low)
            axes.plot([edge], [index], "<" if at_left else ">", color=colour, markersize=9)
        else:
            axes.plot([left, right], [index, index], color=colour, linewidth=2.4, solid_capstyle="butt")
            axes.plot([score], [index], "o" if row is found.network else "s", color=colour, markersize=8)
        axes.annotate(said, (1.02, index), xycoords=("axes fraction", "data"), va="center", fontsize=10.5, color=colour,
                      annotation_clip=False)  # fmt: skip
    network = scale * found.network.score.score
    axes.axvline(network, color=BLUE, linewidth=1, linestyle=":", zorder=0)
    axes.set_xlim(low, high)
    axes.set_ylim(len(found.rows) - 0.4, -0.6)
    axes.set_yticks(range(len(found.rows)), [row.name for row in found.rows])
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    said = "mean absolute error" if found.headline == "mean error" else found.headline
    better = f"{said} in %" if shares else f"{said} (less is better)"
    axes.set_xlabel(f"{better} on the same {found.test_rows:,} test rows, with 95 % intervals; p against the network")
    axes.set_title(finding(found))
    return figure


@_styled
def regression_figure(truth: np.ndarray, answers: np.ndarray) -> Figure:
    """Draw each test row's predicted value against its true one; on the line, both are the same.

    Example:
        >>> regression_figure(np.arange(5.0), np.arange(5.0)).axes[0].get_ylabel()
        'predicted'
    """
    right, given = (np.asarray(values, dtype=float).reshape(-1) for values in (truth, answers))
    low, high = min(right.min(), given.min()), max(right.max(), given.max())
    room = 0.04 * (high - low or 1.0)
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([low - room, high + room], [low - room, high + room], color=_FAINT, linewidth=1.2, linestyle="--")
    axes.annotate("exactly right", (high, high), xytext=(-6, 0), textcoords="offset points", ha="right", va="bottom",
                  fontsize=9.5, color="#555555")  # fmt: skip
    many = len(right) > 500
    axes.plot(right, given, "o", color=BLUE, alpha=0.25 if many else 0.6, markersize=3 if many else 5, mew=0)
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(low - room, high + room)
    axes.set_aspect("equal")
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.set_title("Predicted against true")
    return figure


def _short(text: str, most: int = 14) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
