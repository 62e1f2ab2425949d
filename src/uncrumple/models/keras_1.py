"""Configs and weights of Keras 1 in the words and layouts of Keras 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain

_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
# Of any layer: each name means the same wherever it occurs.
_SETTINGS = {
    "output_dim": "units",
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "stride": "strides",
    "length": "size",
    "bias": "use_bias",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "gamma_init": "gamma_initializer",
    "beta_init": "beta_initializer",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "U_constraint": "recurrent_constraint",
    "b_constraint": "bias_constraint",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "input_dtype": "dtype",
}
_OF_CLASS = {
    "Embedding": {
        "output_dim": "output_dim",
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "PReLU": {"init": "alpha_initializer"},
    "Dropout": {"p": "rate"},
    "GaussianDropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    "SpatialDropout2D": {"p": "rate"},
    "SpatialDropout3D": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
}
# Settings that changed the speed, or that the rest of the config says as well.
_GONE = ("consume_less", "input_dim", "input_length", "activity_regularizer", "weights", "legacy")
_INITIALIZERS = {"normal": "random_normal", "uniform": "random_uniform", "zero": "zeros", "one": "ones"}
_MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate", "dot": "Dot"}


def config(value: Any) -> Any:
    """Return a config of Keras 1 as Keras 2 would have written it.

    Args:
        value: The config of a model or a layer, or a part of it.

    Example:
        >>> config({"class_name": "Dropout", "config": {"name": "drop", "p": 0.5}})["config"]
        {'name': 'drop', 'rate': 0.5}
    """
    if isinstance(value, list):
        return [config(part) for part in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("class_name"), str) and isinstance(value.get("config"), (dict, list)):
        name: str = value["class_name"]
        settings = value["config"]
        if name in ("Model", "Sequential") or isinstance(settings, list):
            return {**value, "config": config(settings)}
        if name == "Merge":
            return {**value, **_merge(settings)}
        name = _CLASSES.get(name) or name
        return {**value, "class_name": name, "config": _layer(name, settings)}
    return {key: config(part) for key, part in value.items()}


def _layer(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    known = {**_SETTINGS, **_OF_CLASS.get(name, {})}
    for key, value in settings.items():
        if key in _GONE and not (key == "input_dim" and name == "Embedding"):
            continue
        if key == "mode" and name == "BatchNormalization":
            if value != 0:
                raise _no_longer(settings, f"BatchNormalization(mode={value})")
            continue
        if key == "dropout" and name == "Embedding":
            if value:
                raise _no_longer(settings, f"Embedding(dropout={value})")
            continue
        if key == "dim_ordering":
            if value != "default":
                found["data_format"] = {"tf": "channels_last", "th": "channels_first"}[value]
        elif key in ("nb_row", "nb_col"):
            found["kernel_size"] = [settings["nb_row"], settings["nb_col"]]
        elif key.startswith("kernel_dim") and name == "Conv3D":
            found["kernel_size"] = [settings[f"kernel_dim{axis}"] for axis in (1, 2, 3)]
        elif key == "forget_bias_init":
            found["unit_forget_bias"] = value in ("one", "ones")
        else:
            key = known.get(key, key)
            found[key] = _value(key, value)
    if name == "GRU":
        found["reset_after"] = False
    return found


def _value(key: str, value: Any) -> Any:
    if key.endswith("initializer") and isinstance(value, str):
        return _INITIALIZERS.get(value, value)
    if key.endswith("regularizer") and isinstance(value, dict) and "class_name" not in value:
        return {"class_name": "L1L2", "config": {name: value.get(name) or 0.0 for name in ("l1", "l2")}}
    if key.endswith("constraint") and isinstance(value, dict) and "class_name" not in value:
        settings = {{"m": "max_value"}.get(name, name): part for name, part in value.items() if name != "name"}
        return {"class_name": value.get("name"), "config": settings}
    return config(value)


def _merge(settings: dict[str, Any]) -> dict[str, Any]:
    mode = settings.get("mode", "sum")
    if mode not in _MERGES:
        raise _no_longer(settings, f"Merge(mode={mode!r})")
    found = {"name": settings.get("name")}
    if mode == "concat":
        found["axis"] = settings.get("concat_axis", -1)
    if mode == "dot":
        found["axes"] = settings.get("dot_axes", -1)
    return {"class_name": _MERGES[mode], "config": found}


def _no_longer(settings: dict[str, Any], what: str) -> ValueError:
    return ValueError(
        explain(
            f"The layer '{settings.get('name')}' is {what} of Keras 1.",
            "Expected settings that a layer of today has.",
            "open it with Keras 1, and write that part with other layers",
        )
    )


def weights(layer: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """Return the arrays of a layer of Keras 1 in the layout of today.

    Args:
        layer: The layer that they are for.
        values: Its arrays, in the order of the file.
    """
    name = type(layer).__name__
    first = getattr(layer, "data_format", None) == "channels_first"
    if name == "LSTM" and len(values) == 12:  # gates were kept one by one, in the order i, c, f, o
        return [_joined(values, [kind, 6 + kind, 3 + kind, 9 + kind]) for kind in range(3)]
    if name == "GRU" and len(values) == 9:
        return [_joined(values, [kind, 3 + kind, 6 + kind]) for kind in range(3)]
    if name in ("TimeDistributed", "Bidirectional"):
        inner = layer.forward_layer if name == "Bidirectional" else layer.layer
        half = len(values) // 2 if name == "Bidirectional" else len(values)
        return [
            one for start in range(0, len(values), half or 1) for one in weights(inner, values[start : start + half])
        ]
    if not values:
        return values
    kernel = values[0]
    if name == "Conv1D" and kernel.ndim == 4:
        if kernel.shape[:2] != (layer.kernel_size[0], 1) or kernel.shape[3] != layer.filters:
            kernel = kernel.transpose(2, 3, 1, 0)
        kernel = kernel[:, 0]
    elif name == "Conv2D" and first:
        kernel = kernel.transpose(2, 3, 1, 0)
    elif name == "Conv3D" and first:
        kernel = kernel.transpose(2, 3, 4, 1, 0)
    return [kernel, *values[1:]]


def _joined(values: list[np.ndarray], places: list[int]) -> np.ndarray:
    return np.concatenate([values[place] for place in places], axis=-1)


def unflipped(layer: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """Return the arrays of a layer that Theano trained, whose convolutions ran over the kernel from its end."""
    if type(layer).__name__ not in ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose") or not values:
        return values
    axes = tuple(range(values[0].ndim - 2))
    return [np.flip(values[0], axes).copy(), *values[1:]]
