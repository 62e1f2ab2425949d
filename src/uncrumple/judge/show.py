"""A judgement on a terminal, with rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uncrumple.judge.trees import tree_lines

if TYPE_CHECKING:
    from uncrumple.judge.judgement import Judgement

# Columns of the comparison that are left out first on a narrow terminal.
_LEAST = ("training rows", "size", "ms per row", "fit", "readable")


def show(found: Judgement, console: Any = None) -> None:
    """Print a judgement: the verdict, the table of models, and what else was found.

    Args:
        found: What `judge` returned.
        console: A `rich.console.Console`; one for standard output by default.
    """
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = console or Console(highlight=False)

    def table(header: list[str], rows: list[list[str]], faint: list[bool] | None = None, own: bool = False) -> None:
        made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for index, name in enumerate(header):
            made.add_column(Text(name), justify="left" if index == 0 else "right")
        for index, row in enumerate(rows):
            style = "dim" if faint and faint[index] else "bold" if own and index == 0 else ""
            made.add_row(*[Text(cell) for cell in row], style=style)
        console.print(made)
        console.print()

    console.print(Panel(Text(found.verdict()), title=Text(found.title), title_align="left"))
    for line in found.score_lines():
        console.print(Text(line, style="bold" if line.startswith(found.comparison.headline) else ""))
    for note in found.notes():
        console.print(Text(note, style="yellow"))
    console.print()
    header, rows = found.comparison.table()
    left_out = list(_LEAST)[: max(0, min(len(_LEAST), (128 - console.width) // 9 + 1))]
    kept = [index for index, name in enumerate(header) if name not in left_out]
    table([header[index] for index in kept], [[row[index] for index in kept] for row in rows], own=True)
    for note in found.comparison.notes():
        console.print(Text(note, style="dim"))
    console.print()
    if found.confusion is not None:
        table(*found.confusion.class_table())
        matrix = found.confusion.matrix_lines()
        if len(found.class_names) <= 12 and max(map(len, matrix)) <= console.width:
            console.print(Text("\n".join(matrix)), "\n")
    if found.tree is not None:
        console.print(Text("The decision tree", style="dim"))
        console.print(Text("\n".join(tree_lines(found.tree))), "\n")
    for part in (found.slices, *found.fairness):
        if part is not None:
            table(*part.table())
    for other in (found.shift, found.folds, found.learning):
        if other is not None:
            table(*other.table())  # type: ignore[attr-defined]
    for name, said in found.findings():
        console.print(Text.assemble((f"{name}: ", "bold"), said))
    for line in found.mistake_lines(most=3):
        console.print(Text(line), soft_wrap=False)
    console.print()
    console.print(Text("Looked at: " + "; ".join(found.ran) + ".", style="dim"))
    if found.not_run:
        console.print(Text("Not looked at: " + "; ".join(found.not_run) + ".", style="dim"))
