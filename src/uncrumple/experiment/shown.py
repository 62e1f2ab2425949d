"""A few test rows with the network's answers, decoded."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncrumple.experiment.asking import continued
from uncrumple.experiment.stages import Prepared
from uncrumple.judge import Judgement
from uncrumple.judge.words import percent

_LONGEST = 90
_MOST_COLUMNS = 5


@dataclass
class Shown:
    """A few rows of the test part.

    Args:
        rows: Their places in the test part.
        contents: What is in each, in words; empty for pictures.
        captions: The answer to each, and the truth where it is another.
        right: Whether each is right.
        pictures: The rows as pictures, or None.
        sample: For language, what the network writes.
    """

    rows: list[int] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    pictures: list[np.ndarray] | None = None
    sample: str = ""

    def to_rows(self) -> list[dict[str, Any]]:
        """Return them as plain data that JSON can hold."""
        if self.sample:
            return [{"written": self.sample}]
        return [
            {"test_row": row, "content": content, "answer": caption, "right": right}
            for row, content, caption, right in zip(self.rows, self.contents, self.captions, self.right)
        ]


def examples(prepared: Prepared, model: Any, found: Judgement, *, pictures: bool = False, count: int = 8) -> Shown:
    """Return a few test rows, one of each class as far as possible; of a language model, what it writes.

    Args:
        prepared: The data; looking at these rows counts no use: they were judged on already.
        model: The network.
        found: Its judgement.
        pictures: Whether the rows are pictures.
        count: How many.
    """
    part = prepared.sealed.peek("test")
    if found.task == "language":
        start = str(part.raw[0])
        return Shown(sample=continued(model, start[:40], 240, seed=prepared.seed), contents=[start[:40]])
    rows: list[int] = []
    if found.task == "classification":
        each = max(1, count // max(1, len(found.class_names)))
        for number in range(len(found.class_names)):
            rows += [int(row) for row in np.flatnonzero(found.truth == number)[:each]]
    rows += [row for row in range(min(len(found.truth), 2 * count)) if row not in rows]
    rows = sorted(rows[:count]) if found.task != "classification" else rows[:count]
    shown = Shown(rows, [content_of(part.raw, row) for row in rows])
    for row in rows:
        answer, truth = found.answers[row], found.truth[row]
        if found.task == "regression":
            shown.captions.append(f"{_number(answer)}, really {_number(truth)}")
            shown.right.append(True)
            continue
        said = found.class_names[int(answer)]
        if found.probabilities is not None:
            said = f"{said} ({percent(float(found.probabilities[row, int(answer)]))})"
        shown.captions.append(said if answer == truth else f"{said}, really {found.class_names[int(truth)]}")
        shown.right.append(bool(answer == truth))
    if pictures:
        shown.pictures = [np.asarray(part.raw[row]) for row in rows]
    return shown


def content_of(raw: Any, row: int) -> str:
    """Return what is in a raw row, in a few words; empty for pictures."""
    if isinstance(raw, Mapping):
        names = list(raw)
        cells = [f"{name} {_cell(raw[name][row])}" for name in names[:_MOST_COLUMNS]]
        return textwrap.shorten(", ".join(cells) + (", ..." if len(names) > _MOST_COLUMNS else ""), 2 * _LONGEST)
    values = np.asarray(raw)
    if values.ndim == 1:
        return textwrap.shorten(str(values[row]), _LONGEST, placeholder=" ...")
    if values.ndim == 3:
        return "..., " + ", ".join(f"{value:.4g}" for value in values[row, -3:, 0])
    return ""


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "–" if np.isnan(value) else f"{value:g}"
    return textwrap.shorten(str(value), 30, placeholder="...") or "–"


def _number(value: Any) -> str:
    values = np.asarray(value).reshape(-1)
    return ", ".join(f"{one:,.5g}" if abs(one) < 1e5 else f"{one:,.0f}" for one in values[:4])
