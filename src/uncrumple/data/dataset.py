"""`Dataset`: elements that are made when they are asked for, and what can be done with them, under tf.data's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.data import dataset_checks as checks
from uncrumple.data import sources, stages
from uncrumple.data.background import close, cores
from uncrumple.data.dataset_checks import AUTOTUNE
from uncrumple.data.disk import DiskArray, is_on_disk
from uncrumple.data.elements import as_array, as_element, as_numpy, padded, stacked
from uncrumple.data.sources import INFINITE, UNKNOWN
from uncrumple.data.windows import windows

_AHEAD = 2  # elements that `AUTOTUNE` reads ahead


class Dataset(torch.utils.data.IterableDataset):
    """Elements that come one after another: samples, or batches of them, as tensors in any structure.

    Nothing is read or computed before it is asked for, and each `for` loop
    begins with the first element. The methods return new data sets; their
    names and arguments are those of `tf.data.Dataset`. `fit`, `evaluate` and
    `predict` take a `Dataset` of batches, and so does torch's `DataLoader`
    (with `batch_size=None`).

    The order of elements depends on seeds alone, not on threads: with a
    `seed`, on that; without one, on `uncrumple.utils.set_random_seed`.

    Attributes:
        class_names: The names of the classes, for data sets read from folders; else None.
        file_paths: The files, in the order in which they were found (and shuffled once); else None.

    Example:
        >>> data = Dataset.from_tensor_slices(([1.0, 2.0, 3.0], [0, 1, 0]))
        >>> for x, y in data.map(lambda x, y: (10 * x, y)).batch(2):
        ...     print(x, y)
        tensor([10., 20.]) tensor([0, 1])
        tensor([30.]) tensor([0])
    """

    class_names: list[str] | None = None
    file_paths: list[str] | None = None

    def __init__(self, stage: sources.Stage) -> None:
        self._stage = stage

    def _followed(self, stage: sources.Stage, files: bool = True) -> Dataset:
        """Return a data set with one more stage, which knows what this one knows."""
        made = Dataset(stage)
        made.class_names = self.class_names
        made.file_paths = self.file_paths if files else None
        return made

    # --- where elements come from -----------------------------------------------------------

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """Return the rows of arrays: one element for each entry of the first axis.

        Args:
            tensors: An array, tensor or list, or a tuple or dict of these, with as many rows each.
                Memory-mapped arrays and HDF5 datasets stay on disk.

        Example:
            >>> list(Dataset.from_tensor_slices({"a": [1, 2]}))
            [{'a': tensor(1)}, {'a': tensor(2)}]
        """
        structure = tree.map_structure(
            lambda leaf: DiskArray(leaf, "the data") if is_on_disk(leaf) else as_array(leaf), _lists_as_arrays(tensors)
        )
        checks.check_rows(structure)
        return Dataset(sources.Slices(structure))

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """Return a data set with one element.

        Example:
            >>> list(Dataset.from_tensors([1, 2]))
            [tensor([1, 2])]
        """
        return Dataset(sources.Once(as_element(tensors)))

    @staticmethod
    def from_generator(generator: Callable[..., Iterable[Any]], args: tuple[Any, ...] = ()) -> Dataset:
        """Return what a function yields, which is called anew each time through.

        Args:
            generator: A function that returns an iterable.
            args: What to call it with.

        Example:
            >>> def squares(count):
            ...     for number in range(count):
            ...         yield number**2
            >>> list(Dataset.from_generator(squares, args=(3,)))
            [tensor(0), tensor(1), tensor(4)]
        """
        checks.check_generator(generator)
        return Dataset(sources.Generated(generator, tuple(args)))

    @staticmethod
    def range(*args: int) -> Dataset:
        """Return whole numbers: `range(stop)`, `range(start, stop)` or `range(start, stop, step)`.

        Example:
            >>> list(Dataset.range(2, 6, 2))
            [tensor(2), tensor(4)]
        """
        return Dataset(sources.Range(*args))

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Return elements of several data sets side by side, up to the end of the shortest.

        Args:
            datasets: Data sets, or one tuple or dict of them.

        Example:
            >>> list(Dataset.zip(Dataset.range(3), Dataset.range(5, 7)))
            [(tensor(0), tensor(5)), (tensor(1), tensor(6))]
        """
        structure = datasets[0] if len(datasets) == 1 else datasets
        for one in tree.flatten(structure):
            checks.check_dataset("Dataset.zip", one)
        made = Dataset(stages.Zipped(structure))
        named = [one for one in tree.flatten(structure) if one.class_names is not None]
        made.class_names = named[0].class_names if named else None
        return made

    # --- going through -----------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        worker = torch.utils.data.get_worker_info()
        if worker is None:
            return self._stage.start(sources.Run((self._drawn_seed(),)))
        # Each process of a DataLoader goes through the same order, and hands out its share: together they hand out all.
        running = self._stage.start(sources.Run(((worker.seed - worker.id) % 2**63,)))
        return iter(_share(running, worker.id, worker.num_workers))

    def _drawn_seed(self) -> int:
        """Return a seed from torch's generator; none is drawn where nothing needs one."""
        unseeded = any(
            order.seed is None
            for stage in self._stage.stages()
            if isinstance(order := getattr(stage, "mix", getattr(stage, "choose", None)), stages.Order)
        )
        return int(torch.randint(2**62, ())) if unseeded else 0

    def __len__(self) -> int:
        count = self.cardinality()
        if count < 0:
            raise TypeError(
                explain(
                    f"len() of a Dataset that {'goes on for ever' if count == INFINITE else 'has no known length'}.",
                    "Expected a number of elements that is known beforehand.",
                    "sum(1 for _ in dataset) counts them" if count == UNKNOWN else "dataset.take(count)",
                )
            )
        return count

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        count = self.cardinality()
        words = {INFINITE: "endless", UNKNOWN: "of unknown length"}.get(count, f"of {count}")
        return f"<Dataset {words}{' batches' if self._stage.batched else ''}>"

    def cardinality(self) -> int:
        """Return the number of elements; -1 for a data set that goes on for ever, -2 where it is not known.

        Example:
            >>> Dataset.range(10).batch(4).cardinality(), Dataset.range(3).repeat().cardinality()
            (3, -1)
        """
        return self._stage.count()

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Return an iterator over the elements with NumPy arrays in place of tensors.

        Example:
            >>> list(Dataset.range(2).batch(2).as_numpy_iterator())
            [array([0, 1])]
        """
        return map(as_numpy, iter(self))

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any]) -> Any:
        """Return what a function makes of all elements: `state = reduce_func(state, element)`, one after another.

        Example:
            >>> Dataset.range(5).reduce(0, lambda total, x: total + x)
            tensor(10)
        """
        state = as_element(initial_state)
        for element in self:
            state = reduce_func(state, element)
        return state

    # --- one element at a time -----------------------------------------------------------------

    def map(
        self, map_func: Callable[..., Any], num_parallel_calls: int | None = None, deterministic: bool | None = None
    ) -> Dataset:
        """Return what a function makes of each element.

        Args:
            map_func: Called with the parts of an element: `map_func(x, y)` where elements are (x, y).
                Gradients are not recorded.
            num_parallel_calls: Threads to call it in; `AUTOTUNE` for as many as there are cores. A
                function that draws random numbers is called in one thread all the same: the same seed
                gives the same numbers.
            deterministic: Elements stay in order; False is no faster, and is refused.

        Example:
            >>> list(Dataset.range(3).map(lambda x: x * 2))
            [tensor(0), tensor(2), tensor(4)]
        """
        checks.check_deterministic(deterministic)
        checks.check_callable("map", map_func)
        workers = (
            0 if num_parallel_calls is None else checks.whole("map", "num_parallel_calls", num_parallel_calls, cores())
        )
        return self._followed(stages.Mapped(self._stage, map_func, workers))

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """Return the elements for which a function returns True.

        Example:
            >>> list(Dataset.range(5).filter(lambda x: x % 2 == 0))
            [tensor(0), tensor(2), tensor(4)]
        """
        checks.check_callable("filter", predicate)
        return self._followed(stages.Filtered(self._stage, predicate), files=False)

    def enumerate(self, start: int = 0) -> Dataset:
        """Return (number, element) for each element.

        Example:
            >>> list(Dataset.range(5, 7).enumerate())
            [(tensor(0), tensor(5)), (tensor(1), tensor(6))]
        """
        return self._followed(stages.Zipped((Dataset(sources.Counting(start)), self)))

    def flat_map(self, map_func: Callable[..., Any]) -> Dataset:
        """Return all elements of the data sets that a function makes of each element, one data set after another.

        Example:
            >>> list(Dataset.range(3).flat_map(lambda x: Dataset.range(int(x))))
            [tensor(0), tensor(0), tensor(1)]
        """
        checks.check_callable("flat_map", map_func)
        return self._followed(stages.Flat(self._stage, map_func, 1, 1, "flat_map"), files=False)

    def interleave(self, map_func: Callable[..., Any], cycle_length: int, block_length: int = 1) -> Dataset:
        """Return the elements of the data sets that a function makes of each element, taking turns.

        Args:
            map_func: Returns a `Dataset` for an element: the lines of a file for its name.
            cycle_length: How many data sets take turns.
            block_length: How many elements each hands out at a time.

        Example:
            >>> pairs = Dataset.range(1, 3).interleave(lambda x: Dataset.from_tensors(x).repeat(2), cycle_length=2)
            >>> list(pairs.as_numpy_iterator()) == [1, 2, 1, 2]
            True
        """
        checks.check_callable("interleave", map_func)
        cycle = checks.whole("interleave", "cycle_length", cycle_length, cores())
        block = checks.whole("interleave", "block_length", block_length)
        return self._followed(stages.Flat(self._stage, map_func, cycle, block, "interleave"), files=False)

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """Return what a function of data sets makes of this one."""
        made = transformation_func(self)
        checks.check_dataset("Dataset.apply: the function", made)
        return made

    # --- batches ---------------------------------------------------------------------------------

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Return several elements as one, with a new first axis.

        Args:
            batch_size: How many.
            drop_remainder: Whether to leave out a last batch that has fewer.

        Example:
            >>> list(Dataset.range(3).batch(2))
            [tensor([0, 1]), tensor([2])]
        """
        size = checks.whole("batch", "batch_size", batch_size)
        return self._followed(stages.Batched(self._stage, size, drop_remainder))

    def padded_batch(self, batch_size: int, padding_values: Any = 0, drop_remainder: bool = False) -> Dataset:
        """Return several elements as one, the shorter ones filled up at the end.

        Args:
            batch_size: How many.
            padding_values: The number to fill up with.
            drop_remainder: Whether to leave out a last batch that has fewer.

        Example:
            >>> data = Dataset.range(1, 3).map(lambda x: torch.ones(int(x)))
            >>> list(data.padded_batch(2))
            [tensor([[1., 0.],
                    [1., 1.]])]
        """
        size = checks.whole("padded_batch", "batch_size", batch_size)
        return self._followed(
            stages.Batched(self._stage, size, drop_remainder, lambda some: padded(some, padding_values))
        )

    def unbatch(self) -> Dataset:
        """Return the rows of each element.

        Example:
            >>> list(Dataset.from_tensors([1, 2]).unbatch())
            [tensor(1), tensor(2)]
        """
        return self._followed(stages.Unbatched(self._stage))

    def rebatch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Return batches of another size.

        Example:
            >>> [len(batch) for batch in Dataset.range(6).batch(2).rebatch(4)]
            [4, 2]
        """
        return self.unbatch().batch(checks.whole("rebatch", "batch_size", batch_size), drop_remainder)

    def window(self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False) -> Dataset:
        """Return data sets of `size` elements each, which may overlap.

        Args:
            size: Elements in a window.
            shift: How far the next window begins after the last; by default `size`.
            stride: How far the elements of a window are apart.
            drop_remainder: Whether to leave out windows that have fewer elements.

        Example:
            >>> for some in Dataset.range(4).window(2, shift=1, drop_remainder=True):
            ...     print(list(some.as_numpy_iterator()) == [int(next(iter(some))), int(next(iter(some))) + 1])
            True
            True
            True
        """
        size, stride = checks.whole("window", "size", size), checks.whole("window", "stride", stride)
        step = size if shift is None else checks.whole("window", "shift", shift)

        def made() -> Iterator[Any]:
            for some in windows(iter(self), size, step, stride, drop_remainder):
                yield _dataset_of(some)

        return Dataset.from_generator(made)

    # --- order -------------------------------------------------------------------------------------

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Return the elements in random order.

        Args:
            buffer_size: From how many elements the next one is drawn; at least the number of
                elements for an order in which each can come anywhere.
            seed: The same seed gives the same orders; None takes it from `set_random_seed`.
            reshuffle_each_iteration: Whether each time through has another order.

        Example:
            >>> sorted(int(x) for x in Dataset.range(4).shuffle(4, seed=0))
            [0, 1, 2, 3]
        """
        size = checks.whole("shuffle", "buffer_size", buffer_size)
        order = stages.Order(size, checks.seed(seed), bool(reshuffle_each_iteration))
        return self._followed(self._chosen(order, self._stage.count()) or stages.Shuffled(self._stage, order))

    def _chosen(self, choose: Any, count: int) -> sources.Stage | None:
        """Return a stage that works with the numbers of elements, if they have any."""
        return stages.Chosen(self._stage, choose, count) if isinstance(self._stage, sources.Numbered) else None

    def repeat(self, count: int | None = None) -> Dataset:
        """Return everything `count` times; for ever with None or -1.

        Example:
            >>> len(Dataset.range(3).repeat(2))
            6
        """
        if count is not None and count != -1:
            count = checks.whole("repeat", "count", count, least=0)
        return self._followed(stages.Repeated(self._stage, None if count == -1 else count))

    def _part(self, start: int, stop: int | None, step: int = 1) -> Dataset:
        count = stages.part_count(self._stage.count(), start, stop, step)
        chosen = self._chosen(lambda numbers, run: numbers[start:stop:step], count)
        return self._followed(chosen or stages.Part(self._stage, start, stop, step), files=False)

    def take(self, count: int) -> Dataset:
        """Return the first elements; all with -1.

        Example:
            >>> list(Dataset.range(9).take(2))
            [tensor(0), tensor(1)]
        """
        return self._part(0, None if count == -1 else checks.whole("take", "count", count, least=0))

    def skip(self, count: int) -> Dataset:
        """Return what comes after the first `count` elements; nothing with -1.

        Example:
            >>> list(Dataset.range(4).skip(2))
            [tensor(2), tensor(3)]
        """
        return self.take(0) if count == -1 else self._part(checks.whole("skip", "count", count, least=0), None)

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Return every `num_shards`-th element, from number `index` on: the share of one of several machines.

        Example:
            >>> list(Dataset.range(5).shard(2, 1))
            [tensor(1), tensor(3)]
        """
        shards = checks.whole("shard", "num_shards", num_shards)
        checks.check_shard(shards, index)
        return self._part(index, None, shards)

    def concatenate(self, dataset: Dataset) -> Dataset:
        """Return these elements, and then those of another data set.

        Example:
            >>> list(Dataset.range(1).concatenate(Dataset.range(2)))
            [tensor(0), tensor(0), tensor(1)]
        """
        checks.check_dataset("Dataset.concatenate", dataset)
        return self._followed(stages.Joined((self._stage, dataset._stage)), files=False)

    # --- memory and time ---------------------------------------------------------------------------

    def cache(self) -> Dataset:
        """Return the same elements, which are made the first time through and then kept in memory.

        Example:
            >>> data = Dataset.range(2).map(lambda x: torch.rand(1)).cache()
            >>> list(data) == list(data)
            True
        """
        return self._followed(stages.Cached(self._stage))

    def prefetch(self, buffer_size: int = AUTOTUNE) -> Dataset:
        """Return the same elements, made in the background while the last one is being used.

        Args:
            buffer_size: How many elements to make ahead; `AUTOTUNE` for 2, 0 for none.

        Example:
            >>> list(Dataset.range(2).prefetch(1))
            [tensor(0), tensor(1)]
        """
        size = checks.whole("prefetch", "buffer_size", buffer_size, _AHEAD, least=0)
        return self._followed(stages.Ahead(self._stage, size))


def _share(running: Iterator[Any], first: int, step: int) -> Iterator[Any]:
    try:
        for number, element in enumerate(running):
            if number % step == first:
                yield element
    finally:
        close(running)


def _dataset_of(elements: list[Any]) -> Any:
    """Return a data set with these elements; of tuples, one data set for each part."""
    first = elements[0]
    if isinstance(first, tuple):
        return tuple(_dataset_of(list(parts)) for parts in zip(*elements))
    if isinstance(first, dict):
        return {key: _dataset_of([element[key] for element in elements]) for key in first}
    return Dataset(sources.Slices(stacked(elements)))


def _lists_as_arrays(tensors: Any) -> Any:
    """Return a structure in which lists are arrays; tuples and dicts stay."""
    if isinstance(tensors, dict):
        return {key: _lists_as_arrays(value) for key, value in tensors.items()}
    if isinstance(tensors, tuple):
        return tuple(_lists_as_arrays(value) for value in tensors)
    if isinstance(tensors, list) and tensors and isinstance(tensors[0], torch.Tensor):
        return torch.stack(tensors)
    return as_array(tensors) if isinstance(tensors, list) else tensors
