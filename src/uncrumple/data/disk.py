"""Arrays that stay in their file: memory-mapped NumPy arrays and HDF5 datasets, read row by row as they are needed.

The rows of a memory-mapped array are read where they lie, in any order. So
are those of an HDF5 dataset that is stored in one piece. One that is stored
in chunks can be read only by whole chunks, which are kept for a while, and
shuffled in groups.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.data.convert import to_tensor, to_tensors

# How much of a file in chunks is kept in memory at a time, and how much is read at once.
_KEPT_BYTES = 256 << 20
_BLOCK_BYTES = 1 << 20
# Arrays in files that are no larger are read as a whole, and then looked through before training, as others are.
_SMALL_BYTES = 64 << 20
# How many bytes are looked at before training, for numbers that are none.
LOOKED_AT_BYTES = 16 << 20


def is_on_disk(value: Any) -> bool:
    """Return whether a value is an array in a file: a NumPy `memmap` or an HDF5 dataset of h5py.

    Example:
        >>> is_on_disk(np.zeros(3))
        False
    """
    if isinstance(value, np.memmap):
        return getattr(value, "_mmap", None) is not None  # the result of a calculation has the type, and no file
    return type(value).__module__.startswith("h5py.") and type(value).__name__ == "Dataset"


class DiskArray:
    """An array in a file, whose rows become tensors when they are asked for.

    Args:
        source: A NumPy `memmap`, or an h5py `Dataset`.
        argument: What it is called, for messages.

    Attributes:
        shape: As of the source.
        dtype: The type of the tensors: float64 is read as `floatx()`, and unsigned numbers of 16 bits and more as int64.
        block_rows: How many rows are read at once, where they cannot be read one by one; else None.

    Raises:
        ValueError: It does not hold numbers.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "x.npy"
        ...     np.save(path, np.arange(6.0).reshape(3, 2))
        ...     x = DiskArray(np.load(path, mmap_mode="r"))
        ...     x.rows(torch.tensor([2, 0])).tolist()
        [[4.0, 5.0], [0.0, 1.0]]
    """

    def __init__(self, source: Any, argument: str = "x", start: int = 0, stop: int | None = None) -> None:
        if not isinstance(source, np.ndarray):
            source = _mapped(source)
        if len(source.shape) == 0:
            raise ValueError(
                explain(
                    f"{argument} is a single number in a file.", "Expected an array with one entry per sample.", "x[:]"
                )
            )
        if isinstance(source, np.memmap):
            # Plain arrays are quicker to take rows from. The map stays open as long as they live.
            source = source.view(np.ndarray)
        self.source = source
        self.argument = argument
        self._start, self._stop = start, len(source) if stop is None else stop
        self.shape = torch.Size((self._stop - self._start, *source.shape[1:]))
        self.ndim = len(self.shape)
        self.dtype = to_tensor(np.zeros((1,), source.dtype), argument).dtype  # refuses what is no number
        self.device = torch.device("cpu")
        self.row_bytes = int(np.prod(source.shape[1:], dtype=np.int64)) * source.dtype.itemsize
        self.block_rows: int | None = None
        if not isinstance(source, np.ndarray):
            chunk = (source.chunks or (1,))[0]
            self.block_rows = chunk * max(1, _BLOCK_BYTES // max(1, chunk * self.row_bytes))
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return int(self.shape[0])

    def numel(self) -> int:
        """Return the number of numbers."""
        return self.shape.numel()

    def element_size(self) -> int:
        """Return the bytes of one number."""
        return self.dtype.itemsize

    def is_floating_point(self) -> bool:
        """Return whether its tensors hold floats."""
        return self.dtype.is_floating_point

    def __getitem__(self, where: slice) -> DiskArray:
        """Return a part of the rows, without reading them."""
        start, stop, step = where.indices(len(self))
        if step != 1:
            raise ValueError(explain(f"{self.argument}[{where}] has a step.", "Expected x[start:stop].", "x[0:100]"))
        return DiskArray(self.source, self.argument, self._start + start, self._start + max(start, stop))

    def rows(self, index: torch.Tensor | slice) -> torch.Tensor:
        """Read rows into memory: those of the numbers in `index`, in that order, or from start to stop."""
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            numbers = np.arange(start, stop) + self._start
        else:
            numbers = index.cpu().numpy() + self._start
        if self.block_rows is not None:
            return to_tensor(self._from_blocks(numbers), self.argument)
        rows = torch.empty((len(numbers), *self.shape[1:]), dtype=self.dtype, device="cpu")
        # A piece at a time: while numbers change their type, only few are in memory twice.
        for piece, place in zip(
            rows.split(size := max(1, _BLOCK_BYTES // max(1, self.row_bytes))), range(0, len(rows), size)
        ):
            piece.copy_(to_tensor(self.source.take(numbers[place : place + size], 0), self.argument))
        return rows

    def _from_blocks(self, numbers: np.ndarray) -> np.ndarray:
        """Read rows by blocks, and keep these: the rows next asked for are likely to lie in them."""
        size = self.block_rows or 1
        found = np.empty((len(numbers), *self.shape[1:]), self.source.dtype)
        which = numbers // size
        for number in np.unique(which).tolist():
            block = self._blocks.pop(number, None)
            if block is None:
                block = self.source[number * size : (number + 1) * size]
            self._blocks[number] = block
            here = np.flatnonzero(which == number)
            found[here] = block[numbers[here] - number * size]
        while len(self._blocks) > max(1, _KEPT_BYTES // max(1, size * self.row_bytes)):
            self._blocks.popitem(last=False)
        return found


def _mapped(dataset: Any) -> Any:
    """Return an HDF5 dataset as a memory-mapped array, if it lies in its file in one piece; else as it is."""
    offset = dataset.id.get_offset()
    plain = dataset.chunks is None and dataset.compression is None and not dataset.external and not dataset.is_virtual
    if (
        not plain
        or offset is None
        or not dataset.dtype.isnative
        or dataset.dtype.kind not in "biuf"
        or not dataset.size
    ):
        return dataset
    if dataset.file.mode != "r" or dataset.file.driver not in ("sec2", "windows"):
        return dataset  # what was written a moment ago may not be in the file yet
    return np.memmap(dataset.file.filename, dataset.dtype, "r", offset, dataset.shape)


def shuffled(samples: int, arrays: list[DiskArray]) -> torch.Tensor:
    """Return row numbers in random order, such that no block has to be read more than once or so."""
    sizes = [array.block_rows for array in arrays if array.block_rows is not None]
    if not sizes:
        return torch.randperm(samples, device="cpu")
    size = max(sizes)
    row_bytes = sum(array.row_bytes for array in arrays if array.block_rows is not None)
    # Half of what is kept: the rows of one group, while those of the next are being read.
    group = max(1, _KEPT_BYTES // 2 // max(1, size * row_bytes))
    blocks = torch.randperm(math.ceil(samples / size), device="cpu")
    parts = []
    for some in blocks.split(group):
        rows = (some[:, None] * size + torch.arange(size, device="cpu")).reshape(-1)
        rows = rows[rows < samples]
        parts.append(rows[torch.randperm(len(rows), device="cpu")])
    return torch.cat(parts)


def to_arrays(structure: Any, argument: str, text: bool = False) -> Any:
    """Return a structure as `to_tensors` does, except that large arrays in files stay there, as `DiskArray`s."""
    if isinstance(structure, dict):
        return {name: to_arrays(value, f"{argument}['{name}']", text) for name, value in structure.items()}
    if isinstance(structure, (list, tuple)) and any(
        is_on_disk(part) or isinstance(part, DiskArray) for part in structure
    ):
        return [to_arrays(value, f"{argument}[{index}]", text) for index, value in enumerate(structure)]
    if isinstance(structure, DiskArray):
        return structure
    if not is_on_disk(structure) or len(structure.shape) == 0:
        return to_tensors(structure, argument, text=text)
    array = DiskArray(structure, argument)
    small = len(array) * array.row_bytes <= _SMALL_BYTES
    return array.rows(slice(None)) if small else array


def first_rows(structure: Any) -> Any:
    """Return a structure with the first rows of arrays on disk read, and everything else as it is: what checks look at."""

    def look(leaf: Any) -> Any:
        if not isinstance(leaf, DiskArray):
            return leaf
        return leaf.rows(slice(0, max(1, LOOKED_AT_BYTES // max(1, leaf.row_bytes))))

    return tree.map_structure(look, structure)
