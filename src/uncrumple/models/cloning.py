"""`clone_model`: the same architecture with new weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from uncrumple.core import registry, sharing, tree
from uncrumple.core.errors import explain, warn
from uncrumple.layers.input import Input, InputLayer
from uncrumple.layers.symbolic import SymbolicTensor
from uncrumple.layers.wrappers import TorchModuleWrapper
from uncrumple.models.functional import Functional
from uncrumple.models.model import Model
from uncrumple.models.sequential import Sequential


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """Return a model with the same layers and settings, new weights, and compiled as the first one was.

    Args:
        model: The model.
        input_tensors: Symbolic tensors to build the new one on, in the structure of `model.input`.
        clone_function: Returns the layer to use in place of a layer; by default a new one with the same config.
            Not for models that are classes of your own.
        call_function: Called with (layer, *args, **kwargs) in place of `layer(*args, **kwargs)`; for functional models.
        recursive: Whether `clone_function` is used within models inside the model too.

    Raises:
        TypeError: `model` is not a model.
        ValueError: An argument does not go with this kind of model.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> model = Sequential([Input((4,)), Dense(3, name="head")])
        >>> clone_model(model).get_layer("head").kernel.shape
        torch.Size([4, 3])
    """
    if not isinstance(model, Model):
        shown = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise TypeError(explain(f"clone_model got {shown}.", "Expected a model.", "clone_model(model)"))
    # The classes of its parts need not be registered: they are here.
    parts = list(model.modules())
    classes: dict[str, Any] = {type(one).__name__: type(one) for one in parts if "_keras_module" not in vars(type(one))}
    classes |= {one.name: one.module for one in parts if isinstance(one, TorchModuleWrapper)}
    with registry.CustomObjectScope(classes):
        made_of_layers = isinstance(model, Sequential) or model._graph is not None
        if not made_of_layers or type(model).get_config is Model.get_config:
            given = {"input_tensors": input_tensors, "clone_function": clone_function, "call_function": call_function}
            for argument, value in given.items():
                if value is not None:
                    raise _wrong_argument(
                        model, argument, "a model made of layers: Sequential or Model(inputs, outputs)"
                    )
            with sharing.reading():
                config = sharing.write(lambda: registry.serialize_keras_object(model))
                made = registry.deserialize_keras_object({**config, "compile_config": None})
        elif isinstance(model, Sequential):
            if call_function is not None:
                raise _wrong_argument(model, "call_function", "a functional model")
            made = _clone_stack(model, input_tensors, _Cloner(clone_function, None, recursive))
        else:
            made = _clone_graph(model, model._graph, input_tensors, _Cloner(clone_function, call_function, recursive))
    if model.compiled:
        _compile_alike(made, model)
    return made


def _compile_alike(made: Any, model: Any) -> None:
    """Compile as another model was, with an optimizer and metrics of its own."""
    settings = {name: copy.deepcopy(value) for name, value in model._compile_config.items() if name != "optimizer"}
    optimizer = model.optimizer
    if not hasattr(optimizer, "from_config"):
        warn(
            f"'{made.name}' was not compiled: {type(optimizer).__name__} of torch cannot be made anew.",
            "Expected an optimizer of uncrumple.",
            "compile the clone yourself",
        )
        return
    made.compile(optimizer=type(optimizer).from_config(optimizer.get_config()), **settings)
    if made.built:
        made.optimizer.build(made.trainable_variables)


def _wrong_argument(model: Any, argument: str, expected: str) -> ValueError:
    came = f"clone_model got {argument} for '{model.name}', a {type(model).__name__}."
    return ValueError(explain(came, f"Expected {expected}.", f"remove {argument}"))


class _Cloner:
    """Clones layers, each once."""

    def __init__(self, function: Any, call: Any, recursive: bool) -> None:
        self.function = function or _renewed
        self.call = call or (lambda layer, *args, **kwargs: layer(*args, **kwargs))
        self.call_function, self.recursive = call, recursive
        self._made: dict[int, Any] = {}

    def __call__(self, layer: Any) -> Any:
        if id(layer) not in self._made:
            made_of_layers = isinstance(layer, Sequential) or (isinstance(layer, Model) and layer._graph is not None)
            if self.recursive and made_of_layers:
                call = None if isinstance(layer, Sequential) else self.call_function
                clone = clone_model(layer, clone_function=self.function, call_function=call, recursive=True)
            else:
                clone = self.function(layer)
            self._made[id(layer)] = clone
        return self._made[id(layer)]


def _renewed(thing: Any) -> Any:
    """Return a layer, initializer or the like made anew, and all in it: an initializer gives each owner the same values."""
    if isinstance(thing, dict):
        return {key: _renewed(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_renewed(part) for part in thing]
    if hasattr(thing, "get_config") and hasattr(type(thing), "from_config"):
        return type(thing).from_config(_renewed(thing.get_config()))
    return thing


def _new_inputs(given: Any, wanted: Any, name: str) -> Any:
    """Return symbolic tensors to build on: those that were given, or new ones like the old."""
    if given is None:
        return tree.map_structure(_input_like, wanted)
    if isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(wanted, SymbolicTensor):
        given = given[0]
    flat = tree.flatten(given)
    if len(flat) != len(tree.flatten(wanted)) or not all(isinstance(tensor, SymbolicTensor) for tensor in flat):
        raise ValueError(
            explain(
                f"clone_model got input_tensors={given!r} for '{name}'.",
                f"Expected {len(tree.flatten(wanted))} of what Input() returns.",
                "input_tensors=Input((4,))",
            )
        )
    return tree.pack(wanted, flat)


def _input_like(tensor: SymbolicTensor) -> Any:
    layer = tensor.keras_history[0]
    if isinstance(layer, InputLayer):
        return InputLayer.from_config(layer.get_config()).output
    return Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)


def _clone_stack(model: Any, input_tensors: Any, clone: _Cloner) -> Any:
    layers = [clone(layer) for layer in model.layers]
    if model._graph is not None:
        layers.insert(0, _new_inputs(input_tensors, model._graph.inputs, model.name))
    elif input_tensors is not None:
        layers.insert(0, input_tensors)
    return Sequential(layers, name=model.name, trainable=model.trainable)


def _clone_graph(model: Any, graph: Any, input_tensors: Any, clone: _Cloner) -> Any:
    """Repeat the calls of a functional model with new layers on new inputs."""
    inputs = _new_inputs(input_tensors, graph.inputs, model.name)
    new = {id(old): tensor for old, tensor in zip(graph.flat_inputs, tree.flatten(inputs))}

    def renewed(structure: Any) -> Any:
        return tree.map_structure(lambda leaf: new[id(leaf)] if isinstance(leaf, SymbolicTensor) else leaf, structure)

    for node in graph.nodes:
        if all(id(tensor) in new for tensor in node.outputs):
            continue
        outputs = clone.call(clone(node.layer), *renewed(node.args), **renewed(node.kwargs))
        new.update({id(old): tensor for old, tensor in zip(node.outputs, tree.flatten(outputs))})
    return Functional(inputs, renewed(graph.outputs), name=model.name, trainable=model.trainable)
