"""What is done with the elements of a `Dataset`, one thing after another.

Each stage can be started many times, each time from the beginning. Where the
elements of a stage have numbers (rows of arrays, files), those after it that
only choose and order work with the numbers, and a batch is made of its rows
at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from uncrumple.core import own_parts, tree
from uncrumple.core.errors import explain
from uncrumple.data.background import DrawWatch, close, in_order, read_ahead
from uncrumple.data.elements import as_element, row_of, rows_of, shapes_in_words, stacked
from uncrumple.data.sources import INFINITE, UNKNOWN, Numbered, Run, Stage

_END = object()

# --- choosing and ordering ---------------------------------------------------------------


class Chosen(Numbered):
    """Some elements of a numbered stage, or all in another order; what it does is a function of their numbers."""

    def __init__(self, source: Numbered, choose: Callable[[np.ndarray, Run], np.ndarray], count: int) -> None:
        self.sources, self.source, self.choose, self._count = (source,), source, choose, count
        self.batched = source.batched
        self.get, self.gather = source.get, source.gather  # type: ignore[method-assign]

    def count(self) -> int:
        return self._count

    def order(self, run: Run) -> np.ndarray:
        return self.choose(self.source.order(run.within()), run)


class Part(Stage):
    """Every `step`-th element from `start` up to `stop`."""

    def __init__(self, source: Stage, start: int, stop: int | None, step: int = 1) -> None:
        self.sources, self.source, self.where = (source,), source, (start, stop, step)
        self.batched = source.batched

    def count(self) -> int:
        return part_count(self.source.count(), *self.where)

    def start(self, run: Run) -> Iterator[Any]:
        source = self.source.start(run.within())
        try:
            yield from itertools.islice(source, *self.where)
        finally:
            close(source)


def part_count(there: int, start: int, stop: int | None, step: int = 1) -> int:
    """Return how many elements `Part` has, of a stage with `there`."""
    if there == UNKNOWN or (there == INFINITE and stop is None):
        return there
    end = stop if there == INFINITE else there if stop is None else min(stop, there)
    return len(range(start, end, step))  # type: ignore[arg-type]


class Order:
    """Puts elements in random order, as if they went through a buffer from which one is drawn at random each time.

    Args:
        size: Elements in the buffer.
        seed: None for another order after each `set_random_seed`.
        each: Whether each run has an order of its own.
    """

    def __init__(self, size: int, seed: int | None, each: bool) -> None:
        self.size, self.seed, self.each = size, seed, each
        self._runs = 0
        self._first: Run | None = None

    def _random(self, run: Run) -> np.random.Generator:
        if self.seed is not None:
            run = Run((self.seed, self._runs if self.each else 0))
            self._runs += 1
        elif not self.each:
            run = self._first = self._first or run
        return run.random()

    def __call__(self, numbers: np.ndarray, run: Run) -> np.ndarray:
        random = self._random(run)
        if self.size >= len(numbers):
            return random.permutation(numbers)
        return np.fromiter(self._mixed(iter(numbers.tolist()), random), np.int64, len(numbers))

    def mixed(self, elements: Iterator[Any], run: Run) -> Iterator[Any]:
        return self._mixed(elements, self._random(run))

    def _mixed(self, elements: Iterator[Any], random: np.random.Generator) -> Iterator[Any]:
        buffer = list(itertools.islice(elements, self.size))
        try:
            if len(buffer) == self.size:
                for element in elements:
                    place = int(random.integers(self.size))
                    yield buffer[place]
                    buffer[place] = element
            for place in random.permutation(len(buffer)):
                yield buffer[place]
        finally:
            close(elements)


class Shuffled(Stage):
    """Elements in random order, through a buffer."""

    def __init__(self, source: Stage, order: Order) -> None:
        self.sources, self.source, self.mix = (source,), source, order
        self.batched = source.batched

    def count(self) -> int:
        return self.source.count()

    def start(self, run: Run) -> Iterator[Any]:
        return self.mix.mixed(self.source.start(run.within()), run)


class Repeated(Stage):
    """Everything several times, or for ever."""

    def __init__(self, source: Stage, times: int | None) -> None:
        self.sources, self.source, self.times = (source,), source, times
        self.batched = source.batched

    def count(self) -> int:
        there = self.source.count()
        if self.times is None:
            return INFINITE if there else 0
        return there * self.times if there >= 0 else (0 if self.times == 0 else there)

    def start(self, run: Run) -> Iterator[Any]:
        for time in itertools.count() if self.times is None else range(self.times):
            empty, source = True, self.source.start(run.within(time))
            try:
                for element in source:
                    empty = False
                    yield element
            finally:
                close(source)
            if empty:
                return


class Cached(Stage):
    """Elements that are made once, the first time through, and kept in memory."""

    def __init__(self, source: Stage) -> None:
        self.sources, self.source = (source,), source
        self.batched = source.batched
        self.kept: list[Any] | None = None

    def count(self) -> int:
        return self.source.count() if self.kept is None else len(self.kept)

    def stages(self) -> Iterator[Stage]:
        return super().stages() if self.kept is None else iter((self,))

    def start(self, run: Run) -> Iterator[Any]:
        if self.kept is not None:
            yield from self.kept
            return
        kept, source = [], self.source.start(run.within())
        try:
            for element in source:
                kept.append(element)
                yield element
        finally:
            close(source)
        self.kept = kept  # not reached if somebody stopped halfway


# --- elements made of elements -------------------------------------------------------------


class Mapped(Stage):
    """What a function makes of each element.

    Args:
        function: Called with the parts of a tuple as arguments; with the element itself, if it is none.
        workers: Threads to call it in; 0 for none but the one that asks.
        trusted: Whether it is known to draw no random numbers.
    """

    def __init__(self, source: Stage, function: Callable[..., Any], workers: int = 0, trusted: bool = False) -> None:
        self.sources, self.source, self.function, self.workers = (source,), source, function, workers
        self.batched = source.batched
        self.trusted = trusted
        self.draws: bool | None = False if trusted else None

    def count(self) -> int:
        return self.source.count()

    def start(self, run: Run) -> Iterator[Any]:
        elements = self.source.start(run.within())
        try:
            if not self.trusted:
                first = next(elements, _END)
                if first is _END:
                    return
                watch = DrawWatch()
                made = self.called(first)
                self.draws = bool(self.draws) or watch.drawn()
                yield made
            if self.workers > 1 and not self.draws:
                yield from in_order(self.called, elements, self.workers, 3 * self.workers)
            else:
                yield from map(self.called, elements)
        finally:
            close(elements)

    def called(self, element: Any) -> Any:
        """Return what the function makes of one element."""
        if self.trusted:
            return self.function(element)
        return as_element(call(self.function, element, "map"))


def call(function: Callable[..., Any], element: Any, method: str) -> Any:
    """Call a function of the user's with an element; where it fails, say so in words."""
    try:
        with torch.no_grad():
            return function(*element) if isinstance(element, tuple) else function(element)
    except Exception as error:
        came = None
        if isinstance(error, TypeError) and "positional argument" in str(error) and not own_parts.ran(error, function):
            count = len(element) if isinstance(element, tuple) else 1
            came = f"it was called with {count} argument{'s' * (count != 1)}, the parts of an element"
        failure = own_parts.failed(
            own_parts.named("function", function),
            error,
            on=f" in {method}(), on {shapes_in_words(element)}",
            expected="Expected a function of the parts of one element: f(x, y) where elements are (x, y).",
            fix=f"dataset.{method}(lambda x, y: ...)",
            came=came,
        )
        if failure is None:
            raise
        raise failure from None


class Filtered(Stage):
    """The elements for which a function returns True."""

    def __init__(self, source: Stage, function: Callable[..., Any]) -> None:
        self.sources, self.source, self.function = (source,), source, function
        self.batched = source.batched

    def count(self) -> int:
        return INFINITE if self.source.count() == INFINITE else UNKNOWN

    def start(self, run: Run) -> Iterator[Any]:
        source = self.source.start(run.within())
        try:
            yield from (element for element in source if bool(call(self.function, element, "filter")))
        finally:
            close(source)


class Batched(Stage):
    """Several elements as one.

    Args:
        size: How many.
        drop: Whether to leave out a last batch that has fewer.
        join: What makes one of a list of them: `stacked` or `padded`.
    """

    batched = True

    def __init__(
        self, source: Stage, size: int, drop: bool = False, join: Callable[[list[Any]], Any] = stacked
    ) -> None:
        self.sources, self.source, self.size, self.drop, self.join = (source,), source, size, drop, join

    def count(self) -> int:
        there = self.source.count()
        return there if there < 0 else there // self.size if self.drop else -(-there // self.size)

    def start(self, run: Run) -> Iterator[Any]:
        if isinstance(self.source, Numbered) and self.join is stacked:
            return self._gathered(self.source, run)
        return self._joined(run)

    def _gathered(self, source: Numbered, run: Run) -> Iterator[Any]:
        numbers = source.order(run.within())
        for start in range(0, len(numbers), self.size):
            some = numbers[start : start + self.size]
            if len(some) == self.size or not self.drop:
                yield source.gather(some)

    def _joined(self, run: Run) -> Iterator[Any]:
        elements = self.source.start(run.within())
        try:
            while some := list(itertools.islice(elements, self.size)):
                if len(some) == self.size or not self.drop:
                    yield self.join(some)
        finally:
            close(elements)


class Unbatched(Stage):
    """The rows of each element."""

    batched = False

    def __init__(self, source: Stage) -> None:
        self.sources, self.source = (source,), source

    def count(self) -> int:
        under = self.source
        while isinstance(under, Ahead):
            under = under.source
        if isinstance(under, Batched) and not under.drop:
            return under.source.count()
        return INFINITE if under.count() == INFINITE else UNKNOWN

    def start(self, run: Run) -> Iterator[Any]:
        source = self.source.start(run.within())
        try:
            for element in source:
                for index in range(rows_of(element)):
                    yield row_of(element, index)
        finally:
            close(source)


# --- several at once, and ahead -----------------------------------------------------------------


class Joined(Stage):
    """All elements of one stage, then all of the next."""

    def __init__(self, sources: tuple[Stage, ...]) -> None:
        self.sources = sources
        kinds = {source.batched for source in sources}
        self.batched = kinds.pop() if len(kinds) == 1 else None

    def count(self) -> int:
        counts = [source.count() for source in self.sources]
        return INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)

    def start(self, run: Run) -> Iterator[Any]:
        for number, stage in enumerate(self.sources):
            source = stage.start(run.within(number))
            try:
                yield from source
            finally:
                close(source)


class Zipped(Stage):
    """Elements of several stages side by side, up to the end of the shortest."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure
        self.sources = tuple(dataset._stage for dataset in tree.flatten(structure))
        kinds = {source.batched for source in self.sources}
        self.batched = kinds.pop() if len(kinds) == 1 else None

    def count(self) -> int:
        counts = [source.count() for source in self.sources]
        known = [count for count in counts if count >= 0]
        return UNKNOWN if UNKNOWN in counts else min(known) if known else INFINITE

    def start(self, run: Run) -> Iterator[Any]:
        running = [source.start(run.within(number)) for number, source in enumerate(self.sources)]
        try:
            for parts in zip(*running):
                yield tree.pack(self.structure, list(parts))
        finally:
            for source in running:
                close(source)


class Ahead(Stage):
    """Elements that a thread makes before they are asked for; those that random numbers go into, when they are asked for."""

    def __init__(self, source: Stage, size: int) -> None:
        self.sources, self.source, self.size = (source,), source, size
        self.batched = source.batched

    def count(self) -> int:
        return self.source.count()

    def start(self, run: Run) -> Iterator[Any]:
        elements = self.source.start(run.within())
        try:
            maps = [stage for stage in self.source.stages() if isinstance(stage, Mapped)]
            if any(stage.draws is None for stage in maps):
                # Once each function was called, here, it is known whether it draws.
                first = next(elements, _END)
                if first is _END:
                    return
                yield first
            if self.size and not any(stage.draws for stage in maps):
                yield from read_ahead(elements, self.size)
            else:
                yield from elements
        finally:
            close(elements)


class Flat(Stage):
    """The elements of the data sets that a function makes of elements, `block` at a time from `cycle` of them in turn."""

    def __init__(self, source: Stage, function: Callable[..., Any], cycle: int, block: int, method: str) -> None:
        self.sources, self.source, self.function = (source,), source, function
        self.cycle, self.block, self.method = cycle, block, method

    def _opened(self, element: Any, run: Run) -> Iterator[Any]:
        made = call(self.function, element, self.method)
        if not hasattr(made, "_stage"):
            raise TypeError(
                explain(
                    f"The function of {self.method}() returned {own_parts.described(made)}.",
                    "Expected a Dataset.",
                    "Dataset.from_tensor_slices(...), or map() for a function that returns an element",
                )
            )
        return made._stage.start(run)

    def start(self, run: Run) -> Iterator[Any]:
        elements, number = self.source.start(run.within()), itertools.count(1)
        open_now: list[Iterator[Any]] = []
        try:
            for element in itertools.islice(elements, self.cycle):
                open_now.append(self._opened(element, run.within(next(number))))
            while open_now:
                place = 0
                while place < len(open_now):
                    block = list(itertools.islice(open_now[place], self.block))
                    yield from block
                    if len(block) < self.block:  # this one is used up; the next takes its place
                        following = next(elements, _END)
                        if following is _END:
                            open_now.pop(place)
                            continue
                        open_now[place] = self._opened(following, run.within(next(number)))
                    place += 1
        finally:
            for one in (elements, *open_now):
                close(one)
