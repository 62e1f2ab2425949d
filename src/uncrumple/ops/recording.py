"""What turns a function of tensors into an operation that a model can hold.

An operation is called like any function. On symbolic tensors it becomes a
layer whose class has the name that Keras gives it, so that files of both
open in both: `ops.mean(x, axis=1)` is the layer `Mean(axis=1)` called on `x`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from uncrumple.core import recording
from uncrumple.core.promotion import standardize_dtype
from uncrumple.core.settings import image_data_format

Function = TypeVar("Function", bound=Callable[..., Any])
Written = dict[str, Callable[[Any], Any]]


class Operation:
    """A function together with how Keras writes it into files.

    Attributes:
        function: The function on plain tensors.
        class_name: Keras's name for the layer: `"Mean"`.
        module: Keras's module of that class: `"keras.src.ops.numpy"`.
    """

    def __init__(
        self, function: Callable[..., Any], class_name: str, module: str, inputs: str | int, written: Written
    ) -> None:
        self.function = function
        self.class_name = class_name
        self.module = module
        self._inputs = inputs
        self._written = {**_WRITTEN, **written}

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @functools.cached_property
    def inputs(self) -> list[str]:
        """The arguments that a call of the layer takes."""
        if isinstance(self._inputs, str):
            return self._inputs.split()
        return list(self._signature.parameters)[: self._inputs]

    @functools.cached_property
    def settings(self) -> list[str]:
        """The other arguments, which the layer's constructor takes."""
        return [name for name in self._signature.parameters if name not in self.inputs]

    @property
    def takes_anything(self) -> bool:
        """Whether the function has settings that its signature does not name."""
        return any(
            p.kind is inspect.Parameter.VAR_KEYWORD and p.name not in self.inputs
            for p in self._signature.parameters.values()
        )

    def parted(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        """Return the arguments of a call of the function as those of a layer's call, and the layer's settings."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        tensors: list[Any] = []
        named: dict[str, Any] = {}
        settings: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                tensors += value
            elif kind is inspect.Parameter.VAR_KEYWORD:
                (named if name in self.inputs else settings).update(value)
            elif name in self.inputs:
                tensors.append(value)
            else:
                written = self._written.get(name)
                settings[name] = value if written is None else written(value)
        return tensors, named, settings

    def called(self, args: Any, settings: dict[str, Any]) -> Any:
        """Call the function with the tensors of a layer's call, in the order of `inputs`, and its settings."""
        many = [p.name for p in self._signature.parameters.values() if p.kind is inspect.Parameter.VAR_POSITIONAL]
        if not many:
            return self.function(**dict(zip(self.inputs, args)), **settings)
        first = [name for name in self._signature.parameters if name != many[0] and name in settings]
        first = [name for name in first if self._signature.parameters[name].kind is _PLAIN]
        rest = {name: value for name, value in settings.items() if name not in first}
        return self.function(*(settings[name] for name in first), *args, **rest)


_PLAIN = inspect.Parameter.POSITIONAL_OR_KEYWORD
# How settings are written into files, where that differs from how they may be given.
_WRITTEN: Written = {
    "data_format": lambda given: given or image_data_format(),
    "padding": lambda given: given.lower() if isinstance(given, str) else given,
    "dtype": lambda given: given if given is None else standardize_dtype(given),
}

# {"Mean": what is known of ops.mean}
OPERATIONS: dict[str, Operation] = {}


def group(module: str) -> Callable[..., Any]:
    """Return the decorator for the operations whose classes Keras keeps in one module.

    Args:
        module: The last part of that module's name: `"numpy"`.
    """

    def operation(
        inputs: str | int = 1, class_name: str | None = None, **written: Callable[[Any], Any]
    ) -> Callable[[Function], Function]:
        """Return a decorator that makes an operation of a function.

        Args:
            inputs: How many of the first arguments are tensors, or the names of those.
            class_name: Keras's name, where it is not the function's name in camel case.
            written: For a setting, how what is given becomes what is written into files.
        """

        def decorate(function: Function) -> Function:
            name = class_name or "".join(part[0].upper() + part[1:] for part in function.__name__.split("_") if part)
            known = Operation(function, name, f"keras.src.ops.{module}", inputs, written)
            OPERATIONS.setdefault(name, known)

            @functools.wraps(function)
            def recorded(*args: Any, **kwargs: Any) -> Any:
                if recording.symbolic_class and (
                    recording.holds_symbolic(args) or (kwargs and recording.holds_symbolic(kwargs))
                ):
                    return recording.record(known, args, kwargs)
                return function(*args, **kwargs)

            return recorded  # type: ignore[return-value]

        return decorate

    return operation
