"""The merging layers as functions, in small letters: each makes the layer and calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.layers.merging.by_number import Add, Average, Maximum, Minimum, Multiply, Subtract
from uncrumple.layers.merging.joining import Concatenate
from uncrumple.layers.merging.products import Dot


def add(inputs: Any, **kwargs: Any) -> torch.Tensor:
    """Return the sum of the tensors in a list, as the layer `Add` computes it.

    output = x1 + x2 + ...

    Args:
        inputs: A list of tensors whose shapes broadcast together.
        **kwargs: As for the layer.

    Shapes: that of the inputs, broadcast.

    Example:
        >>> add([torch.ones(1, 2), torch.ones(1, 2)])
        tensor([[2., 2.]])
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> torch.Tensor:
    """Return the first tensor of a list minus the second, as the layer `Subtract` computes it.

    output = x1 - x2.

    Args:
        inputs: A list of two tensors.
        **kwargs: As for the layer.

    Shapes: that of the inputs, broadcast.

    Example:
        >>> subtract([torch.ones(1, 2), torch.ones(1, 2)])
        tensor([[0., 0.]])
    """
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> torch.Tensor:
    """Return the product of the tensors in a list, as the layer `Multiply` computes it.

    output = x1 * x2 * ...

    Args:
        inputs: A list of tensors whose shapes broadcast together.
        **kwargs: As for the layer.

    Shapes: that of the inputs, broadcast.

    Example:
        >>> multiply([torch.ones(1, 2), torch.full((1, 2), 3.0)])
        tensor([[3., 3.]])
    """
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> torch.Tensor:
    """Return the mean of the tensors in a list, as the layer `Average` computes it.

    output = (x1 + x2 + ...) / n.

    Args:
        inputs: A list of tensors whose shapes broadcast together.
        **kwargs: As for the layer.

    Shapes: that of the inputs, broadcast.

    Example:
        >>> average([torch.ones(1, 2), torch.full((1, 2), 3.0)])
        tensor([[2., 2.]])
    """
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> torch.Tensor:
    """Return the largest numbers of the tensors in a list, as the layer `Maximum` computes it.

    output = max(x1, x2, ...).

    Args:
        inputs: A list of tensors whose shapes broadcast together.
        **kwargs: As for the layer.

    Shapes: that of the inputs, broadcast.

    Example:
        >>> maximum([torch.ones(1, 2), torch.full((1, 2), 3.0)])
        tensor([[3., 3.]])
    """
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> torch.Tensor:
    """Return the smallest numbers of the tensors in a list, as the layer `Minimum` computes it.

    output = min(x1, x2, ...).

    Args:
        inputs: A list of tensors whose shapes broadcast together.
        **kwargs: As for the layer.

    Shapes: that of the inputs, broadcast.

    Example:
        >>> minimum([torch.ones(1, 2), torch.full((1, 2), 3.0)])
        tensor([[1., 1.]])
    """
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> torch.Tensor:
    """Return the tensors of a list joined along an axis, as the layer `Concatenate` does it.

    output = [x1, x2, ...] along `axis`.

    Args:
        inputs: A list of tensors, equal in all axes but one.
        axis: The axis that is joined.
        **kwargs: As for the layer.

    Shapes: that of the inputs, with the sum of their sizes on `axis`.

    Example:
        >>> concatenate([torch.ones(1, 2), torch.zeros(1, 1)])
        tensor([[1., 1., 0.]])
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: int | Sequence[int] = -1, **kwargs: Any) -> torch.Tensor:
    """Return the dot product of two tensors, as the layer `Dot` computes it.

    output = sum of x1 * x2 along `axes`.

    Args:
        inputs: A list of two tensors.
        axes: The axis, or the two axes, to sum over.
        **kwargs: As for the layer.

    Shapes: (samples, axes of the first but `axes`, axes of the second but `axes`).

    Example:
        >>> dot([torch.ones(1, 2), torch.ones(1, 2)], axes=1)
        tensor([[2.]])
    """
    return Dot(axes=axes, **kwargs)(inputs)
