"""What Keras's layers answer to beside an ordinary call: with other weights, on symbolic tensors, with less memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from uncrumple.core import own_values, remat, tree
from uncrumple.core.errors import explain
from uncrumple.core.variable import Variable
from uncrumple.layers import symbolic
from uncrumple.layers.weights import WeightHolder


class OtherCalls(WeightHolder):
    """The part of `Layer` that calls it in other ways than `layer(x)`."""

    _remat_mode: remat.Mode | None = None

    def stateless_call(
        self,
        trainable_variables: Iterable[Any],
        non_trainable_variables: Iterable[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return what the layer gives with other weights, which stay as they are.

        Args:
            trainable_variables: A value for each of `trainable_variables`; gradients pass to them.
            non_trainable_variables: A value for each of `non_trainable_variables`.
            args, kwargs: What the layer is called on.
            return_losses: Whether to return the losses that the call added, too.

        Returns:
            (outputs, non_trainable_variables), the latter as the call has left them; with
            `return_losses`, the list of losses as well.

        Raises:
            ValueError: The layer is not built, or the values do not fit its weights.
        """
        if not self.built:
            raise ValueError(
                explain(
                    f"{self._label} was called without state, and is not built.",
                    "Expected a layer that has its weights.",
                    f"{self.name}.build(input_shape)",
                )
            )
        names = {id(weight): name for name, weight in [*self.named_parameters(), *self.named_buffers()]}
        swapped: dict[str, Any] = {}
        fixed = []
        for kind, own, values in (
            ("trainable", self.trainable_variables, trainable_variables),
            ("non_trainable", self.non_trainable_variables, non_trainable_variables),
        ):
            values = list(values)
            if len(values) != len(own):
                raise ValueError(
                    explain(
                        f"{self._label} got {len(values)} {kind}_variables.",
                        f"Expected {len(own)}, one for each of its own.",
                        f"{kind}_variables={self.name}.{kind}_variables",
                    )
                )
            for variable, value in zip(own, values):
                tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(value, device=variable.device)
                if tuple(tensor.shape) != tuple(variable.shape):
                    raise ValueError(
                        explain(
                            f"{self._label} got a value of shape {tuple(tensor.shape)} for '{_path(variable)}'.",
                            f"Expected its shape, {tuple(variable.shape)}.",
                            f"values in the order of {kind}_variables",
                        )
                    )
                if kind == "non_trainable":  # the call may assign to it
                    tensor = tensor.detach().clone().to(variable.dtype)
                    tensor = variable.like(tensor) if isinstance(variable, Variable) else tensor
                    fixed.append(tensor)
                swapped[names[id(variable)]] = tensor
        outputs = torch.func.functional_call(self, swapped, args, kwargs)
        after = [tensor.detach().as_subclass(torch.Tensor) for tensor in fixed]
        if not return_losses:
            return outputs, after
        losses = [loss for layer in self._flatten_layers() for loss in getattr(layer, "_losses", [])]
        for variable in self.trainable_variables:
            regularizer = getattr(variable, "regularizer", None)
            if regularizer is not None:
                losses.append(own_values.penalty(regularizer, swapped[names[id(variable)]]))
        return outputs, after, losses

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs, and enter the call into the graph.

        The inputs are symbolic tensors, as for an ordinary call on them.
        """
        if not symbolic.find(args, kwargs):
            raise ValueError(
                explain(
                    f"{self._label}: symbolic_call got no symbolic tensor.",
                    "Expected one, as Input gives.",
                    f"{self.name}(x), for data",
                )
            )
        return self(*args, **kwargs)

    def rematerialized_call(self, layer_call: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Return `layer_call`, as a function that computes again in the backward pass if the layer's scope says so.

        Args:
            layer_call: What to call: `layer.call`.
            args, kwargs: What it will be called on.
        """
        mode = self._remat_mode
        if mode is None or not self._computes_again(mode, args, kwargs):
            return layer_call
        return lambda *args, **kwargs: remat.again(self, layer_call, args, kwargs)

    def _computes_again(self, mode: remat.Mode, args: Any, kwargs: Any) -> bool:
        if symbolic.state.active or mode.mode is None:
            return False
        if mode.mode == "list_of_layers":
            return self.name in mode.layer_names
        if mode.mode == "activations":
            return getattr(self, "activation", None) is not None
        if mode.mode == "larger_than":
            with torch.no_grad():
                outputs = symbolic._without_numbers(self.call, *_on_meta(args, kwargs))
            sizes = [leaf[0].numel() for leaf in tree.flatten(outputs) if isinstance(leaf, torch.Tensor) and len(leaf)]
            return sum(sizes) > mode.output_size_threshold
        return True

    def add_variable(
        self,
        shape: Any,
        initializer: Any,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a weight that belongs to this layer; the same as `add_weight`."""
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            dtype=dtype,
            trainable=trainable,
            autocast=autocast,
            regularizer=regularizer,
            constraint=constraint,
            name=name,
        )

    def add_metric(self, *args: Any, **kwargs: Any) -> None:
        """Refuse, as Keras 3 does: metrics are attributes now, or go to `compile`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            explain(
                f"{self._label}: add_metric was called, which Keras 3 has no longer.",
                "Expected a metric in compile(), or as an attribute.",
                "self.seen = metrics.Mean(name='seen') in __init__, and self.seen.update_state(...) in call",
            )
        )

    @property
    def metrics(self) -> list[Any]:
        """The metrics that are attributes of this layer, and of those within it."""
        found: dict[int, Any] = {}
        for part in (self, *self._sublayers()):
            values = vars(part).values() if part is self else getattr(part, "metrics", [])
            for value in values:
                for one in tree.flatten(value) if type(value) in (list, tuple, dict) else [value]:
                    if hasattr(one, "update_state") and hasattr(one, "result") and hasattr(one, "reset_state"):
                        found.setdefault(id(one), one)
        return list(found.values())

    @property
    def metrics_variables(self) -> list[Any]:
        """The variables of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]


def _on_meta(args: Any, kwargs: Any) -> tuple[Any, Any]:
    def empty(leaf: Any) -> Any:
        return leaf.detach().to("meta") if isinstance(leaf, torch.Tensor) else leaf

    return tree.map_structure(empty, args), tree.map_structure(empty, kwargs)


def _path(variable: Any) -> str:
    return getattr(variable, "path", "a weight")
