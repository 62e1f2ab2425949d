"""Arrays of numbers in HDF5 files: written as Keras writes them, read without trust.

A file may say anything. Links to other places are refused, and so are arrays
that say they are far larger than what is stored for them, before memory is
taken for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.core.files import readable_size

# An array may be this much larger than its bytes in the file (compression), or this many bytes at least.
_MOST_EXPANSION = 100
_ALWAYS_FINE = 2**20
# Compressions and checksums that come with HDF5: deflate, shuffle, fletcher32, szip, nbit, scaleoffset; h5py's lzf.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}


class Writer:
    """The arrays of one part, to be filled by its `save_own_variables`."""

    def __init__(self, file: h5py.File, path: str, name: Any) -> None:
        self._file = file
        self._path = f"{path}/vars" if path else "vars"
        if isinstance(name, str):  # even without arrays, as in Keras's files
            self._group().attrs["name"] = name

    def _group(self) -> h5py.Group:
        return self._file.require_group(self._path)

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            if value.dtype is torch.bfloat16:  # HDF5 has no such type: two bytes, and a note
                raw = value.contiguous().view(torch.int16).numpy().view("V2")
                self._group().create_dataset(key, data=raw).attrs["dtype"] = "bfloat16"
                return
            value = value.numpy()
        self._group()[key] = np.asarray(value)

    def __getitem__(self, key: str) -> Any:
        return self._group()[key]

    def __contains__(self, key: str) -> bool:
        return key in self._group()

    def __len__(self) -> int:
        return len(self._group())

    def keys(self) -> Any:
        return self._group().keys()


class Reader:
    """The arrays of one part, as its `load_own_variables` gets them."""

    def __init__(self, group: h5py.Group | None) -> None:
        self._found = {} if group is None else {str(key): _dataset(group, key) for key in group}

    def __getitem__(self, key: str) -> np.ndarray:
        return _read(self._found[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __contains__(self, key: object) -> bool:
        return key in self._found

    def __len__(self) -> int:
        return len(self._found)

    def keys(self) -> Any:
        return self._found.keys()

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of an array without reading it."""
        return tuple(self._found[key].shape)


def child(group: h5py.Group, name: str) -> Any:
    """Return what a group holds under a name, if it lies in this very file; None if there is nothing."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise ValueError(
            explain(
                f"The file has a link at '{group.name}/{name}' to another place.",
                "Expected arrays and groups of its own.",
                "do not use this file: weights need no links",
            )
        )
    return group[name]


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return an array that may be read: of numbers, stored in this file, and as large as it says."""
    dataset = child(group, name)
    where = f"'{group.name}/{name}'"
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(explain(f"{where} is not an array.", "Expected an array.", "save the weights again"))
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    settings = dataset.id.get_create_plist()
    filters = {settings.get_filter(index)[0] for index in range(settings.get_nfilters())}
    if dataset.is_virtual or dataset.external or not filters <= _FILTERS:
        raise ValueError(
            explain(
                f"The array {where} is kept outside of the file, or in an unknown compression.",
                "Expected arrays in the file itself.",
                "do not use this file: weights need nothing of the kind",
            )
        )
    if dataset.dtype.kind not in "biufc" and not _is_bfloat16(dataset):
        raise ValueError(
            explain(f"{where} has the type {dataset.dtype}.", "Expected numbers.", "save the weights again")
        )
    stored = dataset.id.get_storage_size()
    if declared > max(_ALWAYS_FINE, _MOST_EXPANSION * stored):
        raise ValueError(
            explain(
                f"The array {where} says it has the shape {dataset.shape}, which is {readable_size(declared)}.",
                f"Expected what the file holds for it: {readable_size(stored)}.",
                "the file is damaged, or made to fill the memory; get it again from where it came",
            )
        )
    return dataset


def _is_bfloat16(dataset: h5py.Dataset) -> bool:
    return dataset.dtype.itemsize == 2 and dataset.attrs.get("dtype") == "bfloat16"


def _read(dataset: h5py.Dataset) -> np.ndarray:
    if _is_bfloat16(dataset):
        raw = torch.from_numpy(np.asarray(dataset[()]).view("int16").copy())
        return raw.view(torch.bfloat16).float().numpy()
    return np.asarray(dataset[()])


def read_array(group: h5py.Group, name: str) -> np.ndarray:
    """Return an array of a group, if it may be read."""
    return _read(_dataset(group, name))


def count_numbers(h5: h5py.File) -> int:
    """Return how many numbers all arrays in a file hold, as far as they say."""
    found = [0]

    def add(_: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset):
            found[0] += math.prod(thing.shape)

    h5.visititems(add)
    return found[0]
