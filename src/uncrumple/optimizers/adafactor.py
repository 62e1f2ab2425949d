"""Adafactor: Adam's division by the typical size of a gradient, with little memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.state import LEAST_HALF, Tensors


class Adafactor(Optimizer):
    """Divide the gradient by its typical size, which is worked out from the means of rows and columns.

    At update t, with b = 1 - t**beta_2_decay and q = g² + epsilon_1, a weight
    with two or more axes keeps R = b * R + (1 - b) * mean(q, last axis) and
    C = b * C + (1 - b) * mean(q, axis before), and has v = R * C / mean(R).
    One with fewer axes keeps v = b * v + (1 - b) * q. Then u = g / sqrt(v) and
    w = w - a * u / max(1, rms(u) / clip_threshold), where rms is the root mean
    square and a = max(epsilon_2, rms(w)) * min(lr, 1 / sqrt(t)).

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        beta_2_decay: Exponent of the share of new squares, below 0.
        epsilon_1: Added to the squares, so that they are never 0.
        epsilon_2: Least size of a weight that counts for its step.
        clip_threshold: Greatest root mean square of u.
        relative_step: Whether a constant learning rate is held below
            1 / sqrt(t). The formula holds every rate below that, so that both
            settings give the same numbers, as they do in Keras.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Shazeer & Stern, "Adafactor: Adaptive Learning Rates with Sublinear
    Memory Cost", 2018, https://arxiv.org/abs/1804.04235

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Adafactor(learning_rate=0.1)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([5.0, -0.01])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.9000, 1.1000])
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
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
        self.beta_2_decay = checks.number(owner, "beta_2_decay", beta_2_decay, -math.inf, 0, below=True, example=-0.8)
        self.epsilon_1 = checks.number(owner, "epsilon_1", epsilon_1, 0, example=1e-30)
        self.epsilon_2 = checks.number(owner, "epsilon_2", epsilon_2, 0, example=1e-3)
        self.clip_threshold = checks.number(owner, "clip_threshold", clip_threshold, 0, above=True, example=1.0)
        self.relative_step = bool(relative_step)

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep for each the means of rows and columns, and the square they give."""
        if self.built:
            return
        super().build(var_list)
        for weight in self._weights:
            shape = tuple(weight.shape)
            name = getattr(weight, "name", None) or self._name_of(weight)
            for slot, kept in (("row", shape[:-1]), ("column", (*shape[:-2], *shape[-1:]))):
                # A weight with fewer axes has nothing to factor; Keras's files hold an integer 0 there.
                first = weight.new_zeros(kept) if len(shape) > 1 else weight.new_zeros((), dtype=torch.int32)
                self._keep_slot(weight, slot, first, name)
            self._add_slot(weight, "velocity")
        self._slot_names = ["row", "column", "velocity"]
        self._gather_slots()

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights; only the means are taken weight by weight."""
        rows, columns, squares = slots
        update = int(self.iterations) + 1
        newest = update**self.beta_2_decay  # 1 - b
        half = any(weight.dtype is torch.float16 for weight in weights)
        epsilon = max(self.epsilon_1, LEAST_HALF) if half else self.epsilon_1
        moves = torch._foreach_mul(gradients, gradients)
        matrices = [place for place, weight in enumerate(weights) if weight.dim() > 1]
        if matrices:
            for axis, kept in ((-1, rows), (-2, columns)):
                means = [moves[place].mean(axis) for place in matrices]
                torch._foreach_add_(means, epsilon)
                torch._foreach_lerp_([kept[place] for place in matrices], means, newest)
            for place in matrices:
                shares = (rows[place] / rows[place].mean(-1, keepdim=True)).unsqueeze(-1)
                torch.mul(shares, columns[place].unsqueeze(-2), out=squares[place])
        if len(matrices) < len(weights):
            others = [place for place, weight in enumerate(weights) if weight.dim() < 2]
            means = [moves[place] for place in others]
            torch._foreach_add_(means, epsilon)
            torch._foreach_lerp_([squares[place] for place in others], means, newest)
        rate = min(learning_rate, 1.0 / math.sqrt(update))
        for weight, gradient, square, move in zip(weights, gradients, squares, moves):
            torch.sqrt(square, out=move)
            if half:  # the product of small means is rounded to 0
                move.clamp_min_(LEAST_HALF**0.5)
            torch.div(gradient, move, out=move)
            root = 1.0 / math.sqrt(max(weight.numel(), 1))
            size = (torch.linalg.vector_norm(weight) * root).clamp_min_(self.epsilon_2)
            length = (torch.linalg.vector_norm(move) * (root / self.clip_threshold)).clamp_min_(1.0)
            weight.addcmul_(move, size / length, value=-rate)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }
