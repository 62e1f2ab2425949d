"""What the axes of a tensor are called: samples, height, width, channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple import layers as L
from uncrumple.layers.spatial import Spatial

Axes = tuple[str, ...]

_INNER = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_BY_RANK: dict[int, Axes] = {
    0: (),
    1: ("samples",),
    2: ("samples", "features"),
    3: ("samples", "steps", "features"),
    4: ("samples", "height", "width", "channels"),
    5: ("samples", "frames", "height", "width", "channels"),
}
_TORCH_IMAGES = {2: ("Conv1d", "MaxPool1d", "AvgPool1d"), 3: ("Conv2d", "MaxPool2d", "AvgPool2d"), 4: ("Conv3d",)}


def guessed(rank: int) -> Axes:
    """Return what axes are called where nobody knows better.

    Example:
        >>> guessed(3)
        ('samples', 'steps', 'features')
    """
    return _BY_RANK.get(rank, ("samples", *(f"axis {axis}" for axis in range(1, rank))))


def axes_of(layer: Any, given: Axes | None, came: Sequence[int], made: Sequence[int]) -> tuple[Axes, Axes]:
    """Return what the axes of the input, and of the output, of a layer are called.

    Args:
        layer: The layer, or a module of torch.
        given: What the input's axes were called as the output of the layer before; None if nobody knows.
        came, made: The shapes of input and output.

    Example:
        >>> axes_of(L.Dense(3), None, (2, 4), (2, 3))
        (('samples', 'features'), ('samples', 'units'))
    """
    first = _of_input(layer, given, came)
    second = _of_output(layer, first, came, made)
    return first, second if len(second) == len(made) else guessed(len(made))


def _of_input(layer: Any, given: Axes | None, came: Sequence[int]) -> Axes:
    rank = len(came)
    if isinstance(layer, Spatial) and rank == layer.rank + 2:
        return _image(layer.rank, getattr(layer, "_channels_last", True))
    for axes, names in _TORCH_IMAGES.items():
        if type(layer).__name__ in names and rank == axes + 1:
            return _image(axes - 1, False)
    if isinstance(layer, (L.RNN, L.Bidirectional)) and rank == 3:
        return ("samples", "time steps", "features")
    if isinstance(layer, L.TimeDistributed) and (given is None or len(given) != rank):
        return ("samples", "time steps", *guessed(rank - 1)[1:])
    if isinstance(layer, (L.Embedding, torch.nn.Embedding)) and rank == 2:
        return ("samples", "steps")
    if given is not None and len(given) == rank:
        return given
    if isinstance(layer, (L.Flatten, L.Reshape, L.Rescaling)) and rank == 3:
        return ("samples", "height", "width")
    return guessed(rank)


def _image(rank: int, channels_last: bool) -> Axes:
    inner = _INNER[rank]
    return ("samples", *inner, "channels") if channels_last else ("samples", "channels", *inner)


def _of_output(layer: Any, first: Axes, came: Sequence[int], made: Sequence[int]) -> Axes:
    rank = len(made)
    if isinstance(layer, Spatial) or type(layer).__name__ in sum(_TORCH_IMAGES.values(), ()):
        return first if rank == len(first) else ("samples", "channels")
    if isinstance(layer, (L.RNN, L.Bidirectional)):
        return ("samples", "time steps", "units")[-rank:] if rank == 3 else ("samples", "units")
    if isinstance(layer, (L.Dense, torch.nn.Linear)):
        return (*first[:-1], "units")
    if isinstance(layer, (L.Embedding, torch.nn.Embedding)):
        return (*first, "features")
    if isinstance(layer, L.Permute):
        return ("samples", *(first[axis] for axis in layer.dims))
    if isinstance(layer, L.RepeatVector):
        return ("samples", "repeats", "features")
    if isinstance(layer, L.TimeDistributed):
        inner = _of_output(layer.layer, (first[0], *first[2:]), (came[0], *came[2:]), (made[0], *made[2:]))
        return (*first[:2], *inner[1:])
    if rank == len(first) and not isinstance(layer, L.Reshape):
        return first
    return guessed(rank)
