"""The first layer of a model of tables: columns become one vector."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.kinds.columns import Column, days
from uncrumple.data.kinds.preparation import Preparation, register
from uncrumple.layers import Input, Normalization, StringLookup, TextVectorization

_MOST_CATEGORIES = 50
# A category is rare below this share of the rows, and below this many.
_RARE_SHARE, _RARE_ROWS = 0.002, 3
_MOST_WORDS, _LEAST_TEXTS = 200, 5
_DAYS_A_YEAR = 365.2425


def fitted(column: Column, values: np.ndarray) -> dict[str, Any]:
    """Return what is measured of a column in the training rows, as plain data that JSON can hold."""
    entry: dict[str, Any] = {"name": column.name, "kind": column.kind}
    if column.kind in ("number", "date"):
        numbers = days(values, column.order) if column.kind == "date" else values
        there = numbers[np.isfinite(numbers)]
        middle = float(np.median(there)) if len(there) else 0.0
        filled = np.where(np.isfinite(numbers), numbers, middle)
        variance = float(filled.var())
        entry |= {
            "fill": middle,
            "mean": float(filled.mean()),
            # Below rounding of the mean, a deviation is not one.
            "variance": variance if variance > (1e-7 * max(abs(float(filled.mean())), 1e-30)) ** 2 else 1.0,
            "missing": bool(len(there) < len(numbers)),
        }
        if column.kind == "date":
            entry |= {"order": column.order, "hours": bool((there != np.floor(there)).any())}
    elif column.kind == "category":
        counts = Counter(values.tolist())
        least = max(min(_RARE_ROWS, len(values) // 20), math.ceil(_RARE_SHARE * len(values)))
        by_count = sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_CATEGORIES]
        # Where all are rare, the most frequent have to do.
        kept = [value for value in by_count if counts[value] >= least] or by_count
        entry |= {"vocabulary": kept, "other": len(kept) < len(counts)}
    else:
        words = TextVectorization(output_mode="multi_hot")
        words.adapt(values)
        tokens = words.get_vocabulary()[1:]
        present = np.asarray(words(values))[:, 1:].sum(axis=0)
        entry["vocabulary"] = [token for token, rows in zip(tokens, present) if rows >= _LEAST_TEXTS][:_MOST_WORDS]
    return entry


class TablePreparation(Preparation):
    """Turns the columns of a table into one vector for each row.

    Numbers are filled with the median of the training rows, with a column
    that says where, and brought to mean 0 and variance 1. Categories become
    one-hot vectors; rare and new ones share an entry (new ones are all zeros
    where no training row was rare). Dates become days, and the place in the
    year, the week and the day on circles. Texts become vectors of which words
    are in them.

    Args:
        columns: What was measured of each column, by `fitted`.
        meaning, name: As for `Preparation`.

    Shapes: a dict of columns, each `(rows,)`, gives `(rows, features)`.

    Example:
        >>> from uncrumple.data import Table
        >>> preparation = Table({"size": [1.0, 3.0], "kind": ["a", "b"]}).preparation()
        >>> preparation.feature_names
        ['size', 'kind: a', 'kind: b']
        >>> preparation.prepare({"size": np.array([3.0]), "kind": np.array(["a"])}).tolist()
        [[1.0, 1.0, 0.0]]
    """

    _fills_gaps = True
    kind = "table"

    def __init__(self, columns: list[dict[str, Any]], meaning: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(meaning, **kwargs)
        self.columns = [dict(column) for column in columns]
        scaled = [column for column in self.columns if column["kind"] in ("number", "date")]
        self.scale = None
        if scaled:
            self.scale = Normalization(
                mean=[column["mean"] for column in scaled], variance=[column["variance"] for column in scaled]
            )
            self.scale.build((None, len(scaled)))
        self.lookups: list[Any] = []
        for column in self.columns:
            if column["kind"] == "category":
                self.lookups.append(StringLookup(vocabulary=column["vocabulary"], output_mode="one_hot"))
            elif column["kind"] == "text" and column["vocabulary"]:
                self.lookups.append(TextVectorization(vocabulary=column["vocabulary"], output_mode="multi_hot"))

    @property
    def feature_names(self) -> list[str]:
        """What each entry of the vector is."""
        scaled, rest = [], []
        for column in self.columns:
            name = column["name"]
            if column["kind"] in ("number", "date"):
                scaled.append(name)
            if column["kind"] in ("number", "date") and column["missing"]:
                rest.append(f"{name} is missing")
            if column["kind"] == "date":
                circles = ["year", "week", *(["day"] if column["hours"] else [])]
                rest += [f"{name}: {part} of the {circle}" for circle in circles for part in ("sine", "cosine")]
            elif column["kind"] == "category":
                rest += [f"{name}: other"] if column["other"] else []
                rest += [f"{name}: {value or 'missing'}" for value in column["vocabulary"]]
            elif column["kind"] == "text":
                rest += [f"{name}: has '{word}'" for word in column["vocabulary"]]
        return scaled + rest

    def inputs(self) -> dict[str, Any]:
        return {
            column["name"]: Input(
                (), dtype="float32" if column["kind"] == "number" else "string", name=_input_name(column["name"])
            )
            for column in self.columns
        }

    def read(self, source: Any, encoding: str | None = None) -> dict[str, np.ndarray]:
        """Return the rows of a CSV or Parquet file, a frame, a dict of columns or a `Table` as raw rows.

        Args:
            source: Where the rows are.
            encoding: Of a CSV file; None takes what its first bytes say, else UTF-8.
        """
        from uncrumple.data.kinds.table import columns_like

        return columns_like(source, [(column["name"], column["kind"]) for column in self.columns], encoding=encoding)

    def in_words(self) -> str:
        counts = Counter(column["kind"] for column in self.columns)
        words = {
            "number": ("number scaled", "numbers scaled"),
            "date": ("date in parts", "dates in parts"),
            "category": ("category one-hot", "categories one-hot"),
            "text": ("text", "texts"),
        }
        return ", ".join(f"{counts[kind]} {said[counts[kind] > 1]}" for kind, said in words.items() if counts[kind])

    def call(self, inputs: dict[str, Any]) -> torch.Tensor:
        if not isinstance(inputs, dict):
            raise ValueError(
                explain(
                    f"{self._label} got a {type(inputs).__name__}.",
                    f"Expected a dict of the columns {', '.join(column['name'] for column in self.columns[:6])}.",
                    "model.predict(preparation.read('rows.csv'))",
                )
            )
        for column in self.columns:
            if column["name"] not in inputs:
                raise ValueError(unknown_name("column", column["name"], inputs))
        first = inputs[self.columns[0]["name"]]
        if any(value.is_meta for value in inputs.values()):
            return torch.empty((first.shape[0], len(self.feature_names)), dtype=torch.float32, device="meta")
        lookups = iter(self.lookups)
        scaled: list[torch.Tensor] = []
        parts: list[torch.Tensor] = []
        for column in self.columns:
            values = inputs[column["name"]].reshape(-1)
            if column["kind"] == "category":
                made = next(lookups)(values)
                parts.append(made if column["other"] else made[:, 1:])
            elif column["kind"] == "text":
                if column["vocabulary"]:
                    parts.append(next(lookups)(values)[:, 1:])
            else:
                numbers, more = _numbers(column, values)
                scaled.append(numbers)
                parts += more
        if self.scale is not None:
            parts.insert(0, self.scale(torch.stack(scaled, dim=1).to(torch.float32)))
        return torch.cat([part.to(torch.float32) for part in parts], dim=1)

    def restore(self, prepared: Any) -> dict[str, np.ndarray]:
        """Return the columns that were prepared as these vectors: numbers, categories and dates again.

        What is not in a vector does not come back: rare categories are "other", gaps are NaN or "" only
        where the training rows had some, and texts are the words known of them, in alphabetical order.
        """
        vectors = np.asarray(prepared.detach().cpu() if hasattr(prepared, "detach") else prepared, np.float64)
        scaled = [column for column in self.columns if column["kind"] in ("number", "date")]
        numbers = {
            column["name"]: vectors[:, place] * math.sqrt(column["variance"]) + column["mean"]
            for place, column in enumerate(scaled)
        }
        place, made = len(scaled), {}
        for column in self.columns:
            name, kind = column["name"], column["kind"]
            if kind in ("number", "date"):
                values = numbers[name]
                if column["missing"]:
                    values = np.where(vectors[:, place] > 0.5, np.nan, values)
                    place += 1
                if kind == "date":
                    place += 6 if column["hours"] else 4
                    values = _as_dates(values, column["hours"])
                made[name] = values
                continue
            words = (["other"] if kind == "category" and column["other"] else []) + list(column["vocabulary"])
            here = vectors[:, place : place + len(words)] > 0.5
            place += len(words)
            values = np.empty(len(vectors), dtype=object)
            values[:] = [" ".join(sorted(word for word, there in zip(words, row) if there)) for row in here]
            made[name] = values
        return made

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "columns": self.columns}


def _numbers(column: dict[str, Any], values: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return a column of numbers without gaps, and the columns that go with it."""
    if column["kind"] == "date":
        values = torch.as_tensor(days(values.numpy(), column["order"]))
    values = values.to(torch.float64)
    gone = ~torch.isfinite(values)
    filled = torch.where(gone, torch.full_like(values, column["fill"]), values)
    more = [gone.to(torch.float64)[:, None]] if column["missing"] else []
    if column["kind"] == "date":
        # Days count from a Thursday.
        turns = [filled / _DAYS_A_YEAR, (filled + 3) / 7, *([filled] if column["hours"] else [])]
        for turn in turns:
            angle = 2 * math.pi * (turn - turn.floor())
            more.append(torch.stack([angle.sin(), angle.cos()], dim=1) * (~gone)[:, None])
    return filled, more


def _as_dates(values: np.ndarray, hours: bool) -> np.ndarray:
    """Return days since 1970 as "2024-05-31" or "2024-05-31 06:00", "" where there are none."""
    made = np.empty(len(values), dtype=object)
    for row, value in enumerate(values.tolist()):
        if math.isnan(value):
            made[row] = ""
        elif hours:
            # Minutes are what float32 leaves of a day in this century.
            made[row] = str(np.datetime64(round(value * 1440), "m")).replace("T", " ")
        else:
            made[row] = str(np.datetime64(round(value), "D"))
    return made


def _input_name(column: str) -> str:
    """Return a name for an `Input`: files of weights know no slashes."""
    return column.replace("/", "_") or "column"


register([TablePreparation])
