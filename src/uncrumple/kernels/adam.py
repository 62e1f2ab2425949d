"""A step of Adam for many weights in one native call."""

from __future__ import annotations

import ctypes
from itertools import chain
from operator import attrgetter

import torch

from uncrumple.kernels import native
from uncrumple.kernels.native.program import AdamSettings

Tensors = list[torch.Tensor]
_numel, _data_ptr, _type = torch.Tensor.numel, torch.Tensor.data_ptr, attrgetter("dtype")


def native_adam_rows(
    weight: torch.Tensor,
    places: torch.Tensor,
    rows: torch.Tensor,
    mean: torch.Tensor,
    square: torch.Tensor,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float = 0.0,
) -> None:
    """Do what `native_adam` does for a table whose gradient is a few rows, to the last bit.

    Args:
        weight: (rows, width), float32, dense; `mean` and `square` likewise.
        places: Which row of the table each of `rows` is added to: int32 or int64.
        rows: (count, width).
        rate, beta_1, beta_2, epsilon, decay: As for `native_adam`.
    """
    memory = (ctypes.c_void_p * 4)(weight.data_ptr(), None, mean.data_ptr(), square.data_ptr())
    settings = AdamSettings(rate, beta_1, beta_2, epsilon, 1.0 - decay)
    wide = places.dtype is torch.int64
    native.call("adam_rows", *weight.shape, len(places), wide, places, rows, memory, ctypes.addressof(settings))


def native_adam(
    weights: Tensors,
    gradients: Tensors,
    means: Tensors,
    squares: Tensors,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float = 0.0,
) -> bool:
    """Do a step of Adam where the native kernels can; return whether they did.

    Where gradients become zero, the running means shrink until they are so
    small that processors compute with them a hundred times slower: with border
    pixels that are nearly always black, rare words, units that died. The
    native kernel takes what is below 1e-38 for zero.

    Args:
        weights: At least one, all of one type on one device; moved in place, as are `means` and `squares`. What
            belongs to a weight lies in memory as the weight does, and is as large (`same_layout`).
        gradients: One per weight.
        means: Running means of the gradients.
        squares: Running means of their squares.
        rate: The learning rate with Adam's correction in it.
        beta_1: Share of the old mean that is kept.
        beta_2: Share of the old square that is kept.
        epsilon: Keeps the division finite.
        decay: The share that is first taken off each weight.

    Example:
        >>> w, m, v = torch.ones(3), torch.zeros(3), torch.zeros(3)
        >>> if native_adam([w], [torch.ones(3)], [m], [v], 0.1, 0.0, 0.0, 0.0):
        ...     assert torch.allclose(w, torch.full((3,), 0.9))
    """
    first = weights[0]
    if first.dtype is not torch.float32 or first.device.type != "cpu" or not native.available():
        return False
    if len(set(map(_type, weights))) > 1:
        return False  # one of them has become float64 since
    count = len(weights)
    sizes = (ctypes.c_int64 * count)(*map(_numel, weights))
    places = map(_data_ptr, chain.from_iterable(zip(weights, gradients, means, squares)))
    memory = (ctypes.c_void_p * (4 * count))(*places)
    settings = AdamSettings(rate, beta_1, beta_2, epsilon, 1.0 - decay)
    native.call("adam", count, ctypes.addressof(sizes), ctypes.addressof(memory), ctypes.addressof(settings))
    return True
