"""What a run's network does and why, on rows that it did not learn from: the parts of an explanation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple import explain as explanations
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.own_parts import is_explained
from uncrumple.experiment.asking import ask
from uncrumple.experiment.folder import Run
from uncrumple.experiment.stages import Prepared, answers_of
from uncrumple.experiment.versus import rows_of_file
from uncrumple.judge.confusion import Confusion, confusion_of
from uncrumple.judge.words import percent

# In the order in which they are shown; the words are the headings.
PARTS = {
    "confusion": "What it takes for what",
    "trace": "From a row to an answer",
    "view": "What each layer makes of the rows",
    "attribution": "What single answers rest on",
    "importance": "Which columns it needs",
    "tree": "On the stand: a tree that answers as it does",
}
_FOR_TABLES = ("importance", "tree")


@dataclass
class Looked:
    """The rows that are explained.

    Args:
        raw: As the network takes them.
        y: The true answers, or None.
        where: Which rows these are, in words.
        given: What functions of `uncrumple.explain` take: the parts, or `(raw, y)`.
        labels: What each row is called.
        answers: What the network answers: classes as numbers, or numbers.
        shares: The probabilities of the classes, or None.
    """

    raw: Any
    y: Any
    where: str
    given: Any
    labels: list[str]
    answers: np.ndarray
    shares: np.ndarray | None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class Part:
    """One part of an explanation.

    Args:
        name: Its name in `PARTS`.
        title: What was found, in a sentence.
        lines: All of it, line by line.
        result: What the function of `uncrumple.explain` returned.
        brief: The same in few and short lines; None where `lines` are that.
    """

    name: str
    title: str
    lines: list[str]
    result: Any
    brief: list[str] | None = None

    @property
    def remarks(self) -> list[str]:
        """What a reader must know."""
        told = [*getattr(self.result, "remarks", ()), *getattr(self.result, "notes", ())]
        return [str(one) for one in told]


@dataclass
class Explained:
    """What `explained` returns.

    Args:
        run: The folder.
        name: What the data is called.
        where: Which rows were looked at.
        rows: How many these are.
        shown: The rows whose answers are shown one by one: label, truth (or None), answer, sureness (or None).
        parts: What there is, in the order of `PARTS`.
        missing: Why a part is missing, by its name.
        seconds: How long it took.
    """

    run: Path
    name: str
    where: str
    rows: int
    shown: list[dict[str, Any]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def title(self) -> str:
        """What is explained."""
        return f"{self.name}: what goes on inside, and what its answers rest on"

    def headline(self) -> str:
        """Return the main finding."""
        told = {part.name: part.title for part in self.parts}
        return next((told[name] for name in ("view", "importance", "attribution", "tree", "confusion") if name in told),
                    self.title)  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; maps of large pictures are left out."""
        return {
            "run": str(self.run),
            "where": self.where,
            "rows": self.rows,
            "shown": self.shown,
            "parts": {
                part.name: {"title": part.title, "lines": part.lines, **_numbers(part.result)} for part in self.parts
            },
            "not_shown": self.missing,
            "seconds": self.seconds,
        }


# More numbers than this in the maps of an attribution are left to the picture.
_MOST_NUMBERS = 100_000


def _numbers(result: Any) -> dict[str, Any]:
    found = dict(result.to_dict())
    for name in ("maps", "control"):
        size = sum(np.size(row) for one in getattr(result, name, {}).values() for row in one) if name in found else 0
        if size > _MOST_NUMBERS:
            found[name] = None
    return found


def explained(
    run: Run,
    file: Path | str | None = None,
    *,
    rows: int = 6,
    seed: int = 0,
    only: Sequence[str] = (),
    data_dir: Any = None,
    offline: bool = False,
    encoding: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Explained:
    """Explain a run's network on its validation rows, or on the rows of a file; the test part stays sealed.

    Args:
        run: What `read_run` returned.
        file: Other rows, with or without answers.
        rows: How many answers are shown one by one.
        seed: Of the choice of rows, and of the untrained network that is the control.
        only: Names of `PARTS`; all by default.
        data_dir, offline: As for `Source.opened`.
        encoding: Of that file; None takes what its first bytes say, else UTF-8.
        progress: Called with the heading of each part before it is made.

    Raises:
        ValueError: There is no such part, or there are no rows.
    """
    for name in only:
        if name not in PARTS:
            raise ValueError(unknown_name("part of an explanation", name, PARTS))
    start = time.perf_counter()
    looked = (
        _of_validation(run, run.prepared(data_dir, offline)) if file is None else _of_file(run, Path(file), encoding)
    )
    chosen = _chosen(looked, run.settings["task"], rows, seed)
    found = Explained(run.folder, _name(run), looked.where, len(looked), _shown(run, looked, chosen))
    for name, heading in PARTS.items():
        if only and name not in only:
            continue
        why = _does_not_apply(name, run, looked)
        if why:
            found.missing[name] = why
            continue
        if progress is not None:
            progress(heading)
        try:
            found.parts.append(_MADE[name](run, looked, chosen, seed))
        except (ValueError, TypeError) as error:
            if not is_explained(error):
                raise
            found.missing[name] = str(error).split("\n")[0]
    found.seconds = time.perf_counter() - start
    return found


def _name(run: Run) -> str:
    return str(run.preparation.meaning.get("name") or run.source.label)


# --- the rows ------------------------------------------------------------------------------


def _of_validation(run: Run, prepared: Prepared) -> Looked:
    held_back = bool(len(prepared.parts.validation))
    part = prepared.sealed.peek("validation" if held_back else "train")
    rows = getattr(prepared.parts, "validation" if held_back else "train")
    where = "validation rows, which chose the epoch and taught nothing" if held_back else "training rows"
    answers, shares = answers_of(run.model, part)
    labels = [f"row {row}" for row in np.asarray(rows).tolist()]
    return Looked(part.raw, part.y, where, prepared.sealed, labels, answers, shares)


def _of_file(run: Run, path: Path, encoding: str | None) -> Looked:
    asked = ask(run, [path], encoding=encoding)
    raw, y = asked.raw, None
    where = f"rows of {path}"
    try:
        raw, y, _ = rows_of_file(run, path, encoding)
    except (ValueError, OSError) as error:
        where += f", without true answers ({str(error).splitlines()[0].rstrip('.')})"
    answers, shares = answers_of(run.model, _Rows(raw, run.settings["task"]))
    labels = asked.labels if len(asked.labels) == len(answers) else [f"row {row}" for row in range(len(answers))]
    if not len(answers):
        raise ValueError(explain(f"{path} holds no rows.", "Expected rows to explain.", "another file"))
    return Looked(raw, y, where, (raw, y), labels, answers, shares)


@dataclass(frozen=True)
class _Rows:
    raw: Any
    task: str


def _chosen(looked: Looked, task: str, count: int, seed: int) -> np.ndarray:
    """Return which rows are shown one by one: of classes, up to half of them answered wrongly."""
    order = np.random.default_rng(seed).permutation(len(looked))
    if task != "classification" or looked.y is None:
        return order[:count]
    wrong = order[(looked.answers != looked.y)[order]]
    right = order[(looked.answers == looked.y)[order]]
    mistakes = min(len(wrong), max(count // 2, count - len(right)))
    return np.concatenate([right[: count - mistakes], wrong[:mistakes]])


def _shown(run: Run, looked: Looked, chosen: np.ndarray) -> list[dict[str, Any]]:
    if run.settings["task"] == "language":
        return [{"row": looked.labels[row], "truth": None, "answer": "", "sure": None} for row in chosen]
    names = run.settings["class_names"]
    said = (lambda value: names[int(value)]) if run.settings["task"] == "classification" else _number
    return [
        {
            "row": looked.labels[row],
            "truth": None if looked.y is None else said(looked.y[row]),
            "answer": said(looked.answers[row]),
            "sure": None if looked.shares is None else float(looked.shares[row].max()),
        }
        for row in chosen
    ]


def _number(value: Any) -> str:
    """Return numbers to read: large ones whole, small ones with three digits."""
    return " ".join(f"{one:,.0f}" if abs(one) >= 100 else f"{one:.3g}" for one in np.ravel(value))


def _taken(raw: Any, rows: np.ndarray) -> Any:
    return {name: values[rows] for name, values in raw.items()} if isinstance(raw, dict) else raw[rows]


# --- the parts -----------------------------------------------------------------------------


def _does_not_apply(name: str, run: Run, looked: Looked) -> str:
    """Return why a part has nothing to say about this network and these rows; empty where it has."""
    kind, task = run.settings["kind"], run.settings["task"]
    if name in _FOR_TABLES and kind != "table":
        return "for tables: it asks column by column"
    if name == "confusion" and task != "classification":
        return "for classes: the answers are " + ("numbers" if task == "regression" else "characters")
    if name in ("confusion", "importance") and looked.y is None:
        return "the rows have no true answers"
    if name == "view" and len(looked) < 10:
        return f"it takes at least 10 rows, and there {'is one' if len(looked) == 1 else f'are {len(looked)}'}"
    return ""


@dataclass
class Confused:
    """The confusion matrix as a part."""

    confusion: Confusion
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return self.confusion.to_dict()


def _confusion(run: Run, looked: Looked, chosen: np.ndarray, seed: int) -> Part:
    found = confusion_of(looked.y, looked.answers, tuple(run.settings["class_names"]))
    right = float(np.mean(looked.answers == looked.y))
    pairs = found.most_confused(3)
    said = "; ".join(
        f"{truth} taken for {answer} ({'once' if rows == 1 else f'{rows} times'})" for truth, answer, rows in pairs
    )
    title = f"Right on {percent(right)} of {len(looked):,} rows" + (f"; most often wrong: {said}." if pairs else ".")
    return Part("confusion", title, [], Confused(found))


def _trace(run: Run, looked: Looked, chosen: np.ndarray, seed: int) -> Part:
    found = explanations.trace(run.model, _taken(looked.raw, chosen[:1]))
    lines = [
        f"{layer.name} ({layer.kind}): {_shape(layer.shape_out)}, "
        + (f"{layer.parameter_count:,} parameters" if layer.parameter_count else "no parameters")
        for layer in found.layers
        if layer.level == 0
    ]
    title = (
        f"{looked.labels[chosen[0]]} goes through {found.layer_count} layers with {found.parameter_count:,} parameters."
    )
    return Part("trace", title[0].upper() + title[1:], lines, found)


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[1:])) or "1"


def _view(run: Run, looked: Looked, chosen: np.ndarray, seed: int) -> Part:
    task = {"language": "classification"}.get(run.settings["task"], run.settings["task"])
    named = {"class_names": run.settings["class_names"]} if task == "classification" else {}
    told = {"task": task, **named} if looked.y is not None else {}
    found = explanations.uncrumple(run.model, (looked.raw, looked.y), seed=seed, **told)
    brief = [f"{layer.name}: {_score(layer.score, task)}, untrained {_score(layer.untrained, task)}"
             for layer in found.layers if layer.score is not None]  # fmt: skip
    return Part("view", found.title, str(found).split("\n")[1:], found, brief)


def _score(score: Any, task: str | None) -> str:
    if score is None:
        return "not known"
    return f"R² {score.value:.2f}" if task == "regression" else percent(score.value)


def _attribution(run: Run, looked: Looked, chosen: np.ndarray, seed: int) -> Part:
    names = run.settings["class_names"]
    found = explanations.attribute(run.model, _taken(looked.raw, chosen), class_names=names, seed=seed)
    return Part("attribution", found.title, found.lines(), found, [_of_row(found, place, one) for place, one in
                enumerate(_shown(run, looked, chosen))])  # fmt: skip


def _of_row(found: Any, place: int, row: dict[str, Any]) -> str:
    """Return the answer to a row, and what speaks most for or against it, in a line."""
    sure = "" if row["sure"] is None else f" ({percent(row['sure'])})"
    truth = "" if row["truth"] in (None, row["answer"]) else f", in truth {row['truth']}"
    said = f"{row['row']}: {row['answer']}{sure}{truth}" if row["answer"] else row["row"]
    strongest = getattr(found, "strongest", None)  # of a picture, only the picture says it
    if strongest is None:
        return said
    method = next(iter(found.maps))
    # A word is quoted: it may be a space.
    parts = [(repr(name) if hasattr(found, "pieces") else name, value) for name, value in strongest(place, method, 4)]
    return f"{said} <- " + ", ".join(f"{name} {'+' if value > 0 else ''}{_number(value)}" for name, value in parts)


def _importance(run: Run, looked: Looked, chosen: np.ndarray, seed: int) -> Part:
    names = run.settings["class_names"]
    found = explanations.permutation_importance(run.model, looked.given, class_names=names, seed=seed)
    classes = found.metric == "accuracy"
    said = (lambda one: f"{100 * one:.1f}") if classes else _number
    brief = [
        f"{column}: shuffled, "
        + (f"{said(mean)} {found.unit} worse" if classes else f"{found.unit} {said(mean)} higher")
        + f" [{said(low)} to {said(high)}]"
        for column, mean, (low, high) in zip(found.columns, found.means, found.intervals)
    ]
    return Part("importance", found.title, found.lines(), found, brief)


def _tree(run: Run, looked: Looked, chosen: np.ndarray, seed: int) -> Part:
    names = run.settings["class_names"]
    found = explanations.surrogate_tree(run.model, looked.given, class_names=names, seed=seed)
    return Part("tree", found.title, found.lines(), found)


_MADE: dict[str, Callable[[Run, Looked, np.ndarray, int], Part]] = {
    "confusion": _confusion,
    "trace": _trace,
    "view": _view,
    "attribution": _attribution,
    "importance": _importance,
    "tree": _tree,
}
