"""Layers around another layer, or around a module of torch."""

from __future__ import annotations

import copy
from typing import Any

import torch

from uncrumple.core import naming, registry, tree
from uncrumple.core.errors import explain
from uncrumple.layers import symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.batch_normalization import BatchNormalization
from uncrumple.layers.core import Lambda
from uncrumple.layers.input_spec import InputSpec
from uncrumple.layers.operation import Operation
from uncrumple.layers.shapes import shape_of
from uncrumple.layers.weights import to_numpy


class Wrapper(Layer):
    """The base of layers that hold another layer: override `call`.

    output = layer(inputs), unless a subclass does something with it.

    Args:
        layer: The layer inside.

    Shapes: those of the wrapped layer.

    Example:
        >>> class Twice(Wrapper):
        ...     def call(self, inputs):
        ...         return self.layer(self.layer(inputs))
        >>> from uncrumple.layers.dense import Dense
        >>> Twice(Dense(3))(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            owner = type(self).__name__
            fix = f"{owner}({layer.__name__}(...))" if isinstance(layer, type) else f"{owner}(Dense(10))"
            raise ValueError(explain(f"{owner} got {layer!r} as its layer.", "Expected a layer.", fix))
        self.layer = layer
        if not self._trainable:
            layer.trainable = False

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": self.layer}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        config = dict(config)
        layer = config.pop("layer")
        if isinstance(layer, dict):
            with registry.custom_object_scope(custom_objects or {}):
                layer = registry.deserialize_keras_object(layer)
        elif isinstance(layer, Layer):  # a config that was never written down holds the layer itself
            layer = type(layer).from_config(layer.get_config())
        return super().from_config({"layer": layer, **config})


class TimeDistributed(Wrapper):
    """Applies one layer to every step of a sequence.

    output[t] = layer(inputs[t]), with the same weights for all t.

    Steps are laid side by side as if they were samples, which is one call for
    all of them. Where that would change the result (batch normalization in
    training, and code that is not built in), the layer is called step by step.

    Args:
        layer: The layer inside; its weights serve all steps.

    Call arguments: `training`; `mask` (samples, steps, ...), handed on step by step.

    Input shape: (samples, steps, ...).
    Output shape: (samples, steps, ...), as the layer makes it of (samples, ...).

    Example:
        >>> from uncrumple.layers.dense import Dense
        >>> TimeDistributed(Dense(3))(torch.ones(2, 10, 8)).shape
        torch.Size([2, 10, 3])
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True
        self.input_spec = InputSpec(min_ndim=3)

    def build(self, input_shape: Any = None) -> None:
        super().build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: torch.Tensor, training: bool = False, mask: torch.Tensor | None = None) -> Any:
        if mask is not None and (mask.dim() < 2 or mask.shape[:2] != inputs.shape[:2]):
            raise ValueError(
                explain(
                    f"{self._label} got a mask of shape {shape_of(mask)} for an input of shape {shape_of(inputs)}.",
                    "Expected the mask to begin with the same samples and steps.",
                    f"a mask of shape {tuple(inputs.shape[:2])}",
                )
            )
        if not self.layer._takes_mask:
            mask = None
        samples, steps = inputs.shape[:2]
        if self._side_by_side(training):
            settings = {} if mask is None else {"mask": mask.flatten(0, 1)}
            outputs = self.layer(inputs.flatten(0, 1), **settings)
            return tree.map_structure(lambda out: out.unflatten(0, (samples, steps)), outputs)
        each = []
        for step in range(steps):
            settings = {} if mask is None else {"mask": mask[:, step]}
            each.append(self.layer(inputs[:, step], **settings))
        leaves = zip(*(tree.flatten(one) for one in each))
        return tree.pack(each[0], [torch.stack(leaf, 1) for leaf in leaves])

    def _side_by_side(self, training: bool) -> bool:
        """Return whether the layer treats every sample on its own, so that steps can be samples."""
        for part in self.layer.modules():
            built_in = type(part).__module__.startswith("uncrumple.")
            if not built_in or isinstance(part, (Lambda, Operation, TorchModuleWrapper)):
                return False
            if training and isinstance(part, BatchNormalization):
                return False
        return True

    def explain_input(self, shape: Any) -> str:
        return f"use {type(self.layer).__name__} itself, without TimeDistributed, for inputs without steps"


class TorchModuleWrapper(Layer):
    """Makes a layer of any `torch.nn.Module`, with its parameters and buffers.

    output = module(inputs).

    The module sees tensors as they are; note that torch's own modules expect
    images as (samples, channels, height, width).

    Args:
        module: The module. Its parameters must exist already.
        name: Name of the layer.
        output_shape: The shape that the module returns, with the batch. It is
            not needed; if given, it is compared with what comes.

    Shapes: whatever the module makes of them.

    Raises:
        ValueError: `module` is not a module, or has parameters still to be made.

    Example:
        >>> TorchModuleWrapper(torch.nn.Linear(8, 3))(torch.ones(2, 8)).shape
        torch.Size([2, 3])
    """

    def __init__(self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(module, torch.nn.Module):
            raise ValueError(
                explain(
                    f"TorchModuleWrapper got {module!r} as its module.",
                    "Expected a torch.nn.Module.",
                    "TorchModuleWrapper(torch.nn.Linear(8, 3))",
                )
            )
        if any(torch.nn.parameter.is_lazy(p) for p in module.parameters()):
            raise ValueError(
                explain(
                    f"TorchModuleWrapper got a {type(module).__name__} whose parameters are not made yet.",
                    "Expected a module that has seen the shape of its input.",
                    "module(torch.zeros(1, 8)) once, before wrapping it",
                )
            )
        self.module = module
        if not self._trainable:
            module.requires_grad_(False)
        self.output_shape = output_shape
        self.built = True

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        if not symbolic.state.active:
            return self.module(*args, **kwargs)
        state = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        state = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
        outputs = torch.func.functional_call(self.module, state, args, kwargs)
        if self.output_shape is not None and isinstance(outputs, torch.Tensor):
            came, expected = tuple(outputs.shape), tuple(self.output_shape)
            if len(came) != len(expected) or any(want not in (None, got) for want, got in zip(expected[1:], came[1:])):
                raise ValueError(
                    explain(
                        f"{self._label} returned the shape {shape_of(outputs)}.",
                        f"Expected {expected}, from output_shape.",
                        "leave out output_shape: it is found by running the module",
                    )
                )
        return outputs

    def explain_input(self, shape: Any) -> str:
        if shape is not None and len(shape) == 4:
            return "torch's modules want channels first: Permute((3, 1, 2))(x) before it"
        return f"give {type(self.module).__name__} the input that it expects in torch"

    def save_own_variables(self, store: Any) -> None:
        for name, value in self.module.state_dict().items():
            store[name] = to_numpy(value)

    def load_own_variables(self, store: Any) -> None:
        state = {}
        for key in store:
            name = key.decode() if isinstance(key, bytes) else key
            state[name] = torch.as_tensor(store[key][()])
        self.module.load_state_dict(state)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "module": self.module, "output_shape": self.output_shape}

    def _config_for_files(self) -> dict[str, Any]:
        """Return the config without code: only what the module's class is called."""
        return {**self.get_config(), "module": {"torch_module": type(self.module).__name__}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        module = config.get("module")
        if isinstance(module, dict) and isinstance(module.get("torch_module"), str):
            with registry.custom_object_scope(custom_objects or {}):
                module = _module_named(str(config.get("name")), module["torch_module"])
        if not isinstance(module, torch.nn.Module):
            raise ValueError(
                explain(
                    "The file carries a torch module: Python code that loading it would run.",
                    "Expected a file without code.",
                    "build the model in Python again, and load only its weights: model.load_weights(path)",
                )
            )
        return super().from_config({**config, "module": copy.deepcopy(module)})


def _module_named(name: str, kind: str) -> torch.nn.Module:
    """Return the module that `custom_objects` has for a layer, under the layer's name or that of the module's class."""
    found = registry.get_registered_object(name)
    found = registry.get_registered_object(kind) if found is None else found
    if callable(found) and not isinstance(found, torch.nn.Module):
        found = found()
    if isinstance(found, torch.nn.Module):
        return found
    came = f"the file has no code for it, and custom_objects has {'nothing' if found is None else repr(found)} for it"
    raise ValueError(
        explain(
            f"TorchModuleWrapper '{name}' holds a torch module of the class {kind}: {came}.",
            "Expected a module like the one that was saved, or a function that makes one; its weights are in the file.",
            f"load_model(path, custom_objects={{{name!r}: make_{naming.to_snake_case(kind)}}})",
        )
    )


def from_torch(
    module: torch.nn.Module, output_shape: Any = None, name: str | None = None, input_shape: Any = None, **kwargs: Any
) -> TorchModuleWrapper:
    """Return a torch module as a layer, for any place where a layer goes.

    Its parameters are the layer's weights, the same objects, under the names that they have in the module:
    `state_dict` of a model says `<layer>.module.<name>`. Output shapes are found by running the module without data.
    Files keep the weights and no code; `load_model(path, custom_objects={layer name: module, or function that makes
    it})` brings the module along.

    Args:
        module: The module, which stays the same object: what trains is it.
        output_shape: The shape that it returns, with the batch; not needed, and compared with what comes.
        name: Name of the layer.
        input_shape: The shape of one sample. Needed for modules that make their parameters when they see data
            (`torch.nn.LazyLinear`): the module is run once on zeros.
        kwargs: What every layer takes, such as `trainable=False`.

    Raises:
        ValueError: `module` is not a module, or waits for data and no `input_shape` is given.

    Example:
        >>> from_torch(torch.nn.Sequential(torch.nn.Linear(8, 3), torch.nn.GELU()))(torch.ones(2, 8)).shape
        torch.Size([2, 3])
        >>> from_torch(torch.nn.LazyLinear(5), input_shape=(8,)).weights[0].shape
        torch.Size([5, 8])
    """
    if input_shape is not None and isinstance(module, torch.nn.Module):
        learning = module.training
        module.eval()
        with torch.no_grad():
            module(torch.zeros(2, *input_shape))
        module.train(learning)
    return TorchModuleWrapper(module, name=name, output_shape=output_shape, **kwargs)
