"""Masking: mark the time steps that are to be skipped."""

from __future__ import annotations

import numbers
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer


class Masking(Layer):
    """Marks a time step as missing if all its features equal `mask_value`; layers that know masks then skip it.

    `mask = any(inputs != mask_value, over features)`. Marked time steps become
    zeros in the output.

    Args:
        mask_value: The number that stands for "missing".
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, time steps, ..., features).
    Output shape: the same, with a mask (samples, time steps, ...).

    Raises:
        ValueError: `mask_value` is not a number.

    Example:
        >>> x = torch.tensor([[[1.0, 2.0], [-1.0, -1.0]]])
        >>> Masking(mask_value=-1.0)(x)._keras_mask
        tensor([[ True, False]])
    """

    _makes_mask = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(mask_value, numbers.Real) or isinstance(mask_value, bool):
            raise ValueError(
                explain(f"Masking got mask_value={mask_value!r}.", "Expected a number.", "Masking(mask_value=0.0)")
            )
        self.mask_value: Any = mask_value
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.masked_fill(~self.compute_mask(inputs).unsqueeze(-1), 0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return False for each time step whose features all equal `mask_value`."""
        return (inputs != self.mask_value).any(dim=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}
