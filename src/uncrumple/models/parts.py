"""The parts of a model that have something to store, in the order and under the paths of Keras's files.

A path is made of attribute names, and of class names with a counter within
lists: `layers/dense_1`, `layers/lstm/cell`, `blocks/dense`, `optimizer`.
Names of layers are not used, for they differ from one run to the next.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from uncrumple.core.naming import to_snake_case
from uncrumple.layers.base import Layer
from uncrumple.layers.input import InputLayer
from uncrumple.layers.operation import Operation
from uncrumple.layers.weights import to_numpy
from uncrumple.layers.wrappers import TorchModuleWrapper
from uncrumple.models.functional import Functional
from uncrumple.models.model import Model
from uncrumple.models.sequential import Sequential
from uncrumple.optimizers import Optimizer

_BASES = (Layer, Model, Functional, Sequential, Optimizer)
# What `compile` and Sequential keep for themselves, besides what every model has from the start.
_OF_MODELS = {"_compile_config", "_trainable_when_compiled", "_stack"}


class TorchPart:
    """A plain torch module that sits in a layer: its state dict is what is stored."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.name = to_snake_case(type(module).__name__)

    def save_own_variables(self, store: Any) -> None:
        for name, value in self.module.state_dict().items():
            store[name] = to_numpy(value)

    def load_own_variables(self, store: Any) -> None:
        self.module.load_state_dict({name: torch.as_tensor(store[name]) for name in store})


class Walk:
    """Goes through a model, part by part.

    Args:
        handle: Called with a part and its path; returns whether the part is
            done. One that is not is tried again where it is met next.
        skip: Parts to leave out.
    """

    def __init__(self, handle: Callable[[Any, str], bool], skip: Iterable[Any] = ()) -> None:
        self.handle = handle
        self._done = {id(part) for part in skip}
        self._open: set[int] = set()  # those that are being gone through, for layers that hold their owner

    def visit(self, part: Any, path: str = "") -> None:
        """Handle a part, then what it holds."""
        if id(part) in self._done or id(part) in self._open:
            return
        is_plain = isinstance(part, torch.nn.Module) and not isinstance(part, Layer)
        if self.handle(TorchPart(part) if is_plain else part, path):
            self._done.add(id(part))
        if is_plain or isinstance(part, TorchModuleWrapper):
            return
        self._open.add(id(part))
        for name, child in _children(part):
            self._visit_child(child, f"{path}/{name}" if path else name)
        self._open.discard(id(part))

    def _visit_child(self, child: Any, path: str) -> None:
        if _stores(child):
            self.visit(child, path)
        elif isinstance(child, (list, tuple, dict)) and id(child) not in self._open:
            self._open.add(id(child))
            used: Counter[str] = Counter()
            for one in child.values() if isinstance(child, dict) else child:
                if _stores(one) or isinstance(one, (list, tuple, dict)):
                    name = to_snake_case(type(one).__name__) if _stores(one) else "container"
                    used[name] += 1
                    count = used[name] - 1
                    self._visit_child(one, f"{path}/{name}_{count}" if count else f"{path}/{name}")
            self._open.discard(id(child))


def _stores(thing: Any) -> bool:
    return isinstance(thing, (torch.nn.Module, Optimizer)) and not isinstance(thing, Operation)


def _children(part: Any) -> Iterator[tuple[str, Any]]:
    """Return (name, value) of the attributes, private ones last; a model made of layers has them in front."""
    names = set(vars(part)) | set(vars(part).get("_modules", ()))
    for cls in type(part).__mro__:
        if cls in _BASES or cls is torch.nn.Module:
            break
        names |= {name for name, value in vars(cls).items() if isinstance(value, (property, functools.cached_property))}
    names -= _own_names(isinstance(part, Optimizer))
    if isinstance(part, Model):
        if part._graph is not None or isinstance(part, Sequential):
            yield "layers", part.layers
        names |= {"layers", "optimizer"}
    elif "layers" in vars(part):  # only models have one of their own: this is the layer's
        names |= {"layers"}
    for name in sorted(names, key=lambda name: f"~{name}" if name.startswith("_") else name):
        try:
            value = getattr(part, name)
        except Exception:  # a property of the user's that cannot be read now
            continue
        if not isinstance(value, InputLayer):  # of a Sequential, whose `layers` leave it out
            yield name, value


@functools.cache
def _own_names(of_optimizer: bool) -> set[str]:
    """Return the attributes that every layer, model or optimizer has."""
    if of_optimizer:
        return set(dir(Optimizer(learning_rate=1.0, name="reference")))
    model = Model(name="reference")
    return set(dir(Layer(name="reference"))) | set(vars(model)) | set(dir(Model)) | _OF_MODELS
