"""Arrays made ready for a network: one-hot rows, sequences of one length, unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Return class numbers as one-hot rows.

    Args:
        x: Whole numbers from 0, of any shape; a last axis of 1 is dropped.
        num_classes: Length of each row; by default the largest number plus 1.

    Returns:
        A float32 array (or tensor, if `x` is one) with one more axis.

    Raises:
        ValueError: A number is negative or not below `num_classes`.

    Example:
        >>> to_categorical([0, 2, 1])
        array([[1., 0., 0.],
               [0., 0., 1.],
               [0., 1., 0.]], dtype=float32)
    """
    tensor = isinstance(x, torch.Tensor)
    numbers = x.detach().cpu().numpy() if tensor else np.asarray(x)
    if numbers.dtype.kind not in "biuf" or (numbers.dtype.kind == "f" and (numbers != np.round(numbers)).any()):
        raise ValueError(
            explain(
                f"to_categorical got values of type {numbers.dtype}.",
                "Expected whole numbers from 0.",
                "names, y = np.unique(y, return_inverse=True)",
            )
        )
    numbers = numbers.astype("int64")
    shape = numbers.shape
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    numbers = numbers.reshape(-1)
    low, high = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, -1)
    classes = high + 1 if num_classes is None else int(num_classes)
    if low < 0 or high >= classes:
        raise ValueError(
            explain(
                f"to_categorical got numbers from {low} to {high} with num_classes={num_classes}.",
                f"Expected numbers from 0 to {classes - 1}.",
                f"num_classes={high + 1}" if low >= 0 else "count the classes from 0",
            )
        )
    rows = np.zeros((numbers.size, classes), dtype="float32")
    rows[np.arange(numbers.size), numbers] = 1
    rows = rows.reshape(*shape, classes)
    return torch.from_numpy(rows).to(x.device) if tensor else rows


def pad_sequences(
    sequences: Sequence[Sequence[Any]],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Return sequences of different lengths as one array.

    Args:
        sequences: A list of lists.
        maxlen: Length of every row; by default that of the longest sequence.
        dtype: Type of the array.
        padding: Where to fill up short ones: `"pre"` (in front) or `"post"`.
        truncating: Where to cut long ones: `"pre"` or `"post"`.
        value: What to fill up with.

    Returns:
        An array of shape (sequences, maxlen, ...).

    Example:
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
        array([[0, 1],
               [3, 4]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ValueError("pad_sequences: " + unknown_name(name, given, ["pre", "post"]))
    try:
        lengths = [len(sequence) for sequence in sequences]
    except TypeError:
        raise ValueError(
            explain(
                f"pad_sequences got {str(sequences)[:60]}, with entries that are not sequences.",
                "Expected a list of lists.",
                "pad_sequences([sequence]) for one sequence",
            )
        ) from None
    width = max(lengths, default=0) if maxlen is None else maxlen
    inner = next((np.asarray(sequence).shape[1:] for sequence in sequences if len(sequence)), ())
    kind = np.dtype(object) if isinstance(value, str) and dtype is object else np.dtype(dtype)
    out = np.full((len(lengths), width, *inner), value, dtype=kind)
    for row, sequence in zip(out, sequences):
        if not len(sequence) or width == 0:
            continue
        cut = np.asarray(sequence[-width:] if truncating == "pre" else sequence[:width], dtype=kind)
        if cut.shape[1:] != inner:
            raise ValueError(
                explain(
                    f"pad_sequences got steps of shape {cut.shape[1:]} and of shape {inner}.",
                    "Expected steps of one shape.",
                    "check the sequence that differs",
                )
            )
        if padding == "post":
            row[: len(cut)] = cut
        else:
            row[-len(cut) :] = cut
    return out


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """Return `x` with every vector along `axis` divided by its norm.

    Args:
        x: Array.
        axis: Axis of the vectors.
        order: 2 for the Euclidean norm.

    Example:
        >>> normalize([[3.0, 4.0]])
        array([[0.6, 0.8]])
    """
    array = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(array, order, axis))
    norm[norm == 0] = 1
    return array / np.expand_dims(norm, axis)
