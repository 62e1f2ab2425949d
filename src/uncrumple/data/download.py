"""Fetching a published file: checked, resumed, and never half there.

A file is written under a temporary name, its checksum is compared with the
published one, and only then does it get its name. A transfer that breaks off
is continued where it stopped, now or the next time.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from uncrumple.core.errors import explain
from uncrumple.core.files import readable_size, sync_folder

try:
    import fcntl
except ImportError:  # Windows: two downloads at once then meet the checksum instead of a lock
    fcntl = None  # type: ignore[assignment]

DATA_DIR_VARIABLE = "UNCRUMPLE_DATA_DIR"
_CHUNK_BYTES = 1 << 16
_ATTEMPTS_PER_MIRROR = 3
_PAUSE_SECONDS = 0.5
# What is left free on the disk at least.
_SPARE_BYTES = 1 << 24
# Names that may be those of web pages.
_PAGE_ENDINGS = ("", ".html", ".htm", ".xhtml", ".php", ".aspx", ".txt")
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Remote:
    """A published file, and where it can be had.

    Args:
        name: The name that it is kept under.
        size: Its size in bytes; None if that is not known.
        sha256: Its sha256 in hexadecimal; None if that is not known.
        urls: Its addresses, tried in turn.
        md5: Its MD5, where that is all that was published.
        plain_http: Whether an address without encryption may be used. By default only those of
            this machine may.

    Example:
        >>> Remote("a.gz", 3, "ba78...", ("https://example.org/a.gz",)).name
        'a.gz'
    """

    name: str
    size: int | None
    sha256: str | None
    urls: tuple[str, ...]
    md5: str | None = None
    plain_http: bool = False

    @property
    def checksum(self) -> tuple[str, str] | None:
        """The kind of the checksum and its value; None if there is none."""
        for kind, value in (("sha256", self.sha256), ("md5", self.md5)):
            if value is not None:
                return kind, value.lower()
        return None

    def is_content_of(self, file: BinaryIO) -> bool:
        """Return whether an open file has the checksum; without one every file has."""
        if self.checksum is None:
            return True
        kind, value = self.checksum
        file.seek(0)
        return hashlib.file_digest(file, kind).hexdigest() == value  # type: ignore[arg-type]


@dataclass
class _Part:
    """A file on its way.

    Attributes:
        file: What has come so far.
        total: The size it will have, as far as that is known.
        version: What the server calls this version of the file: it goes on only with the same one.
    """

    file: BinaryIO
    total: int | None
    version: str | None = None

    def clear(self) -> None:
        self.file.truncate(0)
        self.file.seek(0)


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
    remote: Remote,
    folder: str | os.PathLike[str],
    *,
    timeout: float = 15.0,
    progress: Progress | None = None,
    anew: bool = False,
) -> Path:
    """Return the path of a published file in `folder`, downloading it if it is not there.

    A file that is there is checked too: one whose checksum is wrong is fetched anew. It
    keeps its name until the right one is there.

    Args:
        remote: What to fetch, and from where; the addresses are tried in turn.
        folder: Where the file is kept; made if it is missing.
        timeout: Seconds without an answer, or without a byte, after which an attempt is given up.
        progress: Called with the file's name, the bytes so far, and the bytes in all (0 if nobody knows).
        anew: Fetch it although it is there.

    Raises:
        ConnectionError: No address gave the file; the message says what each one did.
        OSError: The folder cannot be written to, or the disk is full.
    """
    folder = Path(folder)
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if not anew and _is_right(target, remote):
        return target
    _make(folder)
    with locked(part) as file:
        waited = not anew and _is_right(target, remote)  # for another process, which has fetched it
        try:
            problems = [] if waited else _from_mirrors(remote, file, timeout, progress)
        except BaseException:
            if remote.checksum is None:  # nothing could tell later whether to go on with it
                part.unlink(missing_ok=True)
            raise
        useless = waited or file.seek(0, os.SEEK_END) == 0 or (bool(problems) and remote.checksum is None)
        if not useless and not problems and fcntl is not None:
            os.replace(part, target)
            sync_folder(os.fspath(folder))
    if useless:
        part.unlink(missing_ok=True)
        if not waited and not problems:
            target.touch()  # the published file is empty
    elif not problems and fcntl is None:
        # Windows demands that it is closed. If it is gone, a process that waited was quicker.
        with contextlib.suppress(FileNotFoundError):
            os.replace(part, target)
    if not problems:
        return target
    known = [] if remote.size is None else [f"{remote.size:,} bytes"]
    known += [] if remote.checksum is None else [f"the {remote.checksum[0]} {remote.checksum[1][:12]}..."]
    raise ConnectionError(
        explain(
            f"Could not download {remote.name}. {'; '.join(problems)}.",
            f"Expected {' with '.join(known) or 'the file.'}" + ("" if remote.checksum or not known else "."),
            f"try again when you are online, or put the file into {folder} yourself.",
        )
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        made = type(error)(
            explain(
                f"Cannot make the folder {folder}: {error.strerror or error}.",
                "Expected to be able to keep downloaded files there.",
                f"set ${DATA_DIR_VARIABLE} to a folder that you may write to",
            )
        )
        made.errno = error.errno
        raise made from None


def _is_right(path: Path, remote: Remote) -> bool:
    try:
        if remote.size is not None and path.stat().st_size != remote.size:
            return False
        with open(path, "rb") as file:
            return remote.is_content_of(file)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _from_mirrors(remote: Remote, file: BinaryIO, timeout: float, progress: Progress | None) -> list[str]:
    """Bring `file` to its full, checked content; return [], or what went wrong at each address."""
    problems = []
    for url in remote.urls:
        problem = _from_mirror(url, remote, _Part(file, remote.size), timeout, progress)
        if problem is None:
            file.flush()
            os.fsync(file.fileno())
            return []
        problems.append(f"{urllib.parse.urlsplit(url).hostname or url}: {problem}")
    return problems


def _from_mirror(url: str, remote: Remote, part: _Part, timeout: float, progress: Progress | None) -> str | None:
    """Bring a file to its full, checked content; return None, or what went wrong in words."""
    problem: str | None = None
    for attempt in range(_ATTEMPTS_PER_MIRROR):
        time.sleep(_PAUSE_SECONDS * attempt)
        if remote.checksum is None and part.version is None:
            part.clear()  # what is left of an earlier attempt may be of another version: nothing would tell
        before = part.file.seek(0, os.SEEK_END)
        problem, again = _transfer(url, remote, part, timeout, progress)
        if problem is None:
            if remote.is_content_of(part.file):
                if remote.checksum is not None or not _is_page(part.file, remote.name):
                    return None
                problem = "it sends a web page in place of the file"
            else:
                page = _is_page(part.file, remote.name)
                problem = "it sends a web page in place of the file" if page else "its content has the wrong checksum"
            # What was resumed may have come from elsewhere, what has no announced end may have
            # broken off: once more, from the start.
            again = before > 0 or part.total is None
            part.clear()
        if not again:
            break
    return problem


def _is_page(file: BinaryIO, name: str) -> bool:
    """Return whether a file that should be data is a web page: a login, or an error in words."""
    file.seek(0)
    start = file.read(512).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    ending = os.path.splitext(name)[1].lower()
    return start.startswith((b"<!doctype html", b"<html")) and ending not in _PAGE_ENDINGS


def _transfer(
    url: str, remote: Remote, part: _Part, timeout: float, progress: Progress | None
) -> tuple[str | None, bool]:
    """Append what is missing of a file; return (problem or None, whether trying again may help)."""
    file = part.file
    have = file.seek(0, os.SEEK_END)
    if remote.size is not None and have > remote.size:
        part.clear()
        have = 0
    if have == remote.size:
        return None, False
    request = urllib.request.Request(url, headers={"User-Agent": "uncrumple", "Accept-Encoding": "identity"})
    request.plain_http = remote.plain_http  # type: ignore[attr-defined]
    if have:
        request.add_header("Range", f"bytes={have}-")
        if remote.checksum is None and part.version is not None:
            request.add_header("If-Range", part.version)
    try:
        _refuse_insecure(url, remote.plain_http)
        with _opener.open(request, timeout=timeout) as answer:
            resumed = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
            if not resumed:  # it sent the whole file
                part.clear()
                have = 0
                part.version = _version(answer.headers)
            announced = answer.headers.get("Content-Length")
            if announced is not None and announced.isdecimal():
                total = have + int(announced)
                if remote.size is not None and total != remote.size:
                    return f"it offers {int(announced):,} bytes in place of {remote.size - have:,}", False
                part.total = total
                _check_space(file, int(announced), remote.name)
            elif remote.size is None:
                part.total = None
            while chunk := answer.read(_CHUNK_BYTES):
                have += len(chunk)
                if part.total is None:
                    _check_space(file, len(chunk), remote.name)
                elif have > part.total:
                    part.clear()
                    return f"it sends more than {part.total:,} bytes", False
                file.write(chunk)
                if progress:
                    progress(remote.name, have, part.total or 0)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # it does not know the part we have: start over
            part.clear()
        return f"HTTP {error.code} {error.reason}", error.code in (408, 416, 429) or error.code >= 500
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return f"no answer within {timeout:g} seconds", True
        return f"no connection ({error.reason})", False
    except TimeoutError:
        return f"nothing came for {timeout:g} seconds", True
    except (http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
        return f"the transfer broke off after {_so_far(have, part.total)} ({type(error).__name__})", True
    if part.total is not None and have < part.total:
        return f"the transfer broke off after {_so_far(have, part.total)}", True
    return None, False


def _so_far(have: int, total: int | None) -> str:
    return f"{have:,} bytes" if total is None else f"{have:,} of {total:,} bytes"


def _version(headers: Any) -> str | None:
    """Return what tells one version of a file from another: a strong ETag, or when it was changed."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _check_space(file: BinaryIO, needed: int, name: str) -> None:
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(file.name))).free
    if needed + _SPARE_BYTES > free:
        raise OSError(
            errno.ENOSPC,
            explain(
                f"No room for {name} in {os.path.dirname(os.path.abspath(file.name))}.",
                f"Expected {readable_size(needed)} free and some to spare; there are {readable_size(free)}.",
                f"free some space, or set ${DATA_DIR_VARIABLE} to a folder on another disk",
            ),
        )


def _refuse_insecure(url: str, plain_http: bool) -> None:
    """Raise a URLError for an address that is not https, or http where that will do: file:// and ftp:// never will."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise urllib.error.URLError(f"{parts.scheme}:// is not an address of the web")
    if parts.scheme == "http" and not plain_http and parts.hostname not in _LOCAL_HOSTS:
        raise urllib.error.URLError(f"{parts.scheme}://{parts.hostname} is not encrypted")


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to an encrypted address, or to a plain one where the first was one."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        plain_http = bool(getattr(req, "plain_http", False)) and req.type == "http"
        _refuse_insecure(newurl, plain_http)
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None:
            made.plain_http = plain_http  # type: ignore[attr-defined]
        return made


def _web_only() -> urllib.request.OpenerDirector:
    """Return what opens addresses of the web, and nothing else: urllib's own opens files as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        _SecureRedirects,
    ):
        opener.add_handler(handler())
    return opener


_opener = _web_only()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[BinaryIO]:
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
