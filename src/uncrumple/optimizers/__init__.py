"""Optimizers: what moves the weights, under Keras's names and with its numerics.

One file each; `base.py` holds the order of a step, `state.py` what is kept.
"""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings, explain, unknown_name
from uncrumple.optimizers import legacy, schedules
from uncrumple.optimizers.adadelta import Adadelta
from uncrumple.optimizers.adafactor import Adafactor
from uncrumple.optimizers.adagrad import Adagrad
from uncrumple.optimizers.adam import Adam
from uncrumple.optimizers.adamax import Adamax
from uncrumple.optimizers.adamw import AdamW
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.ftrl import Ftrl
from uncrumple.optimizers.lamb import Lamb
from uncrumple.optimizers.lion import Lion
from uncrumple.optimizers.loss_scale_optimizer import LossScaleOptimizer
from uncrumple.optimizers.multi_optimizer import MultiOptimizer, OptimizerMap
from uncrumple.optimizers.muon import Muon
from uncrumple.optimizers.nadam import Nadam
from uncrumple.optimizers.rmsprop import RMSprop
from uncrumple.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from uncrumple.optimizers.sgd import SGD

_ALL = [
    SGD,
    RMSprop,
    Adam,
    AdamW,
    Adagrad,
    Adadelta,
    Adamax,
    Nadam,
    Ftrl,
    Lion,
    Lamb,
    Adafactor,
    Muon,
    ScheduleFreeAdamW,
    LossScaleOptimizer,
    MultiOptimizer,
    OptimizerMap,
    Optimizer,
]
_NOT_BY_NAME = (Optimizer, LossScaleOptimizer, MultiOptimizer, OptimizerMap)
# Those that a name alone can make.
_BY_NAME: dict[str, Any] = {thing.__name__.lower(): thing for thing in _ALL if thing not in _NOT_BY_NAME}

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "legacy",
    "schedules",
    "serialize",
]


def get(identifier: Any) -> Any:
    """Return the optimizer that a name, a config, an optimizer or None stands for.

    Args:
        identifier: A name such as `"adam"` in any case, a config, an optimizer
            of this package or of `torch.optim` (returned as it is), or None.

    Raises:
        ValueError: It stands for none; the message says which is meant.

    Example:
        >>> get("adam").learning_rate
        0.001
    """
    if identifier is None or isinstance(identifier, torch.optim.Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        found = registry.get_registered_object(identifier) or _BY_NAME.get(identifier.lower())
        if found is None:
            raise ValueError(unknown_name("optimizer", identifier, [thing.__name__ for thing in _BY_NAME.values()]))
        return found()
    is_class = isinstance(identifier, type)
    raise ValueError(
        explain(
            f"The optimizer is the class {identifier.__name__}."
            if is_class
            else f"The optimizer is {identifier!r}, of type {type(identifier).__name__}.",
            "Expected a name, a config, or an optimizer.",
            f"optimizer={identifier.__name__}()" if is_class else "optimizer='adam', or optimizer=Adam(0.001)",
        )
    )


def serialize(optimizer: Any) -> Any:
    """Return the config of an optimizer, without its state.

    Args:
        optimizer: An optimizer.

    Example:
        >>> serialize(SGD())["class_name"]
        'SGD'
    """
    return registry.serialize_keras_object(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the optimizer that `serialize` described; built-in names count in any case.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class or function} for what is not built in.

    Example:
        >>> deserialize({"class_name": "sgd", "config": {"learning_rate": 0.5}}).learning_rate
        0.5
    """
    config = {**config, "config": config.get("config") or {}}
    name = str(config.get("class_name"))
    found = registry.builtins("optimizers").get(name) or _BY_NAME.get(name.lower())
    if found is not None:
        config["class_name"] = found.__name__
    elif str(config.get("module") or "keras").startswith("keras") and not _is_registered(config, custom_objects):
        raise ValueError(unknown_name("optimizer", name, [thing.__name__ for thing in _BY_NAME.values()]))
    if not config.get("module"):
        config["module"] = "keras.optimizers"
    return registry.deserialize_keras_object(config, custom_objects=custom_objects)


def _is_registered(config: dict[str, Any], custom_objects: dict[str, Any] | None) -> bool:
    names = (config.get("class_name"), config.get("registered_name"))
    return any(registry.get_registered_object(name, custom_objects) is not None for name in names if name)


registry.add_builtins("optimizers", _ALL)

answer_misspellings(__name__)
