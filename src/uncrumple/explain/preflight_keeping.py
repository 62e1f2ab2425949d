"""A model put back exactly as it was, whatever happens in between."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


@contextlib.contextmanager
def put_back(model: Any) -> Iterator[None]:
    """Afterwards weights, gradients, modes, metrics, states, optimizer and all random numbers are as before.

    Args:
        model: A built model.
    """
    tensors = _tensors(model)
    values = [one.detach().clone() for one in tensors]
    gradients = [(weight, weight.grad) for weight in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    counted = [(metric, metric.__dict__.get("_counted")) for metric in model.metrics]
    generators = [(module, module._generator) for module in model.modules() if hasattr(module, "_generator")]
    states = [(one, None if one is None else one.get_state()) for _, one in generators]
    kept = {name: model.__dict__.get(name) for name in ("_plan", "_signatures_seen", "stop_training")}
    kept["_signatures_seen"] = copy.copy(kept["_signatures_seen"])
    foreign = _state_of_foreign(model.optimizer)
    random_states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        with torch.no_grad():
            for one, value in zip(tensors, values):
                one.copy_(value)
        for weight, gradient in gradients:
            weight.grad = gradient
        for module, mode in modes:
            module.training = mode
        for metric, count in counted:
            if count is not None:
                metric.__dict__["_counted"] = count
        for (module, one), (_, state) in zip(generators, states):
            module._generator = one
            if one is not None:
                one.set_state(state)
        for name, value in kept.items():
            if value is None and name == "_signatures_seen":
                model.__dict__.pop(name, None)
            else:
                model.__dict__[name] = value
        _put_back_foreign(model.optimizer, foreign)
        random.setstate(random_states[0])
        np.random.set_state(random_states[1])
        torch.set_rng_state(random_states[2])
        if on_gpu:
            torch.cuda.set_rng_state_all(on_gpu)


def _tensors(model: Any) -> list[torch.Tensor]:
    """Return everything that a step may change in place: weights, buffers, states of layers, sums of metrics."""
    found: dict[int, torch.Tensor] = {}
    for one in (*model.parameters(), *model.buffers()):
        found[id(one)] = one
    for module in model.modules():
        for value in vars(module).values():
            for part in value if isinstance(value, (list, tuple)) else (value, getattr(value, "state", None)):
                if isinstance(part, torch.Tensor):
                    found[id(part)] = part
    for metric in model.metrics:
        for one in getattr(metric, "_variables", ()):
            found[id(one)] = one
        for inner in getattr(metric, "metrics", ()):
            for one in inner._variables:
                found[id(one)] = one
    return list(found.values())


def _state_of_foreign(optimizer: Any) -> Any:
    """Return the state of an optimizer that has no config to make a copy from, such as torch's."""
    if optimizer is None or hasattr(optimizer, "get_config"):
        return None
    return copy.deepcopy(optimizer.state_dict())


def _put_back_foreign(optimizer: Any, state: Any) -> None:
    if state is None:
        return
    optimizer.load_state_dict(state)
    if not state["state"]:
        optimizer.state.clear()


def copy_of_optimizer(model: Any, learning_rate: float | None = None) -> Any:
    """Return a fresh optimizer with the settings of the model's, built for its weights.

    A schedule that begins with tiny rates (a warm-up) is taken at the largest rate of its first steps: what is tried
    is whether the model can learn, and that is not to depend on when.

    Args:
        model: A compiled and built model.
        learning_rate: Another rate than that of the model's optimizer.
    """
    optimizer = model.optimizer
    if not hasattr(optimizer, "get_config"):
        if learning_rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        optimizer.state.clear()
        return optimizer
    made = type(optimizer).from_config(optimizer.get_config())
    inner = getattr(made, "inner_optimizer", made)
    own = getattr(optimizer, "inner_optimizer", optimizer)
    schedule = getattr(own, "_schedule", None)
    if learning_rate is None and schedule is not None and hasattr(schedule, "get_config"):
        learning_rate = max(float(schedule(step)) for step in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000))
    elif learning_rate is None and schedule is None and hasattr(own, "learning_rate"):
        learning_rate = float(own.learning_rate)
    if learning_rate is not None:
        inner._schedule = None
        inner.learning_rate = learning_rate
    made.build(model.trainable_variables)
    return made
