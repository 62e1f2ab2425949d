"""Batches of (x, y, sample_weight), whatever they come from.

Three kinds: `ArrayBatches` for data in memory, drawn by index; `DiskBatches`
for arrays that stay in their files; and `StreamBatches` for everything that
hands out batches itself (a `Dataset`, a `PyDataset`, a torch `DataLoader`, a
generator).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.devices import free_memory
from uncrumple.core.errors import explain, warn
from uncrumple.core.settings import max_steps_per_epoch
from uncrumple.core.text import is_text_list
from uncrumple.data.background import close, read_ahead
from uncrumple.data.class_weights import weights_of_classes
from uncrumple.data.convert import is_array, lengths, to_tensors
from uncrumple.data.dataset import Dataset
from uncrumple.data.disk import DiskArray, shuffled
from uncrumple.data.py_dataset import PyDataset, batches_of

Batch = tuple[Any, ...]

# Rows are gathered for several small batches at once, up to this many bytes:
# one large copy costs less than many small ones, and stays in the cache.
_CHUNK_BYTES = 4 << 20
# How much of a device's free memory data may take; the network and its gradients need the rest.
_SHARE = 0.5
# How many chunks are read from a file while the last one is used.
_CHUNKS_AHEAD = 2


def trimmed(x: Any, y: Any, sample_weight: Any) -> Batch:
    """Return (x,), (x, y) or (x, y, sample_weight), without the parts that were not given."""
    if sample_weight is not None:
        return x, y, sample_weight
    return (x,) if y is None else (x, y)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample_weight of a batch, with None for what is not there.

    Example:
        >>> unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            explain(
                f"unpack_x_y_sample_weight got {len(data)} parts.",
                "Expected x, (x,), (x, y) or (x, y, sample_weight).",
                "pack_x_y_sample_weight(x, y) makes such a tuple",
            )
        )
    return (*data, None, None)[:3]  # type: ignore[return-value]


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return a batch as `fit` takes it: x, (x,), (x, y) or (x, y, sample_weight).

    Args:
        x: Inputs; a list or tuple of several alone becomes (x,), so that it is not taken for (x, y).
        y: Targets.
        sample_weight: A weight for each sample; only together with y.

    Example:
        >>> pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


class ArrayBatches:
    """Batches drawn from arrays in memory.

    Args:
        x, y, sample_weight: Tensors in any structure, with equal first axes; y and weights may be None.
        batch_size: Samples per batch; the last one of an epoch may be smaller.
        shuffle: Whether each epoch draws the samples in a new order.
    """

    def __init__(
        self, x: Any, y: Any = None, sample_weight: Any = None, batch_size: int = 32, shuffle: bool = False
    ) -> None:
        self.x, self.y, self.sample_weight = x, y, sample_weight
        self.batch_size, self.shuffle = batch_size, shuffle
        self.samples = lengths(x)[0]
        self.steps: int | None = -(-self.samples // batch_size)
        # A batch is (x,), (x, y) or (x, y, sample_weight), as a train_step of the user's expects.
        self._parts = trimmed(x, y, sample_weight)
        self._leaves = [leaf for leaf in tree.flatten(self._parts) if leaf is not None]
        row_bytes = sum(leaf[:1].numel() * leaf.element_size() for leaf in self._leaves)
        self._chunk = max(1, _CHUNK_BYTES // max(1, row_bytes * batch_size)) * batch_size
        # The common case, one array each, needs no walk through a structure.
        self._flat = all(part is None or isinstance(part, torch.Tensor) for part in self._parts)
        # Where batches go, if the arrays stay where they are.
        self._device: torch.device | None = None

    def first(self) -> Batch:
        """Return one batch without drawing from the epoch."""
        return self._pack([leaf[: self.batch_size] for leaf in self._leaves])

    def _pack(self, leaves: Iterable[Any]) -> Batch:
        if self._device is not None:
            leaves = [leaf.to(self._device, non_blocking=True) for leaf in leaves]
        given = iter(leaves)
        if self._flat:
            return tuple(None if part is None else next(given) for part in self._parts)
        full = [None if leaf is None else next(given) for leaf in tree.flatten(self._parts)]
        return tree.pack(self._parts, full)

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        order = None
        if self.shuffle:
            # Wherever the data lie, a seed gives the same order, and processes that share them agree on it.
            order = torch.randperm(self.samples, device="cpu").to(self._leaves[0].device)
        for start in range(0, self.samples, self._chunk):
            stop = min(start + self._chunk, self.samples)
            if order is None:
                rows = [leaf[start:stop] for leaf in self._leaves]
            else:
                index = order[start:stop]
                rows = [leaf.index_select(0, index) for leaf in self._leaves]
            if stop - start <= self.batch_size:
                yield self._pack(rows)
            else:
                for leaves in zip(*[leaf.split(self.batch_size) for leaf in rows]):
                    yield self._pack(leaves)

    def to(self, device: torch.device) -> ArrayBatches:
        """Move the arrays to a device, so that batches are drawn there; or, where it lacks room, batch after batch."""
        self._device = None
        away = [leaf for leaf in self._leaves if leaf.device != device]
        room = free_memory(device) if away else None
        if room is not None and sum(leaf.numel() * leaf.element_size() for leaf in away) > _SHARE * room:
            self._device = device
        elif away:
            moved = tree.map_structure(lambda leaf: None if leaf is None else leaf.to(device), self._parts)
            self.__init__(*moved, batch_size=self.batch_size, shuffle=self.shuffle)  # type: ignore[misc]
        return self

    def begin_epoch(self) -> None:
        """Nobody has to be told."""

    end_epoch = begin_epoch


class DiskBatches(ArrayBatches):
    """Batches drawn from arrays of which some stay in their files, and are read in the background.

    The same seed gives the same batches as with the same arrays in memory,
    except for HDF5 datasets that are stored in chunks, which are shuffled in
    groups of chunks.

    Args:
        x, y, sample_weight: Tensors or `DiskArray`s in any structure; y and weights may be None.
        batch_size: Samples per batch; the last one of an epoch may be smaller.
        shuffle: Whether each epoch draws the samples in a new order.
    """

    def __init__(
        self, x: Any, y: Any = None, sample_weight: Any = None, batch_size: int = 32, shuffle: bool = False
    ) -> None:
        super().__init__(x, y, sample_weight, batch_size, shuffle)
        self._flat = all(part is None or isinstance(part, (torch.Tensor, DiskArray)) for part in self._parts)

    def _rows(self, index: torch.Tensor | slice) -> list[torch.Tensor]:
        rows = []
        for leaf in self._leaves:
            if isinstance(leaf, DiskArray):
                part = leaf.rows(index)
            else:
                part = leaf[index] if isinstance(index, slice) else leaf.index_select(0, index)
            rows.append(part if self._device is None else part.to(self._device))
        return rows

    def first(self) -> Batch:
        return self._pack(self._rows(slice(0, min(self.batch_size, self.samples))))

    def epoch(self) -> Iterator[Batch]:
        order = None
        if self.shuffle:
            order = shuffled(self.samples, [leaf for leaf in self._leaves if isinstance(leaf, DiskArray)])
        places = [(start, min(start + self._chunk, self.samples)) for start in range(0, self.samples, self._chunk)]
        chunks = (self._rows(slice(*place) if order is None else order[slice(*place)]) for place in places)
        for rows in read_ahead(chunks, _CHUNKS_AHEAD):
            for leaves in zip(*[leaf.split(self.batch_size) for leaf in rows]):
                yield self._pack(leaves)

    def to(self, device: torch.device) -> DiskBatches:
        """Move batches to a device as they are read."""
        self._device = None if device == torch.device("cpu") else device
        return self


class StreamBatches:
    """Batches from something that hands them out: a `Dataset`, a `DataLoader`, a generator, an iterable of batches.

    Args:
        source: Each item is (x, y), (x, y, sample_weight), or x alone.
        class_weight: Weight per class, turned into sample weights.
        shuffle: Whether to ask a `PyDataset` for its batches in random order; others have their own.
    """

    def __init__(self, source: Any, class_weight: dict[int, float] | None = None, shuffle: bool = False) -> None:
        self.source = source
        self.class_weight = class_weight
        self.shuffle = shuffle
        self._told = False
        self.samples: int | None = None
        self.batch_size: int | None = getattr(source, "batch_size", None)
        self.once = isinstance(source, Iterator)
        self.device: torch.device | None = None
        try:
            self.steps: int | None = source.num_batches if isinstance(source, PyDataset) else len(source)
        except TypeError:
            self.steps = None
        self.endless = self.steps is None and (
            isinstance(source, PyDataset) or (isinstance(source, Dataset) and source.cardinality() == -1)
        )
        self._peeked: list[Any] = []
        self._running: Iterator[Any] | None = None

    def _start(self) -> Iterator[Any]:
        return batches_of(self.source, self.shuffle) if isinstance(self.source, PyDataset) else iter(self.source)

    def begin_epoch(self) -> None:
        """Tell a `PyDataset` that an epoch begins, unless it was told when its first batch was looked at."""
        if isinstance(self.source, PyDataset) and not self._told:
            self._told = True
            self.source.on_epoch_begin()

    def end_epoch(self) -> None:
        """Tell a `PyDataset` that the epoch has ended."""
        if self._told:
            self._told = False
            self.source.on_epoch_end()

    def _batch(self, item: Any) -> Batch:
        if (
            isinstance(item, list)
            and len(item) in (1, 2, 3)
            and all(is_array(part) or isinstance(part, (dict, list)) or is_text_list(part) for part in item)
            and not isinstance(item[0], str)
        ):
            item = tuple(item)
        if not isinstance(item, tuple):
            item = (item,)
        if len(item) > 3:
            raise ValueError(
                explain(
                    f"The data handed out a tuple of {len(item)} parts.",
                    "Expected (x, y), or (x, y, sample_weight).",
                    "yield (x, y); put several inputs into a dict or list: yield ([x_1, x_2], y)",
                )
            )
        parts = [to_tensors(part, name, text=name == "x") for part, name in zip(item, ("x", "y", "sample_weight"))]
        x, y, weight = (*parts, None, None, None)[:3]
        if self.class_weight is not None:
            if weight is not None:
                raise ValueError(
                    explain(
                        "fit got class_weight, and the data hands out sample weights.",
                        "Expected one of the two.",
                        "multiply the sample weights by the weight of their class",
                    )
                )
            weight = weights_of_classes(y, self.class_weight)
        if self.device is not None:
            device = self.device
            x, y, weight = tree.map_structure(
                lambda leaf: leaf.to(device, non_blocking=True) if leaf is not None else None, (x, y, weight)
            )
        return trimmed(x, y, weight)

    def first(self) -> Batch:
        """Return the first batch, which the next epoch hands out again: a generator makes it once only."""
        if not self._peeked:
            self.begin_epoch()
            self._running = self._start()
            for item in self._running:
                self._peeked.append(item)
                break
            else:
                raise ValueError(
                    explain(
                        "The data handed out no batch.",
                        "Expected at least one.",
                        "check the generator: it may be used up"
                        if self.once
                        else f"check the lines that make the {type(self.source).__name__}",
                    )
                )
        return self._batch(self._peeked[0])

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of one epoch; a generator goes on where it stopped."""
        running = self._start() if self._running is None else self._running
        self._running = None
        try:
            while self._peeked:
                yield self._batch(self._peeked.pop())
            for item in running:
                yield self._batch(item)
        finally:
            if not self.once:  # a generator of the user's goes on later
                close(running)

    def to(self, device: torch.device) -> StreamBatches:
        self.device = device
        return self


Batches = ArrayBatches | StreamBatches


class EndlessEpochs:
    """Hands out `steps_per_epoch` batches at a time, going on where the last epoch stopped.

    Args:
        batches: Where they come from.
        steps_per_epoch: How many make an epoch; None for all there are.
    """

    def __init__(self, batches: Batches, steps_per_epoch: int | None) -> None:
        if steps_per_epoch is None and getattr(batches, "endless", False):
            kind = type(batches.source).__name__  # type: ignore[union-attr]
            raise ValueError(
                explain(
                    f"The {kind} goes on for ever, and nothing says where an epoch ends.",
                    "Expected a number of steps.",
                    "steps_per_epoch=100 in fit(), validation_steps=10 for validation data, steps=10 elsewhere",
                )
            )
        self.batches = batches
        limit = max_steps_per_epoch()
        if limit is not None and (steps_per_epoch is None or limit < steps_per_epoch):
            if steps_per_epoch is not None or batches.steps is None or limit < batches.steps:
                steps_per_epoch = limit
        self.steps = steps_per_epoch if steps_per_epoch is not None else batches.steps
        self._per_epoch = steps_per_epoch
        self._running: Iterator[Batch] | None = None

    def restart(self) -> None:
        """Let the next epoch begin with the first batch again (with a generator, the next one)."""
        self._running = None

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of one epoch, and tell who hands them out when it begins and ends."""
        self.batches.begin_epoch()
        try:
            yield from self._epoch()
        except GeneratorExit:  # training stopped in the middle
            self.batches.end_epoch()
            raise
        self.batches.end_epoch()

    def _epoch(self) -> Iterator[Batch]:
        if self._per_epoch is None:
            count = 0
            for batch in self.batches.epoch():
                count += 1
                yield batch
            if not count:
                warn(
                    "The data handed out no batch for this epoch.",
                    "Expected batches for every epoch: a generator hands each out once only.",
                    "steps_per_epoch=... with a generator that goes on for ever, or a DataLoader",
                )
            return
        for step in range(self._per_epoch):
            drawn = self._next()
            if drawn is None and step == 0 and not getattr(self.batches, "once", False):
                drawn = self._next()  # the last epoch ended with the last batch
            if drawn is None:
                warn(
                    f"The data ran out after {step} of {self._per_epoch} steps of this epoch; the epoch ends here.",
                    "Expected steps_per_epoch * epochs batches from a generator, or steps_per_epoch at most the batches there are.",
                    "leave out steps_per_epoch, or let the generator go on for ever",
                )
                return
            yield drawn

    def _next(self) -> Batch | None:
        """Return the next batch, or None, after which comes the first again."""
        if self._running is None:
            self._running = self.batches.epoch()
        for batch in self._running:
            return batch
        self._running = None
        return None
