"""What all commands print with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# A log file has no width of its own; the widest table here fits into this many characters.
_LOG_WIDTH = 110


def make_console() -> Console:
    """Return a console for standard output: coloured on a terminal, plain in a file."""
    width = None if sys.stdout.isatty() else _LOG_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def heading(console: Console, text: str) -> None:
    """Print a heading with an empty line before it."""
    console.print()
    console.print(Text(text, style="bold cyan"))


def lines(console: Console, text: Sequence[str], indent: str = "  ") -> None:
    """Print lines as they are, without markup and without wrapping within words."""
    for line in text:
        console.print(Text(indent + line))


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


def shared_options(function: Any) -> Any:
    """Add the options that say where data comes from."""
    import click

    function = click.option("--offline", is_flag=True, help="Never download; files that are missing are an error.")(
        function
    )
    return click.option(
        "--data-dir",
        type=click.Path(),
        help="Folder with the data's files. Default: $UNCRUMPLE_DATA_DIR, ~/.cache/uncrumple.",
    )(function)
