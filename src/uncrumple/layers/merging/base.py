"""The base of layers that make one tensor of several: what they take, and what they say of shapes that do not fit."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.layers.shapes import shape_of

Shape = tuple[int | None, ...]


class Merge(Layer):
    """The base of layers on a list of tensors that are combined number by number.

    Sizes of 1 are repeated as needed, and tensors with fewer axes get axes of
    size 1 after the batch.
    """

    # How many inputs, or None for any number.
    _count: int | None = None
    # What a line that makes this layer must say, for messages.
    _needed = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if not isinstance(input_shape, list) or not all(isinstance(shape, tuple) for shape in input_shape):
            shapes = input_shape if isinstance(input_shape, tuple) else ()
            if not shapes or not all(isinstance(shape, tuple) for shape in shapes):
                raise self._not_a_list(input_shape)
        self._check(list(input_shape))

    def call(self, inputs: Any) -> torch.Tensor:
        if not isinstance(inputs, (list, tuple)):
            raise self._not_a_list(shape_of(inputs))
        try:
            return self._merge(self._aligned(inputs))
        except (RuntimeError, IndexError):
            self._check([shape_of(x) for x in inputs])
            raise

    def _aligned(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        rank = max(x.dim() for x in inputs)
        return [x if x.dim() == rank else x[(slice(None), *(None,) * (rank - x.dim()))] for x in inputs]

    def _merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        raise NotImplementedError

    def _check(self, shapes: list[Shape]) -> None:
        """Raise if tensors of these shapes cannot be combined."""
        if not shapes or (self._count is not None and len(shapes) != self._count):
            wanted = self._count or "at least 1"
            raise ValueError(
                explain(
                    f"{self._label} got {len(shapes)} inputs.",
                    f"Expected {wanted}.",
                    f"{type(self).__name__}()([{', '.join(f'x{n + 1}' for n in range(self._count or 2))}])",
                )
            )
        self._check_sizes(shapes)

    def _check_sizes(self, shapes: list[Shape]) -> None:
        batches = {shape[0] for shape in shapes if shape} - {None}
        rank = max(len(shape) for shape in shapes)
        for axis in range(1, rank):
            sizes = {shape[axis - rank] for shape in shapes if len(shape) - 1 >= rank - axis} - {None, 1}
            if len(sizes) > 1:
                raise ValueError(
                    explain(
                        f"{self._label} got inputs of shapes {listed(shapes)}.",
                        f"Expected equal sizes, or 1; axis {axis} has {listed(sorted(sizes))}.",
                        self._fix(shapes),
                    )
                )
        if len(batches) > 1:
            raise ValueError(
                explain(
                    f"{self._label} got inputs of shapes {listed(shapes)}.",
                    "Expected as many samples in each.",
                    "give all inputs of a model the same number of rows",
                )
            )

    def _fix(self, shapes: list[Shape]) -> str:
        last = shapes[0][-1]
        if len({shape[:-1] for shape in shapes}) == 1:
            return f"Dense({last})(x2) brings it to {last} features, or Concatenate()([...]) keeps both"
        return "bring them to one shape first, or Concatenate()([...]) along the axis that differs"

    def _not_a_list(self, shape: Any) -> ValueError:
        return ValueError(
            explain(
                f"{self._label} got one tensor of shape {shape}.",
                "Expected a list of tensors.",
                f"{type(self).__name__}({self._needed})([x1, x2])",
            )
        )

    def explain_input(self, shape: Any) -> str:
        return "bring the inputs to one shape first"

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return what any of the inputs marks as valid; None if one of them has no mask."""
        if mask is None or any(one is None for one in mask):
            return None
        return functools.reduce(torch.logical_or, mask)


def listed(things: Sequence[Any]) -> str:
    """Return things as a sentence lists them."""
    words = [str(thing) for thing in things]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
