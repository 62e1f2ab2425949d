"""What the functions of this room were asked for, refused in words where it is impossible."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain


def check_whole(owner: str, name: str, value: Any, least: int, fix: str, also: str = "") -> None:
    """Refuse what is no whole number of at least `least`.

    Args:
        owner: Who asks, for the message.
        name: The argument's name.
        value: What was given.
        least: The smallest that will do.
        fix: A value that will do, as it is typed.
        also: What the message says besides.

    Raises:
        ValueError: It is none.

    Example:
        >>> check_whole("trace", "rows", 0, 1, "rows=8")
        Traceback (most recent call last):
        ValueError: trace got rows=0.
        Expected a whole number of at least 1.
        Fix: rows=8
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(
            explain(f"{owner} got {name}={value!r}.", f"Expected a whole number of at least {least}{also}.", fix)
        )


def check_seed(owner: str, seed: Any) -> None:
    """Refuse what is no seed.

    Raises:
        ValueError: It is not a whole number from 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(explain(f"{owner} got seed={seed!r}.", "Expected a whole number from 0.", "seed=0"))
