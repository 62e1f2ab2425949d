"""Layers that combine tensors number by number: sums, products, means, and the largest or smallest."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.layers.merging.base import Merge
from uncrumple.layers.shapes import has_used_mask, shape_of


class Add(Merge):
    """Adds tensors: `x1 + x2 + ...`.

    Input shapes: a list of equal shapes (sizes of 1 are repeated).
    Output shape: the common shape.

    Example:
        >>> Add()([torch.ones(2, 3), torch.ones(2, 3)]).shape
        torch.Size([2, 3])
    """

    def _merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return functools.reduce(torch.add, inputs)


class Subtract(Merge):
    """Takes the second tensor off the first: `x1 - x2`.

    output = x1 - x2.

    Input shapes: a list of two equal shapes (sizes of 1 are repeated).
    Output shape: the common shape.

    Example:
        >>> Subtract()([torch.ones(1, 2), torch.ones(1, 2)])
        tensor([[0., 0.]])
    """

    _count = 2

    def _merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        self._check_count(inputs)
        return inputs[0] - inputs[1]

    def _check_count(self, inputs: list[torch.Tensor]) -> None:
        if len(inputs) != 2:
            self._check([shape_of(x) for x in inputs])


class Multiply(Merge):
    """Multiplies tensors number by number: `x1 * x2 * ...`; what an input masks counts as 1.

    Input shapes: a list of equal shapes (sizes of 1 are repeated).
    Output shape: the common shape.

    Example:
        >>> Multiply()([torch.full((1, 2), 2.0), torch.full((1, 2), 3.0)])
        tensor([[6., 6.]])
    """

    def _merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        masks = _masks(inputs)
        product = functools.reduce(
            torch.mul, [x if mask is None else torch.where(mask, x, 1.0) for x, mask in zip(inputs, masks)]
        )
        if any(mask is None for mask in masks):
            return product
        return torch.where(functools.reduce(torch.logical_or, masks), product, 0.0)  # type: ignore[arg-type]


class Average(Merge):
    """Takes the mean of tensors number by number: `(x1 + x2 + ...) / count`.

    Input shapes: a list of equal shapes (sizes of 1 are repeated).
    Output shape: the common shape.

    Example:
        >>> Average()([torch.zeros(1, 2), torch.ones(1, 2)])
        tensor([[0.5000, 0.5000]])
    """

    def _merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return functools.reduce(torch.add, inputs) / len(inputs)


class _Extreme(Merge):
    """Maximum or minimum: there is no neutral number, so what is masked takes the other's value."""

    _of_two: Any

    def _merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        masks = _masks(inputs)
        best, best_mask = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:]):
            if mask is not None:
                x = torch.where(mask, x, best)
            if best_mask is not None:
                best = torch.where(best_mask, best, x)
            best_mask = None if mask is None or best_mask is None else best_mask | mask
            best = self._of_two(best, x)
        return best


class Maximum(_Extreme):
    """Keeps the largest of the tensors' numbers, place by place.

    output = max(x1, x2, ...), number by number.

    Input shapes: a list of equal shapes (sizes of 1 are repeated).
    Output shape: the common shape.

    Example:
        >>> Maximum()([torch.tensor([[1.0, 4.0]]), torch.tensor([[3.0, 2.0]])])
        tensor([[3., 4.]])
    """

    _of_two = staticmethod(torch.maximum)


class Minimum(_Extreme):
    """Keeps the smallest of the tensors' numbers, place by place.

    output = min(x1, x2, ...), number by number.

    Input shapes: a list of equal shapes (sizes of 1 are repeated).
    Output shape: the common shape.

    Example:
        >>> Minimum()([torch.tensor([[1.0, 4.0]]), torch.tensor([[3.0, 2.0]])])
        tensor([[1., 2.]])
    """

    _of_two = staticmethod(torch.minimum)


def _masks(inputs: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
    """Return each tensor's mask in the tensor's own shape."""
    masks = [None if has_used_mask(x) else getattr(x, "_keras_mask", None) for x in inputs]
    return [None if mask is None else mask.unsqueeze(-1).expand(x.shape) for mask, x in zip(masks, inputs)]
