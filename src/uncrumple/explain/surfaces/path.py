"""The way of the weights while a model trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.callbacks import Callback
from uncrumple.core.errors import explain
from uncrumple.explain.surfaces.weights import Place


class WeightPath(Callback):
    """Notes the trainable weights while a model trains: at the start, and after each epoch or every so many steps.

    Args:
        every: After how many steps; None notes them after each epoch, which costs training next to nothing.

    Attributes:
        points: What was noted, each a flat float32 array.
        steps: After which epoch (or step) each was noted; 0 is the start.
        start: All weights at the start, as `get_weights` gives them: for `loss_line(..., start=path.start)`.

    Example:
        >>> import torch
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> path = WeightPath()
        >>> _ = model.fit(torch.ones(8, 2), torch.ones(8, 1), epochs=3, verbose=0, callbacks=[path])
        >>> len(path.points), path.points[0].shape
        (4, (3,))
    """

    def __init__(self, every: int | None = None) -> None:
        super().__init__()
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise ValueError(
                explain(
                    f"WeightPath got every={every!r}.",
                    "Expected a whole number of steps of at least 1, or None for each epoch.",
                    "WeightPath(every=10)",
                )
            )
        self.every = every
        self.points: list[np.ndarray] = []
        self.steps: list[int] = []
        self.start: list[np.ndarray] = []
        self._seen = 0

    def _note(self, step: int) -> None:
        self.points.append(Place(self.model).flat().numpy())
        self.steps.append(step)

    def on_train_begin(self, logs: Any = None) -> None:
        self.points, self.steps, self._seen = [], [], 0
        self.start = self.model.get_weights()
        self._note(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._seen += 1
        if self.every is not None and self._seen % self.every == 0:
            self._note(self._seen)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.every is None:
            self._note(epoch + 1)

    def _idle_batch_hooks(self) -> tuple[Any, ...]:
        return (WeightPath.on_train_batch_end,) if self.every is None else ()
