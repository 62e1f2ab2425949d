"""The native kernels: `kernels.cpp`, compiled when the package is installed, called through ctypes.

They are optional. Where there is no compiler, where the environment says
`UNCRUMPLE_NATIVE=0`, and for what they cannot do, the plain-torch twins run.
`UNCRUMPLE_NATIVE=path` takes a library that was built in another way.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import os
import pathlib
from typing import Any

import torch

VERSION = 9  # that of `uncrumple_version` in kernels.cpp
LABEL_OUT_OF_RANGE = 2
INSTRUCTION_SETS = ("plain", "AVX2", "AVX512", "AMX")  # AMX: AVX512, and tiles of bfloat16

_Pointer, _Size, _Whole = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
# A letter per argument: i a C int, n a size, d a double, p a pointer.
_FUNCTIONS = {
    "lstm_forward": "innnpppp",
    "lstm_backward": "innnppppnnpnnpppp",
    "lstm_forward_half": "innnpppp",
    "lstm_backward_half": "innnppppnnpppp",
    "gru_forward": "innnppppp",
    "gru_backward": "innnpppppnnppp",
    "gru_forward_half": "innnppppp",
    "gru_backward_half": "innnpppppnnppp",
    "simple_rnn_forward": "innnipp",
    "simple_rnn_backward": "innnipppnnppp",
    "dropout": "innndipp",
    "run": "ipn",
    "adam": "inppp",
    "adam_rows": "innnipppp",
    "train_many": "ipn",
    "draw": "ipnpp",
    "pool": "innnnnninndippp",
    "pool_backward": "innnnnndipppp",
    "relu_backward": "innipppp",
    "wide_product": "innnipppp",
    "few_rows": "innnipppp",
    "few_channels": "ipiinndppppp",
    "few_channels_backward": "ipipppp",
    "tile_convolution": "ipinndppppp",
    "tile_convolution_backward": "ipdppppppp",
    "batch_moments": "innddipppppp",
    "normalize": "inninndippppppp",
    "normalize_backward": "inninndipppppppppppp",
    "add_and_rectify": "innpp",
    "dense": "innnidppppppppp",
    "dense_backward": "innnpppppppppp",
    "add_rows": "innnippp",
    "layer_normalize": "inndipppppp",
    "layer_normalize_backward": "innippppppp",
    "attention": "innnnnndiipppppp",
    "attention_backward": "innnnnndiippppppppp",
    "resize": "ippppppp",
    "greatest_step": "innniipp",
    "greatest_step_backward": "innnnnnnnniippppppppp",
}
_TYPES = {"i": _Whole, "n": _Size, "d": ctypes.c_double, "p": _Pointer}


@functools.cache
def _library() -> Any:
    """Return the loaded library, or None if there is none that fits."""
    wish = os.environ.get("UNCRUMPLE_NATIVE", "1")
    if wish == "0":
        return None
    built = [pathlib.Path(__file__).with_name("_kernels" + suffix) for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    for path in [pathlib.Path(wish)] if wish != "1" else built:
        if not path.exists():
            continue
        try:
            library: Any = ctypes.CDLL(str(path))
            if library.uncrumple_version() != VERSION:
                return None
            library.by_name = {name: getattr(library, f"uncrumple_{name}") for name in _FUNCTIONS}
            for name, letters in _FUNCTIONS.items():
                function = library.by_name[name]
                function.argtypes = [_TYPES[letter] for letter in letters]
                function.restype = _Whole
        except (OSError, AttributeError):
            return None
        library.uncrumple_use_gemm(_torchs_gemm())
        return library
    return None


@functools.cache
def _torchs_gemm() -> Any:
    """Return the address of the BLAS function that torch itself multiplies with; None if its library does not show it.

    BLAS libraries differ in the size of their whole numbers, so it is tried out, on [[1, 2], [3, 4]] times itself.
    """
    folder = pathlib.Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        try:
            gemm = ctypes.CDLL(str(folder / name)).sgemm_
        except (OSError, AttributeError):
            continue
        sizes = [ctypes.byref(ctypes.c_int64(2)) for _ in range(6)]
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        a, c = (ctypes.c_float * 4)(1, 2, 3, 4), (ctypes.c_float * 4)()
        gemm(b"N", b"N", *sizes[:3], ctypes.byref(one), a, sizes[3], a, sizes[4], ctypes.byref(zero), c, sizes[5])
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
    """Return what the kernels use of this processor: one of `INSTRUCTION_SETS`; None without kernels."""
    library = _library()
    return None if library is None else INSTRUCTION_SETS[library.uncrumple_instruction_set()]


def has_tiles() -> bool:
    """Return whether the processor multiplies tiles of bfloat16 (AMX), and the kernels may use that."""
    library = _library()
    return library is not None and bool(library.uncrumple_has_tiles())


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
    failed = _library().by_name[name](torch.get_num_threads(), *values)
    if failed == LABEL_OUT_OF_RANGE:
        raise IndexError("a label is not the number of a class")
    if failed:
        raise MemoryError(f"no memory for the kernel {name}")


def takes(*tensors: torch.Tensor | None, half: bool = False) -> bool:
    """Return whether the kernels can work on these: on the CPU, float32, not compiled, and the library is there.

    Args:
        tensors: What they are to work on; None stands for nothing.
        half: Whether bfloat16 will do, too, if all are bfloat16.
    """
    if torch.compiler.is_compiling() or _library() is None:
        return False
    kind: torch.dtype | None = None
    for one in tensors:
        if one is None:
            continue
        if kind is None:
            kind = torch.bfloat16 if half and one.dtype is torch.bfloat16 else torch.float32
        if one.dtype is not kind or not one.is_cpu or one.layout is not torch.strided:
            return False
        if type(one) not in _ORDINARY and not _is_ordinary(type(one)):
            return False
    return True


# Classes of tensors whose memory holds what they show.
_ORDINARY: set[type] = {torch.Tensor}


def _is_ordinary(kind: type) -> bool:
    """Return whether tensors of a class are torch's own in all but name; one that answers for itself may have no memory."""
    plain = kind.__torch_dispatch__ is torch.Tensor.__torch_dispatch__  # type: ignore[attr-defined]
    if plain:
        _ORDINARY.add(kind)
    return plain
