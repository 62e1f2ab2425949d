"""The native kernels: `kernels.cpp`, compiled when the package is installed, called through ctypes.

They are optional. Where there is no compiler, where the environment says
`UNCRUMPLE_NATIVE=0`, and for what they cannot do, the plain-torch twins run.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import os
import pathlib
from typing import Any

import torch

VERSION = 1  # that of `uncrumple_version` in kernels.cpp
LABEL_OUT_OF_RANGE = 2
INSTRUCTION_SETS = ("plain", "AVX2", "AVX512")

_Pointer, _Size, _Whole = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
# A letter per argument: i a C int, n a size, d a double, p a pointer.
_FUNCTIONS = {
    "lstm_forward": "innnpppp",
    "lstm_backward": "innnppppnnpnnpppp",
    "gru_forward": "innnppppp",
    "gru_backward": "innnpppppnnppp",
    "simple_rnn_forward": "innnipp",
    "simple_rnn_backward": "innnipppnnppp",
    "dropout": "innndpp",
    "run": "ipn",
}
_TYPES = {"i": _Whole, "n": _Size, "d": ctypes.c_double, "p": _Pointer}


@functools.cache
def _library() -> Any:
    """Return the loaded library, or None if there is none that fits."""
    if os.environ.get("UNCRUMPLE_NATIVE", "1") == "0":
        return None
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = pathlib.Path(__file__).with_name("_kernels" + suffix)
        if not path.exists():
            continue
        try:
            library = ctypes.CDLL(str(path))
            if library.uncrumple_version() != VERSION:
                return None
            for name, letters in _FUNCTIONS.items():
                function = getattr(library, f"uncrumple_{name}")
                function.argtypes = [_TYPES[letter] for letter in letters]
                function.restype = _Whole
        except (OSError, AttributeError):
            return None
        library.uncrumple_use_gemm(_torchs_gemm())
        return library
    return None


def _torchs_gemm() -> Any:
    """Return the address of the BLAS function that torch itself multiplies float32 matrices with, or None."""
    folder = pathlib.Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        try:
            gemm = ctypes.CDLL(str(folder / name)).sgemm_
        except (OSError, AttributeError):
            continue
        # BLAS libraries differ in the size of their whole numbers: try it out, on [[1, 2], [3, 4]] times itself.
        sizes = [ctypes.byref(ctypes.c_int64(2)) for _ in range(6)]
        one, zero = ctypes.byref(ctypes.c_float(1)), ctypes.byref(ctypes.c_float(0))
        a, c = (ctypes.c_float * 4)(1, 2, 3, 4), (ctypes.c_float * 4)()
        gemm(b"N", b"N", *sizes[:3], one, a, sizes[3], a, sizes[4], zero, c, sizes[5])
        if list(c) == [7.0, 10.0, 15.0, 22.0]:
            return ctypes.cast(gemm, ctypes.c_void_p)
    return None


def available() -> bool:
    """Return whether the native kernels are there and wanted.

    Example:
        >>> available() in (True, False)
        True
    """
    return _library() is not None


def instruction_set() -> str | None:
    """Return what the kernels use of this processor: "plain", "AVX2" or "AVX512"; None without kernels."""
    library = _library()
    return None if library is None else INSTRUCTION_SETS[library.uncrumple_instruction_set()]


def limit_instruction_set(name: str | None) -> str | None:
    """Use no more than `name` of what the processor has (None: all of it), for tests; return what is used."""
    library = _library()
    if library is not None:
        library.uncrumple_limit_instruction_set(-1 if name is None else INSTRUCTION_SETS.index(name))
    return instruction_set()


def call(name: str, *arguments: Any) -> None:
    """Call a kernel; a tensor stands for its memory, None for no memory.

    Raises:
        MemoryError: The kernel could not get memory to work in.
        IndexError: A label is not the number of a class.
    """
    values = [one.data_ptr() if isinstance(one, torch.Tensor) else one for one in arguments]
    failed = getattr(_library(), f"uncrumple_{name}")(torch.get_num_threads(), *values)
    if failed == LABEL_OUT_OF_RANGE:
        raise IndexError("a label is not the number of a class")
    if failed:
        raise MemoryError(f"no memory for the kernel {name}")


def takes(*tensors: torch.Tensor | None) -> bool:
    """Return whether the kernels can work on these: float32, dense, on the CPU, and the library is there."""
    if _library() is None:
        return False
    return all(
        one is None or (one.dtype is torch.float32 and one.device.type == "cpu" and one.layout is torch.strided)
        for one in tensors
    )
