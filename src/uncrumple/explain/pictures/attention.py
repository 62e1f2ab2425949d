"""Attention maps: which step of a sequence looks at which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from uncrumple.explain.keeping import answering
from uncrumple.explain.pictures.choosing import one_sample, parts_that
from uncrumple.explain.pictures.picture import Picture, plain, refuse
from uncrumple.explain.uncrumpling.inside import Part, call
from uncrumple.layers.base import Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LAYERS, _MOST_HEADS = 4, 8
_MOST_NAMED = 40


@dataclass
class Head:
    """What one head does.

    Attributes:
        layer: Name of its layer.
        number: Which head, from 0.
        scores: (query steps, steps): each row sums to 1.
        looks_at: What it looks at, in words.
        share: The share of its attention that goes there.
        spread: At how many steps it looks, on average (the exponential of its entropy).
    """

    layer: str
    number: int
    scores: np.ndarray
    looks_at: str
    share: float
    spread: float


class AttentionMaps(Picture):
    """What `attention_maps` returns.

    Attributes:
        heads: A `Head` for each head of each layer.
        tokens: What stands at each step, or None.
    """

    def __init__(self, scores: dict[str, np.ndarray], tokens: list[str] | None) -> None:
        self.scores, self.tokens = scores, tokens
        self.heads = [
            _described(name, number, one, tokens) for name, heads in scores.items() for number, one in enumerate(heads)
        ]
        best = max(self.heads, key=lambda one: one.share)
        where = f" of '{best.layer}'"
        if best.share >= 0.4:
            self.title = (
                f"Head {best.number}{where} looks at {best.looks_at}: {100 * best.share:.0f} % of its attention"
            )
        else:
            narrow = min(self.heads, key=lambda one: one.spread)
            self.title = (
                f"No head looks at one place: the narrowest, head {narrow.number} of '{narrow.layer}', spreads its "
                f"attention over {narrow.spread:.1f} of {narrow.scores.shape[1]} steps"
            )
        self.note = (
            "Each row is a step that looks, each column one that is looked at; a row sums to 1. "
            "What is looked at is not always what decides: the values and the layers after it matter too."
        )

    def _lines(self) -> list[str]:
        return [
            f"{one.layer}, head {one.number}: {100 * one.share:.0f} % on {one.looks_at}; over {one.spread:.1f} of "
            f"{one.scores.shape[1]} steps"
            for one in self.heads
        ]

    def to_dict(self) -> dict[str, Any]:
        heads = [
            {"layer": one.layer, "head": one.number, "looks_at": one.looks_at, "share": one.share, "spread": one.spread,
             "scores": one.scores}
            for one in self.heads
        ]  # fmt: skip
        return {**super().to_dict(), "tokens": self.tokens, "heads": plain(heads)}

    def _draw(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import new_figure, scale_bar

        layers = list(self.scores)[:_MOST_LAYERS]
        across = min(_MOST_HEADS, max(len(self.scores[name]) for name in layers))
        # Few heads in one layer are drawn in two rows where their steps have names.
        columns = across if len(layers) > 1 or across <= 4 else -(-across // 2)
        rows = len(layers) if columns == across else 2
        named = self.tokens is not None and len(self.tokens) <= _MOST_NAMED
        side = 2.9 if named and columns <= 2 else 2.3
        figure = new_figure(max(6.6, side * columns + 0.9), side * rows + 1.7, self.title, theme, self.note)
        panels, image = [], None
        shown = [one for one in self.heads if one.layer in layers and one.number < _MOST_HEADS]
        top = max(float(one.scores.max()) for one in shown)
        for one in shown:
            place = layers.index(one.layer) * columns + one.number + 1
            axes = figure.add_subplot(rows, columns, place)
            image = axes.imshow(one.scores, cmap="viridis", vmin=0, vmax=top, interpolation="nearest", aspect="auto")
            where = f"{one.layer}, head" if len(layers) > 1 else "head"
            axes.set_title(f"{where} {one.number}\n{one.looks_at}: {100 * one.share:.0f} %", fontsize=8.3)
            self._name_steps(axes, one.scores.shape, first=one.number % columns == 0)
            panels.append(axes)
        scale_bar(figure, image, panels, "share of attention")
        return figure

    def _name_steps(self, axes: Any, shape: tuple[int, ...], first: bool) -> None:
        from uncrumple.explain.pictures.style import whole_ticks

        named = self.tokens is not None and max(shape) <= _MOST_NAMED
        if named and self.tokens is not None and len(self.tokens) == shape[1]:
            size = 7.5 if shape[1] <= 16 else 5.5
            axes.set_xticks(
                range(shape[1]), self.tokens, rotation=90 if max(map(len, self.tokens)) > 1 else 0, fontsize=size
            )
            if shape[0] == shape[1]:
                axes.set_yticks(range(shape[0]), self.tokens if first else [], fontsize=size)
            axes.tick_params(length=0)
        else:
            whole_ticks(axes)
            axes.set_xlabel("step looked at", fontsize=8)
            if first:
                axes.set_ylabel("step that looks", fontsize=8)


def attention_maps(
    model: Any, x: Any, layer: Any = None, *, tokens: Sequence[str] | str | None = None
) -> AttentionMaps:  # fmt: skip
    """Show which step of a sequence each head of attention looks at.

    Works for every attention layer of uncrumple and for `torch.nn.MultiheadAttention`, with the masks that the
    model gives them.

    Args:
        model: A model made in any way, or a torch module.
        x: One sequence as the model takes it, or several, of which the first counts.
        layer: The name of an attention layer, or the layer; by default all.
        tokens: What stands at each step, to be written at the axes.

    Raises:
        ValueError: There is no attention in the model, or there are more or fewer tokens than steps.

    Example:
        >>> from uncrumple.layers import Input, MultiHeadAttention
        >>> from uncrumple.models import Model
        >>> inputs = Input((5, 8))
        >>> model = Model(inputs, MultiHeadAttention(2, 4, name="look")(inputs, inputs, use_causal_mask=True))
        >>> shown = attention_maps(model, np.ones((5, 8)), tokens="hello")
        >>> shown.scores["look"].shape, shown.heads[0].scores[0].round(2).tolist()
        ((2, 5, 5), [1.0, 0.0, 0.0, 0.0, 0.0])
    """
    owner = "attention_maps"
    parts = parts_that(model, _is_attention, layer, owner, "attention layer", "MultiHeadAttention(2, 16)")
    sample = one_sample(model, x, owner)
    scores: dict[str, np.ndarray] = {}
    with answering(model), torch.no_grad(), _asking(parts, scores):
        call(model, sample)
    if not scores:
        raise refuse(
            owner, "attention that gave no map of (steps, steps)", "Expected attention over one axis.", "layer='name'"
        )
    names = None if tokens is None else [_visible(str(one)) for one in tokens]
    steps = next(iter(scores.values())).shape[2]
    if names is not None and len(names) != steps:
        raise refuse(
            owner, f"{len(names)} tokens for {steps} steps", "Expected one for each step.", f"tokens[:{steps}]"
        )
    return AttentionMaps(scores, names)


def _is_attention(module: Any) -> bool:
    if isinstance(module, torch.nn.MultiheadAttention):
        return True
    return isinstance(module, Layer) and "return_attention_scores" in module._call_parameters


@contextmanager
def _asking(parts: Sequence[Part], scores: dict[str, np.ndarray]) -> Iterator[None]:
    """Let attention layers hand out their scores within this block, and the model see only their outputs."""
    handles = []

    def keep(name: str, found: torch.Tensor) -> None:
        values = found[0].detach().float().cpu().numpy()
        values = values[None] if values.ndim == 2 else values
        if values.ndim == 3 and name not in scores:
            scores[name] = values.copy()

    def watch(part: Part) -> None:
        asked: list[Any] = []

        def before(module: Any, args: Any, kwargs: Any) -> Any:
            if isinstance(module, Layer):
                asked.append(kwargs.get("return_attention_scores", False))
                return args, {**kwargs, "return_attention_scores": True}
            asked.append((kwargs.get("need_weights", True), kwargs.get("average_attn_weights", True)))
            return args, {**kwargs, "need_weights": True, "average_attn_weights": False}

        def after(module: Any, args: Any, kwargs: Any, outputs: Any) -> Any:
            output, found = outputs
            keep(part.name, found)
            wanted = asked.pop()
            if isinstance(module, Layer):
                return outputs if wanted else output
            return output, (found.mean(dim=1) if wanted[1] else found) if wanted[0] else None

        handles.append(part.module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(part.module.register_forward_hook(after, with_kwargs=True))

    try:
        for part in parts:
            watch(part)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _described(layer: str, number: int, scores: np.ndarray, tokens: list[str] | None) -> Head:
    """Say what a head looks at: a place counted from where it stands, or one step."""
    queries, keys = scores.shape
    safe = np.where(scores > 0, scores, 1.0)
    spread = float(np.exp(-(scores * np.log(safe)).sum(axis=1)).mean())
    shares: dict[str, float] = {}
    if queries == keys:
        for name, offset in (("itself", 0), ("the step before", -1), ("the step after", 1), ("two steps before", -2)):
            places = np.arange(queries)
            inside = (places + offset >= 0) & (places + offset < keys)
            if inside.sum() >= 2:
                shares[name] = float(scores[places[inside], places[inside] + offset].mean())
        if tokens is not None and len(tokens) == keys:
            again = [(row, [k for k in range(row) if tokens[k] == tokens[row]]) for row in range(queries)]
            again = [(row, before) for row, before in again if before]
            if len(again) >= 2:
                # Where a token stands again: looking for it, or for what followed, is how texts are continued.
                shares["the same token, where it stood before"] = float(
                    np.mean([scores[row, before].sum() for row, before in again])
                )
                shares["what came after the same token"] = float(
                    np.mean([scores[row, [k + 1 for k in before]].sum() for row, before in again])
                )
    # The first rows of causal attention have little choice: what they look at says nothing.
    later = scores[queries // 3 :]
    column = int(later.mean(axis=0).argmax())
    one = f"step {column}" if tokens is None or len(tokens) != keys else f"'{tokens[column]}' (step {column})"
    shares["the first step" if column == 0 and tokens is None else one] = float(later[:, column].mean())
    looks_at = max(shares, key=lambda name: shares[name])
    return Head(layer, number, scores, looks_at, shares[looks_at], spread)


def _visible(token: str) -> str:
    return {" ": "␣", "\n": "↵", "": "∅"}.get(token, token if len(token) <= 12 else f"{token[:11]}…")
