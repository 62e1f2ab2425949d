"""Blocks in which a model may be run, trained or broken, and after which it is as it was: the one place that knows how.

- `untouched`: everything is put back, whatever is done to it.
- `answering`: so too, and meanwhile the model infers.
- `on_trial`: so too, and meanwhile it trains with a copy of its optimizer.
- `same_start`: what the next call begins with is put back, and what has been learnt stays.
- `same_randomness`: only random numbers and the counters of names.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from uncrumple.core import naming
from uncrumple.core.errors import explain
from uncrumple.core.seed_generator import SeedGenerator
from uncrumple.layers.modes import calls as underway
from uncrumple.layers.modes import told
from uncrumple.models.model import Model

# Where layers keep their own generators, and recurrent ones their states.
_BEGINNINGS = ("_generator", "_generators", "_states")
# Deeper than anything that a model holds its state in (optimizer -> state -> weight -> slots).
_DEPTH = 8


@contextlib.contextmanager
def untouched(*things: Any) -> Iterator[None]:
    """Put models, optimizers, losses and the random state back at the end of the block, also after an exception.

    Everything that they hold counts: weights and their gradients, buffers, moving averages, states of recurrent
    layers, moments of optimizers, counts and metrics, modes, hooks, generators, and attributes that are set or
    removed; and the counters that names are made with.

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
    with same_randomness():
        kept = _Kept()
        for thing in things:
            kept.take(thing)
        try:
            yield
        finally:
            kept.put_back()


@contextlib.contextmanager
def answering(*models: Any, gradients: bool = False) -> Iterator[None]:
    """Within this block models answer as they do when nothing is learnt; afterwards all is as it was.

    Args:
        models: Models, layers, modules of torch; what is none of these is passed over.
        gradients: Whether the answers are differentiated.

    Example:
        >>> from uncrumple.layers import Dropout
        >>> layer = Dropout(0.5).train()
        >>> with answering(layer):
        ...     layer.training
        False
        >>> layer.training
        True
    """
    modules = [model for model in models if isinstance(model, torch.nn.Module)]
    was_told = underway.told
    with untouched(*modules), contextlib.ExitStack() as stack:
        for model in modules:
            for module in model.modules():
                module.training = False
            if isinstance(model, Model):
                stack.enter_context(told(model))
        # Layers that change images at random wherever nobody says what a call is for are told that this is inference.
        underway.told = True
        if gradients:
            # Of cuDNN, recurrent layers have gradients in training only.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        try:
            yield
        finally:
            underway.told = was_told


@contextlib.contextmanager
def on_trial(model: Any) -> Iterator[Any]:
    """Within this block train a compiled model freely, with a copy of its optimizer, which is handed out.

    Afterwards all is as it was, also after an exception or Ctrl-C. The optimizer itself is not touched at all.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1)])
        >>> model.compile("adam", "mse")
        >>> before = model.get_weights()[0].copy()
        >>> with on_trial(model) as optimizer:
        ...     _ = model.train_on_batch(torch.ones(4, 2), torch.ones(4, 1))
        >>> bool((model.get_weights()[0] == before).all()), model.optimizer is optimizer, model.optimizer.built
        (True, False, False)
    """
    with untouched(model):
        model.optimizer = _copy_of_optimizer(model)
        model._plan = None
        if hasattr(model.optimizer, "build") and not getattr(model.optimizer, "built", False):
            model.optimizer.build(model.trainable_variables)
        for weight in model.parameters():
            weight.grad = None
        with told(model):
            yield model.optimizer


def _copy_of_optimizer(model: Any) -> Any:
    """Return an optimizer with the same state, on the same weights: they are known, and not copied."""
    weights = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    try:
        return copy.deepcopy(model.optimizer, weights)
    except Exception as error:
        raise TypeError(
            explain(
                f"The optimizer {type(model.optimizer).__name__} cannot be copied: {error}",
                "Expected one that copy.deepcopy copies: the model's own is left as it is.",
                "no open files, locks or generators among its attributes",
            )
        ) from error


@contextlib.contextmanager
def same_start(model: Any) -> Iterator[None]:
    """Put back at the end what the next call begins with: random numbers, and the states of recurrent layers.

    Args:
        model: Whose generators and states are meant, besides those of the program.
    """
    kept = _Kept()
    attributes = []
    for part in model.modules():
        for name, value in vars(part).items():
            begins = name in _BEGINNINGS or isinstance(value, SeedGenerator)
            if begins and not isinstance(value, torch.nn.Module):
                attributes.append((part, name, value))
                kept.take(value)
    with same_randomness():
        try:
            yield
        finally:
            for part, name, value in attributes:
                vars(part)[name] = value
            kept.put_back()


@contextlib.contextmanager
def same_randomness() -> Iterator[None]:
    """Put back at the end every source of random numbers that belongs to nobody, and the counters of names.

    Example:
        >>> with same_randomness():
        ...     first = torch.rand(1)
        >>> bool(first == torch.rand(1))
        True
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    counters = [(counter, counter.copy()) for counter in (naming._used, naming._counts)]
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_gpu:
            torch.cuda.set_rng_state_all(on_gpu)
        for counter, before in counters:
            counter.clear()
            counter.update(before)


class _Kept:
    """What things held when they were taken: the objects, and what was in them."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}
        self.objects: list[tuple[Any, dict[str, Any]]] = []
        self.lists: list[tuple[list[Any], list[Any]]] = []
        self.sets: list[tuple[set[Any], set[Any]]] = []
        self.dicts: list[tuple[Any, list[tuple[Any, Any]]]] = []
        self.arrays: list[tuple[np.ndarray, np.ndarray]] = []
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
                gradient = thing.grad if thing.is_leaf else None
                self.tensors.append((thing, data, data.clone(), gradient, learns))
                self.take(gradient, depth + 1)  # the next backward pass adds to it where it lies
        elif isinstance(thing, torch.Generator):
            self.seen[id(thing)] = thing
            self.generators.append((thing, thing.get_state()))
        elif isinstance(thing, np.ndarray):
            self.seen[id(thing)] = thing
            if thing.flags.writeable:
                self.arrays.append((thing, thing.copy()))
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
            elif isinstance(thing, set):
                self.sets.append((thing, set(thing)))
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
        for members, were in self.sets:
            if members != were:
                members.clear()
                members.update(were)
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
        for array, numbers in self.arrays:
            array[...] = numbers
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
