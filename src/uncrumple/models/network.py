"""A layer made of layers: how it is called, and which layers, inputs and outputs it has."""

from __future__ import annotations

import re
from typing import Any

import torch

from uncrumple.core import naming, own_values, tree
from uncrumple.core.errors import explain, unknown_name
from uncrumple.layers import failures, symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.modes import calls
from uncrumple.layers.operation import Operation
from uncrumple.layers.shapes import symbols
from uncrumple.layers.weights import Added
from uncrumple.models.graph import Graph


class Network(Layer):
    """The lower half of `Model`; nothing here says how it is compiled, trained or saved."""

    _graph: Graph | None  # None where a class of the user's has a `call` of its own
    _seen_losses: int  # how many losses there were when those of the last call were forgotten
    _regularized: list[Any] | None  # the weights with penalties, once they were looked for

    # --- calling -----------------------------------------------------------------------

    _runs = False  # it is being fitted, evaluated or the like: see layers/modes.py
    _infers = False  # after model.eval(), until model.train()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if calls.inside:
            return super().__call__(*args, **kwargs)
        if self._seen_losses != Added.count:
            self._clear_losses()
            self.__dict__["_seen_losses"] = Added.count  # nn.Module's way to set an attribute is long
        was_told = calls.told
        calls.inside, calls.told = True, was_told or self._runs or self._infers
        try:
            return super().__call__(*args, **kwargs)
        finally:
            calls.inside, calls.told = False, was_told

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Compute the outputs. A class of your own overrides it."""
        if self._graph is None:
            raise NotImplementedError(
                explain(
                    f"{type(self).__name__} has no call() method.",
                    "Expected one: it says how the layers are used.",
                    "def call(self, inputs): return self.dense(inputs)",
                )
            )
        given = self._graph.arrange(inputs)
        if mask is not None:
            for tensor, one in zip(given, tree.flatten(mask)):
                if one is not None and not hasattr(tensor, "_keras_mask"):
                    tensor._keras_mask = one
        return self._graph.run(given)

    def _take_other_sizes(self, inputs: Any) -> None:
        """Make ready for inputs of other sizes than at the first call: see `Sequential`."""

    def build(self, input_shape: Any) -> None:
        """Make all weights for inputs of this shape, by running `call` without data."""
        if self._graph is None:
            self._trace(symbols(input_shape, self.compute_dtype))

    def _trace(self, inputs: Any) -> Any:
        """Run on symbolic inputs, so that every layer inside is built; return symbolic outputs."""
        with symbolic.at_home(), self._within():
            was_built, self.built = self.built, True
            try:
                outputs = symbolic.run_on_probes(self, (inputs,), {})
            except BaseException as error:
                self.built = was_built
                failure = failures.explained(self, error, (inputs,)) if isinstance(error, Exception) else None
                if failure is None:
                    raise
                raise failure from None
        return outputs

    def _build_for(self, args: Any, kwargs: Any) -> None:
        if type(self).build is not Network.build:
            super()._build_for(args, kwargs)
        self.built = True  # layers inside are built as `call` reaches them
        if args and all(isinstance(leaf, torch.Tensor) for leaf in tree.flatten(args[0])):
            self._build_shapes = {"input_shape": tree.map_structure(lambda x: (None, *tuple(x.shape)[1:]), args[0])}
            self._build_kinds = tree.map_structure(lambda x: x.dtype, args[0])

    def _pass_mask(self, inputs: Any, mask: Any, outputs: Any) -> None:
        """The layers inside have put masks on the outputs already."""

    def _extra_losses(self) -> list[Any]:
        """Return the losses of `add_loss` and of regularizers."""
        if self._regularized is None:
            self._regularized = [w for w in self.weights if getattr(w, "regularizer", None) is not None]
        found: list[Any] = []
        if self._seen_losses != Added.count:
            for layer in self._flatten_layers():
                if isinstance(layer, Layer):
                    found += layer._losses
        found += [own_values.penalty(one.regularizer, one) for one in self._regularized if one.requires_grad]
        return found

    # --- learning or not ----------------------------------------------------------------

    def train(self, mode: bool = True) -> Any:
        """Set whether layers behave as in training, as torch's `train`; nothing is done where all do already."""
        if mode and self._infers:
            self._infers = False
        if all(module.training is mode for module in self.modules()):
            return self
        return super().train(mode)

    def eval(self) -> Any:
        """Let all layers infer, those that change images at random too, until `train()`; as torch's `eval`."""
        self._infers = True
        return self.train(False)

    # --- what it is made of -------------------------------------------------------------

    def _set_graph(self, graph: Graph) -> None:
        self._graph = graph
        for layer in graph.layers:
            self._register(layer)
        self.built = True
        self.supports_masking = True

    def _register(self, layer: Any) -> None:
        """Make a layer a part of the model.

        `state_dict` knows it by its name, or, if it has none of its own, by its class and a number within the
        model: the number in its name depends on what else the program has made.
        """
        if any(layer is part for part in self._modules.values()):
            return
        kind = naming.to_snake_case(type(layer).__name__)
        key = kind if re.fullmatch(rf"{kind}(_\d+)?", layer.name) else layer.name.replace(".", "_")
        free, count = key, 0
        while free in self._modules or free in self.__dict__ or hasattr(type(self), free):
            count += 1
            free = f"{key}_{count}"
        self._modules[free] = layer

    @property
    def layers(self) -> list[Any]:
        """The layers of the model, in order; operators such as `x + 1` are left out, as in Keras."""
        if self._graph is not None:
            return [layer for layer in self._graph.layers if not isinstance(layer, Operation)]
        return [
            layer for layer in self._flatten_layers(include_self=False, recursive=False) if isinstance(layer, Layer)
        ]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """Return a layer by its name or its place.

        Raises:
            ValueError: There is none; the message says which is meant.
        """
        if (name is None) == (index is None):
            raise ValueError(
                explain(
                    "get_layer got both a name and an index, or neither.",
                    "Expected one of them.",
                    'model.get_layer("dense")',
                )
            )
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    explain(
                        f"get_layer got index={index}.",
                        f"Expected 0 to {len(self.layers) - 1}: the model has {len(self.layers)} layers.",
                        "model.summary() lists them",
                    )
                )
            return self.layers[index]
        layers = self.layers if self._graph is None else self._graph.layers
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(unknown_name("layer", str(name), [layer.name for layer in layers]))

    @property
    def inputs(self) -> Any:
        return None if self._graph is None else list(self._graph.flat_inputs)

    @property
    def outputs(self) -> Any:
        return None if self._graph is None else list(self._graph.flat_outputs)

    @property
    def input(self) -> Any:
        return self._graph.inputs if self._graph is not None else super().input

    @property
    def output(self) -> Any:
        return self._graph.outputs if self._graph is not None else super().output

    @property
    def input_shape(self) -> Any:
        return tree.map_structure(lambda tensor: tensor.shape, self.input)

    @property
    def output_shape(self) -> Any:
        return tree.map_structure(lambda tensor: tensor.shape, self.output)

    @property
    def input_names(self) -> list[str]:
        return [] if self._graph is None else list(self._graph.input_names)

    @property
    def output_names(self) -> list[str] | None:
        """Names of the outputs: the keys of a dict, else the layers that made them."""
        if self._graph is None:
            return None
        if isinstance(self._graph.outputs, dict) and len(self._graph.outputs) == len(self._graph.flat_outputs):
            return sorted(self._graph.outputs)
        return [tensor.keras_history[0].name for tensor in self._graph.flat_outputs]
