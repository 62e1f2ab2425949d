"""RMSprop: each entry of a gradient is divided by its recent typical size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks
from uncrumple.optimizers.state import Setting, Tensors


class RMSprop(Optimizer):
    """Divide the gradient by the root of a running mean of its square.

    s = rho * s + (1 - rho) * g², then w = w - lr * g / sqrt(s + epsilon).
    `centered`: with a = rho * a + (1 - rho) * g, the root is of s - a² + epsilon.
    With momentum: m = momentum * m + the step above, then w = w - m.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        rho: Share of the old mean that is kept, 0 to below 1.
        momentum: Share of the last step that is added to the next, 0 to 1.
        epsilon: Keeps the division finite.
        centered: Whether to divide by the spread around the mean gradient.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Tieleman & Hinton, Coursera lecture 6e, 2012; centered: Graves,
    "Generating Sequences With Recurrent Neural Networks", 2013.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = RMSprop(learning_rate=0.1)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([5.0, 0.01])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.6838, 0.6853])
    """

    momentum = Setting("momentum")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
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
        self.rho = checks.number(owner, "rho", rho, 0, 1, below=True, example=0.9)
        self.momentum = checks.number(owner, "momentum", momentum, 0, 1, example=0.9)
        self.epsilon = checks.number(owner, "epsilon", epsilon, 0, example=1e-7)
        self.centered = bool(centered)

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep the running means for each."""
        if self.built:
            return
        super().build(var_list)
        self.add_optimizer_variables(self._weights, "velocity")
        if self.momentum:
            self.add_optimizer_variables(self._weights, "momentum")
        if self.centered:
            self.add_optimizer_variables(self._weights, "average_gradient")

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights, a few calls for all of them together."""
        pieces = blocks(weights, gradients, *slots)
        for weights, gradients, squares, *more in pieces:
            torch._foreach_mul_(squares, self.rho)
            torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - self.rho)
            roots = torch._foreach_add(squares, self.epsilon)
            if self.centered:
                means = more[-1]
                torch._foreach_lerp_(means, gradients, 1.0 - self.rho)
                torch._foreach_addcmul_(roots, means, means, -1.0)
            torch._foreach_sqrt_(roots)
            if len(more) == 1 + self.centered:
                steps = more[0]
                torch._foreach_mul_(steps, self.momentum)
                torch._foreach_addcdiv_(steps, gradients, roots, learning_rate)
                torch._foreach_add_(weights, steps, alpha=-1.0)
            else:
                torch._foreach_addcdiv_(weights, gradients, roots, -learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
