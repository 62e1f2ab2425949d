"""What to type when an array does not fit an input of a model."""

from __future__ import annotations

import itertools
import math
from typing import Any

from uncrumple.core.errors import explain
from uncrumple.core.text import Text


def explain_shape(model: str, input_name: str, wanted: Any, given: tuple[int, ...], name: str | None = None) -> str:
    """Return the message for an array whose shape does not fit an input.

    Args:
        model: Name of the model.
        input_name: Name of its input.
        wanted: Shape of the input, with None for the samples.
        given: Shape of the array.
        name: What the caller calls the array, such as `"x"`; None where that is not known.
    """
    came = f"Model '{model}' got an array of shape {given} for its input '{input_name}'."
    if name is not None:
        came = f"{name} of shape {given} does not fit the input '{input_name}' of model '{model}'."
    return explain(came, f"Expected {tuple(wanted)}.", _fix(tuple(wanted), given, (name or "x").replace(" ", "_")))


def explain_kind(model: str, input_name: str, value: Any, name: str | None = None) -> str:
    """Return the message for text where an input takes numbers, or the other way round."""
    shown = f"{name} of shape {tuple(value.shape)}" if name is not None else f"an array of shape {tuple(value.shape)}"
    text = isinstance(value, Text)
    came = f"Model '{model}' got {'text' if text else 'numbers'} for its input '{input_name}': {shown}."
    if text:
        return explain(came, "Expected numbers.", f"Input(..., dtype='string', name='{input_name}') for text")
    return explain(
        came, "Expected text.", f"Input(...) without dtype='string' for numbers, or {name or 'x'}.astype(str)"
    )


def _fix(wanted: tuple[int | None, ...], given: tuple[int, ...], x: str) -> str:
    sample, rank = wanted[1:], len(wanted)
    new_input = f"Input({tuple(given[1:])})"
    if len(given) == rank - 1:
        if _fits(sample, given):
            one = f"{x}[None] for one sample"
            return one if len(sample) != 2 else f"{one}; Input({sample[1:]}) if these are {given[0]} samples"
        if len(sample) > 1 and sample[1:] == given[1:]:
            return f"Input({sample[1:]}): Input takes the shape of one sample, without the number of samples"
        if wanted[-1] == 3 and _fits(sample[:-1], given[1:]):
            return (
                f"{x} = np.stack([{x}] * 3, axis=-1) for grey images, or build the model with Input({(*given[1:], 1)})"
            )
        if None not in sample and math.prod(given[1:]) == math.prod(sample):  # type: ignore[arg-type]
            return f"{x} = {x}.reshape({(-1, *sample)})"
        return f"add the missing axis, or build the model with {new_input}"
    if len(given) == rank:
        for order in itertools.permutations(range(1, rank)):
            if rank < 6 and _fits(sample, tuple(given[axis] for axis in order)):
                return f"{x} = {x}.transpose{(0, *order)}, which puts the axes in order"
        if rank == 2:
            return f"give {x} {wanted[1]} columns instead of {given[1]}, or build the model with {new_input}"
        axis = next(i for i, (want, got) in enumerate(zip(wanted, given)) if want not in (None, got))
        if axis == 0:
            return f"give it {wanted[0]} samples at a time, or leave batch_size out of Input"
        return f"bring axis {axis} from {given[axis]} to {wanted[axis]}, or build the model with {new_input}"
    if None not in sample and math.prod(given[1:]) == math.prod(sample):  # type: ignore[arg-type]
        if rank == 2:
            return f"{x} = {x}.reshape(len({x}), {sample[0]}), or begin the model with {new_input} and Flatten()"
        return f"{x} = {x}.reshape({(-1, *sample)})"
    if len(given) > 1 and given[1:] and len(given) == rank - 2 and _fits(sample[:-1], given) and wanted[-1] == 1:
        return f"{x}[None, ..., None] for one sample"
    return f"build the model with {new_input}"


def _fits(wanted: tuple[int | None, ...], given: tuple[int, ...]) -> bool:
    return len(wanted) == len(given) and all(want in (None, got) for want, got in zip(wanted, given))
