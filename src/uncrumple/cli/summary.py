"""`uncrumple summary`: the layers of a run's network, and how it did."""

from __future__ import annotations

import json

import click

from uncrumple.cli.console import heading, lines, make_console


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path())
def command(run: str) -> None:
    """Show the network of RUN, a folder that `train` wrote, and its result."""
    from uncrumple.experiment import folder, read_run

    found = read_run(run)
    console = make_console()
    heading(console, f"{found.folder}: {found.settings['data']}, seed {found.settings['seed']}")
    found.model.summary(line_length=min(console.width, 90))
    try:
        metrics = json.loads((found.folder / folder.METRICS).read_text(encoding="utf-8"))
        lines(console, [metrics["comparison"]["verdict"]], indent="")
    except (OSError, ValueError, KeyError, TypeError):
        lines(console, ["No verdict: the run was stopped before the test."], indent="")
