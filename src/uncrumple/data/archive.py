"""Unpacking archives that came from somewhere else: all of it, or none.

Every member is looked at before the first byte is written. An archive may
hold regular files and folders below the folder it is unpacked into, and
nothing else: links, devices, names that lead elsewhere, names that occur
twice and sizes out of all proportion get the whole archive refused. Python's
own unpacking skips some of these and trusts others.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import re
import secrets
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from uncrumple.core.errors import explain
from uncrumple.core.files import readable_size, sync_folder

_CHUNK_BYTES = 1 << 20
_MOST_MEMBERS = 5_000_000
# Longest name of one file and longest path below the folder, in bytes: what Linux takes, with room for the folder.
_LONGEST_NAME, _LONGEST_PATH = 255, 3000
# An archive may unpack to this much at any rate, and to this many times its own size beyond.
_MODEST_BYTES, _MOST_TIMES = 1 << 30, 200
# Of a tar's own headers (long names, comments), which are read as a whole.
_LONGEST_HEADER = 1 << 22
_BLOCK_BYTES = 512
# How much may follow the end of a tar.
_MOST_PADDING = 1 << 26
_DRIVE = re.compile(r"^[A-Za-z]:")
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


class _Refused(Exception):
    """Why an archive is not unpacked, in words."""


@dataclass(frozen=True)
class _Member:
    path: str
    size: int
    is_folder: bool


# One member and the function that opens its content.
_Found = tuple[_Member, Callable[[], Any]]


def archive_kind(path: str | os.PathLike[str], kinds: tuple[str, ...] = ("tar", "zip")) -> str | None:
    """Return which of `kinds` a file is: `"tar"` (packed or not), `"zip"`, or None.

    Example:
        >>> import tempfile, zipfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     zipfile.ZipFile(f"{folder}/a", "w").close()
        ...     archive_kind(f"{folder}/a")
        'zip'
    """
    for kind in kinds:
        if kind == "zip" and zipfile.is_zipfile(path):
            return "zip"
        if kind == "tar":
            with contextlib.suppress(*_BROKEN), _opened_tar(path) as archive:
                assert archive is not None  # that it could be opened is the test
                return "tar"
    return None


def unpack(path: str | os.PathLike[str], folder: str | os.PathLike[str], kind: str) -> None:
    """Unpack an archive into a folder, which takes its name once it is complete.

    Files that a folder has from before stay, unless the archive has one of the same name.

    Args:
        path: The archive.
        folder: Where to. Its parent must exist.
        kind: What `archive_kind` said.

    Raises:
        ValueError: The archive is damaged, or holds what an archive of data has no need of;
            nothing has been written then.
        OSError: The disk is full, or the folder cannot be written to.
    """
    folder = Path(folder)
    members = _members if kind == "tar" else _zip_members
    temporary = folder.parent / f".{folder.name[:100]}.{secrets.token_hex(4)}.tmp"
    try:
        _checked(path, folder, members)
        temporary.mkdir()
        try:
            for member, content in members(path):
                _write(member, content, temporary)
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise _Refused(f"it is damaged ({type(error).__name__}: {error})") from None
        if folder.exists():
            _merge(temporary, folder)
        else:
            os.rename(temporary, folder)
            sync_folder(os.fspath(folder.parent))
    except _Refused as problem:
        raise ValueError(
            explain(
                f"{os.fspath(path)} was not unpacked: {problem}.",
                "Expected regular files below one folder, and nothing else.",
                "get the archive again from its publisher; if it is right, unpack it by hand into a folder of its own",
            )
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def contents(
    path: str | os.PathLike[str], wanted: Container[str] | Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of members of an archive, without unpacking it; all others are passed over.

    Args:
        path: A tar (packed or not) or zip archive.
        wanted: The names of members, or a function that says whether one is wanted.

    Raises:
        ValueError: It is no archive, is damaged, or a member would take more than 1 GB.

    Example:
        >>> import tempfile, zipfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with zipfile.ZipFile(f"{folder}/a.zip", "w") as archive:
        ...         archive.writestr("one.txt", "1")
        ...         archive.writestr("two.txt", "2")
        ...     dict(contents(f"{folder}/a.zip", {"two.txt"}))
        {'two.txt': b'2'}
    """
    is_wanted = wanted if callable(wanted) else wanted.__contains__
    try:
        kind = archive_kind(path)
        if kind is None:
            raise _Refused("it is no archive")
        for member, opened in (_members if kind == "tar" else _zip_members)(path):
            if member.is_folder or not is_wanted(member.path):
                continue
            if member.size > _MODEST_BYTES:
                raise _Refused(f"its member {_shown(member.path)} would take {readable_size(member.size)}")
            with opened() as file:
                content = file.read(member.size + 1)
            if len(content) != member.size:
                raise _Refused(f"its member {_shown(member.path)} does not hold {member.size:,} bytes")
            yield member.path, content
    except (_Refused, *_BROKEN) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        raise ValueError(
            explain(
                f"{os.fspath(path)} cannot be read: {problem}.",
                "Expected an archive of regular files, as it was published.",
                "get the archive again from its publisher",
            )
        ) from None


def is_unpacked(path: str | os.PathLike[str], folder: str | os.PathLike[str], kind: str) -> bool:
    """Return whether a folder has every file of an archive, each in its size."""
    folder = Path(folder)
    if not folder.is_dir():
        return False
    try:
        for member, _ in (_members if kind == "tar" else _zip_members)(path):
            place = folder / member.path
            if not (place.is_dir() if member.is_folder else place.is_file() and place.stat().st_size == member.size):
                return False
    except (*_BROKEN, _Refused):
        return False
    return True


# --- looking before writing -------------------------------------------------------------


def _checked(path: Any, folder: Path, members: Callable[[Any], Iterator[_Found]]) -> None:
    """Look at every member; raise _Refused for the first that is not plain."""
    packed, free = os.path.getsize(path), shutil.disk_usage(folder.parent).free
    files: set[str] = set()
    folders: set[str] = set()
    total = 0
    try:
        for count, (member, _) in enumerate(members(path), 1):
            total += member.size
            if count > _MOST_MEMBERS:
                raise _Refused(f"it has more than {_MOST_MEMBERS:,} members")
            if total > max(_MODEST_BYTES, _MOST_TIMES * packed):
                raise _Refused(f"its {readable_size(packed)} would become more than {readable_size(total)}")
            if total > free:
                raise _Refused(f"it needs more than {readable_size(total)}, and the disk has {readable_size(free)}")
            above = [part.as_posix() for part in Path(member.path).parents][:-1]
            taken = member.path in files or (member.path in folders and not member.is_folder)
            if taken or any(part in files for part in above):
                raise _Refused(f"{_shown(member.path)} is in it twice")
            folders.update(above)
            (folders if member.is_folder else files).add(member.path)
    except _BROKEN as error:
        raise _Refused(f"it is damaged ({type(error).__name__}: {error})") from None


def _plain_path(name: str) -> str:
    """Return the name of a member with single slashes; raise _Refused if it leads anywhere else."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or _DRIVE.match(name) or ".." in parts or "\\" in name or "\0" in name:
        raise _Refused(f"its member {_shown(name)} would be written outside of the folder")
    path = "/".join(parts)
    too_long = max((len(part.encode(errors="surrogateescape")) for part in parts), default=0) > _LONGEST_NAME
    if too_long or len(path.encode(errors="surrogateescape")) > _LONGEST_PATH:
        raise _Refused(f"its member {_shown(name)} has too long a name")
    return path


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else f"{name[:77]}...")


def _zip_members(path: Any) -> Iterator[_Found]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _Refused(f"its member {_shown(info.filename)} is a link or a device")
            if info.flag_bits & 0x1:
                raise _Refused(f"its member {_shown(info.filename)} is locked with a password")
            name = _plain_path(info.orig_filename)
            if name:
                yield (
                    _Member(name, 0 if info.is_dir() else info.file_size, info.is_dir()),
                    partial(archive.open, info),
                )


def _members(path: Any) -> Iterator[_Found]:
    with _opened_tar(path) as archive:
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # its list of millions is not needed
            if not (info.isdir() or info.type in (tarfile.REGTYPE, tarfile.AREGTYPE)) or info.issparse():
                raise _Refused(f"its member {_shown(info.name)} is a link or a device")
            name = _plain_path(info.name)
            if name:
                yield (
                    _Member(name, 0 if info.isdir() else info.size, info.isdir()),
                    partial(archive.extractfile, info),
                )
        _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise _Refused unless an archive ends as it should: Python takes a damaged header for the end.

    Reading to the end is also what compares the checksum of the packing.
    """
    file: Any = archive.fileobj
    file.seek(archive.offset)  # type: ignore[attr-defined]
    block = file.read(_BLOCK_BYTES)
    if block and block != b"\0" * _BLOCK_BYTES:
        raise _Refused("it is damaged (one of its headers is no header)")
    for _ in range(_MOST_PADDING // _CHUNK_BYTES):
        if not file.read(_CHUNK_BYTES):
            return
    raise _Refused("it goes on long after its end")


class _Measured:
    """A file that refuses to hand out very much at once, as a tar's header of 2 GB would make it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _LONGEST_HEADER:
            raise _Refused("one of its headers is too long")
        return self._file.read(size)


@contextlib.contextmanager
def _opened_tar(path: Any) -> Iterator[tarfile.TarFile]:
    with contextlib.ExitStack() as stack:
        raw: BinaryIO = stack.enter_context(open(path, "rb"))
        start = raw.read(6)
        raw.seek(0)
        file: Any = raw
        if start.startswith(b"\x1f\x8b"):
            file = stack.enter_context(gzip.GzipFile(fileobj=raw))
        elif start.startswith(b"BZh"):
            file = stack.enter_context(bz2.BZ2File(raw))
        elif start.startswith(b"\xfd7zXZ\0"):
            file = stack.enter_context(lzma.LZMAFile(raw))
        # An empty file would pass for an archive of nothing.
        yield stack.enter_context(tarfile.TarFile(fileobj=_Measured(file)))  # type: ignore[arg-type]


# --- writing ------------------------------------------------------------------------------


def _write(member: _Member, content: Callable[[], Any], folder: Path) -> None:
    place = folder / member.path
    if member.is_folder:
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with open(place, "xb") as file, content() as source:
        while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
            file.write(chunk)
            left -= len(chunk)
        if left or source.read(1):
            raise _Refused(f"its member {_shown(member.path)} does not hold {member.size:,} bytes")


def _merge(new: Path, folder: Path) -> None:
    """Move the files of a folder into one that is there, each in one go."""
    inside = os.path.realpath(folder)
    for place, _, names in os.walk(new):
        there = folder / Path(place).relative_to(new)
        if os.path.commonpath([inside, os.path.realpath(there)]) != inside:
            raise _Refused(f"{there} is a link that leads out of {folder}")
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.replace(Path(place) / name, there / name)
