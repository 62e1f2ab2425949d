"""`uncrumple preflight`: what would keep a network from learning, before it is trained."""

from __future__ import annotations

from typing import Any

import click

from uncrumple.cli.console import download_progress, heading, lines, make_console, only_json, worst_of
from uncrumple.cli.main import FOUND
from uncrumple.cli.options import (
    HELP,
    SERIOUS,
    data_options,
    fail_option,
    json_option,
    of_data,
    of_training,
    place_options,
    seed_option,
    split_options,
    training_options,
)
from uncrumple.core.errors import explain


@click.command(context_settings=HELP)
@click.argument("data", default="digits", metavar="[DATA_OR_RUN]")
@data_options
@training_options
@split_options
@seed_option
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=20.0, show_default=True, help="How long it may take."
)
@fail_option
@json_option
@place_options
def command(data: str, as_json: bool, **options: Any) -> int:
    """Look at the network that `train` would make of DATA, before it is trained.

    Gradients, units, the learning rate, the loss and the last activation, the
    scale of the data and more are looked at; a few samples are learned by heart.
    Of a RUN, a folder that `train` wrote, the network is looked at as it was
    before training.

    \b
    uncrumple preflight digits
    uncrumple preflight houses.csv --target price
    uncrumple preflight houses.csv --target price --learning-rate 3
    uncrumple preflight runs/houses

    Exit codes: 0 nothing serious, 1 a serious fault was found, 2 a mistake in
    the command or the data.
    """
    from uncrumple import experiment
    from uncrumple.core.seeds import set_random_seed
    from uncrumple.experiment.folder import is_run, read_run
    from uncrumple.experiment.networks import in_words

    with only_json(as_json) as emit:
        console = make_console(quiet=as_json)
        changed = of_training(options)
        if is_run(data):
            _refuse(options)
            run = read_run(data)
            source, prepared = run.source, run.prepared(options["data_dir"], options["offline"])
            recipe = experiment.Recipe(**run.settings["recipe"])
        else:
            source = experiment.Source.of(data, of_data(options), options["data_dir"])
            opened = source.opened(offline=options["offline"], progress=download_progress(console))
            prepared = experiment.prepare(
                opened.need_answers(), validation=options["validation"], test=options["test"], seed=options["seed"]
            )
            experiment.check_wishes(prepared, balanced=options["balanced"])
            recipe = experiment.recipe_for(prepared.dataset, len(prepared.parts.train))
        dataset = prepared.dataset
        heading(console, f"{dataset.name}: {in_words(dataset)}")
        lines(console, [dataset.shape_in_words(), f"preparation: {prepared.preparation.in_words()}"])
        set_random_seed(prepared.seed)
        ready = experiment.made_ready(
            experiment.network_for(dataset, prepared.preparation), prepared, recipe.changed(**changed)
        )
        with console.status("looking at the network ..."):
            report = ready.preflight(options["seconds"])
        worst = worst_of(report)
        if as_json:
            emit({"data": source.to_dict(), **report.to_dict(), "worst": worst})
        else:
            console.print()
            lines(console, report.to_text(min(console.width - 4, 100)).split("\n"))
    return FOUND if worst in SERIOUS[options["fail_on"]] else 0


def _refuse(options: dict[str, Any]) -> None:
    """Refuse options that say what a run knows already."""
    for name in of_data(options):
        if options[name]:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                explain(
                    f"{option} was given, and a run knows its data.",
                    "Expected it for DATA, not for the folder of a run.",
                    f"leave out {option}",
                )
            )
