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
from uncrumple.core.errors import explain, warn
from uncrumple.core.settings import max_steps_per_epoch
from uncrumple.core.text import is_text_list
from uncrumple.data.background import close, read_ahead
from uncrumple.data.convert import is_array, lengths, to_tensors
from uncrumple.data.dataset import Dataset
from uncrumple.data.disk import DiskArray, shuffled, to_arrays
from uncrumple.data.py_dataset import PyDataset, batches_of

Batch = tuple[Any, ...]

# Rows are gathered for several small batches at once, up to this many bytes:
# one large copy costs less than many small ones, and stays in the cache.
_CHUNK_BYTES = 4 << 20
# How many such chunks are read from a file while the last one is used.
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

    def first(self) -> Batch:
        """Return one batch without drawing from the epoch."""
        return self._pack([leaf[: self.batch_size] for leaf in self._leaves])

    def _pack(self, leaves: Iterable[Any]) -> Batch:
        given = iter(leaves)
        if self._flat:
            return tuple(None if part is None else next(given) for part in self._parts)
        full = [None if leaf is None else next(given) for leaf in tree.flatten(self._parts)]
        return tree.pack(self._parts, full)

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        order = None
        if self.shuffle:
            order = torch.randperm(self.samples).to(self._leaves[0].device)
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
        """Move the arrays to a device, so that batches are drawn there."""
        if not all(leaf.device == device for leaf in self._leaves):
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
        self._device: torch.device | None = None

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


# --- from the arguments of fit, evaluate and predict ---------------------------------


def make_batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool = False,
    class_weight: dict[int, float] | None = None,
    prefix: str = "",
    training: bool = False,
) -> Batches:
    """Return batches for whatever was given as `x` (and y, and weights).

    Args:
        x: Arrays, tensors, frames, or a list or dict of them; or a `Table`, `Images`, `Text` or `Series`, which
            brings y; or a `Dataset` or `PyDataset`; or a torch data set or `DataLoader`; or a generator.
        y, sample_weight: Arrays; not with data sets and generators, which hand them out.
        batch_size: 32 by default; not with sources that hand out batches.
        prefix: Stands before the names of the data in messages, such as `"validation "`.
        training: Whether the batches are learnt from: then pictures are augmented, if their `Images` says how.

    Raises:
        ValueError: Lengths differ, data is empty or ragged, or arguments exclude each other.
    """
    if getattr(x, "_is_raw_data", False):
        if y is not None:
            raise ValueError(
                explain(
                    f"{prefix}y was given together with {_an(type(x).__name__)}, which has its answers.",
                    "Expected one of the two.",
                    "remove y=, or give the rows alone: x.raw",
                )
            )
        if x.is_read_in_batches or (training and x.augment):
            if sample_weight is not None:
                raise ValueError(
                    explain(
                        f"{prefix}sample_weight was given with {_an(type(x).__name__)} that is read batch by batch.",
                        "Expected no weights, or weights of classes.",
                        "class_weight={0: 1.0, 1: 5.0}",
                    )
                )
            if not x.is_read_in_batches:
                _ = x.raw  # files are read now, once, and not in each epoch
            x, batch_size = x.batches(batch_size or 32, shuffle=shuffle, training=training), None
        else:
            x, y = x.raw, x.y
    if isinstance(x, torch.utils.data.DataLoader) or _is_stream(x):
        if isinstance(x, torch.utils.data.Dataset) and not isinstance(x, Dataset):
            x = torch.utils.data.DataLoader(
                x,
                batch_size=batch_size or 32,
                shuffle=shuffle and not isinstance(x, torch.utils.data.IterableDataset),
            )
        elif batch_size is not None:
            raise ValueError(
                explain(
                    f"batch_size={batch_size} was given with a {type(x).__name__}, which makes its own batches.",
                    "Expected no batch_size.",
                    f"remove batch_size={batch_size}; it is set where the {type(x).__name__} is made",
                )
            )
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    explain(
                        f"{name} was given together with a {type(x).__name__}.",
                        f"Expected the {type(x).__name__} to hand out (x, y) itself.",
                        f"remove {name}=, and yield (x, y)",
                    )
                )
        if isinstance(x, Dataset) and x._stage.batched is False:
            raise ValueError(
                explain(
                    f"The {prefix}Dataset hands out single samples.",
                    "Expected batches.",
                    f"{prefix.replace(' ', '_')}dataset.batch(32)",
                )
            )
        return StreamBatches(x, class_weight, shuffle and isinstance(x, PyDataset))
    if x is None:
        raise ValueError(explain(f"No data: {prefix}x is None.", "Expected an array of samples.", "model.fit(x, y)"))
    x, y = to_arrays(x, f"{prefix}x", text=True), to_arrays(y, f"{prefix}y")
    weight = to_arrays(sample_weight, f"{prefix}sample_weight")
    check_lengths(x, y, weight, prefix)
    if class_weight is not None:
        if weight is not None:
            raise ValueError(
                explain(
                    "fit got both class_weight and sample_weight.",
                    "Expected one of the two.",
                    "multiply sample_weight by the weight of each sample's class",
                )
            )
        weight = weights_of_classes(y, class_weight)
    size = 32 if batch_size is None else batch_size
    on_disk = any(isinstance(leaf, DiskArray) for leaf in tree.flatten((x, y, weight)))
    return (DiskBatches if on_disk else ArrayBatches)(x, y, weight, batch_size=size, shuffle=shuffle)


def _is_stream(x: Any) -> bool:
    if isinstance(x, (torch.utils.data.Dataset, Iterator)):
        return True
    array = is_array(x) or hasattr(x, "toarray")  # the latter for sparse matrices of SciPy, which are refused
    return not (array or isinstance(x, (list, tuple, dict, str, type(None)))) and hasattr(x, "__iter__")


def check_lengths(x: Any, y: Any, sample_weight: Any, prefix: str = "") -> None:
    """Compare the numbers of samples, and refuse data without any."""
    first = f"{prefix}x"
    named = ((first, x), (f"{prefix}y", y), (f"{prefix}sample_weight", sample_weight))
    for name, part in named:
        for leaf in tree.flatten(part):
            if leaf is not None and leaf.ndim == 0:
                raise ValueError(
                    explain(
                        f"{name} is a single number.",
                        "Expected an array with one entry per sample.",
                        f"{name.replace(' ', '_')} = np.array([...])",
                    )
                )
    counts = lengths(x)
    if not counts or counts[0] == 0:
        shape = tuple(tree.flatten(x)[0].shape) if counts else ()
        raise ValueError(
            explain(
                f"{first} holds no samples: its shape is {shape}.",
                "Expected at least one.",
                f"check the lines that make or filter {first}: print({first.replace(' ', '_')}.shape)",
            )
        )
    for name, part in named:
        for count in lengths(part) if part is not None else []:
            if count != counts[0]:
                both = f"{first}), len({name}".replace(" ", "_").replace(",_", ", ")
                other = f"{first} has arrays of {counts[0]} and {count} samples."
                raise ValueError(
                    explain(
                        other if name == first else f"{first} has {counts[0]} samples and {name} has {count}.",
                        "Expected as many in each: row i of each belongs to sample i.",
                        f"check the lines that split or filter {first} and {name}: print(len({both}))"
                        if name != first
                        else f"check the lines that split or filter {first}",
                    )
                )


def weights_of_classes(y: Any, class_weight: dict[int, float]) -> torch.Tensor:
    """Return the weight of each sample by its class; classes that are not named weigh 1.

    Raises:
        ValueError: There are several outputs, or the keys are not class numbers.
    """
    if not isinstance(class_weight, dict):
        weights = list(class_weight) if hasattr(class_weight, "__iter__") else []
        raise ValueError(
            explain(
                f"class_weight is {_an(type(class_weight).__name__)}.",
                "Expected a dict: {class number: weight}.",
                f"class_weight={dict(enumerate(weights)) if 0 < len(weights) <= 5 else 'dict(enumerate(weights))'}",
            )
        )
    if not isinstance(y, torch.Tensor):
        raise ValueError(
            explain(
                "class_weight was given, but there is not exactly one array of targets.",
                "Expected a model with one output.",
                "use sample_weight, one array per output",
            )
        )
    for key in class_weight:
        if isinstance(key, bool) or (not isinstance(key, int) and not (hasattr(key, "__index__"))):
            raise ValueError(
                explain(
                    f"class_weight has the key {key!r}, a {type(key).__name__}.",
                    "Expected the whole numbers that y holds.",
                    "class_weight={0: 1.0, 1: 5.0}",
                )
            )
    labels = y
    if y.ndim > 1:
        labels = y.argmax(-1) if y.shape[-1] > 1 else y.squeeze(-1)
    numbers = labels.round() if labels.is_floating_point() else labels
    kinds, which = numbers.to(torch.int64).unique(return_inverse=True)
    weights = [float(class_weight.get(kind, 1.0)) for kind in kinds.tolist()]
    return torch.tensor(weights, device=labels.device)[which]


def _an(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def split_tail(x: Any, y: Any, sample_weight: Any, share: float) -> tuple[Batch, Batch]:
    """Return the first part and the last `share` of the samples, as Keras's `validation_split` does."""
    count = lengths(x)[0]
    keep = int(count * (1.0 - share))
    if keep == 0 or keep == count:
        raise ValueError(
            explain(
                f"validation_split={share} of {count} sample{'s' * (count != 1)} leaves {keep} for training "
                f"and {count - keep} for validation.",
                "Expected at least one in each part.",
                "leave out validation_split, or get more samples",
            )
        )

    def cut(part: Any, where: slice) -> Any:
        return tree.map_structure(lambda leaf: None if leaf is None else leaf[where], part)

    parts = (x, y, sample_weight)
    head, tail = slice(None, keep), slice(keep, None)
    return tuple(cut(part, head) for part in parts), tuple(cut(part, tail) for part in parts)  # type: ignore[return-value]
