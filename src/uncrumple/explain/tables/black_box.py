"""Rows of a table, and what a model answers for them: all that importance, dependence and the like ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.convert import is_frame
from uncrumple.data.kinds.base import RawData
from uncrumple.data.kinds.columns import as_numbers, as_words
from uncrumple.data.kinds.preparation import Preparation
from uncrumple.explain.asked import check_seed
from uncrumple.explain.attribution.asking import Network
from uncrumple.explain.rows import as_tensors
from uncrumple.explain.untrained import untrained_copy

# Rows of a table that are asked about at a time.
_ROWS = 4096


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, whether it holds numbers, and whether these are whole."""

    name: str
    is_number: bool
    is_whole: bool = False


@dataclass
class BlackBox:
    """A model and rows to ask it about; made by `black_box`, within `answering`.

    Args:
        raw: A dict of columns, or an array (rows, features).
        y: The true answers as numbers, or None.
        columns: The columns.
        task: `"classification"` or `"regression"`.
        names: The classes.
        target: What is asked, in words.
        remarks: What was done with the data.
    """

    model: Any
    raw: Any
    y: np.ndarray | None
    columns: tuple[Column, ...]
    task: str
    names: tuple[str, ...]
    target: str = ""
    network: Network | None = None
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return rows_of(self.raw)

    @property
    def is_classifier(self) -> bool:
        return self.task == "classification"

    def answers(self, raw: Any = None) -> np.ndarray:
        """Return probabilities (rows, classes), or values (rows,)."""
        return shares_of(self.model, self.network, self.raw if raw is None else raw, self.is_classifier)

    def values(self, column: str, raw: Any = None) -> np.ndarray:
        """Return a column."""
        raw = self.raw if raw is None else raw
        return raw[column] if isinstance(raw, dict) else raw[:, self.place(column)]

    def place(self, column: str) -> int:
        """Return the number of a column.

        Raises:
            ValueError: There is none of that name.
        """
        names = [one.name for one in self.columns]
        if column not in names:
            raise ValueError(unknown_name("column", str(column), names))
        return names.index(column)

    def replaced(self, raw: Any, changes: Mapping[str, Any]) -> Any:
        """Return rows with some columns replaced; the rest is shared."""
        if isinstance(raw, dict):
            return {**raw, **changes}
        made = raw.copy()
        for column, values in changes.items():
            made[:, self.place(column)] = values
        return made

    def taken(self, rows: Any) -> Any:
        """Return some of the rows."""
        return taken(self.raw, rows)

    def twin(self, seed: int = 0) -> tuple[Any, Network] | None:
        """Return the untrained network of the same architecture; None for a model that is no network."""
        if self.network is None:
            return None
        made = untrained_copy(self.model, seed).to(self.network.device)
        network = Network(made, as_tensors(taken(self.raw, slice(0, 2))))
        network.head = self.network.head
        return made, network

    def groups(self, given: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
        """Return the columns that are taken together by name; those in no group stand alone.

        Raises:
            ValueError: A column is not there, or in two groups.
        """
        made: dict[str, list[str]] = {}
        used: dict[str, str] = {}
        for name, members in (given or {}).items():
            for column in members:
                self.place(column)
                if column in used:
                    raise ValueError(
                        explain(
                            f"The column '{column}' is in two groups, '{used[column]}' and '{name}'.",
                            "Expected each in one group at most.",
                            f"groups={{'{name}': [...]}} without '{column}' in another",
                        )
                    )
                used[column] = str(name)
            made[str(name)] = list(members)
        return {**made, **{one.name: [one.name] for one in self.columns if one.name not in used}}


def shares_of(model: Any, network: Network | None, raw: Any, is_classifier: bool) -> np.ndarray:
    """Return what a model answers: probabilities (rows, classes), or values (rows,)."""
    if network is not None:
        made = network.answers(as_tensors(raw), _ROWS)[1].astype(np.float64)
    else:
        ask = model.predict_proba if is_classifier and hasattr(model, "predict_proba") else model.predict
        made = np.asarray(ask(raw), np.float64)
    if not is_classifier:
        return made.reshape(len(made))
    if made.ndim == 1 or made.shape[1] == 1:
        made = made.reshape(-1, 1)
        return np.concatenate([1 - made, made], axis=1)
    return made


def rows_of(raw: Any) -> int:
    """Return how many rows there are."""
    return len(next(iter(raw.values()))) if isinstance(raw, dict) else len(raw)


def taken(raw: Any, rows: Any) -> Any:
    """Return some of the rows of a dict of columns or an array."""
    return {name: values[rows] for name, values in raw.items()} if isinstance(raw, dict) else raw[rows]


def black_box(
    owner: str,
    model: Any,
    data: Any,
    *,
    needs_y: bool = False,
    feature_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    most: int | None = None,
    seed: int = 0,
) -> BlackBox:
    """Return a model and rows, whatever the data came as.

    Args:
        owner: Who asks, for messages.
        model: An uncrumple model, a torch module, or an estimator of scikit-learn.
        data: A `Table`; parts of one (the validation part is taken); (x, y); or x alone: a dict of columns, a
            frame, or an array (rows, features).
        needs_y: Whether the true answers must be there.
        feature_names, class_names: Names; by default those of the data.
        most: Of more rows, so many are drawn.
        seed: Of that draw.
    """
    check_seed(owner, seed)
    remarks: list[str] = []
    table: Any = None
    y: Any = None
    if hasattr(data, "peek") and hasattr(data, "train"):
        part = "validation" if len(data.rows.validation) else "train"
        data = data.peek(part)
        remarks.append(f"Asked about the {len(data):,} rows of the {part} part.")
    if isinstance(data, RawData):
        if data.kind != "table":
            raise ValueError(
                explain(
                    f"{owner} got {data.kind}.",
                    "Expected a table, or rows of features.",
                    "uc.explain.attribute(model, data)",
                )
            )
        table, raw, y = data, data.raw, data.y
    elif isinstance(data, (tuple, list)) and len(data) in (2, 4) and not np.isscalar(data[0]) and np.ndim(data[1]) < 3:
        raw, y = (data[0], data[1]) if len(data) == 2 else (data[2], data[3])
    else:
        raw = data
    preparation = None
    if isinstance(model, torch.nn.Module):
        preparation = next((one for one in model.modules() if isinstance(one, Preparation)), None)
    if table is None:
        raw, feature_names = _raw(raw, preparation, feature_names, owner)
    if not class_names:
        class_names = table.class_names if table is not None else preparation.class_names if preparation else ()
    rows = rows_of(raw)
    answers, class_names = _answers(y, class_names, owner)
    if answers is not None and len(answers) != rows:
        raise ValueError(
            explain(f"{owner} got {rows} rows and {len(answers)} answers.", "Expected one for each row.", "(x, y)")
        )
    if needs_y and answers is None:
        raise ValueError(
            explain(f"{owner} got rows without answers.", "Expected the true answers, too.", f"{owner}(model, (x, y))")
        )
    if most is not None and rows > most:
        chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
        raw, answers = taken(raw, chosen), None if answers is None else answers[chosen]
        remarks.append(f"{most:,} of {rows:,} rows were drawn.")
    network = Network(model, as_tensors(taken(raw, slice(0, 2)))) if isinstance(model, torch.nn.Module) else None
    task = _task(model, network, table, answers, owner)
    columns = _columns(raw, feature_names)
    count = network.columns if network is not None else len(getattr(model, "classes_", ()))
    names = tuple(str(name) for name in class_names) or tuple(f"class {place}" for place in range(max(2, count)))
    return BlackBox(
        model,
        raw,
        answers,
        columns,
        task,
        names if task == "classification" else (),
        (table.target if table is not None else str((preparation.meaning if preparation else {}).get("target") or "")),
        network,
        remarks,
    )


def _raw(raw: Any, preparation: Any, feature_names: Sequence[str], owner: str) -> tuple[Any, Sequence[str]]:
    if isinstance(raw, Mapping) or is_frame(raw):
        if preparation is not None:
            return preparation.read(raw), feature_names
        if is_frame(raw):
            return np.asarray(raw.to_numpy(), np.float32), [str(name) for name in raw.columns]
        made = {}
        for name, values in raw.items():
            array = np.asarray(values)
            numbers = as_numbers(array) if array.dtype.kind not in "iufb" else array
            made[str(name)] = as_words(array) if numbers is None else numbers
        return made, feature_names
    array = np.asarray(raw.detach().cpu() if hasattr(raw, "detach") else raw)
    array = array.astype(np.float32) if array.dtype.kind in "iub" or array.dtype == np.float64 else array
    if array.ndim != 2 or array.dtype.kind != "f":
        raise ValueError(
            explain(
                f"{owner} got data of shape {array.shape} and type {array.dtype}.",
                "Expected a Table, a dict of columns, or numbers of shape (rows, features).",
                "uc.explain.attribute(model, x), for pictures and texts",
            )
        )
    if len(feature_names) and len(feature_names) != array.shape[1]:
        raise ValueError(
            explain(
                f"{owner} got {len(feature_names)} feature_names for {array.shape[1]} features.",
                "Expected one for each.",
                f"feature_names=[... {array.shape[1]} names]",
            )
        )
    return array, feature_names


def _columns(raw: Any, feature_names: Sequence[str]) -> tuple[Column, ...]:
    if isinstance(raw, dict):
        items = list(raw.items())
    else:
        names = list(feature_names) or [f"feature {place}" for place in range(raw.shape[1])]
        items = [(str(name), raw[:, place]) for place, name in enumerate(names)]
    made = []
    for name, values in items:
        is_number = values.dtype.kind in "iufb"
        there = values[np.isfinite(values.astype(np.float64))] if is_number else values
        made.append(Column(name, is_number, bool(is_number and (there == np.floor(there)).all())))
    return tuple(made)


def _answers(y: Any, class_names: Sequence[str], owner: str) -> tuple[np.ndarray | None, Sequence[str]]:
    if y is None:
        return None, class_names
    y = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if y.ndim == 2:
        y = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0]
    if y.dtype.kind in "OSU":
        words = [str(one) for one in y.tolist()]
        class_names = class_names or sorted(set(words))
        strange = next((word for word in words if word not in set(class_names)), None)
        if strange is not None:
            raise ValueError(f"{owner}: " + unknown_name("class", strange, class_names))
        places = {name: place for place, name in enumerate(class_names)}
        y = np.array([places[word] for word in words], np.int64)
    return y, class_names


def _task(model: Any, network: Network | None, table: Any, y: np.ndarray | None, owner: str) -> str:
    if table is not None and table.task is not None:
        return str(table.task)
    if network is None:
        return "classification" if hasattr(model, "predict_proba") else "regression"
    if network.head != "linear":
        return "classification"
    if network.columns == 1:
        return "regression"
    if y is not None and y.ndim == 1 and y.dtype.kind in "iub":
        return "classification"
    raise ValueError(
        explain(
            f"{owner} got a model with {network.columns} outputs that are no probabilities.",
            "Expected one value, or classes: a softmax, or a loss with from_logits=True.",
            "model.compile(loss=SparseCategoricalCrossentropy(from_logits=True))",
        )
    )
