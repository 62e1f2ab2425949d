"""A product with weights and what follows it, there and back, without autograd: what larger functions are made of.

Where the weights stay in a core's cache, native kernels take some rows at a time through product, bias, relu, the sum
with a shortcut, and layer normalization. For larger weights a library's product is faster, and the rest comes after it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from uncrumple.kernels import native

# Weights up to so many numbers, in so many rows at most, stay in the cache; from so many rows of inputs on it pays.
_MOST_WEIGHTS, _DEEPEST, _LEAST_ROWS = 1 << 16, 384, 256


class Normalization(NamedTuple):
    """A layer normalization of the sum with what went in, at the end of a larger function.

    Attributes:
        gamma, beta: (features), or None.
        epsilon: Added to the variance.
    """

    gamma: torch.Tensor | None
    beta: torch.Tensor | None
    epsilon: float


class Normalized(NamedTuple):
    """What layer normalization has kept of a sum for its backward pass.

    Attributes:
        sum: (rows, columns).
        kept: (rows, 2): the mean of each row, and 1 / its standard deviation.
        gamma: (columns), or None.
    """

    sum: torch.Tensor
    kept: torch.Tensor
    gamma: torch.Tensor | None


class Gradients(NamedTuple):
    """What `gradients` returns.

    Attributes:
        products: Of the products, (rows, columns); before relu or normalization.
        x: Of the inputs, (rows, inner); None if not wanted.
        bias, gamma, beta: (columns) each; the last two only after a normalization.
    """

    products: torch.Tensor
    x: torch.Tensor | None
    bias: torch.Tensor
    gamma: torch.Tensor
    beta: torch.Tensor


def _stays_in_cache(rows: int, weights: torch.Tensor) -> bool:
    """Return whether the native kernels multiply so many rows with these weights sooner than torch does."""
    inner, columns = weights.shape
    whole = inner % 16 == 0 == columns % 16
    small = 0 < inner * columns <= _MOST_WEIGHTS and max(inner, columns) <= _DEEPEST
    return whole and small and rows >= _LEAST_ROWS and native.instruction_set() != "plain"


def multiply(x: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None, relu: bool = False) -> torch.Tensor:
    """Return `x @ weights + bias`, with relu if asked.

    Args:
        x: (rows, inner).
        weights: (inner, columns).
        bias: (columns), or None.
        relu: Whether negative results become 0.

    Example:
        >>> multiply(torch.tensor([[1.0, -2.0]]), torch.eye(2), torch.tensor([0.5, 0.5]), relu=True)
        tensor([[1.5000, 0.0000]])
    """
    if x.shape[1] == len(weights) and _stays_in_cache(len(x), weights):
        out = x.new_empty(len(x), weights.shape[1])
        given = _whole(x, weights, bias)
        native.call("dense", len(x), *weights.shape, relu, 0.0, *given, None, None, None, out, None, None)
    elif relu and bias is not None:
        out = torch.mm(x, weights)
        native.call("add_and_rectify", *out.shape, *_whole(bias), out)
    else:
        out = torch.mm(x, weights) if bias is None else torch.addmm(bias, x, weights)
        out = out.relu_() if relu else out
    return out


def multiply_and_normalize(
    x: torch.Tensor,
    weights: torch.Tensor,
    bias: torch.Tensor | None,
    shortcut: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    epsilon: float,
) -> tuple[torch.Tensor, Normalized]:
    """Return the layer normalization of `x @ weights + bias + shortcut`, and what its gradient needs.

    Args:
        x, weights, bias: As for `multiply`.
        shortcut: (rows, columns).
        gamma, beta: (columns), or None.
        epsilon: Added to the variance.
    """
    (shortcut,) = _whole(shortcut)  # type: ignore[assignment]
    out, kept = torch.empty_like(shortcut), x.new_empty(len(x), 2)
    if _stays_in_cache(len(x), weights):
        total = torch.empty_like(shortcut)
        given = _whole(x, weights, bias, shortcut, gamma, beta)
        native.call("dense", len(x), *weights.shape, False, epsilon, *given, out, total, kept)
    else:
        total = multiply(x, weights, bias).add_(shortcut)
        native.call("layer_normalize", *total.shape, epsilon, False, total, None, *_whole(gamma, beta), out, kept)
    return out, Normalized(total, kept, gamma)


def gradients(
    d_output: torch.Tensor,
    weights: torch.Tensor,
    *,
    rectified: torch.Tensor | None = None,
    normalized: Normalized | None = None,
    plus: torch.Tensor | None = None,
    x_wanted: bool = True,
    overwrite: bool = False,
) -> Gradients:
    """Return the gradients of what `multiply` or `multiply_and_normalize` was given.

    That of the weights is `x.T @ products`, and that of the shortcut `products`.

    Args:
        d_output: (rows, columns).
        weights: (inner, columns).
        rectified: What `multiply` returned, if there was a relu.
        normalized: What `multiply_and_normalize` returned beside its output.
        plus: (rows, inner), added to the gradient of x.
        x_wanted: Whether the gradient of x is wanted.
        overwrite: Whether `d_output` is needed by nobody else.

    Example:
        >>> found = gradients(torch.ones(1, 2), torch.eye(2), plus=torch.ones(1, 2))
        >>> found.x, found.bias
        (tensor([[2., 2.]]), tensor([1., 1.]))
    """
    rows, columns = d_output.shape
    sums = torch.zeros(torch.get_num_threads(), 3, columns, dtype=torch.float32, device="cpu")
    total, kept, gamma = normalized or (None, None, None)
    (d_output, weights), (gamma,) = _whole(d_output, weights), _whole(gamma)  # type: ignore[assignment]
    changed = rectified is not None or normalized is not None
    products = torch.empty_like(d_output) if changed and not overwrite else d_output
    if _stays_in_cache(rows, weights):
        x = d_output.new_empty(rows, weights.shape[0]) if x_wanted else None
        given = rectified, total, kept, gamma, d_output, weights, plus
        native.call("dense_backward", rows, *weights.shape, *given, products, x, sums)
        return Gradients(products, x, *sums[0])
    if normalized is not None:
        norms = sums[:, :2].contiguous()
        native.call(
            "layer_normalize_backward", rows, columns, False, total, None, gamma, d_output, kept, products, norms
        )
        found = (products.sum(0), *norms.sum(0))
    elif rectified is not None:
        biases = sums[:, 0].contiguous()
        native.call("relu_backward", rows, columns, False, rectified, d_output, products, biases)
        found = (biases.sum(0), *sums[0, 1:])
    else:
        found = (products.sum(0), *sums[0, 1:])
    # Within a block of autocast that began after the forward pass, torch's products are of bfloat16.
    x = torch.mm(products, weights.t()).float() if x_wanted else None
    if x is not None and plus is not None:
        x.add_(plus)
    return Gradients(products, x, *found)


def _whole(*some: torch.Tensor | None) -> list[torch.Tensor | None]:
    """Return tensors (None for None) whose numbers lie side by side, as the kernels read them."""
    return [one if one is None or one.is_contiguous() else one.contiguous() for one in some]
