"""`uncrumple check`: what is wrong with data, before a minute is spent on training."""

from __future__ import annotations

from typing import Any

import click

from uncrumple.cli.console import download_progress, heading, lines, make_console, only_json
from uncrumple.cli.main import FOUND, options_of
from uncrumple.cli.options import (
    HELP,
    SERIOUS,
    Names,
    data_options,
    fail_option,
    json_option,
    of_data,
    place_options,
    seed_option,
    split_options,
)


@click.command(context_settings=HELP)
@click.argument("data")
@data_options
@split_options
@seed_option
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="How long it may take.")
@click.option("--only", type=Names(), metavar="A,B", help="Run only these checks.")
@fail_option
@json_option
@place_options
def command(data: str, as_json: bool, **options: Any) -> int:
    """Look for what is wrong with DATA: a file, a folder, or the name of a data set.

    The data is divided as `train` would divide it, so that rows on both sides,
    leaks and differences between the parts are found. Each finding says what was
    seen, the number and its limit, why it matters, and one thing to try.

    \b
    uncrumple check houses.csv --target price
    uncrumple check photos/
    uncrumple check reviews.csv --text review --target stars --fail-on warning
    uncrumple check patients.csv --target outcome --groups patient --json

    Exit codes: 0 nothing serious, 1 a serious fault was found, 2 the data
    cannot be read.
    """
    from uncrumple.cli.fixes import typed_report
    from uncrumple.data.checks import check
    from uncrumple.data.split import split
    from uncrumple.experiment import Source

    with only_json(as_json) as emit:
        console = make_console(quiet=as_json)
        source = Source.of(data, of_data(options), options["data_dir"])
        opened = source.opened(offline=options["offline"], progress=download_progress(console))
        heading(console, "Data")
        lines(console, opened.data.describe())
        whole: Any = opened.data
        if whole.y is not None:
            opened.check_classes()
            whole = split(opened.data, options["validation"], options["test"], options["seed"])
            lines(console, [f"split: {whole.in_words()}"])
        with console.status("checking ..."):
            report = check(whole, only=options["only"] or None, seconds=options["seconds"], seed=options["seed"])
        if as_json:
            emit({"data": source.to_dict(), **report.to_dict(), "worst": report.worst})
        else:
            heading(console, "Checks")
            console.print(typed_report(report, "check", options_of("check")))
    return FOUND if report.worst in SERIOUS[options["fail_on"]] else 0
