"""Adam: momentum, divided by the recent typical size of each entry of the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np
import torch

from uncrumple.core.variable import Variable
from uncrumple.kernels import native
from uncrumple.kernels.adam import native_adam, native_adam_rows
from uncrumple.kernels.embedding import RowGradient
from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import same_layout
from uncrumple.optimizers.state import Setting, Tensors


class Adam(Optimizer):
    """Follow a running mean of the gradient, entry by entry in units of its typical size.

    m = beta_1 * m + (1 - beta_1) * g and v = beta_2 * v + (1 - beta_2) * g²;
    at update t, a = lr * sqrt(1 - beta_2**t) / (1 - beta_1**t), and
    w = w - a * m / (sqrt(v) + epsilon).

    `epsilon` is added to the uncorrected root, as in Keras; torch adds its
    `eps` after the correction, which acts like a larger one in early steps.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        beta_1: Share of the old mean gradient that is kept, 0 to below 1.
        beta_2: Share of the old mean square that is kept, 0 to below 1.
        epsilon: Keeps the division finite.
        amsgrad: Whether to divide by the greatest v so far.
        weight_decay: This argument and those after it are explained in `Optimizer`.

    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2014,
    https://arxiv.org/abs/1412.6980; AMSGrad: Reddi et al., 2018.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = Adam(learning_rate=0.1)
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
        amsgrad: bool = False,
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
        self.amsgrad = bool(amsgrad)
        self._fused = False
        self._steps: Tensors = []
        self._tables: Tensors = []

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and keep the running means for each."""
        if self.built:
            return
        super().build(var_list)
        self.add_optimizer_variables(self._weights, ["momentum", "velocity"])
        if self.amsgrad:
            self.add_optimizer_variables(self._weights, "velocity_hat")

    def _settle(self) -> None:
        super()._settle()
        self._fused = self._can_fuse()
        self._decay_is_fused = self._fused and self._decays is None
        if self._fused:
            self._steps = no_steps(len(self._weights), self._device)
        self._tables = [weight for weight in self._weights if _is_table(weight)] if self._takes_rows() else []

    def _takes_rows(self) -> bool:
        """Return whether nothing but Adam's formula looks at the gradients."""
        clips = (self.clipnorm, self.clipvalue, self.global_clipnorm)
        plain = self._fused and not self.amsgrad and type(self).update_weights is Adam.update_weights
        more = self.loss_scale_factor is not None or self.gradient_accumulation_steps or any(clips)
        return plain and not more and native.available()

    def tables(self) -> dict[int, torch.Tensor]:
        if not self._tables:
            return {}
        return {
            id(table): table
            for table in self._tables
            if table.requires_grad and not table._backward_hooks and not table._post_accumulate_grad_hooks
        }

    def _rows_of(self, table: Any) -> Any:
        taken = any(table is one for one in self._tables)
        return table.row_gradient if taken else table.grad

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights in one fused call; where there is none, in a few calls for all together."""
        beta_1, beta_2 = self._settings["betas"]
        update = self._iterations // (self.gradient_accumulation_steps or 1) + 1
        correction_1 = one_minus_power(beta_1, update, self._dtype)
        correction_2 = one_minus_power(beta_2, update, self._dtype)
        rate = learning_rate * math.sqrt(correction_2) / correction_1
        hats = slots[2] if self.amsgrad else []
        decay = (self.weight_decay or 0.0) * learning_rate if self._decay_is_fused else 0.0
        if self._tables and any(type(gradient) is RowGradient for gradient in gradients):
            settings = rate, beta_1, beta_2, self.epsilon, decay
            weights, gradients, slots = _move_tables(weights, gradients, slots, settings)
            if not weights:
                return
        if self._fused and same_layout(weights, gradients, *slots):
            fused_adam(
                weights, gradients, slots[0], slots[1], hats, self._steps, rate, beta_1, beta_2, self.epsilon, decay
            )
        else:
            if decay:
                self._decay(weights, decay)
            plain_adam(weights, gradients, slots[0], slots[1], hats, rate, beta_1, beta_2, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


# Numbers in a table from which on its gradient is worth keeping as rows.
_LARGE = 65536


def _is_table(weight: torch.Tensor) -> bool:
    if not isinstance(weight, Variable) or not weight.is_table or weight.numel() < _LARGE:
        return False
    return weight.dtype is torch.float32 and weight.device.type == "cpu" and weight.is_contiguous()


def _move_tables(weights: Tensors, gradients: Tensors, slots: list[Tensors], settings: Any) -> Any:
    """Move the tables whose gradients are rows; return the weights that are left, with their gradients and slots."""
    left = []
    for place, (weight, gradient) in enumerate(zip(weights, gradients)):
        if type(gradient) is not RowGradient:
            left.append(place)
        elif (
            same_layout([weight], *[[slot[place]] for slot in slots])
            and weight.is_contiguous()
            and all(slot[place].shape == weight.shape and slot[place].dtype is weight.dtype for slot in slots)
        ):
            native_adam_rows(weight, gradient.places, gradient.rows, slots[0][place], slots[1][place], *settings)
        else:
            gradients[place] = gradient.dense(weight)
            left.append(place)
    return [[one[place] for place in left] for one in (weights, gradients)] + [
        [[slot[place] for place in left] for slot in slots]
    ]


def one_minus_power(beta: float, exponent: int, dtype: torch.dtype) -> float:
    """Return 1 - beta ** exponent, the power rounded to float32 unless the weights are float64.

    Keras computes it in the type of the weights. For beta_2 = 0.999 the rounding
    changes the first steps by 1 part in 100,000, and Keras's results are the
    ones to reproduce. bfloat16 would round 0.999 to 1, so float32 it is there too.
    """
    if dtype is not torch.float64:
        rounded = 1.0 - float(np.float32(float(np.float32(beta)) ** exponent))
        if rounded:
            return rounded
    return 1.0 - beta**exponent


def ones_minus_powers(beta: float, exponents: range) -> np.ndarray:
    """Return `one_minus_power` in float32 for each of many exponents, to the last bit.

    Example:
        >>> ones_minus_powers(0.5, range(1, 4)).tolist()
        [0.5, 0.75, 0.875]
    """
    powers = np.fromiter(map(pow, repeat(float(np.float32(beta))), exponents), float, len(exponents))
    found = 1.0 - powers.astype(np.float32).astype(float)
    for place in np.flatnonzero(found == 0.0):
        found[place] = 1.0 - beta ** exponents[place]
    return found


def no_steps(count: int, device: torch.device) -> Tensors:
    """Return the counts of steps that `fused_adam` wants: one number for all weights."""
    return [torch.full((), math.inf, device=device)] * count


def fused_adam(
    weights: Tensors,
    gradients: Tensors,
    means: Tensors,
    squares: Tensors,
    hats: Tensors,
    steps: Tensors,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float = 0.0,
) -> None:
    """Do a step of Adam in one call of the native kernel, or of torch's.

    torch's kernel corrects for the first steps by itself, with epsilon inside
    the correction. Told that infinitely many steps have passed it corrects
    nothing, and the corrected `rate` makes it Keras's formula. Nothing on the
    device has to count, either.

    Args:
        weights: Moved in place, as are `means`, `squares` and `hats`.
        gradients: One per weight.
        means: Running means of the gradients.
        squares: Running means of their squares.
        hats: The greatest squares so far, for AMSGrad; empty without it.
        steps: What `no_steps` returned, for at least as many weights.
        rate: The learning rate with Adam's correction in it.
        beta_1: Share of the old mean that is kept.
        beta_2: Share of the old square that is kept.
        epsilon: Keeps the division finite.
        decay: The share that is first taken off each weight.
    """
    if not hats and native_adam(weights, gradients, means, squares, rate, beta_1, beta_2, epsilon, decay):
        return
    kernel = torch._fused_adamw_ if decay and rate else torch._fused_adam_
    kernel(
        weights,
        gradients,
        means,
        squares,
        hats,
        steps if len(weights) == len(steps) else steps[: len(weights)],
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        weight_decay=decay / rate if rate else 0.0,  # the kernel multiplies it by `lr`
        eps=epsilon,
        amsgrad=bool(hats),
        maximize=False,
    )


def plain_adam(
    weights: Tensors,
    gradients: Tensors,
    means: Tensors,
    squares: Tensors,
    hats: Tensors,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """Do what `fused_adam` does in plain torch; the tests compare the two."""
    torch._foreach_lerp_(means, gradients, 1.0 - beta_1)
    torch._foreach_mul_(squares, beta_2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - beta_2)
    if hats:
        torch._foreach_maximum_(hats, squares)
    sizes = torch._foreach_sqrt(hats or squares)
    torch._foreach_add_(sizes, epsilon)
    torch._foreach_addcdiv_(weights, means, sizes, -rate)
