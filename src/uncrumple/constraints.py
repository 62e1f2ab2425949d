"""Constraints: what a weight is put back into after each step of the optimizer.

A constraint is called with a weight and returns a tensor of the same shape.
`axis` names the axes along which a length is measured: 0 for the kernel of a
Dense layer (one length per unit), `[0, 1, 2]` for that of a Conv2D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.arguments import NamesItsArguments
from uncrumple.core.errors import answer_misspellings, explain
from uncrumple.core.naming import to_snake_case
from uncrumple.core.settings import epsilon

# Keeps the division by a length of zero finite.


class Constraint(NamesItsArguments):
    """Base class: subclass it, and return the changed weight from `__call__`.

    w = constraint(w), after each step.

    Example:
        >>> class Whole(Constraint):
        ...     def __call__(self, w):
        ...         return w.round()
        >>> Whole()(torch.tensor([0.4, 1.6]))
        tensor([0., 2.])
    """

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        return w

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a constraint made with the arguments in `config`."""
        return cls(**config)


def _length(w: torch.Tensor, axis: int | Sequence[int]) -> torch.Tensor:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return w.square().sum(dim=axes, keepdim=True).sqrt()


def _check_length(owner: str, name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(explain(f"{owner} got {name}={value!r}.", f"Expected {name} >= 0.", f"{owner}({name}=1.0)"))


class MaxNorm(Constraint):
    """Shorten vectors that are longer than `max_value`.

    w = w * min(|w|, max_value) / |w|.

    Args:
        max_value: Greatest length.
        axis: The axis, or axes, along which a vector lies.

    Example:
        >>> MaxNorm(max_value=1.0)(torch.tensor([[3.0, 0.1], [4.0, 0.0]]))
        tensor([[0.6000, 0.1000],
                [0.8000, 0.0000]])
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        _check_length("MaxNorm", "max_value", max_value)
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        length = _length(w, self.axis)
        return w * (length.clamp(0, self.max_value) / (epsilon() + length))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """Set negative weights to zero.

    w = max(w, 0).

    Example:
        >>> NonNeg()(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        return w.clamp(min=0)


class UnitNorm(Constraint):
    """Bring every vector to length 1.

    w = w / |w|.

    Args:
        axis: The axis, or axes, along which a vector lies.

    Example:
        >>> UnitNorm()(torch.tensor([[3.0], [4.0]]))
        tensor([[0.6000],
                [0.8000]])
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        return w / (epsilon() + _length(w, self.axis))

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Bring the length of every vector between two bounds.

    w = w * (rate * clip(|w|, min_value, max_value) + (1 - rate) * |w|) / |w|.

    Args:
        min_value: Least length.
        max_value: Greatest length.
        rate: How much of the way to go at each step, from 0 (none) to 1 (all).
        axis: The axis, or axes, along which a vector lies.

    Example:
        >>> MinMaxNorm(min_value=1.0, max_value=2.0)(torch.tensor([[0.3, 6.0], [0.4, 8.0]]))
        tensor([[0.6000, 1.2000],
                [0.8000, 1.6000]])
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ) -> None:
        _check_length("MinMaxNorm", "min_value", min_value)
        if not min_value <= max_value:
            raise ValueError(
                explain(
                    f"MinMaxNorm got min_value={min_value!r}, max_value={max_value!r}.",
                    "Expected min_value <= max_value.",
                    "MinMaxNorm(min_value=0.0, max_value=1.0)",
                )
            )
        if not 0 <= rate <= 1:
            raise ValueError(
                explain(f"MinMaxNorm got rate={rate!r}.", "Expected 0 <= rate <= 1.", "MinMaxNorm(rate=1.0)")
            )
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        length = _length(w, self.axis)
        wanted = self.rate * length.clamp(self.min_value, self.max_value) + (1 - self.rate) * length
        return w * (wanted / (epsilon() + length))

    def get_config(self) -> dict[str, Any]:
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm

_ALL = (MaxNorm, MinMaxNorm, NonNeg, UnitNorm)
registry.add_builtins("constraints", _ALL)
_BY_NAME: dict[str, Any] = {
    **{cls.__name__: cls for cls in _ALL},
    **{to_snake_case(cls.__name__): cls for cls in _ALL},
}


def get(identifier: Any) -> Any:
    """Return the constraint that a name, config, class, function or None stands for.

    Args:
        identifier: A name, a config, a constraint, a class or function, or None.

    Raises:
        ValueError: The name is not known; the message says which is meant.

    Example:
        >>> get("unit_norm").get_config()
        {'axis': 0}
    """
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return registry.get("constraint", identifier, _BY_NAME)


def serialize(constraint: Any) -> Any:
    """Return the config of a constraint.

    Args:
        constraint: A constraint.

    Example:
        >>> serialize(MaxNorm(3))["config"]
        {'max_value': 3, 'axis': 0}
    """
    return registry.serialize_keras_object(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the constraint that `serialize` described.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class or function} for what is not built in.

    Example:
        >>> deserialize(serialize(MaxNorm(3))).max_value
        3
    """
    return registry.deserialize(config, _BY_NAME, get, custom_objects)


answer_misspellings(__name__)
