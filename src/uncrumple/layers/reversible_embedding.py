"""ReversibleEmbedding: an embedding that also leads back, from vectors to one score per token."""

from __future__ import annotations

import numbers
from typing import Any

import torch

from uncrumple.core.dtypes import TORCH_DTYPES, dtype_name, torch_dtype
from uncrumple.core.errors import explain, unknown_name
from uncrumple.layers.embedding import Embedding
from uncrumple.layers.shapes import shape_of


class ReversibleEmbedding(Embedding):
    """Replaces whole numbers by their vectors and, with `reverse=True`, vectors by a score for each number.

    Forward it is `Embedding`. Backward, `scores = inputs @ embeddings.T`: a
    language model that begins and ends with it has one table for both.

    Source: Press and Wolf, "Using the output embedding to improve language models", EACL 2017.

    Args:
        input_dim: Number of vectors: the largest number in the inputs, plus 1.
        output_dim: Length of a vector.
        tie_weights: Whether the way back uses the same table; otherwise it has
            a weight of its own, `reverse_embeddings` (output_dim, input_dim).
        embeddings_initializer: First values; uniform between -0.05 and 0.05.
        embeddings_regularizer: Penalty on the vectors, added to the loss.
        embeddings_constraint: Applied to the vectors after every update.
        mask_zero: Whether 0 means "nothing here": layers that know masks then skip it.
        reverse_dtype: Type that the way back is computed in; None for the
            layer's compute type, or a wider one of the inputs.
        logit_soft_cap: A positive number `c` keeps the scores between -c and
            c: `c * tanh(scores / c)`. None leaves them as they are.
        name, dtype, trainable, weights: As for `Embedding`.

    Call arguments: `reverse`, whether to go back from vectors to scores.

    Input shape: (samples, ...) whole numbers; with `reverse`, (samples, ..., output_dim).
    Output shape: (samples, ..., output_dim); with `reverse`, (samples, ..., input_dim).

    Raises:
        ValueError: A setting is impossible, or vectors have another length than `output_dim`.

    Example:
        >>> layer = ReversibleEmbedding(1000, 64)
        >>> vectors = layer(torch.tensor([[4, 20, 1]]))
        >>> layer(vectors, reverse=True).shape
        torch.Size([1, 3, 1000])
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        weights = kwargs.pop("weights", None)
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self._makes_mask = False  # `call` sets the mask: only it knows the direction
        self.tie_weights = bool(tie_weights)
        self.reverse_dtype = None if reverse_dtype is None else _float_type(reverse_dtype)
        self.logit_soft_cap = _cap(logit_soft_cap)
        if weights is not None:
            self.build()
            self.set_weights(list(weights) if isinstance(weights, (list, tuple)) else [weights])

    def _make_tables(self) -> None:
        super()._make_tables()
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs: torch.Tensor, reverse: bool = False) -> torch.Tensor:
        if not reverse:
            found = super().call(inputs)
            if self.mask_zero:
                found._keras_mask = inputs != 0  # type: ignore[attr-defined]
            return found
        if not inputs.is_floating_point() or inputs.dim() < 2 or inputs.shape[-1] != self.output_dim:
            raise self._no_vectors(inputs)
        table = self.embeddings.t() if self.tie_weights else self.reverse_embeddings
        kind = torch.promote_types(inputs.dtype, self._compute_in)
        if self.reverse_dtype is not None:
            kind = torch_dtype(self.reverse_dtype)
        scores = torch.matmul(inputs.to(kind), table.to(kind))
        if self.logit_soft_cap is not None:
            scores = torch.tanh(scores / self.logit_soft_cap) * self.logit_soft_cap
        return scores

    def _no_vectors(self, inputs: torch.Tensor) -> ValueError:
        found = "floats" if inputs.is_floating_point() else "whole numbers"
        return ValueError(
            explain(
                f"{self._label} got reverse=True and {found} of shape {shape_of(inputs)}.",
                f"Expected vectors: (samples, ..., {self.output_dim}).",
                f"{self.name}(x) for whole numbers; Dense({self.output_dim})(x) brings vectors to this length",
            )
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return None: `call` gives the vectors their mask, and scores have none."""
        return None

    def compute_output_shape(self, input_shape: Any, reverse: bool = False) -> tuple[int | None, ...]:
        """Return the shape of the output for an input shape, in the one direction or the other."""
        shape = tuple(input_shape)
        return (*shape[:-1], self.input_dim) if reverse else (*shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "tie_weights": self.tie_weights,
            "reverse_dtype": self.reverse_dtype,
            "logit_soft_cap": self.logit_soft_cap,
        }


def _float_type(value: Any) -> str:
    floats = [name for name, kind in TORCH_DTYPES.items() if kind.is_floating_point]
    name = dtype_name(value)
    if name not in floats:
        raise ValueError(unknown_name("reverse_dtype of ReversibleEmbedding", name, floats))
    return name


def _cap(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not float(value) > 0:
        raise ValueError(
            explain(
                f"ReversibleEmbedding got logit_soft_cap={value!r}.",
                "Expected a number above 0, or None.",
                "ReversibleEmbedding(1000, 64, logit_soft_cap=30.0)",
            )
        )
    return float(value)
