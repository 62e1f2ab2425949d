"""Lion: the sign of the momentum, with one number kept per weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks
from uncrumple.optimizers.state import Setting, Tensors


class Lion(Optimizer):
    """Step by the sign of a mix of momentum and gradient: every entry moves by lr.

    w = w - lr * sign(beta_1 * m + (1 - beta_1) * g), then
    m = beta_2 * m + (1 - beta_2) * g. The learning rate is best 3 to 10 times
    smaller than Adam's, and the weight decay as much larger.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        beta_1: Share of the momentum in the step, above 0 to 1.
        beta_2: Share of the old momentum that is kept, 0 to below 1.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023,
    https://arxiv.org/abs/2302.06675

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Lion(learning_rate=0.1)
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
        beta_2: float = 0.99,
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
        self.beta_1 = checks.number(owner, "beta_1", beta_1, 0, 1, above=True, example=0.9)
        self.beta_2 = checks.number(owner, "beta_2", beta_2, 0, 1, below=True, example=0.99)

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep a momentum for each."""
        if self.built:
            return
        super().build(var_list)
        self.add_optimizer_variables(self._weights, "momentum")

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights, a few calls for all of them together."""
        beta_1, beta_2 = self._settings["betas"]
        pieces = blocks(weights, gradients, *slots)
        for weights, gradients, means in pieces:
            moves = torch._foreach_lerp(means, gradients, 1.0 - beta_1)
            torch._foreach_sign_(moves)
            torch._foreach_add_(weights, moves, alpha=-learning_rate)
            torch._foreach_lerp_(means, gradients, 1.0 - beta_2)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
        }
