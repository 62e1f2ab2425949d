"""What all results of this room share: a finding as title, findings as data, a picture, a page.

Orange is for an answer, blue against it.
"""

from __future__ import annotations

import json
import math
import os
import textwrap
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.checks.report import Finding
from uncrumple.explain import pages
from uncrumple.explain.style import (
    plain,
    rendered_by,
    settings,
    styled_by,
    write,
)

# From against an answer over nothing to for it.
AGAINST, FOR = (0.0, 0.447, 0.698), (0.835, 0.369, 0.0)
_STYLE = settings()
styled = styled_by(_STYLE)


class Result:
    """A finding with its numbers, to read, to look at, to keep; the base of what this room returns.

    Attributes:
        findings: What it says, as data.
        remarks: What a reader must know.
    """

    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The main finding in a sentence."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """Return the result in words, line by line, without the title."""
        raise NotImplementedError

    def plot(self) -> Any:
        """Return the picture as a matplotlib `Figure`."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data that JSON can hold."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join([self.title, *self.lines(), *self.remarks])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}>"

    def show(self) -> None:
        """Print the result in words."""
        print(self)

    def to_html(self) -> str:
        """Return a section for a page: the finding, the picture, the words."""
        words = escape("\n".join([*self.lines(), *self.remarks]))
        return (
            f'<section class="explain"><h2>{escape(self.title)}</h2>\n'
            f"<figure>{pages.image(to_png(self.plot()), self.title)}</figure>\n"
            f"<pre>{words}</pre></section>"
        )

    def _repr_html_(self) -> str:
        return self.to_html()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a picture (.png), a page (.html) or the numbers (.json), whole or not at all.

        Args:
            path: The file; its folder is made if it is missing.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending == ".png":
            content = to_png(self.plot())
        elif ending in (".html", ".htm"):
            content = page(self.title, self.to_html()).encode()
        elif ending == ".json":
            content = json.dumps(plain(self.to_dict()), indent=1, ensure_ascii=False).encode()
        else:
            raise ValueError(
                explain(
                    f"save got the path '{path}'.", "Expected one that ends in .png, .html or .json.", "save('map.png')"
                )
            )
        return write(path, content)


# --- pictures ------------------------------------------------------------------------------


def to_png(figure: Any, dpi: int = 110) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    return rendered_by(_STYLE, figure, "png", dpi)


def headed(figure: Any, title: str, width: float, below: str = "") -> None:
    """Write a finding above a picture, in as many lines as it takes, and a remark in grey."""
    lines = textwrap.wrap(title, max(20, int(width * 8.6)))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=12.5, fontweight="bold")
    if below:
        figure.supxlabel(
            "\n".join(textwrap.wrap(below, max(20, int(width * 13)))), x=0.01, ha="left", fontsize=9, color="#555555"
        )


def signed_colours(values: np.ndarray, under: np.ndarray | None = None) -> np.ndarray:
    """Return numbers from -1 to 1 as colours: blue below 0, orange above, over a faint picture.

    Args:
        values: Numbers; those beyond are cut.
        under: Shades from 0 (dark) to 1 (light), of the same shape; white by default.

    Returns:
        (..., 3), from 0 to 1.

    Example:
        >>> signed_colours(np.array([0.0, -1.0])).round(2).tolist()
        [[1.0, 1.0, 1.0], [0.0, 0.45, 0.7]]
    """
    values = np.clip(np.nan_to_num(np.asarray(values, np.float64)), -1, 1)[..., None]
    ground = np.ones_like(values) if under is None else np.asarray(under, np.float64)[..., None]
    colour = np.where(values < 0, np.array(AGAINST), np.array(FOR))
    strength = np.abs(values)
    return ground * (1 - strength) + colour * strength


def colour_bar(axes: Any, low: str, high: str) -> None:
    """Draw the scale of `signed_colours` into thin axes, with its ends in words."""
    axes.imshow(signed_colours(np.linspace(-1, 1, 200))[None], aspect="auto", extent=(0, 1, 0, 1))
    axes.set_yticks([])
    axes.set_xticks([0, 0.5, 1], [low, "0", high], fontsize=9)
    axes.tick_params(length=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def share_of_largest(values: np.ndarray) -> np.ndarray:
    """Return numbers as shares of the largest of their sizes.

    Example:
        >>> share_of_largest(np.array([1.0, -4.0])).tolist()
        [0.25, -1.0]
    """
    largest = np.abs(values).max() if np.size(values) else 0.0
    return values / largest if largest > 0 else np.zeros_like(values)


def number(value: float, significant: int = 3) -> str:
    """Return a number with so many digits that count.

    Example:
        >>> number(1234.5), number(0.01234), number(2.0), number(-0.5)
        ('1,234', '0.0123', '2', '-0.5')
    """
    if not math.isfinite(value):
        return "none"
    if value == 0:
        return "0"
    places = significant - 1 - math.floor(math.log10(abs(value)))
    if places <= 0:
        return f"{value:,.0f}"
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines: the first column to the left, the others to the right.

    Example:
        >>> table(["column", "loss"], [["age", "3"]])
        ['column  loss', '------  ----', 'age        3']
    """
    widths = [max(len(str(row[place])) for row in [header, *rows]) for place in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (str(cell) for cell in cells)
        return "  ".join(
            [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]
        ).rstrip()

    return [line(header), "  ".join("-" * width for width in widths), *(line(row) for row in rows)]


# --- pages ---------------------------------------------------------------------------------

STYLE = """
:root { --ground: #ffffff; --ink: #1c1c1c; --soft: #5a5a5a; --line: #d9d9d9; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #ececec; --soft: #a9adb3; --line: #3a3e44; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 64rem;
  margin: 0 auto; padding: 1.5rem; }
h2 { font-size: 1.2rem; line-height: 1.35; margin: 1.2rem 0 .6rem; }
figure { margin: .8rem 0; padding: .6rem; background: #ffffff; border: 1px solid var(--line); border-radius: 8px;
  text-align: center; }
img { max-width: 100%; height: auto; }
pre { overflow-x: auto; color: var(--soft); font-size: .85rem; white-space: pre-wrap; }
.words { display: grid; grid-template-columns: 12rem 1fr; margin: .2rem 0 .6rem; line-height: 1.9; }
@media (max-width: 40rem) { .words { grid-template-columns: 1fr; } }
.words span { padding: .1em .15em; border-radius: .2em; }
.words .label { color: var(--soft); font-size: .85rem; }
h3 { font-size: 1rem; margin: 1.1rem 0 .2rem; }
.scale { display: inline-block; width: 12rem; height: .8rem; vertical-align: middle; border-radius: .2rem;
  background: linear-gradient(to right, rgb(0 114 178), rgb(0 114 178 / 0) 50%, rgb(213 94 0 / 0) 50%, rgb(213 94 0)); }
"""


def page(title: str, body: str) -> str:
    """Return a whole page that loads nothing and runs nothing."""
    return pages.page(title, STYLE, body)
