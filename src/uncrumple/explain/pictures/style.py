"""How the pictures of this room look: colours that colour-blind readers can tell apart, on light and on dark paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from uncrumple.core.errors import unknown_name
from uncrumple.explain.style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, YELLOW, rendered_by, settings

# Okabe and Ito's colours; from the eighth class on those that Paul Tol calls muted.
_FEW = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW)
_FEW_ON_DARK = ("#3D9BE0", "#E69F00", "#1DB892", "#E8743B", "#D98BB6", "#8CCBF2", "#F0E442")
_MANY = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#BBBBBB")
_MANY_ON_DARK = (
    "#6F5CD6",
    "#88CCEE",
    "#44AA99",
    "#2FA35A",
    "#A8A83D",
    "#DDCC77",
    "#DE7F8E",
    "#B8457E",
    "#C46CB5",
    "#CFCFCF",
)
OTHERS = "#9a9a9a"
# Classes beyond this number share one grey.
MOST_COLOURS = 10
# A class has a shape too, for whom its colour says nothing.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")

THEMES: dict[str, dict[str, Any]] = {
    "light": {
        "paper": "#ffffff",
        "ink": "#222222",
        "soft": "#555555",
        "faint": "#8a8a8a",
        "line": "#e4e4e4",
        "blue": "#0072B2",
        "orange": "#B87B00",
        "red": "#C45100",
        "outline": "#ffffff",
        "diverging": "RdBu_r",
        "sequential": "viridis",
        "ink_map": "gray_r",
    },
    "dark": {
        "paper": "#15181d",
        "ink": "#ececec",
        "soft": "#b5bac2",
        "faint": "#858c96",
        "line": "#333a44",
        "blue": "#6CB8E6",
        "orange": "#F0B429",
        "red": "#FF8A4C",
        "outline": "#15181d",
        "diverging": "berlin",
        "sequential": "viridis",
        "ink_map": "gray",
    },
}


def theme_of(name: str) -> dict[str, Any]:
    """Return the colours of a theme by name.

    Example:
        >>> theme_of("light")["paper"]
        '#ffffff'
    """
    if name not in THEMES:
        raise ValueError(unknown_name("theme", str(name), THEMES))
    return THEMES[name]


def class_colours(count: int, theme: str = "light") -> list[str]:
    """Return a colour for each of `count` classes.

    Example:
        >>> class_colours(2)
        ['#0072B2', '#E69F00']
    """
    few, many = (_FEW_ON_DARK, _MANY_ON_DARK) if theme == "dark" else (_FEW, _MANY)
    chosen = few if count <= len(few) else many
    return [chosen[place] if place < len(chosen) else OTHERS for place in range(count)]


def style(theme: str = "light") -> Any:
    """Return matplotlib's settings for a theme."""
    colours = theme_of(theme)
    return settings(
        colours["paper"],
        colours["ink"],
        colours["faint"],
        colours["line"],
        axes_facecolor=colours["paper"],
        axes_labelsize=9,
        axes_titlecolor=colours["ink"],
        axes_titlesize=10,
        svg_fonttype="path",
        xtick_color=colours["soft"],
        xtick_labelsize=8,
        ytick_color=colours["soft"],
        ytick_labelsize=8,
    )


def new_figure(width: float, height: float, title: str, theme: str, note: str = "") -> Figure:
    """Return a figure with the finding as its title, wrapped, and perhaps a line below it."""
    import textwrap

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    size = 12.5
    # About how many letters of that size fit.
    letters = max(24, int(width * 72 / (size * 0.60)))
    figure.suptitle("\n".join(textwrap.wrap(title, letters)), x=0.01, ha="left", fontsize=size, fontweight="bold")
    if note:
        letters = max(24, int(width * 72 / (8.5 * 0.55)))
        figure.supxlabel("\n".join(textwrap.wrap(note, letters)), x=0.01, ha="left", fontsize=8.5,
                         color=theme_of(theme)["soft"])  # fmt: skip
    return figure


def rendered(figure: Figure, kind: str = "png", dpi: int = 130, theme: str = "light") -> bytes:
    """Return a figure as the bytes of a file.

    Example:
        >>> rendered(new_figure(2, 2, "A finding", "light"))[1:4]
        b'PNG'
    """
    return rendered_by(style(theme), figure, kind, dpi)


def scale_bar(figure: Figure, image: Any, axes: Any, label: str, shrink: float = 0.8) -> Any:
    """Add a scale whose two ends are printed."""
    bar = figure.colorbar(image, ax=axes, shrink=shrink, pad=0.02, aspect=30)
    low, high = image.get_clim()
    middle = [0.0] if low < 0 < high else []
    bar.set_ticks([low, *middle, high])
    bar.set_ticklabels([f"{value:.3g}" for value in (low, *middle, high)])
    bar.set_label(label, fontsize=8.5)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return bar


def bare(axes: Any, *, frame: bool = True) -> None:
    """Take ticks away, and the frame too if asked."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(frame)


def whole_ticks(axes: Any) -> None:
    """Let both axes count: units and steps are whole numbers."""
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def in_grid(count: int, most: int) -> tuple[int, int]:
    """Return rows and columns for so many panels, at most `most` side by side.

    Example:
        >>> in_grid(5, 4), in_grid(3, 4)
        ((2, 3), (1, 3))
    """
    rows = -(-count // most)
    return rows, -(-count // rows)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return names with commas, and how many more there are.

    Example:
        >>> listed(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
