"""What preprocessing layers are given: numbers or text, in lists, arrays, columns of tables or tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.core.text import Text, is_text_array, is_text_list, object_array
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import one_of
from uncrumple.layers.shapes import symbols


class ReadsRawData(Layer):
    """The base of layers that read text, or whole numbers as they are."""

    # A model hands text on to such layers only.
    _takes_text = True

    @property
    def _reads(self) -> str:
        """The type of what the layer reads: that of the `Input` which a Sequential puts in front of it."""
        return "string"

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for an input shape."""
        outputs = self.compute_output_spec(symbols(input_shape, self._reads))
        return tree.map_structure(lambda leaf: leaf.shape, outputs)


def values_of(inputs: Any, owner: str) -> torch.Tensor:
    """Return inputs as a tensor of numbers or as a `Text`.

    Args:
        inputs: A tensor, an array, a column of a table, nested lists, a string or a number.
        owner: Whose inputs they are, for messages.

    Raises:
        ValueError: Lists are of different lengths, or neither text nor numbers.
    """
    if isinstance(inputs, torch.Tensor):
        return inputs
    name = f"The input of {owner}"
    if hasattr(inputs, "to_numpy"):
        inputs = inputs.to_numpy()
    if is_text_array(inputs) or is_text_list(inputs):
        return Text.of(inputs, name)
    if isinstance(inputs, (list, tuple)):
        if any(isinstance(leaf, torch.Tensor) for leaf in inputs):
            return torch.stack([torch.as_tensor(leaf) for leaf in inputs])
        inputs = object_array(inputs, name)
        inputs = np.array(inputs.tolist()) if inputs.size else inputs.astype(np.int64)
    array = np.asarray(inputs)
    if array.dtype.kind == "O" and array.size:
        array = np.array(array.tolist())
    if array.dtype.kind not in "biuf":
        raise ValueError(
            explain(
                f"{owner} got {type(inputs).__name__} of type {array.dtype}.",
                "Expected text or numbers, in a list, an array, a column or a tensor.",
                "np.asarray(column)",
            )
        )
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    if not array.flags.writeable:  # torch would warn that it can write into it
        array = array.copy()
    return torch.as_tensor(np.ascontiguousarray(array) if array.ndim else array)


def refuse_sparse(owner: str, sparse: Any, ragged: Any = False) -> None:
    """Raise if sparse or ragged outputs are asked for, which torch's layers do not take."""
    for argument, value in (("sparse", sparse), ("ragged", ragged)):
        if value:
            raise ValueError(
                explain(
                    f"{owner} got {argument}={value!r}.",
                    f"Expected {argument}=False: the layers that come after take dense tensors.",
                    f"{owner}(..., {argument}=False)"
                    + (", which fills the rows with 0 to one length" if argument == "ragged" else ""),
                )
            )


def output_mode(owner: str, value: Any, known: tuple[str, ...]) -> str:
    """Return the name of an output mode; `"binary"` and `"tf-idf"` are older names."""
    old = {"binary": "multi_hot", "tf-idf": "tf_idf"}
    return one_of(owner, "output_mode", old.get(value, value) if isinstance(value, str) else value, known)


def encoded(
    places: torch.Tensor, mode: str, depth: int, dtype: torch.dtype, weights: torch.Tensor | None = None, axis: int = -1
) -> torch.Tensor:
    """Return numbers of categories as vectors of 0 and 1, or of counts.

    Args:
        places: Whole numbers below `depth`; those below 0 count for nothing.
        mode: `"one_hot"`, one vector for each; `"multi_hot"` or `"count"`, one for each sample.
        depth: Length of the vectors.
        dtype: Type of the result.
        weights: What each counts, in the shape of `places`; 1 by default.
        axis: The axis that holds the entries of one sample.

    Shapes: `(..., n)` gives `(..., n, depth)` in mode one_hot (`(..., depth)` if n is 1), else `(..., depth)`.
    """
    places = places.reshape(1) if places.dim() == 0 else places
    places = places.to(torch.int64)
    if mode == "one_hot":
        places = places.squeeze(-1) if places.dim() > 1 and places.shape[-1] == 1 else places
        places = places.unsqueeze(-1)
    elif axis != -1 and places.dim() > 1:
        places = places.movedim(axis, -1)
    counted = (places >= 0).to(dtype if weights is None else weights.dtype)
    if weights is not None:
        counted = counted * weights.reshape(counted.shape)
    made = torch.zeros((*places.shape[:-1], depth), dtype=counted.dtype, device=places.device)
    made = made.scatter_add(-1, places.clamp(min=0), counted)
    return made.clamp(max=1) if mode == "multi_hot" else made


def each_batch(data: Any, steps: int | None, *, lists_at_once: bool) -> Iterator[Any]:
    """Yield what `adapt` was given: at once, or batch by batch.

    Args:
        data: Data, or something that hands out batches, alone or as (inputs, targets).
        steps: How many batches to take; None for all.
        lists_at_once: Whether a list is data, and not a list of batches.
    """
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    listed = lists_at_once and isinstance(data, (list, tuple))
    if isinstance(data, (str, bytes, np.ndarray, torch.Tensor)) or not hasattr(data, "__iter__") or listed:
        yield data
        return
    for step, batch in enumerate(data):
        if steps is not None and step >= steps:
            return
        yield inputs_of(batch)


def samples_of(data: Any, steps: int | None, owner: str) -> Iterator[torch.Tensor]:
    """Yield what the `adapt` of a lookup was given, as tensors; of what comes at once each entry is a sample."""
    at_once = isinstance(data, (list, tuple, str, bytes, np.ndarray, torch.Tensor)) or hasattr(data, "to_numpy")
    for batch in each_batch(data, steps, lists_at_once=True):
        values = values_of(batch, owner)
        yield values.unsqueeze(-1) if at_once and values.dim() == 1 else values


def inputs_of(batch: Any) -> Any:
    """Return the inputs of a batch that is (inputs, targets), or [inputs] of a `DataLoader`."""
    if isinstance(batch, (list, tuple)) and 1 <= len(batch) <= 3 and isinstance(batch[-1], torch.Tensor):
        if batch[0] is not None and not (isinstance(batch[0], (str, bytes)) or np.ndim(batch[0]) == 0):
            return batch[0]
    return batch
