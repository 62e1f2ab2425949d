"""Programs for the native kernels: lists of operations on memory that stays where it is, run by one call.

The fields and numbers here are those of `Operation`, `Code` and `Flag` in kernels.cpp.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.kernels import native

MULTIPLY, ACTIVATE, ACTIVATE_BACKWARD, SOFTMAX, CROSSENTROPY, ADAM = range(6)
PRODUCT, ACTIVATE_HALF, ACTIVATE_BACKWARD_HALF, ROUND, NARROW, WIDEN = range(6, 12)
TRANSPOSE_A, TRANSPOSE_B, WIDE_A, WIDE_B, FROM_LOGITS = 1, 2, 4, 8, 1
ACTIVATIONS = {"linear": 0, "relu": 1, "tanh": 2, "sigmoid": 3}


class Operation(ctypes.Structure):
    """One operation; `sizes` of an activation hold rows, columns, the seed and the limit of its dropout."""

    _fields_ = [
        ("code", ctypes.c_int64),
        ("flags", ctypes.c_int64),
        ("sizes", ctypes.c_int64 * 4),
        ("memory", ctypes.c_void_p * 5),
        ("scale", ctypes.c_double),
    ]


class AdamSettings(ctypes.Structure):
    """What one step of Adam is told: `keep` is what weight decay leaves of a weight."""

    _fields_ = [(name, ctypes.c_double) for name in ("rate", "beta_1", "beta_2", "epsilon", "keep")]


def adam_weight(*tensors: torch.Tensor) -> Any:
    """Return the places of a weight, its gradient, and the running means of that and of its square, for `PRODUCT`."""
    return (ctypes.c_void_p * 4)(*[tensor.data_ptr() for tensor in tensors])


class Program:
    """A list of operations. It keeps the tensors that they work on.

    Example:
        >>> from uncrumple.kernels import native
        >>> a, b, c = torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(2, 2)
        >>> program = Program()
        >>> program.add(MULTIPLY, sizes=(2, 2, 2), memory=(a, b, c))
        0
        >>> if native.available():
        ...     program.run()
    """

    def __init__(self) -> None:
        self._made: list[Operation] = []
        self._kept: list[Any] = []
        self._ready: Any = None

    def __len__(self) -> int:
        return len(self._made)

    def add(
        self, code: int, flags: int = 0, sizes: Sequence[int] = (), memory: Sequence[Any] = (), scale: float = 0.0
    ) -> int:
        """Add an operation; a tensor stands for its memory. Returns its number."""
        operation = Operation(code=code, flags=flags, scale=scale)
        for place, size in enumerate(sizes):
            operation.sizes[place] = size
        for place, one in enumerate(memory):
            if isinstance(one, torch.Tensor):
                operation.memory[place] = one.data_ptr()
            elif one is not None:
                operation.memory[place] = ctypes.addressof(one)
        self._kept.append(memory)
        self._made.append(operation)
        self._ready = None
        return len(self._made) - 1

    def finish(self) -> Any:
        """Return the operations as they lie in memory, to change what differs from run to run."""
        if self._ready is None:
            self._ready = (Operation * len(self._made))(*self._made)
        return self._ready

    def run(self, first: int = 0, last: int | None = None) -> None:
        """Run the operations from `first` up to `last`.

        Raises:
            IndexError: A label is not the number of a class.
            MemoryError: There was no memory to work in.
        """
        operations = self.finish()
        last = len(self._made) if last is None else last
        native.call("run", ctypes.addressof(operations) + first * ctypes.sizeof(Operation), last - first)
