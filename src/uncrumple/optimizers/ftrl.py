"""FTRL: follow the regularized leader, for wide and sparse linear models."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from uncrumple import initializers
from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks
from uncrumple.optimizers.state import Tensors


class Ftrl(Optimizer):
    """Set each weight to the minimum of all past gradients' pull plus L1 and L2 penalties.

    n' = n + g², with p = -learning_rate_power:
    z = z + g + 2 * shrinkage * w - (n'**p - n**p) / lr * w, then
    w = (clip(z, -l1, l1) - z) / (n'**p / lr + 2 * (l2 + beta / (2 * lr))), n = n'.
    Weights whose |z| stays below l1 are exactly 0.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        learning_rate_power: How fast steps get shorter, <= 0; 0 is a fixed rate.
        initial_accumulator_value: The first n, >= 0.
        l1_regularization_strength: Pull to exactly 0, >= 0.
        l2_regularization_strength: Pull towards 0, >= 0.
        l2_shrinkage_regularization_strength: Pull on the size of the gradient only, >= 0.
        beta: Added to the L2 penalty over the learning rate, >= 0.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: McMahan et al., "Ad Click Prediction: a View from the Trenches", 2013.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Ftrl(learning_rate=0.1)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([5.0, -0.01])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.8371, 0.0037])
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )
        owner = type(self).__name__
        self.learning_rate_power = checks.number(
            owner, "learning_rate_power", learning_rate_power, -math.inf, 0, example=-0.5
        )
        self.initial_accumulator_value = checks.number(
            owner, "initial_accumulator_value", initial_accumulator_value, 0, example=0.1
        )
        self.l1_regularization_strength = checks.number(
            owner, "l1_regularization_strength", l1_regularization_strength, 0, example=0.01
        )
        self.l2_regularization_strength = checks.number(
            owner, "l2_regularization_strength", l2_regularization_strength, 0, example=0.01
        )
        self.l2_shrinkage_regularization_strength = checks.number(
            owner, "l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength, 0, example=0.01
        )
        self.beta = checks.number(owner, "beta", beta, 0, example=0.1)

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep the two sums for each."""
        if self.built:
            return
        super().build(var_list)
        first = initializers.Constant(self.initial_accumulator_value)
        self.add_optimizer_variables(self._weights, ["accumulator", "linear"], initializer=[first, "zeros"])

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights, a few calls for all of them together."""
        if not learning_rate:  # the formula divides by it
            return
        l1 = self.l1_regularization_strength
        pieces = blocks(weights, gradients, *slots)
        for weights, gradients, sums, pulls in pieces:
            before = self._power(sums)
            torch._foreach_addcmul_(sums, gradients, gradients)
            after = self._power(sums)
            torch._foreach_add_(pulls, gradients)
            if self.l2_shrinkage_regularization_strength:
                torch._foreach_add_(pulls, weights, alpha=2.0 * self.l2_shrinkage_regularization_strength)
            torch._foreach_sub_(before, after)
            torch._foreach_addcmul_(pulls, before, weights, 1.0 / learning_rate)
            torch._foreach_div_(after, learning_rate)
            torch._foreach_add_(after, 2.0 * self.l2_regularization_strength + self.beta / learning_rate)
            if l1:
                kept = torch._foreach_clamp_min(pulls, -l1)
                torch._foreach_clamp_max_(kept, l1)
                torch._foreach_sub_(kept, pulls)
            else:
                kept = torch._foreach_neg(pulls)
            torch._foreach_div_(kept, after)
            torch._foreach_copy_(weights, kept)

    def _power(self, sums: Tensors) -> Any:
        if self.learning_rate_power == -0.5:
            return torch._foreach_sqrt(sums)
        return torch._foreach_pow(sums, -self.learning_rate_power)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }
