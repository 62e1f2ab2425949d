"""What a layer accepts, stated once and checked with words."""

from __future__ import annotations

from typing import Any

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.core.shapes import as_shape


class InputSpec:
    """What one input of a layer must look like.

    Args:
        dtype: Type by name; not enforced, layers cast.
        shape: Whole shape with None for axes of any size.
        ndim: Exact number of axes, samples included.
        max_ndim: Largest number of axes.
        min_ndim: Smallest number of axes.
        axes: {axis: size} for axes that must have one size.
        allow_last_axis_squeeze: Whether a last axis of 1 may be missing or extra.
        optional: Whether None is accepted.
        name: Name of the input in a dict of inputs.
        meaning: What the axes stand for, for messages: `"(samples, steps, channels)"`.

    Shapes: it looks at those of the inputs; see `axes`, `ndim` and `shape`.

    Example:
        >>> InputSpec(min_ndim=2, axes={-1: 784})
        InputSpec(min_ndim=2, axes={-1: 784})
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
        meaning: str | None = None,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else as_shape(shape, "InputSpec")
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional
        self.meaning = meaning

    def get_config(self) -> dict[str, Any]:
        return {
            "dtype": self.dtype,
            "shape": self.shape,
            "ndim": self.ndim,
            "max_ndim": self.max_ndim,
            "min_ndim": self.min_ndim,
            "axes": self.axes,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        return cls(**config)

    def __repr__(self) -> str:
        parts = [
            f"{name}={value}"
            for name in ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
            if (value := getattr(self, name)) not in (None, {})
        ]
        return f"InputSpec({', '.join(parts)})"

    def complaint(self, shape: tuple[int | None, ...]) -> str | None:
        """Return what `shape` should have been, or None if it fits."""
        rank = len(shape)
        if self.allow_last_axis_squeeze and self.shape is not None:
            if rank == len(self.shape) + 1 and shape[-1] == 1:
                shape = shape[:-1]
            elif rank == len(self.shape) - 1 and self.shape[-1] == 1:
                shape = (*shape, 1)
            rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            return f"Expected {self.ndim} axes{_like(self)}, got {rank}."
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"Expected at least {self.min_ndim} axes, got {rank}."
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"Expected at most {self.max_ndim} axes, got {rank}."
        for axis, size in self.axes.items():
            if size is not None and -rank <= axis < rank and shape[axis] not in (size, None):
                return f"Expected {size} on {'the last axis' if axis == -1 else f'axis {axis}'}, got {shape[axis]}."
        if self.shape is not None:
            for axis, (want, got) in enumerate(zip(self.shape, shape)):
                if want is not None and got is not None and want != got:
                    return f"Expected shape {self.shape}, got {got} on axis {axis}."
        return None


def _like(spec: InputSpec) -> str:
    if spec.meaning is not None:
        return f": {spec.meaning}"
    return f" like {spec.shape}" if spec.shape is not None else ""


def check_inputs(layer: Any, shapes: Any) -> None:
    """Compare the shapes of what a layer got with its `input_spec`.

    Args:
        layer: The layer; its `explain_input(shape)` supplies the line to type.
        shapes: The structure of shapes (tuples) of its first argument, flattened.

    Raises:
        ValueError: A shape does not fit; the message names the layer.
    """
    specs = tree.flatten(layer.input_spec)
    if len(specs) != len(shapes):
        raise ValueError(
            explain(
                f"{layer._label} got {len(shapes)} input{'s' * (len(shapes) != 1)}.",
                f"Expected {len(specs)}.",
                f"call it with {'a list of ' + str(len(specs)) + ' tensors' if len(specs) > 1 else 'one tensor'}",
            )
        )
    for spec, shape in zip(specs, shapes):
        if spec is None or shape is None:
            continue
        expected = spec.complaint(shape)
        if expected is not None:
            raise ValueError(
                explain(f"{layer._label} got an input of shape {shape}.", expected, layer.explain_input(shape))
            )
