"""Using torch without waiting for its compiler to be imported.

Some of torch's own functions (the Python implementations for `meta` tensors,
an optimizer's list of weights) are wrapped so that the compiler leaves them
alone, and the wrapper imports `torch._dynamo` (0.6 s and more) to say so. A
program that compiles nothing need not wait for that.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch

_COMPILER = "torch._dynamo"


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Within this block `torch._dynamo` is stood in for, unless it is imported already; nothing is left behind."""
    if _COMPILER in sys.modules:
        yield
        return
    marked: list[Callable[..., Any]] = []

    def disable(function: Any = None, *_: Any, **__: Any) -> Any:
        marked.append(function)
        return function

    stand_in = types.ModuleType(_COMPILER)
    stand_in.disable = disable  # type: ignore[attr-defined]
    # torch.func's way backwards asks for it.
    stand_in.compiled_autograd = types.SimpleNamespace(_disable=contextlib.nullcontext)  # type: ignore[attr-defined]
    sys.modules[_COMPILER] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]
        if vars(torch).get("_dynamo") is stand_in:
            del torch._dynamo
        for function in marked:  # so that the compiler, if it comes, marks them itself
            with contextlib.suppress(AttributeError):
                del function.__dynamo_disable  # type: ignore[attr-defined]
