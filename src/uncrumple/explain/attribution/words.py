"""Attribution of texts: which words an answer rests on, as coloured words."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from uncrumple.explain.attribution.control import in_percent
from uncrumple.explain.attribution.maps import Attribution
from uncrumple.explain.attribution.methods import WORDS
from uncrumple.explain.attribution.style import (
    AGAINST,
    FOR,
    colour_bar,
    headed,
    number,
    share_of_largest,
    signed_colours,
    styled,
)

_SHOWN, _LINES, _WIDE, _LABEL = 3, 4, 66, 27
# A letter of a typewriter font at 10 points, and a line, in inches.
_LETTER, _LINE = 0.0836, 0.235


@dataclass
class TextAttribution(Attribution):
    """What each word says for or against an answer: see `Attribution`.

    Args:
        pieces: The words (or characters, or tokens) of each text.
        joint: What stands between them: a space, or nothing for characters.
    """

    pieces: tuple[tuple[str, ...], ...] = ()
    joint: str = " "

    def strongest(self, row: int, method: str, count: int = 5) -> list[tuple[str, float]]:
        """Return the words of a text that say most for or against its answer, with their numbers."""
        values = self.maps[method][row]
        order = np.argsort(-np.abs(values), kind="stable")[:count]
        return [(self.pieces[row][place], float(values[place])) for place in order]

    def lines(self) -> list[str]:
        lines = []
        for row in range(min(len(self.targets), 8)):
            lines.append(f"Text {row}: {self.name_of(row)} ({self.sureness(row)})")
            for method in self.maps:
                said = ", ".join(f"{word!r} {_signed(value)}" for word, value in self.strongest(row, method))
                lines.append(f"  {WORDS[method]}: {said or 'no words'}")
        if len(self.targets) > 8:
            lines.append(f"... and {len(self.targets) - 8} more texts.")
        return lines + self.about()

    def show(self) -> None:
        """Print the texts with coloured words, orange for the answer and blue against it; without colours, the numbers."""
        from rich.console import Console
        from rich.style import Style
        from rich.text import Text

        console = Console(soft_wrap=True, highlight=False)
        if not console.is_terminal:  # no colours: the numbers say more
            print(self)
            return
        console.print(Text(self.title, style="bold"))
        for row in range(min(len(self.targets), 8)):
            console.print(Text(f"\nText {row}: {self.name_of(row)} ({self.sureness(row)})", style="bold"))
            for method in self.maps:
                for label, maps in ((WORDS[method], self.maps), ("untrained", self.control)):
                    line = Text(f"  {label:<21}")
                    for piece, share in zip(self.pieces[row], share_of_largest(maps[method][row])):
                        red, green, blue = (int(255 * part) for part in signed_colours(np.array(share)))
                        style = Style(color="black", bgcolor=f"rgb({red},{green},{blue})") if abs(share) > 0.1 else ""
                        line.append(_visible(piece), style=style)
                        line.append(self.joint)
                    console.print(line)
        for said in [*self.about(), *self.remarks]:
            console.print(Text(said))

    def to_html(self) -> str:
        parts = [f'<section class="explain"><h2>{escape(self.title)}</h2>']
        parts.append(
            '<p>speaks against the answer <span class="scale"></span> speaks for it '
            "(in each line the strongest word has the full colour)</p>"
        )
        for row in range(len(self.targets)):
            parts.append(f"<h3>{escape(self.name_of(row))} ({escape(self.sureness(row))})</h3>")
            for method in self.maps:
                control = f"untrained ({in_percent(self.alike[method])} alike)"
                for label, maps in ((WORDS[method], self.maps), (control, self.control)):
                    words = self.joint.join(
                        _span(piece, share, value)
                        for piece, share, value in zip(
                            self.pieces[row], share_of_largest(maps[method][row]), maps[method][row]
                        )
                    )
                    parts.append(f'<div class="words"><div class="label">{escape(label)}</div><div>{words}</div></div>')
        parts.append(f"<pre>{escape(chr(10).join([*self.about(), *self.remarks]))}</pre></section>")
        return "\n".join(parts)

    @styled
    def plot(self, rows: int = _SHOWN) -> Any:  # type: ignore[override]
        """Draw the first texts with coloured words, and the untrained network's words beneath.

        Args:
            rows: How many texts, at most; long ones are cut.
        """
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        blocks: list[tuple[float, str, str, list[tuple[float, str, Any]]]] = []
        height = 0.0
        for row in range(min(rows, len(self.targets))):
            blocks.append((height, f"answer: {self.name_of(row)} ({self.sureness(row)})", "head", []))
            height += 1.3
            for method in self.maps:
                same = f"  untrained ({in_percent(self.alike[method])} alike)"
                for label, maps in ((WORDS[method], self.maps), (same, self.control)):
                    lines = self._wrapped(row, share_of_largest(maps[method][row]))
                    for place, line in enumerate(lines):
                        blocks.append((height, label if place == 0 else "", "words", line))
                        height += 1.0
                    height += 0.15
            height += 0.5
        width = (_LABEL + _WIDE + 1) * _LETTER
        size = (width + 0.3, height * _LINE + 1.55)
        figure = Figure(figsize=size)
        axes = figure.add_axes((0.15 / size[0], 0.75 / size[1], width / size[0], height * _LINE / size[1]))
        axes.set(xlim=(0, _LABEL + _WIDE + 1), ylim=(height, 0))
        axes.axis("off")
        font: Any = {"family": "DejaVu Sans Mono", "fontsize": 10, "va": "center"}
        for top, label, kind, line in blocks:
            if kind == "head":
                axes.text(0, top + 0.6, label, fontsize=10.5, fontweight="bold", va="center")
                continue
            axes.text(0, top + 0.5, label[: _LABEL - 1], fontsize=8.5, va="center", color="#555555")
            for column, piece, share in line:
                colour = signed_colours(np.array(share))
                axes.add_patch(Rectangle((_LABEL + column, top + 0.06), len(piece), 0.88, color=colour, linewidth=0))
                light = float(np.dot(colour, (0.3, 0.59, 0.11))) > 0.5
                axes.text(_LABEL + column, top + 0.5, piece, color="#111111" if light else "white", **font)
        bar = figure.add_axes((0.3, 0.42 / size[1], 0.4, 0.13 / size[1]))
        colour_bar(bar, "speaks against: -largest", "speaks for: +largest")
        headed(figure, self.title, size[0])
        return figure

    def _wrapped(self, row: int, shares: np.ndarray) -> list[list[tuple[float, str, Any]]]:
        """Return lines of words with their columns and colours; no more lines than fit."""
        lines: list[list[tuple[float, str, Any]]] = [[]]
        column = 0
        for piece, share in zip(self.pieces[row], shares):
            word = _visible(piece)[: _WIDE - 2]
            if column + len(word) > _WIDE:
                if len(lines) == _LINES:
                    lines[-1].append((column, "…" if column < _WIDE else "", 0.0))
                    break
                lines.append([])
                column = 0
            lines[-1].append((column, word, share))
            column += len(word) + len(self.joint)
        return lines

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "pieces": [list(row) for row in self.pieces]}


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}"


def _visible(piece: str) -> str:
    """Return a piece with its spaces and line ends made visible."""
    return piece.replace("\n", "⏎").replace("\t", "→") if piece.strip() else "␣" if piece == " " else "⏎"


def _span(piece: str, share: float, value: float) -> str:
    red, green, blue = (round(255 * part) for part in (FOR if share > 0 else AGAINST))
    strength = min(1.0, abs(float(share)))
    # Readable on a full colour, on a light page as on a dark one.
    ink = (" color: #000000;" if strength > 0.9 else "") if share > 0 else " color: #ffffff;" if strength > 0.75 else ""
    return (
        f'<span title="{_signed(float(value))}" style="background: rgb({red} {green} {blue} / {strength:.2f});{ink}">'
        f"{escape(_visible(piece))}</span>"
    )
