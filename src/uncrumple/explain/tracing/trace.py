"""`model.trace(x)`: the way of data through a model, layer by layer, with the arithmetic of one number in each."""

from __future__ import annotations

import dataclasses
import html
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from uncrumple import layers as L
from uncrumple.core.arguments import takes_no_other, unknown_of
from uncrumple.core.errors import explain, unknown_name
from uncrumple.explain.keeping import untouched
from uncrumple.explain.tracing.arithmetic import Asked, Line, greatest_place, worked_out
from uncrumple.explain.tracing.axes import Axes, axes_of
from uncrumple.explain.tracing.parameters import parameters_in_words
from uncrumple.explain.tracing.watch import Call, batch_for, build, by_hand, watched
from uncrumple.explain.tracing.words import (
    counted,
    first_sentence,
    number,
    place,
    range_in_words,
    shape_in_words,
    wrapped,
)
from uncrumple.layers.operation import Operation

# Rows that are run; the arithmetic is that of one of them.
_ROWS = 32


@dataclasses.dataclass
class TracedLayer:
    """What one layer did.

    Attributes:
        name: Its name.
        kind: Its class.
        does: What it does, in a sentence.
        level: How many parts it lies within.
        shapes_in, shape_out: The shapes of what came in, and of what went out.
        axes_in, axes_out: What the axes of the first input, and of the output, are.
        parameters: Where the number of its parameters comes from.
        parameter_count: That number.
        range: Between what its outputs lie, as data.
        range_in_words: The same in words.
        place: Which number of the output is followed; None if there is none.
        value: That number, as the layer returned it.
        lines: The arithmetic that leads to it; empty where a sentence must do.
    """

    name: str
    kind: str
    does: str
    level: int
    shapes_in: list[tuple[int, ...]]
    shape_out: tuple[int, ...]
    axes_in: Axes
    axes_out: Axes
    parameters: str
    parameter_count: int
    range: dict[str, Any]
    range_in_words: str
    place: tuple[int, ...] | None = None
    value: float | None = None
    lines: list[Line] = dataclasses.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        held["lines"] = [line.to_dict() for line in self.lines]
        for name in ("shape_out", "axes_in", "axes_out", "place"):
            held[name] = None if held[name] is None else list(held[name])
        held["shapes_in"] = [list(shape) for shape in self.shapes_in]
        return held

    def __str__(self) -> str:
        head = f"{self.name} ({self.kind}): {self.does}" if self.does else f"{self.name} ({self.kind})"
        body = []
        if self.shapes_in:
            body.append(("in", shape_in_words(self.shapes_in[0], self.axes_in)))
            body += [("and", str(tuple(shape))) for shape in self.shapes_in[1:]]
        body.append(("out", shape_in_words(self.shape_out, self.axes_out)))
        first, *others = wrapped("", self.parameters)
        body += [("parameters", first), *(("", f"  {words}") for words in others), ("outputs", self.range_in_words)]
        if self.place is not None and self.value is not None:
            body.append(("one of them", f"{place(self.place)} = {number(self.value)}"))
            body += [("", f"  {text}") for line in self.lines for text in line.lines()]
        text = "\n".join([head, *(f"  {name:<12}{words}".rstrip() for name, words in body)])
        return "\n".join("    " * self.level + line for line in text.split("\n"))

    def __repr__(self) -> str:
        return f"<TracedLayer {self.name}: {self.kind}, output {self.shape_out}>"


class Trace:
    """The way of data through a model; `print` shows it.

    Attributes:
        model: The model's name.
        layers: What each layer did, in the order of their calls.
        layer_count, parameter_count: How many layers and parameters the model has, also where few are shown.
        samples: How many rows were run.
        sample: Which of them the arithmetic follows.
        notes: What else is to be known, each in a sentence.
    """

    def __init__(
        self,
        model: str,
        layers: list[TracedLayer],
        size: tuple[int, int],
        samples: int,
        sample: int,
        notes: Sequence[str],
    ) -> None:
        self.model, self.layers, self.samples, self.sample = model, layers, samples, sample
        self.layer_count, self.parameter_count = size
        self.notes = list(notes)

    def __getitem__(self, which: int | str) -> TracedLayer:
        """Return what a layer did, by its name or its number."""
        if isinstance(which, str):
            for layer in self.layers:
                if layer.name == which:
                    return layer
            raise LookupError(unknown_name("layer", which, [layer.name for layer in self.layers]))
        return self.layers[which]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[TracedLayer]:
        return iter(self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, ready for JSON."""
        return {
            "model": self.model,
            "layer_count": self.layer_count,
            "parameter_count": self.parameter_count,
            "samples": self.samples,
            "sample": self.sample,
            "notes": list(self.notes),
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def __str__(self) -> str:
        head = (
            f"{self.model}: {counted(self.layer_count, 'layer')}, {counted(self.parameter_count, 'parameter')}; "
            f"{counted(self.samples, 'sample')} run, the arithmetic is that of sample {self.sample}"
        )
        return "\n\n".join([head, *map(str, self.layers), *self.notes])

    def __repr__(self) -> str:
        return f"<Trace of {self.model}: {counted(len(self.layers), 'layer')}; print(...) shows it>"

    def _repr_html_(self) -> str:
        return f"<pre style='line-height: 1.3'>{html.escape(str(self))}</pre>"


@takes_no_other
def trace(
    model: Any,
    x: Any,
    *,
    layer: Any = None,
    unit: Any = None,
    sample: int = 0,
    time_step: int | None = None,
    training: bool = False,
    **unknown: Any,
) -> Trace:
    """Follow data through a model: shapes in words, parameters, ranges, and the arithmetic of one number per layer.

    Nothing is printed: `print(model.trace(x))` shows it, and so does a notebook. Each number is the one that the
    layer computed, to rounding; where a layer has no arithmetic in words, a sentence says what it does. The model
    stays as it was.

    Args:
        model: Any model, also one from a file or around a torch module; or a `torch.nn.Module`.
        x: Samples, as for `predict`; the first 32 are run.
        layer: Name or number of the layer to show, or a list of these; all by default.
        unit: Which number of the output to follow, without the sample: a number for the last axis (a unit, a filter),
            a tuple such as `(12, 13, 5)` for all axes, or a dict of these by the layers' names. By default the
            greatest number that the layer returned for the sample.
        sample: Which sample to follow.
        time_step: Which time step of recurrent layers to show, counted from 0, or with -1 from the end; by default
            the one that the output is of.
        training: Whether layers act as in `fit`: dropout drops, batch normalization measures the batch.

    Returns:
        A `Trace`: `str()` of it is the text, `trace["dense"]` one layer, `to_dict()` the numbers.

    Raises:
        ValueError: The data does not fit the model, or there is no such layer, unit, sample or time step.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones", name="adds")], name="small")
        >>> print(trace(model, torch.tensor([[3.0, 4.0]])))
        small: 1 layer, 3 parameters; 1 sample run, the arithmetic is that of sample 0
        <BLANKLINE>
        adds (Dense): Weighs and sums all features.
          in          (1, 2): samples, features
          out         (1, 1): samples, units
          parameters  2 x 1 + 1 = 3 (kernel: inputs x units; bias: units)
          outputs     7 to 7, mean 7
          one of them output[0, 0] = 7
                        sum = inputs[0] times kernel[:, 0], added up, + bias[0]
                            = 3 x 1 + 4 x 1 + bias 0 = 7
    """
    if unknown:
        raise unknown_of(trace, unknown)
    _check_model("trace", model)
    (inputs, _, _), batches = batch_for("trace", model, x, rows=_ROWS)
    total = getattr(batches, "samples", None)
    build(model, inputs)
    with untouched(model), torch.no_grad(), by_hand(model):
        model.train(bool(training))
        calls, _ = watched(model, lambda: _run(model, inputs))
    if not calls:
        calls = _itself(model, inputs)
    samples = calls[0].inputs[0].shape[0] if calls and calls[0].inputs else 0
    check_whole("sample", sample, -samples, samples, "rows", "sample=0")
    chosen = _chosen(calls, layer)
    places = _units(chosen, unit)
    _check_time_step(chosen, time_step)
    axes: dict[int, Axes] = {}
    traced = {
        id(call): _traced(call, axes, sample % samples, places.get(call.name), time_step, training) for call in calls
    }
    notes = [f"The first {samples} of {total:,} samples were run."] if total and total > samples else []
    outer = [traced[id(call)] for call in calls if call.level == 0]
    size = len(outer), sum(weight.numel() for weight in _weights(model))
    return Trace(_name_of(model), [traced[id(call)] for call in chosen], size, samples, sample % samples, notes)


def _weights(model: Any) -> list[torch.Tensor]:
    return model.weights if isinstance(model, L.Layer) else list(model.parameters())


def _run(model: Any, inputs: Any) -> Any:
    if isinstance(model, L.Layer) or not isinstance(inputs, (list, tuple)):
        return model(inputs)
    return model(*inputs)


def _itself(model: Any, inputs: Any) -> list[Call]:
    """Return the call of a layer or module that has no parts."""
    with torch.no_grad():
        output = _run(model, inputs)
    return [Call(_name_of(model), model, 0, False, (inputs,), {}, output)]


def _name_of(model: Any) -> str:
    return getattr(model, "name", None) or type(model).__name__


def _check_model(who: str, model: Any) -> None:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            explain(
                f"{who} got {type(model).__name__} as its model.",
                "Expected a model, or a module of torch.",
                f"{who}(model, x), or model.{who}(x)",
            )
        )


# --- what is asked for ----------------------------------------------------------------------


def check_whole(argument: str, value: Any, least: int, end: int, what: str, fix: str, who: str = "trace") -> None:
    """Refuse what is no whole number from `least` to below `end`; negative ones count from the end."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not least <= int(value) < end:
        raise ValueError(
            explain(
                f"{who} got {argument}={value!r}.",
                f"Expected a whole number from 0 to {end - 1}: there are {end} {what}.",
                fix,
            )
        )


def _chosen(calls: list[Call], layer: Any) -> list[Call]:
    """Return the calls of the layers that are to be shown."""
    if layer is None:
        return calls
    wanted = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    known = [call.name for call in calls]
    names = []
    for one in wanted:
        if isinstance(one, numbers.Integral) and not isinstance(one, bool):
            check_whole("layer", one, -len(calls), len(calls), "layers", f"layer={known[0]!r}")
            names.append(known[int(one)])
        else:
            names.append(_name_of(one) if isinstance(one, torch.nn.Module) else str(one))
    for name in names:
        if name not in known:
            raise ValueError(unknown_name("layer", name, known))
    return [call for call in calls if call.name in names]


def _units(calls: list[Call], unit: Any) -> dict[str, Any]:
    """Return {name of a layer: the unit to follow}."""
    if unit is None:
        return {}
    if isinstance(unit, Mapping):
        for name in unit:
            if name not in [call.name for call in calls]:
                raise ValueError(unknown_name("layer in unit", str(name), [call.name for call in calls]))
        return dict(unit)
    if len(calls) > 1:
        last = calls[-1].name
        raise ValueError(
            explain(
                f"trace got unit={unit!r} for {len(calls)} layers.",
                "Expected the name of the one layer that is meant, or a dict by the layers' names.",
                f"layer={last!r}, unit={unit!r}, or unit={{{last!r}: {unit!r}}}",
            )
        )
    return {calls[0].name: unit}


def _place(call: Call, output: torch.Tensor, sample: int, unit: Any) -> tuple[int, ...]:
    """Return the place of the number that is followed."""
    shape = tuple(output.shape[1:])
    found = greatest_place(output, sample)
    if unit is None:
        return found
    given = tuple(unit) if isinstance(unit, (tuple, list)) else (unit,)
    whole = all(isinstance(one, numbers.Integral) and not isinstance(one, bool) for one in given)
    if whole and len(given) == 1 < len(shape) and -shape[-1] <= given[0] < shape[-1]:
        at = int(given[0]) % shape[-1]
        best = greatest_place(output[..., at : at + 1], sample)
        return (*best[:-1], at)
    if not whole or len(given) != len(shape) or any(not -size <= one < size for one, size in zip(given, shape)):
        example = tuple(size // 2 for size in shape)
        raise ValueError(
            explain(
                f"trace got unit={unit!r} for '{call.name}', whose output for one sample has the shape {shape}.",
                "Expected a number for the last axis, or one for each axis, counted from 0."
                if len(shape) > 1
                else f"Expected a whole number from 0 to {shape[-1] - 1 if shape else 0}.",
                f"unit={example[0] if len(example) == 1 else example}",
            )
        )
    return (sample, *(int(one) % size for one, size in zip(given, shape)))


def _check_time_step(calls: list[Call], time_step: Any) -> None:
    if time_step is None:
        return
    steps = [call.inputs[0].shape[1] for call in calls if isinstance(call.layer, (L.RNN, L.Bidirectional))]
    if not steps:
        raise ValueError(
            explain(
                f"trace got time_step={time_step!r}, and shows no recurrent layer.",
                "Expected one: LSTM, GRU, SimpleRNN, or one of these in Bidirectional.",
                "leave out time_step",
            )
        )
    check_whole("time_step", time_step, -min(steps), min(steps), "time steps", "time_step=0")


# --- one layer --------------------------------------------------------------------------------


def _traced(
    call: Call, axes: dict[int, Axes], sample: int, unit: Any, time_step: int | None, training: bool
) -> TracedLayer:
    layer, inputs, outputs = call.layer, call.inputs, call.outputs
    output = outputs[0] if outputs else None
    came, made = (tuple(one.shape) if one is not None else () for one in (inputs[0] if inputs else None, output))
    known = axes.get(id(inputs[0])) if inputs else None
    first, second = axes_of(layer, known, came, made)
    if output is not None and not call.opened:
        axes[id(output)] = second
    if inputs and call.opened:
        axes.setdefault(id(inputs[0]), first)
    words, count = parameters_in_words(layer)
    ranged, limits = range_in_words(output)
    traced = TracedLayer(
        name=call.name,
        kind=kind_of(layer),
        does=_does(layer),
        level=call.level,
        shapes_in=[tuple(one.shape) for one in inputs],
        shape_out=made,
        axes_in=first,
        axes_out=second,
        parameters=words,
        parameter_count=count,
        range=limits,
        range_in_words=ranged,
    )
    follows = output is not None and output.dim() > 0 and output.numel() and sample < output.shape[0]
    if follows and not call.opened and output is not None and limits:
        at = _place(call, output, sample, unit)
        traced.place, traced.value = at, float(output[at].double())
        traced.lines = worked_out(Asked(layer, inputs, call.kwargs, at, output, training, time_step)) or []
    return traced


def kind_of(layer: Any) -> str:
    """Return the class of a layer, or of the module of torch in it."""
    if isinstance(layer, L.TorchModuleWrapper):
        return f"torch's {type(layer.module).__name__}"
    return type(layer).__name__ if isinstance(layer, L.Layer) else f"torch's {type(layer).__name__}"


def _does(layer: Any) -> str:
    """Return what a layer does: the first sentence of its docstring, if it has one of its own."""
    cls = type(layer.module if isinstance(layer, L.TorchModuleWrapper) else layer)
    if issubclass(cls, Operation):
        return f"The operation {cls.__name__} on tensors."
    return first_sentence(cls) if "__doc__" in vars(cls) and not cls.__module__.startswith("torch.") else ""
