"""`uncrumple predict`: a run's network on new rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from uncrumple.cli.console import can_draw, gallery, lines, make_console, only_json, table
from uncrumple.cli.options import HELP, encoding_option, json_option, need_file, place_options
from uncrumple.core.errors import explain

_MOST = 40


@click.command(context_settings=HELP)
@click.argument("run", type=click.Path())
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--prompt", multiple=True, metavar="TEXT", help="A text to answer for, or to go on from.")
@click.option("--length", type=click.IntRange(1), default=200, show_default=True, help="Characters to go on for.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, min_open=True),
    default=0.7,
    show_default=True,
    help="Lower is safer, higher is wilder.",
)
@click.option("--seed", default=0, show_default=True, help="Of what is drawn when a text goes on.")
@click.option("--output", type=click.Path(), help="Write all answers to this CSV file.")
@encoding_option
@json_option
@place_options
def command(
    run: str,
    files: tuple[str, ...],
    prompt: tuple[str, ...],
    length: int,
    temperature: float,
    seed: int,
    output: str | None,
    encoding: str | None,
    as_json: bool,
    data_dir: str | None,
    offline: bool,
) -> None:
    """Answer for FILES with the network of RUN, a folder that `train` wrote.

    FILES are like those that it was trained on: tables with its columns, in any
    order, with gaps if need be; pictures of any size, or folders of them; texts.
    NumPy arrays (.npy) will do for pictures and for tables of numbers. Without
    any, the first rows of the test part are used.

    \b
    uncrumple predict runs/houses new.csv --output prices.csv
    uncrumple predict runs/photos holiday/*.jpg
    uncrumple predict runs/play --prompt "O Romeo, Romeo"
    uncrumple predict runs/houses new.csv --json | jq '.answers[].answer'

    Exit codes: 0 done, 2 a mistake in the command or the files.
    """
    from uncrumple.experiment import read_run
    from uncrumple.experiment.asking import answered, ask

    need_file(encoding, files)
    with only_json(as_json) as emit:
        console = make_console(quiet=as_json)
        found = read_run(run)
        if found.settings["task"] == "language":
            _go_on(
                found, files, encoding, prompt, length, temperature, seed, output, console, emit if as_json else None
            )
            return
        if files or prompt:
            answers = ask(found, files, prompt, encoding)
        else:
            part = found.prepared(data_dir, offline).sealed.peek("test")
            part = part.take(slice(0, min(8, len(part))))
            labels = [f"test row {row}" for row in range(len(part))]
            answers = answered(found.model, found.preparation, part.raw, labels)
        if output is not None:
            _write(Path(output), answers)
            console.print(f"{len(answers):,} answers written to {output}", markup=False)
        if as_json:
            emit({"run": run, "target": found.preparation.meaning.get("target"), "answers": answers.to_rows()})
        elif output is None:
            _show(console, answers)


def _go_on(
    run: Any,
    files: Any,
    encoding: str | None,
    prompts: Any,
    length: int,
    temperature: float,
    seed: int,
    output: str | None,
    console: Any,
    emit: Any,
) -> None:
    from uncrumple.experiment.asking import check_text, continued
    from uncrumple.judge.files import write_whole

    if output is not None and not output.endswith(".txt"):
        raise ValueError(
            explain(
                f"--output is {output}, and the network writes text.", "Expected a name in .txt.", "--output on.txt"
            )
        )
    starts = [*prompts]
    for file in files:
        starts += run.preparation.read(Path(file), encoding=encoding).tolist()
    for start in starts:
        check_text(run.preparation, start)
    rows = [
        {"row": f"text {place + 1}", "text": start, "answer": continued(run.model, start, length, temperature, seed)}
        for place, start in enumerate(starts or ["\n"])
    ]
    if output is not None:
        write_whole(output, "\n".join(row["text"] + row["answer"] for row in rows) + "\n")
        console.print(f"written to {output}", markup=False)
    if emit is not None:
        emit({"run": str(run.folder), "target": "the next character", "answers": rows})
    elif output is None:
        for row in rows:
            start = row["text"].strip("\n")
            lines(
                console,
                [*(f"[{start[-200:]}]" if start else "").split("\n"), *row["answer"].split("\n"), ""],
                indent="",
            )


def _show(console: Any, answers: Any) -> None:
    import numpy as np

    from uncrumple.cli.train import _light
    from uncrumple.data.describe import draw

    words = [_said(one) for one in answers.words]
    raw = answers.raw
    if isinstance(raw, np.ndarray) and raw.ndim == 4 and len(raw) <= 12:
        columns = 16 if raw.shape[2] <= 8 else 24
        blocks = [
            (draw(_light(picture), columns, ascii_only=not can_draw(console)),
             f"{word} ({100 * sure:.0f} %)" if sure else word)
            for picture, word, sure in zip(raw, words, answers.sure)
        ]  # fmt: skip
        lines(console, gallery(blocks, console.width - 4))
    has_shares = answers.probabilities is not None
    rows = [
        [label, word, *([f"{100 * sure:.1f} %"] if sure is not None else [])]
        for label, word, sure in zip(answers.labels, words, answers.sure)
    ]
    table(console, ["", "answer", *(["probability"] if has_shares else [])], rows[:_MOST])
    if len(rows) > _MOST:
        lines(console, [f"... and {len(rows) - _MOST:,} more: --output answers.csv writes all"])


def _said(answer: Any) -> str:
    if isinstance(answer, list):
        return ", ".join(_said(one) for one in answer)
    return f"{answer:.6g}" if isinstance(answer, float) and abs(answer) < 1e6 else (
        f"{answer:,.0f}" if isinstance(answer, float) else str(answer)
    )  # fmt: skip


def _write(path: Path, answers: Any) -> None:
    import csv
    import io

    from uncrumple.judge.files import write_whole

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", "answer", "probability"])
    for label, word, sure in zip(answers.labels, answers.words, answers.sure):
        said = ";".join(f"{one:.9g}" for one in word) if isinstance(word, list) else (
            f"{word:.9g}" if isinstance(word, float) else word
        )  # fmt: skip
        writer.writerow([label, said, "" if sure is None else f"{sure:.6f}"])
    write_whole(path, out.getvalue())
