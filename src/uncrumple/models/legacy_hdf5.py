"""Whole models in the older `.h5` form, which Keras 2 wrote, and which Keras 3 still writes for names that end so.

The file holds the architecture as JSON text in an attribute, and the weights
of each layer as arrays under the layer's name. The JSON names classes without
their modules and, from Keras 2, in words of that time; `legacy_config.py`
turns it into a config as `.keras` files have it. Nothing in the file is run.
"""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np

from uncrumple.core import registry
from uncrumple.core.errors import explain, warn
from uncrumple.models.hdf5 import child, read_array
from uncrumple.models.legacy_config import as_today, compile_settings


class LegacyFile:
    """An `.h5` file of a whole model, open for reading.

    Args:
        h5: The open file.
        path: Its path, for messages.

    Raises:
        ValueError: It holds no model.
    """

    def __init__(self, h5: h5py.File, path: str) -> None:
        self.path = path
        self._h5 = h5
        self._text = _text(h5.attrs.get("model_config"))
        self._version = _text(h5.attrs.get("keras_version")) or ""
        if self._text is None:
            weights = "layer_names" in h5.attrs or "layers" in h5
            raise ValueError(
                explain(
                    f"'{path}' holds {'weights without a model' if weights else 'no model of Keras'}.",
                    "Expected what model.save(path) wrote: the architecture with the weights.",
                    f"build the model, then model.load_weights({path!r})"
                    if weights
                    else "check where the file is from",
                )
            )

    def config(self) -> dict[str, Any]:
        """Return the config of the model as a `.keras` file would have it."""
        config = self._json(self._text, "model_config")
        if not isinstance(config.get("class_name"), str) or "config" not in config:
            raise self._damaged("has a model_config that describes no model")
        return as_today(config)

    def load_weights(self, model: Any) -> None:
        """Give the model the weights of the file; if something does not fit, nothing is changed."""
        group = child(self._h5, "model_weights")
        if not isinstance(group, h5py.Group):
            raise self._damaged("has no model_weights")
        load_weights(model, group, self.path)

    def compile(self, model: Any) -> None:
        """Compile the model as it was; where that cannot be done, say so and leave it uncompiled."""
        text = _text(self._h5.attrs.get("training_config"))
        if text is None:
            return
        try:
            settings = compile_settings(self._json(text, "training_config"))
            model.compile(**{key: registry.deserialize_keras_object(value) for key, value in settings.items()})
            model.optimizer.build(model.trainable_variables)
        except Exception as error:  # of any type: what Keras 2 wrote for its optimizers and losses may fit nothing
            model.compiled = False
            first = str(error).split("\n")[0]
            warn(
                f"'{self.path}' was loaded, but not compiled: {first}",
                "Expected an optimizer, a loss and metrics of today's names.",
                "model.compile(...) before fit() and evaluate()",
            )
            return
        self._load_optimizer(model.optimizer)

    def _load_optimizer(self, optimizer: Any) -> None:
        group = child(self._h5, "optimizer_weights")
        if not isinstance(group, h5py.Group):
            return
        values = _arrays(group)
        kept = optimizer.variables
        fits = len(values) == len(kept) and all(
            value.shape == tuple(variable.shape) for value, variable in zip(values, kept)
        )
        if fits and self._version.startswith("3"):  # Keras 2 keeps them in another order
            optimizer.load_own_variables({str(index): value for index, value in enumerate(values)})
        elif len(values) > 2:  # else it was never trained
            warn(
                f"'{self.path}' was loaded without the state of its optimizer, which is kept in another form.",
                "Expected the state of an optimizer of Keras 3.",
                "none needed to predict; fit() starts with a fresh optimizer",
            )

    def _json(self, text: str | None, what: str) -> Any:
        try:
            found = json.loads(text or "")
        except ValueError:
            raise self._damaged(f"has a {what} that is not JSON") from None
        if not isinstance(found, dict):
            raise self._damaged(f"has a {what} that describes nothing")
        return found

    def _damaged(self, came: str) -> ValueError:
        return ValueError(
            explain(f"'{self.path}' {came}.", "Expected what model.save(path) wrote.", "get the file again")
        )


# --- weights ----------------------------------------------------------------------------


def legacy_group(h5: h5py.File) -> h5py.Group | None:
    """Return where a file of the older form has its weights; None for a file of another form."""
    group = child(h5, "model_weights") if "model_weights" in h5 else h5
    old = isinstance(group, h5py.Group) and ("layer_names" in group.attrs or "layer_names0" in group.attrs)
    return group if old else None


def load_weights(model: Any, group: h5py.Group, path: str, skip_mismatch: bool = False) -> None:
    """Give the layers of a model the arrays that a group holds for them, by their names, else in their order.

    Args:
        model: The model.
        group: Where the weights are.
        path: The file, for messages.
        skip_mismatch: Whether layers that do not fit are left as they are, with a warning.

    Raises:
        ValueError: Numbers or shapes differ; nothing was changed then.
    """
    mine = [(layer, _in_file_order(layer)) for layer in model.layers]
    mine = [(layer, weights) for layer, weights in mine if weights]
    stored = {}
    for name in _names(group, "layer_names"):
        part = child(group, name)
        if not isinstance(part, h5py.Group):
            raise ValueError(_unfit(path, model, f"The file names a layer '{name}' and holds nothing for it."))
        values = _arrays(part)
        if values:
            stored[name] = values
    by_name = {layer.name for layer, _ in mine} == set(stored)
    if len(mine) != len(stored) and not skip_mismatch:
        came = f"The model has {len(mine)} layers with weights, the file {len(stored)}: {', '.join(list(stored)[:6])}."
        raise ValueError(_unfit(path, model, came))
    if by_name or skip_mismatch:
        pairs = [(layer, weights, stored.get(layer.name, [])) for layer, weights in mine]
    else:
        pairs = [(layer, weights, values) for (layer, weights), values in zip(mine, stored.values())]
    left: list[str] = []
    for layer, weights, values in pairs:
        shapes = [tuple(weight.shape) for weight in weights]
        if shapes != [value.shape for value in values]:
            came = f"{layer._label} has weights of shape {shapes}, the file {[value.shape for value in values]}."
            if not skip_mismatch:
                raise ValueError(_unfit(path, model, came))
            left.append(layer.name)
    for layer, weights, values in pairs:
        if layer.name not in left:
            for weight, value in zip(weights, values):
                weight.assign(value)
    if left:
        warn(
            f"'{path}' does not fit '{model.name}' everywhere.",
            f"Expected weights that fit; these layers were left as they were: {', '.join(left)}.",
            "none needed, if this was meant",
        )


def _in_file_order(layer: Any) -> list[Any]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _unfit(path: str, model: Any, came: str) -> str:
    return explain(
        f"'{path}' does not fit '{model.name}'. {came}",
        "Expected the weights of a model with the same layers and settings.",
        "load into a model with the same layers and settings",
    )


def _arrays(group: h5py.Group) -> list[np.ndarray]:
    """Return the arrays that a group lists in its attribute `weight_names`."""
    found = []
    for name in _names(group, "weight_names"):
        place: Any = group
        *parents, last = [part for part in name.split("/") if part]
        for part in parents:
            place = child(place, part) if isinstance(place, h5py.Group) else None
        if not isinstance(place, h5py.Group) or child(place, last) is None:
            raise ValueError(
                explain(
                    f"The file lists the array '{name}' and does not hold it.", "Expected it.", "get the file again"
                )
            )
        found.append(read_array(place, last))
    return found


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names in an attribute, which is cut into several where it is long."""
    if attribute in group.attrs:
        return [str(_text(name)) for name in group.attrs[attribute]]
    found: list[str] = []
    number = 0
    while f"{attribute}{number}" in group.attrs:
        found += [str(_text(name)) for name in group.attrs[f"{attribute}{number}"]]
        number += 1
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)
