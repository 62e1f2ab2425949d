"""`uncrumple predict`: a run's network on new rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from uncrumple.cli.console import can_draw, gallery, lines, make_console, shared_options, table


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path())
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--output", type=click.Path(), help="Write all answers to this CSV file.")
@shared_options
def command(run: str, files: tuple[str, ...], output: str | None, data_dir: str | None, offline: bool) -> None:
    """Answer for FILES with the network of RUN, a folder that `train` wrote.

    FILES are pictures (PNG, JPEG, ...), CSV tables with the columns that the
    network was trained on, or NumPy arrays (.npy). Without any, the first rows
    of the test part are used.
    """
    from uncrumple.experiment import read_run
    from uncrumple.experiment.inputs import read_inputs

    found = read_run(run)
    if files:
        x, labels = read_inputs(found, [Path(file) for file in files])
    else:
        prepared = found.prepared(data_dir, offline)
        x, _ = prepared.rows("test")
        x = x[:8]
        labels = [f"test row {row}" for row in range(len(x))]
    answers = found.decode(found.model.predict(x, verbose=0))
    console = make_console()
    if output is not None:
        _write(Path(output), labels, answers)
        console.print(f"{len(answers):,} answers written to {output}", markup=False)
        return
    _show(console, x, labels, answers)


def _show(console: Any, x: Any, labels: list[str], answers: list[Any]) -> None:
    from uncrumple.data.describe import draw

    if x.ndim == 4 and len(x) <= 12:
        columns = 16 if x.shape[2] <= 8 else 20
        blocks = [
            (
                draw(picture, columns, ascii_only=not can_draw(console)),
                f"{answer} ({100 * sure:.0f} %)" if sure else answer,
            )
            for picture, (answer, sure) in zip(x, answers)
        ]
        lines(console, gallery(blocks, console.width - 4))
    rows = [
        [label, answer, "" if sure is None else f"{100 * sure:.1f} %"] for label, (answer, sure) in zip(labels, answers)
    ]
    most = 40
    table(console, ["", "answer", "probability" if any(row[2] for row in rows) else ""], rows[:most])
    if len(rows) > most:
        lines(console, [f"... and {len(rows) - most:,} more: --output answers.csv writes all"])


def _write(path: Path, labels: list[str], answers: list[Any]) -> None:
    import csv
    import io

    from uncrumple.judge.files import write_whole

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", "answer", "probability"])
    writer.writerows(
        [label, answer, "" if sure is None else f"{sure:.6f}"] for label, (answer, sure) in zip(labels, answers)
    )
    write_whole(path, out.getvalue())
