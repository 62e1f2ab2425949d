"""Counterfactuals: the smallest change to a row that makes the model answer otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.checks.report import Finding
from uncrumple.explain.asked import check_whole
from uncrumple.explain.attribution.style import Result, headed, number, styled, table
from uncrumple.explain.keeping import answering
from uncrumple.explain.style import BLUE, FAINT, ORANGE
from uncrumple.explain.tables.black_box import BlackBox, black_box, rows_of, taken
from uncrumple.explain.tables.search import TRIED, Change, Search, as_shown, plain_value

_MOST_CHANGES, _MOST_ROWS = 4, 5000


@dataclass
class Counterfactuals(Result):
    """The smallest changes of a row that flip the answer, each with other columns: see `counterfactual`.

    Args:
        row: The row's values by column.
        answer: What the model answers now.
        before: The probability of that answer, or the value.
        wanted: What it should answer, in words.
        changes: What makes it so, the smallest first; empty if nothing does.
        columns: How many columns may change.
        kept: The columns that were not to change.
        nearest: In how many columns the nearest real row with the wanted answer differs; None without one.
        truth: What the data says of the row, in words; empty if it is not known.
        most: How many columns were changed at once, at most.
        is_classifier: Whether the answers are classes.
        remarks: What a reader must know.
    """

    row: dict[str, Any]
    answer: str
    before: float
    wanted: str
    changes: tuple[Change, ...]
    columns: int
    kept: tuple[str, ...]
    nearest: int | None
    truth: str
    most: int
    is_classifier: bool
    remarks: tuple[str, ...] = ()

    @property
    def sparsity(self) -> int | None:
        """In how many columns the smallest change differs; None if nothing flips the answer."""
        return len(self.changes[0].changed) if self.changes else None

    @property
    def title(self) -> str:
        if not self.changes:
            tail = f" ({', '.join(self.kept)} kept)" if self.kept else ""
            return f"No change of up to {self.most} columns within the data's range leads to {self.wanted}{tail}."
        best = self.changes[0]
        return f"{best.in_words()}: this alone turns {self.answer} into {best.answer}."

    @property
    def findings(self) -> tuple[Finding, ...]:  # type: ignore[override]
        found = self.changes[0] if self.changes else None
        return (
            Finding(
                "counterfactual" if found else "no-counterfactual",
                "note",
                self.title,
                float(len(found.changed)) if found else float("nan"),
                float(self.most),
                "columns that change",
                "What flips an answer is what it hangs on, whether or not that is right.",
                "keep=[...], for what cannot change" if found else f"most={self.most + 2}, or fewer kept columns",
                columns=tuple(found.changed) if found else (),
            ),
        )

    def lines(self) -> list[str]:
        now = f"{100 * self.before:.0f} %" if self.is_classifier else number(self.before)
        lines = [f"Now: {self.answer}" + (f" ({now})" if self.is_classifier else "")]
        if self.truth:
            lines[0] += f"; the data say {self.truth}"
        rows = []
        for place, change in enumerate(self.changes, 1):
            after = f"{100 * change.after:.0f} %" if self.is_classifier else number(change.after)
            said = f"{len(change.changed)} of {self.columns} columns"
            row = [f"{place}. {change.in_words()}", said, number(change.distance), change.answer]
            rows.append([*row, after] if self.is_classifier else row)
        if rows:
            lines += table(["change", "changes", "distance", "then", "with"][: len(rows[0])], rows)
        if self.nearest is not None:
            lines.append(f"The nearest real row with that answer differs in {self.nearest} of {self.columns} columns.")
        lines.append("Values are such as the data hold; a change may still be one that nobody can make.")
        return lines

    @styled
    def plot(self) -> Any:
        """Draw the row's values and those of each counterfactual side by side, what changes in colour."""
        from matplotlib.figure import Figure

        names = list(self.row)
        shown = list(self.changes)
        width = 3.1 + 1.9 * (len(shown) + 1)
        size = (max(6.5, width), 0.27 * (len(names) + 2) + 1.3)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlim=(0, 1.6 + len(shown) + 1), ylim=(len(names) + 1.6, -0.9))
        axes.axis("off")
        axes.text(1.6, -0.3, "as it is", fontsize=9.5, fontweight="bold", va="center")
        for place in range(len(shown)):
            axes.text(2.6 + place, -0.3, f"change {place + 1}", fontsize=9.5, fontweight="bold", va="center")
        for line, name in enumerate(names):
            if line % 2:
                axes.axhspan(line + 0.5, line + 1.5, color="#f5f5f5", linewidth=0)
            kept = name in self.kept
            axes.text(
                0.02,
                line + 1,
                f"{name} (kept)" if kept else name,
                fontsize=9,
                va="center",
                color=FAINT if kept else "#222222",
            )
            axes.text(1.6, line + 1, as_shown(self.row[name])[:19], fontsize=9, va="center")
            for place, change in enumerate(shown):
                if name in change.changed:
                    axes.text(
                        2.6 + place,
                        line + 1,
                        as_shown(change.changed[name][1])[:17],
                        fontsize=9.5,
                        fontweight="bold",
                        va="center",
                        bbox={"facecolor": "#fbe3c0", "edgecolor": ORANGE, "boxstyle": "round,pad=0.2"},
                    )
                else:
                    axes.text(2.6 + place, line + 1, "·", fontsize=11, va="center", color=FAINT)
        end = len(names) + 1.1
        axes.axhline(end - 0.5, color=FAINT, linewidth=0.8)
        axes.text(0.02, end, "answer", fontsize=9.5, fontweight="bold", va="center")
        before = f"{self.answer} ({100 * self.before:.0f} %)" if self.is_classifier else self.answer
        axes.text(1.6, end, before, fontsize=9.5, color=BLUE, fontweight="bold", va="center")
        for place, change in enumerate(shown):
            after = f"{change.answer} ({100 * change.after:.0f} %)" if self.is_classifier else change.answer
            axes.text(2.6 + place, end, after, fontsize=9.5, color="#a35f00", fontweight="bold", va="center")
        headed(figure, self.title, size[0])
        return figure

    def to_dict(self) -> dict[str, Any]:
        return {
            "row": self.row,
            "answer": self.answer,
            "before": self.before,
            "wanted": self.wanted,
            "changes": [
                {
                    "changed": {name: {"from": old, "to": new} for name, (old, new) in one.changed.items()},
                    "distance": one.distance,
                    "after": one.after,
                    "answer": one.answer,
                }
                for one in self.changes
            ],
            "sparsity": self.sparsity,
            "columns": self.columns,
            "kept": list(self.kept),
            "nearest_real_row": self.nearest,
            "findings": list(self.findings),
            "remarks": list(self.remarks),
        }


def counterfactual(
    model: Any,
    data: Any,
    row: int | Mapping[str, Any] | Sequence[float] = 0,
    *,
    wanted: Any = None,
    keep: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    most: int = _MOST_CHANGES,
    count: int = 3,
    feature_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    seed: int = 0,
) -> Counterfactuals:
    """Find the smallest change to a row's columns that makes the model answer otherwise.

    Fewest columns first, then the smallest distance. Every value that is tried occurs in the data: numbers
    stay within their range and whole where they are whole, categories are real ones. One column is
    changed by all its values, then pairs and more, following the changes that lead furthest; then what is
    not needed is taken back, and what is more than needed made less. It is a search: a smaller
    change may exist that it misses.

    Source: Wachter, Mittelstadt and Russell, "Counterfactual Explanations without Opening the Black Box", 2017.

    Args:
        model: An uncrumple model, a torch module, or an estimator of scikit-learn. It is left as it was.
        data: A `Table`; parts of one, of which the validation part is taken; (x, y); or x alone.
        row: The number of a row of the data, or a row itself: a dict by column, or a sequence of features.
        wanted: The class, by name or number; by default any other than now. Of a regression, (low, high):
            the range that the value should be in.
        keep: Columns that must not change, such as age.
        groups: Columns that change together, to values that they have together in some row: one-hot columns of
            an array, say.
        most: How many columns (or groups) may change at once, at least 1.
        count: How many counterfactuals to look for, each with other columns.
        feature_names, class_names: Names; by default those of the data.
        seed: Of which rows of many are looked at.

    Returns:
        `Counterfactuals`: `changes` (each with `changed`, `distance`, `after`), `sparsity`; `print`, `plot`, `save`.

    Raises:
        ValueError: There is no such row, column or class.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1, activation="sigmoid")])
        >>> model.set_weights([np.array([[1.0], [0.0]]), np.array([-5.5])])
        >>> x = np.array([[float(value), 0.0] for value in range(10)])
        >>> counterfactual(model, x, 2, feature_names=["size", "other"]).changes[0].changed
        {'size': (2.0, 6.0)}
    """
    for name, value in (("most", most), ("count", count)):
        check_whole("counterfactual", name, value, 1, f"{name}=3")
    with answering(model):
        box = black_box(
            "counterfactual",
            model,
            data,
            feature_names=feature_names,
            class_names=class_names,
            seed=seed,
        )
        start, truth = _row(box, row)
        members = box.groups(groups)
        for column in keep:
            if column not in members:
                box.place(column)
        members = {
            name: columns for name, columns in members.items() if name not in keep and not set(columns) & set(keep)
        }
        for known in box.columns:
            kinds = 0 if known.is_number else len(set(box.values(known.name).tolist()))
            if kinds > TRIED and kinds > len(box) / 2 and members.pop(known.name, []):
                box.remarks.append(f"'{known.name}' was not changed: it holds {kinds:,} different texts.")
        if rows_of(box.raw) > _MOST_ROWS:
            chosen = np.sort(np.random.default_rng(seed).permutation(rows_of(box.raw))[:_MOST_ROWS])
            box.raw = taken(box.raw, chosen)
            box.y = None
            box.remarks.append(f"Values of {_MOST_ROWS:,} rows were tried.")
        search = Search(box, start, members, most, wanted)
        found: list[Change] = []
        for _ in range(count):
            change = search.smallest([set(one.changed) for one in found])
            if change is None:
                break
            found.append(change)
        nearest = search.nearest()
    found.sort(key=lambda one: (len(one.changed), one.distance))
    return Counterfactuals(
        {column.name: plain_value(box.values(column.name, start)[0]) for column in box.columns},
        search.answer,
        search.before,
        search.wanted,
        tuple(found),
        len(box.columns),
        tuple(keep),
        nearest,
        truth,
        most,
        box.is_classifier,
        tuple(box.remarks),
    )


def _row(box: BlackBox, row: Any) -> tuple[Any, str]:
    """Return rows with one row, and what the data say of it."""
    if isinstance(row, (int, np.integer)) and not isinstance(row, bool):
        if not -len(box) <= row < len(box):
            raise ValueError(
                explain(f"counterfactual got row={row}.", f"Expected 0 to {len(box) - 1}.", "row=0, or the row itself")
            )
        truth = ""
        if box.y is not None:
            value = box.y[row]
            truth = f"'{box.names[int(value)]}'" if box.is_classifier else number(float(value))
        return taken(box.raw, np.array([row])), truth
    if isinstance(box.raw, dict):
        if not isinstance(row, Mapping):
            raise ValueError(
                explain(
                    f"counterfactual got a {type(row).__name__} as row.",
                    "Expected the number of a row, or a dict by column.",
                    "row=0",
                )
            )
        made = {}
        for name, values in box.raw.items():
            if name not in row:
                raise ValueError(unknown_name("column", name, [str(one) for one in row]))
            made[name] = np.array([row[name]], dtype=values.dtype)
        return made, ""
    made_row = np.asarray(row, box.raw.dtype).reshape(1, -1)
    if made_row.shape[1] != box.raw.shape[1]:
        raise ValueError(
            explain(
                f"counterfactual got a row of {made_row.shape[1]} features.",
                f"Expected {box.raw.shape[1]}.",
                "row=x_test[0]",
            )
        )
    return made_row, ""
