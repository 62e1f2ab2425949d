"""Rows that are read, and augmented, while training goes on.

The order of rows and every random number in their augmentation follow from
one seed, the number of the epoch and the place of the batch: neither threads
nor processes, nor how many there are, change anything. At no time are more
than a few batches in memory.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import torch

from uncrumple.core import own_parts
from uncrumple.core.errors import explain
from uncrumple.data import sources, stages
from uncrumple.data.background import close, cores, drained
from uncrumple.data.dataset import Dataset
from uncrumple.data.sources import Run, Stage

_BATCHES_AHEAD = 2


class Augmented(Stage):
    """Batches whose pictures are changed at random, anew in each epoch.

    Args:
        source: Batches of x, or of (x, y).
        augment: Layers of the kind `RandomFlip`, or functions of a batch of pictures.
        seed: What the random numbers follow from.
    """

    batched = True

    def __init__(self, source: Stage, augment: Sequence[Callable[..., Any]], seed: int) -> None:
        self.sources, self.source, self.augment, self.seed = (source,), source, tuple(augment), seed
        self._runs = 0

    def count(self) -> int:
        return self.source.count()

    def start(self, run: Run) -> Iterator[Any]:
        epoch, self._runs = self._runs, self._runs + 1
        batches = self.source.start(run.within())
        try:
            for place, batch in enumerate(batches):
                x, *rest = batch if isinstance(batch, tuple) else (batch,)
                changed = augmented(x, self.augment, (self.seed, epoch, place))
                yield (changed, *rest) if isinstance(batch, tuple) else changed
        finally:
            close(batches)


def augmented(x: torch.Tensor, augment: Sequence[Callable[..., Any]], key: tuple[int, ...]) -> torch.Tensor:
    """Return a batch of pictures changed at random; the same key changes them the same way.

    Args:
        x: (samples, height, width, channels).
        augment: Layers, or functions of a batch; each gets what the one before returned.
        key: What the random numbers follow from.

    Example:
        >>> x = torch.rand(4, 2, 2, 1)
        >>> noise = [lambda x: x + torch.rand_like(x)]
        >>> bool((augmented(x, noise, (0, 1)) == augmented(x, noise, (0, 1))).all())
        True
    """
    before = x.shape
    states = np.random.SeedSequence(key).generate_state(len(augment) + 1)
    # Functions draw from torch's own generator: it is lent to them, and then goes on where it was.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(int(states[-1]))
        for change, state in zip(augment, states[:-1].tolist()):
            generator = getattr(change, "generator", None)
            if generator is not None and hasattr(generator, "state"):
                generator.state.assign(torch.tensor([state, 0], dtype=torch.int64))
            x = change(x, training=True) if hasattr(change, "get_config") else change(x)
            if not isinstance(x, torch.Tensor) or x.shape[0] != before[0]:
                raise ValueError(
                    explain(
                        f"{own_parts.named('augment', change)} returned {own_parts.described(x)} for a batch of shape "
                        f"{tuple(before)}.",
                        "Expected a tensor with as many pictures.",
                        "augment=[layers.RandomFlip('horizontal')]",
                    )
                )
    return x


class InProcesses(Stage):
    """Batches that other processes make of row numbers.

    Args:
        source: Batches of row numbers.
        make: Makes an array, or a tuple of them, of an array of row numbers.
        processes: How many.
    """

    batched = True

    def __init__(self, source: Stage, make: Callable[[np.ndarray], Any], processes: int) -> None:
        self.sources, self.source, self.make, self.processes = (source,), source, make, processes

    def count(self) -> int:
        return self.source.count()

    def start(self, run: Run) -> Iterator[Any]:
        # A process that is forked has what it needs without its being copied; where there is no fork, it is pickled.
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        pool = ProcessPoolExecutor(self.processes, multiprocessing.get_context(method), _begin, (self.make,))
        numbers = (batch.numpy() for batch in self.source.start(run.within()))
        made = drained(pool, _made_here, numbers, self.processes + _BATCHES_AHEAD)
        try:
            for batch in made:
                yield tuple(map(torch.from_numpy, batch)) if isinstance(batch, tuple) else torch.from_numpy(batch)
        except BrokenProcessPool:
            raise RuntimeError(
                explain(
                    "A process that read rows ended: it crashed, or there was not enough memory.",
                    "Expected it to return a batch.",
                    "processes=0 shows where; or fewer processes",
                )
            ) from None
        finally:
            close(made)


# In a process that makes batches: what makes them.
_here: Callable[[np.ndarray], Any] | None = None


def _begin(make: Callable[[np.ndarray], Any]) -> None:
    global _here
    _here = make
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains


def _made_here(numbers: np.ndarray) -> Any:
    assert _here is not None
    return _here(numbers)


def check_settings(batch_size: Any, workers: Any, processes: Any, seed: Any) -> None:
    """Refuse what is impossible."""
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 1), ("processes", processes, 0)):
        if value is None and name == "workers":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(
                explain(
                    f"batches got {name}={value!r}.",
                    f"Expected a whole number of at least {least}.",
                    f"{name}={max(least, 2)}",
                )
            )
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(
            explain(f"batches got seed={seed!r}.", "Expected a whole number of at least 0, or None.", "seed=0")
        )


def stream(
    rows: int,
    *,
    batch_size: int,
    shuffle: bool,
    seed: int | None,
    one: Callable[[int], Any] | None = None,
    many: Callable[[np.ndarray], Any],
    join: Callable[[list[Any]], Any] | None = None,
    workers: int | None = None,
    processes: int = 0,
    augment: Sequence[Callable[..., Any]] = (),
    order: stages.Order | None = None,
) -> Dataset:
    """Return a `Dataset` of batches of rows, which are read when they are needed.

    Args:
        rows: How many there are.
        batch_size: Rows per batch.
        shuffle: Whether each epoch has another order.
        seed: For the order and the augmentation; None draws one from torch's generator.
        one: Reads a row: then threads read rows side by side. None reads whole batches, by `many`.
        many: Reads rows as a batch of NumPy arrays.
        join: Makes a batch of what `one` returned.
        workers: Threads; None for one per core.
        processes: Processes that read in place of threads; 0 for none. None are started where `one` is None.
        augment: As for `augmented`.
        order: What shuffles, in place of a plain random order.
    """
    check_settings(batch_size, workers, processes, seed)
    drawn = int(torch.randint(2**31, ())) if seed is None else int(seed)
    numbers: sources.Numbered = sources.Range(rows)
    if shuffle:
        numbers = stages.Chosen(numbers, order or stages.Order(rows, drawn, True), rows)
    stage: Stage
    if processes and one is not None:
        stage = InProcesses(stages.Batched(numbers, batch_size), many, processes)
    elif one is not None and join is not None:
        read = one
        threads = cores() if workers is None else workers
        stage = stages.Mapped(numbers, lambda number: read(int(number)), threads, trusted=True)
        stage = stages.Ahead(stages.Batched(stage, batch_size, join=join), _BATCHES_AHEAD)
    else:
        whole = stages.Mapped(stages.Batched(numbers, batch_size), lambda some: many(some.numpy()), 0, trusted=True)
        stage = stages.Ahead(whole, _BATCHES_AHEAD)
    if augment:
        stage = Augmented(stage, augment, drawn)
    return Dataset(stage)
