"""Looking up rows of a table, with a gradient that is added up in place on the CPU.

The gradient of a large table is nearly all zeros. Between `loss.backward()`
and the step of an optimizer that can use them (`gradients_as_rows`) it stays
what it is made of: the rows that were looked up, and where they stand.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from uncrumple.kernels import native
from uncrumple.kernels.transforms import differentiated, watched


class RowGradient:
    """The gradient of a table as rows that are added to its rows.

    Attributes:
        places: Which row of the table each is added to: int32 or int64, (count).
        rows: (count, width), float32.
    """

    def __init__(self, places: torch.Tensor, rows: torch.Tensor) -> None:
        self.places, self.rows = places, rows

    def dense(self, table: torch.Tensor) -> torch.Tensor:
        """Return the gradient as large as the table."""
        return _added_up(self.places, self.rows, table.shape[0])


class _OfThread(threading.local):
    """What a thread is at: {id of a table: its gradients of this backward pass} within `gradients_as_rows`."""

    collected: dict[int, list[RowGradient]] | None = None


_mine = _OfThread()


@contextmanager
def gradients_as_rows(tables: dict[int, Any]) -> Iterator[None]:
    """Within this block a backward pass leaves the gradients of tables in their `row_gradient`, if it can.

    `table.grad` is as ever: it is made of the rows when somebody asks for it. A table that is used in other ways,
    too, or looked up twice, gets an ordinary gradient.

    Args:
        tables: {id: `Variable`}.
    """
    if not tables:
        yield
        return
    before = _mine.collected
    found: dict[int, list[RowGradient]] = {place: [] for place in tables}
    _mine.collected = found
    try:
        yield
    finally:
        _mine.collected = before
        for place, gradients in found.items():
            table = tables[place]
            if len(gradients) == 1 and table.grad is None:
                table.row_gradient = gradients[0]
                continue
            for one in gradients:
                dense = one.dense(table)
                table.grad = dense if table.grad is None else table.grad.add_(dense)


def _added_up(places: torch.Tensor, rows: torch.Tensor, count: int) -> torch.Tensor:
    total = rows.new_empty(count, rows.shape[1])
    native.call("add_rows", *total.shape, len(places), places.dtype is torch.int64, places, rows, total)
    return total


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, indices: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(indices)
        ctx.rows, ctx.table = table.shape[0], id(table)
        return functional.embedding(indices, table)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[None, torch.Tensor | None]:
        (indices,) = ctx.saved_tensors
        width = d_output.shape[-1]
        if d_output.ndim == 3 and d_output.stride(0) < d_output.stride(1):
            # From a recurrent layer: time lies before samples in memory.
            indices, d_output = indices.t(), d_output.transpose(0, 1)
        places, rows = indices.reshape(-1), d_output.reshape(-1, width)
        if not differentiated(rows) and native.takes(rows):
            # The numbers were looked up in the forward pass, so they are those of rows.
            places, rows = places.contiguous(), rows.contiguous()
            collected = _mine.collected
            if collected is not None and ctx.table in collected:
                collected[ctx.table].append(RowGradient(places, rows))
                return None, None
            return None, _added_up(places, rows, ctx.rows)
        return None, d_output.new_zeros(ctx.rows, width).index_add(0, places, rows)


def embedding(indices: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return the rows of `table` (rows, width) that whole numbers of any shape name: shape (..., width).

    Torch's own backward pass looks at the indices one by one; adding all rows
    with one call is faster.

    Raises:
        IndexError: On the CPU, a number is negative or not below the number of rows.

    Example:
        >>> embedding(torch.tensor([1, 0]), torch.tensor([[1.0], [2.0]]))
        tensor([[2.],
                [1.]])
    """
    if table.device.type != "cpu" or torch.compiler.is_compiling() or watched():
        return embedding_plain(indices, table)
    return _LookUp.apply(indices, table)


def embedding_plain(indices: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Do what `embedding` does with torch's own function, on any device."""
    return functional.embedding(indices, table)
