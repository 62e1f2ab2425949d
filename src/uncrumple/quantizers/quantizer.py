"""Quantizers: objects that turn a tensor into one of few bits, and can be written into a config."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.quantizers.absolute_max import abs_max_quantize


class Quantizer:
    """The base of quantizers: called on a tensor, it returns the tensor in few bits, and what leads back.

    Args:
        output_dtype: Type of the result; `"int8"`.

    Example:
        >>> Quantizer()(torch.ones(1))
        tensor([1.])
    """

    def __init__(self, output_dtype: str = "int8") -> None:
        self.output_dtype = output_dtype

    def __call__(self, x: Any) -> Any:
        return x

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Quantizer:
        """Return a quantizer with these settings; the inverse of `get_config`."""
        return cls(**config)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal quantizer."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no get_config().",
                "Expected one: it returns the arguments of __init__.",
                'def get_config(self): return {"output_dtype": self.output_dtype}',
            )
        )


class AbsMaxQuantizer(Quantizer):
    """Scales by the largest number of an axis: `scale = value_range[1] / (max |x| + epsilon)`, `round(x * scale)`.

    Args:
        axis: The axis, or axes, over which the largest is taken; None for the last one.
        value_range: Smallest and largest result; (-127, 127).
        epsilon: Added to the largest; 1e-7.
        output_dtype: Type of the result; `"int8"`.

    Raises:
        ValueError: `value_range` does not fit into int8.

    Example:
        >>> outputs, scale = AbsMaxQuantizer(axis=0)(torch.tensor([[1.0], [-2.0]]))
        >>> outputs.tolist()
        [[64], [-127]]
    """

    def __init__(
        self,
        axis: Any = None,
        value_range: tuple[int, int] = (-127, 127),
        epsilon: float = 1e-7,
        output_dtype: str = "int8",
    ) -> None:
        super().__init__(output_dtype)
        self.axis = None if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.value_range = tuple(value_range)
        self.epsilon = epsilon
        if output_dtype == "int8" and (self.value_range[0] < -128 or self.value_range[1] > 127):
            raise ValueError(
                explain(
                    f"AbsMaxQuantizer got value_range={self.value_range}.",
                    "Expected numbers from -128 to 127: int8 holds no others.",
                    "AbsMaxQuantizer(value_range=(-127, 127))",
                )
            )

    def __call__(self, x: Any, axis: Any = None, to_numpy: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        over = axis if axis is not None else self.axis if self.axis is not None else -1
        return abs_max_quantize(x, over, self.value_range, self.output_dtype, self.epsilon, to_numpy)

    def get_config(self) -> dict[str, Any]:
        config = {"value_range": self.value_range, "epsilon": self.epsilon, "output_dtype": self.output_dtype}
        return config if self.axis is None else {**config, "axis": self.axis}
