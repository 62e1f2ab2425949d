"""The main job as `train` and `compare` begin it: data opened, prepared and divided, and the network for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from uncrumple.cli.console import download_progress, lines
from uncrumple.cli.options import of_data, of_training, wishes


class Job(NamedTuple):
    """What a command works on.

    Attributes:
        source: Where the data came from.
        dataset: The data, with answers.
        prepared: Its parts, and the preparation fitted on the training part.
        slices: What `--slices` names, of the test part.
    """

    source: Any
    dataset: Any
    prepared: Any
    slices: Any


def opened_job(data: str, options: dict[str, Any], folder: Path | str | None, console: Any) -> Job:
    """Open and prepare data as the options say, and refuse wishes that it cannot answer before anything is trained.

    Args:
        data: A file, a folder, or the name of a data set.
        options: All options of the command.
        folder: Where it is counted how often the test part was looked at; None for nowhere.
        console: Where a download is shown.
    """
    from uncrumple import experiment

    source = experiment.Source.of(data, of_data(options), options["data_dir"])
    opened = source.opened(offline=options["offline"], progress=download_progress(console))
    dataset = opened.need_answers()
    prepared = experiment.prepare(
        dataset, validation=options["validation"], test=options["test"], seed=options["seed"], folder=folder
    )
    if dataset.kind == "images" and not dataset.is_read_in_batches:
        prepared.sealed.peek("test").raw  # noqa: B018 - one that is damaged is an error now, and not after training
    slices = opened.slices(options["slices"] or (), prepared.parts.test)
    experiment.check_wishes(prepared, **wishes(options))
    return Job(source, dataset, prepared, slices)


def network_of(job: Job, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return the usual network for data, whose weights follow from the seed, and the recipe to train it by."""
    from uncrumple import experiment
    from uncrumple.core.seeds import set_random_seed

    set_random_seed(options["seed"])
    model = experiment.network_for(job.dataset, job.prepared.preparation)
    recipe = experiment.recipe_for(job.dataset, len(job.prepared.parts.train))
    return model, recipe.changed(**of_training(options))


def say_fitting(console: Any) -> Callable[[str, int, int], None]:
    """Return what `experiment.judge` tells which simpler model it fits, and on how many of the rows given."""

    def say(what: str, rows: int, given: int) -> None:
        part = f" on {rows:,} of {given:,} rows" if rows < given else ""
        lines(console, [f"fitting: {what}{part}"])

    return say
