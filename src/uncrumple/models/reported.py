"""Which metrics a model reports, and in what order."""

from __future__ import annotations

from typing import Any

from uncrumple.core import tree
from uncrumple.metrics import Metric
from uncrumple.models.network import Network
from uncrumple.training.compiled import CompiledMetrics

# Attributes in which a model keeps the metrics of `compile`, which are listed in front.
_OF_COMPILE = ("_loss_tracker", "_compile_metrics", "_metrics_cache", "_compile_loss")


def metrics_of(model: Any) -> list[Any]:
    """Return the metrics of a model, each once: the loss, those of `compile`, then those that it and its layers hold."""
    found: list[Any] = []
    if model.compiled:
        found.append(model._loss_tracker)
        if model._compile_metrics is not None:
            found.append(model._compile_metrics)
        if model._compile_loss is not None:
            found += model._compile_loss.metrics
    parts = [part for part in model._flatten_layers(include_self=False) if not isinstance(part, Network)]
    for part in (model, *parts):
        for name, value in vars(part).items():
            if name in _OF_COMPILE:
                continue
            held = not name.startswith("_") and tree.is_nested(value)
            for one in tree.flatten(value) if held else (value,):
                if isinstance(one, Metric):
                    found.append(one)
    return list({id(metric): metric for metric in found}.values())


def in_order(model: Any, logs: dict[str, Any]) -> Any:
    """Return logs as Keras lists them: by the metrics' own names as they stand in `metrics`, then the rest by name.

    Args:
        model: Whose logs they are.
        logs: {name: value}.

    Returns:
        A list; the value itself, if there is only one.
    """
    names = []
    for metric in model.metrics:
        inner = metric.metrics if isinstance(metric, CompiledMetrics) else [metric]
        names += [one.name for one in inner]
    values = [logs[name] for name in names if name in logs]
    values += [logs[name] for name in sorted(logs) if name not in names]
    return values[0] if len(values) == 1 else values
