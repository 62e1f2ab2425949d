"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.layers.shapes import has_used_mask, shape_of

Shape = tuple[int | None, ...]


class Merge(Layer):
    """The base of layers on a list of tensors that are combined number by number.

    Sizes of 1 are repeated as needed, and tensors with fewer axes get axes of
    size 1 after the batch.
    """

    # How many inputs, or None for any number.
    _count: int | None = None

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
                        f"{self._label} got inputs of shapes {_listed(shapes)}.",
                        f"Expected equal sizes, or 1; axis {axis} has {_listed(sorted(sizes))}.",
                        self._fix(shapes),
                    )
                )
        if len(batches) > 1:
            raise ValueError(
                explain(
                    f"{self._label} got inputs of shapes {_listed(shapes)}.",
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
                f"{type(self).__name__}({'axes=1' if isinstance(self, Dot) else ''})([x1, x2])",
            )
        )

    def explain_input(self, shape: Any) -> str:
        return "bring the inputs to one shape first"

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return what any of the inputs marks as valid; None if one of them has no mask."""
        if mask is None or any(one is None for one in mask):
            return None
        return functools.reduce(torch.logical_or, mask)


def _listed(things: Sequence[Any]) -> str:
    words = [str(thing) for thing in things]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _padding(one: Shape, other: Shape) -> str:
    """Return the line that brings the smaller of two images to the size of the larger."""
    missing = [(other[axis] or 0) - (one[axis] or 0) for axis in (1, 2)]
    place = 1 if missing[0] > 0 else 2
    rows, columns = (abs(count) for count in missing)
    return f"ZeroPadding2D(((0, {rows}), (0, {columns})))(x{place}), or images whose sides halve without a rest"


def _masks(inputs: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
    """Return each tensor's mask in the tensor's own shape."""
    masks = [None if has_used_mask(x) else getattr(x, "_keras_mask", None) for x in inputs]
    return [None if mask is None else mask.unsqueeze(-1).expand(x.shape) for mask, x in zip(masks, inputs)]


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
        came = f"{self._label} got inputs of shapes {_listed(shapes)}."
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
                        f"Expected equal sizes on every axis but {self.axis}; axis {axis} has {_listed(sorted(sizes))}.",
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
        came = f"{self._label} got inputs of shapes {_listed(shapes)} and has axes={self.axes}."
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


# --- the same as functions --------------------------------------------------------


def add(inputs: Any, **kwargs: Any) -> Any:
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


def subtract(inputs: Any, **kwargs: Any) -> Any:
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


def multiply(inputs: Any, **kwargs: Any) -> Any:
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


def average(inputs: Any, **kwargs: Any) -> Any:
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


def maximum(inputs: Any, **kwargs: Any) -> Any:
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


def minimum(inputs: Any, **kwargs: Any) -> Any:
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


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
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


def dot(inputs: Any, axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
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
