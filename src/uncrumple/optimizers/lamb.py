"""Lamb: Adam whose step is as long, for each weight, as the weight itself allows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.adam import one_minus_power
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks
from uncrumple.optimizers.state import LEAST_HALF, Setting, Tensors


class Lamb(Optimizer):
    """Adam with the step of each weight scaled to the weight's own length, for large batches.

    With r = m' / (sqrt(v') + epsilon), where m' and v' are Adam's means
    divided by 1 - beta**t: w = w - lr * |w| / |r| * r, or without the ratio
    where |w| or |r| is 0.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        beta_1: Share of the old mean gradient that is kept, 0 to below 1.
        beta_2: Share of the old mean square that is kept, 0 to below 1.
        epsilon: Keeps the division finite.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: You et al., "Large Batch Optimization for Deep Learning: Training
    BERT in 76 minutes", 2020, https://arxiv.org/abs/1904.00962

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Lamb(learning_rate=0.1)
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
        """Take the weights, and keep the running means for each."""
        if self.built:
            return
        super().build(var_list)
        self.add_optimizer_variables(self._weights, ["momentum", "velocity"])

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights, a few calls for all of them together."""
        beta_1, beta_2 = self._settings["betas"]
        update = int(self.iterations) + 1
        # The corrections for the first steps, taken out of the two means: fewer passes over the weights.
        root = math.sqrt(one_minus_power(beta_2, update, self._dtype))
        scale = root / one_minus_power(beta_1, update, self._dtype)
        epsilon = self.epsilon * root
        if any(weight.dtype is torch.float16 for weight in weights):
            epsilon = max(epsilon, LEAST_HALF)
        moves = [torch.empty_like(weight, memory_format=torch.contiguous_format) for weight in weights]
        for some, means, squares, results in blocks(gradients, *slots, moves):
            torch._foreach_lerp_(means, some, 1.0 - beta_1)
            torch._foreach_mul_(squares, beta_2)
            torch._foreach_addcmul_(squares, some, some, 1.0 - beta_2)
            for mean, square, result in zip(means, squares, results):
                torch.sqrt(square, out=result)
                torch.div(mean, result.add_(epsilon), out=result)
        for weight, move in zip(weights, moves):
            size, length = torch.linalg.vector_norm(weight), torch.linalg.vector_norm(move) * scale
            ratio = torch.where((size > 0) & (length > 0), size / length, 1.0)
            weight.addcmul_(move, ratio, value=-learning_rate * scale)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
