"""Regularizers: penalties that are added to the loss, to keep weights small.

A regularizer is called with a weight (or with a layer's output) and returns
one number.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.arguments import NamesItsArguments
from uncrumple.core.errors import answer_misspellings, explain, unknown_name
from uncrumple.core.naming import to_snake_case


class Regularizer(NamesItsArguments):
    """Base class: subclass it, and return one number from `__call__`.

    loss = loss + regularizer(w).

    Example:
        >>> class Sparse(Regularizer):
        ...     def __call__(self, x):
        ...         return 0.1 * x.abs().sqrt().sum()
        ...     def get_config(self):
        ...         return {}
        >>> Sparse()(torch.ones(4))
        tensor(0.4000)
    """

    def __call__(self, x: torch.Tensor) -> Any:
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal regularizer."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no get_config method.",
                "Expected one, because the regularizer is being written to a file.",
                f"add def get_config(self) to {type(self).__name__}, returning its arguments as a dict",
            )
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a regularizer made with the arguments in `config`."""
        return cls(**config)


def _factor(owner: str, name: str, value: Any, default: float) -> float:
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(
            explain(
                f"{owner} got {name}={value!r}.",
                "Expected a finite number, zero or more.",
                f"{owner}({name}=0.01)",
            )
        )
    return float(value)


class L1L2(Regularizer):
    """Add l1 * sum|x| + l2 * sum(x**2).

    Args:
        l1: Factor of the absolute values.
        l2: Factor of the squares.

    Example:
        >>> L1L2(l1=0.1, l2=0.01)(torch.tensor([1.0, -2.0]))
        tensor(0.3500)
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor("L1L2", "l1", l1, 0.0)
        self.l2 = _factor("L1L2", "l2", l2, 0.0)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        penalty = x.new_zeros(())
        if self.l1:
            penalty = penalty + self.l1 * x.abs().sum()
        if self.l2:
            penalty = penalty + self.l2 * x.square().sum()
        return penalty

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """Add l1 * sum|x|, which drives many weights to exactly zero.

    Args:
        l1: Factor, zero or more.

    Example:
        >>> L1(0.1)(torch.tensor([1.0, -2.0]))
        tensor(0.3000)
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor("L1", "l1", l1, 0.01)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.l1 * x.abs().sum()

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Regularizer):
    """Add l2 * sum(x**2), which keeps all weights small.

    Args:
        l2: Factor, zero or more.

    Example:
        >>> L2(0.01)(torch.tensor([1.0, -2.0]))
        tensor(0.0500)
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor("L2", "l2", l2, 0.01)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.l2 * x.square().sum()

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Push the rows (or columns) of a matrix to be orthogonal to each other.

    penalty = factor * sum over pairs of |cos(row_i, row_j)| / (number of pairs).

    The penalty is `factor` times the mean absolute cosine between two of them.

    Args:
        factor: Factor, zero or more.
        mode: `"rows"` or `"columns"`.

    Input shape: (rows, columns), with two or more of what `mode` names.

    Example:
        >>> OrthogonalRegularizer(factor=0.5)(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
        tensor(0.5000)
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("OrthogonalRegularizer", "factor", factor, 0.01)
        if mode not in ("rows", "columns"):
            raise ValueError(unknown_name("OrthogonalRegularizer mode", mode, ("rows", "columns")))
        self.mode = mode

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dim() != 2:
            raise ValueError(
                explain(
                    f"OrthogonalRegularizer got a weight of shape {tuple(inputs.shape)}.",
                    "Expected a matrix: two axes.",
                    "use it on the kernel of a Dense layer, not on a bias or a convolution",
                )
            )
        rows = inputs if self.mode == "rows" else inputs.T
        rows = torch.nn.functional.normalize(rows, dim=1, eps=1e-7)
        cosines = rows @ rows.T
        count = rows.shape[0]
        apart = cosines * (1.0 - torch.eye(count, dtype=rows.dtype, device=rows.device))
        pairs = max(count * (count - 1.0) / 2.0, 1.0)  # a single vector has none, and costs nothing
        return self.factor * 0.5 * apart.abs().sum() / pairs

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

_ALL = (L1, L2, L1L2, OrthogonalRegularizer)
registry.add_builtins("regularizers", _ALL)
_BY_NAME: dict[str, Any] = {
    **{cls.__name__: cls for cls in _ALL},
    **{to_snake_case(cls.__name__): cls for cls in _ALL},
    "l1_l2": L1L2,
}


def get(identifier: Any) -> Any:
    """Return the regularizer that a name, config, class, function or None stands for.

    Args:
        identifier: A name, a config, a regularizer, a class or function, or None.

    Raises:
        ValueError: The name is not known; the message says which is meant.

    Example:
        >>> get("l2").get_config()
        {'l2': 0.01}
    """
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return registry.get("regularizer", identifier, _BY_NAME)


def serialize(regularizer: Any) -> Any:
    """Return the config of a regularizer.

    Args:
        regularizer: A regularizer.

    Example:
        >>> serialize(L2(0.1))["config"]
        {'l2': 0.1}
    """
    return registry.serialize_keras_object(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the regularizer that `serialize` described.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class or function} for what is not built in.

    Example:
        >>> deserialize(serialize(L1(0.5))).l1
        0.5
    """
    return registry.deserialize(config, _BY_NAME, get, custom_objects)


answer_misspellings(__name__)
