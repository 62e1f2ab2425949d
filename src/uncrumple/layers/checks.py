"""Settings of layers, checked in one wording."""

from __future__ import annotations

import numbers
from typing import Any

from uncrumple.core.errors import explain, unknown_name


def whole_number(owner: str, argument: str, value: Any, *, minimum: int = 1, example: int = 32) -> int:
    """Return `value` as an int of at least `minimum`, or raise a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(
            explain(
                f"{owner} got {argument}={value!r}.",
                f"Expected a whole number of at least {minimum}.",
                f"{owner}({argument}={example})",
            )
        )
    return int(value)


def share(owner: str, argument: str, value: Any, *, example: float = 0.5) -> float:
    """Return `value` as a float with 0 <= value < 1 (1 itself is accepted), or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value <= 1:
        fix = (
            f"{owner}({value / 100:g})"
            if isinstance(value, numbers.Real) and 1 < value <= 100
            else f"{owner}({example})"
        )
        raise ValueError(explain(f"{owner} got {argument}={value!r}.", "Expected a number from 0 to 1.", fix))
    return float(value)


def one_of(owner: str, argument: str, value: Any, known: tuple[Any, ...]) -> Any:
    """Return `value` if it is among `known`, or raise with did-you-mean."""
    if value not in known:
        raise ValueError(f"{owner}: " + unknown_name(argument, value, [str(k) for k in known]))
    return value


def sizes(owner: str, argument: str, value: Any, count: int, *, minimum: int = 1) -> tuple[int, ...]:
    """Return one size per axis: 3 becomes (3, 3) for two axes."""
    parts = (value,) * count if isinstance(value, numbers.Integral) else value
    good = isinstance(parts, (tuple, list)) and len(parts) == count
    if not good or any(isinstance(p, bool) or not isinstance(p, numbers.Integral) or p < minimum for p in parts):
        raise ValueError(
            explain(
                f"{owner} got {argument}={value!r}.",
                f"Expected a whole number of at least {minimum}, or {count} of them.",
                f"{owner}(..., {argument}={3 if count == 1 else (3,) * count})",
            )
        )
    return tuple(int(part) for part in parts)


def data_format(owner: str, value: Any) -> str:
    """Return the order of axes; None means channels last."""
    return one_of(owner, "data_format", value or "channels_last", ("channels_last", "channels_first"))
