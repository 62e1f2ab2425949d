"""Loss scaling that finds its own scale, for float16."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.errors import explain
from uncrumple.optimizers import checks
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.host_values import FloatValue, HostVariable
from uncrumple.optimizers.state import Tensors

# Old files carry these arguments of `Optimizer`, at values that do nothing.
_IDLE = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


class LossScaleOptimizer(Optimizer):
    """Wrap an optimizer so that small float16 gradients do not vanish.

    The loss is multiplied by a scale before `backward()`, and the gradients
    are divided by it. A step whose gradients hold an infinity or NaN is left
    out, and the scale halved; after `dynamic_growth_steps` good steps in a
    row it is doubled.

    Args:
        inner_optimizer: The optimizer that moves the weights.
        initial_scale: The first scale, > 0.
        dynamic_growth_steps: Good steps until the scale doubles, >= 1.
        name: Its name.

    Source: Micikevicius et al., "Mixed Precision Training", 2018,
    https://arxiv.org/abs/1710.03740

    Example:
        >>> from uncrumple.optimizers import SGD
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = LossScaleOptimizer(SGD(0.5), initial_scale=1024.0)
        >>> optimizer.build([weight])
        >>> optimizer.scale_loss((weight * 0.4).sum()).backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.8000])
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        if not kwargs.pop("dynamic", True):
            raise ValueError(
                explain(
                    f"{owner} got dynamic=False.",
                    "Expected a scale that adapts: a fixed one belongs to the optimizer itself.",
                    "Adam(loss_scale_factor=1024.0)",
                )
            )
        for setting, idle in _IDLE.items():
            if kwargs.pop(setting, idle) != idle:
                raise ValueError(
                    explain(
                        f"{owner} got {setting}.",
                        "Expected it on the optimizer inside.",
                        f"LossScaleOptimizer(Adam({setting}=...))",
                    )
                )
        checks.only_known(owner, kwargs, ["inner_optimizer", "initial_scale", "dynamic_growth_steps", "name"])
        if not isinstance(inner_optimizer, Optimizer) or isinstance(inner_optimizer, LossScaleOptimizer):
            raise TypeError(
                explain(
                    f"{owner} got inner_optimizer={inner_optimizer!r}.",
                    "Expected an optimizer of this package that does not scale the loss yet.",
                    "LossScaleOptimizer(Adam())",
                )
            )
        self.inner_optimizer = inner_optimizer
        super().__init__(learning_rate=0.0, name=name)
        # Gradients must be divided once, and it is done here.
        inner_optimizer.loss_scale_factor = None
        inner_optimizer._lists_all = False
        self.initial_scale = checks.number(owner, "initial_scale", initial_scale, 0, above=True, example=2.0**15)
        self.dynamic_growth_steps = checks.whole(owner, "dynamic_growth_steps", dynamic_growth_steps, 1, example=2000)
        self._scale = float(self.initial_scale)
        self._good_steps = 0
        self._own_rate = 0.0

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, for itself and for the optimizer inside."""
        if self.built:
            return
        weights = list(var_list)
        self.inner_optimizer.build(weights)
        super().build(weights)
        self._share()

    def _share(self) -> None:
        """Show the settings and state of the optimizer inside, which torch's tools read and move."""
        self.param_groups = self.inner_optimizer.param_groups
        self.state = self.inner_optimizer.state

    def _apply(self, gradients: Tensors, places: tuple[int, ...] | None = None) -> None:
        if not _all_finite(gradients):
            self._scale *= 0.5
            self._good_steps = 0
            return
        with torch.no_grad():
            gradients = list(torch._foreach_mul(gradients, 1.0 / self._scale))
        self.inner_optimizer._apply(gradients, places)
        self._good_steps += 1
        if self._good_steps == self.dynamic_growth_steps:
            self._scale *= 2.0
            self._good_steps = 0

    @property
    def dynamic_scale(self) -> FloatValue:
        """The scale in effect."""
        return FloatValue(self._scale)

    @property
    def step_counter(self) -> int:
        """Good steps since the scale last changed."""
        return self._good_steps

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss times the scale; call `backward()` on that one."""
        return loss * self._scale

    @property
    def variables(self) -> list[Any]:
        """Its own four numbers, then what the optimizer inside keeps."""
        return [
            HostVariable(self, "_iterations", "iteration", "int64"),
            HostVariable(self, "_own_rate", "learning_rate", "float32"),
            HostVariable(self, "_good_steps", "step_counter", "int64"),
            HostVariable(self, "_scale", "dynamic_scale", "float32"),
            *self.inner_optimizer.variables,
        ]

    def _after_loading(self) -> None:
        self.inner_optimizer._after_loading()

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the optimizer inside."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> Any:
        """How many updates were made; steps left out do not count."""
        return self.inner_optimizer.iterations

    @iterations.setter
    def iterations(self, value: int) -> None:
        self.inner_optimizer.iterations = value

    def finalize_variable_values(self, var_list: Any) -> None:
        """Put the moving average of the optimizer inside in place of the weights, if it keeps one."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Name the weights that the weight decay of the optimizer inside leaves alone."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer inside in torch's form, with the scale among the settings."""
        self._check_built()
        self.param_groups[0]["loss_scale"] = (self._scale, self._good_steps)
        return self.inner_optimizer.state_dict()

    def load_state_dict(self, state_dict: Any) -> None:
        """Take the state that `state_dict` returned."""
        self._check_built()
        self.inner_optimizer.load_state_dict(state_dict)
        self._share()
        self._scale, self._good_steps = self.param_groups[0].get("loss_scale", (self._scale, self._good_steps))

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            "name": self.name,
            "inner_optimizer": registry.serialize_keras_object(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Return an optimizer with the settings in `config`."""
        config = dict(config)
        inner = registry.deserialize_keras_object(config.pop("inner_optimizer"), custom_objects)
        return cls(inner, **config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.name}', scale={self._scale:g}, {self.inner_optimizer!r}>"


@torch.no_grad()
def _all_finite(gradients: Tensors) -> bool:
    """Return whether no gradient holds an infinity or NaN; waits for the device, once."""
    largest = torch._foreach_norm([gradient for gradient in gradients if gradient.numel()], math.inf)
    if not largest:
        return True
    device = largest[0].device
    return bool(torch.stack([one.to(device, torch.float32) for one in largest]).isfinite().all())
