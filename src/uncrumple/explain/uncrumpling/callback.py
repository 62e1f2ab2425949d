"""`UncrumpleView`: the view over training, as a callback of `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.core.errors import explain
from uncrumple.explain.asked import check_whole
from uncrumple.explain.uncrumpling.making import Looker, name_of
from uncrumple.explain.uncrumpling.probe_set import probe_set
from uncrumple.explain.uncrumpling.view import Frame, Uncrumpled, aligned


class UncrumpleView(Callback):
    """Records what every layer makes of the same samples, before training and again and again while it goes on.

    Training goes as it would without: the same weights, bit for bit. When there are more moments than `most`, every
    second one is dropped, and from then on half as many are recorded.

    Args:
        data: As for `uc.uncrumple`: (x, y), a kind of data, or parts of it.
        every: Record after every so many epochs.
        every_steps: Record after every so many steps as well; for what happens within the first epoch.
        most: The largest number of moments that are kept.
        points: How many samples are shown, at most.
        layers: Names of layers; by default all that change a number.
        exact: Whether a layer of two units is shown by its two numbers.
        task: `"classification"` or `"regression"`; by default told by y.
        class_names: Names for the classes.
        seed: Of the choice of samples.

    Attributes:
        view: The `Uncrumpled` of what was recorded so far: `.save("training.html")`, `.save("training.gif")`.

    Example:
        >>> import numpy as np
        >>> from uncrumple.models import Sequential
        >>> from uncrumple.layers import Dense, Input
        >>> x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
        >>> y = (x[:, 0] > 0).astype(int)
        >>> model = Sequential([Input((2,)), Dense(4, "tanh"), Dense(1, "sigmoid")])
        >>> model.compile("adam", "binary_crossentropy")
        >>> watch = UncrumpleView((x, y))
        >>> _ = model.fit(x, y, epochs=2, verbose=0, callbacks=[watch])
        >>> [frame.epoch for frame in watch.view.frames]
        [0, 1, 2]
    """

    def __init__(
        self,
        data: Any,
        *,
        every: int = 1,
        every_steps: int | None = None,
        most: int = 40,
        points: int = 400,
        layers: Any = None,
        exact: bool = True,
        task: str | None = None,
        class_names: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (("every", every, 1), ("every_steps", every_steps, 1), ("most", most, 4)):
            if name == "every_steps" and value is None:
                continue
            check_whole("UncrumpleView", name, value, least, f"{name}={max(least, 10 if name != 'every' else 1)}")
        self.every, self.every_steps, self.most = int(every), every_steps, int(most)
        self.probe = probe_set(data, points, task, class_names, seed, owner="UncrumpleView")
        self.layers, self.exact = layers, exact
        self.frames: list[Frame] = []
        self._looker: Looker | None = None
        self._thinned = 1  # only one of so many moments is recorded
        self._moments = self._steps = self._epochs = 0
        self._in_epoch = 0
        self._cached: tuple[int, Uncrumpled] | None = None

    def _idle_batch_hooks(self) -> tuple[Any, ...]:
        # Steps are counted by epochs then, and the fast ways through an epoch stay open.
        return () if self.every_steps else (UncrumpleView.on_train_batch_end,)

    # --- the moments -----------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Record the network before its first step; going on with `fit` goes on with the view."""
        if not self.frames:
            self._record(None, keep=True)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Record after a step, if this one is to be."""
        done = batch + 1
        self._steps += done - self._in_epoch
        self._in_epoch = done
        if self.every_steps and self._steps % self.every_steps == 0:
            self._record(None)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin to count the epoch's steps."""
        self._in_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Record after an epoch, if this one is to be."""
        self._epochs += 1
        if not self.every_steps:
            self._steps += (self.params or {}).get("steps") or 0
        if self._epochs % self.every == 0:
            self._record(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Record the end, if it was not."""
        if self.frames[-1].epoch != self._epochs or self.frames[-1].step != self._steps:
            self._record(logs, keep=True)

    def _record(self, logs: Logs | None, keep: bool = False) -> None:
        self._moments += 1
        if not keep and self._moments % self._thinned:
            return
        last = self.frames[-1] if self.frames else None
        if last is not None and last.step == self._steps and last.epoch == self._epochs:
            return
        if last is not None and self._steps and last.step == self._steps:
            self.frames.pop()  # the same step, recorded before the epoch was over
        if self._looker is None:
            self._looker = Looker(self.model, self.probe, self.layers, self.exact)
        loss = None if not logs else logs.get("loss")
        self.frames.append(
            self._looker.look(self.model, self._steps, self._epochs, None if loss is None else float(loss))
        )
        if len(self.frames) > self.most:
            del self.frames[1:-1:2]
            self._thinned *= 2

    @property
    def view(self) -> Uncrumpled:
        """What was recorded so far."""
        if not self.frames or self._looker is None:
            raise RuntimeError(
                explain(
                    "UncrumpleView has recorded nothing yet.",
                    "Expected a fit() with it among the callbacks.",
                    "model.fit(x, y, callbacks=[watch]), and then watch.view",
                )
            )
        if self._cached is None or self._cached[0] != id(self.frames[-1]):
            made = Uncrumpled(aligned(self.frames), self.probe, name_of(self.model), self._looker.notes)
            self._cached = id(self.frames[-1]), made
        return self._cached[1]
