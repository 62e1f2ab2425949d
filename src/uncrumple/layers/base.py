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
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple import regularizers
from uncrumple.core import naming, own_values, registry, remat, tree
from uncrumple.core.dtypes import get_policy
from uncrumple.core.errors import explain, warn
from uncrumple.core.variable import Variable
from uncrumple.layers import configs, failures, signatures, symbolic
from uncrumple.layers.input_spec import check_inputs
from uncrumple.layers.modes import calls
from uncrumple.layers.other_calls import OtherCalls
from uncrumple.layers.shapes import as_tuples, has_used_mask, masks_by_name, masks_of, shape_of, symbols, use_masks


class Layer(OtherCalls):
    """The base of every layer: weights, made in `build`, and mathematics, in `call`.

    output = call(inputs), after build(input_shape) has been run once.

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

    Shapes: whatever `call` makes of them; the first axis is the samples.

    Example:
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale()(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    # What `call` and `build` take: see signatures.py.
    _call_parameters: tuple[str, ...] = ("inputs",)
    _takes_anything = False
    _takes_training = False
    _acts_untold = False  # as in Keras, `def call(self, x, training=True)` trains where nobody says otherwise
    _takes_mask = False
    _takes_masks: tuple[str, ...] = ()
    _build_parameters: tuple[str, ...] = ()
    _build_required: frozenset[str] = frozenset()
    _keras_module: str

    # What a built-in layer's constructor takes; None for a user's own layers.
    _known_arguments: frozenset[str] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        signatures.check_given(cls, args, kwargs)
        made = super().__new__(cls)
        # Kept, so that a user's layer has a config without writing get_config.
        object.__setattr__(made, "_given", (args, kwargs))
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        signatures.note_methods(cls)
        if "build" in cls.__dict__:
            cls.build = _built_once(cls.__dict__["build"])  # type: ignore[method-assign]
        cls._known_arguments = None
        if cls.__module__.startswith("uncrumple.layers."):
            if "get_config" in cls.__dict__:
                cls.get_config = configs.as_plain_data(cls.__dict__["get_config"])  # type: ignore[method-assign]
            cls._known_arguments = signatures.arguments_of(base for base in cls.__mro__ if issubclass(base, Layer))

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
            signatures.refuse_unknown(type(self), kwargs)
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
        mode = remat.current_mode()
        if mode is not None:
            self._remat_mode = mode
        self._own_variables: list[Variable] = []
        self._losses: list[Any] = []
        self._nodes: list[symbolic.Node] = []
        self._build_shapes: Any = None

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
            raise AttributeError(failures.init_first(self))
        if not self.built and not naming.is_open(self):
            with self._within():
                return Layer.__call__(self, *args, **kwargs)
        if self._losses and not calls.inside:
            self._clear_losses()
        if not args and kwargs and self._call_parameters and self._call_parameters[0] in kwargs:
            args = (kwargs.pop(self._call_parameters[0]),)  # the first input by its name: layer(inputs=x)
        try:
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
                failures.check_tensors(self, args[0])
                check_inputs(self, shapes)
            training = kwargs.get("training")
            if training is not None:
                if not (self._takes_training or self._takes_anything):
                    del kwargs["training"]
                return self._call_in_mode(bool(training), args, kwargs)
            return super().__call__(*args, **kwargs)
        except Exception as error:
            # On shapes alone, code that needs numbers fails too; whoever runs it so tries again with numbers.
            failure = None if symbolic.state.active else failures.explained(self, error, (args, kwargs))
            if failure is None:
                raise
            raise failure from None

    def _call_in_mode(self, training: bool, args: Any, kwargs: Any) -> Any:
        """Run once with `training` as given, for this layer and all within it."""
        modes = [] if training is self.training else [(module, module.training) for module in self.modules()]
        if modes:
            self.train(training)
        was_told, calls.told = calls.told, True
        try:
            return super().__call__(*args, **kwargs)
        finally:
            calls.told = was_told
            for module, mode in modes:
                module.training = mode

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What `torch.nn.Module` calls: cast, hand over `training` and `mask`, run `call`."""
        mask, used = None, False
        if args:
            first = args[0]
            if self._takes_masks:
                kwargs.update(masks_by_name(self, args, kwargs))
            if kwargs and self.autocast:
                kwargs = self._cast(kwargs)
            if isinstance(first, torch.Tensor):
                mask = getattr(first, "_keras_mask", None)
                if self.autocast and first.dtype is not self._compute_in and first.is_floating_point():
                    args = (first.to(self._compute_in), *args[1:])
            else:
                mask = masks_of(first)
            if len(args) > 1 or not isinstance(first, torch.Tensor):
                args = self._cast(args)
            if mask is not None:
                used = self._has_used_mask(first)
                if self._takes_mask and kwargs.get("mask") is None and _is_alone(args, kwargs):
                    kwargs["mask"] = mask if isinstance(first, torch.Tensor) else masks_of(first, used=False)
        if self._takes_training and kwargs.get("training") is None:
            kwargs["training"] = self.training or (self._acts_untold and not (calls.told or symbolic.state.active))
        call = self.call if self._remat_mode is None else self.rematerialized_call(self.call, *args, **kwargs)
        if self._cast_weights_to is not None and self.autocast:
            self.__dict__["_weights_as"] = self._cast_weights_to
            try:
                outputs = call(*args, **kwargs)
            finally:
                self.__dict__["_weights_as"] = None
        else:
            outputs = call(*args, **kwargs)
        if mask is not None or self._makes_mask:
            self._pass_mask(args[0], mask if kwargs.get("mask") is None else kwargs["mask"], outputs)
            if used:
                use_masks(outputs)
        if self.activity_regularizer is not None:
            for one in tree.flatten(outputs):
                if isinstance(one, torch.Tensor):
                    where = f"the output of {self._label}"
                    self.add_loss(own_values.penalty(self.activity_regularizer, one, where) / one.shape[0])
        return outputs

    # A layer that makes a mask out of nothing (Embedding, Masking) says so.
    _makes_mask = False

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Return the mask of the output; by default that of the input."""
        return previous_mask

    def _has_used_mask(self, inputs: Any) -> bool:
        """Return whether attention has used up a mask that this layer passes on: see `use_masks`."""
        return not self._takes_mask and any(has_used_mask(leaf) for leaf in tree.flatten(inputs))

    def _pass_mask(self, inputs: Any, mask: Any, outputs: Any) -> None:
        if not self.supports_masking and not self._makes_mask:
            if not symbolic.state.active and not self._takes_mask and not self._has_used_mask(inputs):
                warn(
                    f"{self._label} got an input with a mask, and does not support masking.",
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
                    if has_used_mask(leaf):
                        use_masks(made)
                return made
            return leaf

        return tree.map_structure(cast, args)

    def _to_tensor(self, leaf: Any) -> Any:
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype != object and leaf.dtype.kind not in "US":
            tensor = torch.as_tensor(np.ascontiguousarray(leaf))
            if self.autocast and tensor.is_floating_point():
                tensor = tensor.to(self._compute_in)
            weight = next(self.parameters(), None)
            home = self._home if weight is None else weight.device
            return tensor if home is None else tensor.to(home)
        return leaf

    # --- building --------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape (None where a size is unknown).

        Override it in a layer of your own that has weights.
        """

    def _build_for(self, args: Any, kwargs: Any) -> None:
        """Build from the shapes of the arguments of a call."""
        if type(self).build is not Layer.build:
            failures.check_tensors(self, args)
        structures = dict(zip(self._call_parameters, args))
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
        given = {name: by_name[name] for name in names if name in by_name}
        if len(names) > 1 and given and self._build_required <= given.keys():
            self.build(**given)
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
            self.build(**{name: as_tuples(shape) for name, shape in config["shapes_dict"].items()})
        elif config.get("input_shape") is not None:
            self.build(as_tuples(config["input_shape"]))

    # --- symbolic calls --------------------------------------------------------------

    def _call_symbolically(self, args: Any, kwargs: Any) -> Any:
        shapes = [leaf.shape for leaf in tree.flatten(args) if isinstance(leaf, torch.Tensor)]
        try:
            if not self.built:
                with symbolic.at_home():
                    self._build_for(args, kwargs)
            if self.input_spec is not None and args:
                check_inputs(
                    self, [leaf.shape if isinstance(leaf, torch.Tensor) else None for leaf in tree.flatten(args[0])]
                )
            with failures.no_strangers(self):
                outputs = symbolic.run_on_probes(self, args, kwargs)
        except Exception as error:
            failure = failures.explained(self, error, (args, kwargs))
            if failure is None:
                raise
            raise failure from None
        failures.check_returned(self, outputs, args)
        for leaf in tree.flatten(outputs):
            if isinstance(leaf, symbolic.SymbolicTensor) and any(
                size == 0 or (size is None and 0 in probe.shape) for probe in leaf._probes for size in leaf.shape
            ):
                raise ValueError(
                    explain(
                        f"{self._label} shrinks its input of shape {shapes[0]} to nothing: {leaf.shape}.",
                        "Expected at least 1 on every axis.",
                        self.explain_input(shapes[0]),
                    )
                )
        symbolic.Node(self, args, kwargs, outputs)
        self._losses.clear()
        return outputs

    def explain_input(self, shape: Any) -> str:
        """Return the line to type when an input of `shape` does not fit this layer."""
        return f"give {self.name} an input that fits, or change its settings"

    @property
    def input(self) -> Any:
        """The symbolic tensor(s) that the layer was called on."""
        node = self._only_node("input")
        return node.args[0] if node.args else next(iter(node.kwargs.values()))

    @property
    def output(self) -> Any:
        """The symbolic tensor(s) that the layer returned."""
        return self._only_node("output").structure

    def _only_node(self, what: str) -> symbolic.Node:
        if len(self._nodes) != 1:
            raise AttributeError(
                explain(
                    f"{self._label} was called {len(self._nodes)} times on symbolic tensors, so it has no single {what}.",
                    "Expected exactly one call.",
                    f"keep the tensor: {what} = {self.name}(x)",
                )
            )
        return self._nodes[0]

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the shape of the output for an input shape, by running `call` without data."""
        shape = args[0] if args else next(iter(kwargs.values()))
        outputs = self.compute_output_spec(symbols(shape, self.compute_dtype))
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
            config = self._with_given_arguments(config)
        return registry.serialize_dict(config)

    def _with_given_arguments(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a config with what the constructor was given, and without what it does not take."""
        return configs.with_given_arguments(self, config)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Return a layer with these settings; the inverse of `get_config`.

        Args:
            config: What `get_config()` returned, or what a file holds of it.
            custom_objects: {name: class or function} that the config may name.
        """
        return configs.made_from(cls, config, custom_objects)

    # --- copies ----------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along: not the calls on symbolic tensors (a model copies those it is made of), nor losses."""
        state = {**super().__getstate__(), "_nodes": [], "_losses": []}
        if symbolic.find(*state["_given"]):
            state["_given"] = ((), {})
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for name, value in list(self.__dict__.items()):
            if type(value) in (list, dict) and not name.startswith("_"):
                setattr(self, name, value)  # lists and dicts that tell this layer what is put into them

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def extra_repr(self) -> str:
        return f"name={self.name}"


# --- small things ---------------------------------------------------------------------


def _is_alone(args: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether no argument but the first holds tensors.

    Beside others, as in `LSTM(4)(x, initial_state=states)`, Keras does not hand over the mask of the first by itself.
    """
    others = [*args[1:], *[value for value in kwargs.values() if value is not None and value is not True]]
    return not any(isinstance(leaf, torch.Tensor) for leaf in tree.flatten(others))


def _built_once(build: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a layer's `build`: weights are real, the shapes are kept, and `built` is set."""
    parameters = signatures.parameters_of(build)

    @functools.wraps(build)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        shapes = {p.name: as_tuples(value) for p, value in zip(parameters, args)}
        shapes.update({name: as_tuples(value) for name, value in kwargs.items()})
        with symbolic.at_home(), self._within():
            build(self, *[as_tuples(value) for value in args], **{k: as_tuples(v) for k, v in kwargs.items()})
        self._build_shapes = shapes
        self.built = True

    return wrapped
