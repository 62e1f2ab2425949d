"""How pictures of training look, and what results that have one can do: plot, show, save.

The colours are those of Okabe and Ito, which colour-blind readers can tell apart; lines differ in dash and mark, too.
"""

from __future__ import annotations

import io
import json
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from uncrumple.core.errors import explain
from uncrumple.explain.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    rendered_by,
    settings,
    styled_by,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = ("png", "svg", "pdf")


class Line(NamedTuple):
    """How one of several things is drawn everywhere."""

    colour: str
    dash: Any
    mark: str


LINES = (
    Line(BLUE, "-", "o"),
    Line(RED, (0, (5, 2)), "s"),
    Line(GREEN, (0, (1.5, 1.5)), "^"),
    Line(ORANGE, (0, (5, 1.5, 1, 1.5)), "D"),
    Line(PURPLE, (0, (8, 2)), "v"),
    Line(SKY, (0, (3, 1, 1, 1, 1, 1)), "P"),
    Line(INK, "-", "X"),
    Line(FAINT, (0, (5, 2)), "*"),
)
_STYLE = settings(axes_grid=True, axes_axisbelow=True, axes_titlesize=11, axes_titleweight="normal", font_size=10.5)
styled = styled_by(_STYLE)


def heading(figure: Figure, finding: str, below: str = "") -> None:
    """Write what was found above a figure, in bold, and a line on how it was measured."""
    wide = figure.get_figwidth()
    lines = textwrap.wrap(finding, int(wide * 8.8))
    under = textwrap.wrap(below, int(wide * 13.0))
    top = 0.1 + 0.24 * len(lines) + (0.19 * len(under) + 0.04 if under else 0)
    high = figure.get_figheight() + top
    figure.set_figheight(high)
    engine: Any = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, 0, 1, 1 - top / high))
    figure.text(0.012, 1 - 0.08 / high, "\n".join(lines), va="top", ha="left", fontsize=13, fontweight="bold")
    if under:
        figure.text(
            0.012, 1 - (0.12 + 0.24 * len(lines)) / high, "\n".join(under), va="top", ha="left", fontsize=9.5,
            color="#555555",
        )  # fmt: skip


def log_scale(axes: Axes, which: str) -> None:
    """Make an axis logarithmic, with its numbers written out, and at least its ends labelled."""
    import numpy as np
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if which == "x":
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(abs(end) for end in axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else 9.0
    subs = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: as_tick(value)))
    axis.set_minor_formatter(NullFormatter())


def as_tick(value: float) -> str:
    """Return a tick's number as people write it.

    Example:
        >>> as_tick(1e-7), as_tick(0.001), as_tick(2000.0)
        ('1e-7', '0.001', '2,000')
    """
    if value and abs(value) < 1e-4:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    return rendered_by(_STYLE, figure, "png", dpi)


class Drawn:
    """A result with words, numbers and a picture: the base of what this room's functions return."""

    _also: tuple[str, ...] = ()  # further endings that `save` knows

    def __str__(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(self)

    def plot(self) -> Figure:
        """Return the picture as a matplotlib `Figure`."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data, for JSON."""
        raise NotImplementedError

    def _repr_png_(self) -> bytes:
        return to_png(self.plot())

    def show(self) -> None:
        """Print the words, and open the picture where there is a screen."""
        print(self)
        from PIL import Image

        with Image.open(io.BytesIO(to_png(self.plot()))) as picture:
            picture.show()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture, a page or the numbers: the ending says which.

        Args:
            path: Ends in `.png`, `.svg` or `.pdf` for the picture, in `.html` for a page that needs no
                other file and no network, in `.json` for the numbers; animations also in `.gif`.
        """
        ending = Path(path).suffix.lower().lstrip(".")
        known = (*_FORMATS, "html", "json", *self._also)
        if ending not in known:
            name = Path(path).stem or "picture"
            raise ValueError(
                explain(
                    f"save got the path {os.fspath(path)!r}.",
                    f"Expected one of the endings: {', '.join('.' + one for one in known)}.",
                    f"save({name + '.png'!r})",
                )
            )
        return write(path, self._content(ending))

    def _content(self, ending: str) -> bytes | str:
        if ending == "json":
            return json.dumps(self.to_dict(), indent=1, allow_nan=False, default=float)
        if ending == "html":
            from uncrumple.explain.tuning.page import still_page

            return still_page(self)
        return rendered_by(_STYLE, self.plot(), ending)
