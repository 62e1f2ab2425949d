"""Layers that only published networks are made of; files of those networks name them.

Keras keeps them within `keras.applications` and offers them under no public name.
"""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import initializers
from uncrumple.core import registry
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import share


class CustomScaleLayer(Layer):
    """Adds a part of a second tensor to a first: `output = first + scale * second`.

    Source: Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections", 2017.

    Args:
        scale: The part, a number.
        name, dtype: As for every `Layer`.

    Input shapes: two equal ones.
    Output shape: the same.

    Example:
        >>> CustomScaleLayer(0.5)([torch.ones(2), torch.ones(2)])
        tensor([1.5000, 1.5000])
    """

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return inputs[0] + inputs[1] * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


class LayerScale(Layer):
    """Scales each channel by a weight of its own: `output = inputs * gamma`.

    Source: Touvron et al., "Going deeper with image transformers", ICCV 2021.

    Args:
        init_values: First value of every weight.
        projection_dim: Number of channels.
        name, dtype: As for every `Layer`.

    Input shape: (samples, ..., projection_dim).
    Output shape: the same.

    Example:
        >>> LayerScale(0.5, 2)(torch.ones(1, 2)).tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight(
            shape=(self.projection_dim,), initializer=initializers.Constant(self.init_values), name="gamma"
        )

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs * self.gamma

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "init_values": self.init_values, "projection_dim": self.projection_dim}


class StochasticDepth(Layer):
    """In training, leaves out whole samples: `output = inputs * kept / (1 - drop_path_rate)`, kept being 0 or 1.

    Source: Huang et al., "Deep networks with stochastic depth", ECCV 2016.

    Args:
        drop_path_rate: Share of samples left out, from 0 to 1.
        name, dtype: As for every `Layer`.

    Input shape: (samples, ...).
    Output shape: the same.

    Example:
        >>> StochasticDepth(0.5)(torch.ones(1, 2)).tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drop_path_rate = share("StochasticDepth", "drop_path_rate", drop_path_rate)

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        if not training or not self.drop_path_rate:
            return inputs
        keep = 1 - self.drop_path_rate
        kept = torch.rand(inputs.shape[0], *(1,) * (inputs.ndim - 1), device=inputs.device) < keep
        return inputs / keep * kept

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "drop_path_rate": self.drop_path_rate}


registry.add_builtins("applications", [CustomScaleLayer], module="keras.src.applications.inception_resnet_v2")
registry.add_builtins("applications", [LayerScale, StochasticDepth], module="keras.src.applications.convnext")
