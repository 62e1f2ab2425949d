"""What the loss along lines and the loss on a plane share: the rows they are measured on, and how they become data."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from uncrumple.data.batches import Batches
from uncrumple.explain.style import plain
from uncrumple.explain.tuning.drawing import Drawn
from uncrumple.explain.tuning.given import batches_of, prepared


class Measured(Drawn):
    """Losses at places around a network's weights; the subclasses are dataclasses that hold them."""

    def verdict(self) -> str:
        """Return in a sentence what was found."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        numbers = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        return plain({"verdict": self.verdict(), **numbers})


def batches_to_measure(model: Any, data: Any, owner: str) -> Batches:
    """Return data in order, as batches on the device of a model that is built for it.

    Args:
        model: A compiled model.
        data: As for `fit`; of parts the training part.
        owner: Who asks, for messages.
    """
    return prepared(model, batches_of(data, owner, None, shuffle=False), owner)
