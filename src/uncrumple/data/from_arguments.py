"""Batches from what `fit`, `evaluate` and `predict` are given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.data.batches import ArrayBatches, Batch, Batches, DiskBatches, StreamBatches
from uncrumple.data.class_weights import weights_of_classes
from uncrumple.data.convert import is_array, lengths
from uncrumple.data.dataset import Dataset
from uncrumple.data.disk import DiskArray, to_arrays
from uncrumple.data.py_dataset import PyDataset


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
                    f"{prefix}y was given together with a {type(x).__name__}, which has its answers.",
                    "Expected one of the two.",
                    "remove y=, or give the rows alone: x.raw",
                )
            )
        if x.is_read_in_batches or (training and x.augment):
            if sample_weight is not None:
                raise ValueError(
                    explain(
                        f"{prefix}sample_weight was given with a {type(x).__name__} that is read batch by batch.",
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
