"""New models from what a user gave, and their scores on rows, without the penalties that were for training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple.callbacks.monitor import MonitorCallback, greater
from uncrumple.core import own_values, tree
from uncrumple.core.errors import explain
from uncrumple.layers.modes import told
from uncrumple.models.cloning import clone_model
from uncrumple.models.model import Model


def maker(build: Any, owner: str) -> Callable[[], Any]:
    """Return a function that makes a new compiled model each time: the user's own, or one that clones a model."""
    if isinstance(build, Model):
        model = build
        model._require_compiled(owner)

        def clone() -> Any:
            return compiled(clone_model(model), owner, "a function that makes and compiles the model, in its place")

        return clone
    if isinstance(build, type) or not callable(build):
        shown = f"the class {build.__name__}" if isinstance(build, type) else f"a {type(build).__name__}"
        raise TypeError(
            explain(
                f"{owner} got {shown} as build.",
                "Expected a function that returns a new compiled model, or a compiled model.",
                f"{owner}(lambda: make_model(), data)",
            )
        )
    return lambda: compiled(build(), owner, "model.compile(...); return model, as the last lines of build")


def compiled(model: Any, owner: str, fix: str) -> Any:
    """Return a model, if it is one and was compiled."""
    if not isinstance(model, Model) or not model.compiled:
        came = (
            f"a {type(model).__name__}" if not isinstance(model, Model) else f"'{model.name}', which was not compiled"
        )
        raise ValueError(explain(f"{owner}: build() returned {came}.", "Expected a compiled model.", fix))
    return model


def penalty(model: Any) -> float:
    """Return what the regularizers of the weights add to the loss now."""
    total = 0.0
    with torch.no_grad():
        for weight in model.weights:
            if weight.requires_grad and getattr(weight, "regularizer", None) is not None:
                total += float(own_values.penalty(weight.regularizer, weight))
    return total


def scores(model: Any, rows: tuple[Any, Any, Any], batch_size: int = 256) -> dict[str, float]:
    """Return loss and metrics on (x, y, sample_weight); the loss without penalties for the weights.

    Models with and without a penalty can only be compared so.
    """
    x, y, sample_weight = rows
    found = model.evaluate(x, y, sample_weight=sample_weight, batch_size=batch_size, verbose=0, return_dict=True)
    found = {name: float(value) for name, value in found.items()}
    if "loss" in found:
        found["loss"] -= penalty(model)
    return found


def more_is_better(model: Any, name: str) -> bool:
    """Return whether a larger value of a metric is better; raises where that cannot be known."""
    watch = MonitorCallback(name)
    watch.set_model(model)
    watch._set_monitor_op()
    return watch.monitor_op is greater


def first_metric(model: Any) -> str | None:
    """Return the name of the first metric that `compile` was given, or None."""
    given = getattr(model, "_compile_metrics", None)
    names = [metric.name for metric in getattr(given, "metrics", ())] if given is not None else []
    return names[0] if names else None


def resampled_interval(
    model: Any, rows: tuple[Any, Any, Any], name: str, seed: int = 0, repeats: int = 300
) -> tuple[float, float]:
    """Return the 95 % interval of a model's loss or metric on rows, by resampling the rows.

    Args:
        model: The model.
        rows: (x, y, sample_weight) as tensors.
        name: "loss", without penalties, or a metric.
        seed: What the resamples are drawn with.
        repeats: How many.
    """
    x, y, sample_weight = rows
    answers = tree.map_structure(torch.as_tensor, model.predict(x, batch_size=256, verbose=0))
    count = int(tree.flatten(answers)[0].shape[0])
    random = np.random.default_rng(seed)
    found = []
    with torch.no_grad(), told(model):
        for _ in range(repeats):
            index = torch.from_numpy(random.integers(0, count, count))
            y_drawn, drawn, weights = tree.map_structure(
                lambda leaf: None if leaf is None else leaf[index.to(leaf.device)],  # noqa: B023
                (y, answers, sample_weight),
            )
            if name == "loss":
                found.append(float(model._compile_loss(y_drawn, drawn, weights)))
            else:
                model.reset_metrics()
                model._compile_metrics.update_state(y_drawn, drawn, weights)
                found.append(float(model.get_metrics_result()[name]))
        model.reset_metrics()
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
