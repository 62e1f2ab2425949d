"""Where the elements of a `Dataset` come from: rows of arrays, stretches of series, numbers, functions of the user's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.data.disk import DiskArray
from uncrumple.data.elements import as_element, row_of, rows_of, stacked

INFINITE, UNKNOWN = -1, -2


@dataclass(frozen=True)
class Run:
    """One way through the data: where the random numbers come from that nobody gave a seed for."""

    seed: tuple[int, ...] = (0,)

    def within(self, number: int = 0) -> Run:
        """Return the run of a stage below this one."""
        return Run((*self.seed, number))

    def random(self) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed))


class Stage:
    """One source of elements, or one thing that is done with them.

    Attributes:
        sources: The stages that it draws from.
        batched: Whether its elements are batches; None if that cannot be told.
    """

    sources: tuple[Stage, ...] = ()
    batched: bool | None = None

    def count(self) -> int:
        """Return the number of elements, or `INFINITE`, or `UNKNOWN`."""
        return UNKNOWN

    def start(self, run: Run) -> Iterator[Any]:
        """Return the elements, from the first one on."""
        raise NotImplementedError

    def stages(self) -> Iterator[Stage]:
        """Yield this stage and all below it."""
        yield self
        for source in self.sources:
            yield from source.stages()


class Numbered(Stage):
    """A stage whose elements can be fetched by number."""

    def order(self, run: Run) -> np.ndarray:
        """Return the numbers of the elements, in the order of this run."""
        raise NotImplementedError

    def get(self, number: int) -> Any:
        raise NotImplementedError

    def gather(self, numbers: np.ndarray) -> Any:
        """Return several elements as one batch."""
        return stacked([self.get(number) for number in numbers.tolist()])

    def start(self, run: Run) -> Iterator[Any]:
        return map(self.get, self.order(run).tolist())


class Slices(Numbered):
    """The rows of arrays."""

    batched = False

    def __init__(self, structure: Any) -> None:
        self.structure = structure
        self.rows = rows_of(structure)

    def count(self) -> int:
        return self.rows

    def order(self, run: Run) -> np.ndarray:
        return np.arange(self.rows)

    def get(self, number: int) -> Any:
        if any(isinstance(leaf, DiskArray) for leaf in tree.flatten(self.structure)):
            return row_of(self.gather(np.array([number])), 0)
        return row_of(self.structure, number)

    def gather(self, numbers: np.ndarray) -> Any:
        index = torch.from_numpy(numbers)

        def rows(leaf: Any) -> Any:
            if leaf is None:
                return None
            if isinstance(leaf, DiskArray):
                return leaf.rows(index)
            return leaf.index_select(0, index.to(leaf.device)) if isinstance(leaf, torch.Tensor) else leaf[numbers]

        return tree.map_structure(rows, self.structure)


class Windows(Numbered):
    """Stretches of a series, with a target for each.

    Args:
        data: (steps, ...): the series.
        targets: One for each place where a stretch may begin; or None.
        starts: Where stretches begin.
        length: Steps in a stretch.
        rate: How far its steps are apart.
    """

    batched = False

    def __init__(self, data: Any, targets: Any, starts: np.ndarray, length: int, rate: int) -> None:
        self.data, self.targets, self.starts = data, targets, starts
        self.steps = torch.arange(0, length * rate, rate)

    def count(self) -> int:
        return len(self.starts)

    def order(self, run: Run) -> np.ndarray:
        return np.arange(len(self.starts))

    def get(self, number: int) -> Any:
        return row_of(self.gather(np.array([number])), 0)

    def gather(self, numbers: np.ndarray) -> Any:
        starts = torch.from_numpy(self.starts[numbers])
        x = self.data[starts[:, None] + self.steps]
        return x if self.targets is None else (x, self.targets[starts])


class Range(Numbered):
    """Whole numbers."""

    batched = False

    def __init__(self, *ends: int) -> None:
        self.numbers = range(*ends)

    def count(self) -> int:
        return len(self.numbers)

    def order(self, run: Run) -> np.ndarray:
        return np.arange(self.numbers.start, self.numbers.stop, self.numbers.step)

    def get(self, number: int) -> Any:
        return torch.tensor(number)

    def gather(self, numbers: np.ndarray) -> Any:
        return torch.from_numpy(numbers.copy())


class Counting(Stage):
    """Whole numbers that go on for ever."""

    batched = False

    def __init__(self, first: int) -> None:
        self.first = first

    def count(self) -> int:
        return INFINITE

    def start(self, run: Run) -> Iterator[Any]:
        return map(torch.tensor, itertools.count(self.first))


class Once(Stage):
    """One element."""

    def __init__(self, element: Any) -> None:
        self.element = element

    def count(self) -> int:
        return 1

    def start(self, run: Run) -> Iterator[Any]:
        return iter([self.element])


class Generated(Stage):
    """What a function yields that is called anew for each run."""

    def __init__(self, function: Callable[..., Iterable[Any]], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments

    def start(self, run: Run) -> Iterator[Any]:
        return map(as_element, self.function(*self.arguments))
