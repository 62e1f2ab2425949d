"""Settings of callbacks, refused at once when they cannot work."""

from __future__ import annotations

import math
import numbers
from typing import Any

from uncrumple.core.errors import explain


def number(
    owner: str,
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    below: float | None = None,
    example: str,
) -> None:
    """Refuse a setting that is not a number within its range.

    Args:
        owner: The class, for the message.
        name: The argument's name.
        value: What was given.
        at_least: The smallest value that works.
        below: What the value must be less than.
        example: A value that works, as one would type it.

    Raises:
        TypeError: `value` is not a number.
        ValueError: It is out of range or not a number in the other sense (NaN).
    """
    wanted = "a number"
    if at_least is not None:
        wanted += f", {at_least} or more"
    if below is not None:
        wanted += f", less than {below}"
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    low = -math.inf if at_least is None else at_least
    if real and value >= low and (below is None or value < below):  # NaN is neither
        return
    kind = ValueError if real else TypeError
    raise kind(explain(f"{owner} got {name}={value!r}.", f"Expected {wanted}.", f"{owner}({name}={example})"))


def save_frequency(owner: str, value: Any, *, may_be_false: bool = False) -> None:
    """Refuse a `save_freq` that is neither "epoch" nor a positive whole number of batches."""
    if value == "epoch" or (may_be_false and value is False):
        return
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) > 0:
        return
    raise ValueError(
        explain(
            f"{owner} got save_freq={value!r}.",
            "Expected 'epoch', or a positive whole number of batches.",
            f"{owner}(..., save_freq='epoch')",
        )
    )
