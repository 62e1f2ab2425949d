"""`uncrumple compare`: a network beside simpler models, or runs beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from uncrumple.cli.console import heading, lines, make_console, only_json, table
from uncrumple.cli.job import network_of, opened_job, say_fitting
from uncrumple.cli.options import HELP, job_options, json_option, of_data, of_judging, of_training, place_options
from uncrumple.core.errors import explain


@click.command(context_settings=HELP)
@click.argument("data_or_runs", nargs=-1, required=True)
@job_options
@click.option("--out", type=click.Path(), metavar="FILE", help="Also write the judgement: report.html or report.json.")
@json_option
@place_options
def command(data_or_runs: tuple[str, ...], as_json: bool, out: str | None, **options: Any) -> int:
    """Compare a network with simpler models on the same rows, or several runs with each other.

    Of DATA (a file, a folder, a name) the usual network is trained and judged,
    and nothing is kept. Of one RUN, a folder that `train` wrote, the network is
    judged again. Of several runs, their networks are compared on the test rows
    that they share, with a paired test.

    \b
    uncrumple compare houses.csv --target price
    uncrumple compare iris --folds 10
    uncrumple compare runs/houses --slices ocean_proximity --out houses.html
    uncrumple compare runs/houses runs/houses-2

    Exit codes: 0 done, 2 a mistake in the command or the data.
    """
    from uncrumple.experiment.folder import is_run, read_run

    runs = [one for one in data_or_runs if is_run(one)]
    if len(data_or_runs) > 1:
        found_runs = [read_run(one) for one in data_or_runs]
        return _runs(found_runs, as_json, out, options)
    with only_json(as_json) as emit:
        console = make_console(quiet=as_json)
        if runs:
            _refuse(options)
            trained, prepared, slices = _of_run(read_run(runs[0]), options)
        else:
            trained, prepared, slices = _of_data(data_or_runs[0], options, console)
        from uncrumple import experiment

        heading(console, "Simpler models on the same rows")
        found = experiment.judge(trained, prepared, slices=slices, progress=say_fitting(console), **of_judging(options))
        from uncrumple.experiment.networks import in_words
        from uncrumple.experiment.written import report_of

        found.title = f"{prepared.dataset.name}: {in_words(prepared.dataset)}"
        if out is not None:
            found.save(out)
        if as_json:
            emit(report_of(Path(runs[0]) if runs else None, prepared, trained, found))
            return 0
        console.print()
        found.show(console)
        heading(console, "Verdict")
        lines(console, [found.verdict()], style="bold")
        if out is not None:
            lines(console, [f"written to {out}"])
    return 0


def _of_data(data: str, options: dict[str, Any], console: Any) -> tuple[Any, Any, Any]:
    """Train the usual network for data, and keep nothing."""
    from uncrumple import experiment
    from uncrumple.experiment.written import training_facts

    job = opened_job(data, options, "runs" if Path("runs").is_dir() else None, console)
    heading(console, f"{job.dataset.name}: {job.dataset.shape_in_words()}")
    lines(console, [f"split: {job.prepared.sealed.in_words()}"])
    model, recipe = network_of(job, options)
    with console.status("training the network ..."):
        trained = experiment.train(model, job.prepared, recipe, balanced=options["balanced"], verbose=0)
    lines(console, [f"{key}: {value}" for key, value in training_facts(trained).items()])
    return trained, job.prepared, job.slices


def _of_run(run: Any, options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the network of a run and the parts that it was trained on."""
    from uncrumple.experiment.versus import trained_of

    opened = run.opened(options["data_dir"], options["offline"])
    prepared = run.prepared(opened=opened)
    return trained_of(run), prepared, opened.slices(options["slices"] or (), prepared.parts.test)


def _refuse(options: dict[str, Any]) -> None:
    """Refuse options that only mean something for data that is still to be trained on."""
    for name in ("balanced", *of_training(options), *of_data(options)):
        if options[name]:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                explain(
                    f"{option} was given, and what is compared is trained already.",
                    "Expected it for DATA, not for the folder of a run.",
                    f"leave out {option}",
                )
            )


def _runs(runs: list[Any], as_json: bool, out: str | None, options: dict[str, Any]) -> int:
    from uncrumple.experiment.versus import versus

    _refuse(options)
    if out is not None or options["slices"]:
        option = "--out" if out is not None else "--slices"
        raise ValueError(
            explain(f"{option} was given with several runs.", "Expected it for one.", "--json, to keep the numbers")
        )
    with only_json(as_json) as emit:
        console = make_console(quiet=as_json)
        found = versus(runs, options["data_dir"], options["offline"])
        if as_json:
            emit(found.to_dict())
            return 0
        heading(console, f"{len(runs)} runs on the same {found.comparison.test_rows:,} test rows")
        header, rows = found.table()
        table(console, header, rows)
        lines(console, ["", *found.notes()])
        heading(console, "Verdict")
        lines(console, [found.verdict()], style="bold")
    return 0
