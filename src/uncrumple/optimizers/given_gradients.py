"""Steps with gradients that are handed over, in Keras's manner, in place of those that `backward()` left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.optimizers.state import OptimizerState


class GivenGradients(OptimizerState):
    """The part of `Optimizer` that pairs gradients with weights; the step itself is there."""

    def apply(self: Any, grads: Sequence[Any], trainable_variables: Iterable[torch.Tensor] | None = None) -> None:
        """Do one step with gradients given as a list.

        Args:
            grads: One tensor or array per weight, or None where there is none.
            trainable_variables: The weights they belong to; None means those
                that `build` got. The first call builds the optimizer.

        Raises:
            ValueError: They do not match the weights it was built with.
        """
        grads = list(grads)
        if not grads:
            return
        if trainable_variables is None:
            self._check_built()
            chosen = self._weights
        else:
            chosen = list(trainable_variables)
            self.build(chosen)
        if len(grads) != len(chosen):
            raise ValueError(
                explain(
                    f"{self.name} got {len(grads)} gradients for {len(chosen)} weights.",
                    "Expected one gradient (or None) per weight, in the same order.",
                    "optimizer.apply(gradients, model.trainable_variables)",
                )
            )
        pairs = [self._as_pair(gradient, weight) for gradient, weight in zip(grads, chosen)]
        if len(pairs) == len(self._weights) and all(
            place == wanted and gradient is not None for wanted, (place, gradient) in enumerate(pairs)
        ):
            self._apply([gradient for _, gradient in pairs if gradient is not None])
        else:
            self._apply_some(pairs)

    def _as_pair(self: Any, gradient: Any, weight: torch.Tensor) -> tuple[int, torch.Tensor | None]:
        place = self._index.get(id(weight))
        if place is None:
            raise ValueError(
                explain(
                    f"{self.name} does not know the weight '{getattr(weight, 'path', None) or tuple(weight.shape)}'.",
                    f"Expected one of the {len(self._weights)} weights it was built with.",
                    f"make a new {type(self).__name__} for a new set of weights",
                )
            )
        if gradient is None:
            return place, None
        gradient = torch.as_tensor(gradient, dtype=weight.dtype, device=weight.device).detach()
        if gradient.shape != weight.shape:
            raise ValueError(
                explain(
                    f"The gradient for '{self._name_of(weight)}' has shape {tuple(gradient.shape)}.",
                    f"Expected the weight's own shape, {tuple(weight.shape)}.",
                    "give the gradients in the order of the weights",
                )
            )
        return place, gradient

    def stateless_apply(
        self: Any, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return what a step makes of other values of the weights and of the optimizer's variables; both stay as they are.

        Args:
            optimizer_variables: A value for each of `variables`.
            grads: A gradient for each weight, in the order that the optimizer was built for.
            trainable_variables: A value for each weight.

        Returns:
            (values of the weights, values of `variables`), after the step.
        """
        if not self.built:
            raise ValueError(
                explain(
                    f"{type(self).__name__} was applied without state, and is not built.",
                    "Expected it to know its weights.",
                    "optimizer.build(model.trainable_variables)",
                )
            )
        weights = [weight for group in self.param_groups for weight in group["params"]]
        own = [*weights, *self.variables]
        values = [*trainable_variables, *optimizer_variables]
        if len(weights) != len(trainable_variables) or len(own) != len(values):
            raise ValueError(
                explain(
                    f"{type(self).__name__} got {len(trainable_variables)} weights and "
                    f"{len(optimizer_variables)} of its own variables.",
                    f"Expected {len(weights)} and {len(own) - len(weights)}.",
                    "stateless_apply(optimizer.variables, grads, model.trainable_variables)",
                )
            )
        kept = [_copy_of(variable) for variable in own]
        try:
            for variable, value in zip(own, [_copy_of(value) for value in values]):
                _put(variable, value)
            self.apply(list(grads), weights)
            after = [_copy_of(variable) for variable in own]
        finally:
            for variable, value in zip(own, kept):
                _put(variable, value)
        return after[: len(weights)], after[len(weights) :]

    def apply_gradients(self: Any, grads_and_vars: Iterable[tuple[Any, torch.Tensor]]) -> Any:
        """Do one step with (gradient, weight) pairs; returns the number of updates made."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [weight for _, weight in pairs])
        return self.iterations


def _copy_of(value: Any) -> torch.Tensor:
    """Return a value as a tensor of its own; some of an optimizer's variables are plain numbers of Python."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().as_subclass(torch.Tensor)
    return torch.tensor(value.numpy() if hasattr(value, "numpy") else value)


@torch.no_grad()
def _put(variable: Any, value: torch.Tensor) -> None:
    if isinstance(variable, torch.Tensor):
        variable.copy_(value)
    else:
        variable.assign(value)
