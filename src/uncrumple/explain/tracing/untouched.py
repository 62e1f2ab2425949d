"""A block in which a model may be run, trained or broken, and after which it is as it was."""

from __future__ import annotations

import contextlib
import random
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from uncrumple.core.seed_generator import SeedGenerator

# Where layers keep their own generators, and recurrent ones their states.
_BEGINNINGS = ("_generator", "_generators", "_states")
# Deeper than anything that a model holds its state in (optimizer -> state -> weight -> slots).
_DEPTH = 8


@contextlib.contextmanager
def untouched(*things: Any) -> Iterator[None]:
    """Put models, optimizers, losses and the random state back at the end of the block, also after an exception.

    Everything that they hold counts: weights and their gradients, buffers, moving averages, states of recurrent
    layers, moments of optimizers, counts, modes, generators, and attributes that are set or removed.

    Args:
        things: Modules, optimizers, losses, metrics; None is passed over.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> before = layer.weight.detach().clone()
        >>> with untouched(layer):
        ...     layer.weight.data.zero_()
        tensor([[0., 0.]])
        >>> bool((layer.weight == before).all())
        True
    """
    kept = _Kept()
    randomness = _Randomness()
    for thing in things:
        kept.take(thing)
    try:
        yield
    finally:
        kept.put_back()
        randomness.put_back()


class _Randomness:
    """The state of every generator of random numbers that belongs to nobody."""

    def __init__(self) -> None:
        self.python, self.numpy, self.torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def put_back(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


@contextlib.contextmanager
def same_start(model: Any) -> Iterator[None]:
    """Put back at the end what the next call begins with: random numbers, and the states of recurrent layers.

    Args:
        model: Whose generators and states are meant, besides those of the program.
    """
    kept, randomness = _Kept(), _Randomness()
    attributes = []
    for part in model.modules():
        for name, value in vars(part).items():
            begins = name in _BEGINNINGS or isinstance(value, SeedGenerator)
            if begins and not isinstance(value, torch.nn.Module):
                attributes.append((part, name, value))
                kept.take(value)
    try:
        yield
    finally:
        for part, name, value in attributes:
            vars(part)[name] = value
        kept.put_back()
        randomness.put_back()


class _Kept:
    """What things held when they were taken: the objects, and what was in them."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}
        self.objects: list[tuple[Any, dict[str, Any]]] = []
        self.lists: list[tuple[list[Any], list[Any]]] = []
        self.dicts: list[tuple[Any, list[tuple[Any, Any]]]] = []
        self.tensors: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, Any, bool]] = []
        self.generators: list[tuple[torch.Generator, torch.Tensor]] = []

    def take(self, thing: Any, depth: int = 0) -> None:
        if depth > _DEPTH or thing is None or id(thing) in self.seen:
            return
        if isinstance(thing, torch.Tensor):
            self.seen[id(thing)] = thing
            if not thing.is_meta:
                data = thing.data
                learns = thing.is_leaf and thing.requires_grad
                self.tensors.append((thing, data, data.clone(), thing.grad if thing.is_leaf else None, learns))
        elif isinstance(thing, torch.Generator):
            self.seen[id(thing)] = thing
            self.generators.append((thing, thing.get_state()))
        elif isinstance(thing, dict):
            self.seen[id(thing)] = thing
            pairs = list(thing.items())
            self.dicts.append((thing, pairs))
            for key, value in pairs:
                self.take(key, depth + 1)
                self.take(value, depth + 1)
        elif isinstance(thing, (list, tuple, set)):
            self.seen[id(thing)] = thing
            if isinstance(thing, list):
                self.lists.append((thing, list(thing)))
            for value in thing:
                self.take(value, depth + 1)
        elif _holds_state(thing):
            self.seen[id(thing)] = thing
            self.objects.append((thing, dict(vars(thing))))
            below = 0 if isinstance(thing, torch.nn.Module) else depth + 1
            for value in list(vars(thing).values()):
                self.take(value, below)

    @torch.no_grad()
    def put_back(self) -> None:
        for thing, held in self.objects:
            inside = vars(thing)
            if inside.keys() != held.keys() or any(inside[key] is not held[key] for key in held):
                inside.clear()
                inside.update(held)
        for listed, parts in self.lists:
            if len(listed) != len(parts) or any(one is not other for one, other in zip(listed, parts)):
                list.clear(listed)
                list.extend(listed, parts)
        for mapping, pairs in self.dicts:
            same = len(mapping) == len(pairs) and all(
                key is known and value is old for (key, value), (known, old) in zip(mapping.items(), pairs)
            )
            if not same:
                # Dicts that tell a layer what is put into them are filled behind its back.
                kind: Any = OrderedDict if isinstance(mapping, OrderedDict) else dict
                kind.clear(mapping)
                for key, value in pairs:
                    kind.__setitem__(mapping, key, value)
        for tensor, data, copied, gradient, learns in self.tensors:
            data.copy_(copied)
            if tensor.data_ptr() != data.data_ptr() or tensor.dtype is not data.dtype:
                tensor.data = data
            if tensor.is_leaf:
                if tensor.requires_grad != learns:
                    torch.Tensor.requires_grad_(tensor, learns)
                if tensor.grad is not gradient:
                    tensor.grad = gradient
        for generator, state in self.generators:
            generator.set_state(state)


def _holds_state(thing: Any) -> bool:
    """Return whether a thing is one of those that keep something between calls."""
    if isinstance(thing, type) or not hasattr(thing, "__dict__"):
        return False
    if isinstance(thing, (torch.nn.Module, torch.optim.Optimizer)):
        return True
    return any(base.__module__.partition(".")[0] == "uncrumple" for base in type(thing).__mro__)
