"""The `.keras` file: a zip with the config, the weights, and files of layers that keep some.

It is read where it lies: nothing is unpacked under a name that the file
gives, and no entry may be far larger than the bytes it comes from.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from uncrumple.core import registry, sharing
from uncrumple.core.errors import explain
from uncrumple.core.files import atomic_write, not_found, readable_size
from uncrumple.layers.symbolic import is_explained
from uncrumple.models import assets
from uncrumple.models.documents import Unreadable, check_layers, parse
from uncrumple.models.hdf5 import File, opened
from uncrumple.models.weights_file import size_of, write_weights

# The release of Keras whose format this is.
_KERAS_VERSION = "3.15.1"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# An entry may be this much larger than its bytes in the file, or this many bytes at least.
_MOST_EXPANSION = 100
_ALWAYS_FINE = 2**24
_TEXT_ALWAYS_FINE = 2**21
_MOST_ENTRIES = 10_000
# Weights up to this size are held in memory while they are packed or unpacked; larger ones go through a file.
_IN_MEMORY = 2**28


# --- writing -----------------------------------------------------------------------------


def write(model: Any, path: str, skip: Iterable[Any] = ()) -> None:
    """Write a whole model to a `.keras` file.

    Args:
        model: The model.
        path: Where to; an old file is replaced once the new one is complete.
        skip: Parts whose weights are left out.
    """
    # What may fail for the model's sake comes first, before anything is written.
    config = json.dumps(sharing.write(lambda: registry.serialize_keras_object(model)))
    metadata = {"keras_version": _KERAS_VERSION, "date_saved": f"{datetime.datetime.now():%Y-%m-%d@%H:%M:%S}"}
    needed = size_of(model)
    texts = {_CONFIG: config.encode(), **assets.collect(model)}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in texts.items()}
    with atomic_write(path, needed) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with _room_for(needed, os.path.dirname(os.path.realpath(path))) as room:
            write_weights(model, room, skip, sealed=False)
            size = room.seek(0, os.SEEK_END)
            room.seek(0)
            sums[_WEIGHTS] = hashlib.file_digest(room, "sha256").hexdigest()
            room.seek(0)
            archive.writestr(_METADATA, json.dumps({**metadata, "sha256": sums}))
            archive.writestr(_CONFIG, texts.pop(_CONFIG))
            with archive.open(_WEIGHTS, "w", force_zip64=size > 2**31) as entry:
                shutil.copyfileobj(room, entry, 2**20)
        for name, content in texts.items():
            archive.writestr(name, content)


def _room_for(size: int, folder: str | None) -> Any:
    """Return an open binary file for so many bytes: in memory, or if they are many, on disk and without a name."""
    return io.BytesIO() if size <= _IN_MEMORY else tempfile.TemporaryFile(dir=folder)


# --- reading -----------------------------------------------------------------------------


class KerasFile:
    """A `.keras` file that is open for reading.

    Args:
        path: Its path.

    Raises:
        FileNotFoundError: It is not there; the message names one that may be meant.
        ValueError: It is not a `.keras` file, or damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if not os.path.exists(path):
            raise not_found(path, (".keras", ".h5", ".safetensors"))
        if os.path.isdir(path):
            raise ValueError(
                explain(
                    f"'{path}' is a folder.",
                    "Expected a .keras file.",
                    f"give the file in it, such as '{os.path.join(path, 'model.keras')}'",
                )
            )
        self._file = open(path, "rb")  # noqa: SIM115 closed by __exit__
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        begin = self._file.read(8)
        self._size = self._file.seek(0, os.SEEK_END)
        if begin == b"\x89HDF\r\n\x1a\n":
            raise damaged(self.path, "is an HDF5 file in spite of its name", "rename it to end in .h5")
        with self.explaining("is not a zip file, or only a part of one"):
            self._zip = zipfile.ZipFile(self._file)
        names = self._zip.namelist()
        if len(names) > _MOST_ENTRIES or len(names) != len(set(names)):
            said = f"has {len(names):,} entries" if len(names) > _MOST_ENTRIES else "has entries of the same name"
            raise damaged(self.path, said, "do not use this file: it is damaged, or made to mislead")
        if _CONFIG not in names and any(name.endswith("data.pkl") for name in names):
            fix = "model.load_state_dict(torch.load(path, weights_only=True)), into a model built in Python"
            raise damaged(self.path, "was written by torch.save", fix)
        self._sums = self._checksums()

    def metadata(self) -> dict[str, Any]:
        """Return what the file says about itself; nothing if it does not."""
        if _METADATA not in self._zip.namelist():
            return {}
        with self._explaining_json(_METADATA):
            metadata = parse(self._bytes(_METADATA))
        return metadata if isinstance(metadata, dict) else {}

    def _checksums(self) -> dict[str, str]:
        """Return {entry: checksum} of the entries, which this package notes; other programs do not."""
        sums = self.metadata().get("sha256")
        if sums is None:
            return {}
        read = {name for name in self._zip.namelist() if name in (_CONFIG, _WEIGHTS) or assets.is_asset(name)}
        if not isinstance(sums, dict) or not read <= set(sums):
            raise damaged(self.path, f"has entries of which {_METADATA} has no checksum")
        return sums

    def __enter__(self) -> KerasFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self._zip.close()
        self._file.close()

    def config(self) -> dict[str, Any]:
        """Return the config of the model, as plain data."""
        text = self._read(_CONFIG)
        with self._explaining_json(_CONFIG):
            config = parse(text)
            check_layers(config)
        if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
            raise damaged(self.path, f"has a {_CONFIG} that describes no model")
        return config

    @contextlib.contextmanager
    def weights(self) -> Iterator[File]:
        """Open the weights."""
        entry = self._entry(_WEIGHTS)
        with _room_for(entry.file_size, None) as room, contextlib.ExitStack() as opens:
            with self.explaining(f"has a damaged {_WEIGHTS}"), self._zip.open(entry) as source:
                shutil.copyfileobj(source, room, 2**20)  # reads to the end, so the zip's own checksum is compared
            if _WEIGHTS in self._sums:
                room.seek(0)
                self._compare(_WEIGHTS, hashlib.file_digest(room, "sha256").hexdigest())
                room.seek(0)
            with self.explaining(f"has a damaged {_WEIGHTS}"):
                h5 = opens.enter_context(opened(room))
            yield h5

    def assets(self) -> dict[str, bytes]:
        """Return the files of layers, {name: content}."""
        return {name: self._read(name) for name in self._zip.namelist() if assets.is_asset(name)}

    def _read(self, name: str) -> bytes:
        content = self._bytes(name)
        if name in self._sums:
            self._compare(name, hashlib.sha256(content).hexdigest())
        return content

    def _bytes(self, name: str) -> bytes:
        entry = self._entry(name)
        with self.explaining(f"has a damaged {name}"):
            return self._zip.read(entry)

    def _compare(self, name: str, digest: str) -> None:
        if self._sums[name] != digest:
            fix = f"get the file again; if you changed it on purpose, delete 'sha256' in its {_METADATA}"
            raise damaged(self.path, f"has a {name} that is not what it was when it was written", fix)

    def _entry(self, name: str) -> zipfile.ZipInfo:
        """Return an entry of the zip that may be read."""
        try:
            entry = self._zip.getinfo(name)
        except KeyError:
            raise damaged(self.path, f"has no {name} in it") from None
        fine = _ALWAYS_FINE if name == _WEIGHTS else _TEXT_ALWAYS_FINE
        if entry.compress_size > self._size or entry.file_size > max(fine, _MOST_EXPANSION * entry.compress_size):
            says = (
                f"says that {name} has {readable_size(entry.file_size)}, made of {readable_size(entry.compress_size)}"
            )
            raise damaged(self.path, says, "do not use this file: it is damaged, or made to fill the memory")
        return entry

    @contextlib.contextmanager
    def _explaining_json(self, name: str) -> Iterator[None]:
        try:
            yield
        except Unreadable as error:
            raise damaged(self.path, f"has a {name} that {error}") from None

    @contextlib.contextmanager
    def explaining(self, came: str) -> Iterator[None]:
        """Turn whatever zip, JSON and HDF5 say about wrong bytes into an error with the path in it."""
        try:
            yield
        except Exception as error:
            if is_explained(error):
                raise
            raise damaged(self.path, f"{came} ({_one_line(error)})") from None


def damaged(path: str, came: str, fix: str = "get the file again, or save the model again") -> ValueError:
    """Return the error for a file that is not what its name says."""
    expected = "Expected a .keras file: a zip with config.json and model.weights.h5."
    return ValueError(explain(f"'{path}' {came}.", expected, fix))


def _one_line(error: Exception) -> str:
    text = str(error).split("\n")[0][:120]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
