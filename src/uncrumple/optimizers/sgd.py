"""Gradient descent, with or without momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks, same_layout
from uncrumple.optimizers.state import Setting, Tensors


class SGD(Optimizer):
    """Step against the gradient; with momentum, keep rolling.

    Without momentum: w = w - lr * g.
    With momentum: v = momentum * v - lr * g, then w = w + v
    or, with `nesterov`, w = w + momentum * v - lr * g.

    The learning rate is inside v, as in Keras: when it changes, the speed
    already gained stays.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        momentum: Share of the old velocity that is kept, 0 to 1.
        nesterov: Whether to look ahead by one step of momentum.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Sutskever et al., "On the importance of initialization and momentum
    in deep learning", 2013.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = SGD(learning_rate=0.5)
        >>> optimizer.build([weight])
        >>> (weight * 0.4).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.8000])
    """

    momentum = Setting("momentum")

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        self.momentum = checks.number(type(self).__name__, "momentum", momentum, 0, 1, example=0.9)
        self.nesterov = bool(nesterov)
        self._fused = False

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        """Take the weights; with momentum, keep a velocity for each."""
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self.add_optimizer_variables(self._weights, "momentum")

    def _settle(self) -> None:
        super()._settle()
        self._fused = self._can_fuse()

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights in one fused call; where there is none, in a few calls for all together."""
        if not self._fused or not same_layout(weights, gradients, *slots):
            self._update_unfused(weights, gradients, learning_rate, slots)
            return
        # torch's kernel does v = momentum * v + (1 - dampening) * g and then w = w - lr * v. With
        # Keras's rate in the dampening, and a rate of -1, it is Keras's formula in one pass over memory;
        # with a rate of -momentum it is Nesterov's without its last term.
        if not slots:
            self._call_kernel(weights, gradients, [], learning_rate, 0.0)
        elif not self.nesterov:
            self._call_kernel(weights, gradients, slots[0], -1.0, 1.0 + learning_rate)
        else:
            pieces = blocks(weights, gradients, *slots)
            for weights, gradients, velocities in pieces:
                self._call_kernel(weights, gradients, velocities, -self.momentum, 1.0 + learning_rate)
                torch._foreach_add_(weights, gradients, alpha=-learning_rate)

    def _call_kernel(
        self, weights: Tensors, gradients: Tensors, velocities: Tensors, rate: float, dampening: float
    ) -> None:
        torch._fused_sgd_(
            weights,
            gradients,
            velocities,
            weight_decay=0.0,
            momentum=self.momentum if velocities else 0.0,
            lr=rate,
            dampening=dampening,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )

    def _update_unfused(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """The same formula in plain torch; the tests compare the two."""
        if not slots:
            torch._foreach_add_(weights, gradients, alpha=-learning_rate)
            return
        (velocities,) = slots
        momentum = self.momentum
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, gradients, alpha=-learning_rate)
        if self.nesterov:
            torch._foreach_add_(weights, velocities, alpha=momentum)
            torch._foreach_add_(weights, gradients, alpha=-learning_rate)
        else:
            torch._foreach_add_(weights, velocities)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
