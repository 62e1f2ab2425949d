"""What an activation makes of one number, or of a row of numbers."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations
from uncrumple.explain.tracing.arithmetic import Line, full
from uncrumple.explain.tracing.words import number, several

_ROWS = ("softmax", "log_softmax", "sparsemax")
_OWN_WORDS = {
    "relu": "max({z}, 0)",
    "sigmoid": "1 / (1 + exp(-{z}))",
    "tanh": "tanh({z})",
    "exponential": "exp({z})",
    "softplus": "log(1 + exp({z}))",
    "softsign": "{z} / (1 + |{z}|)",
    "silu": "{z} / (1 + exp(-{z}))",
    "relu6": "min(max({z}, 0), 6)",
    "log_sigmoid": "-log(1 + exp(-{z}))",
    "hard_sigmoid": "min(max({z} / 6 + 0.5, 0), 1)",
}


def name_of(function: Any) -> str:
    """Return what an activation is called."""
    return getattr(function, "__name__", None) or type(function).__name__


def is_linear(function: Any) -> bool:
    """Return whether an activation changes nothing."""
    return function is None or function is activations.linear


def needs_row(function: Any) -> bool:
    """Return whether an activation looks at all numbers of a row at once."""
    return name_of(function) in _ROWS


def formula_of(function: Any, z: str) -> str:
    """Return an activation's formula for `z`.

    Example:
        >>> formula_of(activations.relu, "sum")
        'max(sum, 0)'
    """
    words = _OWN_WORDS.get(name_of(function))
    if words is None or getattr(activations, name_of(function), None) is not function:
        return f"{name_of(function)}({z})"
    return words.format(z=z).replace("--", "")  # exp(-(-2)) is exp(2)


def apply(function: Any, values: torch.Tensor) -> torch.Tensor:
    """Return an activation of numbers of float64."""
    return values if function is None else full(function(values))


def activated(function: Any, row: torch.Tensor, index: int, *, of: str = "sum", name: str | None = None) -> Line:
    """Return the line for one number of an activated row.

    Args:
        function: The activation.
        row: What it is applied to, of float64; one number will do for one that looks at single numbers.
        index: Which of them is meant.
        of: What they are called.
        name: What the result is called; by default as the activation.

    Example:
        >>> activated(activations.relu, torch.tensor([-1.5]).double(), 0).numbers
        'max(-1.5, 0)'
    """
    value = float(apply(function, row)[index])
    own, name = name_of(function), name or name_of(function)
    z = float(row[index])
    if own in ("softmax", "log_softmax"):
        total = float(torch.exp(row - row.max()).sum())
        top = float(row.max())
        logged = own == "log_softmax"
        formula = f"exp({of}[{index}]) / (exp of every {of}, added up)"
        numbers = f"exp({number(z)}) / (exp({number(top)}) x {number(total)})"
        if len(row) <= 10:
            numbers = f"exp({number(z)}) / (" + " + ".join(f"exp({number(float(one))})" for one in row) + ")"
        return Line(
            name,
            f"log({formula})" if logged else formula,
            f"log({numbers})" if logged else numbers,
            value,
            max(abs(z), 1.0),
        )
    if own == "sparsemax":
        formula = f"the share of {of}[{index}] in the point of all shares nearest to the row"
        return Line(name, formula, f"sparsemax of {several(row.tolist())}", value, float(row.abs().max()))
    return Line(name, formula_of(function, of), formula_of(function, number(z)), value, abs(z))
