"""One seed for everything that draws random numbers."""

from __future__ import annotations

import random

import numpy as np
import torch


def is_seeded() -> bool:
    """Return whether somebody has given torch a seed, so that a program repeats itself.

    Example:
        >>> set_random_seed(0)
        >>> is_seeded()
        True
    """
    # torch begins with a seed of 53 bits that it takes from the system; people's are smaller.
    return torch.default_generator.initial_seed() < 2**32


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and torch, so that a program repeats itself bit for bit.

    The same seed gives the same initial weights, the same shuffling and the
    same dropout on the same machine with the same number of threads. With a
    seed, `fit` does not choose the number of threads by itself.

    Args:
        seed: A whole number, 0 <= seed < 2**32.

    Example:
        >>> set_random_seed(0)
    """
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        from uncrumple.core.errors import explain

        raise ValueError(
            explain(
                f"set_random_seed got {seed!r}.", "Expected a whole number from 0 to 2**32 - 1.", "set_random_seed(0)"
            )
        )
    random.seed(int(seed))
    np.random.seed(int(seed))
    torch.manual_seed(int(seed))


def generator(seed: int | None, device: torch.device | str = "cpu") -> torch.Generator | None:
    """Return a torch generator for `seed`, or None (torch's global one) when seed is None."""
    if seed is None:
        return None
    made = torch.Generator(device=device)
    made.manual_seed(int(seed) % 2**63)
    return made
