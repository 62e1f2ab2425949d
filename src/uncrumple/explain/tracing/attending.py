"""Attention: how much one query takes from each key's value."""

from __future__ import annotations

import torch

from uncrumple import layers as L
from uncrumple.explain.tracing.arithmetic import Asked, Line, explains, full
from uncrumple.explain.tracing.words import number, sum_of_products
from uncrumple.layers.attention.attention import _hidden
from uncrumple.layers.attention.heads import HeadsAttention


def _weight_line(scores: torch.Tensor, weights: torch.Tensor, best: int, query: int) -> Line:
    """Return the line for the share that one key gets."""
    formula = f"exp(score of key {best}) / (exp of every score, added up)"
    top = float(scores.max())
    total = float(torch.exp(scores - top).sum())
    numbers = f"exp({number(float(scores[best]))}) / (exp({number(top)}) x {number(total)})"
    return Line(f"weight of query {query} for key {best}", formula, numbers, float(weights[best]), 1.0)


def _mixture(weights: torch.Tensor, values: torch.Tensor, what: str, name: str) -> Line:
    numbers, total, size = sum_of_products(weights.numpy(), values.numpy())
    return Line(name, f"the weight of each key times {what}, added up", numbers, total, size)


@explains(L.Attention, L.AdditiveAttention)
def attention(asked: Asked) -> list[Line] | None:
    """One query's scores, weights and mixture, without projections."""
    layer = asked.layer
    if len(asked.inputs) < 2 or asked.x.dim() != 3 or (asked.training and layer.dropout):
        return None
    query, value = asked.inputs[0], asked.inputs[1]
    key = asked.inputs[2] if len(asked.inputs) > 2 else value
    if getattr(query, "_keras_mask", None) is not None or asked.kwargs.get("mask") is not None:
        return None
    sample, step, feature = asked.place
    q, k, v = full(query[sample]), full(key[sample]), full(value[sample])
    mask = getattr(value, "_keras_mask", None)
    seen = None if mask is None else mask[sample].bool().cpu()[None]
    if asked.kwargs.get("use_causal_mask"):
        allowed = torch.arange(len(k))[None] <= torch.arange(len(q))[:, None]
        seen = allowed if seen is None else seen & allowed
    if isinstance(layer, L.AdditiveAttention):
        both = torch.tanh(q[step] + k)
        scale = torch.ones(both.shape[-1], dtype=torch.float64) if layer.scale is None else full(layer.scale)
        scores = both @ scale
    elif layer.score_mode == "dot":
        factor = 1.0 if layer.scale is None else float(full(layer.scale))
        scores = k @ q[step] * factor
    else:
        factor = 1.0 if layer.scale is None else float(full(layer.scale))
        scores = float(full(layer.concat_score_weight)) * torch.tanh((q[step] + k) * factor).sum(-1)
    row = _hidden(scores[None], None if seen is None else seen.expand(len(q), -1)[step][None])[0]
    weights = torch.softmax(row, -1)
    best = int(weights.argmax())
    if isinstance(layer, L.AdditiveAttention):
        numbers, total, size = sum_of_products(both[best].numpy(), scale.numpy())
        score = Line(f"score of key {best}", "tanh(query + key) times scale, added up", numbers, total, size)
    elif layer.score_mode == "dot":
        numbers, total, size = sum_of_products(q[step].numpy(), k[best].numpy())
        formula = "query times key, added up" + ("" if layer.scale is None else ", x scale")
        shown = numbers if layer.scale is None else f"({numbers}) x {number(factor)}"
        score = Line(f"score of key {best}", formula, shown, total * factor, size)
    else:
        formula = "weight x tanh(query + key), added up over the features"
        score = Line(f"score of key {best}", formula, number(float(scores[best])), float(scores[best]))
    last = _mixture(weights, v[:, feature], f"number {feature} of its value", "output")
    return [score, _weight_line(row, weights, best, step), last]


@explains(L.MultiHeadAttention, L.GroupQueryAttention)
def heads(asked: Asked) -> list[Line] | None:
    """One head's score, weight and mixture, and the projection of all heads."""
    layer: HeadsAttention = asked.layer
    others = set(asked.kwargs) - {"query", "value", "key", "use_causal_mask", "training", "return_attention_scores"}
    if asked.x.dim() != 3 or layer._attended != (1,) or len(asked.place) != 3 or layer.use_gate or others - {"mask"}:
        return None
    if (asked.training and layer.dropout) or len(asked.inputs) < 2:
        return None
    query, value = asked.inputs[0], asked.inputs[1]
    key = asked.inputs[2] if len(asked.inputs) > 2 else value
    sample, step, unit = asked.place
    q, k, v = (
        _projected(full(given[sample]), dense)
        for given, dense in ((query, layer._query_dense), (key, layer._key_dense), (value, layer._value_dense))
    )
    repeats = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    masks = [getattr(one, "_keras_mask", None) for one in (query, value, key)]
    seen = layer._compute_attention_mask(
        query, value, masks[0], masks[1], masks[2], None, bool(asked.kwargs.get("use_causal_mask"))
    )
    scores = torch.einsum("hd,khd->hk", q[step], k) * layer._scale
    if seen is not None:
        row = seen.expand(query.shape[0], query.shape[1], key.shape[1])[sample, step].cpu()
        if not bool(row.any()):
            return None
        scores = scores.masked_fill(~row, -torch.inf)
    weights = torch.softmax(scores, -1)
    mixed = torch.einsum("hk,khd->hd", weights, v)
    kernel, bias = full(layer._output_dense.kernel), layer._output_dense.bias
    parts = mixed * kernel[..., unit]
    head, inner = divmod(int(parts.abs().argmax()), parts.shape[1])
    best = int(weights[head].argmax())
    numbers, total, size = sum_of_products(q[step, head].numpy(), k[best, head].numpy())
    root = number(1 / layer._scale)
    name = f"head {head}, score of key {best}"
    lines = [
        Line(
            name,
            f"(query {step} times key {best}, projected by head {head}, added up) / sqrt({q.shape[-1]})",
            f"({numbers}) / {root}",
            total * layer._scale,
            size,
        ),
        _weight_line(scores[head], weights[head], best, step),
        _mixture(weights[head], v[:, head, inner], f"number {inner} of its value", f"head {head}[{inner}]"),
    ]
    extra = [] if bias is None else [("bias", float(full(bias)[unit]))]
    numbers, total, size = sum_of_products(mixed.flatten().numpy(), kernel[..., unit].flatten().numpy(), extra)
    formula = f"what the {len(mixed)} heads took times attention_output/kernel[..., {unit}], added up"
    return [*lines, Line("output", formula + (", + bias" if extra else ""), numbers, total, size)]


def _projected(rows: torch.Tensor, dense: L.EinsumDense) -> torch.Tensor:
    """Return (steps, heads, features) for (steps, features of the input)."""
    found = torch.einsum("tf,fhd->thd", rows, full(dense.kernel))
    return found if dense.bias is None else found + full(dense.bias)
