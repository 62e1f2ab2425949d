"""What `compile` settles: the optimizer, the loss, the metrics, and how they go into a file and come back."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from uncrumple import optimizers
from uncrumple.core import registry
from uncrumple.core.dtypes import dtype_policy
from uncrumple.core.errors import explain, warn
from uncrumple.layers.base import Layer
from uncrumple.metrics import Mean
from uncrumple.training import checks
from uncrumple.training.compiled import CompiledLoss, CompiledMetrics


def compile_model(
    model: Any,
    optimizer: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    run_eagerly: bool,
    steps_per_execution: int,
    jit_compile: Any,
    auto_scale_loss: bool,
) -> None:
    """Do what `Model.compile` says."""
    if isinstance(steps_per_execution, bool) or not isinstance(steps_per_execution, int) or steps_per_execution < 1:
        raise ValueError(
            explain(
                f"compile got steps_per_execution={steps_per_execution!r}.",
                "Expected a whole number of at least 1.",
                "steps_per_execution=1",
            )
        )
    checks.check_identifiers(optimizer, loss, metrics, weighted_metrics)
    if loss is None:
        loss = model.loss
        loss_weights = getattr(model, "loss_weights", None) if loss_weights is None else loss_weights
    if metrics is None and weighted_metrics is None:
        metrics, weighted_metrics = model._given_metrics
    model._given_metrics = metrics, weighted_metrics
    optimizer = optimizers.get(optimizer)
    if auto_scale_loss and _computes_in_half(model) and isinstance(optimizer, optimizers.Optimizer):
        if not isinstance(optimizer, optimizers.LossScaleOptimizer):
            optimizer = optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    model._compile_config = {
        "optimizer": optimizer,
        "loss": loss,
        "loss_weights": loss_weights,
        "metrics": metrics,
        "weighted_metrics": weighted_metrics,
        "run_eagerly": run_eagerly,
        "steps_per_execution": steps_per_execution,
        "jit_compile": jit_compile is True,
    }
    model.optimizer = optimizer
    model.loss = loss
    model.loss_weights = loss_weights
    model.run_eagerly = run_eagerly
    model.steps_per_execution = steps_per_execution
    model.jit_compile = jit_compile is True
    if model.jit_compile:
        torch.nn.Module.compile(model)
    else:
        model._compiled_call_impl = None
    model._scales_loss = hasattr(optimizer, "scale_loss")
    model._compile_loss = CompiledLoss(loss, loss_weights, model.output_names) if loss is not None else None
    model._compile_metrics = (
        CompiledMetrics(metrics, weighted_metrics, model.output_names, loss)
        if metrics is not None or weighted_metrics is not None
        else None
    )
    model._loss_tracker = Mean(name="loss")
    model._when_testing = {"training": False} if "training" in inspect.signature(model.compute_loss).parameters else {}
    model._metrics_cache = None
    model._trainable_when_compiled = model._trainable_state()
    model.compiled = True


def config_of(model: Any) -> dict[str, Any] | None:
    """Return what `compile` was given, as plain data; None if there is nothing to write."""
    if not model.compiled or not hasattr(model.optimizer, "get_config"):  # optimizers of torch have no config
        return None
    return registry.serialize_dict(model._compile_config)


def compile_from_config(model: Any, config: dict[str, Any]) -> None:
    """Compile a model as `config_of` says, and prepare the optimizer for the weights."""
    from uncrumple.models.model import Model

    if type(model).compile is not Model.compile:
        warn(
            f"Model '{model.name}' was not compiled: {type(model).__name__} has a compile() of its own.",
            "Expected compile() to take what Model.compile takes.",
            "model.compile(...) after loading",
        )
        return
    settings = {name: registry.deserialize_keras_object(value) for name, value in config.items()}
    if settings.get("optimizer") is None and "optimizer" in settings:
        del settings["optimizer"]
    model.compile(**settings)
    if model.built and hasattr(model.optimizer, "build"):
        model.optimizer.build(model.trainable_variables)


def _computes_in_half(model: Any) -> bool:
    policies = [dtype_policy(), *[layer.dtype_policy for layer in model._flatten_layers() if isinstance(layer, Layer)]]
    return any(policy.name == "mixed_float16" for policy in policies)
