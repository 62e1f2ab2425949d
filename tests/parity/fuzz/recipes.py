"""A model as plain data: what it is made of, how it is trained, and on what.

A recipe knows neither Keras nor uncrumple; `make` turns it into objects of
whichever of the two it is given, and `code` prints it as the lines to type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

# --- what stands in recipes and is no class of Keras -----------------------------------


def squared_and_absolute(y_true: Any, y_pred: Any) -> Any:
    """A loss of the user's own, one number per sample."""
    difference = y_pred - y_true
    return (difference**2 + 0.5 * difference.abs()).mean(-1)


def largest_error(y_true: Any, y_pred: Any) -> Any:
    """A metric of the user's own."""
    return (y_pred - y_true).abs().amax(-1)


def half_every_epoch(epoch: int, learning_rate: float) -> float:
    """A schedule of the user's own."""
    return learning_rate * 0.5**epoch


OWN: dict[str, Any] = {
    function.__name__: function for function in (squared_and_absolute, largest_error, half_every_epoch)
}

# Python's operators on tensors: what they do, and how they are written.
OPERATORS: dict[str, tuple[Callable[..., Any], str]] = {
    "plus": (lambda a, b: a + b, "{} + {}"),
    "minus": (lambda a, b: a - b, "{} - {}"),
    "times": (lambda a, b: a * b, "{} * {}"),
    "scaled": (lambda a: a * 1.5, "{} * 1.5"),
    "raised": (lambda a: a + 0.5, "{} + 0.5"),
    "halved": (lambda a: a / 2.0, "{} / 2.0"),
    "mirrored": (lambda a: 1.0 - a, "1.0 - {}"),
    "negative": (lambda a: -a, "-{}"),
    "squared": (lambda a: a**2, "{} ** 2"),
    "later": (lambda a: a[:, 1:], "{}[:, 1:]"),
    "last": (lambda a: a[:, -1], "{}[:, -1]"),
}


# --- parts ----------------------------------------------------------------------------


@dataclasses.dataclass
class Part:
    """An object to make: class `name` of `room` (such as "layers") with these settings.

    The room "own" stands for the functions above, "operator" for Python's
    operators, "function" for a function of the library itself (its settings say
    which room), "network" for a model within the model, and "sequential" for
    one put together from a list of layers.
    """

    room: str
    name: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def make(self, k: Any) -> Any:
        """Return the object, made with the library `k`."""
        if self.room == "own":
            return OWN[self.name]
        if self.room == "operator":
            return OPERATORS[self.name][0]
        if self.room == "network":
            return self.settings["network"].make(k)
        if self.room == "function":
            return getattr(room_of(k, self.settings["room"]), self.name)
        settings = {key: made(k, value) for key, value in self.settings.items()}
        if self.room == "sequential":
            return k.Sequential([k.Input(settings["shape"]), *settings["layers"]])
        return getattr(room_of(k, self.room), self.name)(**settings)

    def __repr__(self) -> str:
        if self.room == "own":
            return self.name
        if self.room == "function":
            return f"k.{self.settings['room']}.{self.name}"
        if self.room == "sequential":
            return f"k.Sequential([k.Input({self.settings['shape']}), *{self.settings['layers']}])"
        if self.room == "network":
            return "(" + "; ".join(self.settings["network"].code()) + ")"
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"k.{self.room}.{self.name}({arguments})"


def room_of(k: Any, path: str) -> Any:
    for name in path.split("."):
        k = getattr(k, name)
    return k


def made(k: Any, value: Any) -> Any:
    """Return `value` with every part in it made."""
    if isinstance(value, Part):
        return value.make(k)
    if isinstance(value, list):
        return [made(k, each) for each in value]
    if isinstance(value, dict):
        return {key: made(k, each) for key, each in value.items()}
    return value


# --- networks -------------------------------------------------------------------------


@dataclasses.dataclass
class Step:
    """One call of a layer.

    Attributes:
        part: The layer, or None where the layer of an earlier step is called again.
        sources: The tensors it is called on, by number: inputs first, then what each step gave.
        how: "one" tensor, a "list" of them, or "each" as an argument of its own.
        again: The number of the earlier step.
        state: Tensors for `initial_state=`.
        settings: Other arguments of the call.
        gives: How many tensors come out.
    """

    part: Part | None
    sources: tuple[int, ...]
    how: str = "one"
    again: int | None = None
    state: tuple[int, ...] = ()
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    gives: int = 1

    def call(self, layer: Any, tensors: list[Any]) -> list[Any]:
        """Return what comes out of `layer`, called on its sources among `tensors`."""
        found = [tensors[source] for source in self.sources]
        more: dict[str, Any] = dict(self.settings)
        if self.state:
            more["initial_state"] = [tensors[source] for source in self.state]
        out = layer(found, **more) if self.how == "list" else layer(*found, **more)
        return list(out) if isinstance(out, (list, tuple)) else [out]


@dataclasses.dataclass
class Network:
    """What a model is made of.

    Attributes:
        inputs: Arguments of `Input`, one dict each.
        steps: The calls, in order.
        outputs: Numbers of the tensors that come out.
        packed_in: "one", "list" or "dict"; the keys of a dict are the names of the inputs.
        packed_out: The same for the outputs; the keys are those in `names_out`.
        kind: "functional", "sequential" or "class" (a subclass of Model).
    """

    inputs: list[dict[str, Any]]
    steps: list[Step]
    outputs: list[int]
    packed_in: str = "one"
    packed_out: str = "one"
    names_out: list[str] = dataclasses.field(default_factory=list)
    kind: str = "functional"

    def make(self, k: Any) -> Any:
        """Return the model, made with the library `k`."""
        return self.make_all(k)[0]

    def make_all(self, k: Any) -> tuple[Any, list[Any]]:
        """Return the model, and what each step of a functional one gives."""
        if self.kind == "sequential":
            layers = [step.part.make(k) for step in self.steps if step.part]
            return k.Sequential([k.Input(**self.inputs[0]), *layers]), []
        if self.kind == "class":
            return _model_class(k)(self), []
        inputs = [k.Input(**settings) for settings in self.inputs]
        tensors = self.run(self.layers(k), inputs)
        packed = pack(inputs, self.packed_in, [settings.get("name", "") for settings in self.inputs])
        return k.Model(packed, self.packed(tensors)), tensors[len(inputs) :]

    def layers(self, k: Any) -> list[Any]:
        """Return the layer of each step; one that is called again is there again."""
        found: list[Any] = []
        for step in self.steps:
            found.append(step.part.make(k) if step.part is not None else found[step.again])
        return found

    def run(self, layers: list[Any], inputs: list[Any]) -> list[Any]:
        """Return all tensors: the inputs, and what each step gives."""
        tensors = list(inputs)
        for step, layer in zip(self.steps, layers, strict=True):
            tensors += step.call(layer, tensors)
        return tensors

    def used(self) -> set[int]:
        """Return the numbers of the tensors that the outputs rest on; the model knows no layers of the others."""
        found, place = set(self.outputs), len(self.inputs) + sum(step.gives for step in self.steps)
        for step in reversed(self.steps):
            place -= step.gives
            if not found.isdisjoint(range(place, place + step.gives)):
                found |= {*range(place, place + step.gives), *step.sources, *step.state}
        return found

    def packed(self, tensors: list[Any]) -> Any:
        """Return the outputs among `tensors`, as one, in a list or in a dict."""
        return pack([tensors[number] for number in self.outputs], self.packed_out, self.names_out)

    def code(self) -> list[str]:
        """Return the lines to type."""
        names = [f"x{number}" for number in range(len(self.inputs))]
        lines = [f"{name} = k.Input({_arguments(settings)})" for name, settings in zip(names, self.inputs)]
        for number, step in enumerate(self.steps):
            found = [names[source] for source in step.sources]
            out = [f"t{number}" if step.gives == 1 else f"t{number}_{each}" for each in range(step.gives)]
            if step.part is not None and step.part.room == "operator":
                lines.append(f"{out[0]} = {OPERATORS[step.part.name][1].format(*found)}")
            else:
                layer = f"layer{step.again}" if step.part is None else f"layer{number}"
                if step.part is not None:
                    lines.append(f"{layer} = {step.part!r}")
                listed = f"[{', '.join(found)}]" if step.how == "list" else ", ".join(found)
                state = f", initial_state=[{', '.join(names[s] for s in step.state)}]" if step.state else ""
                more = "".join(f", {key}={value!r}" for key, value in step.settings.items())
                lines.append(f"{', '.join(out)} = {layer}({listed}{state}{more})")
            names += out
        outputs = ", ".join(names[number] for number in self.outputs)
        lines.append(f"model = {self.kind}, from {self.packed_in} to {self.packed_out} {self.names_out}: {outputs}")
        return lines


def pack(values: list[Any], how: str, names: list[str]) -> Any:
    """Return several values as the one that there is, in a list, or in a dict under these names."""
    if how == "dict":
        return dict(zip(names, values, strict=True))
    return values[0] if how == "one" else list(values)


def _model_class(k: Any) -> Any:
    """Return a subclass of the library's Model that runs a network in its `call`."""

    class OfItsOwn(k.Model):
        def __init__(self, network: Network) -> None:
            super().__init__()
            self.parts = [step.part.make(k) for step in network.steps if step.part is not None]
            self._network = network

        # Without the argument `training`, nothing in a model of Keras's would know that it is being trained.
        def call(self, inputs: Any, training: Any = None) -> Any:
            network = self._network
            parts, layers = iter(self.parts), []
            for step in network.steps:
                layers.append(next(parts) if step.part is not None else layers[step.again])
            given = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
            return network.packed(network.run(layers, given))

    return OfItsOwn


def _arguments(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in settings.items())


# --- recipes --------------------------------------------------------------------------


@dataclasses.dataclass
class Recipe:
    """A model, its training and its data.

    Attributes:
        label: How to find it again: "SEED/NUMBER".
        network: The model.
        compiled: Arguments of `compile`, with parts in them.
        fitted: Arguments of `fit` beside x and y, with parts in them.
        x: The data, packed as the model takes it.
        y: The targets, packed as the model gives its outputs.
        weights: Seed of what is added to the weights that Keras begins with.
        saved: "", or which library's file the other reads: "keras" or "uncrumple".
    """

    label: str
    network: Network
    compiled: dict[str, Any]
    fitted: dict[str, Any]
    x: Any
    y: Any
    weights: int = 0
    saved: str = ""

    def code(self) -> str:
        """Return the model as the lines to type; the data are those of the label."""
        lines = [*self.network.code(), f"model.compile({_arguments(self.compiled)})"]
        settings = {key: _shape_of(value) for key, value in self.fitted.items()}
        lines.append(f"model.fit({_shape_of(self.x)}, {_shape_of(self.y)}, {_arguments(settings)})")
        return "\n".join(lines)


def registered(k: Any, drawn: Recipe) -> Any:
    """Return a subclassed model that can be saved: its config is the label, and the rest is drawn again."""

    class OfItsOwn(_model_class(k)):  # type: ignore[misc]
        def get_config(self) -> dict[str, Any]:
            return {"label": drawn.label}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return cls(drawn.network)

        def get_build_config(self) -> dict[str, Any]:
            return {"label": drawn.label}  # with an empty one, Keras does not build

        def build_from_config(self, config: dict[str, Any]) -> None:
            given = drawn.x if not isinstance(drawn.x, (list, dict)) else list(drawn.x)
            self([torch.as_tensor(one) for one in given] if isinstance(given, list) else torch.as_tensor(given))

    return OfItsOwn(drawn.network)


def without_lost_settings(drawn: Recipe) -> Recipe:
    """Return the recipe without settings of losses and metrics that Keras leaves out of its files."""
    import keras

    def kept(value: Any) -> Any:
        if isinstance(value, Part) and value.room in ("losses", "metrics"):
            config = value.make(keras).get_config()
            return Part(value.room, value.name, {key: one for key, one in value.settings.items() if key in config})
        if isinstance(value, list):
            return [kept(each) for each in value]
        return {key: kept(each) for key, each in value.items()} if isinstance(value, dict) else value

    return dataclasses.replace(drawn, compiled=kept(drawn.compiled))


def _shape_of(value: Any) -> Any:
    """Return a structure with a word on each array in place of the array."""
    if hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return type(value)(_shape_of(each) for each in value)
    if isinstance(value, dict):
        return {key: _shape_of(each) for key, each in value.items()}
    return value
