"""`Function`: the part of a graph between some symbolic tensors and others, as one operation."""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry, tree
from uncrumple.core.shapes import Shape
from uncrumple.layers.operation import Operation
from uncrumple.layers.shapes import symbols
from uncrumple.models.graph import Graph


class Function(Operation):
    """The computation that leads from symbolic tensors to others, to be run on other tensors.

    Unlike a model it owns nothing: not the layers, and not their weights.

    Args:
        inputs: Symbolic tensors, in any structure.
        outputs: Symbolic tensors that were computed from them, in any structure.
        name: Its name.

    Example:
        >>> import torch
        >>> from uncrumple import Input
        >>> x = Input((2,))
        >>> Function(x, x * 2 + 1)(torch.ones(1, 2))
        tensor([[3., 3.]])
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self.__dict__["_graph"] = Graph(inputs, outputs, self.name)

    @property
    def inputs(self) -> list[Any]:
        """The symbolic inputs, flat."""
        return list(self._graph.flat_inputs)

    @property
    def outputs(self) -> list[Any]:
        """The symbolic outputs, flat."""
        return list(self._graph.flat_outputs)

    @property
    def operations(self) -> list[Any]:
        """The layers and functions that are called, each once."""
        return list(self._graph.layers)

    def call(self, inputs: Any) -> Any:
        """Return the outputs for inputs in the structure of `inputs`."""
        return self._graph.run(self._graph.arrange(inputs, self.name))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs."""
        return super().compute_output_spec(inputs)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shapes of the outputs for shapes of the inputs."""
        outputs = self.compute_output_spec(symbols(input_shape, self.compute_dtype))
        return tree.map_structure(lambda leaf: leaf.shape, outputs)


registry.add_builtins("ops", [Function], module="keras")
