"""What every optimizer shares: Keras's arguments, and the order of a step.

An optimizer is made from settings alone, and gets the weights in `build`.
From then on it is a `torch.optim.Optimizer` like any other. The order of one
step is in `_apply`, on one screen. A new optimizer is a short file: its
settings, `build` (which state it keeps) and `update_weights` (its formula,
over all weights at once).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.autograd import profiler
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from uncrumple.core import own_parts, own_values, registry
from uncrumple.core.errors import explain, warn
from uncrumple.core.variable import gradient_of
from uncrumple.kernels.embedding import gradients_as_rows
from uncrumple.optimizers import checks, clipping, own_updates
from uncrumple.optimizers.given_gradients import GivenGradients
from uncrumple.optimizers.state import Tensors


class Optimizer(GivenGradients):
    """Base class: moves the weights of a model against their gradients.

    weight = weight - weight_decay * learning_rate * weight, then the update of the subclass.

    One step does, in this order: divide the gradients by `loss_scale_factor`;
    average them over `gradient_accumulation_steps`; clip them; shrink the
    weights (`weight_decay`); the update itself; the moving average of the
    weights (`use_ema`); the weights' own constraints; count the step.

    Args:
        learning_rate: A float >= 0, a `LearningRateSchedule`, or a function
            without arguments that returns a float.
        weight_decay: Each step first multiplies the weights by
            1 - weight_decay * learning_rate. None means no decay.
        clipnorm: Greatest Euclidean length of each weight's gradient.
        clipvalue: Greatest absolute value of any entry of a gradient.
        global_clipnorm: Greatest Euclidean length of all gradients together.
            At most one of the three clippings can be given.
        use_ema: Whether to keep a moving average of the weights, which
            replaces them at the end of `fit`.
        ema_momentum: Share of the old average kept in each step, 0 to 1.
        ema_overwrite_frequency: The weights are also replaced by their
            average every so many steps. None means only at the end.
        loss_scale_factor: The loss is multiplied by it, and the gradients
            divided, so that small float16 gradients do not vanish.
        gradient_accumulation_steps: Update only every so many steps, with the
            mean of their gradients: a larger batch in less memory. At least 2.
        name: Its name; by default the class's in snake case, with a counter.

    To write an optimizer, subclass it: call `super().build(variables)` and
    `add_optimizer_variables` in `build`, and write either `update_weights`
    (all weights at once) or `update_step` (one weight).

    Example:
        >>> class SignDescent(Optimizer):
        ...     def update_step(self, gradient, variable, learning_rate):
        ...         self.assign_sub(variable, learning_rate * gradient.sign())
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
        >>> optimizer = SignDescent(learning_rate=0.5)
        >>> optimizer.build([weight])
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([ 0.5000, -0.5000])
    """

    def __init__(
        self,
        learning_rate: Any,
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
        owner = type(self).__name__
        if not kwargs.get("decay", True):
            del kwargs["decay"]  # configs of Keras 2 carry decay=0.0
        if kwargs:
            checks.only_known(owner, kwargs, inspect.signature(type(self).__init__).parameters)
        self.weight_decay = checks.optional(owner, "weight_decay", weight_decay, example=0.004)
        self.clipnorm = checks.optional(owner, "clipnorm", clipnorm, above=True, example=1.0)
        self.clipvalue = checks.optional(owner, "clipvalue", clipvalue, above=True, example=0.5)
        self.global_clipnorm = checks.optional(owner, "global_clipnorm", global_clipnorm, above=True, example=1.0)
        clippings = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        checks.at_most_one(owner, clippings)
        self.use_ema = bool(use_ema)
        self.ema_momentum = checks.number(owner, "ema_momentum", ema_momentum, 0, 1, example=0.99)
        if ema_overwrite_frequency is not None:
            ema_overwrite_frequency = checks.whole(
                owner, "ema_overwrite_frequency", ema_overwrite_frequency, 1, example=100
            )
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = checks.optional(
            owner, "loss_scale_factor", loss_scale_factor, above=True, example=1024.0
        )
        if gradient_accumulation_steps is not None:
            gradient_accumulation_steps = checks.whole(
                owner, "gradient_accumulation_steps", gradient_accumulation_steps, 2, example=4
            )
        super().__init__(learning_rate, name, gradient_accumulation_steps)
        self._constrained: Tensors = []
        self._warned: set[str] = set()
        self._excluded: list[torch.Tensor] = []
        self._excluded_names: re.Pattern[str] | None = None
        self._is_own = own_parts.is_own(self)
        self._decays: list[bool] | None = None  # None: every weight decays
        self._decay_is_fused = False

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        """Take the weights to train, and make the state that goes with them.

        Args:
            variables: The weights, such as `model.trainable_variables` or `model.parameters()`.
        """
        if self.built:
            return
        self._take_weights(list({id(weight): weight for weight in variables}.values()))
        if self.use_ema:
            self._averages = [self._add_slot(weight, "average") for weight in self._weights]
        if self.gradient_accumulation_steps:
            self._accumulators = [self._add_slot(weight, "gradient_accumulator") for weight in self._weights]
        self._constrained = [weight for weight in self._weights if getattr(weight, "constraint", None) is not None]
        self._choose_decays()
        self.built = True
        self._settle()

    # --- a step ---------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Move the weights by the gradients that `backward()` has left in them.

        Weights with `requires_grad=False` are frozen and stay as they are.

        Args:
            closure: A function that computes the loss and its gradients anew.

        Returns:
            What `closure` returned, or None.

        Raises:
            ValueError: No weight has a gradient, or `build` was not called.
        """
        if (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
            or profiler._is_profiler_enabled
        ):
            return _step_with_hooks(self) if closure is None else _step_with_hooks(self, closure)
        return self._step(closure)

    # torch wraps `step` in a hook that costs as much as the step itself, unless it is marked as wrapped.
    step.hooked = True  # type: ignore[attr-defined]

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        weights = self._weights
        gradients = [
            g
            for w in weights
            if w.requires_grad
            and (g := gradient_of(w) if "row_gradient" not in w.__dict__ else self._rows_of(w)) is not None
        ]
        if gradients and len(gradients) == len(weights):
            self._apply(gradients)
        else:
            self._check_built()
            pairs = [
                (place, w.grad if "row_gradient" not in w.__dict__ else self._rows_of(w))
                for place, w in enumerate(weights)
                if w.requires_grad
            ]
            if pairs:
                self._apply_some(pairs)
        return loss

    def tables(self) -> dict[int, torch.Tensor]:
        """Return {id: weight} of the weights whose gradients this optimizer takes as rows; none but for Adam."""
        return {}

    def _rows_of(self, table: Any) -> Any:
        """Return the gradient of a table that waits as rows: as a tensor, for an optimizer that does not take them."""
        return table.grad

    def _apply_some(self, pairs: Sequence[tuple[int, torch.Tensor | None]]) -> None:
        """Step with the gradients that are there; `pairs` holds the places of weights, and gradients."""
        gradients = [gradient for _, gradient in pairs if gradient is not None]
        missing = [self._name_of(self._weights[place]) for place, gradient in pairs if gradient is None]
        if not gradients:
            raise ValueError(
                explain(
                    f"No gradients: none of the {len(missing)} weights of {self.name} has one.",
                    "Expected loss.backward() to have reached at least one of them.",
                    "loss = loss_fn(y, model(x)); loss.backward(); optimizer.step()",
                )
            )
        new = [name for name in missing if name not in self._warned]
        if new:
            self._warned.update(new)
            warn(
                f"No gradient reached these weights: {', '.join(new)}.",
                "Expected the loss to depend on every trainable weight; these stay as they are.",
                "leave them out of the model, freeze them (trainable = False), or use their layer's output",
            )
        self._apply(gradients, tuple(place for place, gradient in pairs if gradient is not None))

    def _apply(self, gradients: Tensors, places: tuple[int, ...] | None = None) -> None:
        """Do one step; `places` says which weights the gradients belong to, None means all."""
        with_gradients = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)
        try:
            first = self._weights[0]
            if first.device != self._device or first.dtype != self._dtype:
                self._follow_weights()
            weights, slots = self._weights, self._slots
            if places is not None:
                weights, slots = self._pick(places)
            if self.loss_scale_factor is not None:
                gradients = list(torch._foreach_mul(gradients, 1.0 / self.loss_scale_factor))
            if self._accumulators:
                gradients = self._accumulate(gradients, places)
            if gradients:
                gradients = self._clip(gradients)
                rate = self._current_rate()
                if self.weight_decay and not self._decay_is_fused:
                    self._decay(weights, self.weight_decay * rate)
                if self._iterations == 0 and self._is_own:
                    own_updates.first_update(self, weights, gradients, rate, slots)
                else:
                    self.update_weights(weights, gradients, rate, slots)
                # Fused kernels move weights behind autograd's back: a graph from before this step must not use them.
                torch._C._increment_version(weights)  # (`torch.autograd.graph.increment_version`)
            if self._averages:
                self._average_weights()
            for weight in self._constrained:
                if places is None or self._index[id(weight)] in places:
                    own_values.put_back(weight)
            self._iterations += 1
        finally:
            torch._C._set_grad_enabled(with_gradients)

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights in place; here one after the other with `update_step`.

        Args:
            weights: The weights that have a gradient.
            gradients: One per weight: unscaled, averaged and clipped.
            learning_rate: The rate of this step.
            slots: The state, one list per name given to
                `add_optimizer_variables`, each with one tensor per weight.
        """
        for gradient, weight in zip(gradients, weights):
            try:
                returned = self.update_step(gradient, weight, learning_rate)  # type: ignore[func-returns-value]
            except Exception as error:
                failure = own_updates.failed(self, weight, error)
                if failure is None:
                    raise
                raise failure from None
            if isinstance(returned, torch.Tensor) and returned is not weight:
                raise TypeError(own_updates.say_returned(self, returned))

    def update_step(self, gradient: torch.Tensor, variable: Any, learning_rate: Any) -> None:
        """Move one weight in place. For subclasses that do not write `update_weights`."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has neither update_step nor update_weights.",
                "Expected one of them to hold the formula.",
                "def update_step(self, gradient, variable, learning_rate): ...",
            )
        )

    def assign(self, variable: torch.Tensor, value: Any) -> None:
        """Overwrite a weight or a state variable; for use in `update_step`."""
        variable.copy_(torch.as_tensor(value))

    def assign_add(self, variable: torch.Tensor, value: Any) -> None:
        """Add to a weight or a state variable; for use in `update_step`."""
        variable.add_(value)

    def assign_sub(self, variable: torch.Tensor, value: Any) -> None:
        """Subtract from a weight or a state variable; for use in `update_step`."""
        variable.sub_(value)

    def _accumulate(self, gradients: Tensors, places: tuple[int, ...] | None) -> Tensors:
        """Return the mean gradients when enough have been seen, else keep them and return none."""
        sums = self._accumulators if places is None else [self._accumulators[place] for place in places]
        torch._foreach_add_(sums, gradients)
        every = self.gradient_accumulation_steps or 1
        if (self._iterations + 1) % every:
            return []
        means = list(torch._foreach_div(sums, float(every)))
        torch._foreach_zero_(self._accumulators)
        return means

    def _clip(self, gradients: Tensors) -> Tensors:
        if self.clipnorm is not None:
            return clipping.by_norm(gradients, self.clipnorm)
        if self.global_clipnorm is not None:
            return clipping.by_global_norm(gradients, self.global_clipnorm)
        if self.clipvalue is not None:
            return clipping.by_value(gradients, self.clipvalue)
        return gradients

    def _decay(self, weights: Tensors, share: float) -> None:
        """Take a share off the weights, but for those that `exclude_from_weight_decay` named."""
        if self._decays is not None:
            weights = [weight for weight in weights if self._decays[self._index[id(weight)]]]
        if weights:
            torch._foreach_mul_(weights, 1.0 - share)

    def _average_weights(self) -> None:
        updates = self._iterations // (self.gradient_accumulation_steps or 1)
        if updates == 0:  # there is no average yet
            torch._foreach_copy_(self._averages, self._weights)
        else:
            torch._foreach_lerp_(self._averages, self._weights, 1.0 - self.ema_momentum)
        if self.ema_overwrite_frequency and (updates + 1) % self.ema_overwrite_frequency == 0:
            torch._foreach_copy_(self._weights, self._averages)

    # --- beside the step --------------------------------------------------------------

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss times `loss_scale_factor`; call `backward()` on that one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def exclude_from_weight_decay(
        self, var_list: Iterable[torch.Tensor] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Name the weights that `weight_decay` leaves alone.

        Args:
            var_list: Weights.
            var_names: Parts of names: `["bias"]` leaves out every weight with bias in its name.
        """
        self._excluded = list(var_list or ())
        names = [var_names] if isinstance(var_names, str) else list(var_names or ())
        self._excluded_names = re.compile("|".join(sorted(set(names)))) if names else None
        if self.built:
            self._choose_decays()
            self._settle()

    def _choose_decays(self) -> None:
        excluded, pattern = {id(weight) for weight in self._excluded}, self._excluded_names

        def decays(weight: torch.Tensor) -> bool:
            name = getattr(weight, "name", None) or self._name_of(weight)
            return id(weight) not in excluded and not (pattern and pattern.search(name))

        chosen = [decays(weight) for weight in self._weights]
        self._decays = None if all(chosen) else chosen

    @torch.no_grad()
    def finalize_variable_values(self, var_list: Sequence[torch.Tensor]) -> None:
        """Put the moving average in place of the weights, if `use_ema`; `fit` does it at its end.

        Args:
            var_list: The weights that the optimizer was built with, in order.
        """
        if not self.use_ema:
            return
        var_list = list(var_list)
        if len(var_list) != len(self._averages):
            raise ValueError(
                explain(
                    f"{self.name} got {len(var_list)} weights to replace by their averages.",
                    f"Expected the {len(self._averages)} it was built with.",
                    "optimizer.finalize_variable_values(model.trainable_variables)",
                )
            )
        for weight, average in zip(var_list, self._averages):
            weight.copy_(average)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        schedule = self._schedule
        return {
            "name": self.name,
            "learning_rate": self._rate if schedule is None else registry.serialize_keras_object(schedule),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Return an optimizer with the settings in `config`."""
        config = dict(config)
        if not isinstance(config.get("learning_rate"), (float, type(None))):
            config["learning_rate"] = registry.deserialize_keras_object(config["learning_rate"], custom_objects)
        return cls(**config)

    def __repr__(self) -> str:
        rate = self._rate if self._schedule is None else self._schedule
        return f"<{type(self).__name__} '{self.name}', learning_rate={rate}, iterations={int(self.iterations)}>"


# torch's own wrapper: it calls the registered hooks and names the step in a profile.
_step_with_hooks: Any = torch.optim.Optimizer.profile_hook_step(Optimizer._step)


def large_gradients(optimizer: Any) -> AbstractContextManager[None]:
    """Return a block for a backward pass in which the gradients of large tables stay rows, if the optimizer takes them.

    Args:
        optimizer: Perhaps one of torch's, which does not.
    """
    tables = optimizer.tables() if isinstance(optimizer, Optimizer) else None
    return gradients_as_rows(tables) if tables else _AS_EVER


_AS_EVER: AbstractContextManager[None] = nullcontext()
