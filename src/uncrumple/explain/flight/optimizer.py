"""An optimizer to try a model with: fresh, with the settings of the model's own."""

from __future__ import annotations

from typing import Any


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
