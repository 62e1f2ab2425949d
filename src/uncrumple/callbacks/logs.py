"""The metrics that callbacks are given: Python floats, computed when somebody looks."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch


def as_float(value: Any) -> Any:
    """Return a number, array or tensor of one element as a Python float; anything else as it is."""
    if type(value) is float:
        return value
    if isinstance(value, torch.Tensor):
        value = value.detach()
        if value.numel() == 1 and not value.is_complex():
            return float(value)
        return value.float().cpu().numpy() if value.dtype is torch.bfloat16 else value.cpu().numpy()
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf":
        return float(value.item())
    if isinstance(value, numbers.Real):
        return float(value)
    return value


def plain_logs(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return logs as a new dict: sorted by name, numbers as floats, dicts within it spread out.

    Example:
        >>> plain_logs({"loss": torch.tensor(0.5), "accuracy": 1})
        {'accuracy': 1.0, 'loss': 0.5}
    """
    out: dict[str, Any] = {}
    for name, value in sorted(logs.items() if logs is not None else ()):
        if isinstance(value, Mapping):
            out.update(plain_logs(value))
        else:
            out[name] = as_float(value)
    return out


class LazyLogs(dict):
    """Logs that are computed the first time somebody reads them, all at once.

    A dict in every other way: after the first look it holds plain floats.

    Args:
        source: A mapping of numbers and tensors, or a function that returns one.

    Example:
        >>> logs = LazyLogs(lambda: {"loss": torch.tensor(0.25)})
        >>> logs["loss"]
        0.25
    """

    def __init__(self, source: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        # Not empty inside: json, written in C, takes an empty dict for an answer without asking.
        super().__init__({"not read yet": None})
        self._source: Any = source

    def _fill(self) -> None:
        values = plain_logs(self._source() if callable(self._source) else self._source)
        self._source = None
        dict.clear(self)
        dict.update(self, values)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def _after_filling(name: str) -> Callable[..., Any]:
    of_dict = getattr(dict, name)

    def method(self: LazyLogs, *args: Any, **kwargs: Any) -> Any:
        if self._source is not None:
            self._fill()
        return of_dict(self, *args, **kwargs)

    method.__name__ = name
    return method


# All of them, `__iter__` above all: without it dict(logs) and f(**logs) would read what is inside before it is filled.
_METHODS = """
__getitem__ __setitem__ __delitem__ __iter__ __reversed__ __len__ __contains__ __repr__ __eq__ __ne__ __or__ __ror__
__ior__ get items keys values pop popitem setdefault update copy clear
"""
for _name in _METHODS.split():
    setattr(LazyLogs, _name, _after_filling(_name))
