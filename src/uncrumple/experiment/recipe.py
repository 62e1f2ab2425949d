"""How a network is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        epochs: At most this many.
        batch_size: Samples per step.
        learning_rate: The highest; it falls to 0 along half a cosine if `decays`.
        patience: Epochs without a lower validation loss after which training stops early.
        decays: Whether the learning rate falls over all epochs.
        threads: How many cores compute; None for all. A step of a small network is over before
            a second core has joined in, and waiting for one that is busy costs far more.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    decays: bool = False
    threads: int | None = None

    def changed(self, **given: Any) -> Recipe:
        """Return the recipe with what is not None replaced."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})
