"""Weights in several HDF5 files of a limited size, with an index in JSON: `model.weights.json` and `model_00000.weights.h5`, ...

The index says in which files each part of the model has its arrays. Keras
reads and writes the same.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.core.files import atomic_write, not_found, readable_size
from uncrumple.models.documents import read_json
from uncrumple.models.hdf5 import File, Seal, Writer, opened, put_seal, seal_of, written
from uncrumple.models.weights_file import read_weights, size_of, store_parts

SUFFIX = ".weights.json"
_SHARD = ".weights.h5"
_GIGABYTE = 1024**3
_MOST_SHARDS = 2000


def index_path(path: str) -> str:
    """Return where the index lies for a path that ends in `.weights.h5` or `.weights.json`."""
    return path.removesuffix(_SHARD) + SUFFIX if path.endswith(_SHARD) else path


# --- writing -----------------------------------------------------------------------------


def write(model: Any, path: str, most: float, skip: Any = ()) -> None:
    """Write the weights of a model into files of at most `most` gigabytes.

    No file gets its name before all are complete and on disk; the index gets
    its name last. If the power fails between the first and the last of these
    names, the index does not fit the files, and loading says so.

    Args:
        model: The model.
        path: Path of the index, which ends in `.weights.json`.
        most: Most gigabytes of numbers in one file.
        skip: Parts to leave out.

    Raises:
        ValueError: One array alone is larger than a file may be.
    """
    before = _named_in(path)
    with contextlib.ExitStack() as names:
        index = names.enter_context(atomic_write(path, size_of(model)))
        shards = _Shards(path, most * _GIGABYTE, size_of(model), names)
        with shards:
            store_parts(model, lambda part, at: _Store(shards, at, getattr(part, "name", None)), skip)
        index.write(json.dumps(shards.index(), indent=4).encode())
    for name in before - set(shards.seals):  # of a larger set of files that had these names
        with contextlib.suppress(OSError):
            os.remove(os.path.join(os.path.dirname(path), name))


def _named_in(path: str) -> set[str]:
    """Return the files of an index that is about to be replaced, if they are numbered after it."""
    try:
        with open(path, "rb") as file:
            found = {name for names in json.load(file)["weight_map"].values() for name in _as_list(names)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return {name for name in found if name == _shard(path, name.removesuffix(_SHARD)[-5:])}


def _shard(path: str, number: str) -> str:
    return f"{os.path.basename(path).removesuffix(SUFFIX)}_{number}{_SHARD}" if number.isdigit() else ""


class _Shards:
    """Files that are filled one after the other.

    Args:
        path: Path of the index.
        most: Most bytes of numbers in one file.
        needed: Bytes of all files, for the message if the disk is full.
        names: Keeps the files under temporary names until all are complete.
    """

    def __init__(self, path: str, most: float, needed: int, names: contextlib.ExitStack) -> None:
        self.path, self.most, self._needed, self._names = path, most, needed, names
        self.seals: dict[str, str] = {}
        self.map: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()
        self.total = self._size = 0
        self.file: File
        self._open = contextlib.ExitStack()

    def __enter__(self) -> _Shards:
        self._next()
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._seal()
        self._open.__exit__(*error)

    def _next(self) -> None:
        self.name = _shard(self.path, f"{len(self.seals):05}")
        target = os.path.join(os.path.dirname(self.path), self.name)
        room = self._names.enter_context(atomic_write(target, self._needed))
        self._open = contextlib.ExitStack()
        self.file = self._open.enter_context(written(room))
        self.seal, self._size = Seal(), 0

    def _seal(self) -> None:
        put_seal(self.file, self.seal)
        self.seals[self.name] = self.seal.text()

    def make_room(self, group: str, key: str, size: int) -> None:
        """Begin a new file if an array does not fit in this one any more, and note where it goes."""
        if size > self.most:
            raise ValueError(
                explain(
                    f"The array '{key}' of '{group}' takes {readable_size(size)}.",
                    f"Expected none of more than max_shard_size, {readable_size(self.most)}.",
                    f"save_weights(path, max_shard_size={size / _GIGABYTE:.3g}) or more",
                )
            )
        if self._size + size > self.most:
            self._seal()
            self._open.close()
            self._next()
        self._size += size
        self.total += size
        files = self.map.setdefault(f"/{group}", [])
        if self.name not in files:
            files.append(self.name)
        self._counts[group] += 1

    def index(self) -> dict[str, Any]:
        """Return what goes into the index; the file of a single array is not in a list, as Keras has it."""
        where = {at: names if self._counts[at.lstrip("/")] > 1 else names[0] for at, names in self.map.items()}
        return {"metadata": {"total_size": self.total, "sha256": self.seals}, "weight_map": where}


class _Store:
    """The arrays of one part, which may go into several files."""

    def __init__(self, shards: _Shards, path: str, name: Any) -> None:
        self._shards, self._path, self._name = shards, path, name
        self._keys: list[str] = []

    def __setitem__(self, key: str, value: Any) -> None:
        size = value.numel() * value.element_size() if hasattr(value, "element_size") else np.asarray(value).nbytes
        self._shards.make_room(f"{self._path}/vars" if self._path else "vars", key, size)
        Writer(self._shards.file, self._path, self._name, self._shards.seal)[key] = value
        self._keys.append(key)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Any:
        return list(self._keys)


# --- reading -----------------------------------------------------------------------------


def read(model: Any, path: str, skip: Any = (), skip_mismatch: bool = False) -> None:
    """Load weights from the files that an index names; if something does not fit, nothing is changed.

    Raises:
        FileNotFoundError: The index, or one of the files, is not there.
        ValueError: They are damaged, not of one save, or do not fit the model.
    """
    if not os.path.isfile(path):
        raise not_found(path, (SUFFIX, ".h5"))
    index = read_json(path)
    seals = _checked(index, path)
    with contextlib.ExitStack() as files:
        parts = []
        for name, seal in seals.items():
            where = os.path.join(os.path.dirname(path), name)
            if not os.path.isfile(where):
                raise FileNotFoundError(
                    explain(
                        f"'{path}' names the file '{name}', which is not there.",
                        "Expected it beside the index: the weights are kept in several files.",
                        f"copy the files {', '.join(list(seals)[:4])}{', ...' if len(seals) > 4 else ''} too",
                    )
                )
            h5 = files.enter_context(opened(files.enter_context(open(where, "rb"))))
            if seal is not None and seal_of(h5) != seal:
                raise _damaged(path, f"is not of the same save as '{name}'")
            parts.append(h5)
        read_weights(model, parts, path, skip=skip, skip_mismatch=skip_mismatch)


def _checked(index: Any, path: str) -> dict[str, str | None]:
    """Return {file: its checksum or None} from an index; names that lead elsewhere are refused."""
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict):
        raise _damaged(path, "holds no weight_map")
    everything = [name for part in places.values() for name in _as_list(part)]
    for name in everything:
        if not isinstance(name, str) or os.path.basename(name) != name or not name.endswith(_SHARD) or "\\" in name:
            raise _damaged(path, f"names the file {str(name)[:80]!r}, which is not one beside it")
    names = list(dict.fromkeys(everything))
    if len(names) > _MOST_SHARDS:
        raise _damaged(path, f"names {len(names):,} files")
    metadata = index.get("metadata")
    seals = metadata.get("sha256") if isinstance(metadata, dict) else None
    if seals is not None and (not isinstance(seals, dict) or not set(names) <= set(seals)):
        raise _damaged(path, "has no checksum for some of its files")
    return {name: None if seals is None else str(seals[name]) for name in names}


def _as_list(names: Any) -> list[Any]:
    return names if isinstance(names, list) else [names]


def _damaged(path: str, came: str) -> ValueError:
    return ValueError(
        explain(
            f"'{path}' {came}.",
            "Expected what model.save_weights(path, max_shard_size=...) wrote.",
            "get all the files again, or save the weights again",
        )
    )
