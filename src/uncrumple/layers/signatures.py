"""What the methods of a layer class take; found once per class, and what is said of arguments that they do not take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from uncrumple.core.arguments import check_arguments
from uncrumple.core.errors import explain, unknown_argument

# What `Layer` takes, for every layer that hands it on.
_OF_EVERY_LAYER = ("activity_regularizer", "trainable", "dtype", "autocast", "name", "input_shape", "input_dim")


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a function, without `self`."""
    return [p for p in inspect.signature(function).parameters.values() if p.name != "self"]


def note_methods(cls: Any) -> None:
    """Write down, in a class, what its `build` and its `call` take, if it has them."""
    if "build" in cls.__dict__:
        parameters = [p for p in parameters_of(cls.__dict__["build"]) if p.kind is not p.VAR_KEYWORD]
        cls._build_parameters = tuple(p.name for p in parameters)
        cls._build_required = frozenset(p.name for p in parameters if p.default is p.empty)
    if "call" in cls.__dict__:
        parameters = parameters_of(cls.call)
        names = {p.name for p in parameters}
        cls._takes_training = "training" in names
        cls._acts_untold = any(p.name == "training" and p.default is True for p in parameters)
        cls._takes_mask = "mask" in names
        cls._takes_masks = tuple(p.name for p in parameters if f"{p.name}_mask" in names)
        cls._call_parameters = tuple(p.name for p in parameters)
        cls._takes_anything = any(p.kind is p.VAR_KEYWORD for p in parameters)


def arguments_of(classes: Iterable[Any]) -> frozenset[str]:
    """Return what constructors take that hand on to each other what they do not know."""
    own = [p.name for cls in classes for p in parameters_of(cls.__init__)]
    return frozenset([*own, *_OF_EVERY_LAYER])


def check_given(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that the constructor of a layer class does not take."""
    known = cls._known_arguments
    if known is not None:
        if not kwargs.keys() <= known:
            refuse_unknown(cls, {name: value for name, value in kwargs.items() if name not in known})
        if getattr(args[0] if args else None, "ndim", 0) > 1:
            raise TypeError(
                explain(
                    f"{cls.__name__} got a tensor of shape {tuple(args[0].shape)} in place of its settings.",
                    "Expected the settings first, and then a call on the tensor.",
                    f"{cls.__name__}(...)(x)",
                )
            )
    check_arguments(cls, args, kwargs, _OF_EVERY_LAYER)


def refuse_unknown(cls: type, kwargs: dict[str, Any]) -> None:
    """Raise a TypeError (ValueError in Keras's manner) for keyword arguments that a layer does not have."""
    name = next(iter(kwargs))
    init: Any = vars(cls).get("__init__", cls.__init__)  # type: ignore[misc]
    known = [p.name for p in parameters_of(init) if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    known += [argument for argument in _OF_EVERY_LAYER if argument not in known]
    raise ValueError(unknown_argument(cls.__name__, name, known))
