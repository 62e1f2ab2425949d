"""Options that commands share: what the data is, where it lies, and how it is trained on."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

import click

from uncrumple.core.errors import explain

HELP = {"help_option_names": ["-h", "--help"]}
# Options that say what the data is; `experiment.Source` takes them by these names.
_OF_DATA = (
    "target",
    "text",
    "speakers",
    "most_speakers",
    "steps",
    "groups",
    "time",
    "past",
    "task",
    "leave_out",
    "categories",
    "size",
    "labels",
    "skip_damaged",
    "encoding",
)

# From which severity on a command ends with exit code 1, by what `--fail-on` names.
SERIOUS = {"error": ("error",), "warning": ("error", "warning"), "note": ("error", "warning", "note"), "never": ()}


class Names(click.ParamType):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(name.strip() for name in str(value).split(",") if name.strip())


class Size(click.ParamType):
    """A width and a height such as 96x96, or one number for both."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        if not width.isdecimal() or (height and not height.isdecimal()) or int(width) < 1 or int(height or 1) < 1:
            self.fail(f"{value!r} is not a size such as 96x96.", param, ctx)
        return int(height or width), int(width)


class Encoding(click.ParamType):
    """The name of an encoding of text, such as cp1252."""

    name = "encoding"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            known = codecs.lookup(value)
            "a".encode(value)  # some are known that are not of text, such as base64
        except (LookupError, UnicodeError):
            self.fail(f"{value!r} is not an encoding such as cp1252, latin-1 or utf-16.", param, ctx)
        return known.name


def _apply(options: list[Any]) -> Callable[[Any], Any]:
    def decorated(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorated


encoding_option = click.option(
    "--encoding",
    type=Encoding(),
    metavar="NAME",
    help="Of CSV and text files that are not UTF-8: cp1252, latin-1, utf-16.",
)

data_options = _apply(
    [
        click.option("--target", metavar="COLUMN", help="Column of a table that is to be predicted."),
        click.option("--text", metavar="COLUMN", help="Column of a table that holds texts to learn from."),
        click.option("--speakers", is_flag=True, help="In a text file with lines 'NAME:': who says what."),
        click.option("--most-speakers", type=click.IntRange(2), help="Only those who speak most.  [default: 10]"),
        click.option("--steps", type=click.IntRange(1), help="Characters in a stretch of text.  [default: 100]"),
        click.option("--groups", metavar="COLUMN", help="Rows that belong together (a patient) stay in one part."),
        click.option("--time", metavar="COLUMN", help="When each row was: tested on the latest."),
        click.option("--past", type=click.IntRange(1), help="Forecast a table's next row from so many before it."),
        click.option("--task", type=click.Choice(["classification", "regression"]), help="What the target is."),
        click.option("--leave-out", type=Names(), metavar="A,B", help="Columns that are no inputs."),
        click.option(
            "--categories", type=Names(), metavar="A,B", help="Columns of numbers that are names, as zip codes."
        ),
        click.option("--size", type=Size(), help="Width and height that pictures are brought to: 96x96."),
        click.option("--labels", type=click.Path(), help="File of labels beside a file of pictures (IDX)."),
        click.option("--skip-damaged", is_flag=True, help="Leave out files that cannot be read, and count them."),
        encoding_option,
    ]
)

place_options = _apply(
    [
        click.option(
            "--data-dir",
            type=click.Path(),
            help="Folder with the files of named data.  [default: $UNCRUMPLE_DATA_DIR, ~/.cache/uncrumple]",
        ),
        click.option("--offline", is_flag=True, help="Never download; files that are missing are an error."),
    ]
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
seed_option = click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="The same seed gives the same parts and network.",
)

fail_option = click.option(
    "--fail-on",
    type=click.Choice(list(SERIOUS)),
    default="error",
    show_default=True,
    help="From which severity on the exit code is 1.",
)

split_options = _apply(
    [
        click.option(
            "--validation",
            type=click.FloatRange(0, 1, True, True),
            default=0.15,
            show_default=True,
            help="Share of the rows.",
        ),
        click.option(
            "--test",
            type=click.FloatRange(0, 1, True, True),
            default=0.15,
            show_default=True,
            help="Share of the rows.",
        ),
    ]
)

training_options = _apply(
    [
        click.option("--epochs", type=click.IntRange(1), help="At most this many epochs."),
        click.option("--batch-size", type=click.IntRange(1), help="Samples per step."),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Of the optimizer, Adam."),
        click.option(
            "--patience", type=click.IntRange(1), help="Epochs without a lower validation loss until it stops."
        ),
        click.option("--balanced", is_flag=True, help="Every class counts the same in training, however rare."),
    ]
)

judging_options = _apply(
    [
        click.option("--slices", type=Names(), metavar="A,B", help="Columns: is each of their values served alike?"),
        click.option("--positive", metavar="CLASS", help="Of two classes the one that counts as yes."),
        click.option(
            "--recall", type=click.FloatRange(0, 1, min_open=True), help="Find the threshold with this recall."
        ),
        click.option("--folds", type=click.IntRange(2), help="Cross-validate, too: train so many times again."),
        click.option("--more-data", is_flag=True, help="Would more data help? Trains on shares of the rows."),
        click.option(
            "--budget",
            type=click.FloatRange(1),
            default=60.0,
            show_default=True,
            help="Seconds for the simpler models.",
        ),
    ]
)

# All that the main job takes from its data to its verdict.
job_options = _apply([data_options, training_options, split_options, judging_options, seed_option])


def need_file(encoding: str | None, files: Any) -> None:
    """Refuse an encoding where there is no file that it could be of."""
    if encoding is not None and not files:
        raise ValueError(
            explain(
                "--encoding was given, and no file.",
                "Expected it for FILE; a run knows how its own data is written.",
                "leave out --encoding",
            )
        )


def of_data(options: dict[str, Any]) -> dict[str, Any]:
    """Return those options that say what the data is."""
    return {name: options[name] for name in _OF_DATA if name in options}


def of_training(options: dict[str, Any]) -> dict[str, Any]:
    """Return those options that change the recipe."""
    return {name: options[name] for name in ("epochs", "batch_size", "learning_rate", "patience")}


def wishes(options: dict[str, Any]) -> dict[str, Any]:
    """Return those options that not all data can answer."""
    return {name: options[name] for name in ("balanced", "positive", "recall", "folds", "more_data")}


def of_judging(options: dict[str, Any]) -> dict[str, Any]:
    """Return those options that `experiment.judge` takes, where they were given."""
    found = {
        "budget_seconds": options["budget"],
        "positive": options["positive"],
        "recall": options["recall"],
        "folds": options["folds"],
        "more_data": options["more_data"],
    }
    return {name: value for name, value in found.items() if value}
