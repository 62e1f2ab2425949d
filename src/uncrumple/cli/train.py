"""`uncrumple train`: the main job, from data to report."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from uncrumple.cli.console import can_draw, gallery, heading, lines, make_console, shared_options, table
from uncrumple.core.errors import unknown_name


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data", default="digits")
@click.option("--name", help="Name of the run's folder. Default: that of the data.")
@click.option("--runs-dir", default="runs", show_default=True, help="Folder that the run's folder is made in.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same parts and the same network.")
@click.option("--epochs", type=click.IntRange(1), help="At most this many epochs.")
@click.option("--batch-size", type=click.IntRange(1), help="Samples per step.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Of the optimizer, Adam.")
@click.option("--patience", type=click.IntRange(1), help="Epochs without a lower validation loss until training stops.")
@click.option(
    "--validation", type=click.FloatRange(0, 1, True, True), default=0.15, show_default=True, help="Share of the rows."
)
@click.option(
    "--test", type=click.FloatRange(0, 1, True, True), default=0.15, show_default=True, help="Share of the rows."
)
@click.option(
    "--budget", type=click.FloatRange(1), default=60.0, show_default=True, help="Seconds for the classical models."
)
@click.option("--quiet", is_flag=True, help="One line per epoch instead of live progress.")
@shared_options
def command(data: str, name: str | None, runs_dir: str, seed: int, **options: Any) -> None:
    """Train a network on DATA and judge it beside simpler models.

    DATA is digits (the default), iris, wine, breast-cancer, diabetes or mnist.
    """
    start = time.perf_counter()
    from uncrumple.data.describe import describe
    from uncrumple.data.named import load, names

    console = make_console()
    if data not in names():
        raise click.UsageError(unknown_name("data set", data, names()))
    dataset = load(data, options["data_dir"], options["offline"], _progress(console))
    heading(console, "Data")
    lines(console, describe(dataset, ascii_only=not can_draw(console)))

    from uncrumple import experiment
    from uncrumple.core.seeds import set_random_seed

    prepared = experiment.prepare(dataset, validation=options["validation"], test=options["test"], seed=seed)
    classes = dataset.y if dataset.task == "classification" else None
    lines(console, [f"split: {prepared.parts.in_words(classes)}", f"scaling: {prepared.scaler.in_words()}"])
    folder = experiment.new_folder(runs_dir, name, data)

    heading(console, "Model")
    set_random_seed(seed)
    model = experiment.network_for(dataset, prepared.scaler)
    model.summary(line_length=min(console.width, 90))
    recipe = experiment.recipe_for(dataset, len(prepared.parts.train)).changed(
        **{key: options[key] for key in ("epochs", "batch_size", "learning_rate", "patience")}
    )

    heading(console, "Training")
    trained = experiment.train(model, prepared, recipe, verbose=2 if options["quiet"] else "auto")
    from uncrumple.experiment.written import training_facts, write_settings

    lines(console, [f"{key}: {value}" for key, value in training_facts(trained).items()])
    model_path = folder / experiment.folder.MODEL
    model.save(model_path)
    shares = {"validation_share": options["validation"], "test_share": options["test"]}
    write_settings(folder, prepared, trained, shares, data_dir=options["data_dir"])

    def say(what: str, rows: int, given: int) -> None:
        part = f" on {rows:,} of {given:,} rows" if rows < given else ""
        lines(console, [f"fitting: {what}{part}"])

    heading(console, "Beside simpler models, on the same rows")
    judged = experiment.judge(
        trained,
        prepared,
        budget_seconds=options["budget"],
        size_bytes=model_path.stat().st_size,
        progress=say,
    )
    report = experiment.write_run(
        folder, prepared, trained, judged, command=_typed(), seconds=time.perf_counter() - start
    )
    _show(console, prepared, judged)
    _say_where(console, folder, report, time.perf_counter() - start)


def _show(console: Any, prepared: Any, judged: Any) -> None:
    comparison = judged.comparison
    header, rows = comparison.table()
    # The report has all columns; a terminal shows those that fit.
    least = ["training rows", *(["F1", "R²", "network's lead"] if console.width < 105 else [])]
    kept = [index for index, name in enumerate(header) if name not in least]
    table(console, [header[index] for index in kept], [[row[index] for index in kept] for row in rows], mark_first=True)
    console.print()
    for note in comparison.notes():
        console.print("  " + note, style="dim", markup=False)
    show_test(console, prepared, judged)
    heading(console, "Verdict")
    console.print("  " + comparison.verdict(), style="bold", markup=False)


def show_test(console: Any, prepared: Any, judged: Any) -> None:
    """Print the test result: the score with its interval, the classes, and a few predictions."""
    from uncrumple.data.describe import draw
    from uncrumple.experiment.written import examples

    heading(console, f"Test: {len(judged.truth):,} rows that training never saw")
    for name, interval in judged.scores.items():
        words = {
            "accuracy": "accuracy",
            "macro_f1": "macro F1",
            "mae": "mean absolute error",
            "rmse": "root mean squared error",
        }
        share = name == "accuracy"
        lines(console, [f"{words.get(name, 'R²')}: {interval.in_words(percent=share)}"])
    if judged.confusion is not None:
        console.print()
        table(console, *judged.confusion.class_table())
        console.print()
        lines(console, judged.confusion.matrix_lines())
    heading(console, "A few predictions, decoded")
    rows, captions, _ = examples(prepared, judged, count=8)
    if prepared.dataset.is_images:
        x, _ = prepared.rows("test")
        plain = not can_draw(console)
        columns = 16 if x.shape[2] <= 8 else 20
        blocks = [(draw(x[row], columns, ascii_only=plain), caption) for row, caption in zip(rows, captions)]
        lines(console, gallery(blocks, console.width - 4))
    else:
        lines(console, [f"row {row}: {caption}" for row, caption in zip(rows, captions)])
    if judged.mistakes:
        shown = ", ".join(mistake.in_words() for mistake in judged.mistakes[:4])
        console.print(f"  worst mistakes: {shown}", markup=False)


def _say_where(console: Any, folder: Path, report: Path, seconds: float) -> None:
    from uncrumple.judge.words import seconds_in_words

    heading(console, f"Written to {folder} in {seconds_in_words(seconds)}")
    lines(
        console,
        [
            f"{report}   the whole on one page",
            f"{folder / 'model.keras'}   uncrumple.saving.load_model(...), or Keras",
            f"uncrumple predict {folder}   a few rows again, or: uncrumple predict {folder} FILE",
        ],
    )


def _progress(console: Any) -> Any:
    """Return a function that shows a download: a live line on a terminal, one line per file in a log."""
    begun: set[str] = set()

    def show(name: str, done: int, total: int) -> None:
        if name not in begun:
            begun.add(name)
            console.print(f"  downloading {name} ({total / 1e6:.1f} MB)" if total else f"  downloading {name}")

    return show


def _typed() -> str:
    return " ".join(["uncrumple", *sys.argv[1:]])
