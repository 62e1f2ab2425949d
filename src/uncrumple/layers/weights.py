"""The weights of a layer: how they are made, in which types and order they are kept, and the losses it adds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from uncrumple import constraints, initializers, regularizers
from uncrumple.core import limits, naming, own_values, tree
from uncrumple.core.dtypes import DTypePolicy, dtype_name, get_policy, torch_dtype
from uncrumple.core.errors import explain
from uncrumple.core.policy_map import DTypePolicyMap
from uncrumple.core.shapes import as_shape
from uncrumple.core.variable import Variable, as_tensor, watch
from uncrumple.layers import symbolic
from uncrumple.layers.checks import one_of
from uncrumple.layers.holding import PartHolder

_AGGREGATIONS = ("none", "mean", "sum", "only_first_replica", None)


class Added:
    """How many losses were added by `add_loss` so far: lets a training step see at a glance that there are none."""

    count = 0


class WeightHolder(PartHolder):
    """A module that keeps its weights in Keras's order and hands them out in the type that is computed in.

    The lower half of `Layer`; nothing here says how a layer is called.
    """

    built: bool
    autocast: bool
    _losses: list[Any]
    _trainable: bool
    # Where `.to()` has sent it; None if nobody has.
    _home: torch.device | None = None

    # --- where it stands --------------------------------------------------------------

    _parent_path: str | None = None
    _path: str | None = None

    def _within(self) -> naming.name_scope:
        """Return the scope in which the weights and layers within this one get their paths."""
        if self._parent_path is None:
            self.__dict__["_parent_path"] = naming.current_path()
        if self._path is None:
            self.__dict__["_path"] = f"{self._parent_path}/{self.name}" if self._parent_path else self.name
            if isinstance(self._dtype_policy, DTypePolicyMap):
                self._set_policy(self._dtype_policy)
        return naming.name_scope(self.name, caller=self, override_parent=self._parent_path)

    @property
    def path(self) -> str | None:
        """The names of the layers around this one and its own, such as `"encoder/dense"`; None before it is built."""
        return self._path

    # --- precision -------------------------------------------------------------------

    def _set_policy(self, policy: DTypePolicy) -> None:
        self._dtype_policy = policy
        if isinstance(policy, DTypePolicyMap):  # by the path, once that is known
            policy = policy.default_policy if self._path is None else policy[self._path]
        self._own_policy = policy
        self._compute_in = policy.torch_compute_dtype
        mixed = policy.compute_dtype != policy.variable_dtype
        self._cast_weights_to = policy.torch_compute_dtype if mixed else None
        self._weights_as: torch.dtype | None = None

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """What torch calls for `.to()`, `.double()`, `.half()`: the layer computes in the type that its weights get.

        Weights that it does not have yet will be made on the device.
        """
        super()._apply(fn, recurse)
        home = self._home if self._home != torch.device("meta") else None  # nothing comes back from there
        before = torch.empty(0, dtype=self._own_policy.torch_variable_dtype, device=home)
        after = fn(before)
        if after.dtype is not before.dtype:
            self._set_policy(get_policy(after.dtype))
        if after.device != before.device or home is not self._home:
            self.__dict__["_home"] = after.device
        return self

    def _place(self) -> torch.device:
        """Return where a new weight belongs: with those that are there, or where `.to()` has sent the layer."""
        for weight in self._own_variables:
            if weight.is_floating_point():
                return weight.device
        return self._home or torch.get_default_device()

    @property
    def dtype_policy(self) -> DTypePolicy:
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._set_policy(get_policy(value))

    @property
    def dtype(self) -> str:
        """The type that weights are kept in."""
        return self._own_policy.variable_dtype

    @property
    def variable_dtype(self) -> str:
        return self._own_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The type that `call` computes in."""
        return self._own_policy.compute_dtype

    @property
    def input_dtype(self) -> str:
        """The type that floating inputs are cast to: the same as `compute_dtype`."""
        return self._own_policy.compute_dtype

    # --- weights ---------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: Any = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a weight that belongs to this layer.

        Args:
            shape: Its shape; () for a single number.
            initializer: Name or object; by default Glorot uniform for floats, zeros otherwise.
            dtype: Its type; by default the layer's `variable_dtype`.
            trainable: Whether training may change it.
            autocast: Whether `call` sees it in the compute type.
            regularizer: Penalty on its value, added to the loss.
            constraint: Applied to its value after every update.
            aggregation: How copies of it on several devices would be joined, one of Keras's names;
                on one device it makes no difference.
            overwrite_with_gradient: Not available; must be False.
            name: By default the attribute it is assigned to.

        Returns:
            The weight, a `torch.nn.Parameter`.
        """
        if isinstance(shape, str):
            raise TypeError(
                explain(
                    f"{self._label}: add_weight got {shape!r} as the shape.",
                    "Expected a shape first; the name goes by keyword.",
                    f"add_weight(shape=(...), name={shape!r})",
                )
            )
        one_of("add_weight", "aggregation", aggregation, _AGGREGATIONS)
        if overwrite_with_gradient:
            raise ValueError(
                explain(
                    f"{self._label}: add_weight got overwrite_with_gradient=True.",
                    "Expected False: only float8 training needs it.",
                    "remove overwrite_with_gradient=True",
                )
            )
        shape = () if shape is None else as_shape(shape, f"{self._label}: add_weight")
        if None in shape:
            raise ValueError(
                explain(
                    f"{self._label} wants a weight of shape {shape}, with a size that is not known.",
                    "Expected whole numbers: a weight cannot depend on the batch or on a length of None.",
                    "put a number in place of None in Input, or GlobalAveragePooling1D() in place of Flatten()",
                )
            )
        limits.take(shape, self._label)
        kind = torch_dtype(dtype) if dtype is not None else self._own_policy.torch_variable_dtype
        if symbolic.state.makers is not None:
            symbolic.state.makers.append(self)
        if initializer is None:
            initializer = "glorot_uniform" if kind.is_floating_point else "zeros"
        where = f"the weight '{name or 'weight'}' of {self._label}"
        with symbolic.at_home(), torch.no_grad():
            value = own_values.first_value(initializers.get(initializer), shape, dtype_name(kind), where)
            value = value.detach().to(self._place(), kind).contiguous()
            weight = Variable(value, trainable=trainable, name=name or "weight")
        if not self._trainable:
            weight.requires_grad_(False)
        with self._within():
            weight.path = f"{naming.current_path()}/{weight.name}"
        weight.autocast = autocast
        weight.regularizer = regularizers.get(regularizer)
        weight.constraint = constraints.get(constraint)
        with symbolic.at_home():
            own_values.try_regularizer(weight.regularizer, weight, where)
            own_values.try_constraint(weight.constraint, weight, where)
        self._own_variables.append(weight)
        self._parameters[_free_name({**self._parameters, **self.__dict__}, weight.name)] = weight
        return weight

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; False freezes the layer and all within it."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for weight in self._own_variables:
            weight.requires_grad_(self._trainable)
        for part in self._sublayers():
            if isinstance(part, WeightHolder):
                part.trainable = value
            else:
                part.requires_grad_(bool(value))

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        found: list[Any] = [self] if include_self else []
        for part in self._sublayers():
            found.append(part)
            if recursive and isinstance(part, WeightHolder):
                found.extend(part._flatten_layers(include_self=False))
        return list(dict.fromkeys(found))

    @property
    def weights(self) -> list[Any]:
        """Every weight: this layer's trainable ones, its others, then those of its parts."""
        held = {id(parameter): parameter for parameter in self._parameters.values() if parameter is not None}
        own = [weight for weight in self._own_variables if id(weight) in held]
        found: list[Any] = [weight for weight in own if weight._own_trainable]
        found += [weight for weight in own if not weight._own_trainable]
        found += held.values()
        for part in self._sublayers():
            if isinstance(part, WeightHolder):
                found += part.weights
            else:
                found += part.parameters()
                found += part.buffers()
        return list({id(weight): weight for weight in found}.values())

    @property
    def variables(self) -> list[Any]:
        """Every tensor that is kept between calls; here the same as `weights`."""
        return self.weights

    @property
    def trainable_weights(self) -> list[Any]:
        """The weights that training changes now: none if this layer is frozen, else those that are not."""
        return [weight for weight in self.weights if weight.requires_grad] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Any]:
        return [weight for weight in self.weights if not (weight.requires_grad and self._trainable)]

    @property
    def trainable_variables(self) -> list[Any]:
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Any]:
        return self.non_trainable_weights

    def count_params(self) -> int:
        """Return how many numbers the weights hold.

        Raises:
            ValueError: The layer has not seen a shape yet.
        """
        if not self.built:
            raise ValueError(
                explain(
                    f"{self._label} has no weights yet: it was never built.",
                    "Expected it to know the shape of its input.",
                    "call it on data first, or begin the model with Input(shape)",
                )
            )
        return sum(int(weight.numel()) for weight in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of `weights` as NumPy arrays, in the same order."""
        return [to_numpy(weight) for weight in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Overwrite the values of `weights` with arrays of the same shapes.

        Raises:
            ValueError: Their number or a shape differs.
        """
        mine = self.weights
        if len(mine) != len(weights):
            raise ValueError(
                explain(
                    f"{self._label} has {len(mine)} weights and set_weights got {len(weights)} array{'s' * (len(weights) != 1)}.",
                    "Expected one array per weight, in the order of get_weights().",
                    "build the layer before set_weights()" if not self.built else "set_weights(other.get_weights())",
                )
            )
        for weight, value in zip(mine, weights):
            if tuple(weight.shape) != tuple(np.shape(value)):
                raise ValueError(
                    explain(
                        f"{self._label}: weight '{getattr(weight, 'path', 'weight')}' has shape {tuple(weight.shape)}, "
                        f"set_weights got {tuple(np.shape(value))}.",
                        "Expected arrays of the same shapes as get_weights() returns.",
                        "set_weights(other.get_weights()) from a layer with the same settings",
                    )
                )
        with torch.no_grad():
            for weight, value in zip(mine, weights):
                weight.copy_(value if isinstance(value, torch.Tensor) else as_tensor(np.asarray(value)))

    def save_own_variables(self, store: Any) -> None:
        """Put this layer's own weights into `store` as arrays named "0", "1", ..."""
        for index, weight in enumerate(self._stored_variables()):
            store[str(index)] = to_numpy(weight)

    def load_own_variables(self, store: Any) -> None:
        """Read this layer's own weights back from `store`."""
        mine = self._stored_variables()
        if len(store.keys()) != len(mine):
            raise ValueError(
                explain(
                    f"{self._label} has {len(mine)} weights and the file holds {len(store.keys())} for it.",
                    "Expected the same number.",
                    "load into a model with the same layers and settings"
                    if self.built
                    else "build the model before loading: call it on data, or begin it with Input(shape)",
                )
            )
        for index, weight in enumerate(mine):
            value = np.asarray(store[str(index)])
            if tuple(value.shape) != tuple(weight.shape):
                raise ValueError(
                    explain(
                        f"{self._label}: weight '{weight.path}' has shape {tuple(weight.shape)}, "
                        f"the file holds {tuple(value.shape)}.",
                        "Expected the same shape.",
                        "load into a model with the same layers and settings",
                    )
                )
            weight.assign(torch.as_tensor(value))

    def _stored_variables(self) -> list[Variable]:
        own = [weight for weight in self._own_variables if weight._own_trainable]
        return own + [weight for weight in self._own_variables if not weight._own_trainable]

    # --- losses ----------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add a scalar (or a list of them) to the loss; call it within `call`."""
        for one in tree.flatten(loss):
            if callable(one) and not isinstance(one, torch.Tensor):
                raise TypeError(
                    explain(
                        f"{self._label}: add_loss got a function.",
                        "Expected a tensor with one number.",
                        "self.add_loss(0.01 * x.square().mean()) within call()",
                    )
                )
            if symbolic.state.active:
                continue
            self._losses.append(one)
            Added.count += 1
            if watch.scope is not None and watch.scope.collect_losses:
                watch.scope.add_loss(one)

    @property
    def losses(self) -> list[Any]:
        """What `add_loss`, activity and weight regularizers added, as scalars."""
        found = []
        for layer in self._flatten_layers():
            if isinstance(layer, WeightHolder):
                found += layer._losses
        found += [
            own_values.penalty(w.regularizer, w)
            for w in self.trainable_weights
            if getattr(w, "regularizer", None) is not None
        ]
        return found

    def _clear_losses(self) -> None:
        for layer in self._flatten_layers():
            if isinstance(layer, WeightHolder):
                layer._losses.clear()


def to_numpy(weight: torch.Tensor) -> np.ndarray:
    """Return a tensor's value as a NumPy copy; bfloat16 becomes float32."""
    weight = weight.detach()
    if weight.dtype is torch.bfloat16:
        weight = weight.float()
    return weight.cpu().numpy().copy()


def _free_name(taken: Any, wanted: str) -> str:
    wanted = wanted.replace(".", "_")
    if wanted not in taken:
        return wanted
    count = 1
    while f"{wanted}_{count}" in taken:
        count += 1
    return f"{wanted}_{count}"
