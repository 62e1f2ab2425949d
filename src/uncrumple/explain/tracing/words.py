"""How numbers, places and sums are written: short, and with all that is needed to add them up again."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

# Longer sums are shown by their greatest products, and the total of the others.
_SHOWN_WHOLE = 9
_SHOWN = 3
_WIDTH = 100


def number(value: float, digits: int = 4) -> str:
    """Return a number with four significant digits.

    Example:
        >>> number(0.123456), number(-0.0), number(225034.0), number(1.5e-7)
        ('0.1235', '0', '225,034', '1.5e-07')
    """
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if 1e4 <= abs(value) < 1e12 and value == round(value):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def less(first: float, second: float) -> str:
    """Return a difference, with a negative number in brackets.

    Example:
        >>> less(1.0, -2.0), less(1.0, 2.0)
        ('1 - (-2)', '1 - 2')
    """
    return f"{number(first)} - {bracketed(second)}"


def bracketed(value: float) -> str:
    """Return a number, in brackets if it is negative.

    Example:
        >>> bracketed(-2.0)
        '(-2)'
    """
    return f"({number(value)})" if value < 0 else number(value)


def place(index: Sequence[int], name: str = "output") -> str:
    """Return a place in a tensor as Python spells it.

    Example:
        >>> place((0, 12, 13, 5))
        'output[0, 12, 13, 5]'
    """
    return f"{name}[{', '.join(str(int(one)) for one in index)}]"


def times(*sizes: int) -> str:
    """Return a product of whole numbers.

    Example:
        >>> times(3, 3, 1, 32), times()
        ('3 x 3 x 1 x 32', '1')
    """
    return " x ".join(f"{size:,}" for size in sizes) or "1"


def counted(count: int, word: str) -> str:
    """Return a count with its word.

    Example:
        >>> counted(1, "layer"), counted(1200, "sample")
        ('1 layer', '1,200 samples')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def joined(parts: Sequence[str]) -> str:
    """Return addends as a sum.

    Example:
        >>> joined(["1", "2 x -3"])
        '1 + 2 x -3'
    """
    return " + ".join(parts) or "0"


def sum_of_products(
    first: np.ndarray, second: np.ndarray, extra: Sequence[tuple[str, float]] = ()
) -> tuple[str, float, float]:
    """Return a weighted sum in words, its value, and the sum of the sizes of its addends.

    Args:
        first, second: The factors, one-dimensional, of one length.
        extra: (name, value) of what is added besides, such as a bias.

    Example:
        >>> sum_of_products(np.array([1.0, 2.0]), np.array([0.5, -1.0]), [("bias", 0.25)])[0]
        '1 x 0.5 + 2 x -1 + bias 0.25'
    """
    products = first * second

    def one(index: int) -> str:
        return f"{number(first[index])} x {number(second[index])}"

    parts = _parts(products, one)
    parts += [f"{name} {number(value)}".strip() for name, value in extra]
    total = float(products.sum()) + sum(value for _, value in extra)
    size = float(np.abs(products).sum()) + sum(abs(value) for _, value in extra)
    return joined(parts), total, size


def sum_of(values: np.ndarray) -> str:
    """Return a sum of numbers in words.

    Example:
        >>> sum_of(np.array([1.0, -2.5]))
        '1 + -2.5'
    """
    return joined(_parts(values, lambda index: number(values[index])))


def _parts(values: np.ndarray, one: Callable[[int], str]) -> list[str]:
    if len(values) <= _SHOWN_WHOLE:
        return [one(index) for index in range(len(values))]
    greatest = sorted(np.argsort(-np.abs(values), kind="stable")[:_SHOWN].tolist())
    rest = float(values.sum() - values[greatest].sum())
    left = len(values) - _SHOWN
    zeros = int((values == 0).sum())
    which = f", {zeros:,} of them 0" if zeros else ""
    return [*(one(index) for index in greatest), f"{left:,} more ({number(rest)} together{which})"]


def several(values: Sequence[float], most: int = 9) -> str:
    """Return numbers one after the other, the first few of many.

    Example:
        >>> several([1.0, 2.0]), several(range(20), 3)
        ('1, 2', '0, 1, 2, ... 17 more')
    """
    values = list(values)
    shown = [number(value) for value in values[:most]]
    if len(values) > most:
        shown.append(f"... {len(values) - most:,} more")
    return ", ".join(shown)


def grid(*tables: np.ndarray) -> list[str]:
    """Return small matrices side by side.

    Example:
        >>> grid(np.eye(2), np.array([[0.5, -1.0], [0.0, 2.0]]))
        ['1  0     0.5  -1', '0  1       0   2']
    """
    lines = [""] * len(tables[0])
    for number_of_table, table in enumerate(tables):
        cells = [[number(value, 3) for value in row] for row in table]
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        for place_of_row, row in enumerate(cells):
            gap = "     " if number_of_table else ""
            lines[place_of_row] += gap + "  ".join(cell.rjust(width) for cell, width in zip(row, widths))
    return lines


def wrapped(begin: str, text: str) -> list[str]:
    """Return a text in lines of a width that screens have, each under the first one's beginning.

    Example:
        >>> wrapped("sum = ", "1 + 2")
        ['sum = 1 + 2']
    """
    # A product stays on one line.
    found = textwrap.wrap(
        text.replace(" x ", "\0x\0"), _WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin), break_long_words=False,
        break_on_hyphens=False, drop_whitespace=True,
    )  # fmt: skip
    return [line.replace("\0", " ") for line in found]


def shape_in_words(shape: Sequence[int], axes: Sequence[str]) -> str:
    """Return a shape and what its axes are.

    Example:
        >>> shape_in_words((32, 28, 28, 1), ("samples", "height", "width", "channels"))
        '(32, 28, 28, 1): samples, height, width, channels'
    """
    shown = f"({', '.join(str(int(size)) for size in shape)}{',' if len(shape) == 1 else ''})"
    return f"{shown}: {', '.join(axes)}" if axes else f"{shown}: a single number"


def range_in_words(values: Any) -> tuple[str, dict[str, Any]]:
    """Return between what the numbers of a tensor lie, in words and as data.

    Example:
        >>> range_in_words(torch.tensor([0.0, 0.0, 3.0]))[0]
        '0 to 3, mean 1, 67 % zeros'
    """
    if not isinstance(values, torch.Tensor) or not values.numel() or not hasattr(values, "double"):
        return "no numbers", {}
    flat = values.detach().double().flatten()
    finite = flat[torch.isfinite(flat)]
    broken = flat.numel() - finite.numel()
    if not finite.numel():
        return "NaN or infinity everywhere", {"not_finite": broken}
    least, most, mean = float(finite.min()), float(finite.max()), float(finite.mean())
    zeros = float((flat == 0).double().mean())
    # What rounding has left of a mean of zero is no number to look at.
    shown = "about 0" if abs(mean) < 1e-6 * max(abs(least), abs(most)) else number(mean)
    text = f"{number(least)} to {number(most)}, mean {shown}"
    if zeros > 0.005:
        text += f", {100 * zeros:.0f} % zeros"
    if broken:
        text += f", and {broken:,} that are NaN or infinity"
    return text, {"least": least, "most": most, "mean": mean, "zeros": zeros, "not_finite": broken}


def slopes_in_words(values: torch.Tensor) -> str:
    """Return between what the numbers of a gradient lie, and how long it is.

    Example:
        >>> slopes_in_words(torch.tensor([3.0, -4.0, 0.0]))
        '-4 to 3, length 5, 33 % zeros'
    """
    text, limits = range_in_words(values)
    if limits.get("not_finite") != 0:
        return text
    between, _, rest = text.partition(", mean ")
    _, comma, others = rest.partition(", ")
    return f"{between}, length {number(float(values.detach().double().norm()))}{comma}{others}"


def first_sentence(documented: Any) -> str:
    """Return the first sentence of a docstring, without the formula that may follow a colon.

    Example:
        >>> first_sentence(torch.nn.Module.zero_grad) != ""
        True
    """
    lines = (documented.__doc__ or "").strip().split("\n\n")[0].split()
    text = " ".join(lines)
    for end in (": `", ". "):
        text = text.split(end)[0]
    return text.rstrip(".:") + "." if text else ""
