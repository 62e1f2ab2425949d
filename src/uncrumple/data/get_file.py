"""`utils.get_file`: a file from the web, once, in a folder that is kept."""

from __future__ import annotations

import os
import re
import shutil
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from uncrumple.core.errors import explain
from uncrumple.core.files import atomic_write
from uncrumple.core.messages import is_interactive_logging_enabled, print_message
from uncrumple.data.archive import archive_kind, is_unpacked, unpack
from uncrumple.data.download import Remote, cache_folder, fetch, locked

_LENGTHS = {"md5": 32, "sha256": 64}
_ARCHIVES = ("tar", "zip")


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Return the path of a file from the web, downloading it if it is not in the cache.

    The file takes its name only when it is complete and, where a checksum is given, right. A
    transfer that breaks off is tried three times and goes on where it stopped; one that stands
    still for 15 seconds has broken off. Several processes that ask for the same file share one
    download.

    Args:
        fname: The name to keep it under; by default the last part of `origin`.
        origin: Its address, `https://` or `http://`, or the path of a file on this machine.
        untar: An old way to say `extract=True, archive_format="tar"`.
        md5_hash: An old way to give an MD5 as `file_hash`.
        file_hash: The sha256 or MD5 that the file must have, in hexadecimal.
        cache_subdir: The folder within `cache_dir`, or the path of any folder.
        hash_algorithm: `"sha256"`, `"md5"`, or `"auto"`: told by the length of `file_hash`.
        extract: Whether to unpack the file, a tar (packed or not) or zip archive. An archive with
            links, devices, or names that lead out of its folder is refused as a whole.
        archive_format: `"tar"`, `"zip"`, a list of these, or `"auto"` for both.
        cache_dir: By default `$UNCRUMPLE_DATA_DIR` or `~/.cache/uncrumple`. A file with the right
            `file_hash` in the cache of Keras (`$KERAS_HOME` or `~/.keras`) is used as well.
        force_download: Whether to download it although it is there.

    Returns:
        The path of the file; with `extract`, of the folder that it was unpacked into: `fname`, with
        `_extracted` in place of an ending.

    Raises:
        ValueError: An argument is impossible, or the file is not the archive it should be.
        ConnectionError: It could not be downloaded, or what came has the wrong checksum.
        OSError: It cannot be written to the cache.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open(f"{folder}/numbers.csv", "w") as file:
        ...         _ = file.write("1,2")
        ...     path = get_file(origin=f"{folder}/numbers.csv", cache_dir=f"{folder}/cache")
        ...     path.removeprefix(folder), open(path).read()
        ('/cache/datasets/numbers.csv', '1,2')
    """
    if origin is None:
        raise ValueError(
            explain("get_file got no origin.", "Expected the address of the file.", 'get_file(origin="https://...")')
        )
    origin = os.fspath(origin)
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    checksum = _checksum(file_hash, hash_algorithm)
    name = _name(fname, origin)
    unpacks = bool(extract or untar)
    kinds = _kinds("tar" if untar else archive_format) if unpacks else ()
    base = Path(cache_dir).expanduser() if cache_dir is not None else cache_folder()
    folder = base / cache_subdir

    target, unpacked = name, name
    if unpacks:
        if fname and "." in name:
            unpacked = f"{name[: name.find('.')]}_extracted"
        else:
            target = f"{name}_archive"
    remote = Remote(target, None, plain_http=True, urls=(origin,), **checksum)
    path = None if force_download or cache_dir is not None else of_keras(remote, cache_subdir)
    stamp = _stamp(folder / target)
    if path is None:
        path = _fetched(remote, folder, origin, force_download)
    if not unpacks:
        return os.fspath(path)
    fresh = stamp is not None and path.parent == folder and _stamp(path) != stamp  # the archive was replaced
    return os.fspath(_unpacked(path, folder, unpacked, kinds, fresh))


def _checksum(file_hash: str | None, algorithm: str) -> dict[str, Any]:
    """Return the checksum as keyword arguments of `Remote`."""
    if algorithm not in ("auto", *_LENGTHS):
        raise ValueError(
            explain(
                f"get_file got hash_algorithm={algorithm!r}.",
                "Expected one of: auto, md5, sha256.",
                'hash_algorithm="auto"',
            )
        )
    if file_hash is None:
        return {"sha256": None}
    known = {length: kind for kind, length in _LENGTHS.items()}
    kind = known.get(len(file_hash)) if algorithm == "auto" else algorithm
    if kind is None or len(file_hash) != _LENGTHS[kind] or not re.fullmatch("[0-9a-fA-F]+", file_hash):
        raise ValueError(
            explain(
                f"get_file got file_hash={file_hash!r}.",
                f"Expected {'64 (sha256) or 32 (MD5)' if algorithm == 'auto' else _LENGTHS[algorithm]} hexadecimal digits.",
                "copy the whole checksum, or leave it out",
            )
        )
    return {"sha256": file_hash} if kind == "sha256" else {"sha256": None, "md5": file_hash}


def _name(fname: Any, origin: str) -> str:
    if fname:
        name = os.fspath(fname)
    else:
        name = os.path.basename(urllib.parse.urlsplit(origin).path if "://" in origin else origin)
    if not name or name in (".", "..") or any(letter in name for letter in "/\\\0"):
        given = f"fname={name!r}" if fname else f"origin={origin!r}, which does not end in the name of a file"
        raise ValueError(
            explain(
                f"get_file got {given}.",
                "Expected a plain name, without a folder.",
                'get_file("data.zip", origin=..., cache_dir="folder")',
            )
        )
    return name


def _kinds(archive_format: Any) -> tuple[str, ...]:
    if archive_format == "auto":
        return _ARCHIVES
    kinds = (archive_format,) if isinstance(archive_format, str) else tuple(archive_format or ())
    if not kinds or any(kind not in _ARCHIVES for kind in kinds):
        raise ValueError(
            explain(
                f"get_file got archive_format={archive_format!r}, and is to extract.",
                "Expected 'auto', 'tar', 'zip', or a list of them.",
                'archive_format="auto", or extract=False',
            )
        )
    return kinds


def of_keras(remote: Remote, cache_subdir: str) -> Path | None:
    """Return the file in Keras's own cache, if it is there and a checksum says that it is whole."""
    home = os.environ.get("KERAS_HOME")
    path = (Path(home) if home else Path.home() / ".keras") / cache_subdir / remote.name
    if remote.checksum is None or not path.is_file():
        return None
    with open(path, "rb") as file:
        return path if remote.is_content_of(file) else None


def _fetched(remote: Remote, folder: Path, origin: str, anew: bool) -> Path:
    if "://" in origin:
        shown = urllib.parse.urlsplit(origin)
        if shown.scheme == "file":
            raise ValueError(
                explain(
                    f"get_file got origin={origin!r}.",
                    "Expected https:// or http://, or the plain path of a file.",
                    f"origin={urllib.parse.unquote(shown.path)!r}",
                )
            )
        where = f"{shown.scheme}://{shown.hostname}{shown.path}"
        return fetch(remote, folder, progress=Bar(where), anew=anew)
    source = Path(origin).expanduser()
    if not source.is_file():
        raise FileNotFoundError(
            explain(
                f"get_file got origin={origin!r}, and there is no such file.",
                "Expected an address that begins with https://, or the path of a file.",
                f'origin="https://{origin}"' if "." in origin.split("/")[0] else "check the path",
            )
        )
    with open(source, "rb") as file:
        if not remote.is_content_of(file):
            raise ValueError(
                explain(
                    f"{origin} does not have the checksum that get_file was given.",
                    f"Expected the {remote.checksum[0]} {remote.checksum[1][:12]}...",  # type: ignore[index]
                    "get the file again from its publisher",
                )
            )
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / remote.name
        if not (target.exists() and target.samefile(source)):
            file.seek(0)
            with atomic_write(target, needed=source.stat().st_size) as copy:
                shutil.copyfileobj(file, copy)
    return target


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells whether a file was replaced."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_mtime_ns


def _unpacked(path: Path, folder: Path, name: str, kinds: tuple[str, ...], fresh: bool) -> Path:
    """Return the folder that an archive is unpacked into; one process unpacks, others wait for it."""
    kind = archive_kind(path, kinds)
    if kind is None:
        raise ValueError(
            explain(
                f"{path} is not {' or '.join(f'a {kind}' for kind in kinds)} archive.",
                "Expected one, as extract=True was given.",
                "extract=False, and open the file with what fits it",
            )
        )
    place = folder / name
    if not fresh and is_unpacked(path, place, kind):
        return place
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / f".{name[:200]}.lock"
    with locked(lock):
        try:
            if fresh or not is_unpacked(path, place, kind):
                unpack(path, place, kind)
        finally:
            lock.unlink(missing_ok=True)
    return place


class Bar:
    """Says that a download has begun and, on a terminal, how far it is."""

    def __init__(self, where: str) -> None:
        self._where, self._shown = where, -1

    def __call__(self, name: str, done: int, total: int) -> None:
        if self._shown < 0:
            print_message(f"Downloading {self._where}")
            self._shown = 0
        if not (is_interactive_logging_enabled() and sys.stdout.isatty()):
            return
        step = done * 100 // total if total else done >> 20
        if step != self._shown or done == total:
            self._shown = step
            much = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{done / 1e6:.1f} MB"
            sys.stdout.write(f"\r{name}: {much}" + ("\n" if done == total else ""))
            sys.stdout.flush()
