"""Whole models written in the older `.h5` form, for programs that read no other; Keras 3 opens them too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from uncrumple.core import registry, sharing
from uncrumple.core.errors import explain
from uncrumple.core.files import atomic_write
from uncrumple.models.hdf5 import Group, Seal, create, put_seal, put_text, put_texts, written
from uncrumple.models.weights_file import size_of

# Attributes of the file that its checksum covers.
TEXTS = ("model_config", "training_config")
# Weights that belong to the model itself and to none of its layers.
TOP = "top_level_model_weights"
_VERSION = "3.15.1"
# What one attribute of HDF5 can hold.
_MOST_BYTES = 64512


def write(model: Any, path: str, include_optimizer: bool = True) -> None:
    """Write a whole model into an `.h5` file: architecture, weights, what `compile` was given, and the optimizer.

    Args:
        model: The model.
        path: Where to; an old file is replaced once the new one is complete.
        include_optimizer: Whether the optimizer, and with it what `compile` was given, is written.

    Raises:
        TypeError: Something in the model has no config.
        ValueError: It holds a lambda.
    """
    config = sharing.write(lambda: registry.serialize_keras_object(model))
    compiled = config.pop("compile_config", None)
    described = {"class_name": config["registered_name"] or config["class_name"], "config": config["config"]}
    if config.get("build_config"):
        described["build_config"] = config["build_config"]
    texts = {"model_config": json.dumps(described)}
    if include_optimizer and compiled and hasattr(model.optimizer, "get_config"):
        texts["training_config"] = json.dumps(_training_config(compiled))
    with atomic_write(path, size_of(model)) as file, written(file) as h5:
        seal = Seal()
        put_text(h5, "keras_version", _VERSION)
        put_text(h5, "backend", "torch")
        for name, text in texts.items():
            put_text(h5, name, text)
            seal.add(f"@{name}", text)
        _write_layers(h5.create_group("model_weights"), model, seal)
        if "training_config" in texts and model.optimizer.variables:
            _write_arrays(h5.create_group("optimizer_weights"), model.optimizer.variables, seal)
        put_seal(h5, seal)


def _training_config(compiled: dict[str, Any]) -> dict[str, Any]:
    """Return what `compile` was given in the words of these files: the optimizer under a name of its own."""
    optimizer = compiled["optimizer"]
    settings = {key: value for key, value in compiled.items() if key != "optimizer"}
    for key in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        settings.setdefault(key, None)
    name = optimizer.get("registered_name") or optimizer["class_name"]
    return {**settings, "optimizer_config": {"class_name": name, "config": optimizer["config"]}}


def _write_layers(group: Group, model: Any, seal: Seal) -> None:
    _put_names(group, "layer_names", [layer.name for layer in model.layers])
    put_text(group, "keras_version", _VERSION)
    put_text(group, "backend", "torch")
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        _write_arrays(group.require_group(layer.name), weights_in_order(layer), seal)
    _write_arrays(group.create_group(TOP), own_weights(model), seal)


def weights_in_order(layer: Any) -> list[Any]:
    """Return the weights of a layer as these files order them: the trainable ones first."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def own_weights(model: Any) -> list[Any]:
    """Return the weights that the model made for itself, and that are not of one of its layers."""
    in_layers = {id(weight) for layer in model.layers for weight in layer.weights}
    own = [weight for weight in getattr(model, "_own_variables", ()) if id(weight) not in in_layers]
    return [weight for weight in own if weight.trainable] + [weight for weight in own if not weight.trainable]


def _write_arrays(group: Group, variables: Iterable[Any], seal: Seal) -> None:
    names: list[str] = []
    for variable in variables:
        base = str(getattr(variable, "path", None) or getattr(variable, "name", None) or "weight").strip("/")
        name, count = base, 0
        # Neither twice, nor below another array.
        while any(name == other or f"{name}/".startswith(f"{other}/") for other in names) or name in group:
            count += 1
            name = f"{base}_{count}"
        names.append(name)
        create(group, name, _as_array(variable), seal)
    _put_names(group, "weight_names", names)


def _as_array(variable: Any) -> np.ndarray:
    if isinstance(variable, torch.Tensor) and variable.dtype is torch.bfloat16:
        variable = variable.detach().float()  # exact, and known to HDF5
    if isinstance(variable, torch.Tensor):
        return variable.detach().cpu().numpy()
    return np.asarray(variable.numpy())


def _put_names(group: Group, attribute: str, names: list[str]) -> None:
    """Write a list of names, in as many attributes as its length needs."""
    encoded = [name.encode() for name in names]
    widest = max(map(len, encoded), default=1)
    if widest > _MOST_BYTES:
        raise ValueError(
            explain(
                f"A name is {widest:,} bytes long.",
                f"Expected at most {_MOST_BYTES:,} in an .h5 file.",
                "model.save('model.keras')",
            )
        )
    step = max(1, _MOST_BYTES // max(widest, 16))
    if len(encoded) <= step:
        put_texts(group, attribute, encoded)
        return
    for number, start in enumerate(range(0, len(encoded), step)):
        put_texts(group, f"{attribute}{number}", encoded[start : start + step])
