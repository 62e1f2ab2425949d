"""`uncrumple explain`: what a trained network does inside, and what its answers rest on."""

from __future__ import annotations

from typing import Any

import click

from uncrumple.cli.console import heading, lines, make_console, only_json
from uncrumple.cli.options import HELP, Names, encoding_option, json_option, need_file, place_options

# Lines of a part that fit into a summary; the page has all.
_MOST_LINES = 12


@click.command(context_settings=HELP)
@click.argument("run", type=click.Path())
@click.argument("file", required=False, type=click.Path())
@click.option("--rows", type=click.IntRange(1, 16), default=6, show_default=True, help="Answers shown one by one.")
@click.option(
    "--only",
    type=Names(),
    metavar="A,B",
    help="Of confusion, trace, view, attribution, importance, tree.  [default: all]",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Of the choice of rows, and of the untrained network beside it.",
)
@encoding_option
@json_option
@place_options
def command(
    run: str,
    file: str | None,
    rows: int,
    only: Any,
    seed: int,
    encoding: str | None,
    as_json: bool,
    data_dir: str | None,
    offline: bool,
) -> None:
    """Show what the network of RUN does inside, and what its answers rest on.

    Looked at are the validation rows, or those of FILE; the test part stays
    sealed. Beside the network stands the same one untrained: what looks alike in
    both was not learned.

    \b
    uncrumple explain runs/houses
    uncrumple explain runs/houses new.csv --only importance,tree
    uncrumple explain runs/photos cat.jpg
    uncrumple explain runs/digits --rows 10 --seed 1

    Written are explain.html, explain.json and the pictures, to RUN/explain.

    Exit codes: 0 done, 2 a mistake in the command or the data.
    """
    from uncrumple.experiment import read_run
    from uncrumple.experiment.explaining import PARTS, explained
    from uncrumple.experiment.explaining_page import WHOLE, write_explanation
    from uncrumple.judge.words import seconds_in_words

    need_file(encoding, file)
    with only_json(as_json) as emit:
        console = make_console(quiet=as_json)
        with console.status("looking ...") as status:
            found = explained(
                read_run(run),
                file,
                rows=rows,
                seed=seed,
                only=only or (),
                data_dir=data_dir,
                offline=offline,
                encoding=encoding,
                progress=lambda said: status.update(f"{said} ..."),
            )
            status.update("drawing ...")
            folder = write_explanation(found)
        if as_json:
            emit({**found.to_dict(), "folder": str(folder)})
            return
        heading(console, f"{found.run}: {found.name}")
        lines(console, [f"{found.rows:,} {found.where}"])
        for part in found.parts:
            heading(console, PARTS[part.name])
            lines(console, [part.title], style="bold")
            said = part.lines if part.brief is None else part.brief
            lines(console, said[:_MOST_LINES], indent="   ")
            if len(said) > _MOST_LINES:
                lines(console, [f"... and {len(said) - _MOST_LINES} lines more"], indent="    ")
        if found.missing:
            heading(console, "Not shown")
            lines(console, [f"{PARTS[name]}: {why}" for name, why in found.missing.items()])
        heading(console, f"Written to {folder} in {seconds_in_words(found.seconds)}")
        lines(console, [f"{folder / WHOLE}   with the pictures"])
