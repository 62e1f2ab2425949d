"""Work in the background: reading ahead, and calls in several threads whose results come in order.

What is read ahead is the same as what would have been read later: nothing
here changes the order of things, or their values. A function that draws
random numbers is the one exception: threads would draw from torch's one
generator in an order that depends on chance. `DrawWatch` finds such functions
out, and they are called where the data is used, one call after another.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from uncrumple.core import seed_generator

_END = object()
# Seconds to wait for a thread that is told to end; it ends after what it is working on.
_PATIENCE = 10.0


def cores() -> int:
    """Return how many cores this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _openmp() -> list[Any]:
    from threadpoolctl import ThreadpoolController  # comes with scikit-learn

    return ThreadpoolController().select(user_api="openmp").lib_controllers


def use_one_core() -> None:
    """Let torch's operations run on one core in the thread that calls this; other threads keep theirs.

    Each thread that computes with torch gets helpers of its own: two threads
    on two cores would be four, waiting for each other.
    """
    torch.get_num_threads()  # torch sets the number of helpers when a thread first asks, and then no more
    for library in _openmp():
        library.set_num_threads(1)


class DrawWatch:
    """Tells whether random numbers were drawn since it was made: by torch, NumPy, Python, or from a `SeedGenerator`.

    Example:
        >>> watch = DrawWatch()
        >>> watch.drawn()
        False
        >>> _ = torch.rand(1)
        >>> watch.drawn()
        True
    """

    def __init__(self) -> None:
        self._before = self._state()

    def _state(self) -> tuple[Any, ...]:
        from_numpy: Any = np.random.get_state(legacy=True)
        return (
            torch.get_rng_state().numpy().tobytes(),
            from_numpy[1].tobytes(),
            from_numpy[2:],
            random.getstate(),
            seed_generator.uses(),
        )

    def drawn(self) -> bool:
        return self._state() != self._before


class _Shelf:
    """Hands things from one thread to another, at most `room` at a time; either side can end it."""

    def __init__(self, room: int) -> None:
        self._room, self._things, self._closed = room, deque[Any](), False
        self._changed = threading.Condition()

    def put(self, thing: Any) -> bool:
        """Wait for room and put a thing there; return False if nobody wants it any more."""
        with self._changed:
            while len(self._things) >= self._room and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._things.append(thing)
            self._changed.notify_all()
            return True

    def get(self) -> Any:
        with self._changed:
            while not self._things:
                self._changed.wait()
            thing = self._things.popleft()
            self._changed.notify_all()
            return thing

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._things.clear()
            self._changed.notify_all()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def read_ahead(items: Iterator[Any], room: int) -> Iterator[Any]:
    """Yield `items`, which a thread in the background draws, up to `room` of them ahead.

    The thread ends when all are drawn, and when the one who asked stops asking.

    Example:
        >>> list(read_ahead(iter("abc"), 2))
        ['a', 'b', 'c']
    """
    shelf = _Shelf(room)

    def work() -> None:
        try:
            use_one_core()
            for item in items:
                if not shelf.put(item):
                    return
            shelf.put(_END)
        except BaseException as error:
            shelf.put(_Failure(error))
        finally:
            close(items)

    thread = threading.Thread(target=work, name="uncrumple-read-ahead", daemon=True)
    thread.start()
    try:
        while (item := shelf.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        shelf.close()
        if thread is not threading.current_thread():
            thread.join(_PATIENCE)


def in_order(function: Callable[[Any], Any], items: Iterable[Any], workers: int, ahead: int) -> Iterator[Any]:
    """Yield `function(item)` for all items, in their order, computed by several threads.

    Args:
        function: What to call.
        items: What to call it with; drawn by the one who asks for results.
        workers: Number of threads.
        ahead: How many calls may be under way or waiting to be fetched.

    Example:
        >>> list(in_order(str.upper, "abc", workers=2, ahead=4))
        ['A', 'B', 'C']
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="uncrumple-worker", initializer=use_one_core)
    yield from drained(pool, function, items, ahead)


def drained(pool: Any, function: Callable[[Any], Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
    """Yield the results of calls that an executor makes, in their order; shut it down in the end."""
    waiting: deque[Future[Any]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        close(items)


def close(items: Any) -> None:
    """End an iterator that may hold threads of its own, now and not when memory is cleaned up."""
    if hasattr(items, "close"):
        with contextlib.suppress(ValueError):  # it is being drawn from by another thread, which ends it
            items.close()
