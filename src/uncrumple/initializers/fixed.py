"""Initializers that give the same numbers each time: zeros, ones, what they are given, the identity matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.devices import default_device
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import explain
from uncrumple.initializers.base import Initializer


class Zeros(Initializer):
    """Start from zeros.

    w = 0.

    Example:
        >>> Zeros()((2,))
        tensor([0., 0.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return torch.zeros(tuple(shape), dtype=torch_dtype(dtype))


class Ones(Initializer):
    """Start from ones.

    w = 1.

    Example:
        >>> Ones()((2,))
        tensor([1., 1.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return torch.ones(tuple(shape), dtype=torch_dtype(dtype))


class Constant(Initializer):
    """Start from one number, or from an array that broadcasts to the shape.

    w = value.

    Args:
        value: The number or array.

    Example:
        >>> Constant(3.0)((2,))
        tensor([3., 3.])
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        kind = torch_dtype(dtype)
        return torch.as_tensor(self.value, dtype=kind, device=default_device()).expand(tuple(shape)).clone()

    def get_config(self) -> dict[str, Any]:
        return {"value": registry.serialize_keras_object(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        return cls(registry.deserialize_keras_object(config["value"]))


class Identity(Initializer):
    """Start from the identity matrix times `gain`; only for weights of two axes.

    w = gain where row = column, else 0.

    Args:
        gain: The number on the diagonal.

    Example:
        >>> Identity()((2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if len(shape) != 2:
            raise ValueError(
                explain(
                    f"Identity got shape={tuple(shape)}.",
                    "Expected a matrix: a shape of two axes.",
                    'initializer="orthogonal", which takes any shape of two axes or more',
                )
            )
        return self.gain * torch.eye(*shape, dtype=torch_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
