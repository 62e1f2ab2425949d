"""`Maxout`: of several numbers, the largest goes on."""

from __future__ import annotations

import numbers
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import whole_number
from uncrumple.layers.shapes import shape_of


class Maxout(Layer):
    """Keeps the largest of every k features: `output[j] = max over i of inputs[i * num_units + j]`.

    After a `Dense` layer of k * num_units units without activation this is a
    piecewise linear activation that is learned. Keras 3 has no such layer;
    names and order are those of TensorFlow Addons.

    Source: Goodfellow et al., "Maxout networks", 2013.

    Args:
        num_units: Number of features that are left; a divisor of those that come.
        axis: Where the features are; by default the last axis.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, ..., k * num_units).
    Output shape: (samples, ..., num_units).

    Raises:
        ValueError: The number of features is not a multiple of `num_units`.

    Example:
        >>> Maxout(2)(torch.tensor([[1.0, 5.0, 3.0, 2.0]]))
        tensor([[3., 5.]])
    """

    def __init__(self, num_units: int, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_units = whole_number("Maxout", "num_units", num_units)
        if isinstance(axis, bool) or not isinstance(axis, numbers.Integral) or axis == 0:
            raise ValueError(
                explain(
                    f"Maxout got axis={axis!r}.",
                    "Expected the number of an axis; axis 0 holds the samples.",
                    f"Maxout({self.num_units}, axis=-1)",
                )
            )
        self.axis: int = int(axis)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        rank = inputs.dim()
        axis = self.axis % rank if -rank < self.axis < rank else 0
        features = inputs.shape[axis]
        if axis == 0 or features % self.num_units:
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {shape_of(inputs)}.",
                    f"Expected a multiple of num_units={self.num_units} on axis {self.axis}.",
                    f"Dense({2 * self.num_units}) before it, to choose from 2 numbers per unit"
                    if self.axis == -1
                    else "an axis that the input has, and a num_units that divides its size",
                )
            )
        return inputs.unflatten(axis, (features // self.num_units, self.num_units)).amax(axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_units": self.num_units, "axis": self.axis}
