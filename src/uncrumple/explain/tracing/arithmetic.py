"""The arithmetic of one output number of a layer, with the numbers that the layer had.

Each family of layers has a file; a function in it is marked with the classes that it explains. It gets what came in
and the place of the number, computes it in float64, and returns the lines. A number that is not the layer's own to
rounding is not shown: see `worked_out`.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable
from typing import Any

import torch

from uncrumple.explain.tracing.words import number, wrapped

# Rounding errors are this many times what one rounding of the sum of all addends makes, at most.
_ROUNDINGS = 32


@dataclasses.dataclass
class Line:
    """One step of the arithmetic.

    Attributes:
        name: What is computed, such as `"sum"`.
        formula: How, in symbols.
        numbers: The same with numbers.
        value: The result.
        size: The sum of the sizes of what was added: rounding errors grow with it.
        table: Lines to show above, such as a window of an image.
        output: What the layer must have returned, where that is not `value` (another time step was asked for).
        digits: How many digits of the value to show.
    """

    name: str
    formula: str
    numbers: str
    value: float
    size: float = 0.0
    table: tuple[str, ...] = ()
    output: float | None = None
    digits: int = 4

    def to_dict(self) -> dict[str, Any]:
        """Return what it holds as plain data."""
        return {"name": self.name, "formula": self.formula, "numbers": self.numbers, "value": self.value}

    def lines(self) -> list[str]:
        """Return it as text."""
        return [
            *self.table,
            *wrapped(f"{self.name} = ", self.formula),
            *wrapped(
                f"{' ' * len(self.name)} = ",
                self.numbers + ("" if self.ends_with_value else f" = {number(self.value, self.digits)}"),
            ),
        ]

    @property
    def ends_with_value(self) -> bool:
        """Whether the numbers are nothing but the result."""
        return self.numbers == number(self.value, self.digits)


@dataclasses.dataclass
class Asked:
    """What is to be explained: one number of one call.

    Attributes:
        layer: The layer, or a module of torch.
        inputs: The tensors that came in.
        kwargs: What else it was called with.
        place: Where the number is in the output, the sample first.
        output: The output.
        training: Whether the call was for learning.
        time_step: Which time step of a recurrent layer; None for the last that counts.
    """

    layer: Any
    inputs: list[torch.Tensor]
    kwargs: dict[str, Any]
    place: tuple[int, ...]
    output: torch.Tensor
    training: bool = False
    time_step: int | None = None

    @property
    def x(self) -> torch.Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def sample(self) -> torch.Tensor:
        """What came in of the sample that is followed, in float64, without the axis of samples."""
        return full(self.x[self.place[0]])

    def inside(
        self, layer: Any, inputs: list[torch.Tensor], place: tuple[int, ...], **others: Any
    ) -> list[Line] | None:
        """Return the arithmetic of a layer within this one."""
        explained = function_for(layer)
        return (
            None
            if explained is None
            else explained(dataclasses.replace(self, layer=layer, inputs=inputs, place=place, **others))
        )


Explained = Callable[[Asked], "list[Line] | None"]
_FUNCTIONS: dict[type, Explained | None] = {}
_BUILT_IN = ("uncrumple.layers.", "torch.nn.")
_ROOMS = ("sums", "windows", "copies", "scaling", "bending", "attending", "recurring", "merging")


def leaves_out(*classes: type) -> None:
    """Say that no function explains the numbers of some classes, though one explains those of their base."""
    _FUNCTIONS.update(dict.fromkeys(classes))


def explains(*classes: type) -> Callable[[Explained], Explained]:
    """Mark a function as the one that explains the numbers of some classes of layers, and of their subclasses."""

    def mark(function: Explained) -> Explained:
        for cls in classes:
            _FUNCTIONS[cls] = function
        return function

    return mark


@functools.cache
def _load() -> None:
    for room in _ROOMS:
        importlib.import_module(f"uncrumple.explain.tracing.{room}")


def function_for(layer: Any) -> Explained | None:
    """Return the function that explains a layer's numbers; None if there is none.

    A subclass of the user's with a `call` of its own computes something else.
    """
    _load()
    cls = type(layer)
    known = next((base for base in cls.__mro__ if base.__module__.startswith(_BUILT_IN)), cls)
    if any(getattr(cls, method, None) is not getattr(known, method, None) for method in ("call", "forward")):
        return None
    return _found(cls)


def _found(cls: type) -> Explained | None:
    return next((_FUNCTIONS[base] for base in cls.__mro__ if base in _FUNCTIONS), None)


def has_arithmetic(cls: type) -> bool:
    """Return whether the numbers of a class of layers are explained.

    Example:
        >>> from uncrumple.layers import Dense, Lambda
        >>> has_arithmetic(Dense), has_arithmetic(Lambda)
        (True, False)
    """
    _load()
    return _found(cls) is not None


@torch.no_grad()
def worked_out(asked: Asked) -> list[Line] | None:
    """Return the lines that lead to a number of the output; None where there are none, or where they lead elsewhere."""
    explained = function_for(asked.layer)
    if explained is None or not asked.inputs:
        return None
    try:
        lines = explained(asked)
    except (
        ArithmeticError,
        AttributeError,
        IndexError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ):
        return None  # a setting that the words do not know: the sentence about the layer stands for it
    if not lines:
        return None
    real = float(asked.output[asked.place].double())
    computed = lines[-1].value if lines[-1].output is None else lines[-1].output
    return lines if abs(computed - real) <= allowed(asked, lines, real) else None


def allowed(asked: Asked, lines: list[Line], real: float) -> float:
    """Return how far rounding in the layer's type may have moved its number from the one computed in float64."""
    kinds = [one.dtype for one in (asked.output, *asked.inputs) if one.is_floating_point()]
    rounding = max((torch.finfo(kind).eps for kind in kinds), default=1e-7)
    compute = getattr(asked.layer, "_compute_in", None)
    if compute is not None and compute.is_floating_point:
        rounding = max(rounding, torch.finfo(compute).eps)
    return _ROUNDINGS * rounding * max(abs(real), *(line.size for line in lines), *(abs(line.value) for line in lines))


def full(tensor: Any) -> torch.Tensor:
    """Return a tensor or weight as plain numbers of float64 on the CPU."""
    return tensor.detach().as_subclass(torch.Tensor).to("cpu", torch.float64)


def greatest_place(output: torch.Tensor, sample: int) -> tuple[int, ...]:
    """Return the place of the greatest number of a sample's output: never a dull one, where there is another.

    Example:
        >>> greatest_place(torch.tensor([[0.0, 2.0, 1.0]]), 0)
        (0, 1)
    """
    row = output[sample].detach().double().nan_to_num(-torch.inf, torch.inf, -torch.inf)
    index = int(row.argmax()) if row.numel() else 0
    place = []
    for size in reversed(row.shape):
        place.append(index % size)
        index //= size
    return (sample, *reversed(place))
