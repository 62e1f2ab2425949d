"""A matrix product with a bias, and with relu as one differentiable function for large inputs on the CPU.

Torch copies the bias into the result before it multiplies, rectifies into new
memory, and on the way back reads the gradient once for relu and once for the
bias. With relu, each is done once here, in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from uncrumple.kernels import dense_rows, native
from uncrumple.kernels.halves import lack_products, widened
from uncrumple.kernels.transforms import differentiated, gradients_by_twin, watched

# Below this many results, what is called around the product takes longer than what is saved.
_WORTH_IT = 32768
# Up to so many rows of bfloat16 are multiplied without tiles; for more, rounding the weights beforehand pays.
_FEW_ROWS = 4
# A row is worth a kernel of its own where the weights do not fit into a core's cache: then reading them is all there is.
MANY_WEIGHTS = 1 << 19


def multiply_add(
    x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None = None, relu: bool = False
) -> torch.Tensor:
    """Return `x @ kernel + bias`, with relu if asked.

    Args:
        x: (..., features).
        kernel: (features, units).
        bias: (units), or None.
        relu: Whether negative results become 0.

    Example:
        >>> multiply_add(torch.tensor([[1.0, -2.0]]), torch.eye(2), torch.tensor([0.5, 0.5]), relu=True)
        tensor([[1.5000, 0.0000]])
    """
    if lack_products(x, kernel, bias):
        return multiply_add(x.float(), kernel.float(), widened(bias), relu).to(x.dtype)
    count = x.numel() // max(x.shape[-1], 1) * kernel.shape[1]
    # While a program is written down for any number of samples, the count is no number to compare with.
    if bias is None or not relu or type(count) is not int or count < _WORTH_IT:
        return multiply_add_plain(x, kernel, bias, relu)
    if not native.takes(x, kernel, bias, half=True) or watched() or bias.shape != kernel.shape[1:]:
        return multiply_add_plain(x, kernel, bias, relu)
    return _Rectified.apply(x, kernel, bias)


def multiply_add_wide(
    x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None = None, relu: bool = False
) -> torch.Tensor:
    """Return `x @ kernel + bias` in bfloat16, with relu if asked, from weights in float32; there is no gradient.

    The weights are rounded while they are read, and not written down in between.

    Args:
        x: (..., features), bfloat16.
        kernel: (features, units), float32.
        bias: (units), float32, or None.
        relu: Whether negative results become 0.

    Example:
        >>> x = torch.tensor([[1.0, -2.0]], dtype=torch.bfloat16)
        >>> multiply_add_wide(x, torch.eye(2), torch.tensor([0.5, 0.5]), relu=True)
        tensor([[1.5000, 0.0000]], dtype=torch.bfloat16)
    """
    rows = (x if x.dim() == 2 else x.reshape(-1, x.shape[-1])).contiguous()
    there = x.is_cpu and native.takes(kernel, bias) and _fits(x, kernel, bias)
    if not there or (len(rows) > _FEW_ROWS and not native.has_tiles()):
        rounded = None if bias is None else bias.to(x.dtype)
        return multiply_add(x, kernel.to(x.dtype), rounded, relu)
    out = x.new_empty(len(rows), kernel.shape[1])
    start = None if bias is None else bias.contiguous()
    native.call("wide_product", len(rows), *kernel.shape, relu, rows, kernel.contiguous(), start, out)
    return out if x.dim() == 2 else out.view(*x.shape[:-1], kernel.shape[1])


def multiply_add_row(
    x: torch.Tensor,
    kernel: torch.Tensor,
    bias: torch.Tensor | None = None,
    relu: bool = False,
    least: int = MANY_WEIGHTS,
) -> torch.Tensor:
    """Return what `multiply_add` returns, without a gradient, and sooner where `x` is one row and the kernel large.

    Args:
        x, kernel, bias, relu: As for `multiply_add`.
        least: From how many weights on a row has a native kernel of its own.

    Example:
        >>> multiply_add_row(torch.tensor([[1.0, -2.0]]), torch.eye(2), torch.tensor([0.5, 0.5]), relu=True)
        tensor([[1.5000, 0.0000]])
    """
    one = x.numel() == x.shape[-1] and kernel.numel() >= least
    if not one or not native.takes(x, kernel, bias) or not _fits(x, kernel, bias):
        return multiply_add(x, kernel, bias, relu)
    out = x.new_empty(*x.shape[:-1], kernel.shape[1])
    start = None if bias is None else bias.contiguous()
    native.call("few_rows", 1, *kernel.shape, relu, x.contiguous(), kernel.contiguous(), start, out)
    return out


def multiply_add_plain(
    x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None = None, relu: bool = False
) -> torch.Tensor:
    """Do what `multiply_add` does with torch's own functions."""
    # For two axes addmm spares a transpose and its gradient.
    if bias is not None and x.dim() == 2:
        out = torch.addmm(bias, x, kernel)
    else:
        out = functional.linear(x, kernel.t(), bias)
    return torch.relu(out) if relu else out


def multiply_add_each(
    x: torch.Tensor, kernels: Sequence[torch.Tensor], biases: Sequence[torch.Tensor] | None
) -> list[torch.Tensor]:
    """Return `x @ kernel + bias` for each of several kernels, with one gradient of `x` for all.

    Example:
        >>> multiply_add_each(torch.ones(1, 2), [torch.eye(2), torch.ones(2, 1)], None)
        [tensor([[1., 1.]]), tensor([[2.]])]
    """
    if lack_products(x, *kernels, *(biases or [])):
        wide = [one.float() for one in kernels], None if biases is None else [one.float() for one in biases]
        return [one.to(x.dtype) for one in multiply_add_each(x.float(), *wide)]
    if native.takes(x, *kernels, *(biases or [])) and not watched() and x.numel() >= _WORTH_IT:
        return list(_SideBySide.apply(x, len(kernels), *kernels, *(biases or [])))
    if x.device.type == "cpu" and x.dtype is torch.bfloat16:
        # Several small products, there and back, take longer than copying the kernels side by side.
        bias = None if biases is None else torch.cat(list(biases))
        outputs = multiply_add_plain(x, torch.cat(list(kernels), 1), bias)
        return list(outputs.split([kernel.shape[1] for kernel in kernels], -1))
    nothing = [None] * len(kernels)
    return [multiply_add_plain(x, kernel, bias) for kernel, bias in zip(kernels, biases or nothing)]


def _fits(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """Return whether the shapes go together without broadcasting; where they do not, torch says so."""
    return x.shape[-1] == kernel.shape[0] and (bias is None or bias.shape == kernel.shape[1:])


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if x.dtype is torch.bfloat16:
            out = torch.addmm(bias, rows, kernel).relu_()  # oneDNN adds the bias before it rounds
        else:
            out = dense_rows.multiply(rows, kernel, bias, relu=True)
        ctx.save_for_backward(x, kernel, bias, out)
        return out.view(*x.shape[:-1], kernel.shape[1])

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, kernel, bias, out = ctx.saved_tensors
        if differentiated(d_output):
            return tuple(gradients_by_twin(_rectified_plain, (x, kernel, bias), [d_output]))
        rows, given = x.reshape(-1, x.shape[-1]), d_output.reshape(out.shape).contiguous()
        wanted = ctx.needs_input_grad
        if x.dtype is not torch.bfloat16:
            found = dense_rows.gradients(given, kernel, rectified=out, x_wanted=wanted[0])
            return (
                None if found.x is None else found.x.view(x.shape),
                rows.t() @ found.products if wanted[1] else None,
                found.bias if wanted[2] else None,
            )
        d = torch.empty_like(out)
        sums = torch.zeros(torch.get_num_threads(), d.shape[1], dtype=torch.float32, device="cpu")
        native.call("relu_backward", *d.shape, True, out, given, d, sums)
        return (
            (d @ kernel.t()).view(x.shape) if wanted[0] else None,
            rows.t() @ d if wanted[1] else None,
            sums.sum(0).to(bias.dtype) if wanted[2] else None,
        )


class _SideBySide(torch.autograd.Function):
    """Products of one tensor with several kernels, as one product there and one back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, count: int, *weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows, kernel = x.reshape(-1, x.shape[-1]), torch.cat(weights[:count], 1)
        ctx.save_for_backward(x, *weights)
        ctx.count, ctx.whole, ctx.widths = count, kernel, [one.shape[1] for one in weights[:count]]
        out = dense_rows.multiply(rows, kernel, torch.cat(weights[count:]) if len(weights) > count else None)
        return out.view(*x.shape[:-1], kernel.shape[1]).split(ctx.widths, -1)

    @staticmethod
    def backward(ctx: Any, *d_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        wanted, rows = ctx.needs_input_grad, x.reshape(-1, x.shape[-1])
        if differentiated(*d_outputs):  # to be differentiated again: nothing that autograd does not see
            d, kernel = torch.cat(d_outputs, -1).reshape(len(rows), -1), torch.cat(weights[: ctx.count], 1)
            found: Any = d, d @ kernel.t(), d.sum(0)
        else:
            found = dense_rows.gradients(joined(d_outputs), ctx.whole, x_wanted=wanted[0])[:3]
        d, d_x, d_bias = found
        d_kernels = (rows.t() @ d).split(ctx.widths, 1) if any(wanted[2:]) else [None] * ctx.count
        d_biases = d_bias.split(ctx.widths) if len(weights) > ctx.count else ()
        return (d_x.view(x.shape) if wanted[0] else None, None, *d_kernels, *d_biases)


def joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return (..., width) tensors side by side, as one matrix; without a copy where they lie so in memory."""
    first, width = parts[0], sum(one.shape[-1] for one in parts)
    strides, place, joined = [1], first.data_ptr(), True
    for size in reversed((*first.shape[1:-1], width)):  # those of the whole
        strides.insert(0, strides[0] * size)
    for one in parts:
        joined = joined and one.stride() == tuple(strides) and one.data_ptr() == place
        place += one.shape[-1] * one.element_size()
    if joined:
        return first.as_strided((first.numel() // first.shape[-1], width), (width, 1))
    return torch.cat(list(parts), -1).view(-1, width)


def _rectified_plain(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return multiply_add_plain(x, kernel, bias, relu=True)
