"""Training on trial: whatever happens to a model within a block, afterwards everything is as it was."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch

from uncrumple.callbacks.training_state import random_state, set_random_state
from uncrumple.core.errors import explain
from uncrumple.core.seed_generator import SeedGenerator
from uncrumple.data.batches import Batches
from uncrumple.layers.modes import told

_TABLES = ("_parameters", "_buffers", "_modules")


def prepared(model: Any, batches: Batches, owner: str) -> Batches:
    """Build a model for its data and check both, before its state is noted; return the batches on its device.

    Weights that are made here are those that `fit` would have made.
    """
    if not hasattr(model, "_require_compiled"):
        raise TypeError(
            explain(
                f"{owner} got a {type(model).__name__}.",
                "Expected a compiled model.",
                "model = uncrumple.Sequential([uncrumple.from_torch(module)]); model.compile(...), for a torch module",
            )
        )
    model._require_compiled(owner)
    model._prepare(batches, learn=False)
    return batches


@contextlib.contextmanager
def kept(model: Any) -> Iterator[Any]:
    """Within this block train a model freely, with a copy of its optimizer, which is handed out.

    Put back afterwards, also after an exception or Ctrl-C: weights, buffers and their gradients, the state that
    layers keep, metrics, which layers train, training or evaluation mode, and the random numbers of Python, NumPy,
    torch and the layers. The optimizer itself is not touched at all.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1)])
        >>> model.compile("adam", "mse")
        >>> before = model.get_weights()[0].copy()
        >>> with kept(model) as optimizer:
        ...     _ = model.train_on_batch(torch.ones(4, 2), torch.ones(4, 1))
        >>> bool((model.get_weights()[0] == before).all()), model.optimizer is optimizer, model.optimizer.built
        (True, False, False)
    """
    state = _State(model)
    try:
        model.optimizer = state.copy_of_optimizer()
        model._plan = None
        if hasattr(model.optimizer, "build") and not getattr(model.optimizer, "built", False):
            model.optimizer.build(model.trainable_variables)
        for tensor in state.tensors.values():
            tensor[0].grad = None
        with told(model):
            yield model.optimizer
    finally:
        state.put_back()


class _State:
    """All of a model that training can change."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.random = random_state(model)
        self.modules = [
            (module, dict(vars(module)), [(vars(module)[name], dict(vars(module)[name])) for name in _TABLES])
            for module in model.modules()
        ]
        # By id: a tensor that two layers share is noted once.
        self.tensors: dict[int, tuple[torch.Tensor, torch.Tensor, Any, bool]] = {}
        for module, attributes, _ in self.modules:
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                self._note(tensor)
            for name, value in attributes.items():
                if name not in _TABLES:
                    self._look(value)
        self.metrics: list[tuple[Any, dict[str, Any]]] = []
        for metric in _all_metrics(model):
            for variable in getattr(metric, "variables", ()):
                self._look(variable)
            self.metrics.append((metric, dict(vars(metric))))  # counts that are plain numbers are there

    def _look(self, value: Any, depth: int = 0) -> None:
        """Note the tensors in what a layer keeps besides its weights: states of recurrent layers, seeds."""
        if isinstance(value, torch.Tensor):
            self._note(value)
        elif isinstance(value, SeedGenerator):
            self._note(value.state)
        elif isinstance(value, (list, tuple)) and depth < 3:
            for part in value:
                self._look(part, depth + 1)
        elif isinstance(value, dict) and depth < 3:
            for part in value.values():
                self._look(part, depth + 1)

    def _note(self, tensor: torch.Tensor) -> None:
        if id(tensor) not in self.tensors and not tensor.is_meta and tensor.is_leaf:
            copied = tensor.detach().clone()
            self.tensors[id(tensor)] = (tensor, copied, tensor.grad, tensor.requires_grad)

    def copy_of_optimizer(self) -> Any:
        """Return an optimizer with the same state, on the same weights: they are known, and not copied."""
        weights = {id(tensor): tensor for tensor, *_ in self.tensors.values()}
        try:
            return copy.deepcopy(self.model.optimizer, weights)
        except Exception as error:
            raise TypeError(
                explain(
                    f"The optimizer {type(self.model.optimizer).__name__} cannot be copied: {error}",
                    "Expected one that copy.deepcopy copies: the model's own is left as it is.",
                    "no open files, locks or generators among its attributes",
                )
            ) from error

    @torch.no_grad()
    def put_back(self) -> None:
        for module, attributes, tables in self.modules:
            vars(module).clear()
            vars(module).update(attributes)
            for table, entries in tables:
                table.clear()
                table.update(entries)
        for metric, attributes in self.metrics:
            vars(metric).clear()
            vars(metric).update(attributes)
        for tensor, value, gradient, learns in self.tensors.values():
            tensor.requires_grad_(learns)
            tensor.copy_(value)
            tensor.grad = gradient
        set_random_state(self.random, self.model)


def _all_metrics(model: Any) -> list[Any]:
    """Return the metrics of a model, and those that they are made of."""
    found: list[Any] = []
    waiting = list(getattr(model, "metrics", None) or ())
    while waiting:
        metric = waiting.pop()
        if not any(metric is one for one in found):
            found.append(metric)
            waiting += list(getattr(metric, "metrics", None) or ())
    return found
