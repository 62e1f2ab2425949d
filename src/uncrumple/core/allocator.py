"""Memory that training gives back and takes again, step after step.

glibc hands large pieces back to the system when they are freed, and every
piece it gets anew comes page by page, each page with an interruption. A
training step of a small convolutional network took 10,000 of these, a sixth
of its time. While a model trains, freed memory is kept for the next step.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Names of settings in malloc.h: how much may lie free at the end before it is handed back, and from which size on a
# piece is taken from the system by itself. The latter cannot be set above 32 MB; glibc goes up to that by itself when
# a program frees large pieces, and then hands back twice as much.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 32 << 20
_KEPT = {_MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: (1 << 31) - 1}
_ORDINARY = {_MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: 2 * _LARGE}

_lock = threading.Lock()
_inside = 0


@functools.cache
def _mallopt() -> Any:
    """Return glibc's function for its settings; None with another C library, or where the environment says no."""
    if not sys.platform.startswith("linux") or os.environ.get("UNCRUMPLE_KEEP_MEMORY", "1") == "0":
        return None
    library = ctypes.CDLL(None)
    return library.mallopt if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let freed memory stay with the program inside the `with` block.

    `UNCRUMPLE_KEEP_MEMORY=0` in the environment turns this off.

    Example:
        >>> with freed_memory_kept():
        ...     pass
    """
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _set(_KEPT)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _set(_ORDINARY)


def _set(settings: dict[int, int]) -> None:
    mallopt = _mallopt()
    if mallopt is not None:
        for name, value in settings.items():
            mallopt(name, value)
