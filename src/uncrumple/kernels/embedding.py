"""Looking up rows of a table, with a gradient that is added up in place on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from uncrumple.kernels import native
from uncrumple.kernels.transforms import transformed


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, indices: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(indices)
        ctx.rows = table.shape[0]
        return functional.embedding(indices, table)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[None, torch.Tensor]:
        (indices,) = ctx.saved_tensors
        width = d_output.shape[-1]
        if d_output.ndim == 3 and d_output.stride(0) < d_output.stride(1):
            # From a recurrent layer: time lies before samples in memory.
            indices, d_output = indices.t(), d_output.transpose(0, 1)
        places, rows = indices.reshape(-1), d_output.reshape(-1, width)
        if not torch.is_grad_enabled() and native.takes(rows):
            # The numbers were looked up in the forward pass, so they are those of rows.
            total = rows.new_empty(ctx.rows, width)
            places, rows = places.contiguous(), rows.contiguous()
            native.call("add_rows", ctx.rows, width, len(places), places.dtype is torch.int64, places, rows, total)
            return None, total
        total = torch.zeros(ctx.rows, width, dtype=d_output.dtype, device=d_output.device)
        return None, total.index_add_(0, places, rows)


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
    if table.device.type != "cpu" or torch.compiler.is_compiling() or torch.jit.is_tracing() or transformed():
        return embedding_plain(indices, table)
    return _LookUp.apply(indices, table)


def embedding_plain(indices: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Do what `embedding` does with torch's own function, on any device."""
    return functional.embedding(indices, table)
