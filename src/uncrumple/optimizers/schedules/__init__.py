"""Learning rates that change with the step, under Keras's names.

Pass one as an optimizer's `learning_rate`; it is asked once per step.
"""

from __future__ import annotations

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings
from uncrumple.optimizers.schedules.base import FormulaSchedule, LearningRateSchedule
from uncrumple.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from uncrumple.optimizers.schedules.decays import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "FormulaSchedule",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """Return the config of a schedule.

    Args:
        learning_rate_schedule: A schedule.

    Example:
        >>> serialize(ExponentialDecay(0.1, 100, 0.5))["class_name"]
        'ExponentialDecay'
    """
    return registry.serialize_keras_object(learning_rate_schedule)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the schedule that `serialize` described.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class} for what is not built in.

    Example:
        >>> deserialize(serialize(ExponentialDecay(0.1, 100, 0.5)))(100)
        0.05
    """
    if isinstance(config, dict) and not config.get("module"):
        # Old files, and configs written by hand, name the class alone.
        config = {**config, "module": "keras.optimizers.schedules"}
    return registry.deserialize_keras_object(config, custom_objects=custom_objects)


registry.add_builtins(
    "optimizers.schedules",
    [
        LearningRateSchedule,
        ExponentialDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        InverseTimeDecay,
        CosineDecay,
        CosineDecayRestarts,
    ],
)

answer_misspellings(__name__)
