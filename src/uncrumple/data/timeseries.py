"""Stretches of a series, and the two halves of a data set."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data import sources, stages
from uncrumple.data.dataset import Dataset
from uncrumple.data.elements import as_array, as_element

__all__ = ["split_dataset", "timeseries_dataset_from_array"]


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """Return a `Dataset` of stretches of a series, with a target for each.

    Args:
        data: (steps, ...): what was measured at equal intervals.
        targets: `targets[i]` belongs to the stretch that begins at step i; None for stretches alone.
        sequence_length: Steps in a stretch.
        sequence_stride: How many steps after a stretch the next begins.
        sampling_rate: How many steps apart those of a stretch are: every, every second, ...
        batch_size: Stretches per batch; None for single ones.
        shuffle: Whether each epoch has a new random order; False goes from first to last.
        seed: For the order.
        start_index, end_index: Use only steps from here, up to (without) there.
        format: `"tf"` or `"grain"`: what Keras builds on; here both are the same.

    Returns:
        A `Dataset` of tensors (batch, sequence_length, ...), and targets. The series is kept once.

    Raises:
        ValueError: An impossible argument, or a series shorter than one stretch.

    Example:
        >>> series = np.arange(6)
        >>> for x, y in timeseries_dataset_from_array(series[:-2], series[2:], sequence_length=2):
        ...     print(x.tolist(), y.tolist())
        [[0, 1], [1, 2], [2, 3]] [2, 3, 4]
    """
    owner = "timeseries_dataset_from_array"
    steps = len(data)

    def refuse(came: str, expected: str, fix: str) -> None:
        raise ValueError(explain(f"{owner} got {came}.", expected, fix))

    wholes: tuple[tuple[str, Any, int], ...] = (
        ("sequence_length", sequence_length, 1),
        ("sequence_stride", sequence_stride, 1),
        ("sampling_rate", sampling_rate, 1),
        ("batch_size", batch_size, 1),
        ("start_index", start_index, 0),
        ("end_index", end_index, 1),
    )
    for name, value, least in wholes:
        if value is None and name in ("batch_size", "start_index", "end_index"):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            refuse(f"{name}={value!r}", f"Expected a whole number of at least {least}.", f"{name}={max(least, 1)}")
        if name in ("sequence_stride", "sampling_rate", "start_index") and value >= steps:
            refuse(f"{name}={value} for {steps} steps", f"Expected {name} < {steps}.", f"{name}={least}")
    if end_index is not None and end_index >= steps:
        refuse(f"end_index={end_index} for {steps} steps", f"Expected end_index < {steps}.", "leave out end_index")
    if start_index is not None and end_index is not None and end_index <= start_index:
        refuse(
            f"start_index={start_index} and end_index={end_index}",
            "Expected start_index < end_index.",
            f"end_index={start_index + sequence_length}",
        )
    if format not in ("tf", "grain"):
        raise ValueError(f"{owner}: " + unknown_name("format", str(format), ("tf", "grain")))
    first, last = start_index or 0, steps if end_index is None else end_index
    whole = last - first - (sequence_length - 1) * sampling_rate
    count = whole if targets is None else min(whole, len(targets))
    if count <= 0:
        refuse(
            f"{last - first} steps"
            + (f" and {len(targets)} targets" if whole > 0 and targets is not None else "")
            + f" for stretches of {sequence_length} steps, {sampling_rate} apart",
            f"Expected at least {(sequence_length - 1) * sampling_rate + 1} steps, and a target.",
            "a smaller sequence_length, or a longer series",
        )
    starts = np.arange(0, count, sequence_stride)
    if shuffle:
        seed = int(np.random.randint(int(1e6)) if seed is None else seed)
        np.random.RandomState(seed).shuffle(starts)
    series = as_array(data[first:last])
    # Where both ends are given, Keras cuts the targets too.
    wanted = None if targets is None else as_array(targets[first:last])
    if wanted is not None and len(wanted) <= starts.max():
        refuse(
            f"{len(wanted)} targets from step {first} on, and stretches that begin as late as {int(starts.max())}",
            "Expected a target for each stretch.",
            f"end_index={first + len(wanted)}",
        )
    stage: sources.Stage = sources.Windows(series, wanted, starts, sequence_length, sampling_rate)
    if shuffle:
        stage = stages.Chosen(stage, stages.Order(len(starts), seed, True), len(starts))  # type: ignore[arg-type]
    return Dataset(stage if batch_size is None else stages.Batched(stage, int(batch_size)))


# --- halves --------------------------------------------------------------------------------------


def split_dataset(
    dataset: Any,
    left_size: Any = None,
    right_size: Any = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Return two data sets: the first samples, and the last.

    Args:
        dataset: A `Dataset`; an array, or a tuple or list of arrays with as many rows each; or a
            torch `Dataset`.
        left_size: How many samples come first: a number, or a share between 0 and 1. None takes what
            `right_size` leaves.
        right_size: The same for the last.
        shuffle: Whether to put the samples into random order before.
        seed: For the order.
        preferred_backend: None or `"torch"`.

    Returns:
        Two `Dataset`s, of batches if `dataset` holds batches; or two `torch.utils.data.Subset`s of a
        torch data set. Without `shuffle` the order is kept. (Keras on torch shuffles always.)

    Raises:
        ValueError: The sizes are impossible, or leave one half without samples.

    Example:
        >>> left, right = split_dataset(np.arange(5), left_size=0.6)
        >>> [int(x) for x in left], [int(x) for x in right]
        ([0, 1, 2], [3, 4])
    """
    if preferred_backend not in (None, "torch"):
        raise ValueError(
            explain(
                f"split_dataset got preferred_backend={preferred_backend!r}.",
                'Expected None or "torch": there is one backend.',
                "split_dataset(dataset, left_size=0.8)",
            )
        )
    size: int | None = None
    torch_set = isinstance(dataset, torch.utils.data.Dataset) and not isinstance(
        dataset, torch.utils.data.IterableDataset
    )
    if torch_set:
        count = len(dataset)
    elif isinstance(dataset, Dataset):
        size = next((stage.size for stage in dataset._stage.stages() if isinstance(stage, stages.Batched)), None)
        size = size if dataset._stage.batched else None
        elements = list(dataset.unbatch() if size is not None else dataset)
        count = len(elements)
    elif isinstance(dataset, (np.ndarray, torch.Tensor, tuple, list)) and len(dataset):
        parts = tuple(dataset) if isinstance(dataset, (tuple, list)) else dataset
        source = Dataset.from_tensor_slices(parts)
        count = len(source)
    elif isinstance(dataset, torch.utils.data.IterableDataset):
        elements = [as_element(element) for element in dataset]
        count = len(elements)
    else:
        raise TypeError(
            explain(
                f"split_dataset got a {type(dataset).__name__}"
                + (" without entries." if isinstance(dataset, (tuple, list)) else "."),
                "Expected a Dataset, an array, a tuple of arrays, or a torch Dataset.",
                "split_dataset((x, y), left_size=0.8)",
            )
        )
    left, right = _sizes(left_size, right_size, count)
    order = list(range(count))
    if shuffle:
        random.Random(random.randint(0, int(1e6)) if seed is None else seed).shuffle(order)
    halves = order[:left], order[-right:]
    if torch_set:
        return tuple(torch.utils.data.Subset(dataset, half) for half in halves)  # type: ignore[return-value]
    if isinstance(dataset, (np.ndarray, torch.Tensor, tuple, list)):
        made = [_of_numbers(source._stage, half) for half in halves]
    else:
        made = [Dataset(_Listed([elements[number] for number in half])) for half in halves]
    for one in made:
        one.class_names = getattr(dataset, "class_names", None)
    return tuple(one if size is None else one.batch(size) for one in made)  # type: ignore[return-value]


class _Listed(sources.Numbered):
    """Elements in a list."""

    batched = False

    def __init__(self, elements: list[Any]) -> None:
        self.elements = elements

    def count(self) -> int:
        return len(self.elements)

    def order(self, run: sources.Run) -> np.ndarray:
        return np.arange(len(self.elements))

    def get(self, number: int) -> Any:
        return self.elements[number]


def _of_numbers(source: Any, numbers: list[int]) -> Dataset:
    chosen = np.array(numbers)
    return Dataset(stages.Chosen(source, lambda all_of_them, run: all_of_them[chosen], len(chosen)))


def _sizes(left: Any, right: Any, count: int) -> tuple[int, int]:
    def refuse(came: str, expected: str, kind: type[Exception] = ValueError) -> None:
        raise kind(explain(f"split_dataset got {came}.", expected, "split_dataset(dataset, left_size=0.8)"))

    if left is None and right is None:
        refuse("neither left_size nor right_size", "Expected one of them at least.")
    sizes: list[int | None] = []
    for name, value in (("left_size", left), ("right_size", right)):
        if value is None:
            sizes.append(None)
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            refuse(f"{name}={value!r}", "Expected a whole number, or a share between 0 and 1.", TypeError)
        share = isinstance(value, (float, np.floating))
        if not 0 < value < (1 if share else count):
            wanted = "0 < share < 1" if share else f"a number from 1 to {count - 1}"
            refuse(f"{name}={value} for {count} samples", f"Expected {wanted}.")
        sizes.append(round(float(value) * count) if share else int(value))
    first = count - (sizes[1] or 0) if sizes[0] is None else sizes[0]
    last = count - first if sizes[1] is None else sizes[1]
    if first + last > count:
        refuse(f"left_size={left} and right_size={right} for {count} samples", "Expected no more than there are.")
    if first == 0 or last == 0:
        refuse(
            f"left_size={left} and right_size={right} for {count} samples", "Expected a sample in each half at least."
        )
    return first, last
