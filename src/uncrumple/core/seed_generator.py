"""Seeds that move on: where random numbers come from that are asked for by name.

A seed that is a number gives the same random numbers at every call. A
`SeedGenerator` gives others at each call, and the same sequence of them from
the same start. None stands for torch's own generator, which
`set_random_seed` sets.
"""

from __future__ import annotations

import random
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.naming import auto_name
from uncrumple.core.variable import Variable

_BITS = 0xFFFFFFFF
_uses = 0


def uses() -> int:
    """Return how often seed generators were used so far in this program: whether anything drew random numbers from one."""
    return _uses


class SeedGenerator:
    """A seed that is another one at each use.

    Args:
        seed: Where to begin, a whole number; None draws one.
        name: Its name, for files.

    Attributes:
        state: A variable with the seed and how often it was used.

    Example:
        >>> from uncrumple import random
        >>> seeds = SeedGenerator(1)
        >>> first, second = random.normal((2,), seed=seeds), random.normal((2,), seed=seeds)
        >>> bool((first == second).any())
        False
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise ValueError(
                explain(f"SeedGenerator got {', '.join(kwargs)}.", "Expected seed and name.", "SeedGenerator(1337)")
            )
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise ValueError(
                explain(f"SeedGenerator got seed={seed!r}.", "Expected a whole number or None.", "SeedGenerator(1337)")
            )
        self.name = name or auto_name("SeedGenerator")
        self._initial_seed = seed
        start = random.randint(1, 10**9) if seed is None else seed
        self.state = Variable(
            torch.tensor([start, 0], dtype=torch.int64, device="cpu"), trainable=False, name="seed_generator_state"
        )

    def next(self, ordered: bool = True) -> torch.Tensor:
        """Return the state as it is, and move it on."""
        global _uses
        _uses += 1
        now = self.state.detach().clone()
        moved = now + torch.tensor([0, 1], device=now.device) if ordered else (now + 1) * 5387 % 933199
        self.state.assign(moved)
        return now

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        return cls(**config)


def generator_for(seed: Any, device: torch.device | str | None = None) -> torch.Generator | None:
    """Return the torch generator for a seed: a number, a `SeedGenerator`, or None for torch's own.

    Args:
        seed: What the user gave.
        device: Where the numbers will be; none are drawn on `meta`.
    """
    if seed is not None and not isinstance(seed, (int, SeedGenerator)):
        raise ValueError(
            explain(
                f"seed={seed!r} is of type {type(seed).__name__}.",
                "Expected a whole number, a SeedGenerator, or None.",
                "seed=1337",
            )
        )
    device = torch.device(device) if device is not None else torch.get_default_device()
    if seed is None or device.type == "meta":
        return None
    number = seed if isinstance(seed, int) else int(seed.next().sum())
    made = torch.Generator(device=device)
    made.manual_seed(number & _BITS)
    return made
