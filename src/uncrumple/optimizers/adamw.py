"""AdamW: Adam with weight decay."""

from __future__ import annotations

from typing import Any

from uncrumple.core.errors import explain
from uncrumple.optimizers.adam import Adam


class AdamW(Adam):
    """Adam that first shrinks every weight by weight_decay * learning_rate.

    The decay is apart from the gradient, so that it is not divided by the
    gradient's typical size. Each step begins with w = w - lr * weight_decay * w
    and goes on as `Adam`.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        weight_decay: How strongly weights are pulled to 0, >= 0.
            `exclude_from_weight_decay(var_names=["bias"])` spares some.
        beta_1: Share of the old mean gradient that is kept, 0 to below 1.
        beta_2: Share of the old mean square that is kept, 0 to below 1.
        epsilon: Keeps the division finite.
        amsgrad: Whether to divide by the greatest mean square so far.
        clipnorm: This argument and those after it are explained in `Optimizer`.

    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019,
    https://arxiv.org/abs/1711.05101

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = AdamW(learning_rate=0.1, weight_decay=0.5)
        >>> optimizer.build([weight])
        >>> (weight * 3.0).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.8500])
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        if weight_decay is None:
            raise ValueError(
                explain(
                    f"{type(self).__name__} got weight_decay=None.",
                    "Expected a number: without weight decay, AdamW is Adam.",
                    "AdamW(weight_decay=0.004), or Adam()",
                )
            )
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
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
