"""Layers that hold a place: a function of the user's, or nothing at all."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.layers import symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.shapes import shape_of


class Identity(Layer):
    """Passes its input on unchanged.

    output = inputs.

    Shapes: the output has the shape of the input.

    Example:
        >>> Identity()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs


class Lambda(Layer):
    """Makes a layer of a Python function of a tensor.

    output = function(inputs, **arguments).

    A model with a lambda in it cannot be saved, because files must not carry
    code: use a named function, or a `Layer` of your own.

    Args:
        function: Takes the input, and may take `mask` and `training`.
        output_shape: What the function should return, as a shape without the
            batch or a function of the input shape. It is not needed; if given,
            it is compared with what comes.
        mask: Mask of the output, or a function of (inputs, mask) that returns it.
        arguments: Further keyword arguments for the function.

    Shapes: whatever the function makes of them.

    Example:
        >>> Lambda(lambda x: x**2)(torch.tensor([3.0]))
        tensor([9.])
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(
                explain(
                    f"Lambda got {function!r} as its function.",
                    "Expected a function of a tensor.",
                    "Lambda(lambda x: x * 2)",
                )
            )
        self.function = function
        self.output_shape = output_shape
        self.mask = mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        try:
            names = set(inspect.signature(function).parameters)
        except (TypeError, ValueError):  # some built-in functions do not tell
            names = set()
        self._hands_over = names & {"mask", "training"}
        self.built = True

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        settings = dict(self.arguments)
        if "mask" in self._hands_over:
            settings["mask"] = mask
        if "training" in self._hands_over:
            settings["training"] = training
        outputs = self.function(inputs, **settings)
        if self.output_shape is not None and symbolic.state.active:
            self._compare(inputs, outputs)
        return outputs

    def _compare(self, inputs: Any, outputs: Any) -> None:
        """Raise if the function returned another shape than `output_shape` says."""
        if not isinstance(outputs, torch.Tensor):
            return
        came = tuple(outputs.shape)[1:]
        if callable(self.output_shape):
            expected = tuple(self.output_shape(tree.map_structure(shape_of, inputs)))[1:]
        else:
            expected = tuple(self.output_shape)
        if len(came) != len(expected) or any(want not in (None, got) for want, got in zip(expected, came)):
            raise ValueError(
                explain(
                    f"{self._label} returned the shape {(None, *came)}.",
                    f"Expected {(None, *expected)}, from output_shape.",
                    "leave out output_shape: it is found by running the function",
                )
            )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "function": self.function, "arguments": self.arguments}
        if self.output_shape is not None:
            config["output_shape"] = self.output_shape
        if self.mask is not None:
            config["mask"] = self.mask
        return config
