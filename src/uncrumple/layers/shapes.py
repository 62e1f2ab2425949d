"""Shapes of tensors and of nested structures of tensors, as layers pass them to `build`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.layers import symbolic


def as_tuples(shape: Any) -> Any:
    """Return a shape, or a structure of shapes, with each shape as a tuple."""
    if isinstance(shape, (list, tuple)):
        if all(size is None or isinstance(size, (int, np.integer)) for size in shape):
            return tuple(shape)
        return type(shape)(as_tuples(part) for part in shape) if not isinstance(shape, torch.Size) else tuple(shape)
    if isinstance(shape, dict):
        return {key: as_tuples(part) for key, part in shape.items()}
    return shape


def symbols(shape: Any, dtype: str) -> Any:
    shape = as_tuples(shape)
    if isinstance(shape, tuple) and all(size is None or isinstance(size, int) for size in shape):
        return symbolic.SymbolicTensor(shape, dtype)
    if isinstance(shape, dict):
        return {key: symbols(part, dtype) for key, part in shape.items()}
    return [symbols(part, dtype) for part in shape]


def shape_of(tensor: torch.Tensor) -> tuple[int | None, ...]:
    """Return a tensor's shape, with None for the batch while shapes are being found."""
    if isinstance(tensor, symbolic.SymbolicTensor):
        return tensor.shape
    shape = tuple(tensor.shape)
    found = symbolic.state.active or symbolic.state.trying or tensor.is_meta
    return (None, *shape[1:]) if shape and found else shape


def masks_of(structure: Any, *, used: bool = True) -> Any:
    """Return the masks of the tensors in a structure, in the same structure; None if there are none.

    Args:
        structure: Tensors, nested or not.
        used: Whether those count that attention has used up.
    """
    leaves = [getattr(leaf, "_keras_mask", None) for leaf in tree.flatten(structure)]
    if not used:
        leaves = [None if has_used_mask(one) else mask for one, mask in zip(tree.flatten(structure), leaves)]
    return tree.pack(structure, leaves) if any(leaf is not None for leaf in leaves) else None


def use_masks(structure: Any) -> None:
    """Mark the masks of tensors as used up, as Keras's `MultiHeadAttention` does with those of its inputs.

    In Keras it takes them off the tensors. From then on what looks at a tensor
    for its mask finds none: other attention, multiplications, the loss. But a
    layer whose `call` has an argument `mask` gets it all the same: that mask
    was found when the model was put together.
    """
    for leaf in tree.flatten(structure):
        mask = getattr(leaf, "_keras_mask", None)
        if mask is not None:
            leaf._used_mask = mask  # another one, set later, is not used up


def has_used_mask(tensor: Any) -> bool:
    """Return whether the mask of a tensor has been used up."""
    mask = getattr(tensor, "_used_mask", None)
    return mask is not None and mask is getattr(tensor, "_keras_mask", None)


def masks_by_name(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the masks of inputs for which a layer's `call` has an argument of its own: `query_mask` for `query`.

    As in Keras, that is for calls on several tensors; what is given explicitly stays.
    """
    names = layer._call_parameters
    given = {**dict(zip(names, args)), **kwargs}
    tensors = [name for name, value in given.items() if any(isinstance(x, torch.Tensor) for x in tree.flatten(value))]
    found: dict[str, Any] = {}
    for name in layer._takes_masks:
        if len(tensors) > 1 and name in tensors and given.get(f"{name}_mask") is None:
            if f"{name}_mask" not in names[: len(args)]:
                found[f"{name}_mask"] = masks_of(given[name], used=False)
    return found
