"""Partial dependence: how the answer changes with one column, on average and row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.checks.report import Finding
from uncrumple.explain.asked import check_whole
from uncrumple.explain.attribution.style import Result, headed, number, styled, table
from uncrumple.explain.keeping import answering
from uncrumple.explain.style import BLUE, FAINT, ORANGE
from uncrumple.explain.tables.black_box import BlackBox, black_box, rows_of, shares_of, taken

_MOST_ROWS, _CURVES = 500, 60
# Below this share of the spread of all answers, the average does not change.
_FLAT = 0.02
# From this share of rows on, it is worth saying that they go the other way.
_OTHER_WAY = 0.1


@dataclass
class Dependence(Result):
    """What the model answers when one column is set to each value in turn, the others left as they are.

    Args:
        column: Its name.
        is_number: Whether it holds numbers; else its values are categories.
        values: What it was set to.
        curves: The answers, (rows, values): of the target's probability, or the value.
        untrained: The mean curve of the same architecture with freshly drawn weights; None where there is none.
        seen: The column's own values in the rows, for where there are data.
        target: The class whose probability is shown; empty for a regression.
        what: What is answered, in words.
        remarks: What a reader must know.

    Attributes:
        mean: The mean curve, which is the partial dependence.
        range: Its largest less its smallest value.
        spread: The standard deviation of the answers over the rows as they are.
        other_way: The share of rows that change against the mean: the column's effect depends on others.
    """

    column: str
    is_number: bool
    values: np.ndarray
    curves: np.ndarray
    untrained: np.ndarray | None
    seen: np.ndarray
    target: str
    what: str
    spread: float
    remarks: tuple[str, ...] = ()

    @property
    def mean(self) -> np.ndarray:
        return self.curves.mean(axis=0)

    @property
    def range(self) -> float:
        return float(np.ptp(self.mean))

    @property
    def other_way(self) -> float:
        low, high = int(self.mean.argmin()), int(self.mean.argmax())
        rise = self.curves[:, high] - self.curves[:, low]
        return float(np.mean(rise < -1e-3 * max(self.range, 1e-12))) if self.range > 0 else 0.0

    @property
    def is_flat(self) -> bool:
        return self.range <= _FLAT * max(self.spread, 1e-12)

    def _shown(self, value: float) -> str:
        return f"{100 * value:.0f} %" if self.target else number(float(value))

    @property
    def title(self) -> str:
        what = f"the probability of '{self.target}'" if self.target else f"the answer ({self.what})"
        if self.is_flat:
            return f"{what[0].upper()}{what[1:]} does not change with '{self.column}'."
        mean = self.mean
        low, high = int(mean.argmin()), int(mean.argmax())
        if not self.is_number:
            said = f"is highest for '{self.column}' = {self.values[high]} ({self._shown(mean[high])}), "
            said += f"lowest for {self.values[low]} ({self._shown(mean[low])})"
        else:
            first, last = (low, high) if low < high else (high, low)
            verb = "rises" if low < high else "falls"
            said = f"{verb} from {self._shown(mean[first])} to {self._shown(mean[last])} as '{self.column}' goes from "
            said += f"{number(float(self.values[first]))} to {number(float(self.values[last]))}"
        other = self.other_way
        tail = f"; in {100 * other:.0f} % of rows it goes the other way" if other >= _OTHER_WAY else ""
        return f"{what[0].upper()}{what[1:]} {said}{tail}."

    @property
    def findings(self) -> tuple[Finding, ...]:  # type: ignore[override]
        return (
            Finding(
                "no-dependence" if self.is_flat else "dependence",
                "note",
                self.title,
                self.range,
                _FLAT * self.spread,
                "change of the mean answer over the column's range",
                "The mean hides rows that go the other way, and combinations of columns that no real row has.",
                f"permutation_importance(model, data), for whether '{self.column}' matters at all",
                columns=(self.column,),
                details={"other_way": self.other_way},
            ),
        )

    def lines(self) -> list[str]:
        header = [self.column, "mean", "lowest row", "highest row"]
        header += ["untrained"] if self.untrained is not None else []
        rows = []
        for place, value in enumerate(self.values):
            each = self.curves[:, place]
            row = [number(float(value)) if self.is_number else str(value) or "missing"]
            row += [self._shown(each.mean()), self._shown(each.min()), self._shown(each.max())]
            row += [self._shown(self.untrained[place])] if self.untrained is not None else []
            rows.append(row)
        lines = table(header, rows)
        if self.untrained is not None:
            lines.append(
                f"Over the whole range the mean changes by {self._shown(self.range)}; an untrained network's by "
                f"{self._shown(float(np.ptp(self.untrained)))}."
            )
        return lines

    @styled
    def plot(self) -> Any:
        """Draw the mean, a thin line for each of some rows, and where the data lie."""
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter

        size = (6.8, 4.5)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        shown = self.curves[:: max(1, len(self.curves) // _CURVES)][:_CURVES]
        x: Any = self.values.astype(np.float64) if self.is_number else np.arange(len(self.values))
        axes.plot(x, shown.T, color=BLUE, alpha=0.2, linewidth=0.8)
        axes.plot([], [], color=BLUE, alpha=0.4, linewidth=0.8, label=f"{len(shown)} single rows")
        axes.plot(x, self.mean, color=ORANGE, linewidth=3, marker="o", markersize=4, label="mean of all rows")
        if self.untrained is not None:
            axes.plot(x, self.untrained, color=FAINT, linewidth=1.6, linestyle="--", label="untrained network, mean")
        if self.is_number:
            marks = np.nanquantile(self.seen.astype(np.float64), np.linspace(0.05, 0.95, 10))
            axes.plot(marks, np.zeros(10), "|", color="#222222", markersize=11, transform=axes.get_xaxis_transform())
            axes.set_xlabel(f"{self.column}   (marks: a tenth of the rows lies between two of them)")
        else:
            counts = [int((self.seen == value).sum()) for value in self.values]
            names = [f"{str(value) or 'missing'}\n{count:,} rows" for value, count in zip(self.values, counts)]
            axes.set_xticks(x, names, rotation=0 if len(names) < 8 else 45, fontsize=9)
            axes.set_xlabel(self.column)
        if self.target:
            axes.set_ylim(-0.03, 1.03)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
            axes.set_ylabel(f"probability of '{self.target}'")
        else:
            axes.set_ylabel(f"answer: {self.what}")
        axes.grid(True, axis="y")
        figure.legend(loc="outside lower left", ncols=3, fontsize=8.5)
        headed(figure, self.title, size[0])
        return figure

    def to_dict(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "target": self.target,
            "what": self.what,
            "values": self.values,
            "mean": self.mean,
            "curves": self.curves,
            "untrained": self.untrained,
            "range": self.range,
            "other_way": self.other_way,
            "findings": list(self.findings),
            "remarks": list(self.remarks),
        }


def partial_dependence(
    model: Any,
    data: Any,
    column: str | int,
    *,
    target: str | int | None = None,
    points: int = 20,
    feature_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    most_rows: int = _MOST_ROWS,
    seed: int = 0,
) -> Dependence:
    """Set one column to each of its values in all rows, and see how the answers change: on average, and row by row.

    The mean is the partial dependence; the single rows show what it hides. An untrained network is the control.

    Source: Friedman, "Greedy Function Approximation", Annals of Statistics 2001; single rows: Goldstein et al., 2015.

    Args:
        model: An uncrumple model, a torch module, or an estimator of scikit-learn. It is left as it was.
        data: A `Table`; parts of one, of which the validation part is taken; (x, y); or x alone: a dict of columns, a
            frame, or an array (rows, features).
        column: Its name, or the number of a feature of an array.
        target: The class whose probability is shown, by name or number; by default the second of two, or the one
            that is answered most often.
        points: How many values a column of numbers is set to, between its quantiles of 1 % and 99 %; at least 2.
            Of more categories, so many are shown.
        feature_names, class_names: Names; by default those of the data.
        most_rows: Of more rows, so many are drawn.
        seed: Of that draw.

    Returns:
        A `Dependence`: `values`, `mean`, `curves`, `range`, `other_way`; `print` it, `plot` it, `save` it.

    Raises:
        ValueError: There is no such column or class.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[2.0], [0.0]])])
        >>> found = partial_dependence(model, np.array([[0.0, 1.0], [1.0, 3.0]]), 0, points=2)
        >>> found.values.round(2).tolist(), found.mean.round(2).tolist()
        ([0.01, 0.99], [0.02, 1.98])
    """
    check_whole("partial_dependence", "points", points, 2, "points=20")
    with answering(model):
        box = black_box(
            "partial_dependence",
            model,
            data,
            feature_names=feature_names,
            class_names=class_names,
            most=most_rows,
            seed=seed,
        )
        name = (
            box.columns[column].name
            if isinstance(column, (int, np.integer)) and 0 <= column < len(box.columns)
            else column
        )
        known = box.columns[box.place(str(name))]
        seen = box.values(known.name)
        values = _grid(seen, points) if known.is_number else _kinds(seen, points, box.remarks, known.name)
        now = box.answers()
        place = _target(box, now, target)
        asked = lambda answers: answers[:, place] if box.is_classifier else answers  # noqa: E731
        curves = _curves(box, known.name, values, lambda raw: asked(box.answers(raw)))
        twin = box.twin(seed)
        untrained = None
        if twin is not None:
            few = taken(box.raw, slice(0, 100))
            untrained = _curves(
                box,
                known.name,
                values,
                lambda raw: asked(shares_of(twin[0], twin[1], raw, box.is_classifier)),
                few,
            ).mean(axis=0)
    return Dependence(
        known.name,
        known.is_number,
        values,
        curves,
        untrained,
        seen,
        box.names[place] if box.is_classifier else "",
        box.target or "value",
        float(asked(now).std()),
        tuple(box.remarks),
    )


def _grid(seen: np.ndarray, points: int) -> np.ndarray:
    """Return values of a column of numbers: all of them if they are few, else steps between its quantiles."""
    there = seen[np.isfinite(seen)].astype(np.float64)
    if not len(there):
        raise ValueError(explain("The column holds no numbers.", "Expected some.", "another column"))
    kinds = np.unique(there)
    if len(kinds) <= points and len(kinds) < len(there) / 2:
        return kinds
    low, high = np.quantile(there, [0.01, 0.99])
    if low == high:
        low, high = there.min(), there.max()
    return np.linspace(low, high, points)


def _kinds(seen: np.ndarray, points: int, remarks: list[str], name: str) -> np.ndarray:
    """Return the categories of a column; of many, those that occur most."""
    kinds, counts = np.unique(seen.astype(str), return_counts=True)
    if len(kinds) > points:
        remarks.append(f"'{name}' holds {len(kinds):,} categories: the {points} most frequent are shown.")
        kinds = np.sort(kinds[np.argsort(-counts, kind="stable")[:points]])
    return kinds.astype(object)


def _target(box: BlackBox, answers: np.ndarray, target: Any) -> int:
    if not box.is_classifier:
        if target is not None:
            raise ValueError(
                explain(f"partial_dependence got target={target!r} for a regression.", "Expected none.", "target=None")
            )
        return 0
    if target is None:
        return 1 if answers.shape[1] == 2 else int(np.bincount(answers.argmax(axis=1)).argmax())
    if isinstance(target, str):
        if target not in box.names:
            raise ValueError(unknown_name("class", target, box.names))
        return box.names.index(target)
    if isinstance(target, (int, np.integer)) and 0 <= target < answers.shape[1]:
        return int(target)
    raise ValueError(
        explain(
            f"partial_dependence got target={target!r}.",
            f"Expected a class: a name, or a number from 0 to {answers.shape[1] - 1}.",
            f"target={box.names[-1]!r}",
        )
    )


def _curves(box: BlackBox, column: str, values: np.ndarray, ask: Any, raw: Any = None) -> np.ndarray:
    raw = box.raw if raw is None else raw
    count = rows_of(raw)
    made = np.zeros((count, len(values)))
    old = box.values(column, raw)
    for place, value in enumerate(values):
        made[:, place] = ask(box.replaced(raw, {column: np.full(count, value, dtype=old.dtype)}))
    return made
