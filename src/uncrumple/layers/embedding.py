"""Embedding: a table with one trainable vector per whole number."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from uncrumple import constraints, initializers, regularizers
from uncrumple.core.errors import UncrumpleWarning, explain
from uncrumple.kernels.embedding import embedding
from uncrumple.layers.adaptable import Adaptable
from uncrumple.layers.checks import whole_number


class Embedding(Adaptable):
    """Replaces each whole number by its vector: `output = embeddings[inputs]`.

    Source: Bengio et al., "A neural probabilistic language model", JMLR 2003.

    Args:
        input_dim: Number of vectors: the largest number in the inputs, plus 1.
        output_dim: Length of a vector.
        embeddings_initializer: First values; uniform between -0.05 and 0.05.
        embeddings_regularizer: Penalty on the vectors, added to the loss.
        embeddings_constraint: Applied to the vectors after every update.
        mask_zero: Whether 0 means "nothing here": layers that know masks then skip it.
        weights: First values as an array (input_dim, output_dim).
        lora_rank: Trains two thin weights of this rank beside a frozen table; see `enable_lora`.
        lora_alpha: How much the two weigh; by default `lora_rank`.
        quantization_config: How `quantize("int8")` goes about it; an `Int8QuantizationConfig`.
        name, dtype, trainable, activity_regularizer: As for every `Layer`.

    Input shape: (samples, ...), whole numbers from 0 to input_dim - 1.
    Output shape: (samples, ..., output_dim).

    Raises:
        ValueError: A setting is impossible.
        IndexError: A number in the inputs has no vector; told on the CPU only.

    Example:
        >>> Embedding(1000, 64)(torch.tensor([[4, 20, 1]])).shape
        torch.Size([1, 3, 64])
    """

    _large = "embeddings"

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("input_length", None) is not None:
            warnings.warn("Embedding: input_length has no effect; remove it.", UncrumpleWarning, stacklevel=2)
        super().__init__(**kwargs)
        self.input_dim = whole_number("Embedding", "input_dim", input_dim, example=1000)
        self.output_dim = whole_number("Embedding", "output_dim", output_dim, example=64)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)
        self.mask_zero = bool(mask_zero)
        self.supports_masking = self.mask_zero
        self._makes_mask = self.mask_zero
        self.autocast = False  # a token number must not become a bfloat16
        if weights is not None:
            self.build()
            self.set_weights(list(weights) if isinstance(weights, (list, tuple)) else [weights])

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self._make_tables()
            self._adapt()

    def _make_tables(self) -> None:
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self.embeddings.is_table = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype not in (torch.int64, torch.int32):
            inputs = inputs.to(torch.int64)
        try:
            found = embedding(inputs, self.embeddings)
        except IndexError:
            raise self._out_of_range(inputs) from None
        return found.to(self._compute_in)

    def _out_of_range(self, inputs: torch.Tensor) -> IndexError:
        low, high = int(inputs.min()), int(inputs.max())
        fix = f"{type(self).__name__}(input_dim={high + 1}, output_dim={self.output_dim}): the largest number plus 1"
        if low < 0:
            fix = "number the tokens from 0; -1 or the like needs a number of its own"
        return IndexError(
            explain(
                f"{self._label} got the number {low if low < 0 else high}, for which it has no vector.",
                f"Expected whole numbers from 0 to {self.input_dim - 1} (input_dim={self.input_dim}).",
                fix,
            )
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return True wherever the input is not 0, if `mask_zero`."""
        if not self.mask_zero:
            return None
        if not isinstance(inputs, torch.Tensor):  # torch.as_tensor would take a tensor to the default device
            inputs = torch.as_tensor(np.asarray(inputs))
        return inputs != 0

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": self.embeddings_initializer,
            "embeddings_regularizer": self.embeddings_regularizer,
            "activity_regularizer": self.activity_regularizer,
            "embeddings_constraint": self.embeddings_constraint,
            "mask_zero": self.mask_zero,
            **self._adaptation_config(),
        }


# Of Keras 2, which Keras 3 still takes: the length comes with the data.
Embedding._known_arguments = frozenset([*(Embedding._known_arguments or ()), "input_length"])
