"""What the columns of a table are for: the answer, groups, times, inputs of some kind, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.kinds.base import answers_of
from uncrumple.data.kinds.columns import MISSING, Column, as_numbers, as_words, date_order, days, is_missing, recognised


@dataclass(frozen=True)
class Roles:
    """What the caller says of the columns of a table.

    Args:
        known: The columns there are, by name.
        target: The column to be predicted.
        groups: The column that says what belongs together.
        time: The column that says when each row was.
        leave_out: Columns that are no inputs.
        numbers, categories, dates, texts: Columns that are to be read as such, whatever they look like.

    Raises:
        ValueError: A column is not there.
    """

    known: Collection[str]
    target: str | None
    groups: str | None
    time: str | None
    leave_out: Sequence[str]
    numbers: Sequence[str]
    categories: Sequence[str]
    dates: Sequence[str]
    texts: Sequence[str]

    def __post_init__(self) -> None:
        for column in (*self.kept_apart, *self.leave_out, *self._kinds()):
            if column not in self.known:
                raise ValueError(unknown_name("column", str(column), self.known))

    @property
    def kept_apart(self) -> list[str]:
        """The columns of answers, groups and times: they are no inputs."""
        return [one for one in (self.target, self.groups, self.time) if one is not None]

    def _kinds(self) -> dict[str, str]:
        """Return {column: the kind it is to be read as}."""
        given = (("number", self.numbers), ("category", self.categories), ("date", self.dates), ("text", self.texts))
        return {column: kind for kind, columns in given for column in columns}

    def inputs(self, owner: str, columns: dict[str, np.ndarray], notes: list[str]) -> list[Column]:
        """Return the columns to learn from, each with the kind that its values are recognised as.

        Args:
            owner: Who asks, for messages.
            columns: The values of all columns, or of the first rows.
            notes: What was left out, and why, is added to it.

        Raises:
            ValueError: There is none.
        """
        kinds, chosen = self._kinds(), []
        for column, values in columns.items():
            if column in self.kept_apart or column in self.leave_out:
                continue
            found, note = recognised(column, values, kinds.get(column))
            notes += [note] if note else []
            chosen += [found] if found is not None else []
        if not chosen:
            raise ValueError(
                explain(
                    f"{owner} found no column to learn from. " + " ".join(notes[:4]),
                    "Expected at least one besides the target.",
                    "numbers=['...'] or categories=['...'] keeps a column, whatever it looks like",
                )
            )
        return chosen


def lacks_answer(values: np.ndarray) -> np.ndarray:
    """Return where a target's column holds nothing, or a word that says so."""
    gone = is_missing(values)
    if values.dtype.kind != "f":
        gone |= np.array([value in MISSING for value in values.tolist()], bool)
    return gone


def answers_in(
    owner: str, values: np.ndarray, task: str | None, class_names: Sequence[str] | None
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Return a target's column as numbers, the task, and the names of the classes: see `answers_of`."""
    numbers = as_numbers(values)
    return answers_of(as_words(values) if numbers is None else numbers, task, class_names, owner)


def times_in(values: np.ndarray, name: str) -> np.ndarray:
    """Return times as float64 days or numbers; none may be missing."""
    numbers = as_numbers(values)
    if numbers is None:
        order = date_order(as_words(values))
        numbers = None if order is None else days(as_words(values), order)
    if numbers is None or np.isnan(numbers).any():
        raise ValueError(
            explain(
                f"The column '{name}', given as time, has gaps or is neither a date nor a number.",
                "Expected a date (2024-05-31) or a number in every row.",
                "another column, or drop these rows",
            )
        )
    return numbers
