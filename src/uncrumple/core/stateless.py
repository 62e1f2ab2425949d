"""`StatelessScope`: a block of code after which variables are as they were before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.variable import Variable, as_tensor, watch


class StatelessScope:
    """Within a `with` block, variables have other values, and whatever is assigned to them is undone at its end.

    The values are numbers: no gradient passes to them. `Layer.stateless_call` is for that.

    Args:
        state_mapping: (variable, value) pairs: the values that variables have in the block.
        collect_losses: Whether `add_loss` adds to `losses` of the scope, too.
        initialize_variables: Kept for Keras's signature: variables made in the block have their
            first values at once.

    Example:
        >>> weight = Variable([1.0], name="weight")
        >>> with StatelessScope([(weight, torch.tensor([5.0]))]) as scope:
        ...     _ = weight.assign_add([1.0])
        >>> scope.get_current_value(weight), weight.numpy()
        (tensor([6.]), array([1.], dtype=float32))
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self.collect_losses = collect_losses
        self.initialize_variables = initialize_variables
        self.losses: list[Any] = []
        # {id: (variable, what it had before, what it has in the block)}
        self._known: dict[int, tuple[Variable, torch.Tensor | None, torch.Tensor]] = {}
        self._around: StatelessScope | None = None
        for variable, value in state_mapping or ():
            if not isinstance(variable, Variable):
                raise ValueError(
                    explain(
                        f"StatelessScope got {variable!r}, of type {type(variable).__name__}, to give a value to.",
                        "Expected pairs of a Variable and its value.",
                        "StatelessScope(list(zip(model.variables, values)))",
                    )
                )
            value = as_tensor(value, variable.device).detach().to(variable.dtype)
            if value.shape != variable.shape:
                raise ValueError(
                    explain(
                        f"StatelessScope got a value of shape {tuple(value.shape)} for '{variable.path}'.",
                        f"Expected its shape, {tuple(variable.shape)}.",
                        "values in the order of model.variables",
                    )
                )
            self._known[id(variable)] = (variable, None, value.clone())

    def __enter__(self) -> StatelessScope:
        self._around, watch.scope = watch.scope, self
        for key, (variable, _, value) in self._known.items():
            self._known[key] = (variable, variable.data, value)
            variable.data = value
        return self

    def __exit__(self, *error: Any) -> None:
        watch.scope = self._around
        for key, (own, before, _) in self._known.items():
            self._known[key] = (own, before, own.data)
            if before is not None:
                own.data = before

    def touch(self, variable: Variable) -> None:
        """Keep the value of a variable that is about to change."""
        if id(variable) not in self._known:
            before = variable.data
            variable.data = before.clone()
            self._known[id(variable)] = (variable, before, variable.data)

    def add_loss(self, loss: Any) -> None:
        """Note a loss that a layer adds."""
        self.losses.append(loss)

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """Give a variable a value in the block: (variable, value)."""
        variable, value = update
        variable.assign(value)

    def get_current_value(self, variable: Variable) -> torch.Tensor | None:
        """Return the value that a variable has in the block, or had at its end; None if the block left it alone."""
        if id(variable) not in self._known:
            return None
        return variable.data if watch.scope is self else self._known[id(variable)][2]
