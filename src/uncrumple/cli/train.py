"""`uncrumple train`: the main job, from data to report."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import click

from uncrumple.cli.console import (
    can_draw,
    gallery,
    heading,
    lines,
    make_console,
    only_json,
    typed,
    worst_of,
)
from uncrumple.cli.job import network_of, opened_job, say_fitting
from uncrumple.cli.main import FOUND, options_of
from uncrumple.cli.options import HELP, job_options, json_option, of_judging, place_options

# Of a large network the checks that would take longer are left out; `uncrumple preflight` takes its time.
_PREFLIGHT_SECONDS = 10.0


@click.command(context_settings=HELP)
@click.argument("data", default="digits")
@job_options
@click.option("--list", "listed", is_flag=True, help="List the data sets that are known by name, and stop.")
@click.option(
    "--check-seconds", type=click.FloatRange(0), default=5.0, show_default=True, help="For checks of the data."
)
@click.option("--strict", is_flag=True, help="Stop with exit code 1 if data or network has a serious fault.")
@click.option("--no-preflight", is_flag=True, help="Train without looking at the network first.")
@click.option("--out", type=click.Path(), metavar="FOLDER", help="Where to write the run.  [default: runs/DATA]")
@click.option("--name", help="Name of the run's folder.  [default: that of the data]")
@click.option("--runs-dir", default="runs", show_default=True, help="Folder that the run's folder is made in.")
@click.option("--quiet", is_flag=True, help="One line per epoch instead of live progress.")
@json_option
@place_options
def command(data: str, as_json: bool, name: str | None, runs_dir: str, out: str | None, **options: Any) -> int:
    """Train a network on DATA and judge it beside simpler models.

    DATA is a file, a folder, or the name of a data set: digits (the default),
    iris, wine, breast-cancer, diabetes, mnist and others. What the data is
    decides the network.

    \b
    uncrumple train digits
    uncrumple train houses.csv --target price
    uncrumple train passengers.csv --target survived --slices sex,class
    uncrumple train photos/                            photos/cat/*.jpg, photos/dog/*.jpg
    uncrumple train reviews.csv --text review --target stars
    uncrumple train play.txt --speakers                who says which line
    uncrumple train play.txt                           the next character
    uncrumple train sales.csv --past 14 --target sold --time day

    The run's folder holds report.html, report.json, model.keras and the plots.

    Exit codes: 0 done, 1 stopped by --strict, 2 a mistake in the command or the
    data.
    """
    start = time.perf_counter()
    if options["listed"]:
        return _list(as_json)
    with only_json(as_json) as emit, contextlib.ExitStack() as undone:
        console = make_console(quiet=as_json)
        from uncrumple import experiment
        from uncrumple.experiment.folder import check_free, exact_folder
        from uncrumple.experiment.written import model_summary, training_facts, write_model

        check_free(runs_dir, name, out)
        job = opened_job(data, options, Path(out).parent if out else runs_dir, console)
        source, dataset, prepared, slices = job
        heading(console, "Data")
        lines(console, dataset.describe())
        lines(console, [f"split: {prepared.sealed.in_words()}", f"preparation: {prepared.preparation.in_words()}"])
        checks = _checked(console, prepared, options["check_seconds"])
        if checks is not None and options["strict"] and checks.worst == "error":
            if as_json:
                emit({"run": None, "checks": checks.to_dict()})
            lines(console, ["Stopped before training (--strict)."])
            return FOUND
        folder = exact_folder(out) if out else experiment.new_folder(runs_dir, name, source.label)
        # Whatever ends it before something is written leaves no empty folder, which would take the run's name.
        undone.push(lambda error, *_: _away(folder) if error is not None else None)

        heading(console, "Model")
        model, recipe = network_of(job, options)
        if not as_json:
            print(model_summary(model, min(console.width, 90)))
        ready = experiment.made_ready(model, prepared, recipe)
        before = None if options["no_preflight"] else _preflight(console, ready)
        if before is not None and options["strict"] and worst_of(before) == "error":
            if as_json:
                emit({"run": None, "preflight": before.to_dict()})
            lines(console, ["Stopped before training (--strict)."])
            _away(folder)
            return FOUND

        heading(console, "Training")
        verbose: Any = 0 if as_json else 2 if options["quiet"] else "auto"
        trained = experiment.train(
            ready, prepared, recipe, balanced=options["balanced"], verbose=verbose, diagnose=True
        )
        trained.preflight = before
        lines(console, [f"{key}: {value}" for key, value in training_facts(trained).items()])
        write_model(folder, trained)
        shares = {"validation_share": options["validation"], "test_share": options["test"]}
        experiment.write_settings(folder, source, prepared, trained, shares)
        undone.push(lambda error, *_: _say_kept(folder) if error is not None else None)

        heading(console, "Test, beside simpler models on the same rows")
        found = experiment.judge(trained, prepared, slices=slices, progress=say_fitting(console), **of_judging(options))
        report = experiment.write_run(
            folder, prepared, trained, found, checks=checks, command=typed(), seconds=time.perf_counter() - start
        )
        if as_json:
            emit(report)
            return 0
        console.print()
        found.show(console)
        show_examples(console, prepared, trained.model, found)
        heading(console, "Verdict")
        lines(console, [found.verdict()], style="bold")
        _say_where(console, folder, time.perf_counter() - start)
    return 0


def _list(as_json: bool) -> int:
    """Print the data sets that are known by name."""
    from uncrumple.data import catalogue

    with only_json(as_json) as emit:
        if as_json:
            emit([{"name": one.name, "kind": one.kind, "task": one.task, "rows": one.rows, "asked": one.asked,
                   "source": one.source, "licence": one.licence, "download_bytes": one.download_bytes}
                  for one in catalogue()])  # fmt: skip
        else:
            print(catalogue())
    return 0


def _checked(console: Any, prepared: Any, seconds: float) -> Any:
    """Check the data, and print what was found."""
    if not seconds:
        return None
    from uncrumple.cli.fixes import typed_report
    from uncrumple.data.checks import check

    with console.status("checking the data ..."):
        report = check(prepared.sealed, seconds=seconds, seed=prepared.seed)
    heading(console, "Checks of the data")
    for finding in typed_report(report, "train", options_of("train")):
        lines(console, finding.in_words(min(console.width - 4, 100)).split("\n"))
    late = sum("seconds=" in one.why for one in report.not_run)
    rest = f"; {late} did not get to run: --check-seconds 60" if late else ""
    said = f"{len(report)} finding{'s' if len(report) > 1 else ''}" if len(report) else "nothing found"
    lines(console, [f"{said}; {len(report.ran)} checks ran in {report.seconds:.1f} s{rest}"])
    return report


def _preflight(console: Any, ready: Any) -> Any:
    """Look at the network before it is trained, and print what was found: one line when all is well."""
    with console.status("looking at the network before it is trained ..."):
        report = ready.preflight(seconds=_PREFLIGHT_SECONDS)
    lines(console, [report.headline()])
    for finding in report:
        lines(console, finding.in_words(min(console.width - 4, 100)).split("\n"), indent="    ")
    return report


def _say_kept(folder: Path) -> None:
    """Say that a run which ended before its judgement is not lost."""
    click.echo(f"\nThe trained network is kept: uncrumple compare {folder} judges it.", err=True)


def _away(folder: Path) -> None:
    """Take away the folder of a run that was not made."""
    with contextlib.suppress(OSError):
        (folder / "plots").rmdir()
        folder.rmdir()


def show_examples(console: Any, prepared: Any, model: Any, found: Any) -> None:
    """Print a few predictions, decoded."""
    from uncrumple.data.describe import draw
    from uncrumple.experiment.shown import examples

    data = prepared.dataset
    drawn = data.kind == "images" and len(data.shape) == 4
    shown = examples(prepared, model, found, pictures=drawn)
    if shown.sample:
        heading(console, "What it writes, after the words in brackets")
        lines(console, f"[{shown.contents[0]}]{shown.sample}".split("\n"))
        return
    heading(console, "A few predictions, decoded")
    if shown.pictures is not None:
        plain = not can_draw(console)
        blocks = [
            (draw(_light(picture), 16 if picture.shape[1] <= 8 else 24, ascii_only=plain), caption)
            for picture, caption in zip(shown.pictures, shown.captions)
        ]
        lines(console, gallery(blocks, console.width - 4))
        return
    for row, content, caption in zip(shown.rows, shown.contents, shown.captions):
        lines(console, [f"test row {row}: {caption}", f"    {content}"])


def _light(picture: Any) -> Any:
    """Return a photograph with dark ink for what is dark; drawings are light ink already."""
    return 255 - picture if picture.shape[-1] == 3 else picture


def _say_where(console: Any, folder: Path, seconds: float) -> None:
    from uncrumple.judge.words import seconds_in_words

    heading(console, f"Written to {folder} in {seconds_in_words(seconds)}")
    rows = [
        [str(folder / "report.html"), "the whole on one page"],
        [str(folder / "report.json"), "every number"],
        [str(folder / "model.keras"), "uncrumple.saving.load_model(...)"],
        [f"uncrumple predict {folder}", "a few test rows; or name a file"],
        [f"uncrumple explain {folder}", "what its answers rest on"],
    ]
    width = max(len(row[0]) for row in rows)
    lines(console, [f"{first:<{width}}   {second}" for first, second in rows])
