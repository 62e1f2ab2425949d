"""Numbers that are looked up, moved, dropped or passed on, and not added to others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from uncrumple import layers as L
from uncrumple.explain.tracing.arithmetic import Asked, Line, explains, full
from uncrumple.explain.tracing.words import number, place, times


def _copy(asked: Asked, source: Sequence[int], why: str) -> list[Line]:
    value = float(full(asked.x[tuple(source)]))
    formula = place(source, "inputs") + (f": {why}" if why else "")
    return [Line("copy", formula, number(value), value)]


def _unravel(index: int, sizes: Sequence[int]) -> list[int]:
    found = []
    for size in reversed(sizes):
        index, rest = divmod(index, size)
        found.append(rest)
    return found[::-1]


def _position(at: Sequence[int], sizes: Sequence[int]) -> str:
    """Return how a place becomes a position in a row: `12 x 28 + 9`."""
    parts = [times(one, *([step] if step > 1 else [])) for one, step in zip(at, _steps(sizes))]
    return " + ".join(parts)


def _steps(sizes: Sequence[int]) -> list[int]:
    return [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]


@explains(L.Flatten, L.Reshape, torch.nn.Flatten)
def flatten(asked: Asked) -> list[Line] | None:
    """The number at the same position, counted row after row."""
    layer, sizes = asked.layer, list(asked.x.shape[1:])
    if isinstance(layer, torch.nn.Flatten) and (layer.start_dim, layer.end_dim) != (1, -1):
        return None
    if not sizes:
        return _copy(asked, asked.place[:1], "each sample is a row of one number")
    moved = isinstance(layer, L.Flatten) and layer.data_format == "channels_first" and len(sizes) > 1
    order = [*sizes[1:], sizes[0]] if moved else sizes
    inner = asked.place[1:]
    position = sum(one * step for one, step in zip(inner, _steps(asked.output.shape[1:])))
    at = _unravel(position, order)
    source = [at[-1], *at[:-1]] if moved else at
    return _copy(asked, [asked.place[0], *source], f"position {position:,} of a sample = {_position(at, order)}")


@explains(L.Permute)
def permute(asked: Asked) -> list[Line]:
    """The number whose axes were exchanged."""
    source = [asked.place[0]] + [0] * len(asked.layer.dims)
    for axis, old in enumerate(asked.layer.dims, 1):
        source[old] = asked.place[axis]
    return _copy(asked, source, f"the axes in the order {asked.layer.dims}")


@explains(L.RepeatVector)
def repeat(asked: Asked) -> list[Line]:
    """The same row, again."""
    return _copy(asked, (asked.place[0], asked.place[2]), f"each row is repeated {asked.layer.n} times")


@explains(L.Embedding, torch.nn.Embedding)
def embedding(asked: Asked) -> list[Line] | None:
    """A row of the table, looked up by its number."""
    layer, at = asked.layer, asked.place
    if asked.kwargs.get("reverse"):
        return None
    table = layer.weight if isinstance(layer, torch.nn.Embedding) else layer.embeddings
    token = int(asked.x[at[:-1]])
    value = float(full(table[token, at[-1]]))
    formula = f"number {at[-1]} of the vector for {place(at[:-1], 'inputs')} = {token:,}"
    return [Line("look-up", formula, place((token, at[-1]), "embeddings"), value)]


@explains(L.ReversibleEmbedding)
def reversible_embedding(asked: Asked) -> list[Line] | None:
    """As an embedding, on the way in."""
    return None if asked.kwargs.get("reverse") or not asked.x.dim() < asked.output.dim() else embedding(asked)


@explains(L.Identity, L.ActivityRegularization, torch.nn.Identity)
def identity(asked: Asked) -> list[Line]:
    """What came in."""
    return _copy(asked, asked.place, "passed on as it is")


@explains(L.Masking)
def masking(asked: Asked) -> list[Line]:
    """What came in; zero where the time step is marked as missing."""
    row = asked.x[asked.place[:-1]]
    if bool((row != asked.layer.mask_value).any()):
        return _copy(
            asked, asked.place, f"not every feature of this time step is {number(asked.layer.mask_value)}: it counts"
        )
    return [
        Line("masked", f"every feature of this time step is {number(asked.layer.mask_value)}: it is skipped", "0", 0.0)
    ]


@explains(L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D, torch.nn.Dropout)
def dropout(asked: Asked) -> list[Line]:
    """What came in; while learning dropped, or scaled up."""
    layer = asked.layer
    rate = float(layer.p if isinstance(layer, torch.nn.Dropout) else layer.rate)
    before, after = float(asked.x[asked.place]), float(asked.output[asked.place])
    if not asked.training or not rate:
        return _copy(asked, asked.place, "nothing is dropped, since this is not training" if rate else "the rate is 0")
    if after == 0 and (before != 0 or rate == 1):
        return [Line("dropped", f"dropped, as {100 * rate:g} % are", "0", 0.0)]
    value = before / (1 - rate)
    return [
        Line("kept", f"inputs{place(asked.place, '')} / (1 - rate)", f"{number(before)} / (1 - {number(rate)})", value)
    ]


@explains(L.GaussianNoise, L.GaussianDropout, L.AlphaDropout)
def noise(asked: Asked) -> list[Line] | None:
    """What came in, outside of training."""
    return None if asked.training else _copy(asked, asked.place, "nothing is disturbed, since this is not training")


@explains(L.TimeDistributed)
def time_distributed(asked: Asked) -> list[Line] | None:
    """The layer inside, on one time step."""
    steps = asked.x.shape[1]
    place_inside = (asked.place[0] * steps + asked.place[1], *asked.place[2:])
    if asked.training or not asked.output.dim() > 2:
        return None
    return asked.inside(asked.layer.layer, [asked.x.flatten(0, 1)], place_inside, output=asked.output.flatten(0, 1))


@explains(L.TorchModuleWrapper)
def torch_module(asked: Asked) -> list[Line] | None:
    """The module inside."""
    return asked.inside(asked.layer.module, asked.inputs, asked.place)
