"""Runs beside each other, and a run on other data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.kinds.columns import as_numbers, as_words
from uncrumple.data.kinds.roles import answers_in, lacks_answer
from uncrumple.data.kinds.table import read_columns
from uncrumple.experiment.asking import check_file
from uncrumple.experiment.folder import MODEL, Run
from uncrumple.experiment.recipe import Recipe
from uncrumple.experiment.source import Source, check_encoding, resolved
from uncrumple.experiment.stages import Trained, answers_of
from uncrumple.judge import (
    Comparison,
    Confusion,
    Cost,
    Interval,
    balanced_scores,
    bootstrap,
    classification_scores,
    compare,
    compare_bits,
    confusion_of,
    regression_scores,
)
from uncrumple.judge.words import p_in_words

# Stretches of a text that are answered at once.
_ROWS_AT_ONCE = 2_000
_TESTS = {
    "accuracy": "McNemar's exact test",
    "balanced accuracy": "a sign-flip test on balanced accuracy",
    "mean error": "a sign-flip test on the absolute errors",
    "bits per symbol": "a sign-flip test on the bits by stretches of the text",
}


def trained_of(run: Run) -> Trained:
    """Return the network of a run as `train` returned it, without the history."""
    settings = run.settings
    seconds = settings.get("training_seconds")
    return Trained(
        run.model,
        {},
        int(settings.get("best_epoch", 0)),
        math.nan if seconds is None else float(seconds),
        Recipe(**settings["recipe"]),
        False,
    )


@dataclass(frozen=True)
class Versus:
    """Runs on the same test rows; the best first.

    Args:
        names: Their folders, in the order of the comparison.
        comparison: The first beside the others.
        uses: How often these test rows were looked at.
    """

    names: tuple[str, ...]
    comparison: Comparison
    uses: int

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows as text."""
        header, rows = self.comparison.table()
        kept = [place for place, name in enumerate(header) if name not in ("training rows", "ms per row", "readable")]
        header = ["run" if name == "model" else "lead of the first" if "lead" in name else name for name in header]
        return [header[place] for place in kept], [[row[place] for place in kept] for row in rows]

    def verdict(self) -> str:
        """Return what the numbers say."""
        best, *others = self.comparison.rows
        unit = 100.0 if self.comparison.shares else 1.0
        parts = []
        for row in others:
            assert row.lead is not None and row.p_value is not None
            lead = row.lead
            points = " points" if self.comparison.shares else ""
            ends = f"its lead of {unit * lead.score:.3g}{points} is between {unit * lead.low:.3g} and {unit * lead.high:.3g}"
            shown = row.p_value < self.comparison.alpha
            said = "is better than" if shown else "is not shown to be better than"
            parts.append(f"{best.name} {said} {row.name} ({ends}; p {_equals(row.p_value)})")
        return ". ".join(parts) + "."

    def notes(self) -> list[str]:
        """Return what a reader of the table must know."""
        several = len(self.names) > 2
        corrected = f", corrected for {len(self.names) - 1} comparisons (Holm)" if several else ""
        said = [f"p: {_TESTS[self.comparison.headline]} against the first{corrected}."]
        if several:
            said.append("The first was chosen by these rows: its lead is optimistic.")
        if self.uses > 1:
            said.append(f"These test rows were looked at {self.uses} times: their numbers are optimistic by now.")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {
            "runs": list(self.names),
            **self.comparison.to_dict(),
            "verdict": self.verdict(),
            "notes": self.notes(),
            "test_uses": self.uses,
        }


def versus(runs: Sequence[Run], data_dir: Any = None, offline: bool = False) -> Versus:
    """Compare runs on the test rows that they share; one use of them.

    Raises:
        ValueError: They were tested on different rows.
    """
    answers: dict[str, np.ndarray] = {}
    costs: dict[str, Cost] = {}
    first: Any = None
    uses = 0
    for run in runs:
        name = str(run.folder)
        if name in answers:
            raise ValueError(explain(f"The run {name} was named twice.", "Expected different runs.", "name each once"))
        prepared = run.prepared(data_dir, offline)
        part = prepared.sealed.test if first is None else prepared.sealed.peek("test")
        uses = prepared.sealed.test_uses if first is None else uses
        if first is not None and not _same(first, part):
            raise ValueError(
                explain(
                    f"{runs[0].folder} and {name} were tested on different rows.",
                    "Expected the same data, seed and shares.",
                    f"train {name} again with --seed {runs[0].seed}",
                )
            )
        first = part if first is None else first
        given, probabilities = answers_of(run.model, part)
        if part.task == "language":
            given = bits_of(part.y, probabilities)
        answers[name] = given
        seconds = run.settings.get("training_seconds")
        rows = int(run.settings["split"]["train"])
        costs[name] = Cost(
            math.nan if seconds is None else float(seconds), math.nan, (run.folder / MODEL).stat().st_size, rows, rows,
            False, f"{run.model.count_params():,} weights",
        )  # fmt: skip
    return Versus(*_compared(first, answers, costs), uses)


def _compared(part: Any, answers: dict[str, np.ndarray], costs: dict[str, Cost]) -> tuple[tuple[str, ...], Comparison]:
    """Return the names, the best first, and the best beside the others."""

    def made(best: str) -> Comparison:
        if part.task == "language":
            return compare_bits(answers, network=best, costs=costs)
        if np.ndim(part.y) > 1:
            raise ValueError(
                explain("Runs that forecast several values are not compared.", "Expected one value.", "--target COLUMN")
            )
        more = {"class_names": part.class_names} if part.task == "classification" else {}
        return compare(part.y, answers, task=part.task, network=best, costs=costs, groups=part.groups, **more)

    comparison = made(next(iter(answers)))
    scores = {row.name: row.score.score for row in comparison.rows}
    best = (max if comparison.shares else min)(scores, key=scores.__getitem__)
    comparison = made(best) if best != comparison.rows[0].name else comparison
    return tuple(row.name for row in comparison.rows), comparison


def bits_of(y: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    """Return the mean bits that each row of a text needs."""
    assert probabilities is not None
    shares = np.take_along_axis(probabilities, np.maximum(y, 0)[..., None], axis=-1)[..., 0]
    bits = -np.log2(np.maximum(shares, 1e-12)).reshape(len(y), -1)
    known = (y >= 0).reshape(bits.shape)  # -1 is a character that was never learnt: no answer could be right
    return (bits * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _bits_in_pieces(model: Any, raw: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the mean bits of each row; the probabilities of a long text would not fit into memory at once."""
    found = []
    for start in range(0, len(y), _ROWS_AT_ONCE):
        piece = slice(start, start + _ROWS_AT_ONCE)
        found.append(bits_of(y[piece], answers_of(model, _Rows(raw[piece], "language"))[1]))
    return np.concatenate(found)


def _same(one: Any, other: Any) -> bool:
    return (
        one.task == other.task
        and np.shape(one.y) == np.shape(other.y)
        and tuple(one.class_names) == tuple(other.class_names)
        and bool((one.y == other.y).all())
    )


def _equals(p_value: float) -> str:
    said = p_in_words(p_value)
    return said if said.startswith("<") else f"= {said}"


@dataclass(frozen=True)
class Evaluation:
    """What a run's network does on rows with answers.

    Args:
        rows: How many.
        scores: By name, each with its 95 % interval.
        confusion: For classes.
        where: Which rows these are, in words.
        uses: How often the test rows were looked at; None for other data.
    """

    rows: int
    scores: dict[str, Interval]
    confusion: Confusion | None
    where: str
    uses: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {
            "rows": self.rows,
            "where": self.where,
            "test_uses": self.uses,
            "scores": {name: score._asdict() for name, score in self.scores.items()},
            "confusion": None if self.confusion is None else self.confusion.to_dict(),
        }


def evaluate(
    run: Run,
    path: Path | str | None = None,
    data_dir: Any = None,
    offline: bool = False,
    encoding: str | None = None,
) -> Evaluation:
    """Evaluate a run's network on its own test part, which is one use of it, or on other data with answers.

    Args:
        run: What `read_run` returned.
        path: A file or folder like the one it was trained on; None takes the test part.
        data_dir, offline: As for `Source.opened`.
        encoding: Of that file; None takes what its first bytes say, else UTF-8.
    """
    if path is None:
        prepared = run.prepared(data_dir, offline)
        part = prepared.sealed.test
        raw, y, groups, uses = part.raw, part.y, part.groups, prepared.sealed.test_uses
        where = "the same rows as when it was trained"
    else:
        raw, y, groups = rows_of_file(run, Path(path), encoding)
        where, uses = str(path), None
        if not run.source.is_name and Path(path).resolve() == Path(run.source.data):
            where += ", with the rows that it learned from: the numbers are better than they are for new rows"
    names = tuple(run.settings["class_names"])
    asked = _Rows(raw, run.settings["task"])
    if asked.task == "language":
        bits = _bits_in_pieces(run.model, raw, y)
        unknown = int((y < 0).sum())
        if unknown:
            where += f", without {unknown:,} of {y.size:,} characters, which the network never saw"
            bits = bits[(y >= 0).any(axis=1)]
        blocks = np.arange(len(bits)) * min(len(bits), 50) // max(len(bits), 1)
        score = bootstrap(np.mean, bits, seed=run.seed, groups=blocks)
        scores = {"bits_per_symbol": score, "perplexity": Interval(*(2.0**end for end in score))}
        return Evaluation(len(y), scores, None, where, uses)
    given, _ = answers_of(run.model, asked)
    confusion = None
    if asked.task == "regression":
        grouped = None if groups is None or np.ndim(y) > 1 else groups
        scores = dict(regression_scores(np.ravel(y), np.ravel(given), seed=run.seed, groups=grouped))
    else:
        scores = dict(classification_scores(y, given, seed=run.seed, groups=groups))
        scores |= balanced_scores(y, given, seed=run.seed, groups=groups)
        confusion = confusion_of(y, given, names)
    return Evaluation(len(y), scores, confusion, where, uses)


@dataclass(frozen=True)
class _Rows:
    raw: Any
    task: str


def rows_of_file(run: Run, path: Path, encoding: str | None = None) -> tuple[Any, np.ndarray, Any]:
    """Return the rows of a file with answers, as the run's network takes them: raw rows, answers, groups."""
    task = run.settings["task"]
    if task == "language":
        return _stretches_of(run, path, encoding)
    check_file(path, run.settings["kind"])
    if run.settings["kind"] == "table":
        return _rows_of_table(run, path, encoding)
    # How the training file was written down says nothing about this one: read wrongly, its words would be other words.
    data = Source.of(str(path), {**run.source.options, "encoding": encoding}).opened().need_answers(to_learn=False)
    raw = run.preparation.read(data)
    if data.task != task:
        raise ValueError(
            explain(f"The answers in {path} are a {data.task}.", f"Expected a {task}.", f"--task {task} when training")
        )
    y: Any = data.y
    if task == "classification":
        y = _as_learnt(run, data.decode(data.y).tolist())
    return raw, np.asarray(y), data.groups


def _rows_of_table(run: Run, path: Path, encoding: str | None) -> tuple[Any, np.ndarray, Any]:
    """Return the rows of a table that have an answer; only the columns that the network takes are looked at."""
    preparation: Any = run.preparation
    asked = run.source.options
    if encoding is not None:
        check_encoding(path)
    columns = read_columns(path, encoding=encoding)
    target = resolved(asked.get("target") or preparation.meaning["target"], columns)
    kept = ~lacks_answer(columns[target])
    if not kept.any():
        raise ValueError(
            explain(
                f"The column '{target}' of {path} is empty.",
                "Expected answers in it.",
                "uncrumple predict, for rows without",
            )
        )
    raw = {name: values[kept] for name, values in preparation.read(columns).items()}
    groups = asked.get("groups")
    if groups is not None:
        groups = as_words(columns[resolved(groups, columns)])[kept].astype(str)
    values = columns[target][kept]
    numbers = as_numbers(values)
    if run.settings["task"] == "regression":
        if numbers is None or not np.isfinite(numbers).all():
            each = ((one, as_numbers(np.array([one], object))) for one in values.tolist())
            strange = next(one for one, number in each if number is None or not np.isfinite(number).all())
            raise ValueError(
                explain(
                    f"The column '{target}' of {path} holds {strange!r}.", "Expected numbers.", "leave this row out"
                )
            )
        return raw, numbers.astype(np.float32), groups
    codes, _, names = answers_in(path.name, values, "classification", None)
    return raw, _as_learnt(run, [names[code] for code in codes.tolist()]), groups


def _as_learnt(run: Run, words: list[str]) -> np.ndarray:
    """Return classes as the numbers that the network knows them by."""
    places = {name: place for place, name in enumerate(run.settings["class_names"])}
    strange = next((word for word in words if word not in places), None)
    if strange is not None:
        raise ValueError(unknown_name("class", strange, places))
    return np.array([places[word] for word in words], np.int64)


def _stretches_of(run: Run, path: Path, encoding: str | None) -> tuple[Any, np.ndarray, None]:
    """Return the stretches of a text, and after each of their characters the next; -1 for one never learnt."""
    preparation: Any = run.preparation
    steps, texts = preparation.length, preparation.read(path, encoding=encoding).tolist()
    places = {character: place for place, character in enumerate(run.settings["class_names"])}
    rows: list[str] = []
    answers: list[list[int]] = []
    for text in (one.replace("\r\n", "\n") for one in texts):
        codes = [places.get(character, -1) for character in text]
        for start in range(0, len(text) - steps, steps):
            rows.append(text[start : start + steps])
            answers.append(codes[start + 1 : start + steps + 1])
    if not rows:
        raise ValueError(
            explain(
                f"{path} has {max(map(len, texts), default=0):,} characters.",
                f"Expected more than {steps:,}: the network reads stretches of {steps:,}.",
                "a longer text",
            )
        )
    y = np.array(answers, np.int64)
    if (y < 0).all():
        raise ValueError(
            explain(
                f"{path} has no character that the network has learnt.",
                f"Expected some of {''.join(places)!r}.",
                "a text in the same script; or --encoding, if the file is not UTF-8",
            )
        )
    raw = np.empty(len(rows), dtype=object)
    raw[:] = rows
    return raw, y, None
