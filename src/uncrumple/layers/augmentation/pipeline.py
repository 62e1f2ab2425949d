"""Layers that prepare data, one after the other."""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry, tree
from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer


class Pipeline(Layer):
    """Runs layers one after the other on data, which may be a dict of images and what belongs to them.

    Unlike `Sequential` it is not a model: it has no input shape, and cannot be trained.

    Args:
        layers: The layers, in order.
        name: Its name.

    Call arguments: `training`, by default True, but in a model that is fitted, evaluated or told `training=`; `mask`.

    Shapes: whatever the layers make of them.

    Example:
        >>> import torch
        >>> from uncrumple.layers import RandomFlip, Resizing
        >>> Pipeline([Resizing(4, 4), RandomFlip("horizontal")])(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(self, layers: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        parts = list(layers) if isinstance(layers, (list, tuple)) else None
        wrong = [part for part in parts or [] if not isinstance(part, Layer)]
        if parts is None or wrong:
            raise TypeError(
                explain(
                    f"Pipeline got {type(wrong[0] if wrong else layers).__name__}.",
                    "Expected a list of layers.",
                    "Pipeline([layers.Resizing(224, 224), layers.RandomFlip()])",
                )
            )
        self.layers = parts  # weights are found in files by this name

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        for layer in self.layers:
            settings: dict[str, Any] = {}
            if layer._takes_mask:
                settings["mask"] = mask
            if layer._takes_training:
                settings["training"] = training
            inputs = layer(inputs, **settings)
            mask = tree.map_structure(lambda leaf: getattr(leaf, "_keras_mask", None), inputs)
        return inputs

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Return a pipeline with these layers; the inverse of `get_config`."""
        if not isinstance(config.get("layers"), (list, tuple)):
            raise ValueError(
                explain(
                    f"Pipeline got a config with layers={config.get('layers')!r}.",
                    "Expected a list of configs of layers.",
                    "Pipeline([...]).get_config() returns one",
                )
            )
        with registry.custom_object_scope(custom_objects or {}):
            return cls(**{**config, "layers": [registry.deserialize_keras_object(one) for one in config["layers"]]})

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "layers": list(self.layers)}
