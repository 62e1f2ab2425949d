"""Names that objects get when nobody names them: `dense`, `dense_1`, ..."""

from __future__ import annotations

import re
from collections import Counter

_used: Counter[str] = Counter()


def to_snake_case(name: str) -> str:
    """Return a class name in snake case, as Keras spells it.

    Example:
        >>> to_snake_case("Conv2D"), to_snake_case("RMSprop"), to_snake_case("SimpleRNN")
        ('conv2d', 'rm_sprop', 'simple_rnn')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix: str) -> str:
    """Return `prefix` with a counter that grows with each call: dense, dense_1, ..."""
    prefix = to_snake_case(prefix)
    count = _used[prefix]
    _used[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


def reset_names() -> None:
    """Forget every name given so far, so that counting starts again."""
    _used.clear()
