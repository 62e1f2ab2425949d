"""What every initializer is: something that is called with a shape and a dtype and returns a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.arguments import NamesItsArguments
from uncrumple.core.errors import explain


class Initializer(NamesItsArguments):
    """Base class: subclass it, and return a tensor of `shape` from `__call__`.

    w = initializer(shape, dtype).

    Example:
        >>> class Sevens(Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return torch.full(tuple(shape), 7.0)
        >>> Sevens()((2,))
        tensor([7., 7.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no __call__ method.",
                "Expected an initializer to return a tensor of the shape asked for.",
                f"add def __call__(self, shape, dtype=None) to {type(self).__name__}",
            )
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return an initializer made with the arguments in `config`."""
        return cls(**config)

    def clone(self) -> Any:
        """Return a new initializer with the same arguments; an unseeded one gets a new seed."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"
