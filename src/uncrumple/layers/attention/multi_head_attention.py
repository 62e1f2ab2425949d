"""Attention with several heads, each of which projects its inputs in a way of its own."""

from __future__ import annotations

import math
import numbers
import string
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.attention.heads import HeadsAttention, Shape, without_masks
from uncrumple.layers.checks import whole_number
from uncrumple.layers.shapes import shape_of, use_masks


class MultiHeadAttention(HeadsAttention):
    """Lets every step of a sequence look at the steps of another, or of itself, with several heads at once.

    Each head projects query, key and value, and takes
    `softmax(query @ key.T / sqrt(key_dim)) @ value`; what the heads took is
    projected back: `output = concat(heads) @ kernel + bias`.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; the gate:
    Qiu et al., "Gated attention for large language models", 2025.

    Args:
        num_heads: Number of heads.
        key_dim: Features of query and key in each head.
        value_dim: Features of the value in each head; by default `key_dim`.
        dropout: Share of the attention weights to drop in training.
        use_bias: Whether the projections have biases.
        output_shape: Features of the output, a number or several; by default those of the query.
        attention_axes: The axes to attend over, for inputs with more than
            three; by default all between samples and features.
        sliding_window: A step sees only steps less than this far away; None for all.
        flash_attention: True for torch's flash function or an error, False for
            any other, None for what `config.enable_flash_attention` says, or torch's choice.
        kernel_initializer, bias_initializer: First values of all projections; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties on the projections, added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        use_gate: Whether the heads are multiplied by `sigmoid(query @ kernel + bias)` before they are projected back.
        seed: For dropout that repeats itself; None follows `set_random_seed`.
        name, dtype, trainable: As for every `Layer`.

    Call arguments:
        query: (samples, query steps, features).
        value: (samples, steps, features).
        key: Like `value`, which it is by default.
        query_mask, value_mask, key_mask: (samples, steps), true where a step
            counts; by default the masks that travel with the tensors.
        attention_mask: True where a query sees a key: (samples, query steps,
            steps), or whatever broadcasts; heads, if any, come after the samples.
        return_attention_scores: Whether to return (output, scores) with scores
            (samples, heads, query steps, steps).
        training: Whether to drop.
        use_causal_mask: Whether a step sees only steps up to its own place.

    Output shape: (samples, query steps, features), with the mask of the query.

    A query that sees no step takes the mean of all values; where scores are
    returned, dropout is not 0 or there are more than three axes, it takes zeros.
    As in Keras, it uses up the masks of its inputs: attention that gets the same
    tensors later, and the loss, no longer see them; layers with an argument
    `mask` do.

    Raises:
        ValueError: A setting is impossible, or the inputs or masks do not fit together.

    Example:
        >>> layer = MultiHeadAttention(num_heads=2, key_dim=16)
        >>> x = torch.ones(8, 10, 32)
        >>> layer(x, x, use_causal_mask=True).shape
        torch.Size([8, 10, 32])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            use_gate=use_gate,
            seed=seed,
            **kwargs,
        )
        owner = type(self).__name__
        self.num_heads = self._heads = whole_number(owner, "num_heads", num_heads, example=8)
        self.key_dim = whole_number(owner, "key_dim", key_dim, example=64)
        self.value_dim = self.key_dim if value_dim is None else whole_number(owner, "value_dim", value_dim, example=64)
        self._scale = 1.0 / math.sqrt(self.key_dim)
        self._output_shape = _numbers(owner, "output_shape", output_shape, minimum=1, example=64)
        self.attention_axes = _numbers(owner, "attention_axes", attention_axes, minimum=None, example=1)

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        if value_shape is None:
            raise self._no_value(query_shape)
        attended = self._axes(query_shape)
        self._attended = attended
        self._check_shapes(query_shape, value_shape, key_shape)
        key_shape = value_shape if key_shape is None else key_shape
        rank = len(query_shape)
        heads = (self.num_heads, self.key_dim)
        equation, bias_axes = _equation(rank - 1, 1, 2)
        free = (None,) * (rank - 2)
        self._query_dense = self._projection(equation, (*free, *heads), bias_axes, "query")
        self._query_dense.build(query_shape)
        self._key_dense = self._projection(equation, (*free, *heads), bias_axes, "key")
        self._key_dense.build(key_shape)
        of_value = (*free, self.num_heads, self.value_dim)
        if self.use_gate:
            self._gate_dense = self._projection(equation, of_value, bias_axes, "gate", activation="sigmoid")
            self._gate_dense.build(query_shape)
        self._value_dense = self._projection(equation, of_value, bias_axes, "value")
        self._value_dense.build(value_shape)
        self._build_attention(attended, rank)
        outputs = self._output_shape or (query_shape[-1],)
        equation, bias_axes = _equation(rank - 1, 2, len(outputs))
        self._output_dense = self._projection(equation, (*free, *outputs), bias_axes, "attention_output")
        self._output_dense.build((*query_shape[:-1], self.num_heads, self.value_dim))
        self._finish(query_shape, value_shape, key_shape)
        self.attention_axes = attended

    def _axes(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes to attend over, counted from the front."""
        rank = len(shape)
        if self.attention_axes is None or rank < 3:
            return tuple(range(1, max(rank - 1, 2)))
        axes = tuple(axis + rank if axis < 0 else axis for axis in self.attention_axes)
        if any(not 1 <= axis < rank - 1 for axis in axes) or len(set(axes)) != len(axes):
            raise ValueError(
                explain(
                    f"{self._label} got a query of shape {shape} and attention_axes={self.attention_axes}.",
                    f"Expected {'1' if rank == 3 else f'different axes from 1 to {rank - 2}'}: between samples and features.",
                    f"{type(self).__name__}(..., attention_axes={1 if rank == 3 else tuple(range(1, rank - 1))})",
                )
            )
        return axes

    def call(
        self,
        query: torch.Tensor,
        value: Any = None,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check_given(query, value, key)
        key = value if key is None else key
        self._check_shapes(shape_of(query), shape_of(value), shape_of(key))
        if not self._finding_shapes():
            use_masks([query, value, key])
        query, value, key = without_masks(query, value, key)
        given = (query_mask, value_mask, key_mask, attention_mask, self.sliding_window)
        causal = use_causal_mask and all(mask is None for mask in given) and self._is_own()
        mask = None
        if causal:
            self._check_one_axis("use_causal_mask=True")
        else:
            mask = self._compute_attention_mask(
                query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask
            )
        return self._run(query, key, value, mask, training, return_attention_scores, causal)

    def _is_own(self) -> bool:
        """Return whether `_compute_attention` is this package's, which makes a causal mask by itself."""
        return type(self)._compute_attention is HeadsAttention._compute_attention

    @property
    def query_dense(self) -> Any:
        """The projection of the query."""
        return self._query_dense

    @property
    def key_dense(self) -> Any:
        """The projection of the key."""
        return self._key_dense

    @property
    def value_dense(self) -> Any:
        """The projection of the value."""
        return self._value_dense

    @property
    def output_dense(self) -> Any:
        """The projection back."""
        return self._output_dense

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": self._output_shape,
            "attention_axes": self.attention_axes,
            **self._shared_config(),
        }


def _equation(free: int, summed: int, new: int) -> tuple[str, str]:
    """Return the equation of a projection, and the axes of its bias: `("abc,cde->abde", "de")` for (2, 1, 2)."""
    letters = string.ascii_lowercase
    kept, inner = letters[:free], letters[free : free + summed]
    outer = letters[free + summed : free + summed + new]
    return f"{kept}{inner},{inner}{outer}->{kept}{outer}", outer


def _numbers(owner: str, argument: str, value: Any, *, minimum: int | None, example: int) -> tuple[int, ...] | None:
    """Return a whole number, or several, as a tuple; None for none."""
    parts = (value,) if isinstance(value, numbers.Integral) else value
    if value is None or (isinstance(parts, (tuple, list)) and not parts):
        return None
    good = isinstance(parts, (tuple, list, torch.Size)) and all(
        isinstance(part, numbers.Integral) and not isinstance(part, bool) and (minimum is None or int(part) >= minimum)
        for part in parts
    )
    if not good:
        least = "" if minimum is None else f" of at least {minimum}"
        raise ValueError(
            explain(
                f"{owner} got {argument}={value!r}.",
                f"Expected a whole number{least}, several of them, or None.",
                f"{owner}(8, 64, {argument}={example})",
            )
        )
    return tuple(int(part) for part in parts)
