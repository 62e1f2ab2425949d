"""The search for the smallest change of a row that flips an answer, among values that the data hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.explain.attribution.style import number
from uncrumple.explain.tables.black_box import BlackBox, taken

# Values of a column that are tried, and partial changes that are followed.
TRIED, _BEAM = 40, 12


@dataclass(frozen=True)
class Change:
    """One way to another answer.

    Args:
        changed: By column, what it was and what it would be.
        distance: The sum of the changes: of a number, in units of its spread over the middle half of the data; of
            a category, 1.
        after: The model's answer then: the probability of the wanted class, or the value.
        answer: That answer in words.
    """

    changed: dict[str, tuple[Any, Any]]
    distance: float
    after: float
    answer: str

    def in_words(self) -> str:
        """Return the changes as a sentence has them."""
        return ", ".join(f"{name} {as_shown(old)} → {as_shown(new)}" for name, (old, new) in self.changed.items())


class Search:
    """The search for the smallest change of one row."""

    def __init__(self, box: BlackBox, start: Any, members: dict[str, list[str]], most: int, wanted: Any) -> None:
        self.box, self.start, self.members, self.most = box, start, members, most
        now = box.answers(start)[0]
        if box.is_classifier:
            self.now = int(now.argmax())
            self.answer, self.before = f"'{box.names[self.now]}'", float(now[self.now])
            self.place = self._class(wanted)
            self.wanted = "another answer" if self.place is None else f"'{box.names[self.place]}'"
        else:
            self.low, self.high = self._range(wanted, float(now))
            self.answer, self.before = number(float(now)), float(now)
            self.wanted = f"a value from {number(self.low)} to {number(self.high)}"
        self.scales, self.tried = {}, {}
        for name, columns in members.items():
            for column in columns:
                self.scales[column] = self._scale(column)
            self.tried[name] = self._values(columns)

    def _class(self, wanted: Any) -> int | None:
        names = self.box.names
        if wanted is None:
            return None if len(names) > 2 else 1 - self.now
        if isinstance(wanted, str):
            if wanted not in names:
                raise ValueError(unknown_name("class", wanted, names))
            wanted = names.index(wanted)
        if not isinstance(wanted, (int, np.integer)) or not 0 <= wanted < len(names) or wanted == self.now:
            raise ValueError(
                explain(
                    f"counterfactual got wanted={wanted!r}; the model answers {self.answer} now.",
                    "Expected another class, by name or number.",
                    f"wanted={names[1 - min(1, self.now)]!r}",
                )
            )
        return int(wanted)

    def _range(self, wanted: Any, now: float) -> tuple[float, float]:
        if isinstance(wanted, (tuple, list)) and len(wanted) == 2:
            low = -np.inf if wanted[0] is None else float(wanted[0])
            high = np.inf if wanted[1] is None else float(wanted[1])
            if low < high and not low <= now <= high:
                return low, high
        raise ValueError(
            explain(
                f"counterfactual got wanted={wanted!r}; the model answers {number(now)} now.",
                "Expected (low, high): a range that this is not in; None where there is no end.",
                f"wanted=({number(now * 1.2 if now > 0 else now * 0.8)}, None)",
            )
        )

    def _scale(self, column: str) -> float:
        known = self.box.columns[self.box.place(column)]
        if not known.is_number:
            return 1.0
        values = self.box.values(column).astype(np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            return 1.0
        spread = float(np.subtract(*np.quantile(values, [0.75, 0.25])))
        return spread or float(np.ptp(values)) or 1.0

    def _values(self, columns: list[str]) -> list[tuple[Any, ...]]:
        """Return what a column, or columns together, could be: values that occur, from small to large."""
        if len(columns) > 1:
            seen = {tuple(plain_value(one) for one in row) for row in zip(*(self.box.values(name) for name in columns))}
            return sorted(seen, key=str)
        (name,) = columns
        values = self.box.values(name)
        if self.box.columns[self.box.place(name)].is_number:
            kinds = np.unique(values[np.isfinite(values.astype(np.float64))])
            return [(plain_value(one),) for one in kinds]
        return [(one,) for one in sorted(set(values.tolist())) if one != ""]

    # --- what a change leads to ----------------------------------------------------------------

    def rows(self, changes: list[dict[str, tuple[Any, ...]]]) -> Any:
        """Return the row, once for each change of groups to values."""
        raw = taken(self.start, np.zeros(len(changes), np.int64))
        fresh = {
            column: self.box.values(column, raw).copy()
            for one in changes
            for name in one
            for column in self.members[name]
        }
        for place, one in enumerate(changes):
            for name, values in one.items():
                for column, value in zip(self.members[name], values):
                    fresh[column][place] = value
        return self.box.replaced(raw, fresh)

    def gains(self, changes: list[dict[str, tuple[Any, ...]]]) -> tuple[np.ndarray, np.ndarray]:
        """Return how near each change comes to the wanted answer (from 0 on it is there), and the answers."""
        answers = self.box.answers(self.rows(changes))
        if not self.box.is_classifier:
            return np.minimum(answers - self.low, self.high - answers), answers
        if self.place is None:
            others = np.delete(answers, self.now, axis=1).max(axis=1)
            return others - answers[:, self.now] - 1e-12, answers
        others = np.delete(answers, self.place, axis=1).max(axis=1)
        return answers[:, self.place] - others - 1e-12, answers

    def distance(self, change: dict[str, tuple[Any, ...]]) -> float:
        total = 0.0
        for name, values in change.items():
            for column, value in zip(self.members[name], values):
                old = self.box.values(column, self.start)[0]
                if self.box.columns[self.box.place(column)].is_number:
                    step = abs(float(value) - float(old)) / self.scales[column]
                    total += step if np.isfinite(step) else 1.0  # from nothing known to a value
                else:
                    total += float(value != old)
        return total

    def _is_as_it_was(self, name: str, values: tuple[Any, ...]) -> bool:
        return all(
            plain_value(self.box.values(column, self.start)[0]) == value
            for column, value in zip(self.members[name], values)
        )

    # --- the search ------------------------------------------------------------------------------

    def smallest(self, without: list[set[str]]) -> Change | None:
        """Return the smallest change with other columns than those found before; None if there is none."""
        beam: list[dict[str, tuple[Any, ...]]] = [{}]
        for _ in range(1, min(self.most, len(self.members)) + 1):
            made: list[dict[str, tuple[Any, ...]]] = []
            for base in beam:
                for name in self.members:
                    if name in base:
                        continue
                    columns = {column for one in (*base, name) for column in self.members[one]}
                    if any(old <= columns for old in without):
                        continue
                    made += [{**base, name: values} for values in self._some(name)]
            if not made:
                return None
            gains, _ = self.gains(made)
            there = np.flatnonzero(gains >= 0)
            if len(there):
                best = sorted((made[place] for place in there), key=self.distance)[:_BEAM]
                return min((self._lessened(one) for one in best), key=lambda one: (len(one.changed), one.distance))
            order = np.argsort(-gains, kind="stable")
            beam, used = [], set()
            for place in order:  # the best value of each set of columns
                key = frozenset(made[place])
                if key not in used:
                    used.add(key)
                    beam.append(made[place])
                if len(beam) == _BEAM:
                    break
        return None

    def _some(self, name: str) -> list[tuple[Any, ...]]:
        values = [one for one in self.tried[name] if not self._is_as_it_was(name, one)]
        if len(values) <= TRIED:
            return values
        return [values[place] for place in np.linspace(0, len(values) - 1, TRIED).round().astype(int)]

    def _lessened(self, change: dict[str, tuple[Any, ...]]) -> Change:
        """Take back what is not needed, and make numbers change no more than they must."""
        change = dict(change)
        for name in list(change):
            rest = {one: values for one, values in change.items() if one != name}
            if rest and self.gains([rest])[0][0] >= 0:
                change = rest
        for name, values in list(change.items()):
            columns = self.members[name]
            if len(columns) > 1 or not self.box.columns[self.box.place(columns[0])].is_number:
                continue
            old = float(self.box.values(columns[0], self.start)[0])
            if not np.isfinite(old):
                continue
            near, far = sorted((old, float(values[0])))
            between = [one for one in self.tried[name] if near <= one[0] <= far and one[0] != old]
            if len(between) > 1:
                gains, _ = self.gains([{**change, name: one} for one in between])
                good = [one for one, gain in zip(between, gains) if gain >= 0]
                change[name] = min(good, key=lambda one: abs(float(one[0]) - old), default=values)
        answers = self.box.answers(self.rows([change]))[0]
        if self.box.is_classifier:
            place = int(answers.argmax())
            after, answer = float(answers[place]), f"'{self.box.names[place]}'"
        else:
            after, answer = float(answers), number(float(answers))
        changed = {}
        for name, values in change.items():
            for column, value in zip(self.members[name], values):
                old = plain_value(self.box.values(column, self.start)[0])
                if old != value:
                    changed[column] = (old, value)
        return Change(changed, self.distance(change), after, answer)

    def nearest(self) -> int | None:
        """Return in how many columns the nearest row of the data with the wanted answer differs."""
        answers = self.box.answers()
        if not self.box.is_classifier:
            good = (answers >= self.low) & (answers <= self.high)
        else:
            given = answers.argmax(axis=1)
            good = given == self.place if self.place is not None else given != self.now
        if not good.any():
            return None
        total, differing = np.zeros(int(good.sum())), np.zeros(int(good.sum()), np.int64)
        for column in self.box.columns:
            values, old = self.box.values(column.name)[good], self.box.values(column.name, self.start)[0]
            if column.is_number:
                step = np.abs(values.astype(np.float64) - float(old)) / self._scale(column.name)
                step = np.where(
                    np.isfinite(step),
                    step,
                    np.where(np.isfinite(values.astype(np.float64)) == np.isfinite(float(old)), 0.0, 1.0),
                )
            else:
                step = (values != old).astype(np.float64)
            total += step
            differing += step > 0
        return int(differing[int(total.argmin())])


def plain_value(value: Any) -> Any:
    """Return a number of NumPy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def as_shown(value: Any) -> str:
    """Return a value of a table as it is printed."""
    if isinstance(value, float):
        return "missing" if np.isnan(value) else number(value, 4)
    return str(value) or "missing"
