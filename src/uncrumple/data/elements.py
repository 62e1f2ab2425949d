"""One element of a data set: tensors (and texts) in any structure; several of them as one batch, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import explain
from uncrumple.core.text import Text, is_text_array
from uncrumple.data.convert import is_frame


def as_element(value: Any) -> Any:
    """Return a structure with every array and number as a tensor, and arrays of texts as a `Text`; single texts stay.

    Example:
        >>> as_element((np.zeros(2, "float32"), 1, "a"))
        (tensor([0., 0.]), tensor(1), 'a')
    """
    if isinstance(value, torch.Tensor):
        return value.detach() if value.requires_grad else value
    if isinstance(value, dict):
        return {key: as_element(part) for key, part in value.items()}
    if isinstance(value, tuple):
        parts = [as_element(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return as_array(value) if _is_numbers(value) else [as_element(part) for part in value]
    if value is None or isinstance(value, (str, bytes)) or hasattr(value, "_stage"):
        return value
    return as_array(value)


def _is_numbers(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and len(value):
        value = value[0]
    return isinstance(value, (int, float, complex, np.generic))


def as_array(value: Any) -> Any:
    """Return numbers as a tensor, and texts as a `Text`."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    if is_frame(value):
        value = value.to_numpy()
    array: np.ndarray = np.asarray(value)
    if array.dtype == np.float64 and isinstance(value, (float, list)):
        array = array.astype(floatx())  # Python's own numbers become what torch computes with
    if is_text_array(array):
        return Text.of(array) if array.ndim else array.item()
    if array.dtype == object:
        if array.size:
            raise ValueError(
                explain(
                    f"A data set got {str(value)[:60]!r}, of type {type(value).__name__}.",
                    "Expected numbers, arrays, tensors or texts.",
                    "np.array(..., dtype='float32'), if it stands for numbers",
                )
            )
        array = array.astype(floatx())
    if not array.flags.writeable or any(stride < 0 for stride in array.strides) or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="), copy=True)
    return torch.from_numpy(np.ascontiguousarray(array) if array.ndim else array)


def stacked(elements: Sequence[Any]) -> Any:
    """Return elements of one structure as one, with a new first axis.

    Example:
        >>> stacked([(torch.tensor(1), "a"), (torch.tensor(2), "b")])
        (tensor([1, 2]), Text(['a', 'b']))
    """
    return _joined(elements, _stack)


def padded(elements: Sequence[Any], value: Any = 0) -> Any:
    """Return elements as one, the shorter ones filled up at the end of each axis.

    Example:
        >>> padded([torch.tensor([1]), torch.tensor([2, 3])])
        tensor([[1, 0],
                [2, 3]])
    """

    def pad(leaves: Sequence[Any]) -> Any:
        if not isinstance(leaves[0], torch.Tensor) or isinstance(leaves[0], Text):
            return _stack(leaves)
        sizes = [max(sizes) for sizes in zip(*(leaf.shape for leaf in leaves))]
        out = torch.full((len(leaves), *sizes), value, dtype=leaves[0].dtype)
        for row, leaf in zip(out, leaves):
            row[tuple(slice(size) for size in leaf.shape)] = leaf
        return out

    return _joined(elements, pad)


def _joined(elements: Sequence[Any], join: Callable[[Sequence[Any]], Any]) -> Any:
    first = elements[0]
    if isinstance(first, torch.Tensor):
        return join(elements)
    columns = zip(*(tree.flatten(element) for element in elements))
    return tree.pack(first, [join(leaves) for leaves in columns])


def _stack(leaves: Sequence[Any]) -> Any:
    first = leaves[0]
    if first is None:
        return None
    if not isinstance(first, torch.Tensor):
        return Text.of(list(leaves))
    shapes = {leaf.shape for leaf in leaves}
    if len(shapes) > 1:
        one, other = sorted(map(tuple, shapes))[:2]
        raise ValueError(
            explain(
                f"A batch was to be made of elements of shape {one} and of shape {other}.",
                "Expected elements of one shape.",
                "dataset.padded_batch(batch_size) fills up shorter ones; or bring them to one shape with dataset.map(...)",
            )
        )
    if isinstance(first, Text):
        return torch.stack(list(leaves))
    try:  # a plain copy, which does not call on other cores
        return torch.from_numpy(np.stack([leaf.numpy() for leaf in leaves]))
    except (TypeError, RuntimeError):  # another device, or a type that NumPy does not have
        return torch.stack(list(leaves))


def rows_of(element: Any) -> int:
    """Return the size of the first axis, which all parts of a batch share."""
    sizes = {len(leaf) for leaf in tree.flatten(element) if leaf is not None and not isinstance(leaf, (str, bytes))}
    if len(sizes) != 1:
        raise ValueError(
            explain(
                f"A data set got parts with {' and '.join(map(str, sorted(sizes)))} rows."
                if sizes
                else "A data set got nothing that has rows.",
                "Expected parts with as many rows each.",
                "check the lines that split or filter them",
            )
        )
    return sizes.pop()


def row_of(element: Any, index: int) -> Any:
    """Return one row of every part."""
    return tree.map_structure(lambda leaf: None if leaf is None else leaf[index], element)


def as_numpy(element: Any) -> Any:
    """Return an element with NumPy arrays in place of tensors."""
    return tree.map_structure(
        lambda leaf: leaf.detach().cpu().numpy() if isinstance(leaf, torch.Tensor) else leaf, element
    )


def shapes_in_words(element: Any) -> str:
    """Return what an element consists of, for messages: "(32, 28, 28) and (32,)"."""
    leaves = [leaf for leaf in tree.flatten(element) if leaf is not None]
    return " and ".join(str(tuple(leaf.shape)) if hasattr(leaf, "shape") else type(leaf).__name__ for leaf in leaves)
