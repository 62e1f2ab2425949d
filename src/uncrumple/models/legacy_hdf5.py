"""Reading whole models in the older `.h5` form, which Keras 2 wrote, and which Keras 3 still writes.

The file holds the architecture as JSON text in an attribute, and the weights
of each layer as arrays under the layer's name. The JSON names classes without
their modules and, from Keras 2, in words of that time; `legacy_config.py`
turns it into a config as `.keras` files have it. Nothing in the file is run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core import registry, tree
from uncrumple.core.errors import explain, warn
from uncrumple.models import keras_1
from uncrumple.models.documents import Unreadable, check_layers, parse
from uncrumple.models.hdf5 import File, Group, check_seal, child, group_at, has_names, names_of, read_array, text_of
from uncrumple.models.legacy_config import as_today, compile_settings
from uncrumple.models.legacy_optimizer import take_state
from uncrumple.models.legacy_writing import TEXTS, TOP, own_weights, weights_in_order


class LegacyFile:
    """An `.h5` file of a whole model, open for reading.

    Args:
        h5: The open file.
        path: Its path, for messages.

    Raises:
        ValueError: It holds no model.
    """

    def __init__(self, h5: File, path: str) -> None:
        self.path = path
        self._h5 = h5
        self._text = text_of(h5, "model_config")
        self._version = text_of(h5, "keras_version") or ""
        if self._text is None:
            weights = has_names(h5, "layer_names") or "layers" in h5
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
        check_seal(self._h5, self.path, TEXTS)
        config = self._json(self._text, "model_config")
        if not isinstance(config.get("class_name"), str) or "config" not in config:
            raise self._damaged("has a model_config that describes no model")
        if _is_keras_1(self._version):
            config = keras_1.config(config)
        _tell_of_hard_sigmoid(config, self.path, self._version)
        return as_today(config)

    def load_weights(self, model: Any) -> None:
        """Give the model the weights of the file; if something does not fit, nothing is changed."""
        group = child(self._h5, "model_weights")
        if not isinstance(group, Group):
            raise self._damaged("has no model_weights")
        load_weights(model, group, self.path)

    def compile(self, model: Any) -> None:
        """Compile the model as it was; where that cannot be done, say so and leave it uncompiled."""
        text = text_of(self._h5, "training_config")
        if text is None:
            return
        try:
            settings = compile_settings(self._json(text, "training_config"))
            model.compile(**{key: _made(value) for key, value in settings.items()})
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
        if not isinstance(group, Group):
            return
        names = names_of(group, "weight_names")
        values = _arrays(group, names)
        kept = optimizer.variables
        fits = len(values) == len(kept) and all(
            value.shape == tuple(variable.shape) for value, variable in zip(values, kept)
        )
        understood = True
        if fits and self._version.startswith("3"):  # Keras 2 keeps them in another order
            optimizer.load_own_variables({str(index): value for index, value in enumerate(values)})
        elif self._version.startswith("3"):
            understood = len(values) <= 2  # it was never trained
        else:
            understood = take_state(optimizer, names, values)
        if not understood:
            warn(
                f"'{self.path}' was loaded without the state of its optimizer, which is kept in another form.",
                "Expected the state of an optimizer of Keras, with the weights of this model.",
                "none needed to predict; fit() starts with a fresh optimizer",
            )

    def _json(self, text: str | None, what: str) -> Any:
        try:
            found = parse(text or "")
            check_layers(found)
        except Unreadable as error:
            raise self._damaged(f"has a {what} that {error}") from None
        if not isinstance(found, dict):
            raise self._damaged(f"has a {what} that describes nothing")
        return found

    def _damaged(self, came: str) -> ValueError:
        return ValueError(
            explain(f"'{self.path}' {came}.", "Expected what model.save(path) wrote.", "get the file again")
        )


def _is_keras_1(version: str) -> bool:
    return version.startswith("1") or not version


def _tell_of_hard_sigmoid(config: dict[str, Any], path: str, version: str) -> None:
    """Warn of the one activation whose formula changed under its name."""
    waiting: list[Any] = [] if version.startswith("3") else [config]
    found: list[str] = []
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "hard_sigmoid" in (part.get("activation"), part.get("recurrent_activation")):
                found.append(str(part.get("name")))
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    if found and registry.get_registered_object("hard_sigmoid") is None:
        warn(
            f"'{path}' was trained with the hard_sigmoid of Keras 1 and 2, 0.2 * x + 0.5, in {', '.join(found[:4])}.",
            "Expected that of today: x / 6 + 0.5. Both are cut off at 0 and 1.",
            'load_model(path, custom_objects={"hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1)}) for equal outputs',
        )


# --- weights ----------------------------------------------------------------------------


def legacy_group(h5: File) -> Group | None:
    """Return where a file of the older form has its weights; None for a file of another form."""
    group = child(h5, "model_weights") if "model_weights" in h5 else h5
    return group if isinstance(group, Group) and has_names(group, "layer_names") else None


def load_weights(model: Any, group: Group, path: str, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Give the layers of a model the arrays that a group holds for them, by their names, else in their order.

    Args:
        model: The model.
        group: Where the weights are.
        path: The file, for messages.
        skip_mismatch: Whether layers that do not fit are left as they are, with a warning.
        by_name: Whether only layers are loaded whose names are in the file, and layers
            of other names are left as they are.

    Raises:
        ValueError: Numbers or shapes differ; nothing was changed then.
    """
    version = text_of(group, "keras_version") or text_of(group.file, "keras_version") or ""
    theano = (text_of(group, "backend") or "") == "theano"
    mine = [(layer, weights_in_order(layer)) for layer in model.layers]
    mine = [(layer, weights) for layer, weights in mine if weights]
    stored = {}
    for name in names_of(group, "layer_names"):
        part = group_at(group, name)
        if part is None:
            raise ValueError(_unfit(path, model, f"The file names a layer '{name}' and holds nothing for it."))
        values = _arrays(part, names_of(part, "weight_names"))
        if values:
            stored[name] = values
    if by_name:
        mine = [(layer, weights) for layer, weights in mine if layer.name in stored]
    elif len(mine) != len(stored) and not skip_mismatch:
        came = f"The model has {len(mine)} layers with weights, the file {len(stored)}: {', '.join(list(stored)[:6])}."
        raise ValueError(_unfit(path, model, came))
    names = {layer.name for layer, _ in mine}
    if by_name or names == set(stored) or len(mine) != len(stored):
        pairs = [(layer, weights, stored.get(layer.name, [])) for layer, weights in mine]
    else:
        pairs = [(layer, weights, values) for (layer, weights), values in zip(mine, stored.values())]
    if _is_keras_1(version):
        pairs = [(layer, weights, keras_1.weights(layer, values)) for layer, weights, values in pairs]
    if theano:
        pairs = [(layer, weights, keras_1.unflipped(layer, values)) for layer, weights, values in pairs]
    top = group_at(group, TOP)
    own = own_weights(model)
    if top is not None and own:
        pairs.append((model, own, _of_model(_arrays(top, names_of(top, "weight_names")), model, own)))
    _give(pairs, model, path, skip_mismatch)


def _of_model(values: list[np.ndarray], model: Any, own: list[Any]) -> list[np.ndarray]:
    """Return the arrays of a model's own weights; a file may list those of its layers with them."""
    if len(values) == len(own):
        return values
    everything = weights_in_order(model)
    if len(values) != len(everything):
        return values
    places = {id(weight): place for place, weight in enumerate(everything)}
    return [values[places[id(weight)]] for weight in own if id(weight) in places]


def _give(pairs: list[tuple[Any, list[Any], list[np.ndarray]]], model: Any, path: str, skip_mismatch: bool) -> None:
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
            if callable(getattr(layer, "finalize_state", None)):
                layer.finalize_state()
    if left:
        warn(
            f"'{path}' does not fit '{model.name}' everywhere.",
            f"Expected weights that fit; these layers were left as they were: {', '.join(left)}.",
            "none needed, if this was meant",
        )


def _unfit(path: str, model: Any, came: str) -> str:
    return explain(
        f"'{path}' does not fit '{model.name}'. {came}",
        "Expected the weights of a model with the same layers and settings.",
        "load into a model with the same layers and settings",
    )


def _arrays(group: Group, names: list[str]) -> list[np.ndarray]:
    """Return the arrays of a group under the names that it lists."""
    found = []
    for name in names:
        parents, _, last = name.strip("/").rpartition("/")
        place = group_at(group, parents)
        if place is None or child(place, last) is None:
            raise ValueError(
                explain(
                    f"The file lists the array '{name}' and does not hold it.", "Expected it.", "get the file again"
                )
            )
        found.append(read_array(place, last))
    return found


def _made(value: Any) -> Any:
    """Return an argument of `compile` from its config; a function of the user's own is named there."""
    made = registry.deserialize_keras_object(value)
    return tree.map_structure(
        lambda one: (registry.get_registered_object(one) or one) if isinstance(one, str) else one, made
    )
