"""Nadam: Adam that looks one step of momentum ahead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.adam import one_minus_power
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks
from uncrumple.optimizers.host_values import HostVariable
from uncrumple.optimizers.state import Setting, Tensors


class Nadam(Optimizer):
    """Adam with Nesterov momentum, which grows during the first updates.

    With u_t = beta_1 * (1 - 0.5 * 0.96**t) and P_t = u_1 * ... * u_t:
    m = beta_1 * m + (1 - beta_1) * g, v = beta_2 * v + (1 - beta_2) * g²,
    n = u_{t+1} * m / (1 - P_{t+1}) + (1 - u_t) * g / (1 - P_t), then
    w = w - lr * n / (sqrt(v / (1 - beta_2**t)) + epsilon).

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        beta_1: Share of the old mean gradient that is kept, 0 to below 1.
        beta_2: Share of the old mean square that is kept, 0 to below 1.
        epsilon: Keeps the division finite.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", 2015.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Nadam(learning_rate=0.1)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([5.0, -0.01])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.8937, 1.1063])
    """

    beta_1 = Setting("betas", 0)
    beta_2 = Setting("betas", 1)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
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
        self.beta_1 = checks.number(owner, "beta_1", beta_1, 0, 1, below=True, example=0.9)
        self.beta_2 = checks.number(owner, "beta_2", beta_2, 0, 1, below=True, example=0.999)
        self.epsilon = checks.number(owner, "epsilon", epsilon, 0, example=1e-7)
        self._u_product = 1.0

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep the running means for each, and one product for all."""
        if self.built:
            return
        super().build(var_list)
        self.add_optimizer_variables(self._weights, ["momentum", "velocity"])
        self._add_loose(HostVariable(self, "_u_product", "variable", "float32"))

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights, a few calls for all of them together."""
        beta_1, beta_2 = self._settings["betas"]
        update = int(self.iterations) + 1
        now, following = self._growing(update), self._growing(update + 1)
        self._u_product = _as_stored(self._u_product * now)
        share_of_mean = following / (1.0 - self._u_product * following)
        share_of_gradient = (1.0 - now) / (1.0 - self._u_product)
        correction = one_minus_power(beta_2, update, self._dtype)
        pieces = blocks(weights, gradients, *slots)
        for weights, gradients, means, squares in pieces:
            torch._foreach_lerp_(means, gradients, 1.0 - beta_1)
            torch._foreach_mul_(squares, beta_2)
            torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - beta_2)
            ahead = torch._foreach_mul(means, share_of_mean)
            torch._foreach_add_(ahead, gradients, alpha=share_of_gradient)
            sizes = torch._foreach_div(squares, correction)
            torch._foreach_sqrt_(sizes)
            torch._foreach_add_(sizes, self.epsilon)
            torch._foreach_addcdiv_(weights, ahead, sizes, -learning_rate)

    def _growing(self, update: int) -> float:
        """Return u of an update, which grows towards beta_1."""
        return self._settings["betas"][0] * (1.0 - 0.5 * 0.96**update)

    def _after_loading(self) -> None:
        if not self._lists_all:
            self._u_product, update = 1.0, 0
            while update < int(self.iterations) and self._u_product:
                update += 1
                self._u_product = _as_stored(self._u_product * self._growing(update))

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def _as_stored(number: float) -> float:
    """Return a number rounded to what a file holds: training goes on from a file exactly as without it."""
    return float(str(np.float32(number)))
