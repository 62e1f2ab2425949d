"""`uncrumple evaluate`: a run's network on its test part again, or on other data with answers."""

from __future__ import annotations

from typing import Any

import click

from uncrumple.cli.console import heading, lines, make_console, only_json, table
from uncrumple.cli.options import HELP, encoding_option, json_option, need_file, place_options


@click.command(context_settings=HELP)
@click.argument("run", type=click.Path())
@click.argument("file", required=False, type=click.Path())
@encoding_option
@json_option
@place_options
def command(
    run: str, file: str | None, encoding: str | None, as_json: bool, data_dir: str | None, offline: bool
) -> None:
    """Test the network of RUN, a folder that `train` wrote, on the same test rows again.

    With FILE, a table or folder like the one it was trained on and with answers,
    it is tested on that.

    \b
    uncrumple evaluate runs/houses
    uncrumple evaluate runs/houses newer.csv --json

    Exit codes: 0 done, 2 a mistake in the command or the data.
    """
    from uncrumple.experiment import read_run
    from uncrumple.experiment.versus import evaluate

    need_file(encoding, file)
    with only_json(as_json) as emit:
        console = make_console(quiet=as_json)
        read = read_run(run)
        found = evaluate(read, file, data_dir, offline, encoding)
        if as_json:
            emit({"run": run, **found.to_dict()})
            return
        heading(console, f"{read.folder}: {read.source.data}, seed {read.seed}")
        lines(console, [f"{found.rows:,} rows: {found.where}", *_looks(found.uses)])
        lines(console, _scores(found.scores))
        if found.confusion is not None:
            console.print()
            table(console, *found.confusion.class_table())
            console.print()
            if len(found.confusion.class_names) <= 20:
                lines(console, found.confusion.matrix_lines())


def _looks(uses: int | None) -> list[str]:
    if uses is None or uses < 2:
        return []
    return [f"These rows were looked at {uses} times: what is chosen by them now is chosen for them."]


def _scores(scores: Any) -> list[str]:
    from uncrumple.judge.judgement import SCORE_NAMES, said_score

    return [f"{SCORE_NAMES.get(name, name)}: {said_score(name, score)}" for name, score in scores.items()]
