"""Writing a result so that it is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from uncrumple.core.files import atomic_write


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write a file under a temporary name beside it, flush it, then give it its name.

    Args:
        path: The file; its folder is made if it is missing.
        content: Bytes, or text, which is written as UTF-8.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(Path(folder) / "a" / "note.txt", "done").read_text()
        'done'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    with atomic_write(path, needed=len(data)) as file:
        file.write(data)
    return path
