"""Layers that rearrange numbers and compute nothing."""

from __future__ import annotations

import math
import numbers
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers import checks, symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.input_spec import InputSpec
from uncrumple.layers.shapes import shape_of


class Flatten(Layer):
    """Lays all numbers of a sample in one row.

    output[i * width + j] = inputs[i, j]: row after row, as in memory.

    Args:
        data_format: With `"channels_first"` the channels are moved to the end
            first, so that the order is that of `"channels_last"` (the default).

    Input shape: (samples, ...).
    Output shape: (samples, product of the other sizes).

    Example:
        >>> Flatten()(torch.ones(32, 28, 28)).shape
        torch.Size([32, 784])
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = checks.data_format("Flatten", data_format)
        self.input_spec = InputSpec(min_ndim=1)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dim() < 2:
            return inputs.unsqueeze(1)
        if self.data_format == "channels_first" and inputs.dim() > 2:
            inputs = inputs.movedim(1, -1)
        return inputs.flatten(1)

    def explain_input(self, shape: Any) -> str:
        return "add the batch axis: x[None]"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class _Fills(InputSpec):
    """Accepts samples whose numbers fill the target shape of a `Reshape`."""

    def __init__(self, layer: Reshape) -> None:
        super().__init__(min_ndim=1)
        self.target = layer.target_shape

    def complaint(self, shape: Any) -> str | None:
        if len(shape) < 1 or None in shape[1:] or symbolic.state.active:
            # While shapes are being found, a size may stand for an unknown one.
            return super().complaint(shape)
        count = math.prod(shape[1:])
        known = math.prod(size for size in self.target if size != -1)
        if -1 in self.target:
            fits = known > 0 and count % known == 0
        else:
            fits = count == known
        if fits:
            return None
        multiple = "a multiple of " if -1 in self.target else ""
        return f"Expected {multiple}{known} numbers per sample, for target_shape={self.target}; these are {count}."


class Reshape(Layer):
    """Gives each sample another shape with as many numbers.

    The numbers keep their order: product(target_shape) = product of the input's axes.

    Args:
        target_shape: The new shape without the batch; one size may be -1,
            which stands for what is left over.

    Input shape: (samples, ...).
    Output shape: (samples, *target_shape).

    Raises:
        ValueError: The numbers of a sample do not fill `target_shape`.

    Example:
        >>> Reshape((28, 28, 1))(torch.ones(32, 784)).shape
        torch.Size([32, 28, 28, 1])
    """

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        target = tuple(target_shape) if isinstance(target_shape, (list, tuple, torch.Size)) else (target_shape,)
        whole = all(not isinstance(size, bool) and isinstance(size, numbers.Integral) for size in target)
        whole = whole and all(size >= -1 for size in target)
        if not whole or target.count(-1) > 1:
            raise ValueError(
                explain(
                    f"Reshape got target_shape={target_shape!r}.",
                    "Expected whole numbers without the batch, at most one of them -1.",
                    "Reshape((28, 28, 1))",
                )
            )
        self.target_shape = target = tuple(int(size) for size in target)
        self._count = math.prod(size for size in target if size != -1)
        self.input_spec = _Fills(self)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        left_over = math.prod(inputs.shape[1:]) // max(self._count, 1)
        shape = (inputs.shape[0], *(left_over if size == -1 else size for size in self.target_shape))
        if math.prod(shape) == inputs.numel():
            return inputs.reshape(shape)
        if symbolic.state.active:
            return inputs.new_empty(shape)  # data will tell
        expected = self.input_spec.complaint(inputs.shape) or ""
        came = f"{self._label} got an input of shape {shape_of(inputs)}."
        raise ValueError(explain(came, expected, self.explain_input(inputs.shape)))

    def explain_input(self, shape: Any) -> str:
        if not shape:
            return "add the batch axis: x[None]"
        return self._fitting(math.prod(shape[1:]))

    def _fitting(self, count: int) -> str:
        """Return a target shape for `count` numbers that differs from the given one in one size."""
        for axis in range(len(self.target_shape)):
            others = self.target_shape[:axis] + self.target_shape[axis + 1 :]
            if -1 not in others and math.prod(others) and count % math.prod(others) == 0:
                shape = (*self.target_shape[:axis], count // math.prod(others), *self.target_shape[axis + 1 :])
                return f"Reshape({shape})"
        return f"Reshape(({count},))"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": list(self.target_shape)}


class Permute(Layer):
    """Puts the axes of each sample into another order.

    output = inputs.permute(0, *dims): axis n of the output = axis dims[n - 1] of the input.

    Args:
        dims: The axes in their new order, counted from 1 (0 is the batch):
            `(2, 1)` exchanges the first two.

    Input shape: (samples, ...).
    Output shape: the same sizes in the new order.

    Example:
        >>> Permute((2, 1))(torch.ones(32, 10, 64)).shape
        torch.Size([32, 64, 10])
    """

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        good = isinstance(dims, (list, tuple)) and all(isinstance(axis, int) for axis in dims)
        if not good or sorted(dims) != list(range(1, len(dims) + 1)):
            raise ValueError(
                explain(f"Permute got dims={dims!r}.", "Expected each axis from 1 on exactly once.", "Permute((2, 1))")
            )
        self.dims = tuple(dims)
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.permute(0, *self.dims)

    def explain_input(self, shape: Any) -> str:
        return f"name all {len(shape) - 1} axes: Permute({tuple(range(len(shape) - 1, 0, -1))})"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": list(self.dims)}


class RepeatVector(Layer):
    """Repeats each row of features, as the steps of a sequence.

    output[t] = inputs, for t = 0 .. n - 1.

    Args:
        n: How often.

    Input shape: (samples, features).
    Output shape: (samples, n, features).

    Example:
        >>> RepeatVector(3)(torch.ones(32, 8)).shape
        torch.Size([32, 3, 8])
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = checks.whole_number("RepeatVector", "n", n, example=3)
        self.input_spec = InputSpec(ndim=2, meaning="(samples, features)")
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.unsqueeze(1).expand(-1, self.n, -1)

    def explain_input(self, shape: Any) -> str:
        return "add Flatten() before it" if len(shape) > 2 else "add the batch axis: x[None]"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}
