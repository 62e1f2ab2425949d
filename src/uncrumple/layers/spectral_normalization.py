"""`SpectralNormalization`: a kernel that never stretches by more than 1."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import initializers
from uncrumple.core.errors import explain
from uncrumple.layers import symbolic
from uncrumple.layers.checks import whole_number
from uncrumple.layers.wrappers import Wrapper

# What is added below a square root to keep it from 0.
_SMALLEST = 1e-14


class SpectralNormalization(Wrapper):
    """Divides the kernel of a layer by its largest singular value, at every call in training.

    With the kernel as a matrix `W` of (everything else, last axis), the power
    iteration `v = normalize(u @ W.T)`, `u = normalize(v @ W)` finds
    `sigma = v @ W @ u.T`; the kernel becomes `W / sigma`. The division is no
    part of the gradient, as in Keras.

    Source: Miyato et al., "Spectral normalization for generative adversarial
    networks", ICLR 2018.

    Args:
        layer: A layer with a `kernel` (`Dense`, `Conv2D`, ...) or with `embeddings`.
        power_iterations: Rounds of the power iteration per call.
        name, dtype, trainable: As for every `Layer`.

    Call arguments: `training`; outside training the kernel stays as it is.

    Shapes: those of the layer inside.
    Weights: the layer's, and vector_u (1, size of the kernel's last axis), which training does not change.

    Raises:
        ValueError: The layer has neither kernel nor embeddings, or `power_iterations` is below 1.

    Example:
        >>> from uncrumple.layers.dense import Dense
        >>> SpectralNormalization(Dense(3))(torch.ones(2, 8), training=True).shape
        torch.Size([2, 3])
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = whole_number("SpectralNormalization", "power_iterations", power_iterations, example=1)
        self._kernel_name = ""

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        held = self.layer._parameters
        self._kernel_name = next((name for name in ("kernel", "embeddings") if held.get(name) is not None), "")
        kernel = held.get(self._kernel_name)
        if kernel is None:
            raise ValueError(
                explain(
                    f"SpectralNormalization got {self.layer._label}, which has no kernel and no embeddings.",
                    "Expected a layer with a matrix to divide, such as Dense, Conv2D or Embedding.",
                    f"use {type(self.layer).__name__} by itself, without SpectralNormalization",
                )
            )
        # The layer's own weight under a second name: weights, and files, are then in Keras's order.
        self.kernel = kernel
        self.vector_u = self.add_weight(
            name="vector_u",
            shape=(1, kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            dtype=kernel.dtype,
            trainable=False,
            autocast=False,
        )
        self.input_spec = self.layer.input_spec

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        outputs = self._call_normalized(inputs) if training and not symbolic.state.active else self.layer(inputs)
        # Token numbers are no reason to round the vectors.
        return outputs.to(inputs.dtype) if inputs.is_floating_point() else outputs

    def _call_normalized(self, inputs: torch.Tensor) -> torch.Tensor:
        kernel, vector_u = self._parameters["kernel"], self._parameters["vector_u"]
        assert kernel is not None and vector_u is not None  # made in build
        with torch.no_grad():
            new_u, new_kernel = self._normalized(kernel, vector_u)
        # The layer computes with a tensor of its own, equal to the new kernel, whose gradient goes to the
        # weight: so the weight may change again (a discriminator is called twice) before the backward pass.
        used = new_kernel + (kernel - kernel.detach())
        outputs = torch.func.functional_call(self.layer, {self._kernel_name: used}, (inputs,))
        with torch.no_grad():
            kernel.copy_(new_kernel)
            vector_u.copy_(new_u)
        return outputs

    def _normalized(self, kernel: torch.Tensor, vector_u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the new vector and the kernel divided by its largest singular value; a kernel of zeros stays."""
        matrix = kernel.reshape(-1, kernel.shape[-1])
        u = vector_u
        for _ in range(self.power_iterations):
            v = _unit(u @ matrix.T)
            u = _unit(v @ matrix)
        sigma = v @ matrix @ u.T
        empty = (matrix == 0).all()
        return torch.where(empty, vector_u, u), torch.where(empty, kernel, (matrix / sigma).reshape(kernel.shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}


def _unit(vector: torch.Tensor) -> torch.Tensor:
    """Return a vector divided by its length."""
    return vector * torch.rsqrt((vector * vector).sum().clamp(min=_SMALLEST))
