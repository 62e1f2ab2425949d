"""Adagrad: each entry of a gradient is divided by the size of all its past ones."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from uncrumple import initializers
from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks, same_layout
from uncrumple.optimizers.state import Tensors


class Adagrad(Optimizer):
    """Divide the gradient by the root of the sum of its squares so far.

    s = s + g², then w = w - lr * g / sqrt(s + epsilon). Entries that rarely
    change take large steps, and every step gets shorter with time.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        initial_accumulator_value: The first s, >= 0.
        epsilon: Keeps the division finite.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Duchi et al., "Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization", 2011.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Adagrad(learning_rate=0.1)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([5.0, -0.01])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.9002, 1.0032])
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
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
        self.initial_accumulator_value = checks.number(
            owner, "initial_accumulator_value", initial_accumulator_value, 0, example=0.1
        )
        self.epsilon = checks.number(owner, "epsilon", epsilon, 0, example=1e-7)
        self._fused = False
        self._steps: Tensors = []
        self._epsilon_outside = 0.0
        self._seen = -1  # the sum of torch's counts of writes to the sums, after a step

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep the sum of squares for each."""
        if self.built:
            return
        super().build(var_list)
        first = initializers.Constant(self.initial_accumulator_value)
        self.add_optimizer_variables(self._weights, "accumulator", initializer=first)

    def _settle(self) -> None:
        super()._settle()
        first = self.initial_accumulator_value
        self._fused = self._can_fuse() and self._dtype is torch.float32 and self._device.type == "cpu"
        self._fused = self._fused and self.epsilon <= 1e-6 * first
        if self._fused:
            self._steps = [torch.ones(())] * len(self._weights)
            self._epsilon_outside = self.epsilon / (2.0 * math.sqrt(first)) if first else 0.0

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights in one fused call; where there is none, in a few calls for all together."""
        if self._fused and self._sums_are_large(slots[0]) and same_layout(weights, gradients, *slots):
            # torch's kernel adds epsilon to the root. For sums of at least `first`,
            # epsilon / (2 * sqrt(first)) there is epsilon here, but for epsilon / (8 * first)
            # of the step at most: with Keras's settings 1e-7, the rounding of float32.
            torch._fused_adagrad_(
                weights,
                gradients,
                slots[0],
                self._steps if len(weights) == len(self._steps) else self._steps[: len(weights)],
                lr=learning_rate,
                lr_decay=0.0,
                weight_decay=0.0,
                eps=self._epsilon_outside,
                maximize=False,
            )
            self._seen = sum(one._version for one in slots[0])
            return
        pieces = blocks(weights, gradients, *slots)
        for weights, gradients, sums in pieces:
            torch._foreach_addcmul_(sums, gradients, gradients)
            roots = torch._foreach_add(sums, self.epsilon)
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(weights, gradients, roots, -learning_rate)

    def _sums_are_large(self, sums: Tensors) -> bool:
        """Return whether all are as large as the first ones; looked at again when someone else has written them."""
        if sum(one._version for one in sums) == self._seen:
            return True
        least = self.initial_accumulator_value * (1.0 - 1e-6)
        return all(bool(one.min() >= least) for one in sums if one.numel())

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
