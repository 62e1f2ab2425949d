"""Additive attention: query and key are added, not multiplied."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.attention.attention import Attention


class AdditiveAttention(Attention):
    """Lets each step of a query take a mixture of the steps of a value, by `scores = sum(scale * tanh(query + key))`.

    The sum goes over the features.

    Source: Bahdanau, Cho and Bengio, "Neural machine translation by jointly
    learning to align and translate", ICLR 2015.

    Args:
        use_scale: Whether `scale` is a weight, one number per feature, Glorot uniform at first; otherwise it is 1.
        dropout: Share of the attention weights to drop in training.
        seed: For dropout that repeats itself; None follows `set_random_seed`.
        name, dtype, trainable, activity_regularizer: As for every `Layer`.

    Call arguments: as for `Attention`.

    Input shapes: a list of query (samples, query steps, features), value
    (samples, steps, value features) and perhaps key (samples, steps, features).
    Output shape: (samples, query steps, value features), with the mask of the query.

    Raises:
        ValueError: A setting is impossible, or the inputs do not fit together.

    Example:
        >>> query, value = torch.ones(8, 5, 16), torch.ones(8, 10, 16)
        >>> AdditiveAttention()([query, value]).shape
        torch.Size([8, 5, 16])
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)
        self.score_mode = "additive"

    def build(self, input_shape: Any) -> None:
        shapes = self._shapes(input_shape)
        self._check_shapes(shapes)
        features = shapes["query"][-1]
        self.scale = None
        if self.use_scale:
            if features is None:
                raise ValueError(
                    explain(
                        f"{self._label} got a query of shape {tuple(shapes['query'])}.",
                        "Expected a known number of features: the weights depend on it.",
                        "Input((None, 64))",
                    )
                )
            self.scale = self.add_weight(name="scale", shape=(features,), initializer="glorot_uniform")
        self._features = features

    def _check_shapes(self, shapes: dict[str, Any]) -> None:
        super()._check_shapes(shapes)
        features, wanted = shapes["query"][-1], getattr(self, "_features", None) if self.built else None
        if wanted is not None and features != wanted and self.use_scale:
            raise ValueError(
                explain(
                    f"{self._label} got a query of shape {tuple(shapes['query'])}.",
                    f"Expected {wanted} features, as it was built for.",
                    f"Dense({wanted})(query) before it, or a new AdditiveAttention",
                )
            )

    def _calculate_scores(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Return how well each query fits each key: (samples, query steps, steps)."""
        both = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))
        return both.sum(-1) if self.scale is None else torch.matmul(both, self.scale)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config


# It has one way to score.
AdditiveAttention._known_arguments = (AdditiveAttention._known_arguments or frozenset()) - {"score_mode"}
