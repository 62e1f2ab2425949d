"""Numbers as text: the same rounding and the same wording wherever a result is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence


def decimals(value: float, significant: int = 3) -> int:
    """Return how many digits after the point show `significant` digits of `value`.

    Example:
        >>> decimals(43.2), decimals(0.0123), decimals(12345.0)
        (1, 4, 0)
    """
    if not math.isfinite(value) or value == 0:
        return significant - 1
    return max(0, significant - 1 - math.floor(math.log10(abs(value))))


def percent(share: float) -> str:
    """Return a probability in percent; what is not quite certain is not shown as 100 %.

    Example:
        >>> percent(0.98), percent(0.9962), percent(0.99991), percent(1.0)
        ('98 %', '99.6 %', '>99.9 %', '100 %')
    """
    if 0.995 <= share < 1:
        return ">99.9 %" if share > 0.999 else f"{100 * share:.1f} %"
    return f"{100 * share:.0f} %"


def p_in_words(p_value: float) -> str:
    """Return a p-value with what matters of it.

    Example:
        >>> p_in_words(0.4), p_in_words(0.0123), p_in_words(1e-9)
        ('0.40', '0.012', '< 0.001')
    """
    if p_value < 0.001:
        return "< 0.001"
    return f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def seconds_in_words(seconds: float) -> str:
    """Return a time as people say it.

    Example:
        >>> seconds_in_words(0.0004), seconds_in_words(1.234), seconds_in_words(75), seconds_in_words(7300)
        ('< 1 ms', '1.2 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 0.001:
        return "< 1 ms"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def bytes_in_words(size: int) -> str:
    """Return a size in the unit that keeps it short (1 kB is 1,000 bytes).

    Example:
        >>> bytes_in_words(605), bytes_in_words(39947), bytes_in_words(23426416)
        ('605 B', '39.9 kB', '23.4 MB')
    """
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95 or unit == "GB":
            break
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def milliseconds_in_words(milliseconds: float) -> str:
    """Return the milliseconds for one row, two significant digits, never as 0.

    Example:
        >>> milliseconds_in_words(1.1114), milliseconds_in_words(0.000612), milliseconds_in_words(0.00000156)
        ('1.1', '0.0006', '< 0.0001')
    """
    if milliseconds < 0.0001:
        return "< 0.0001"
    return f"{milliseconds:.{min(4, decimals(milliseconds, 2))}f}"


def listed(parts: Sequence[str], joint: str = "and") -> str:
    """Return the parts as a sentence lists them.

    Example:
        >>> listed(["a tree"]), listed(["a tree", "an SVM"]), listed(["a", "b", "c"])
        ('a tree', 'a tree and an SVM', 'a, b and c')
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {joint} {parts[-1]}"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines of plain text: the first column to the left, the others to the right.

    Example:
        >>> for line in text_table(["model", "fit"], [["tree", "1.2 s"], ["majority", "1 ms"]]):
        ...     print(line)
        model       fit
        --------  -----
        tree      1.2 s
        majority   1 ms
    """
    widths = [max(len(str(row[column])) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (str(cell) for cell in cells)
        to_right = [cell.rjust(width) for cell, width in zip(others, widths[1:])]
        return "  ".join([first.ljust(widths[0]), *to_right]).rstrip()

    return [line(header), "  ".join("-" * width for width in widths), *(line(row) for row in rows)]
