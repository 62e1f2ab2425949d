"""Torch functions on symbolic tensors, as layers: what `x * 2 + 1` becomes in a model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core import registry, tree
from uncrumple.core.errors import explain
from uncrumple.layers import symbolic
from uncrumple.layers.base import Layer


class Operation(Layer):
    """A function of tensors that stands in a model like a layer; it has no weights."""

    function: Callable[..., Any]

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, autocast=False, **kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return type(self).function(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def _operation(class_name: str, function: Callable[..., Any]) -> type[Operation]:
    made = type(class_name, (Operation,), {"function": staticmethod(function), "__module__": __name__})
    made.__doc__ = f"The function `torch.{getattr(function, '__name__', class_name)}` as a layer."
    return made


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
    "Matmul": torch.matmul,
    "Negative": torch.neg,
    "Absolute": torch.abs,
    "GetItem": lambda x, key: x[key],
}
_NAMED = {name: _operation(name, function) for name, function in _PLAIN.items()}
globals().update(_NAMED)  # pickle finds classes by their names in a module
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

    Args:
        function: Path of a public torch function, such as `"torch.cumsum"`.
    """

    def __init__(self, function: str, **kwargs: Any) -> None:
        kwargs.setdefault("name", None)
        if kwargs["name"] is None:
            from uncrumple.core.naming import auto_name

            kwargs["name"] = auto_name(function.rsplit(".", 1)[-1].strip("_"))
        super().__init__(**kwargs)
        self.path = function
        if function not in _functions():
            raise ValueError(
                explain(
                    f"TorchFunction got {function!r}.",
                    "Expected the path of a public torch function on tensors.",
                    'TorchFunction("torch.cumsum")',
                )
            )

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return _functions()[self.path](*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "function": self.path}


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


symbolic.record_operation = record_operation
registry.add_builtins("ops", _NAMED.values(), module="keras.src.ops.numpy")
registry.add_builtins("layers", [TorchFunction])
