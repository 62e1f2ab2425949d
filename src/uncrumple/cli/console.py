"""What all commands print with."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# A log file has no width of its own; the widest table here fits into this many characters.
_LOG_WIDTH = 110


def make_console(quiet: bool = False) -> Console:
    """Return a console for standard output: coloured on a terminal, plain in a file.

    Args:
        quiet: Whether it prints nothing: with `--json`, standard output is for the document.
    """
    width = None if sys.stdout.isatty() else _LOG_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False, quiet=quiet)


@contextlib.contextmanager
def only_json(wanted: bool) -> Iterator[Any]:
    """Keep everything but one JSON document off standard output, if that is wanted.

    Gives a function that prints the document. What else is printed meanwhile goes to standard error.
    """
    out = sys.stdout

    def emit(document: Any) -> None:
        from uncrumple.experiment.written import plain

        out.write(json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        out.flush()

    if not wanted:
        yield emit
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield emit


def heading(console: Console, text: str) -> None:
    """Print a heading with an empty line before it."""
    console.print()
    console.print(Text(text, style="bold cyan"))


def lines(console: Console, text: Sequence[str], indent: str = "  ", style: str = "") -> None:
    """Print lines as they are, without markup; what is too long goes on below, further in."""
    for line in text:
        inside = indent + " " * (len(line) - len(line.lstrip()) + 2)
        parts = [indent + line]
        if len(parts[0]) > console.width:
            start = inside[:-2]
            parts = textwrap.wrap(
                line, console.width, initial_indent=start, subsequent_indent=inside, break_on_hyphens=False
            )
        for part in parts:
            console.print(Text(part if line else "", style=style))


def table(console: Console, header: Sequence[str], rows: Sequence[Sequence[str]], mark_first: bool = False) -> None:
    """Print a table, the first column to the left and the others to the right."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for index, name in enumerate(header):
        made.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for index, row in enumerate(rows):
        made.add_row(*[Text(cell) for cell in row], style="bold" if mark_first and index == 0 else "")
    grid = Table.grid()
    grid.add_column(width=2)
    grid.add_column()
    grid.add_row("", made)
    console.print(grid)


def can_draw(console: Console) -> bool:
    """Return whether the output's encoding has block characters."""
    return (console.encoding or "").lower().replace("-", "").startswith("utf")


def gallery(blocks: Sequence[tuple[Sequence[str], str]], width: int, gap: int = 3) -> list[str]:
    """Return pictures (blocks of lines) with a caption under each, next to each other in as many rows as it takes."""
    from uncrumple.data.describe import side_by_side

    captioned = []
    for block, caption in blocks:
        size = max([len(caption), *(len(line) for line in block)])
        captioned.append([*(line.center(size) for line in block), caption.center(size), ""])
    out: list[str] = []
    row: list[list[str]] = []
    for block in captioned:
        if row and sum(len(other[0]) + gap for other in row) + len(block[0]) > width:
            out += side_by_side(row, gap)
            row = []
        row.append(block)
    return out + side_by_side(row, gap)


def download_progress(console: Console) -> Any:
    """Return a function that says once for each file that it is being downloaded."""
    begun: set[str] = set()

    def show(name: str, done: int, total: int) -> None:
        if name not in begun:
            begun.add(name)
            console.print(f"  downloading {name} ({total / 1e6:.1f} MB)" if total else f"  downloading {name}")

    return show


def worst_of(findings: Any) -> str | None:
    """Return the greatest severity among findings; None where there are none."""
    from uncrumple.data.checks.report import SEVERITIES

    return min((one.severity for one in findings), key=SEVERITIES.index, default=None)


def typed() -> str:
    """Return the line that was typed."""
    return " ".join(["uncrumple", *sys.argv[1:]])
