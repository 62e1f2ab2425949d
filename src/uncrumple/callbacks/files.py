"""Whether a callback can write where it was told to, found out before training."""

from __future__ import annotations

import errno
import os
import tempfile

from uncrumple.core.errors import explain

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_writable(folder: str, owner: str) -> None:
    """Refuse a folder that cannot be written to, by writing to it; a folder that is not there yet is not made.

    Args:
        folder: The folder that files will go to; its nearest existing parent
            is tried if it does not exist.
        owner: The callback's name, for the message.

    Raises:
        OSError: (mostly `PermissionError`, `NotADirectoryError`) No file can be made there.
    """
    existing = os.path.abspath(folder)
    while not os.path.lexists(existing) and os.path.dirname(existing) != existing:
        existing = os.path.dirname(existing)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise named(error, folder, owner) from error


def named(error: OSError, path: str, owner: str) -> OSError:
    """Return an error of the same type that says which path failed, why, and what to do."""
    if "\nFix: " in str(error):  # it says so already
        return type(error)(str(error))
    reason = error.strerror or str(error)
    fix = f"give {owner} a path in a folder that you may write to"
    if error.errno in _FULL:
        fix = f"free some space, or give {owner} a path on another disk"
    elif isinstance(error, IsADirectoryError):
        fix = f"give {owner} the path of a file; this one is a folder"
    made = type(error)(explain(f"{owner} cannot write {path!r}: {reason}.", "Expected to be able to write there.", fix))
    made.errno = error.errno
    return made
