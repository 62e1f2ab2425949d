"""Does a model serve everyone alike? Scores by slice.

A slice is the rows with one value of a column, or a quarter of its range. Each
has its interval and is tested against all other rows, corrected for how many
slices were looked at. Below 30 rows nothing is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from uncrumple.core.errors import explain
from uncrumple.judge.intervals import Interval, bootstrap, wilson
from uncrumple.judge.paired import holm
from uncrumple.judge.words import decimals, listed, p_in_words

FEWEST_ROWS = 30
_MOST_VALUES = 20
SHUFFLES = 1999


@dataclass(frozen=True)
class Slice:
    """The rows with one value of one column.

    Args:
        column: The column.
        value: Its value, in words.
        rows: How many test rows.
        score: Accuracy with Wilson's interval, or the mean absolute error with a bootstrap interval.
        rest: The score of all other rows.
        p_value: Against all other rows, corrected by Holm; None where there are fewer than 30 rows.
    """

    column: str
    value: str
    rows: int
    score: Interval
    rest: float
    p_value: float | None

    @property
    def too_few(self) -> bool:
        """Whether there are too few rows to claim anything."""
        return self.p_value is None


@dataclass(frozen=True)
class Slices:
    """All slices of some columns, the worst first within each column.

    Args:
        slices: One for each value.
        shares: Whether the score is accuracy, and not an error.
        alpha: From which p-value on a difference counts as shown.
    """

    slices: tuple[Slice, ...]
    shares: bool
    alpha: float = 0.05

    @property
    def worse(self) -> tuple[Slice, ...]:
        """The slices that are shown to be served worse than the rest."""
        return tuple(
            one
            for one in self.slices
            if one.p_value is not None
            and one.p_value < self.alpha
            and (one.score.score < one.rest) == self.shares
            and one.score.score != one.rest
        )

    def in_words(self) -> str:
        """Return what was found, in a sentence."""
        tested = sum(not one.too_few for one in self.slices)
        said = [f"{one.column} = {one.value} ({self._number(one.score.score)}, the others {self._number(one.rest)})"
                for one in self.worse]  # fmt: skip
        few = len(self.slices) - tested
        end = f" {few} with fewer than {FEWEST_ROWS} rows {'was' if few == 1 else 'were'} not tested." if few else ""
        if said:
            return f"Served worse than the others: {listed(said)}; {tested} slices tested.{end}"
        return f"No slice is shown to be served worse; {tested} tested.{end}"

    def table(self) -> tuple[list[str], list[list[str]], list[bool]]:
        """Return the header, the rows as text, and for each row whether it has too few rows to claim anything."""
        header = ["slice", "rows", "accuracy" if self.shares else "mean error", "95 % interval", "the others", "p"]
        rows = []
        for one in self.slices:
            between = f"{self._number(one.score.low)} to {self._number(one.score.high)}"
            p = "too few rows" if one.p_value is None else p_in_words(one.p_value)
            name = f"{one.column} = {one.value}"
            rows.append([name, f"{one.rows:,}", self._number(one.score.score), between, self._number(one.rest), p])
        return header, rows, [one.too_few for one in self.slices]

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain data that JSON can hold."""
        rows = [asdict(one) | {"score": plain(one.score), "rest": known_number(one.rest)} for one in self.slices]
        return {"slices": rows, "said": self.in_words()}

    def _number(self, value: float) -> str:
        if math.isnan(value):
            return "–"
        return f"{100 * value:.1f} %" if self.shares else f"{value:.{decimals(value)}f}"


def slices_of(
    columns: Mapping[str, np.ndarray],
    scores: np.ndarray,
    *,
    shares: bool = True,
    alpha: float = 0.05,
    seed: int = 0,
) -> Slices:
    """Score every value of every column, and test it against all other rows.

    Classes: Fisher's exact test of right and wrong. Values: the errors are shuffled over the rows
    1,999 times. All corrected together (Holm).

    Args:
        columns: By name, one value per test row: text or few numbers each become a slice, many
            numbers become quarters of their range, missing ones a slice of their own.
        scores: Whether each row was answered right; or its absolute error.
        shares: Whether `scores` says right or wrong.
        alpha: From which p-value on a difference counts as shown.
        seed: For what is drawn.

    Example:
        >>> night = np.repeat(["night", "day"], 100)
        >>> right = np.concatenate([np.arange(100) < 61, np.arange(100) < 90])
        >>> slices_of({"time": night}, right).in_words()
        'Served worse than the others: time = night (61.0 %, the others 90.0 %); 2 slices tested.'
    """
    values: np.ndarray = np.asarray(scores, dtype=np.float64).reshape(-1)
    found: list[tuple[str, str, np.ndarray]] = []
    for name, column in columns.items():
        if len(column) != len(values):
            raise ValueError(
                explain(
                    f"slices_of got column '{name}' with {len(column)} rows, and {len(values)} scores.",
                    "Expected one value per test row.",
                    "slices={'sex': sex_of_test_rows}",
                )
            )
        found += [(str(name), words, mine) for words, mine in cut(column)]
    tested = [index for index, (_, _, mine) in enumerate(found) if FEWEST_ROWS <= mine.sum() < len(mine)]
    if shares:
        raw = [_fisher(values > 0.5, found[index][2]) for index in tested]
    else:
        raw = _shuffled(values, [found[index][2] for index in tested], seed)
    corrected = dict(zip(tested, holm(raw)))
    made = []
    for index, (name, words, mine) in enumerate(found):
        inside, outside = values[mine], values[~mine]
        if shares:
            score = wilson(int(inside.sum()), len(inside))
        else:
            score = bootstrap(np.mean, inside, resamples=1000, seed=seed)
        rest = float(outside.mean()) if len(outside) else math.nan
        made.append(Slice(name, words, len(inside), score, rest, corrected.get(index)))
    order = list(columns)
    made.sort(key=lambda one: (order.index(one.column), one.score.score if shares else -one.score.score))
    return Slices(tuple(made), shares, alpha)


def cut(column: Any) -> list[tuple[str, np.ndarray]]:
    """Return the slices of a column: their names, and which rows are in them."""
    values = np.asarray(column).reshape(-1)
    if values.dtype.kind in "fiub":
        numbers = values.astype(np.float64)
        known = ~np.isnan(numbers)
        kinds = np.unique(numbers[known])
        cuts = [(f"{kind:g}", numbers == kind) for kind in kinds]
        if len(kinds) > _MOST_VALUES or (values.dtype.kind == "f" and len(kinds) > 6):
            edges = np.unique(np.quantile(numbers[known], [0, 0.25, 0.5, 0.75, 1]))
            of_row = np.clip(np.searchsorted(edges, numbers, side="left") - 1, 0, len(edges) - 2)
            cuts = [
                (f"{edges[part]:.4g} to {edges[part + 1]:.4g}", known & (of_row == part))
                for part in range(len(edges) - 1)
            ]
        if not known.all():
            cuts.append(("missing", ~known))
        return [(name, mine) for name, mine in cuts if mine.any()]
    words = np.array(["missing" if value is None or value != value else str(value) for value in values])
    kinds, counts = np.unique(words, return_counts=True)
    common = kinds[np.argsort(-counts, kind="stable")][:_MOST_VALUES]
    cuts = [(str(kind), words == kind) for kind in common]
    if len(kinds) > len(common):
        cuts.append((f"{len(kinds) - len(common)} rarer values", ~np.isin(words, common)))
    return cuts


def _fisher(right: np.ndarray, mine: np.ndarray) -> float:
    """Return the p-value of Fisher's exact test: of all tables with these sums, those that are no likelier."""
    rows, size, hits = len(right), int(mine.sum()), int(right.sum())
    possible = np.arange(max(0, size - (rows - hits)), min(size, hits) + 1)

    def ways(whole: Any, part: Any) -> Any:
        return gammaln(whole + 1) - gammaln(part + 1) - gammaln(whole - part + 1)

    logs = ways(hits, possible) + ways(rows - hits, size - possible) - ways(rows, size)
    observed = logs[int((right & mine).sum()) - possible[0]]
    return min(1.0, float(np.exp(logs[logs <= observed + 1e-7]).sum()))


def _shuffled(errors: np.ndarray, slices: Sequence[np.ndarray], seed: int) -> list[float]:
    """Return for each slice how often shuffled errors differ from the rest's at least as much."""
    if not slices:
        return []
    inside = np.array(slices, dtype=np.float64)
    sizes, rows, total = inside.sum(axis=1), len(errors), errors.sum()

    def gaps(values: np.ndarray) -> np.ndarray:
        sums = inside @ values
        return np.abs(sums / sizes - (total - sums) / (rows - sizes))

    observed, random = gaps(errors), np.random.default_rng(seed)
    hits = np.zeros(len(slices))
    for _ in range(SHUFFLES):
        hits += gaps(random.permutation(errors)) >= observed * (1 - 1e-12)
    return [float(p) for p in (1 + hits) / (1 + SHUFFLES)]


def known_number(value: float) -> float | None:
    """Return a number, or None for what JSON has no number for."""
    return value if math.isfinite(value) else None


def plain(interval: Interval) -> dict[str, float | None]:
    """Return an interval as plain data."""
    return {name: known_number(value) for name, value in interval._asdict().items()}
