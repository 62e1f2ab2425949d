"""Layers that make one tensor of several."""

from uncrumple.layers.merging.base import Merge
from uncrumple.layers.merging.by_number import Add, Average, Maximum, Minimum, Multiply, Subtract
from uncrumple.layers.merging.functions import (
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from uncrumple.layers.merging.joining import Concatenate
from uncrumple.layers.merging.products import Dot

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Merge",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
