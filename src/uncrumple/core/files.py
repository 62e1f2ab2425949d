"""Files that are whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from typing import BinaryIO

from uncrumple.core.errors import closest, explain

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], needed: int | None = None) -> Iterator[BinaryIO]:
    """Open a new file (to write and read) that takes the name `path` only once it is complete and on disk.

    Whatever goes wrong within the block or in writing, a file that had the
    name stays as it was, and nothing else is left behind.

    Args:
        path: The name to take. Its folder must exist; a link is followed.
        needed: About how many bytes will be written, for the message if the disk is full.

    Raises:
        FileNotFoundError: The folder does not exist.
        OSError: The system refuses, for a reason that the message gives.
    """
    shown, path = os.fspath(path), os.path.realpath(path)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            explain(
                f"Cannot write '{shown}': the folder '{os.path.dirname(shown)}' does not exist.",
                "Expected a folder that is there.",
                f"import os; os.makedirs({os.path.dirname(shown)!r}, exist_ok=True)",
            )
        )
    if os.path.isdir(path):
        raise IsADirectoryError(
            explain(f"Cannot write '{shown}': it is a folder.", "Expected the path of a file.", "choose another name")
        )
    temporary = os.path.join(folder, f".{os.path.basename(path)[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        # Not tempfile's: that would make the finished file readable for its owner alone.
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        if isinstance(error, OSError) and "\nFix: " not in str(error):
            raise _explained(error, shown, folder, needed) from error
        raise
    sync_folder(folder)


def sync_folder(folder: str) -> None:
    """Make renames in a folder last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explained(error: OSError, path: str, folder: str, needed: int | None) -> OSError:
    """Return an error of the same type that says which path failed, why, and what to do."""
    if error.errno in _FULL:
        free = readable_size(shutil.disk_usage(folder).free)
        expected = f"Expected {'more' if needed is None else f'about {readable_size(needed)}'} free; there are {free}."
        fix = "free some space, or choose a folder on another disk; a file that was there is unharmed"
    else:
        expected, fix = "Expected to be able to write there.", "choose a folder that you may write to"
    made = type(error)(explain(f"Cannot write '{path}': {error.strerror or error}.", expected, fix))
    made.errno = error.errno
    return made


def readable_size(size: float) -> str:
    """Return a number of bytes with a unit: powers of 1024, two decimals.

    Example:
        >>> readable_size(3604)
        '3.52 KB'
    """
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"


def not_found(path: str, suffixes: tuple[str, ...]) -> FileNotFoundError:
    """Return the error for a file that is not there, naming one in its folder that may be meant.

    Args:
        path: The path that was given.
        suffixes: Endings of the files to look among, such as `(".keras",)`.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        expected, fix = f"Expected the folder '{folder}' to exist.", "check the path, and os.getcwd()"
    else:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(suffixes))
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        here = "the current folder" if folder == "." else f"'{folder}'"
        expected = f"Expected one of the files in {here}: {shown or f'there are none that end in {suffixes[0]}'}."
        guess = closest(os.path.basename(path), names)
        fix = f"did you mean '{os.path.join(os.path.dirname(path), guess)}'?" if guess else "check the path"
    return FileNotFoundError(explain(f"There is no file '{path}'.", expected, fix))
