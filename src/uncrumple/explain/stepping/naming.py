"""Names of weights as people type them: `dense_1/kernel[3, 0]`."""

from __future__ import annotations

import re
from typing import Any

import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.explain.tracing.parameters import own_weights
from uncrumple.explain.tracing.watch import parts_of
from uncrumple.layers.base import Layer

_ENTRY = re.compile(r"^\s*(?P<name>[^\[\]]+?)\s*(?:\[(?P<index>[^\[\]]*)\])?\s*$")


def weights_by_name(model: Any) -> dict[str, torch.Tensor]:
    """Return every trained weight of a model by the name of its layer and its own.

    Parameters of a torch module go by the names that they have there.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> list(weights_by_name(Sequential([Input((2,)), Dense(3, name="first")])))
        ['first/kernel', 'first/bias']
    """
    found: dict[str, torch.Tensor] = {}
    known: set[int] = set()
    for name, part, _, opened in [*parts_of(model), (model.name, model, 0, True)]:
        held = part._parameters.items() if opened else own_weights(part)
        for own, weight in held:
            if weight is None or id(weight) in known or not weight.requires_grad:
                continue
            known.add(id(weight))
            found[_free(found, f"{name}/{_within(part, own, weight)}")] = weight
    return found


def _within(part: Any, own: str, weight: torch.Tensor) -> str:
    """Return the name of a weight within its layer: with the part of it that has it, where there are several."""
    path = getattr(weight, "path", "")
    if isinstance(part, Layer) and f"{part.name}/" in path:
        tail = path.rpartition(f"{part.name}/")[2].split("/")
        # The cell of a recurrent layer is no part that people know of.
        return "/".join(one for one in tail if not one.endswith("_cell")) or own
    return own


def _free(taken: Any, name: str) -> str:
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free


def _plain(name: str) -> str:
    """Return a name without what spellings of it differ in: `state_dict` of a model says `encoder.module.0.weight`."""
    return name.replace(".", "/").replace("/module/", "/")


def chosen_weight(asked: str, named: dict[str, torch.Tensor]) -> tuple[str, tuple[int, ...] | None]:
    """Return the name of a weight and the entry that is meant; None for the entry if none is given.

    Raises:
        ValueError: There is no such weight or entry.
    """
    if not isinstance(asked, str) or (match := _ENTRY.match(asked)) is None:
        example = next(iter(named), "dense/kernel")
        raise ValueError(
            explain(
                f"step_through got weight={asked!r}.",
                "Expected the name of a weight, and in brackets which entry of it.",
                f'weight="{example}[0, 0]"',
            )
        )
    name = match["name"]
    alike = {_plain(one): one for one in named}
    name = name if name in named else alike.get(_plain(name), name)
    if name not in named:
        raise ValueError(unknown_name("weight", match["name"], named))
    if match["index"] is None:
        return name, None
    shape = tuple(named[name].shape)
    try:
        index = tuple(int(one) for one in match["index"].split(","))
    except ValueError:
        index = ()
    if len(index) != len(shape) or any(not -size <= one < size for one, size in zip(index, shape)):
        limits = " and ".join(f"0 to {size - 1}" for size in shape)
        raise ValueError(
            explain(
                f"step_through got weight={asked!r}, and '{name}' has the shape {shape}.",
                f"Expected {len(shape)} whole number{'s' * (len(shape) != 1)}: {limits}.",
                f'weight="{name}[{", ".join(str(size // 2) for size in shape)}]"',
            )
        )
    return name, tuple(one % size for one, size in zip(index, shape))
