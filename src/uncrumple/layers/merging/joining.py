"""The layer that joins tensors along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.merging.base import Merge, Shape, listed


class Concatenate(Merge):
    """Joins tensors along an axis.

    output = [x1, x2, ...] along `axis`; its size there = the sum of theirs.

    Args:
        axis: The axis along which sizes may differ and are added up.

    Input shapes: a list of shapes that are equal but for `axis`.
    Output shape: the same, with the sizes of `axis` added up.

    Example:
        >>> Concatenate()([torch.ones(2, 3), torch.ones(2, 5)]).shape
        torch.Size([2, 8])
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(
                explain(f"Concatenate got axis={axis!r}.", "Expected a whole number.", "Concatenate(axis=-1)")
            )
        self.axis = axis

    def _aligned(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return list(inputs)

    def _merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(inputs, self.axis)

    def _check_sizes(self, shapes: list[Shape]) -> None:
        rank = len(shapes[0])
        came = f"{self._label} got inputs of shapes {listed(shapes)}."
        if any(len(shape) != rank for shape in shapes):
            most = max(range(len(shapes)), key=lambda place: len(shapes[place]))
            fix = f"Flatten()(x{most + 1}) first, which has the most axes"
            raise ValueError(explain(came, "Expected as many axes in each.", fix))
        if not -rank <= self.axis < rank:
            raise ValueError(
                explain(came, f"Expected axis={self.axis} to be one of their axes.", f"{type(self).__name__}(axis=-1)")
            )
        for axis in range(rank):
            sizes = {shape[axis] for shape in shapes} - {None}
            if axis != self.axis % rank and len(sizes) > 1:
                differing = [a for a in range(1, rank) if len({s[a] for s in shapes} - {None}) > 1]
                fix = "bring them to equal sizes first, for example with Flatten()"
                if len(differing) == 1:
                    fix = f"Concatenate(axis={differing[0]})"
                elif rank == 4 and differing == [1, 2] and len(shapes) == 2:
                    fix = _padding(shapes[0], shapes[1])
                raise ValueError(
                    explain(
                        came,
                        f"Expected equal sizes on every axis but {self.axis}; axis {axis} has {listed(sorted(sizes))}.",
                        fix,
                    )
                )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None or all(one is None for one in mask):
            return None
        masks = []
        for x, one in zip(inputs, mask):
            if one is None:
                masks.append(torch.ones(x.shape, dtype=torch.bool, device=x.device))
            else:
                masks.append(one if one.dim() == x.dim() else one.unsqueeze(-1).expand(x.shape))
        return torch.cat(masks, self.axis).any(-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


def _padding(one: Shape, other: Shape) -> str:
    """Return the line that brings the smaller of two images to the size of the larger."""
    missing = [(other[axis] or 0) - (one[axis] or 0) for axis in (1, 2)]
    place = 1 if missing[0] > 0 else 2
    rows, columns = (abs(count) for count in missing)
    return f"ZeroPadding2D(((0, {rows}), (0, {columns})))(x{place}), or images whose sides halve without a rest"
