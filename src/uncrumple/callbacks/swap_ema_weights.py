"""Look at the model through the moving average of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.core.errors import explain


class SwapEMAWeights(Callback):
    """Put the moving average of the weights in their place for each evaluation, and take it out again.

    Needs an optimizer with `use_ema=True`. As long as it has not made a step
    there is no average, and nothing is swapped.

    Args:
        swap_on_epoch: Whether the average also stays in place from the end of
            an epoch to the beginning of the next, for callbacks such as
            `ModelCheckpoint` that come after this one in the list.

    Raises:
        ValueError: The optimizer keeps no average.

    Example:
        >>> callbacks = [SwapEMAWeights(swap_on_epoch=True)]  # then ModelCheckpoint("average.keras")
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        for _ in self._optimizers():  # refuse before training what would fail after an epoch of it
            pass

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._take_out()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._put_in()
            # At the end of fit the average replaces the weights for good. It is in their place already,
            # and what is kept as the average by then are the weights: make them equal.
            if self._swapped and (epoch == self._epochs() - 1 or self.model.stop_training):
                self._for_each_pair(_overwrite)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._put_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._take_out()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._put_in()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._take_out()

    def _put_in(self) -> None:
        if not self._swapped and any(int(one.iterations) for one in self._optimizers()):
            self._for_each_pair(_swap)
            self._swapped = True

    def _take_out(self) -> None:
        if self._swapped:
            self._for_each_pair(_swap)
            self._swapped = False

    def _epochs(self) -> int:
        return (self.params or {}).get("epochs") or 1

    def _for_each_pair(self, act: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
        with torch.no_grad():
            for optimizer in self._optimizers():
                for weight, average in zip(optimizer._weights, optimizer._averages):
                    act(weight, average)

    def _optimizers(self) -> Iterator[Any]:
        """Yield the optimizers that keep an average."""
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        found = [one for one in getattr(optimizer, "optimizers", [optimizer]) if getattr(one, "use_ema", False)]
        if not found:
            kind = type(optimizer).__name__
            raise ValueError(
                explain(
                    f"SwapEMAWeights found no moving average in the optimizer {kind}.",
                    "Expected an optimizer with use_ema=True.",
                    f"model.compile(optimizer={kind}(use_ema=True), ...)",
                )
            )
        yield from found


def _swap(weight: torch.Tensor, average: torch.Tensor) -> None:
    before = weight.detach().clone()
    weight.copy_(average)
    average.copy_(before)


def _overwrite(weight: torch.Tensor, average: torch.Tensor) -> None:
    average.copy_(weight)
