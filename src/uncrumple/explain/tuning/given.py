"""What a user hands over as data, as batches to train on, or as rows to divide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.data.batches import ArrayBatches, Batches, DiskBatches
from uncrumple.data.from_arguments import make_batches
from uncrumple.data.kinds.base import RawData
from uncrumple.data.split import Parts, Split, split

_KINDS = "(x, y), (x, y, sample_weight), a Table, Images, Text or Series, or its parts"


def unpacked(data: Any, owner: str, *, streams: bool = True) -> tuple[Any, Any, Any]:
    """Return (x, y, sample_weight) of what was given; of parts, the training part. Test parts stay sealed.

    Args:
        data: Arrays in a tuple, a kind of data, parts of it, or (with `streams`) what hands out batches.
        owner: Who asks, for messages.
        streams: Whether a data set, `DataLoader` or generator will do.
    """
    if isinstance(data, Parts):
        data = data.train
    if isinstance(data, RawData):
        return data.raw, data.y, None
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        return data[0], data[1], data[2] if len(data) == 3 else None
    if streams and data is not None and not isinstance(data, (tuple, list, dict, np.ndarray, torch.Tensor)):
        return data, None, None
    what = f"{len(data)} parts" if isinstance(data, (tuple, list)) else f"a {type(data).__name__}"
    raise ValueError(
        explain(f"{owner} got {what} as its data.", f"Expected {_KINDS}.", f"{owner}(model, (x_train, y_train))")
    )


def batches_of(data: Any, owner: str, batch_size: int | None, shuffle: bool = True) -> Batches:
    """Return batches of what was given."""
    x, y, sample_weight = unpacked(data, owner)
    arrays = y is not None
    return make_batches(x, y, sample_weight, batch_size=batch_size if arrays else None, shuffle=shuffle)


@dataclass
class Rows:
    """Data in memory whose rows are divided again and again.

    Args:
        x, y, sample_weight: Tensors in any structure with equal first axes.
        count: How many rows.
        kind: What `split` takes: the answers, or the kind of data with its groups and times.
        untouched: How many rows were left alone, being the test part of what was given.
        learnt: How many rows, the first ones, were the training part of what was given; None if it was not divided.
    """

    x: Any
    y: Any
    sample_weight: Any
    count: int
    kind: Any
    untouched: int = 0
    learnt: int | None = None

    def take(self, rows: Any) -> tuple[Any, Any, Any]:
        """Return (x, y, sample_weight) of some rows."""
        index = torch.as_tensor(np.asarray(rows, dtype=np.int64), device="cpu")
        parts = (self.x, self.y, self.sample_weight)
        return tree.map_structure(lambda leaf: None if leaf is None else leaf[index], parts)

    def divide(self, second: float, third: float, seed: int) -> Split:
        """Return rows to learn from, to choose by, and fresh ones: by class, group or time as the data has it."""
        if isinstance(self.kind, RawData):
            return split(self.kind, validation=second, test=third, seed=seed).rows
        return split(self.kind, validation=second, test=third, seed=seed)


def keep_learnt(rows: Rows, second: float, third: float, seed: int) -> Split:
    """Return the rows as `divide` does; but what came as a training part is learnt from, and nothing else.

    A preparation that was fitted on that part has then seen nothing of the other rows.
    """
    if rows.learnt is None:
        return rows.divide(second, third, seed)
    others = np.arange(rows.learnt, rows.count)
    if len(others) < 2:
        raise ValueError(
            explain(
                f"The validation part has {len(others)} rows.",
                "Expected at least two: some to choose by, and some fresh ones to measure the winner on.",
                "uncrumple.data.split(data, validation=0.3)",
            )
        )
    inner = split(rows.kind.take(others), validation=0.0, test=third / (second + third), seed=seed).rows
    return Split(np.arange(rows.learnt), others[inner.train], others[inner.test])


def rows_of(data: Any, owner: str) -> Rows:
    """Return data in memory as rows; of parts, training and validation rows, never those of the test."""
    untouched, learnt = 0, None
    if isinstance(data, Parts):
        untouched, learnt = len(data.rows.test), len(data.rows.train)
        data = data.data.take(np.concatenate([data.rows.train, data.rows.validation]))
    x, y, sample_weight = unpacked(data, owner, streams=False)
    made = make_batches(x, y, sample_weight)
    if not isinstance(made, ArrayBatches) or isinstance(made, DiskBatches) or y is None:
        raise ValueError(
            explain(
                f"{owner} got a {type(x).__name__} {'without answers' if y is None else 'as x'}.",
                "Expected arrays in memory with an answer for each row: rows are divided again and again.",
                f"{owner}(build, (x, y))",
            )
        )
    return Rows(
        made.x,
        made.y,
        made.sample_weight,
        made.samples,
        data if isinstance(data, RawData) else _labels_or_count(made.y, made.samples),
        untouched,
        learnt,
    )


def _labels_or_count(y: Any, count: int) -> Any:
    """Return classes that every part gets its share of, or the number of rows where the answers are none."""
    if not isinstance(y, torch.Tensor):
        return count
    answers = y.cpu().numpy()
    if answers.ndim == 2 and answers.shape[1] > 1:
        if not (np.isin(answers, (0, 1)).all() and (answers.sum(axis=1) == 1).all()):
            return count
        answers = answers.argmax(axis=1)
    answers = answers.reshape(count, -1)
    if answers.shape[1] != 1:
        return count
    answers = answers[:, 0]
    whole = answers.dtype.kind in "iub" or bool((answers == np.floor(answers)).all())
    kinds, counts = np.unique(answers, return_counts=True)
    if not whole or len(kinds) > 100 or counts.min() < 3:
        return count
    return answers.astype(np.int64)


def prepared(model: Any, batches: Batches, owner: str) -> Batches:
    """Build a model for its data and check both, before its state is noted; return the batches on its device.

    Weights that are made here are those that `fit` would have made.
    """
    if not hasattr(model, "_require_compiled"):
        raise TypeError(
            explain(
                f"{owner} got a {type(model).__name__}.",
                "Expected a compiled model.",
                "model = uncrumple.Sequential([uncrumple.from_torch(module)]); model.compile(...), for a torch module",
            )
        )
    model._require_compiled(owner)
    model._prepare(batches, learn=False)
    return batches
