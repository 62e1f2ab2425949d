"""The layer that takes dot products of two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from uncrumple.core.errors import explain
from uncrumple.layers.merging.base import Merge, Shape, listed
from uncrumple.layers.shapes import shape_of


class Dot(Merge):
    """Takes the dot product of two tensors along an axis of each, sample by sample.

    `output[n, i, j] = sum over k of x1[n, i, k] * x2[n, j, k]` for `axes=2`.

    Args:
        axes: The axis to sum over, counted with the batch as 0; or one for each tensor.
        normalize: Whether both are scaled to length 1 along it first, so that
            the result is the cosine.

    Input shapes: a list of two shapes with equal sizes on those axes.
    Output shape: the sizes of x1 without its axis, then those of x2 without
    batch and axis; (samples, 1) if nothing else is left.

    Example:
        >>> Dot(axes=1)([torch.ones(2, 3), torch.ones(2, 3)])
        tensor([[3.],
                [3.]])
    """

    _count = 2
    _needed = "axes=1"

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        parts = axes if isinstance(axes, (list, tuple)) else (axes, axes)
        if len(parts) != 2 or any(isinstance(part, bool) or not isinstance(part, int) or part == 0 for part in parts):
            raise ValueError(
                explain(
                    f"Dot got axes={axes!r}.",
                    "Expected a whole number other than 0 (the batch), or two of them.",
                    "Dot(axes=1)",
                )
            )
        self.axes = axes
        self.normalize = bool(normalize)
        self._pair = tuple(parts)

    def _aligned(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return list(inputs)

    def _merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        if len(inputs) != 2:
            self._check([shape_of(x) for x in inputs])
        x1, x2 = inputs
        if x1.dim() < 2 or x2.dim() < 2 or x1.shape[self._pair[0]] != x2.shape[self._pair[1]]:
            self._check([shape_of(x1), shape_of(x2)])
        if self.normalize:
            x1, x2 = (x if x.is_floating_point() else x.to(self._compute_in) for x in (x1, x2))
            x1 = functional.normalize(x1, dim=self._pair[0], eps=1e-7)
            x2 = functional.normalize(x2, dim=self._pair[1], eps=1e-7)
        first, second = x1.movedim(self._pair[0], -1), x2.movedim(self._pair[1], 1)
        sizes = (*first.shape[:-1], *second.shape[2:])
        out = first.flatten(1, -2) if first.dim() > 2 else first.unsqueeze(1)
        out = torch.bmm(out, second.flatten(2) if second.dim() > 2 else second.unsqueeze(2))
        return out.reshape(sizes if len(sizes) > 1 else (sizes[0], 1))

    def _check_sizes(self, shapes: list[Shape]) -> None:
        came = f"{self._label} got inputs of shapes {listed(shapes)} and has axes={self.axes}."
        for shape, axis in zip(shapes, self._pair):
            if not -len(shape) < axis < len(shape):
                raise ValueError(explain(came, "Expected axes that both inputs have.", "Dot(axes=-1)"))
        left, right = shapes[0][self._pair[0]], shapes[1][self._pair[1]]
        if left is not None and right is not None and left != right:
            pairs = [
                (i, j)
                for i in range(1, len(shapes[0]))
                for j in range(1, len(shapes[1]))
                if shapes[0][i] is not None and shapes[0][i] == shapes[1][j]
            ]
            fix = f"Dot(axes={pairs[0]})" if pairs else f"Dense({left})(x2) brings it to {left} features"
            raise ValueError(explain(came, f"Expected equal sizes there, got {left} and {right}.", fix))
        batches = {shapes[0][0], shapes[1][0]} - {None}
        if len(batches) > 1:
            raise ValueError(explain(came, "Expected as many samples in each.", "give both the same number of rows"))

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None

    def get_config(self) -> dict[str, Any]:
        axes = list(self.axes) if isinstance(self.axes, (list, tuple)) else self.axes
        return {**super().get_config(), "axes": axes, "normalize": self.normalize}
