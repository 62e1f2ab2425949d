"""What a judgement holds, and how it is shown: on a terminal, as JSON, as one HTML page."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.calibration import Calibration, Temperature
from uncrumple.judge.confusion import Confusion
from uncrumple.judge.fairness import Fairness
from uncrumple.judge.files import write_whole
from uncrumple.judge.folds import Folds
from uncrumple.judge.imbalance import Imbalance
from uncrumple.judge.intervals import Interval
from uncrumple.judge.learning import LearningCurve
from uncrumple.judge.mistakes import Mistake
from uncrumple.judge.shift import Shift
from uncrumple.judge.slices import Slices
from uncrumple.judge.spread import Seeds
from uncrumple.judge.suspects import Piles
from uncrumple.judge.table import Comparison
from uncrumple.judge.thresholds import Curves, Threshold
from uncrumple.judge.trees import Node, tree_lines
from uncrumple.judge.words import text_table

SCORE_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "Matthews's correlation",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "bias": "bias (mean of predicted less true)",
    "bits_per_symbol": "bits per symbol",
    "bits_per_character": "bits per character",
    "perplexity": "perplexity",
}
_SHARES = ("accuracy", "balanced_accuracy")


@dataclass
class Judgement:
    """A model's verdict, and all that it rests on; what was not asked for or cannot be is None or empty.

    `judge` makes it. `print(judgement)` shows it, `save("report.html")` and `save("report.json")` write it.

    Args:
        title: The heading.
        task: `"classification"`, `"regression"` or `"language"`.
        comparison: The network beside simpler models.
        scores: The network's scores by name.
        truth, answers, probabilities: Of the test rows.
        class_names: The classes.
        imbalance: How unequal the classes are.
        confusion: Which classes are taken for which.
        calibration: Whether its confidence holds; `calibration_after` with `temperature`.
        curves: ROC and precision-recall curves.
        thresholds: What thresholds do on the test rows, for the class `positive`.
        piles: The worst mistakes in two piles.
        largest: The largest errors of a regression.
        slices, fairness: By columns.
        shift: What a shift by a pixel does.
        folds, seeds, learning: What training again showed.
        tree: The decision tree, in words.
        pictures: The test rows as pictures.
        shown: The rows that are listed as mistakes, in words, by their place in the test part.
        uses: How often the test part was looked at.
        remarks: What a reader must know.
        ran, not_run: What was looked at; what was not, and why.
        made: How it was made.
    """

    title: str
    task: str
    comparison: Comparison
    scores: Mapping[str, Interval]
    truth: np.ndarray
    answers: np.ndarray
    probabilities: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    imbalance: Imbalance | None = None
    confusion: Confusion | None = None
    calibration: Calibration | None = None
    temperature: Temperature | None = None
    calibration_after: Calibration | None = None
    curves: tuple[Curves, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    positive: str = ""
    piles: Piles | None = None
    largest: tuple[Mistake, ...] = ()
    slices: Slices | None = None
    fairness: tuple[Fairness, ...] = ()
    shift: Shift | None = None
    folds: Folds | None = None
    seeds: Seeds | None = None
    learning: LearningCurve | None = None
    tree: Node | None = None
    pictures: np.ndarray | None = None
    shown: Mapping[int, str] = field(default_factory=dict)
    uses: int | None = None
    remarks: tuple[str, ...] = ()
    ran: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()
    made: Mapping[str, str] = field(default_factory=dict)

    def verdict(self) -> str:
        """Return what the numbers say."""
        return self.comparison.verdict()

    @property
    def headline(self) -> tuple[str, Interval]:
        """The score to put first: never accuracy where a class is rare."""
        return self.comparison.headline, self.comparison.network.score

    def notes(self) -> list[str]:
        """Return what a reader must know before the numbers are believed."""
        said = self.warnings()
        if self.uses == 1:
            said.insert(0, "First look at this test set.")
        return said + list(self.remarks)

    def warnings(self) -> list[str]:
        """Return those of the notes that speak against the numbers."""
        said = []
        if self.uses is not None and self.uses > 1:
            said.append(f"{_ordinal(self.uses)} look at this test set: its number is now optimistic.")
        if self.imbalance is not None and self.imbalance.rare:
            said.append(self.imbalance.in_words())
            weights = ", ".join(f"{number}: {weight:.3g}" for number, weight in self.imbalance.class_weights.items())
            said.append(f"With fit(class_weight={{{weights}}}) every class counts the same.")
        return said

    def findings(self) -> list[tuple[str, str]]:
        """Return (what was asked, what was found) for everything that says something in a sentence."""
        found = []
        if self.calibration is not None:
            found.append(("calibration", self.calibration.in_words(self.comparison.alpha)))
        if self.temperature is not None and self.calibration_after is not None and self.calibration is not None:
            found.append(
                (
                    "temperature",
                    f"{self.temperature.value:.2f}, fitted on {self.temperature.rows:,} validation rows: log loss "
                    f"{self.calibration.log_loss.score:.3f} becomes {self.calibration_after.log_loss.score:.3f}, ECE "
                    f"{self.calibration.ece:.3f} becomes {self.calibration_after.ece:.3f}.",
                )
            )
        found += [
            (f"{'ROC' if len(self.curves) == 1 else 'ROC, ' + one.name}", f"AUC {one.auc.in_words(percent=False)}, "
             f"average precision {one.average_precision.in_words(percent=False)} (chance {one.share:.3f}).")
            for one in self.curves
        ]  # fmt: skip
        found += [(f"threshold for {self.positive!r}", f"{one.in_words()}.") for one in self.thresholds]
        if self.piles is not None:
            found.append(("mistakes", self.piles.in_words()))
        if self.slices is not None:
            found.append(("slices", self.slices.in_words()))
        found += [("fairness", one.in_words()) for one in self.fairness]
        for name, part in (
            ("shift", self.shift),
            ("folds", self.folds),
            ("seeds", self.seeds),
            ("more data", self.learning),
        ):
            if part is not None:
                found.append((name, part.in_words()))  # type: ignore[attr-defined]
        return found

    def score_lines(self) -> list[str]:
        """Return the scores in words, the headline first."""
        first = self.comparison.headline
        names = sorted(self.scores, key=lambda name: SCORE_NAMES.get(name, name) != first)
        return [f"{SCORE_NAMES.get(name, name)}: {said_score(name, self.scores[name])}" for name in names]

    def lines(self) -> list[str]:
        """Return the whole as lines of plain text."""
        out = [self.title, "", self.verdict(), ""]
        out += [*self.score_lines(), ""]
        notes = self.notes()
        out += [*notes, ""] if notes else []
        out += [*self.comparison.lines(), ""]
        if self.confusion is not None:
            out += [*text_table(*self.confusion.class_table()), ""]
            if len(self.class_names) <= 20:
                out += [*self.confusion.matrix_lines(), ""]
        if self.tree is not None:
            out += ["The decision tree:", *tree_lines(self.tree), ""]
        for part in (self.slices, *self.fairness):
            if part is not None:
                header, rows, _ = part.table()
                out += [*text_table(header, rows), ""]
        for other in (self.shift, self.folds, self.learning):
            if other is not None:
                out += [*text_table(*other.table()), ""]  # type: ignore[attr-defined]
        out += [f"{name}: {said}" for name, said in self.findings()]
        out += self.mistake_lines()
        out += ["", "Looked at: " + "; ".join(self.ran) + "."]
        if self.not_run:
            out.append("Not looked at: " + "; ".join(self.not_run) + ".")
        return out

    def mistake_lines(self, most: int = 6) -> list[str]:
        """Return the worst mistakes of each pile, or the largest errors, as lines; with the rows, if they have words.

        Args:
            most: How many of each.
        """
        piles: list[tuple[str, tuple[Mistake, ...]]] = [("largest errors", self.largest)]
        if self.piles is not None:
            piles += [("label suspect", self.piles.label_suspect), ("model wrong", self.piles.model_wrong)]
        out = []
        for name, pile in piles:
            said = [f"row {one.row} {one.in_words()}" for one in pile[:most]]
            if said and not self.shown:
                out.append(f"{name}: {', '.join(said)}")
            elif said:
                out.append(f"{name}:")
                out += [f"  {words}: {self.shown.get(one.row, '')}" for words, one in zip(said, pile)]
        return out

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Judgement: {self.verdict()}>"

    def show(self, console: Any = None) -> None:
        """Print it on a terminal, with colours where there are any.

        Args:
            console: A `rich.console.Console`; one for standard output by default.
        """
        from uncrumple.judge.show import show

        show(self, console)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole as plain data that JSON can hold."""
        return {
            "title": self.title,
            "task": self.task,
            "verdict": self.verdict(),
            "headline": {"name": self.headline[0], **_plain(self.headline[1])},
            "scores": {name: _plain(interval) for name, interval in self.scores.items()},
            "test_uses": self.uses,
            "notes": self.notes(),
            "comparison": self.comparison.to_dict(),
            "imbalance": self.imbalance.to_dict() if self.imbalance else None,
            "confusion": self.confusion.to_dict() if self.confusion else None,
            "calibration": self.calibration.to_dict() if self.calibration else None,
            "temperature": None if self.temperature is None else vars(self.temperature),
            "calibration_after": self.calibration_after.to_dict() if self.calibration_after else None,
            "curves": [one.to_dict() for one in self.curves],
            "thresholds": [one.to_dict() for one in self.thresholds],
            "mistakes": self.piles.to_dict() if self.piles else None,
            "largest_errors": [one.to_dict() for one in self.largest],
            "rows_in_words": {str(row): said for row, said in self.shown.items()},
            "slices": self.slices.to_dict() if self.slices else None,
            "fairness": [one.to_dict() for one in self.fairness],
            "shift": self.shift.to_dict() if self.shift else None,
            "folds": self.folds.to_dict() if self.folds else None,
            "seeds": self.seeds.to_dict() if self.seeds else None,
            "learning_curve": self.learning.to_dict() if self.learning else None,
            "tree": tree_lines(self.tree) if self.tree else None,
            "ran": list(self.ran),
            "not_run": list(self.not_run),
            "made": dict(self.made),
        }

    def to_html(self) -> str:
        """Return the whole as one page that needs nothing else."""
        from uncrumple.judge.page import page

        return page(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as JSON or as one HTML page, whole or not at all.

        Args:
            path: A name that ends in `.json`, `.html` or `.txt`.
        """
        ending = Path(path).suffix.lower()
        if ending == ".json":
            return write_whole(path, json.dumps(_without_nan(self.to_dict()), indent=1, ensure_ascii=False) + "\n")
        if ending in (".html", ".htm"):
            return write_whole(path, self.to_html())
        if ending == ".txt":
            return write_whole(path, str(self) + "\n")
        raise ValueError(
            explain(
                f"save got the name {os.fspath(path)!r}.",
                "Expected one that ends in .html, .json or .txt.",
                'judgement.save("report.html")',
            )
        )


def said_score(name: str, interval: Interval) -> str:
    """Return a score with its interval, in percent if it is a share.

    Example:
        >>> said_score("accuracy", Interval(0.9, 0.8, 0.95))
        '90.0 % [80.0, 95.0]'
    """
    return interval.in_words(percent=name in _SHARES, digits=3 if name in ("macro_f1", "mcc", "r2") else None)


def _ordinal(count: int) -> str:
    ending = "th" if 10 <= count % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}"


def _plain(interval: Interval) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in interval._asdict().items()}


def _without_nan(value: Any) -> Any:
    """Return the same with None for NaN and infinity, which JSON does not have, and with plain numbers."""
    if isinstance(value, Mapping):
        return {str(name): _without_nan(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(one) for one in value]
    if isinstance(value, np.ndarray):
        return _without_nan(value.tolist())
    if isinstance(value, np.generic):
        return _without_nan(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
