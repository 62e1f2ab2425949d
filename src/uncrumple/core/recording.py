"""Where functions of tensors report that they were called on symbolic tensors.

`ops` stands below `layers` and cannot import them, while a model wants each
call as a layer. layers/operation.py puts here what a symbolic tensor is and
what happens to such a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core.variable import Variable

# The class of symbolic tensors. Nothing is one until layers are loaded.
symbolic_class: Any = ()


def _not_loaded(*_: Any) -> Any:
    raise NotImplementedError("uncrumple.layers puts its own function here when it is loaded")


# Called with (what is known of the function, args, kwargs); returns symbolic tensors.
record: Callable[[Any, Any, Any], Any] = _not_loaded


# What is most often given, and holds nothing. Asked at every call, so it is asked first.
_PLAIN = frozenset([torch.Tensor, Variable, int, float, bool, str, type(None)])


def holds_symbolic(structure: Any) -> bool:
    """Return whether a nested structure holds a symbolic tensor."""
    kind = type(structure)
    if kind in _PLAIN:
        return False
    if isinstance(structure, (list, tuple)):
        for part in structure:  # noqa: SIM110 - a generator takes twice as long
            if type(part) not in _PLAIN and holds_symbolic(part):
                return True
        return False
    if isinstance(structure, dict):
        return holds_symbolic(list(structure.values()))
    return isinstance(structure, symbolic_class)
