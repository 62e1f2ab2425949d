"""Reductions of groups of rows, where each row says which group it belongs to."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import tensors

operation = group("math")
# fmt: off
__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]
# fmt: on


def _lowest(kind: torch.dtype) -> Any:
    return -torch.inf if kind.is_floating_point else torch.iinfo(kind).min


def _highest(kind: torch.dtype) -> Any:
    return torch.inf if kind.is_floating_point else torch.iinfo(kind).max


def _reduced(owner: str, data: Any, segment_ids: Any, num_segments: int | None, how: str, start: Any) -> torch.Tensor:
    data, ids = tensors(data, segment_ids)
    if ids.ndim != 1 or data.ndim == 0 or ids.shape[0] != data.shape[0]:
        raise ValueError(
            explain(
                f"{owner} got data of shape {tuple(data.shape)} and segment_ids of shape {tuple(ids.shape)}.",
                "Expected one whole number for each row of the data.",
                f"ops.{owner}(data, ops.reshape(segment_ids, (-1,)))",
            )
        )
    ids = ids.to(data.device).long()
    count = (int(ids.max()) + 1 if ids.numel() else 0) if num_segments is None else int(num_segments)
    # What belongs to no segment goes into one more, which is left out.
    ids = torch.where((ids >= 0) & (ids < count), ids, count)
    out = torch.full((count + 1, *data.shape[1:]), start, dtype=data.dtype, device=data.device)
    places = ids.reshape(-1, *[1] * (data.ndim - 1)).expand(data.shape)
    return out.scatter_reduce(0, places, data, how)[:count]


@operation(2)
def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> torch.Tensor:
    """Return the sum of the rows of each segment, 0 where there are none.

    Args:
        data: (rows, ...).
        segment_ids: Which segment each row belongs to, from 0 on; others are left out.
        num_segments: How many there are; by default as many as are named.
        sorted: For Keras's signature: whether the ids ascend. It makes no difference here.

    Example:
        >>> segment_sum(torch.tensor([1, 2, 10]), torch.tensor([0, 0, 1]))
        tensor([ 3, 10])
    """
    return _reduced("segment_sum", data, segment_ids, num_segments, "sum", 0)


@operation(2)
def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> torch.Tensor:
    """Return the product of the rows of each segment, 1 where there are none; arguments are those of `segment_sum`."""
    return _reduced("segment_prod", data, segment_ids, num_segments, "prod", 1)


@operation(2)
def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> torch.Tensor:
    """Return the largest number of each segment, the smallest there is if empty; arguments as for `segment_sum`."""
    data, ids = tensors(data, segment_ids)
    return _reduced("segment_max", data, ids, num_segments, "amax", _lowest(data.dtype))


@operation(2)
def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> torch.Tensor:
    """Return the smallest number of each segment, the largest there is if empty; arguments as for `segment_sum`."""
    data, ids = tensors(data, segment_ids)
    return _reduced("segment_min", data, ids, num_segments, "amin", _highest(data.dtype))
