"""`uncrumple summary`: the layers of a run's network, and how it did."""

from __future__ import annotations

import json
from typing import Any

import click

from uncrumple.cli.console import heading, lines, make_console, only_json
from uncrumple.cli.options import HELP, json_option


@click.command(context_settings=HELP)
@click.argument("run", type=click.Path())
@json_option
def command(run: str, as_json: bool) -> None:
    """Show the network of RUN, a folder that `train` wrote, and its result.

    \b
    uncrumple summary runs/digits
    uncrumple summary runs/digits --json

    Exit codes: 0 done, 2 there is no such run.
    """
    from uncrumple.experiment import read_run
    from uncrumple.experiment.folder import REPORT
    from uncrumple.experiment.written import model_summary

    with only_json(as_json) as emit:
        console = make_console(quiet=as_json)
        found = read_run(run)
        try:
            report: dict[str, Any] | None = json.loads((found.folder / REPORT).read_text(encoding="utf-8"))
            verdict = str(report["verdict"])  # type: ignore[index]
        except (OSError, ValueError, KeyError, TypeError) as error:
            gone = isinstance(error, FileNotFoundError)
            why = "the run was stopped before the test" if gone else f"{found.folder / REPORT} is damaged"
            report, verdict = None, f"No verdict: {why}; uncrumple compare {found.folder} judges the network."
        if as_json:
            emit(
                {
                    "run": run,
                    "settings": found.settings,
                    "layers": [
                        {"name": layer.name, "type": type(layer).__name__, "weights": layer.count_params()}
                        for layer in found.model.layers
                    ],
                    "weights": found.model.count_params(),
                    "verdict": verdict if report else None,
                }
            )
            return
        heading(console, f"{found.folder}: {found.source.data}, seed {found.seed}")
        print(model_summary(found.model, min(console.width, 90)))
        lines(console, [verdict], indent="")
