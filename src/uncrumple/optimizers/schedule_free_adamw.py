"""AdamW that needs no schedule: it averages the weights instead of lowering the rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.adam import fused_adam, no_steps, one_minus_power
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import blocks, same_layout
from uncrumple.optimizers.state import LEAST_HALF, Tensors


class ScheduleFreeAdamW(Optimizer):
    """Follow fast weights with Adam's step, and train at a point between them and their average.

    With v = beta_2 * v + (1 - beta_2) * g² and the step
    d = lr * g / (sqrt(v / (1 - beta_2**t)) + epsilon), the fast weights z,
    their average x and the weights w of the model are
    z = z - d, x = x + (z - x) / t and w = (1 - beta_1) * z + beta_1 * x.

    Only z (kept as `momentum`) and v (`velocity`) are stored: x follows from w
    and z. The learning rate stays as it is to the end, and training can stop
    at any step. In the first `warmup_steps` updates it rises linearly.

    Keras gives these numbers on JAX. On TensorFlow and torch, Keras 3.15.1
    works x out with the new z in place of the old one, whereupon `beta_1` has
    no effect; `beta_1=1.0` gives those numbers here.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        beta_1: How near the weights are to the average, 0 to 1; 1 is the average itself.
        beta_2: Share of the old mean square that is kept, 0 to below 1.
        epsilon: Keeps the division finite.
        warmup_steps: Updates in which the learning rate rises to its full size.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Defazio et al., "The Road Less Scheduled", 2024,
    https://arxiv.org/abs/2405.15682

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = ScheduleFreeAdamW(learning_rate=0.1)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([5.0, -0.01])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.9000, 1.1000])
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
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
        self.beta_1 = checks.number(owner, "beta_1", beta_1, 0, 1, example=0.9)
        self.beta_2 = checks.number(owner, "beta_2", beta_2, 0, 1, below=True, example=0.999)
        self.epsilon = checks.number(owner, "epsilon", epsilon, 0, example=1e-8)
        self.warmup_steps = checks.whole(owner, "warmup_steps", warmup_steps, 0, example=100)
        self._fused = False
        self._steps: Tensors = []

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep for each the fast weight, which begins as a copy, and the mean square."""
        if self.built:
            return
        super().build(var_list)
        fast, _ = self.add_optimizer_variables(self._weights, ["momentum", "velocity"])
        with torch.no_grad():
            for slot, weight in zip(fast, self._weights):
                slot.copy_(weight)

    def _settle(self) -> None:
        super()._settle()
        self._fused = self._can_fuse()
        if self._fused:
            self._steps = no_steps(len(self._weights), self._device)

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights, a few calls for all of them together."""
        fast, squares = slots
        update = int(self.iterations) + 1
        if self.warmup_steps:
            learning_rate *= min(update / self.warmup_steps, 1.0)
        correction = one_minus_power(self.beta_2, update, self._dtype)
        beta_2 = 1.0 - one_minus_power(self.beta_2, 1, self._dtype)
        newest = 1.0 / update  # the share of z in x
        # With x put in terms of w and z: w = (1 - newest) * w + newest * z - (1 - newest) * (1 - beta_1) * d.
        kept = (1.0 - newest) * (1.0 - self.beta_1)
        if self._fused and learning_rate and same_layout(weights, gradients, fast, squares):
            # d = z_old - z, so that no array for d is needed: torch's kernel goes from z_old to z at once.
            # With beta1=0 its running mean is the gradient, which stands there already.
            root = math.sqrt(correction)
            rate, epsilon = learning_rate * root, self.epsilon * root
            pieces = blocks(weights, gradients, fast, squares)
            for weights, gradients, fast, squares in pieces:
                torch._foreach_mul_(weights, 1.0 - newest)
                if kept:
                    torch._foreach_add_(weights, fast, alpha=-kept)
                steps = self._steps[:1] * len(weights)
                fused_adam(fast, gradients, gradients, squares, [], steps, rate, 0.0, beta_2, epsilon)
                torch._foreach_add_(weights, fast, alpha=newest + kept)
            return
        torch._foreach_mul_(squares, beta_2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - beta_2)
        sizes = torch._foreach_div(squares, correction)
        torch._foreach_sqrt_(sizes)
        half = any(weight.dtype is torch.float16 for weight in weights)
        torch._foreach_add_(sizes, max(self.epsilon, LEAST_HALF) if half else self.epsilon)
        moves = torch._foreach_div(gradients, sizes)
        torch._foreach_add_(fast, moves, alpha=-learning_rate)
        torch._foreach_lerp_(weights, fast, newest)
        if kept:
            torch._foreach_add_(weights, moves, alpha=-kept * learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "warmup_steps": self.warmup_steps,
        }
