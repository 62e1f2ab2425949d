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


def masks_of(structure: Any) -> Any:
    """Return the masks of the tensors in a structure, in the same structure; None if there are none."""
    leaves = [getattr(leaf, "_keras_mask", None) for leaf in tree.flatten(structure)]
    return tree.pack(structure, leaves) if any(leaf is not None for leaf in leaves) else None
