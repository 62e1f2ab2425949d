"""Reading IDX files, the format that MNIST is published in.

An IDX file is two zero bytes, one byte that says the number type, one that
says how many axes there are, the length of each axis as a big-endian 32-bit
number, and then the numbers themselves. It may be packed with gzip.

The lengths in a file are claims, not facts: nothing is allocated because a
header says so. The reader takes what is really there, at most as much as the
header claims, and complains when the two differ.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", the file format.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from uncrumple.core.errors import explain

# The third byte of the file: which kind of number, high byte first.
_NUMBER_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_START = b"\x1f\x8b"
_MOST_AXES = 8
_CHUNK_BYTES = 1 << 20


def read_idx(path: str | os.PathLike[str], *, most_bytes: int = 1 << 30) -> np.ndarray:
    """Read one IDX file, plain or packed with gzip.

    Args:
        path: The file. Whether it is packed is read from its first bytes, not from its name.
        most_bytes: The largest array to accept, in bytes; by default 1 GiB.

    Returns:
        An array in the machine's byte order, with the shape the header gives.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an IDX file, ends too early, goes on too long, or claims too much.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "labels"
        ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        ...     read_idx(path).tolist()
        [7, 2, 1]
    """
    path = Path(path)
    with open(path, "rb") as file:
        packed = file.read(2) == _GZIP_START
        file.seek(0)
        try:
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _read(unpacked, path.name, most_bytes)  # type: ignore[arg-type]
            return _read(file, path.name, most_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise ValueError(_damaged(f"{path.name}: its gzip packing is damaged ({problem}).")) from None


def _read(file: BinaryIO, name: str, most_bytes: int) -> np.ndarray:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\x00\x00" or start[2] not in _NUMBER_TYPES or not 1 <= start[3] <= _MOST_AXES:
        raise ValueError(
            explain(
                f"{name}: not an IDX file; it starts with the bytes {start.hex(' ') or '(none)'}.",
                f"Expected 00 00, a number type (08 to 0e), and 1 to {_MOST_AXES} axes.",
                "download the file again; a web page saved under its name starts with 3c.",
            )
        )
    number_type, axes = np.dtype(_NUMBER_TYPES[start[2]]), start[3]
    lengths = file.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise ValueError(_damaged(f"{name}: it ends within its header."))
    shape = tuple(int.from_bytes(lengths[4 * axis : 4 * axis + 4], "big") for axis in range(axes))
    claimed = math.prod(shape) * number_type.itemsize
    if not 0 < claimed <= most_bytes:
        raise ValueError(
            explain(
                f"{name}: its header claims the shape {shape}, that is {claimed:,} bytes.",
                f"Expected from 1 to {most_bytes:,} bytes.",
                "download the file again, or pass a larger most_bytes if it is right.",
            )
        )
    content = bytearray()
    while len(content) <= claimed:  # one byte more than claimed shows that there is more
        chunk = file.read(min(_CHUNK_BYTES, claimed + 1 - len(content)))
        if not chunk:
            break
        content += chunk
    if len(content) != claimed:
        found = "more" if len(content) > claimed else f"{len(content):,}"
        raise ValueError(_damaged(f"{name}: its header {shape} claims {claimed:,} bytes, but {found} follow."))
    array = np.frombuffer(content, dtype=number_type).reshape(shape)
    return array.astype(number_type.newbyteorder("="), copy=False)


def _damaged(came: str) -> str:
    return explain(came, "Expected a whole IDX file.", "delete the file and download it again.")
