"""Attention in which several heads of the query share one key and one value."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.attention.heads import HeadsAttention, Shape, without_masks
from uncrumple.layers.checks import whole_number
from uncrumple.layers.shapes import shape_of


class GroupedQueryAttention(HeadsAttention):
    """Multi-head attention whose heads share keys and values in groups: less to compute, and less to keep.

    With as many heads for keys and values as for queries it is
    `MultiHeadAttention`; with a single one, multi-query attention. Keras's name
    for it in `keras.layers` is `GroupQueryAttention`.

    Source: Ainslie et al., "GQA: training generalized multi-query transformer
    models from multi-head checkpoints", EMNLP 2023.

    Args:
        head_dim: Features of each head.
        num_query_heads: Number of heads of the query.
        num_key_value_heads: Number of heads of key and value; divides `num_query_heads`.
        dropout: Share of the attention weights to drop in training.
        use_bias: Whether the projections have biases.
        sliding_window: A step sees only steps less than this far away; None for all.
        flash_attention: True for torch's flash function or an error, False for
            any other, None for what `config.enable_flash_attention` says, or torch's choice.
        kernel_initializer, bias_initializer: First values of all projections; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties on
            the projections (the activity's on the output once more), added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        use_gate: Whether the heads are multiplied by `sigmoid(query @ kernel + bias)` before they are projected back.
        seed: For dropout that repeats itself; None follows `set_random_seed`.
        name, dtype, trainable: As for every `Layer`.

    Call arguments: as for `MultiHeadAttention`.

    Input shapes: query (samples, query steps, features); value and key (samples, steps, features).
    Output shape: (samples, query steps, features of the query), with the mask of the query.

    A query that sees no step takes the mean of all values; where scores are
    returned or dropout is not 0, it takes zeros.

    Raises:
        ValueError: A setting is impossible, or the inputs or masks do not fit together.

    Example:
        >>> layer = GroupedQueryAttention(head_dim=16, num_query_heads=4, num_key_value_heads=2)
        >>> x = torch.ones(8, 10, 32)
        >>> layer(x, x).shape
        torch.Size([8, 10, 32])
    """

    _keras_name = "GroupQueryAttention"

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
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
        self.activity_regularizer = self._activity
        owner = type(self).__name__
        self.head_dim = whole_number(owner, "head_dim", head_dim, example=64)
        self.num_query_heads = self._heads = whole_number(owner, "num_query_heads", num_query_heads, example=8)
        self.num_key_value_heads = whole_number(owner, "num_key_value_heads", num_key_value_heads, example=2)
        if self.num_query_heads % self.num_key_value_heads:
            divisor = max(n for n in range(1, self.num_key_value_heads) if self.num_query_heads % n == 0)
            raise ValueError(
                explain(
                    f"{owner} got num_query_heads={num_query_heads} and num_key_value_heads={num_key_value_heads}.",
                    "Expected num_query_heads to be a multiple of num_key_value_heads: each group has as many heads.",
                    f"{owner}({head_dim}, {num_query_heads}, {divisor})",
                )
            )
        self.num_repeats = self.num_query_heads // self.num_key_value_heads
        self._scale = 1.0 / math.sqrt(self.head_dim)

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        if value_shape is None:
            raise self._no_value(query_shape)
        self._check_shapes(query_shape, value_shape, key_shape)
        key_shape = value_shape if key_shape is None else key_shape
        self.feature_dim = query_shape[-1]
        of_query = (None, self.num_query_heads, self.head_dim)
        of_key = (None, self.num_key_value_heads, self.head_dim)
        self._query_dense = self._projection("bqm,muh->bquh", of_query, "uh", "query")
        self._query_dense.build(query_shape)
        self._key_dense = self._projection("bkm,mvh->bkvh", of_key, "vh", "key")
        self._key_dense.build(key_shape)
        if self.use_gate:
            self._gate_dense = self._projection("bqm,muh->bquh", of_query, "uh", "gate", activation="sigmoid")
            self._gate_dense.build(query_shape)
        self._value_dense = self._projection("bkm,mvh->bkvh", of_key, "vh", "value")
        self._value_dense.build(value_shape)
        self._build_attention((1,), 3)
        self._output_dense = self._projection("bquh,uhm->bqm", (None, self.feature_dim), "m", "attention_output")
        self._output_dense.build((None, None, self.num_query_heads, self.head_dim))
        self._finish(query_shape, value_shape, key_shape)

    def _check_ranks(self, shapes: dict[str, Shape]) -> None:
        super()._check_ranks(shapes)
        if len(shapes["query"]) > 3:
            raise ValueError(
                explain(
                    f"{self._label} got a query of shape {shapes['query']}.",
                    f"Expected 3 axes: (samples, steps, features), got {len(shapes['query'])}.",
                    "MultiHeadAttention(..., attention_axes=...) for inputs with more axes",
                )
            )

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
        query, value, key = without_masks(query, value, key)
        given = (query_mask, value_mask, key_mask, attention_mask, self.sliding_window)
        causal = use_causal_mask and all(mask is None for mask in given)
        causal = causal and type(self)._compute_attention is HeadsAttention._compute_attention
        mask = None
        if not causal:
            mask = self._compute_attention_mask(
                query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask
            )
        return self._run(query, key, value, mask, training, return_attention_scores, causal)

    def _repeated(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.repeat_interleave(self.num_repeats, dim=2) if self.num_repeats > 1 else projected

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
            **self._shared_config(),
        }
