"""What is said when the formula of an optimizer that a user wrote fails, or makes NaN."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import own_parts
from uncrumple.core.errors import explain
from uncrumple.optimizers.state import Tensors


def failed(optimizer: Any, weight: torch.Tensor, error: Exception) -> Exception | None:
    """Return the error to raise in place of one from `update_step`; None to leave it as it is."""
    return own_parts.failed(
        f"{type(optimizer).__name__} '{optimizer.name}'",
        error,
        on=f" in update_step() on the weight '{optimizer._name_of(weight)}' of shape {tuple(weight.shape)}",
        expected="Expected operations that fit this shape: that of the gradient, too.",
        about_shapes=True,
        fix="self.assign_sub(variable, learning_rate * gradient)",
    )


def say_returned(optimizer: Any, returned: torch.Tensor) -> str:
    """Return what to say where `update_step` returned a tensor in place of changing the weight."""
    return explain(
        f"{type(optimizer).__name__} '{optimizer.name}': its update_step() returned {own_parts.described(returned)}.",
        "Expected it to change the weight in place, and to return nothing.",
        "self.assign(variable, ...) or self.assign_sub(variable, ...) in place of return",
    )


def first_update(
    optimizer: Any, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]
) -> None:
    """Do the first update of an optimizer, and refuse NaN that its formula made."""

    def broken(tensors: Tensors) -> list[bool]:
        return [bool(torch.isnan(one).any()) for one in tensors]

    before = broken(weights)
    optimizer.update_weights(weights, gradients, learning_rate, slots)
    for weight, old, gradient, new in zip(weights, before, broken(gradients), broken(weights)):
        if new and not old and not gradient:
            raise ValueError(
                explain(
                    f"{type(optimizer).__name__} '{optimizer.name}' turned the weight "
                    f"'{optimizer._name_of(weight)}' into NaN in its first step, with a gradient that is finite.",
                    "Expected finite numbers.",
                    "gradient / (velocity.sqrt() + 1e-7): a small number where something is divided by 0",
                )
            )
