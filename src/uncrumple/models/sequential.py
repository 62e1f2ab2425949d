"""A model made of one layer after another."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import naming, registry, tree
from uncrumple.core.errors import explain, unknown_argument
from uncrumple.core.text import Text, is_text_array, is_text_list
from uncrumple.layers.base import Layer
from uncrumple.layers.input import Input, InputLayer
from uncrumple.layers.shapes import as_tuples
from uncrumple.layers.symbolic import SymbolicTensor, made_by
from uncrumple.layers.wrappers import TorchModuleWrapper
from uncrumple.models.functional import Functional
from uncrumple.models.graph import Graph
from uncrumple.models.model import Model


class Sequential(Model):
    """A stack of layers: the output of each is the input of the next.

    With an `Input` in front, each layer is built, and its shapes checked, in
    the line that adds it. Without one, this happens when data comes.

    Args:
        layers: The layers, or torch modules.
        trainable: Whether training changes the weights.
        name: Name of the model.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> model = Sequential([Input((784,)), Dense(32, activation="relu"), Dense(10)])
        >>> model.output_shape
        (None, 10)
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 1 and isinstance(args[1], Layer):
            raise TypeError(
                explain(
                    f"Sequential got {len(args)} arguments, of which the second is {args[1]._label}.",
                    "Expected all layers in one list.",
                    f"Sequential([{', '.join(type(layer).__name__ + '(...)' for layer in args)}])",
                )
            )
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise ValueError(unknown_argument("Sequential", next(iter(kwargs)), ["layers", "trainable", "name"]))
        super().__init__(name=name, trainable=trainable)
        self._stack: list[Any] = []
        if layers is not None:
            if isinstance(layers, (torch.nn.Module, SymbolicTensor)):
                layers = [layers]
            for layer in layers:
                self.add(layer, rebuild=False)
            self._count()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Add a layer at the end.

        Raises:
            TypeError: It is not a layer.
            ValueError: Its name is taken, or the output so far does not fit it.
        """
        if isinstance(layer, SymbolicTensor):
            layer = layer.keras_history[0]
        if isinstance(layer, torch.nn.Module) and not isinstance(layer, Layer):
            layer = TorchModuleWrapper(layer)
        if not isinstance(layer, Layer):
            wrong = f"{layer!r}, of type {type(layer).__name__}"
            if isinstance(layer, type):
                wrong = f"the class {layer.__name__}"
            elif layer is None or isinstance(layer, (list, tuple)):
                wrong = "None" if layer is None else f"a {type(layer).__name__} with {len(layer)} entries"
            fix = 'model.add(Dense(10, activation="relu"))'
            if isinstance(layer, type):
                fix = f"{layer.__name__}(...), with brackets and its arguments"
            elif isinstance(layer, (list, tuple)):
                fix = "one flat list: Sequential([..., ...])"
            elif isinstance(layer, str) and layer in registry.builtins("activations"):
                fix = f"Activation({layer!r})"
            raise TypeError(explain(f"Sequential '{self.name}' got {wrong}.", "Expected a layer.", fix))
        if any(part is self for part in layer.modules()):
            raise ValueError(
                explain(
                    f"Sequential '{self.name}' was added to itself.",
                    "Expected another layer or model.",
                    "model = Sequential([model, ...]) for a new model around it",
                )
            )
        if any(layer.name == known.name for known in self._stack):
            raise ValueError(
                explain(
                    f"Sequential '{self.name}' has a layer named '{layer.name}' already.",
                    "Expected a different name for each layer.",
                    f"{type(layer).__name__}(..., name='{layer.name}_2')"
                    if not any(layer is known for known in self._stack)
                    else f"make a new {type(layer).__name__}, or use Model(inputs, outputs) to share one",
                )
            )
        if isinstance(layer, InputLayer) and self._stack:
            if any(isinstance(known, InputLayer) for known in self._stack[:1]):
                raise ValueError(
                    explain(
                        f"Sequential '{self.name}' has an Input already.",
                        "Expected one Input, in front.",
                        "remove one of them; a model with two inputs is made by Model([a, b], outputs)",
                    )
                )
            raise ValueError(
                explain(
                    f"Sequential '{self.name}' got an Input after {len(self._stack)} other layer{'s' * (len(self._stack) != 1)}.",
                    "Expected Input in front.",
                    "Sequential([Input(shape), ...])",
                )
            )
        if not self._stack and not isinstance(layer, InputLayer):
            start = _input_of(layer)
            if start is not None:
                self._stack.append(start)
        before = self._stack[:]
        self._stack.append(layer)
        try:
            self._extend(layer)
        except BaseException:
            self._stack = before
            raise
        self._register(layer)
        self._take_along(layer)
        self._metrics_cache = None
        if rebuild:
            self._count()

    def _count(self) -> None:
        """Take a name that nobody gets: a Sequential of Keras holds a functional model, which counts among their names."""
        if self._graph is not None:
            naming.auto_name("functional")

    def _extend(self, layer: Any) -> None:
        """Call the new layer on the output so far, if that is known."""
        if not isinstance(self._stack[0], InputLayer):
            self.built = False
            return
        inputs = self._stack[0].output
        if isinstance(layer, InputLayer):
            return
        with self._within():
            outputs = layer(self._graph.outputs if self._graph is not None else inputs)
        if not isinstance(outputs, torch.Tensor):
            raise ValueError(
                explain(
                    f"Sequential '{self.name}': {layer._label} returns {len(tree.flatten(outputs))} outputs.",
                    "Expected one output per layer.",
                    "Model(inputs, outputs) for layers with several outputs",
                )
            )
        self._graph = Graph(inputs, outputs, self.name)
        self.built = True
        self._build_shapes = {"input_shape": inputs.shape}

    def pop(self, rebuild: bool = True) -> Any:
        """Remove the last layer and return it."""
        if not self.layers:
            raise ValueError(
                explain(f"Sequential '{self.name}' is empty.", "Expected a layer to remove.", "model.add(layer) first")
            )
        layer = self._stack.pop()
        for key, part in list(self._modules.items()):
            if part is layer:
                del self._modules[key]
        if self._graph is not None:
            last = made_by(self._graph.outputs)
            if last is layer._nodes[-1]:
                layer._nodes.pop()
            start = self._stack[0].output
            self._graph = Graph(start, last.inputs[0], self.name) if self.layers else None
            self.built = bool(self.layers)
        self._metrics_cache = None
        return layer

    @property
    def layers(self) -> list[Any]:
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    def build(self, input_shape: Any = None) -> None:
        """Make all weights for inputs of this shape, (None, ...) with the batch axis.

        Raises:
            ValueError: A layer does not fit the output of the one before.
        """
        if self._graph is not None or input_shape is None or not self.layers:
            return
        shape = as_tuples(input_shape)
        if not isinstance(shape, tuple) or any(isinstance(part, (tuple, list, dict)) for part in shape):
            raise ValueError(
                explain(
                    f"Sequential '{self.name}' got {len(shape)} inputs.",
                    "Expected one: a stack of layers has one input.",
                    "Model([a, b], outputs) for several inputs",
                )
            )
        self._begin_with(Input(batch_shape=shape, dtype=_dtype_for(self.layers[0])))

    def _begin_with(self, start: Any, anew: bool = False) -> None:
        layers = self.layers
        outputs = start
        with self._within():
            for layer in layers:
                outputs = layer(outputs)
        self._stack = [start.keras_history[0], *layers]
        self._graph = Graph(start, outputs, self.name)
        self.built = True
        self._build_shapes = {"input_shape": start.shape}
        if not anew:
            self._count()

    def _build_for(self, args: Any, kwargs: Any) -> None:
        if not self.layers:
            raise ValueError(
                explain(f"Sequential '{self.name}' has no layers.", "Expected at least one.", "model.add(Dense(10))")
            )
        inputs = args[0] if args else kwargs["inputs"]
        if is_text_array(inputs) or is_text_list(inputs):
            inputs = Text.of(inputs)
        if not isinstance(inputs, torch.Tensor):
            raise ValueError(
                explain(
                    f"Sequential '{self.name}' got {len(tree.flatten(inputs))} inputs.",
                    "Expected one tensor.",
                    "Model([a, b], outputs) for several inputs",
                )
            )
        shape = inputs.shape if isinstance(inputs, SymbolicTensor) else (None, *tuple(inputs.shape)[1:])
        dtype = inputs.dtype if not inputs.is_floating_point() else _dtype_for(self.layers[0])
        if isinstance(inputs, Text) or getattr(inputs, "is_text", False):
            dtype = "string"
        elif not inputs.is_floating_point() and not _takes_integers(self.layers[0]):
            dtype = "float32"
        self._begin_with(Input(batch_shape=shape, dtype=dtype))
        self._from_call = True

    # It was built for what it was called on first, not for a shape that somebody asked for.
    _from_call = False

    def _take_other_sizes(self, inputs: Any) -> None:
        """Let the axes be of any size on which these inputs differ from those of the first call.

        As in Keras, where a model that was given no shape takes every shape that its layers take. Nothing changes
        where they do not.
        """
        if not self._from_call or self._graph is None or not isinstance(inputs, torch.Tensor):
            return
        start, shape = self._graph.flat_inputs[0], inputs.shape
        if len(shape) != len(start.shape):
            return
        wider = tuple(size if size == other else None for size, other in zip(start.shape, shape))
        if wider == start.shape:
            return
        calls, mine = [(layer, list(layer._nodes)) for layer in self.layers], set(self._graph.nodes)
        for layer, nodes in calls:
            if nodes and nodes[-1] in mine:
                layer._nodes.pop()  # its call for the shape of before
        name, dtype = start.keras_history[0].name, "string" if start.is_text else start.dtype
        try:
            self._begin_with(Input(batch_shape=wider, dtype=dtype, name=name), anew=True)
        except Exception:
            for layer, nodes in calls:
                layer._nodes[:] = nodes

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if self._graph is None:
            raise ValueError(
                explain(f"Sequential '{self.name}' has no layers.", "Expected at least one.", "model.add(Dense(10))")
            )
        if self._from_call:
            self._take_other_sizes(inputs)
        return super().call(inputs, training=training, mask=mask)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self._dtype_policy,
            "layers": [registry.serialize_keras_object(layer) for layer in self._stack],
        }
        if self.built and self._build_shapes:
            config["build_input_shape"] = list(self._build_shapes["input_shape"])
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        with registry.custom_object_scope(custom_objects or {}):
            for entry in config["layers"]:
                model.add(registry.deserialize_keras_object(entry))
        shape = config.get("build_input_shape")
        if model._graph is None and shape:
            model.build(tuple(shape))
        return model

    def build_from_config(self, config: dict[str, Any]) -> None:
        if config.get("input_shape"):
            self.build(tuple(config["input_shape"]))


def _input_of(layer: Any) -> Any:
    """Return the input layer that the first layer of a stack brings along, if it does."""
    if layer._input_shape_argument is not None:
        return Input(shape=layer._input_shape_argument, dtype=_dtype_for(layer)).keras_history[0]
    if isinstance(layer, (Functional, Sequential)) and layer._graph is not None and len(layer._graph.flat_inputs) == 1:
        start = layer._graph.flat_inputs[0]
        kind = "string" if start.is_text else start.dtype
        return Input(batch_shape=start.shape, dtype=kind).keras_history[0]
    return None


def _takes_integers(layer: Any) -> bool:
    """Return whether a layer wants whole numbers: Embedding looks rows up by them."""
    return type(layer).__name__ == "Embedding" or getattr(layer, "_reads", None) == "int64"


def _dtype_for(layer: Any) -> str:
    reads: str | None = getattr(layer, "_reads", None)
    return reads or ("int32" if _takes_integers(layer) else "float32")


registry.add_builtins("models", [Sequential], module="keras")
