"""`Layer`: a `torch.nn.Module` that builds its weights from the shape of what it is given.

A call takes two steps. `Layer.__call__` is the door: it recognises symbolic
tensors, turns arrays into tensors, builds weights at the first call and
checks shapes. Behind it `forward` (what `torch.nn.Module` calls) casts to the
layer's compute type, hands over `training` and `mask`, and runs `call`, which
is the layer's mathematics. A model that already knows its shapes enters at
the second step.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uncrumple import constraints, initializers, regularizers
from uncrumple.core import naming, registry, tree
from uncrumple.core.dtypes import DTypePolicy, dtype_name, get_policy, torch_dtype
from uncrumple.core.errors import explain, unknown_argument, warn
from uncrumple.core.shapes import as_shape
from uncrumple.core.variable import Variable
from uncrumple.layers import symbolic
from uncrumple.layers.input_spec import check_inputs
from uncrumple.layers.tracking import TrackedDict, TrackedList, holds_parts

_PACKAGE = str(Path(__file__).resolve().parents[1])
_TORCH = str(Path(torch.__file__).resolve().parent)
_BASE_ARGUMENTS = ("activity_regularizer", "trainable", "dtype", "autocast", "name", "input_shape", "input_dim")


class _Added:
    """How many losses were added by `add_loss` so far: lets a training step see at a glance that there are none."""

    count = 0


class Layer(torch.nn.Module):
    """The base of every layer: weights, made in `build`, and mathematics, in `call`.

    Write your own by overriding `__init__` (settings), `build(input_shape)`
    (weights, through `add_weight`) and `call(inputs)`. `call` may take
    `training` and `mask`. Nothing else is needed: output shapes are found by
    running `call` without data.

    Args:
        activity_regularizer: Penalty on the output, added to the loss.
        trainable: Whether training changes the weights.
        dtype: A type or a precision policy, such as `"mixed_bfloat16"`; by
            default the global policy.
        autocast: Whether floating inputs and weights are cast to the compute type.
        name: Must differ from the other layers' of a model; by default the
            class name in snake case with a counter.

    Example:
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale()(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    # What calls this layer's `call` passes on; found once per class.
    _takes_training = False
    _takes_mask = False
    _build_parameters: tuple[str, ...] = ()
    _keras_module: str

    # What a built-in layer's constructor takes; None for a user's own layers.
    _known_arguments: frozenset[str] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls._known_arguments is not None and not kwargs.keys() <= cls._known_arguments:
            unknown = {name: value for name, value in kwargs.items() if name not in cls._known_arguments}
            raise_unknown_arguments(cls, unknown)
        made = super().__new__(cls)
        # Kept, so that a user's layer has a config without writing get_config.
        object.__setattr__(made, "_given", (args, kwargs))
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _built_once(cls.__dict__["build"])  # type: ignore[method-assign]
            names = [p.name for p in _parameters_of(cls.__dict__["build"]) if p.kind is not p.VAR_KEYWORD]
            cls._build_parameters = tuple(names)
        if "call" in cls.__dict__:
            parameters = _parameters_of(cls.call)
            names = {parameter.name for parameter in parameters}
            anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
            cls._takes_training = "training" in names
            cls._takes_mask = "mask" in names
            cls._call_parameters = tuple(p.name for p in parameters)
            cls._takes_anything = anything
        cls._known_arguments = None
        if cls.__module__.startswith("uncrumple.layers."):
            own = [p.name for base in cls.__mro__ if issubclass(base, Layer) for p in _parameters_of(base.__init__)]
            cls._known_arguments = frozenset([*own, *_BASE_ARGUMENTS])

    _call_parameters: tuple[str, ...] = ("inputs",)
    _takes_anything = False

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.training = False  # Keras's default: a layer that is just called, infers
        if "input_dim" in kwargs:
            kwargs["input_shape"] = (kwargs.pop("input_dim"),)
        self._input_shape_argument = kwargs.pop("input_shape", None)
        if kwargs:
            raise_unknown_arguments(type(self), kwargs)
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(
                explain(
                    f"{type(self).__name__} got name={name!r}.",
                    "Expected a string without '/'.",
                    f'name="{naming.to_snake_case(type(self).__name__)}"',
                )
            )
        self._set_policy(get_policy(dtype))
        self.name = name if name is not None else naming.auto_name(type(self).__name__)
        self.autocast = bool(autocast)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.supports_masking = False
        self.input_spec: Any = None
        self.built = False
        self._trainable = bool(trainable)
        self._own_variables: list[Variable] = []
        self._losses: list[Any] = []
        self._nodes: list[symbolic.Node] = []
        self._build_shapes: Any = None

    # --- attributes: parts put into them become part of the layer -------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (list, dict)) and "_own_variables" in self.__dict__ and not name.startswith("_"):
            if isinstance(value, dict) and (holds_parts(value) or not value):
                value = TrackedDict(value, lambda part: self._adopt(part, name))
            elif isinstance(value, list) and (holds_parts(value) or not value):
                value = TrackedList(value, lambda part: self._adopt(part, name))
        elif isinstance(value, tuple) and holds_parts(value) and not name.startswith("_"):
            self._adopt(value, name)
        if isinstance(value, torch.nn.Module) and "_modules" not in self.__dict__:
            raise AttributeError(_init_first(self, name))
        if isinstance(value, torch.nn.Parameter):
            if "_parameters" not in self.__dict__:
                raise AttributeError(_init_first(self, name))
            for known, parameter in list(self._parameters.items()):
                if parameter is value and known != name:
                    del self._parameters[known]
            if isinstance(value, Variable) and not any(value is own for own in self._own_variables):
                self._own_variables.append(value)
        if name == "trainable":  # a property; nn.Module would not see that
            object.__setattr__(self, name, value)
            return
        super().__setattr__(name, value)
        if isinstance(value, torch.nn.Module) and not isinstance(value, Layer):
            value.train(self.training)

    def __getattr__(self, name: str) -> Any:
        # nn.Module keeps weights in a dict and finds them here. Within a call
        # they are handed out in the compute type, and while shapes are being
        # found, without numbers.
        inside = self.__dict__
        parameters = inside.get("_parameters")
        if parameters is not None and name in parameters:
            weight = parameters[name]
            if weight is None:
                return None
            if symbolic.state.active:
                weight = torch.empty_like(weight, device="meta")
            cast = inside.get("_weights_as")
            if cast is not None and weight.is_floating_point() and getattr(parameters[name], "autocast", True):
                return weight.to(cast)
            return weight
        if "_modules" not in inside:
            raise AttributeError(_init_first(self, name))
        return super().__getattr__(name)

    def _adopt(self, part: Any, name: str) -> None:
        """Make a layer or weight that sits in a list or dict attribute a part of this layer."""
        if isinstance(part, dict):
            for value in part.values():
                self._adopt(value, name)
        elif isinstance(part, (list, tuple)):
            for value in part:
                self._adopt(value, name)
        elif isinstance(part, torch.nn.Module):
            if not any(part is known for known in self._modules.values()):
                self._modules[_free_name({**self._modules, **self.__dict__}, name)] = part
                if not isinstance(part, Layer):
                    part.train(self.training)
        elif isinstance(part, torch.nn.Parameter):
            if not any(part is known for known in self._parameters.values()):
                self._parameters[_free_name({**self._parameters, **self.__dict__}, name)] = part
            if isinstance(part, Variable) and not any(part is own for own in self._own_variables):
                self._own_variables.append(part)

    # --- precision -------------------------------------------------------------------

    def _set_policy(self, policy: DTypePolicy) -> None:
        self._dtype_policy = policy
        self._compute_in = policy.torch_compute_dtype
        mixed = policy.compute_dtype != policy.variable_dtype
        self._cast_weights_to = policy.torch_compute_dtype if mixed else None
        self._weights_as: torch.dtype | None = None

    @property
    def dtype_policy(self) -> DTypePolicy:
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._set_policy(get_policy(value))

    @property
    def dtype(self) -> str:
        """The type that weights are kept in."""
        return self._dtype_policy.variable_dtype

    @property
    def variable_dtype(self) -> str:
        return self._dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The type that `call` computes in."""
        return self._dtype_policy.compute_dtype

    # --- weights ---------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape (None where a size is unknown).

        Override it in a layer of your own that has weights.
        """

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
            aggregation: How copies on several devices are joined.
            overwrite_with_gradient: Not available; must be False.
            name: By default the attribute it is assigned to.

        Returns:
            The weight, a `torch.nn.Parameter`.
        """
        if isinstance(shape, str):
            raise TypeError(
                explain(
                    f"{self.label}: add_weight got {shape!r} as the shape.",
                    "Expected a shape first; the name goes by keyword.",
                    f"add_weight(shape=(...), name={shape!r})",
                )
            )
        if overwrite_with_gradient:
            raise ValueError(
                explain(
                    f"{self.label}: add_weight got overwrite_with_gradient=True.",
                    "Expected False: only float8 training needs it.",
                    "remove overwrite_with_gradient=True",
                )
            )
        shape = () if shape is None else as_shape(shape, f"{self.label}: add_weight")
        if None in shape:
            raise ValueError(
                explain(
                    f"{self.label} wants a weight of shape {shape}, with a size that is not known.",
                    "Expected whole numbers: a weight cannot depend on the batch or on a length of None.",
                    "give Input a fixed size on that axis",
                )
            )
        kind = torch_dtype(dtype) if dtype is not None else self._dtype_policy.torch_variable_dtype
        if initializer is None:
            initializer = "glorot_uniform" if kind.is_floating_point else "zeros"
        with symbolic.at_home(), torch.no_grad():
            value = initializers.get(initializer)(shape, dtype=dtype_name(kind))
            if not isinstance(value, torch.Tensor):
                value = torch.as_tensor(value)
            value = value.detach().to(torch.get_default_device(), kind)
            weight = Variable(value, trainable=trainable, name=name or "weight")
        if not self._trainable:
            weight.requires_grad_(False)
        weight.path = f"{self.name}/{weight.name}"
        weight.autocast = autocast
        weight.regularizer = regularizers.get(regularizer)
        weight.constraint = constraints.get(constraint)
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
            weight.requires_grad_(self._trainable and weight._own_trainable and weight.is_floating_point())
        for part in self._sublayers():
            if isinstance(part, Layer):
                part.trainable = value
            else:
                part.requires_grad_(bool(value))

    def _sublayers(self) -> list[torch.nn.Module]:
        """Return the direct parts of this layer, each once, in the order they were added."""
        return list(dict.fromkeys(module for module in self._modules.values() if module is not None))

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        found: list[Any] = [self] if include_self else []
        for part in self._sublayers():
            found.append(part)
            if recursive and isinstance(part, Layer):
                found.extend(part._flatten_layers(include_self=False))
        return list(dict.fromkeys(found))

    @property
    def weights(self) -> list[Any]:
        """Every weight: this layer's trainable ones, its others, then those of its parts."""
        own = [weight for weight in self._own_variables if weight._own_trainable]
        own += [weight for weight in self._own_variables if not weight._own_trainable]
        others = [p for p in self._parameters.values() if p is not None and not any(p is known for known in own)]
        found = own + others
        for part in self._sublayers():
            if isinstance(part, Layer):
                found += part.weights
            else:
                found += [*part.parameters(), *part.buffers()]
        return list({id(weight): weight for weight in found}.values())

    @property
    def variables(self) -> list[Any]:
        """Every tensor that is kept between calls; here the same as `weights`."""
        return self.weights

    @property
    def trainable_weights(self) -> list[Any]:
        """The weights that training changes now: frozen ones are left out."""
        return [weight for weight in self.weights if weight.requires_grad]

    @property
    def non_trainable_weights(self) -> list[Any]:
        return [weight for weight in self.weights if not weight.requires_grad]

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
                    f"{self.label} has no weights yet: it was never built.",
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
                    f"{self.label} has {len(mine)} weights and set_weights got {len(weights)} arrays.",
                    "Expected one array per weight, in the order of get_weights().",
                    "build the layer before set_weights()" if not self.built else "set_weights(other.get_weights())",
                )
            )
        for weight, value in zip(mine, weights):
            if tuple(weight.shape) != tuple(np.shape(value)):
                raise ValueError(
                    explain(
                        f"{self.label}: weight '{getattr(weight, 'path', 'weight')}' has shape {tuple(weight.shape)}, "
                        f"set_weights got {tuple(np.shape(value))}.",
                        "Expected arrays of the same shapes as get_weights() returns.",
                        "set_weights(other.get_weights()) from a layer with the same settings",
                    )
                )
        with torch.no_grad():
            for weight, value in zip(mine, weights):
                weight.copy_(torch.as_tensor(np.asarray(value) if not isinstance(value, torch.Tensor) else value))

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
                    f"{self.label} has {len(mine)} weights and the file holds {len(store.keys())} for it.",
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
                        f"{self.label}: weight '{weight.path}' has shape {tuple(weight.shape)}, "
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
                        f"{self.label}: add_loss got a function.",
                        "Expected a tensor with one number.",
                        "self.add_loss(0.01 * x.square().mean()) within call()",
                    )
                )
            if symbolic.state.active:
                continue
            self._losses.append(one)
            _Added.count += 1

    @property
    def losses(self) -> list[Any]:
        """What `add_loss`, activity and weight regularizers added, as scalars."""
        found = []
        for layer in self._flatten_layers():
            if isinstance(layer, Layer):
                found += layer._losses
        found += [w.regularizer(w) for w in self.trainable_weights if getattr(w, "regularizer", None) is not None]
        return found

    def _clear_losses(self) -> None:
        for layer in self._flatten_layers():
            if isinstance(layer, Layer):
                layer._losses.clear()

    # --- calling ---------------------------------------------------------------------

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; override it in a layer of your own."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no call() method.",
                "Expected one: it is the layer's mathematics.",
                "def call(self, inputs): return ...",
            )
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if "_nodes" not in self.__dict__:
            raise AttributeError(_init_first(self, "_nodes"))
        if len(args) == 1 and not kwargs and self.built and type(args[0]) is torch.Tensor:
            if self.input_spec is not None:
                check_inputs(self, [tuple(args[0].shape)])
            return super().__call__(args[0])
        if symbolic.find(args, kwargs):
            return self._call_symbolically(args, kwargs)
        args = tree.map_structure(self._to_tensor, args)
        if kwargs:
            kwargs = {key: tree.map_structure(self._to_tensor, value) for key, value in kwargs.items()}
        if not self.built:
            self._build_for(args, kwargs)
        if self.input_spec is not None and args:
            shapes = [tuple(x.shape) if isinstance(x, torch.Tensor) else None for x in tree.flatten(args[0])]
            check_inputs(self, shapes)
        training = kwargs.get("training")
        if training is not None:
            if not (self._takes_training or self._takes_anything):
                del kwargs["training"]
            if bool(training) is not self.training:
                return self._call_in_mode(bool(training), args, kwargs)
        return super().__call__(*args, **kwargs)

    def _call_in_mode(self, training: bool, args: Any, kwargs: Any) -> Any:
        """Run once with `training` switched, for this layer and all within it."""
        modes = [(module, module.training) for module in self.modules()]
        self.train(training)
        try:
            return super().__call__(*args, **kwargs)
        finally:
            for module, mode in modes:
                module.training = mode

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What `torch.nn.Module` calls: cast, hand over `training` and `mask`, run `call`."""
        mask = None
        if args:
            first = args[0]
            if isinstance(first, torch.Tensor):
                mask = getattr(first, "_keras_mask", None)
                if self.autocast and first.dtype is not self._compute_in and first.is_floating_point():
                    args = (first.to(self._compute_in), *args[1:])
            else:
                mask = masks_of(first)
            if len(args) > 1 or not isinstance(first, torch.Tensor):
                args = self._cast(args)
            if mask is not None and self._takes_mask and kwargs.get("mask") is None:
                kwargs["mask"] = mask
        if self._takes_training and kwargs.get("training") is None:
            kwargs["training"] = self.training
        if self._cast_weights_to is not None and self.autocast:
            self.__dict__["_weights_as"] = self._cast_weights_to
            try:
                outputs = self.call(*args, **kwargs)
            finally:
                self.__dict__["_weights_as"] = None
        else:
            outputs = self.call(*args, **kwargs)
        if mask is not None or self._makes_mask:
            self._pass_mask(args[0], mask if kwargs.get("mask") is None else kwargs["mask"], outputs)
        if self.activity_regularizer is not None:
            for one in tree.flatten(outputs):
                if isinstance(one, torch.Tensor):
                    self.add_loss(self.activity_regularizer(one) / one.shape[0])
        return outputs

    # A layer that makes a mask out of nothing (Embedding, Masking) says so.
    _makes_mask = False

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Return the mask of the output; by default that of the input."""
        return previous_mask

    def _pass_mask(self, inputs: Any, mask: Any, outputs: Any) -> None:
        if not self.supports_masking and not self._makes_mask:
            if not symbolic.state.active and not self._takes_mask:
                warn(
                    f"{self.label} got an input with a mask, and does not support masking.",
                    "Expected layers that pass a mask on; from here every step counts, padded ones too.",
                    f"self.supports_masking = True in {type(self).__name__}, if it treats every step alike",
                )
            return
        masks = tree.flatten(self.compute_mask(inputs, mask))
        tensors = tree.flatten(outputs)
        if len(masks) == 1 and len(tensors) > 1:
            masks = masks * len(tensors)
        for one, tensor in zip(masks, tensors):
            if isinstance(tensor, torch.Tensor) and one is not None:
                tensor._keras_mask = one  # type: ignore[attr-defined]

    def _cast(self, args: Any) -> Any:
        if not self.autocast:
            return args
        kind = self._compute_in

        def cast(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor) and leaf.dtype is not kind and leaf.is_floating_point():
                made = leaf.to(kind)
                if hasattr(leaf, "_keras_mask"):
                    made._keras_mask = leaf._keras_mask  # type: ignore[attr-defined]
                return made
            return leaf

        return tree.map_structure(cast, args)

    def _to_tensor(self, leaf: Any) -> Any:
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype != object and leaf.dtype.kind not in "US":
            tensor = torch.as_tensor(np.ascontiguousarray(leaf))
            if self.autocast and tensor.is_floating_point():
                tensor = tensor.to(self._compute_in)
            weight = next(self.parameters(), None)
            return tensor if weight is None else tensor.to(weight.device)
        return leaf

    # --- building --------------------------------------------------------------------

    def _build_for(self, args: Any, kwargs: Any) -> None:
        """Build from the shapes of the arguments of a call."""
        structures = {name: value for name, value in zip(self._call_parameters, args)}
        structures.update({name: value for name, value in kwargs.items() if name in self._call_parameters})
        shapes = {}
        for name, value in structures.items():
            leaves = tree.flatten(value)
            if leaves and all(isinstance(leaf, torch.Tensor) for leaf in leaves):
                shapes[name] = tree.map_structure(shape_of, value)
        names = self._build_parameters
        if args and self.input_spec is not None:
            check_inputs(self, [shape_of(x) if isinstance(x, torch.Tensor) else None for x in tree.flatten(args[0])])
        by_name = {f"{name}_shape": shape for name, shape in shapes.items()}
        if len(names) > 1 and all(name in by_name for name in names):
            self.build(**{name: by_name[name] for name in names})
        elif shapes:
            self.build(next(iter(shapes.values())))
        else:
            self.build(None)
        self.built = True

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes that the layer was built for, to be written into a file."""
        shapes = self._build_shapes
        if shapes is None:
            return None
        if len(shapes) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": shapes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build for the shapes that `get_build_config` returned."""
        if config.get("shapes_dict"):
            self.build(**{name: _as_tuples(shape) for name, shape in config["shapes_dict"].items()})
        elif config.get("input_shape") is not None:
            self.build(_as_tuples(config["input_shape"]))

    # --- symbolic calls --------------------------------------------------------------

    def _call_symbolically(self, args: Any, kwargs: Any) -> Any:
        shapes = [leaf.shape for leaf in tree.flatten(args[0] if args else None) if isinstance(leaf, torch.Tensor)]
        try:
            if not self.built:
                with symbolic.at_home():
                    self._build_for(args, kwargs)
            if self.input_spec is not None and args:
                check_inputs(self, [leaf.shape if isinstance(leaf, torch.Tensor) else None for leaf in tree.flatten(args[0])])
            outputs = symbolic.run_on_probes(self, args, kwargs)
        except Exception as error:
            if symbolic.is_explained(error):
                raise
            raise self._explained(error, shapes) from None
        for leaf in tree.flatten(outputs):
            if isinstance(leaf, symbolic.SymbolicTensor) and any(
                size == 0 or (size is None and 0 in probe.shape) for probe in leaf._probes for size in leaf.shape
            ):
                raise ValueError(
                    explain(
                        f"{self.label} shrinks its input of shape {shapes[0]} to nothing: {leaf.shape}.",
                        "Expected at least 1 on every axis.",
                        self.explain_input(shapes[0]),
                    )
                )
        symbolic.Node(self, args, kwargs, outputs)
        self._losses.clear()
        return outputs

    def _explained(self, error: Exception, shapes: list[Any]) -> Exception:
        """Return an error that names this layer, the shapes it got and the line that failed."""
        what = str(error).strip().split("\n")[0] or type(error).__name__
        place = _line_of_the_user(error)
        shown = str(shapes[0]) if len(shapes) == 1 else str(shapes)
        kind = type(error) if type(error) in (ValueError, TypeError, NotImplementedError, AttributeError) else ValueError
        return kind(
            explain(
                f"{self.label} got an input of shape {shown}, and its call() failed: {what}.",
                f"Expected shapes that fit its weights: {_weights_in_words(self)}.",
                place or self.explain_input(shapes[0] if shapes else None),
            )
        )

    def explain_input(self, shape: Any) -> str:
        """Return the line to type when an input of `shape` does not fit this layer."""
        return f"give {self.name} an input that fits, or change its settings"

    @property
    def label(self) -> str:
        """Class and name, as messages say it: `Dense 'dense_1'`."""
        return f"{type(self).__name__} '{self.name}'"

    @property
    def input(self) -> Any:
        """The symbolic tensor(s) that the layer was called on."""
        return self._only_node("input").args[0]

    @property
    def output(self) -> Any:
        """The symbolic tensor(s) that the layer returned."""
        return self._only_node("output").structure

    def _only_node(self, what: str) -> symbolic.Node:
        if len(self._nodes) != 1:
            raise AttributeError(
                explain(
                    f"{self.label} was called {len(self._nodes)} times on symbolic tensors, so it has no single {what}.",
                    "Expected exactly one call.",
                    f"keep the tensor: {what} = {self.name}(x)",
                )
            )
        return self._nodes[0]

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the shape of the output for an input shape, by running `call` without data."""
        shape = args[0] if args else next(iter(kwargs.values()))
        spec = tree.map_structure(lambda leaf: leaf, _symbols(shape, self.compute_dtype))
        outputs = self.compute_output_spec(spec)
        return tree.map_structure(lambda leaf: leaf.shape, outputs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs, without entering the call into a graph."""
        if not self.built:
            with symbolic.at_home():
                self._build_for(args, kwargs)
        return symbolic.run_on_probes(self, args, kwargs)

    # --- config ----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal layer, as plain data.

        A layer of your own whose arguments are plain values needs not override it.
        """
        config: dict[str, Any] = {"name": self.name, "trainable": self._trainable, "dtype": self._dtype_policy}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = self.activity_regularizer
        if type(self).get_config is Layer.get_config and type(self).__init__ is not Layer.__init__:
            config.update(self._given_arguments())
        return config

    def _given_arguments(self) -> dict[str, Any]:
        args, kwargs = self._given
        names = [p.name for p in _parameters_of(type(self).__init__) if p.kind is p.POSITIONAL_OR_KEYWORD]
        given = {**dict(zip(names, args)), **kwargs}
        return {name: value for name, value in given.items() if name not in ("name", "trainable", "dtype")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a layer with these settings; the inverse of `get_config`."""
        config = {
            key: registry.deserialize_keras_object(value) if isinstance(value, (dict, list)) else value
            for key, value in config.items()
        }
        try:
            return cls(**config)
        except TypeError as error:
            if symbolic.is_explained(error):
                raise
            raise TypeError(
                explain(
                    f"{cls.__name__} could not be made from its config: {error}.",
                    f"Expected its arguments, got {sorted(config)}.",
                    f"let {cls.__name__}.get_config() return the arguments of its __init__",
                )
            ) from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def extra_repr(self) -> str:
        return f"name={self.name}"


# --- small things ---------------------------------------------------------------------


def _parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(function).parameters.values() if p.name != "self"]


def _built_once(build: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a layer's `build`: weights are real, the shapes are kept, and `built` is set."""
    parameters = _parameters_of(build)

    @functools.wraps(build)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        shapes = {p.name: _as_tuples(value) for p, value in zip(parameters, args)}
        shapes.update({name: _as_tuples(value) for name, value in kwargs.items()})
        with symbolic.at_home():
            build(self, *[_as_tuples(value) for value in args], **{k: _as_tuples(v) for k, v in kwargs.items()})
        self._build_shapes = shapes
        self.built = True

    return wrapped


def _as_tuples(shape: Any) -> Any:
    """Return a shape, or a structure of shapes, with each shape as a tuple."""
    if isinstance(shape, (list, tuple)):
        if all(size is None or isinstance(size, (int, np.integer)) for size in shape):
            return tuple(shape)
        return type(shape)(_as_tuples(part) for part in shape) if not isinstance(shape, torch.Size) else tuple(shape)
    if isinstance(shape, dict):
        return {key: _as_tuples(part) for key, part in shape.items()}
    return shape


def _symbols(shape: Any, dtype: str) -> Any:
    shape = _as_tuples(shape)
    if isinstance(shape, tuple) and all(size is None or isinstance(size, int) for size in shape):
        return symbolic.SymbolicTensor(shape, dtype)
    if isinstance(shape, dict):
        return {key: _symbols(part, dtype) for key, part in shape.items()}
    return [_symbols(part, dtype) for part in shape]


def shape_of(tensor: torch.Tensor) -> tuple[int | None, ...]:
    """Return a tensor's shape, with None for the batch while shapes are being found."""
    if isinstance(tensor, symbolic.SymbolicTensor):
        return tensor.shape
    shape = tuple(tensor.shape)
    return (None, *shape[1:]) if shape and (symbolic.state.active or tensor.is_meta) else shape


def masks_of(structure: Any) -> Any:
    """Return the masks of the tensors in a structure, in the same structure; None if there are none."""
    leaves = [getattr(leaf, "_keras_mask", None) for leaf in tree.flatten(structure)]
    return tree.pack(structure, leaves) if any(leaf is not None for leaf in leaves) else None


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


def _init_first(layer: Any, name: str) -> str:
    return explain(
        f"{type(layer).__name__}: '{name}' was used before super().__init__() had run.",
        "Expected super().__init__() in the first line of __init__.",
        "def __init__(self, **kwargs): super().__init__(**kwargs)",
    )


def raise_unknown_arguments(cls: type, kwargs: dict[str, Any]) -> None:
    """Raise a TypeError (ValueError in Keras's manner) for keyword arguments that a layer does not have."""
    name = next(iter(kwargs))
    known = [p.name for p in _parameters_of(cls.__init__) if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    known += [argument for argument in _BASE_ARGUMENTS if argument not in known]
    raise ValueError(unknown_argument(cls.__name__, name, known))


def _weights_in_words(layer: Layer) -> str:
    shapes = [f"{weight.name} {tuple(weight.shape)}" for weight in layer._own_variables]
    return ", ".join(shapes) if shapes else "it has none of its own"


def _line_of_the_user(error: BaseException) -> str | None:
    """Return the last line of the user's own code in an error's traceback."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((_PACKAGE, _TORCH, "<frozen")):
            return f"look at line {frame.lineno} of {Path(frame.filename).name}: {frame.line}" if frame.line else None
    return None
