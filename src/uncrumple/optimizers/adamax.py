"""Adamax: Adam with the greatest recent size in place of the mean one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.adam import one_minus_power
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks
from uncrumple.optimizers.state import Setting, Tensors


class Adamax(Optimizer):
    """Follow a running mean of the gradient, in units of its greatest recent size.

    m = beta_1 * m + (1 - beta_1) * g, u = max(beta_2 * u, |g|), then at update
    t: w = w - lr / (1 - beta_1**t) * m / (u + epsilon).

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        beta_1: Share of the old mean gradient that is kept, 0 to below 1.
        beta_2: How slowly the greatest size is forgotten, 0 to below 1.
        epsilon: Keeps the division finite.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2014,
    section 7, https://arxiv.org/abs/1412.6980

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Adamax(learning_rate=0.1)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([5.0, -0.01])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.9000, 1.1000])
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

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep a mean and a greatest size for each."""
        if self.built:
            return
        super().build(var_list)
        self.add_optimizer_variables(self._weights, ["momentum", "norm"])

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights, a few calls for all of them together."""
        beta_1, beta_2 = self._settings["betas"]
        rate = learning_rate / one_minus_power(beta_1, int(self.iterations) + 1, self._dtype)
        pieces = blocks(weights, gradients, *slots)
        for weights, gradients, means, sizes in pieces:
            torch._foreach_lerp_(means, gradients, 1.0 - beta_1)
            torch._foreach_mul_(sizes, beta_2)
            torch._foreach_maximum_(sizes, torch._foreach_abs(gradients))
            torch._foreach_addcdiv_(weights, means, torch._foreach_add(sizes, self.epsilon), -rate)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
