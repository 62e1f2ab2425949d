"""Adadelta: steps in units of the recent steps, per unit of the recent gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks
from uncrumple.optimizers.state import Tensors


class Adadelta(Optimizer):
    """Scale the gradient by the typical size of past steps over that of past gradients.

    s = rho * s + (1 - rho) * g², d = g * sqrt(u + epsilon) / sqrt(s + epsilon),
    u = rho * u + (1 - rho) * d², then w = w - lr * d.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
            The paper's is 1.0; Keras's default is far smaller.
        rho: Share of the old means that is kept, 0 to below 1.
        epsilon: Keeps the division finite, and starts the first steps.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012,
    https://arxiv.org/abs/1212.5701

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Adadelta(learning_rate=1.0)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([5.0, -0.01])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.9986, 1.0014])
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
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
        self.rho = checks.number(owner, "rho", rho, 0, 1, below=True, example=0.95)
        self.epsilon = checks.number(owner, "epsilon", epsilon, 0, example=1e-7)

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep the two running means for each."""
        if self.built:
            return
        super().build(var_list)
        self.add_optimizer_variables(self._weights, ["accumulated_grad", "accumulated_delta_var"])

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights, a few calls for all of them together."""
        pieces = blocks(weights, gradients, *slots)
        for weights, gradients, squares, steps in pieces:
            torch._foreach_mul_(squares, self.rho)
            torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - self.rho)
            moves = torch._foreach_add(steps, self.epsilon)
            torch._foreach_div_(moves, torch._foreach_add(squares, self.epsilon))
            torch._foreach_sqrt_(moves)
            torch._foreach_mul_(moves, gradients)
            torch._foreach_mul_(steps, self.rho)
            torch._foreach_addcmul_(steps, moves, moves, 1.0 - self.rho)
            torch._foreach_add_(weights, moves, alpha=-learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "rho": self.rho,
            "epsilon": self.epsilon,
        }
