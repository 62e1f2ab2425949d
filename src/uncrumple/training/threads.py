"""How many threads a training works with.

Threads of one step wait for each other at the end of every operation, and
they wait by spinning. With two cores to themselves, two threads are up to
twice as fast as one. Where another program wants a core, they can be fifty
times slower. So `fit` times a few steps with all threads and a few with one,
stays with the faster, and looks again when steps become slow.

Sums over several threads are rounded in another order than sums by one. Who
has set a seed wants every bit again, and keeps the threads that torch has; so
does who has set their number.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from uncrumple.core.seeds import is_seeded

_FIRST_THREADS = torch.get_num_threads()
_WARM_UP = 3  # steps that are not timed: they make what is kept for later ones
_PAIRS = 3  # how often each number of threads is tried
_BLOCK = 0.02  # seconds of steps that are timed together
_WATCHED = 0.25  # seconds after which the pace is looked at again
_SLOW = 1.5  # so many times the usual time of a step lead to another trial
_CLEAR = 0.7  # below this ratio one pair is enough
_PAUSES = (2.0, 60.0)  # seconds from one trial to the next: at first, and at most


def thread_choice() -> ThreadChoice:
    """Return what chooses the number of threads during a `fit`; it leaves them alone where they are to stay."""
    most = torch.get_num_threads()
    chosen_by_hand = most != _FIRST_THREADS or "OMP_NUM_THREADS" in os.environ
    free = most > 1 and not chosen_by_hand and not is_seeded() and torch.get_default_device().type == "cpu"
    return ThreadChoice(most if free else 1)


class ThreadChoice:
    """A context that watches steps go by, and sets torch's number of threads to what makes them fast.

    Args:
        most: The number of threads to compare with one; 1 changes nothing.
        clock: Returns seconds.
        set_threads: Called with the number of threads from now on.

    Example:
        >>> with ThreadChoice(1) as choice:
        ...     list(choice.watched([1, 2, 3]))
        [1, 2, 3]
    """

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.perf_counter,
        set_threads: Callable[[int], Any] = torch.set_num_threads,
    ) -> None:
        self.most, self.threads = most, most
        self._clock, self._set_threads = clock, set_threads
        self._steps, self._seconds = 0, 0.0  # of the block that is being timed
        self._warm_up = _WARM_UP
        self._times: dict[int, list[float]] | None = {most: [], 1: []}  # of a step, while they are tried
        self._usual = self._since = 0.0  # of a step; since the last trial
        self._pause = _PAUSES[0]
        self._before: int | None = None  # what the last trial found better

    def __enter__(self) -> ThreadChoice:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.threads != self.most:
            self._use(self.most)

    def watched(self, batches: Iterable[Any]) -> Iterable[Any]:
        """Return the batches of an epoch; what happens between one and the next counts as a step."""
        return batches if self.most == 1 else self._watched(batches)

    def _watched(self, batches: Iterable[Any]) -> Iterator[Any]:
        clock = self._clock
        for batch in batches:
            begin = clock()
            yield batch
            self._steps += 1
            self._seconds += clock() - begin
            if self._seconds >= _BLOCK or self._warm_up:
                self._look()

    def _look(self) -> None:
        """Go on after a block of steps, or after one of the first."""
        if self._warm_up:
            self._warm_up -= 1
            self._begin_block()
        elif self._times is not None:
            self._times[self.threads].append(self._seconds / self._steps)
            self._begin_block()
            self._compare(self._times)
        elif self._seconds >= _WATCHED:
            pace = self._seconds / self._steps
            self._since += self._seconds
            self._begin_block()
            self._usual = min(self._usual, pace)
            # One thread does not notice when the machine has become quiet: it asks from time to time.
            doubtful = pace > _SLOW * self._usual or self.threads == 1
            if doubtful and self._since >= self._pause:
                self._times = {self.most: [], 1: []}
                self._use(self.most)

    def _compare(self, times: dict[int, list[float]]) -> None:
        """Try the other number of threads, or stay with the better one."""
        all_of_them, one = times[self.most], times[1]
        if len(one) < len(all_of_them):
            self._use(1)
            return
        ratio = statistics.median(one) / statistics.median(all_of_them)
        if len(one) < _PAIRS and _CLEAR < ratio < 1 / _CLEAR:
            self._use(self.most)
            return
        better = 1 if ratio < 1 else self.most
        # As long as it turns out the same, it is asked less and less often.
        self._pause = min(2 * self._pause, _PAUSES[1]) if better == self._before else _PAUSES[0]
        self._before = better
        self._usual, self._since, self._times = statistics.median(times[better]), 0.0, None
        self._use(better)

    def _begin_block(self) -> None:
        self._steps, self._seconds = 0, 0.0

    def _use(self, threads: int) -> None:
        if threads != self.threads:
            self._set_threads(threads)
            self.threads = threads
