"""Fetching a published file: checked, resumed, and never half there.

A file is written under a temporary name, its checksum is compared with the
published one, and only then does it get its name. A transfer that breaks off
is continued where it stopped, now or the next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from uncrumple.core.errors import explain

try:
    import fcntl
except ImportError:  # Windows: two downloads at once then meet the checksum instead of a lock
    fcntl = None  # type: ignore[assignment]

DATA_DIR_VARIABLE = "UNCRUMPLE_DATA_DIR"
_CHUNK_BYTES = 1 << 16
_ATTEMPTS_PER_MIRROR = 3
_PAUSE_SECONDS = 0.5
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Remote:
    """A published file: its name, its size in bytes, its sha256, and where it can be had.

    Example:
        >>> Remote("a.gz", 3, "ba78...", ("https://example.org/a.gz",)).name
        'a.gz'
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


def cache_folder() -> Path:
    """Return the folder for downloaded data: `$UNCRUMPLE_DATA_DIR`, or `~/.cache/uncrumple`.

    Example:
        >>> import os
        >>> os.environ["UNCRUMPLE_DATA_DIR"] = "/data"
        >>> cache_folder().as_posix()
        '/data'
        >>> del os.environ["UNCRUMPLE_DATA_DIR"]
    """
    named = os.environ.get(DATA_DIR_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "uncrumple"


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file's content, in hexadecimal.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "abc"
        ...     _ = path.write_bytes(b"abc")
        ...     sha256_of(path)[:8]
        'ba7816bf'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(
    remote: Remote, folder: str | os.PathLike[str], *, timeout: float = 30.0, progress: Progress | None = None
) -> Path:
    """Return the path of a published file in `folder`, downloading it if it is not there.

    A file that is there is checked too: one whose checksum is wrong is fetched anew.

    Args:
        remote: What to fetch, and from where; the addresses are tried in turn.
        folder: Where the file is kept; made if it is missing.
        timeout: Seconds without an answer, or without a byte, after which an attempt is given up.
        progress: Called with the file's name, the bytes so far, and the bytes in all.

    Raises:
        ConnectionError: No address gave the file; the message says what each one did.
        OSError: The folder cannot be written to.
    """
    folder = Path(folder)
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if _is_right(target, remote):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(part) as file:
        waited = _is_right(target, remote)  # for another process, which has fetched it
        problems = [] if waited else _from_mirrors(remote, file, timeout, progress)
        empty = file.seek(0, os.SEEK_END) == 0
    if waited or empty:
        part.unlink(missing_ok=True)
    elif not problems:
        # Renamed once it is closed, as Windows demands. If it is gone, a process that waited was quicker.
        with contextlib.suppress(FileNotFoundError):
            os.replace(part, target)
    if not problems:
        return target
    raise ConnectionError(
        explain(
            f"Could not download {remote.name}. {'; '.join(problems)}.",
            f"Expected {remote.size:,} bytes with the sha256 {remote.sha256[:12]}...",
            f"try again when you are online, or put the file into {folder} yourself.",
        )
    )


def _is_right(path: Path, remote: Remote) -> bool:
    try:
        return path.stat().st_size == remote.size and sha256_of(path) == remote.sha256
    except FileNotFoundError:
        return False


def _from_mirrors(remote: Remote, file: BinaryIO, timeout: float, progress: Progress | None) -> list[str]:
    """Bring `file` to its full, checked content; return [], or what went wrong at each address."""
    problems = []
    for url in remote.urls:
        problem = _from_mirror(url, remote, file, timeout, progress)
        if problem is None:
            file.flush()
            os.fsync(file.fileno())
            return []
        problems.append(f"{urllib.parse.urlsplit(url).hostname}: {problem}")
    return problems


def _from_mirror(url: str, remote: Remote, file: BinaryIO, timeout: float, progress: Progress | None) -> str | None:
    """Bring `file` to its full, checked content; return None, or what went wrong in words."""
    problem: str | None = None
    for attempt in range(_ATTEMPTS_PER_MIRROR):
        time.sleep(_PAUSE_SECONDS * attempt)
        before = file.seek(0, os.SEEK_END)
        problem, again = _transfer(url, remote, file, timeout, progress)
        if problem is None:
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() == remote.sha256:  # type: ignore[arg-type]
                return None
            file.truncate(0)
            problem = "its content has the wrong checksum"
            again = before > 0  # what was resumed may have come from elsewhere: once more, from the start
        if not again:
            break
    return problem


def _transfer(
    url: str, remote: Remote, file: BinaryIO, timeout: float, progress: Progress | None
) -> tuple[str | None, bool]:
    """Append what is missing of `file`; return (problem or None, whether trying again may help)."""
    have = file.seek(0, os.SEEK_END)
    if have > remote.size:
        file.truncate(0)
        have = 0
    if have == remote.size:
        return None, False
    request = urllib.request.Request(url, headers={"User-Agent": "uncrumple", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        _refuse_insecure(url)
        with _opener.open(request, timeout=timeout) as answer:
            resumed = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
            if not resumed:  # it sent the whole file
                file.truncate(0)
                file.seek(0)
                have = 0
            announced = answer.headers.get("Content-Length")
            if announced is not None and announced.isdecimal() and int(announced) != remote.size - have:
                return f"it offers {int(announced):,} bytes in place of {remote.size - have:,}", False
            while chunk := answer.read(_CHUNK_BYTES):
                have += len(chunk)
                if have > remote.size:
                    file.truncate(0)
                    return f"it sends more than {remote.size:,} bytes", False
                file.write(chunk)
                if progress:
                    progress(remote.name, have, remote.size)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # it does not know the part we have: start over
            file.truncate(0)
        return f"HTTP {error.code} {error.reason}", error.code in (408, 416, 429) or error.code >= 500
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return f"no answer within {timeout:g} seconds", True
        return f"no connection ({error.reason})", False
    except TimeoutError:
        return f"nothing came for {timeout:g} seconds", True
    except (http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
        return f"the transfer broke off after {have:,} of {remote.size:,} bytes ({type(error).__name__})", True
    if have < remote.size:
        return f"the transfer broke off after {have:,} of {remote.size:,} bytes", True
    return None, False


def _refuse_insecure(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS):
        raise urllib.error.URLError(f"{parts.scheme}://{parts.hostname} is not encrypted")


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to an encrypted address."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _refuse_insecure(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = urllib.request.build_opener(_SecureRedirects)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for reading and appending, alone: a second process waits until the first is done."""
    while True:
        file = open(path, "a+b")  # noqa: SIM115 - closed below
        if fcntl is None:
            break
        fcntl.flock(file, fcntl.LOCK_EX)
        # Who held it may have renamed or removed it: then this handle is no longer that path.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                break
        file.close()
    try:
        yield file
    finally:
        file.close()
