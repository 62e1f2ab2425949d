"""How much memory new weights may take while a file is read.

A file says how large its layers are, and may say anything. The weights it
describes must also be in it, so its own size bounds them: what asks for much
more is refused before memory is taken.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

from uncrumple.core.errors import explain

_left: ContextVar[list[int] | None] = ContextVar("uncrumple_numbers_left", default=None)


@contextlib.contextmanager
def at_most(numbers: int) -> Iterator[None]:
    """Within this block, new weights may hold at most this many numbers together."""
    token = _left.set([numbers])
    try:
        yield
    finally:
        _left.reset(token)


def take(shape: Sequence[int], owner: str) -> None:
    """Count the numbers of a new weight against the limit in force, if there is one.

    Raises:
        ValueError: There is a limit, and the weight does not fit in.
    """
    left = _left.get()
    if left is None:
        return
    numbers = math.prod(shape)
    if numbers > left[0]:
        raise ValueError(
            explain(
                f"The file describes {owner} with a weight of shape {tuple(shape)}, {numbers:,} numbers.",
                "Expected no more than the weights that the file holds.",
                "the file is damaged, or made to fill the memory; get it again from where it came",
            )
        )
    left[0] -= numbers
