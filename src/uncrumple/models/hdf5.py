"""Arrays of numbers in HDF5 files: written as Keras writes them, read without trust.

A file may say anything. Links to other places are refused, and so are arrays
that say they are far larger than what is stored for them, before memory is
taken for them. Everything that this package reads from HDF5 goes through
here: no other file may open one or take something out of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

import h5py
import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.core.files import readable_size

# An array may be this much larger than its bytes in the file (compression), or this many bytes at least.
_MOST_EXPANSION = 100
_ALWAYS_FINE = 2**20
# Arrays and groups in one file, and names in one list.
_MOST_MEMBERS = 2**18
_MOST_NAMES = 2**16
_DEEPEST = 64
# Compressions and checksums that come with HDF5: deflate, shuffle, fletcher32, szip, nbit, scaleoffset; h5py's lzf.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
# The attribute of the file itself that says what its arrays were when it was written.
_SEAL = "sha256"


# For the signatures of others, who have no business with h5py itself.
File, Group = h5py.File, h5py.Group


# --- writing -----------------------------------------------------------------------------


@contextlib.contextmanager
def written(file: Any) -> Iterator[h5py.File]:
    """Begin a file of HDF5 in an open binary file; what the disk said comes out as it said it."""
    watched = _Watched(file)
    try:
        with h5py.File(watched, "w") as h5:
            yield h5
    except Exception:
        if watched.error is not None:
            raise watched.error from None
        raise


class _Watched:
    """A file that keeps the error of a failed write: HDF5 says only that there was one."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise


class Seal:
    """Adds up what is written into a file, or found in one: a checksum of names, shapes, types and numbers.

    HDF5 has none of its own that Keras's files use, so a flipped bit would
    become a wrong number without a word.
    """

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}

    def add(self, name: str, value: Any) -> None:
        """Take an array, or a text, into account."""
        if isinstance(value, str):
            value = np.frombuffer(value.encode(), dtype="u1")
        value = np.asarray(value)
        digest = hashlib.sha256(f"{value.shape} {value.dtype.str}".encode())
        if value.size:
            digest.update(np.ascontiguousarray(value).reshape(-1).view("u1").data)
        self._parts["/" + name.strip("/")] = digest.hexdigest()

    def text(self) -> str:
        lines = (f"{name}={digest}" for name, digest in sorted(self._parts.items()))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def create(group: h5py.Group, name: str, value: Any, seal: Seal | None = None) -> None:
    """Write an array; bfloat16, which HDF5 does not have, as two bytes and a note."""
    note = None
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype is torch.bfloat16:
            value, note = value.contiguous().view(torch.int16).numpy().view("V2"), "bfloat16"
        else:
            value = value.numpy()
    value = np.asarray(value)
    dataset = group.create_dataset(name, data=value)
    if note:
        dataset.attrs["dtype"] = note
    if seal is not None:
        seal.add(dataset.name, value)


def put_text(thing: Any, name: str, text: str) -> None:
    """Write a text as an attribute, in the form that Keras writes it in."""
    thing.attrs[name] = text.encode()


def put_texts(thing: Any, name: str, texts: list[bytes]) -> None:
    """Write a list of texts as one attribute; it must not take more than 64 KB."""
    thing.attrs[name] = np.asarray(texts, dtype=bytes) if texts else np.zeros(0)


def put_seal(h5: h5py.File, seal: Seal) -> None:
    """Write the checksum into the file that it is of."""
    h5.attrs[_SEAL] = seal.text()


class Writer:
    """The arrays of one part, to be filled by its `save_own_variables`."""

    def __init__(self, file: h5py.File, path: str, name: Any, seal: Seal | None = None) -> None:
        self._file = file
        self._path = f"{path}/vars" if path else "vars"
        self._seal = seal
        if isinstance(name, str):  # even without arrays, as in Keras's files
            self._group().attrs["name"] = name

    def _group(self) -> h5py.Group:
        return self._file.require_group(self._path)

    def __setitem__(self, key: str, value: Any) -> None:
        create(self._group(), key, value, self._seal)

    def __getitem__(self, key: str) -> Any:
        return self._group()[key]

    def __contains__(self, key: str) -> bool:
        return key in self._group()

    def __len__(self) -> int:
        return len(self._group())

    def keys(self) -> Any:
        return self._group().keys()


# --- reading -----------------------------------------------------------------------------


@contextlib.contextmanager
def opened(file: Any) -> Iterator[h5py.File]:
    """Open a file that is there, to read it and nothing else.

    Args:
        file: A binary file that is open; not a path, so HDF5 looks for no other files beside it.
    """
    with h5py.File(file, "r") as h5:
        yield h5


class Reader:
    """The arrays of one part, as its `load_own_variables` gets them.

    Args:
        groups: Where they are: one group, or one in each of several files.
    """

    def __init__(self, *groups: h5py.Group) -> None:
        self._found: dict[str, h5py.Dataset] = {}
        for group in groups:
            _check_length(group)
            for key in group:
                if str(key) in self._found:
                    raise ValueError(
                        explain(
                            f"The array '{group.name}/{key}' is there twice.",
                            "Expected it in one file only.",
                            "save the weights again",
                        )
                    )
                self._found[str(key)] = _dataset(group, key)

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
    if "/" in name or name in (".", ".."):
        return None
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


def group_at(h5: h5py.Group, path: str) -> h5py.Group | None:
    """Return the group at a path such as `layers/dense/vars`, if there is one, without following links."""
    place: Any = h5
    for name in filter(None, path.split("/")):
        if not isinstance(place, h5py.Group):
            return None
        place = child(place, name)
    return place if isinstance(place, h5py.Group) else None


def text_of(thing: Any, name: str) -> str | None:
    """Return an attribute that is a text; None if there is none."""
    if name not in thing.attrs:
        return None
    kind = thing.attrs.get_id(name)
    if math.prod(kind.shape) != 1:
        raise ValueError(
            explain(f"The attribute '{name}' is a list.", "Expected one text.", "the file is damaged; get it again")
        )
    return _as_text(np.asarray(thing.attrs[name]).reshape(-1)[0])


def has_names(group: h5py.Group, attribute: str) -> bool:
    """Return whether a group has a list of names, in one piece or several."""
    return attribute in group.attrs or f"{attribute}0" in group.attrs


def names_of(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names in an attribute, which is cut into several where it is long."""
    found: list[str] = []
    number = 0
    here = attribute if attribute in group.attrs else f"{attribute}0"
    while here in group.attrs:
        count = math.prod(group.attrs.get_id(here).shape)
        if len(found) + count > _MOST_NAMES:
            raise ValueError(
                explain(
                    f"The attribute '{attribute}' of '{group.name}' says it has {count:,} names.",
                    f"Expected at most {_MOST_NAMES:,}.",
                    "do not use this file: it is damaged, or made to fill the memory",
                )
            )
        found += [_as_text(name) for name in np.asarray(group.attrs[here]).reshape(-1)]
        if here == attribute:
            break
        number += 1
        here = f"{attribute}{number}"
    return found


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check_length(group: h5py.Group) -> None:
    if len(group) > _MOST_MEMBERS:
        raise _too_many(len(group))


def _too_many(count: int) -> ValueError:
    return ValueError(
        explain(
            f"The file says it has {count:,} arrays and groups.",
            f"Expected at most {_MOST_MEMBERS:,}.",
            "do not use this file: it is damaged, or made to take time",
        )
    )


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return an array that may be read: of numbers, stored in this file, and as large as it says."""
    dataset = child(group, name)
    if not isinstance(dataset, h5py.Dataset):
        where = f"'{group.name}/{name}'"
        raise ValueError(explain(f"{where} is not an array.", "Expected an array.", "save the weights again"))
    return _checked(dataset, f"'{group.name}/{name}'")


def _checked(dataset: h5py.Dataset, where: str) -> h5py.Dataset:
    if dataset.shape is None:
        raise ValueError(explain(f"{where} has no shape.", "Expected numbers.", "save the weights again"))
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
    return dataset.dtype.itemsize == 2 and text_of(dataset, "dtype") == "bfloat16"


def _read(dataset: h5py.Dataset) -> np.ndarray:
    if _is_bfloat16(dataset):
        raw = torch.from_numpy(np.asarray(dataset[()]).view("int16").copy())
        return raw.view(torch.bfloat16).float().numpy()
    return np.asarray(dataset[()])


def read_array(group: h5py.Group, name: str) -> np.ndarray:
    """Return an array of a group, if it may be read."""
    return _read(_dataset(group, name))


def _members(h5: h5py.Group) -> list[tuple[str, Any]]:
    """Return (path, array or group) for everything in a file; links are left out, and lead nowhere."""
    found: list[tuple[str, Any]] = []

    def keep(path: str, thing: Any) -> None:
        found.append((path, thing))
        if len(found) > _MOST_MEMBERS:
            raise _too_many(len(found))

    h5.visititems(keep)
    return found


def arrays_in(h5: h5py.Group) -> Iterator[str]:
    """Return the path of every array in a file."""
    return (path for path, thing in _members(h5) if isinstance(thing, h5py.Dataset))


def count_numbers(h5: h5py.File) -> int:
    """Return how many numbers all arrays in a file hold.

    Raises:
        ValueError: An array says that it is larger than what the file holds for it, or may not be read.
    """
    arrays = [(path, thing) for path, thing in _members(h5) if isinstance(thing, h5py.Dataset)]
    return sum(math.prod(_checked(thing, f"'/{path}'").shape) for path, thing in arrays)


def tree_of(h5: h5py.Group, _left: list[int] | None = None) -> dict[str, Any]:
    """Return everything in a file as dicts of dicts and arrays, and the name of a group under the key ""."""
    left = [_MOST_MEMBERS] if _left is None else _left
    left[0] -= len(h5)
    if left[0] < 0:
        raise _too_many(_MOST_MEMBERS - left[0])
    if h5.name.count("/") > _DEEPEST:
        raise ValueError(
            explain(
                f"The file has groups within groups, more than {_DEEPEST} deep.",
                "Expected the parts of a model.",
                "do not use this file: it is damaged, or made to take time",
            )
        )
    found: dict[str, Any] = {}
    name = text_of(h5, "name")
    if name is not None:
        found[""] = name
    for key in h5:
        thing = child(h5, key)
        found[key] = tree_of(thing, left) if isinstance(thing, h5py.Group) else read_array(h5, key)
    return found


def seal_of(h5: h5py.File) -> str | None:
    """Return the checksum that a file says it has, if it does."""
    return text_of(h5, _SEAL)


def check_seal(h5: h5py.File, path: str, texts: Iterable[str] = ()) -> None:
    """Compare everything in a file with the checksum in it; files of other programs have none, and are taken as they are.

    Args:
        h5: The open file.
        path: Its path, for messages.
        texts: Attributes that count too.

    Raises:
        ValueError: They differ.
    """
    expected = seal_of(h5)
    if expected is None:
        return
    seal = Seal()
    for name, thing in _members(h5):
        if isinstance(thing, h5py.Dataset):
            seal.add(name, _checked(thing, f"'/{name}'")[()])
    for name in texts:
        text = text_of(h5, name)
        if text is not None:
            seal.add(f"@{name}", text)
    if seal.text() != expected:
        raise ValueError(
            explain(
                f"'{path}' is not what it was when it was written: its checksum differs.",
                "Expected the same numbers.",
                "get the file again; if you changed it on purpose, delete its attribute 'sha256' with h5py",
            )
        )
