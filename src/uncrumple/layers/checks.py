"""Settings of layers, checked in one wording."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from uncrumple.core.errors import closest, explain
from uncrumple.core.settings import image_data_format


def whole_number(owner: str, argument: str, value: Any, *, minimum: int = 1, example: int = 32) -> int:
    """Return `value` as an int of at least `minimum`, or raise a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        example = _meant(value, minimum) or example
        raise ValueError(
            explain(
                f"{owner} got {argument}={value!r}.",
                f"Expected a whole number of at least {minimum}.",
                f"{owner}({argument}={example})",
            )
        )
    return int(value)


# What is usual, for the line to type.
_USUAL = {"kernel_size": 3, "pool_size": 2, "size": 2}


def _meant(value: Any, minimum: int) -> int | None:
    """Return the whole number that was probably meant: 10 for "10", 3 for -3, 32 for 32.0."""
    try:
        number = abs(float(value))
    except (TypeError, ValueError):
        return None
    return int(number) if number == int(number) and number >= max(minimum, 1) else None


def share(owner: str, argument: str, value: Any, *, example: float = 0.5) -> float:
    """Return `value` as a float with 0 <= value < 1 (1 itself is accepted), or raise."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
        fix = (
            f"{owner}({value / 100:g})"
            if isinstance(value, (int, float, np.number)) and 1 < value <= 100
            else f"{owner}({example})"
        )
        raise ValueError(explain(f"{owner} got {argument}={value!r}.", "Expected a number from 0 to 1.", fix))
    return float(value)


def one_of(owner: str, argument: str, value: Any, known: tuple[Any, ...]) -> Any:
    """Return `value` if it is among `known`, or raise with did-you-mean."""
    if value not in known:
        # One at least; the last is given with "or".
        shown = [repr(word) for word in known]
        listed = " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
        guess = closest(str(value), known) or next(word for word in known if word is not None)
        raise ValueError(
            explain(f"{owner} got {argument}={value!r}.", f"Expected {listed}.", f"{owner}(..., {argument}={guess!r})")
        )
    return value


def sizes(owner: str, argument: str, value: Any, count: int, *, minimum: int = 1) -> tuple[int, ...]:
    """Return one size per axis: 3 becomes (3, 3) for two axes."""
    parts = (value,) * count if isinstance(value, numbers.Integral) else value
    good = isinstance(parts, (tuple, list)) and len(parts) == count
    if not good or any(isinstance(p, bool) or not isinstance(p, numbers.Integral) or p < minimum for p in parts):
        usual = _USUAL.get(argument, 1)
        raise ValueError(
            explain(
                f"{owner} got {argument}={value!r}.",
                f"Expected a whole number of at least {minimum}, or {count} of them.",
                f"{owner}(..., {argument}={usual if count == 1 else (usual,) * count})",
            )
        )
    return tuple(int(part) for part in parts)


def refuse_unavailable(owner: str, fix: str, **settings: Any) -> None:
    """Raise if one of Keras's settings that there is nothing for here has been given; None is fine."""
    for argument, value in settings.items():
        if value is not None:
            raise ValueError(
                explain(f"{owner} got {argument}={value!r}.", f"Expected {argument}=None: this is not available.", fix)
            )


def data_format(owner: str, value: Any) -> str:
    """Return the order of axes; None means channels last."""
    return one_of(owner, "data_format", value or image_data_format(), ("channels_last", "channels_first"))
