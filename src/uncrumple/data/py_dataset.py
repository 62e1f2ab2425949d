"""`PyDataset`: batches that a class of the user's own makes, in several threads or processes if asked to."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import torch

from uncrumple.core import own_parts
from uncrumple.core.errors import explain, warn
from uncrumple.data.background import drained, in_order
from uncrumple.data.elements import as_numpy

__all__ = ["PyDataset", "Sequence", "batches_of"]


class PyDataset:
    """Batches made by a class of your own: `__getitem__(index)` returns one, `__len__()` says how many there are.

    Args:
        workers: How many threads, or processes, make batches ahead; with 1 thread they are made when
            they are asked for.
        use_multiprocessing: Whether to use processes: for Python code that computes, which threads do
            one after another. Each batch then starts from a random state of its own, which follows
            from `set_random_seed`, the epoch and the number of the batch, and not from which process
            makes it.
        max_queue_size: How many batches to make ahead at most.

    A batch is (x, y), (x, y, sample_weight), or x. `fit` asks for batches in
    random order if `shuffle` is True, and gets them in order. For a data set
    without end, `num_batches` returns None and `fit` needs `steps_per_epoch`.

    Example:
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 2
        ...     def __getitem__(self, index):
        ...         x = np.arange(3.0) + 3 * index
        ...         return x, x**2
        >>> [y.tolist() for x, y in Squares()]
        [[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def _setting(self, name: str, default: Any) -> Any:
        if name not in self.__dict__:
            warn(
                f"{type(self).__name__}.__init__() does not call super().__init__().",
                "Expected workers, use_multiprocessing and max_queue_size to be set there.",
                "super().__init__(**kwargs) as its first line",
            )
            self.__dict__.update({"_workers": 1, "_use_multiprocessing": False, "_max_queue_size": 10, **self.__dict__})
        return self.__dict__[name]

    def _set_whole(self, name: str, value: Any, least: int) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(
                explain(
                    f"{type(self).__name__} got {name}={value!r}.",
                    f"Expected a whole number of at least {least}.",
                    f"{name}={max(least, 1)}",
                )
            )
        self.__dict__[f"_{name}"] = int(value)

    @property
    def workers(self) -> int:
        return self._setting("_workers", 1)

    @workers.setter
    def workers(self, value: int) -> None:
        self._set_whole("workers", value, 0)

    @property
    def use_multiprocessing(self) -> bool:
        return self._setting("_use_multiprocessing", False)

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self.__dict__["_use_multiprocessing"] = bool(value)

    @property
    def max_queue_size(self) -> int:
        return self._setting("_max_queue_size", 10)

    @max_queue_size.setter
    def max_queue_size(self, value: int) -> None:
        self._set_whole("max_queue_size", value, 1)

    def __getitem__(self, index: int) -> Any:
        """Return batch number `index`."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no __getitem__().",
                "Expected one, which returns a batch.",
                "def __getitem__(self, index): return x, y",
            )
        )

    @property
    def num_batches(self) -> int | None:
        """The number of batches, as `len()` says; None for no end."""
        if hasattr(type(self), "__len__"):
            return len(self)  # type: ignore[arg-type]
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has neither __len__() nor num_batches.",
                "Expected one of them: the number of batches.",
                "def __len__(self): return ...; or a property num_batches that returns None, for no end",
            )
        )

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    def on_epoch_begin(self) -> None:
        """Called before the first batch of each epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of each epoch."""


# The name that Keras 2 had for it.
Sequence = PyDataset


def batches_of(dataset: PyDataset, shuffle: bool) -> Iterator[Any]:
    """Return the batches of one epoch, made by as many threads or processes as the data set says.

    Args:
        dataset: Where they come from.
        shuffle: Whether to ask for them in random order.
    """
    count = dataset.num_batches
    numbers: Iterable[int]
    if count is None:
        numbers = itertools.count()
    else:
        numbers = torch.randperm(count, device="cpu").tolist() if shuffle else range(count)
    workers, ahead = dataset.workers, max(dataset.workers, dataset.max_queue_size)
    if dataset.use_multiprocessing and workers > 0:
        return _from_processes(dataset, numbers, workers, ahead)
    make = _made_by(dataset)
    return in_order(make, numbers, workers, ahead) if workers > 1 else map(make, numbers)


def _made_by(dataset: PyDataset) -> Callable[[int], Any]:
    def make(number: int) -> Any:
        try:
            return dataset[number]
        except Exception as error:
            failure = own_parts.failed(
                f"{type(dataset).__name__}.__getitem__()",
                error,
                on=f" for batch {number}",
                expected="Expected (x, y), (x, y, sample_weight), or x.",
                fix="def __getitem__(self, index): return x, y",
            )
            if failure is None:
                raise
            raise failure from None

    return make


# --- processes -----------------------------------------------------------------------------------

# In a process that makes batches: the data set, and what random states follow from.
_here: tuple[Callable[[int], Any], int] | None = None


def _begin(dataset: PyDataset, seed: int) -> None:
    global _here
    _here = _made_by(dataset), seed
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains


def _made_here(number: int) -> Any:
    assert _here is not None
    make, seed = _here
    first, second, third = np.random.SeedSequence((seed, number)).generate_state(3)
    random.seed(int(first))
    np.random.seed(int(second))
    torch.manual_seed(int(third))
    return as_numpy(make(number))


def _from_processes(dataset: PyDataset, numbers: Iterable[int], workers: int, ahead: int) -> Iterator[Any]:
    # A process that is forked has the data set without its being copied; where there is no fork, it is pickled.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    seed = int(torch.randint(2**62, ()))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), _begin, (dataset, seed))
    try:
        yield from drained(pool, _made_here, numbers, ahead)
    except BrokenProcessPool:
        raise RuntimeError(
            explain(
                f"A process that made batches of {type(dataset).__name__} ended: it crashed, or there was not enough memory.",
                "Expected it to return a batch.",
                f"{type(dataset).__name__}(use_multiprocessing=False) shows where; or fewer workers",
            )
        ) from None
