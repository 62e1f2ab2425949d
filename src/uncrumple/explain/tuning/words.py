"""Numbers and lists as a sentence says them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float, significant: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent where people write none.

    Example:
        >>> number(0.058123, 2), number(1234.5), number(0.0), number(2.5e-7, 2), number(float("nan"))
        ('0.058', '1,234', '0', '2.5e-7', 'NaN')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if value == 0:
        return "0"
    digits = significant - 1 - math.floor(math.log10(abs(value)))
    if digits > 7:
        mantissa, exponent = f"{value:.{significant - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:,.{max(0, digits)}f}"


def listed(parts: Sequence[str], joint: str = "and") -> str:
    """Return the parts as a sentence lists them.

    Example:
        >>> listed(["dropout", "L2", "noise"])
        'dropout, L2 and noise'
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {joint} {parts[-1]}"


def plural(count: int, what: str) -> str:
    """Return a count with its noun.

    Example:
        >>> plural(1, "trial"), plural(1200, "row")
        ('1 trial', '1,200 rows')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines of text: the first column to the left, the others to the right.

    Example:
        >>> print(*table(["way", "loss"], [["dropout", "0.2"]]), sep="\\n")
        way      loss
        dropout   0.2
    """
    widths = [max(len(str(line[place])) for line in [header, *rows]) for place in range(len(header))]
    lines = []
    for line in [header, *rows]:
        first, *others = (str(cell) for cell in line)
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return lines
