"""Functions of tensors as layers: what `x * 2 + 1` and `ops.mean(x)` become in a model."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple.core import recording, registry, tree
from uncrumple.core.errors import explain
from uncrumple.layers import symbolic
from uncrumple.layers.base import Layer


class Operation(Layer):
    """A function of tensors that stands in a model like a layer; it has no weights."""

    function: Callable[..., Any]

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, autocast=False, **kwargs)
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(type(self), "function"):
            return super().call(*args, **kwargs)
        return type(self).function(*args, **kwargs)

    def _pass_mask(self, inputs: Any, mask: Any, outputs: Any) -> None:
        """Leave the output without a mask, as a function outside of a model does, and as Keras does."""

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class Operator(Operation):
    """An operator of Python, such as `+`: fast between tensors and numbers, and what `ops` does with all else."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(arg, (list, tuple, np.ndarray)) for arg in args) and type(self) is not _NAMED["GetItem"]:
            return _known(type(self).__name__).function(*args, **kwargs)
        return type(self).function(*args, **kwargs)


def _operation(class_name: str, function: Callable[..., Any]) -> type[Operation]:
    made = type(class_name, (Operator,), {"function": staticmethod(function), "__module__": __name__})
    made.__doc__ = f"The function `torch.{getattr(function, '__name__', class_name)}` as a layer."
    return made


def _matmul(x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
    if x1.dtype is x2.dtype and x1.is_floating_point():
        return torch.matmul(x1, x2)
    return _known("Matmul").function(x1, x2)  # the types of the result are Keras's


# Keras's names for what Python's operators do; files use these names.
_PLAIN: dict[str, Callable[..., Any]] = {
    "Add": lambda x1, x2: x1 + x2,
    "Subtract": lambda x1, x2: x1 - x2,
    "Multiply": lambda x1, x2: x1 * x2,
    "Divide": lambda x1, x2: x1 / x2,
    "TrueDivide": lambda x1, x2: x1 / x2,
    "FloorDivide": lambda x1, x2: x1 // x2,
    "Mod": lambda x1, x2: x1 % x2,
    "Power": lambda x1, x2: x1**x2,
    "Matmul": lambda x1, x2: _matmul(x1, x2),
    "Negative": torch.neg,
    "Absolute": torch.abs,
    "GetItem": lambda x, key: x[key],
    "Greater": torch.gt,
    "GreaterEqual": torch.ge,
    "Less": torch.lt,
    "LessEqual": torch.le,
    "Equal": torch.eq,
    "NotEqual": torch.ne,
}
_NAMED = {name: _operation(name, function) for name, function in _PLAIN.items()}
globals().update(_NAMED)  # pickle finds classes by their names in a module
Addition = _NAMED["Add"]
_BY_FUNCTION: dict[Any, tuple[str, bool]] = {}
for _keras_name, _names in {
    "Add": "add __add__ __iadd__ __radd__",
    "Subtract": "sub subtract __sub__ __isub__",
    "Multiply": "mul multiply __mul__ __imul__ __rmul__",
    "TrueDivide": "div divide true_divide __truediv__ __div__",
    "Power": "pow __pow__",
    "Matmul": "matmul __matmul__ mm bmm",
    "Negative": "neg negative __neg__",
    "Absolute": "abs absolute __abs__",
    "GetItem": "__getitem__",
    "Greater": "gt greater __gt__",
    "GreaterEqual": "ge greater_equal __ge__",
    "Less": "lt less __lt__",
    "LessEqual": "le less_equal __le__",
    "Equal": "eq __eq__",
    "NotEqual": "ne not_equal __ne__",
}.items():
    for _name in _names.split():
        for _owner in (torch, torch.Tensor):
            if hasattr(_owner, _name):
                _BY_FUNCTION[getattr(_owner, _name)] = (_keras_name, False)
for _keras_name, _name in {"Subtract": "__rsub__", "TrueDivide": "__rdiv__", "Power": "__rpow__"}.items():
    _BY_FUNCTION[getattr(torch.Tensor, _name)] = (_keras_name, True)
_BY_FUNCTION[torch.Tensor.__rtruediv__] = ("TrueDivide", True)


class TorchFunction(Operation):
    """Any torch function, named by its path, as a layer of a model.

    output = function(*inputs).

    Args:
        function: Path of a public torch function, such as `"torch.cumsum"`.

    Shapes: whatever the function makes of them.

    Example:
        >>> TorchFunction("torch.flip")(torch.tensor([[1.0, 2.0]]), dims=[1])
        tensor([[2., 1.]])
    """

    def __init__(self, function: str, **kwargs: Any) -> None:
        kwargs.setdefault("name", None)
        if kwargs["name"] is None:
            from uncrumple.core.naming import auto_name

            kwargs["name"] = auto_name(function.rsplit(".", 1)[-1].strip("_"))
        super().__init__(**kwargs)
        self._function = function
        if function not in _functions():
            raise ValueError(
                explain(
                    f"TorchFunction got {function!r}.",
                    "Expected the path of a public torch function on tensors.",
                    'TorchFunction("torch.cumsum")',
                )
            )

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return _functions()[self._function](*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "function": self._function}


@functools.cache
def _functions() -> dict[str, Callable[..., Any]]:
    """Return the functions that may be named in a file: those of torch that take tensors, and no others."""
    return {path: function for function, path in _paths().items()}


@functools.cache
def _paths() -> dict[Any, str]:
    table: dict[Any, str] = {}
    for prefix, owner in (
        ("torch", torch),
        ("torch.nn.functional", torch.nn.functional),
        ("torch.Tensor", torch.Tensor),
        ("torch.linalg", torch.linalg),
        ("torch.fft", torch.fft),
        ("torch.special", torch.special),
    ):
        for function in torch.overrides.get_overridable_functions().get(owner, []):
            name = getattr(function, "__name__", "")
            if getattr(owner, name, None) is function and name != "__get__":
                table.setdefault(function, f"{prefix}.{name}")
    return table


def record_operation(function: Any, args: Any, kwargs: Any) -> Any:
    """Make a layer of a torch function and call it on symbolic tensors."""
    for leaf in tree.flatten([args, kwargs]):
        if isinstance(leaf, torch.nn.Parameter):
            raise TypeError(
                explain(
                    f"A torch.nn.Module was called on a symbolic tensor (its weight has shape {tuple(leaf.shape)}).",
                    "Expected a layer, so that the model finds the weight.",
                    "uncrumple.layers.TorchModuleWrapper(module)(x)",
                )
            )
    named = _BY_FUNCTION.get(function)
    if named is not None:
        keras_name, swap = named
        return _NAMED[keras_name]()(*(reversed(args) if swap else args), **kwargs)
    path = _paths().get(function)
    if path is None:
        raise TypeError(
            explain(
                f"{getattr(function, '__name__', function)} was used on a symbolic tensor.",
                "Expected a public torch function.",
                "put this line into the call() method of a Layer of your own",
            )
        )
    return TorchFunction(path)(*args, **kwargs)


# --- the functions of `ops` -----------------------------------------------------------


class OpsFunction(Operation):
    """A function of `uncrumple.ops` as a layer: its settings are in the config, its tensors in the call."""

    known: Any  # an Operation of ops/recording.py

    def __init__(self, name: str | None = None, **settings: Any) -> None:
        super().__init__(name=name)
        self._settings = settings

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.known.called(args, {**self._settings, **kwargs})

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self._settings}


def _known(class_name: str) -> Any:
    """Return what `ops` says of the function that Keras's class stands for; None if there is none."""
    from uncrumple.ops.recording import OPERATIONS

    importlib.import_module("uncrumple.ops")
    return OPERATIONS.get(class_name)


def ops_class(class_name: str) -> type[Operation] | None:
    """Return the layer class that stands for a function of `ops`, by Keras's name for it; None if there is none."""
    if class_name in _NAMED:
        return _NAMED[class_name]
    if class_name not in _OF_OPS:
        known = _known(class_name)
        if known is None:
            return None
        made: Any = type(class_name, (OpsFunction,), {"known": known, "__module__": __name__})
        made.__doc__ = f"`ops.{known.function.__name__}` as a layer."
        made._known_arguments = None if known.takes_anything else frozenset(["name", *known.settings])
        made._keras_module = known.module
        _OF_OPS[class_name] = made
    return _OF_OPS[class_name]


_OF_OPS: dict[str, type[OpsFunction]] = {}


def __getattr__(name: str) -> Any:
    """Let pickle find the classes that are made when they are used."""
    if name in _OF_OPS or (name[:1].isupper() and ops_class(name) is not None):
        return _OF_OPS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def record_call(known: Any, args: Any, kwargs: Any) -> Any:
    """Make a layer of a function of `ops` and call it on symbolic tensors."""
    tensors, named, settings = known.parted(args, kwargs)
    made = ops_class(known.class_name)
    assert made is not None
    if not issubclass(made, OpsFunction):
        return made()(*tensors)
    # A setting that is a symbolic tensor itself belongs to the call.
    named.update({name: value for name, value in settings.items() if recording.holds_symbolic(value)})
    return made(**{name: value for name, value in settings.items() if name not in named})(*tensors, **named)


symbolic.record_operation = record_operation
recording.record = record_call
recording.symbolic_class = symbolic.SymbolicTensor
registry.add_later("ops", ops_class)
registry.add_builtins("ops", _NAMED.values(), module="keras.src.ops.numpy")
registry.add_builtins("layers", [TorchFunction])
