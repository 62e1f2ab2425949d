"""The fixed samples that a view is drawn of: some of the user's data, spread evenly over the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.text import Text
from uncrumple.data.convert import to_tensors
from uncrumple.data.kinds.base import RawData
from uncrumple.explain.asked import check_whole
from uncrumple.explain.rows import rows_at, rows_in
from uncrumple.explain.uncrumpling.inside import is_mapping_of_parts

# Whole numbers of up to this many kinds, each in several rows, are taken for classes.
_MOST_CLASSES = 100


@dataclass
class ProbeSet:
    """Samples, and what they are.

    Args:
        x: Tensors as the model takes them, in any structure.
        labels: Classes as whole numbers from 0, for a classification.
        values: (samples, targets), for a regression.
        class_names: The classes in the order of their numbers.
        where: Which rows they are, in words.
        rows: The row of each in the data that was given.
        last_step: Whether the answer is about the last step of a sequence.
    """

    x: Any
    labels: np.ndarray | None
    values: np.ndarray | None
    class_names: tuple[str, ...]
    where: str
    rows: np.ndarray
    last_step: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def task(self) -> str | None:
        if self.labels is not None:
            return "classification"
        return None if self.values is None else "regression"


def probe_set(
    data: Any,
    points: int = 400,
    task: str | None = None,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    owner: str = "uncrumple",
) -> ProbeSet:
    """Return the samples to look at.

    Args:
        data: (x, y), y may be None; a `Table`, `Images`, `Text` or `Series`; what `split` made of one (its
            validation part is taken, or else its training part: the test part stays sealed); or anything
            with `x` and `y`.
        points: How many samples, at most.
        task: `"classification"` or `"regression"`; by default told by y.
        class_names: Names of the classes; by default those of the data.
        seed: Of the choice.
        owner: Who asks, for messages.
    """
    check_whole(owner, "points", points, 10, "points=400")
    if task not in (None, "classification", "regression"):
        raise ValueError(unknown_name("task", str(task), ("classification", "regression")))
    x, y, names, where, found_task = _unpacked(data, owner)
    task = task or found_task
    names = tuple(map(str, class_names)) if class_names is not None else names
    x = to_tensors(x, "x", text=True)
    if isinstance(x, tuple):
        x = list(x)
    rows = rows_in(x)
    labels, values, names, last_step = _answers(y, rows, task, names, owner)
    chosen = _chosen(rows, int(points), labels, seed)
    return ProbeSet(
        rows_at(x, torch.from_numpy(chosen)),
        None if labels is None else labels[chosen],
        None if values is None else values[chosen],
        names,
        where,
        chosen,
        last_step,
    )


def _unpacked(data: Any, owner: str) -> tuple[Any, Any, tuple[str, ...], str, str | None]:
    """Return x, y, names of the classes, which rows, and the task, if the data says it."""
    where = "the rows given"
    if is_mapping_of_parts(data):
        part = "validation" if len(data.rows.validation) >= 50 else "train"
        where = "validation rows" if part == "validation" else "training rows"
        data = data.peek(part)
    if isinstance(data, RawData):
        kind = {"language": "classification"}.get(data.task or "", data.task)
        return data.raw, data.y, tuple(data.class_names), where, kind
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return data[0], data[1], (), where, None
    if hasattr(data, "x") and hasattr(data, "y"):
        return data.x, data.y, tuple(getattr(data, "class_names", ()) or ()), where, getattr(data, "task", None)
    size = f" of {len(data)}" if isinstance(data, (tuple, list)) else ""
    raise ValueError(
        explain(
            f"{owner} got a {type(data).__name__}{size} as data.",
            "Expected (x, y), or data of uncrumple.data: Table, Images, Text, Series, or parts of them.",
            f"{owner}(model, (x, y)); y may be None",
        )
    )


def _answers(
    y: Any, rows: int, task: str | None, names: tuple[str, ...], owner: str
) -> tuple[np.ndarray | None, np.ndarray | None, tuple[str, ...], bool]:
    """Return labels or values, the names of the classes, and whether only the last step of each row counts."""
    if y is None:
        return None, None, (), False
    answers = np.asarray(y.detach().cpu() if isinstance(y, torch.Tensor) else y)
    if not answers.ndim or len(answers) != rows:
        came = f"{len(answers) if answers.ndim else 1} answers for {rows} rows"
        raise ValueError(
            explain(f"{owner} got {came}.", "Expected one answer for each row.", f"y[:{rows}], or None without")
        )
    last_step = False
    if answers.ndim >= 2 and answers.shape[1] > 1 and answers.dtype.kind in "iu" and task != "regression":
        one_hot = answers.ndim == 2 and answers.min() == 0 and (answers.sum(axis=1) == 1).all()
        if not one_hot and answers.size == rows * answers.shape[1]:
            # A class for each step of a sequence, as in a model of language: the last one is looked at.
            answers, last_step = answers.reshape(rows, -1)[:, -1], True
    if answers.ndim == 2 and answers.shape[1] == 1:
        answers = answers[:, 0]
    if answers.ndim == 2 and task != "regression":
        whole = answers.dtype.kind in "iub" or np.isin(answers, (0, 1)).all()
        if whole and (answers.sum(axis=1) == 1).all():
            answers = answers.argmax(axis=1)
    if answers.ndim > 2:
        raise ValueError(
            explain(
                f"{owner} got answers of shape {answers.shape}.",
                "Expected a class or a value for each row: they colour the points.",
                f"{owner}(model, (x, labels)), or (x, None)",
            )
        )
    if task is None:
        task = "classification" if _are_classes(answers) else "regression"
    if task == "regression":
        if answers.dtype.kind not in "iufb":
            raise ValueError(
                explain(f"{owner} got task='regression' and text.", "Expected numbers.", "task='classification'")
            )
        values = answers.astype(np.float64).reshape(rows, -1)
        if not np.isfinite(values).all():
            raise ValueError(
                explain(f"{owner} got answers that are not finite.", "Expected numbers.", "leave those rows out")
            )
        return None, values, (), last_step
    if answers.ndim != 1:
        raise ValueError(
            explain(
                f"{owner} got classes of shape {answers.shape}.", "Expected one class for each row.", "y.argmax(axis=1)"
            )
        )
    kinds, labels = np.unique(answers.astype(str) if answers.dtype.kind in "UO" else answers, return_inverse=True)
    numbered = answers.dtype.kind in "iufb"
    if numbered and names and kinds.min() >= 0 and kinds.max() < len(names):
        return answers.astype(np.int64), None, names, last_step
    if names and not numbered and set(map(str, kinds)) <= set(names):
        places = {name: place for place, name in enumerate(names)}
        return np.array([places[str(one)] for one in answers], np.int64), None, names, last_step
    if names and len(names) != len(kinds):
        raise ValueError(
            explain(
                f"{owner} got {len(names)} class_names for {len(kinds)} classes.",
                "Expected a name for each class.",
                f"class_names with {len(kinds)} names",
            )
        )
    shown = names or tuple(f"{kind:g}" if numbered else str(kind) for kind in kinds.tolist())
    return labels.reshape(-1).astype(np.int64), None, shown, last_step


def _are_classes(answers: np.ndarray) -> bool:
    if answers.dtype.kind in "bUSO":
        return True
    if answers.ndim != 1 or not np.isfinite(answers).all() or (answers != np.floor(answers)).any():
        return False
    kinds = len(np.unique(answers))
    return kinds <= _MOST_CLASSES and kinds <= max(2, len(answers) / 4)


def _chosen(rows: int, points: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """Return row numbers in rising order; of each class its share, and at least a few of a rare one."""
    if rows <= points:
        return np.arange(rows)
    draw = np.random.default_rng(seed)
    order = draw.permutation(rows)
    if labels is None:
        return np.sort(order[:points])
    counts = np.bincount(labels)
    quota = np.maximum(np.floor(points * counts / rows), np.minimum(counts, 5)).astype(int)
    picked: list[int] = []
    for label, wanted in enumerate(quota):
        picked += order[labels[order] == label][:wanted].tolist()
    rest = [row for row in order.tolist() if row not in set(picked)] if len(picked) < points else []
    return np.sort(np.array((picked + rest)[:points] if rest else picked))


def flat_inputs(x: Any) -> tuple[torch.Tensor, tuple[int, ...]] | None:
    """Return the inputs as one row of numbers per sample, and the shape of one; None where they are words or their numbers."""
    leaves = tree.flatten(x)
    if any(isinstance(leaf, Text) for leaf in leaves):
        return None
    flat = [leaf.reshape(len(leaf), -1).float() for leaf in leaves]
    shape = tuple(leaves[0].shape[1:]) if len(leaves) == 1 else (sum(one.shape[1] for one in flat),)
    return torch.cat(flat, dim=1), shape
