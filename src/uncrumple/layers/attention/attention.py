"""Attention without projections: each query takes a mixture of the values, by how well it fits their keys."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.flash import is_flash_attention_enabled
from uncrumple.kernels.dropout import dropout as drop
from uncrumple.layers import checks
from uncrumple.layers.attention.masks import as_mask
from uncrumple.layers.attention.scaled_dot_product import attend, causal_mask
from uncrumple.layers.regularization import _Random
from uncrumple.layers.shapes import has_used_mask, shape_of

_NAMES = ("query", "value", "key")


class Attention(_Random):
    """Lets each step of a query take a mixture of the steps of a value: `softmax(scores) @ value`.

    `scores = scale * query @ key.T`, or with `score_mode="concat"`
    `scores = weight * sum(tanh(scale * (query + key)), over features)`.

    Source: Luong et al., "Effective approaches to attention-based neural
    machine translation", EMNLP 2015.

    Args:
        use_scale: Whether `scale` is a weight, a number that starts at 1; otherwise it is 1.
        score_mode: `"dot"` or `"concat"`, whose `weight` is trained, too, and starts at 1.
        dropout: Share of the attention weights to drop in training.
        seed: For dropout that repeats itself; None follows `set_random_seed`.
        name, dtype, trainable, activity_regularizer: As for every `Layer`.

    Call arguments:
        inputs: A list of query (samples, query steps, features), value
            (samples, steps, value features) and perhaps key (samples, steps,
            features), which by default is the value.
        mask: A list of masks, or None, for query and value: where the query's
            (samples, query steps) is false, the output is 0; where the value's
            (samples, steps) is false, nothing is taken. A third, for the key,
            is not looked at. By default the masks that travel with the inputs.
        training: Whether to drop.
        return_attention_scores: Whether to return (output, weights) with
            weights (samples, query steps, steps).
        use_causal_mask: Whether a query sees only steps up to its own place.

    Output shape: (samples, query steps, value features), with the mask of the query.

    Raises:
        ValueError: A setting is impossible, or the inputs do not fit together.

    Example:
        >>> query, value = torch.ones(8, 5, 16), torch.ones(8, 10, 16)
        >>> Attention()([query, value]).shape
        torch.Size([8, 5, 16])
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = bool(use_scale)
        self.score_mode = checks.one_of(type(self).__name__, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = dropout_share(type(self).__name__, dropout)
        self._set_seed(seed)
        self.supports_masking = True

    # --- weights, and what comes in ------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        self._check_shapes(self._shapes(input_shape))
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(name="concat_score_weight", shape=(), initializer="ones")

    def _shapes(self, shapes: Any) -> dict[str, Sequence[Any]]:
        """Return {"query": shape, ...} for a list of shapes, or say that there is none."""
        if not isinstance(shapes, (list, tuple)) or not all(isinstance(shape, (list, tuple)) for shape in shapes):
            raise ValueError(
                explain(
                    f"{self._label} got one tensor of shape {shapes}.",
                    "Expected a list: query, value and perhaps key.",
                    f"{self.name}([query, value]); {self.name}([x, x]) for a sequence that attends to itself",
                )
            )
        if not 2 <= len(shapes) <= 3:
            raise ValueError(
                explain(
                    f"{self._label} got a list of {len(shapes)}.",
                    "Expected 2 or 3 tensors: query, value and perhaps key.",
                    f"{self.name}([query, value])",
                )
            )
        found = dict(zip(_NAMES, shapes))
        return found if "key" in found else {**found, "key": found["value"]}

    def _check_shapes(self, shapes: dict[str, Sequence[Any]]) -> None:
        """Refuse shapes that do not belong together; None is a size not known yet."""
        for name, shape in shapes.items():
            if len(shape) < 3:
                raise ValueError(
                    explain(
                        f"{self._label} got a {name} of shape {tuple(shape)}.",
                        f"Expected at least 3 axes: (samples, steps, features), got {len(shape)}.",
                        "x[:, None, :] for a single step, or x[None] for a single sample",
                    )
                )
        self._check_size(shapes, "query", "key", -1, "features", "Dense(...) before it brings both to the same number")
        self._check_size(shapes, "value", "key", -2, "steps", "value and key of the same sequence")
        for one, other in (("query", "value"), ("value", "key")):
            self._check_size(shapes, one, other, 0, "samples", "inputs of the same rows")

    def _check_size(self, shapes: dict[str, Any], one: str, other: str, axis: int, what: str, fix: str) -> None:
        sizes = [shapes[name][axis] for name in (one, other)]
        if None in sizes or sizes[0] == sizes[1] or (axis == 0 and 1 in sizes):
            return
        shown = "value" if other == "key" and shapes["key"] is shapes["value"] else other
        raise ValueError(
            explain(
                f"{self._label} got a {one} of shape {tuple(shapes[one])} and a {shown} of shape {tuple(shapes[other])}.",
                f"Expected as many {what} in both.",
                fix,
            )
        )

    def _check_mask(self, mask: Any) -> list[torch.Tensor | None]:
        """Return the masks of query and value."""
        if mask is None:
            return [None, None]
        if not isinstance(mask, (list, tuple)) or not 2 <= len(mask) <= 3:
            given = f"a list of {len(mask)}" if isinstance(mask, (list, tuple)) else f"a {type(mask).__name__}"
            raise ValueError(
                explain(
                    f"{self._label} got {given} as its mask.",
                    "Expected a list of masks, or None, for query and value.",
                    f"{self.name}([query, value], mask=[None, value_mask])",
                )
            )
        return [as_mask(one) for one in mask[:2]]

    def _check_mask_of(
        self, name: str, given: torch.Tensor, mask: torch.Tensor, wanted: Sequence[int], inputs: torch.Tensor
    ) -> None:
        """Refuse a mask that does not broadcast to `wanted`, in the form that is used; `given` is the mask as it came."""
        pairs = zip(reversed(mask.shape), reversed(wanted))
        if mask.dim() > len(wanted) or any(size not in (1, want) for size, want in pairs):
            raise ValueError(
                explain(
                    f"{self._label} got a {name} of shape {shape_of(inputs)} and a mask of shape {shape_of(given)} for it.",
                    f"Expected {shape_of(inputs)[:-1]}: one boolean per step.",
                    "mask=[query_mask, value_mask], in this order",
                )
            )

    # --- mathematics ---------------------------------------------------------------------

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        several = isinstance(inputs, (list, tuple))
        shapes = self._shapes([shape_of(x) for x in inputs] if several else shape_of(inputs))
        self._check_shapes(shapes)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = self._check_mask(mask)
        drops = training and self.dropout > 0
        weights = None
        if self.score_mode == "dot" and not drops and not return_attention_scores and value_mask is None:
            output = self._fused(query, key, value, use_causal_mask)
        else:
            seen = self._seen(query, value, value_mask, use_causal_mask)
            weights = torch.softmax(_hidden(self._calculate_scores(query, key), seen), -1)
            if drops:
                weights = drop(weights, self.dropout, generator=self._source(weights))
            output = torch.matmul(weights, value)
        if query_mask is not None:
            kept = query_mask.unsqueeze(-1)
            self._check_mask_of("query", query_mask, kept, (*query.shape[:-1], 1), query)
            output = torch.where(kept, output, 0.0)
        return (output, weights) if return_attention_scores else output

    def _seen(
        self, query: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, causal: bool
    ) -> torch.Tensor | None:
        """Return which query sees which value: booleans that broadcast to the scores; None if each sees all."""
        steps = (query.shape[-2], value.shape[-2])
        if mask is not None:
            given, mask = mask, mask.unsqueeze(-2) if mask.dim() < value.dim() else mask
            batch = torch.broadcast_shapes(query.shape[:-2], value.shape[:-2])
            self._check_mask_of("value", given, mask, (*batch, *steps), value)
        if not causal:
            return mask
        allowed = causal_mask(*steps, query.device)
        return allowed if mask is None else mask & allowed

    def _calculate_scores(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Return how well each query fits each key: (samples, query steps, steps)."""
        if self.score_mode == "dot":
            scores = torch.matmul(query, key.transpose(-2, -1))
            return scores if self.scale is None else scores * self.scale
        both = query.unsqueeze(-2) + key.unsqueeze(-3)
        both = both if self.scale is None else both * self.scale
        weight: Any = self.concat_score_weight
        return weight * torch.tanh(both).sum(-1)

    def _fused(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool) -> torch.Tensor:
        query = query if self.scale is None else query * self.scale
        flash = False if is_flash_attention_enabled() is False else None
        # torch's fused functions want an axis of heads
        inputs = (query.unsqueeze(-3), key.unsqueeze(-3), value.unsqueeze(-3))
        return attend(*inputs, causal=causal, flash=flash).squeeze(-3)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the mask of the query."""
        return None if mask is None else as_mask(mask[0])

    def _has_used_mask(self, inputs: Any) -> bool:
        return has_used_mask(inputs[0])

    def _pass_mask(self, inputs: Any, mask: Any, outputs: Any) -> None:
        super()._pass_mask(inputs, mask, outputs[0] if isinstance(outputs, tuple) else outputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_scale": self.use_scale,
            "score_mode": self.score_mode,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def _low(dtype: torch.dtype) -> float:
    """Return what is taken off a score that does not count: as in Keras, so that a query without any takes a mean."""
    return -65504.0 if dtype is torch.float16 else -1e9


def _hidden(scores: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
    if seen is None:
        return scores
    if scores.dtype is torch.float16:  # a sum might be minus infinity, and a row of these NaN
        return scores.masked_fill(~seen, _low(scores.dtype))
    return torch.where(seen, scores, scores + _low(scores.dtype))


def dropout_share(owner: str, value: Any) -> float:
    """Return `dropout` as a float from 0 to 1, or raise."""
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else -1.0
    if not 0 <= number <= 1:
        wanted = number / 100 if 1 < number <= 100 else 0.1
        raise ValueError(
            explain(
                f"{owner} got dropout={value!r}.",
                "Expected a number from 0 to 1: the share to drop.",
                f"{owner}(..., dropout={wanted:g})",
            )
        )
    return number
