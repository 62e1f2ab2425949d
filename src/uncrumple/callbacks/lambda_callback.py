"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uncrumple.callbacks.callback import Callback
from uncrumple.core.errors import explain, unknown_argument

_METHODS = [name for name in vars(Callback) if name.startswith(("on_", "set_"))]


class LambdaCallback(Callback):
    """Call functions at chosen moments, without writing a class.

    Args:
        on_epoch_begin: Called as `f(epoch, logs)`.
        on_epoch_end: Called as `f(epoch, logs)`.
        on_train_begin: Called as `f(logs)`.
        on_train_end: Called as `f(logs)`.
        on_train_batch_begin: Called as `f(batch, logs=logs)`: its second argument must be named `logs`.
        on_train_batch_end: Called as `f(batch, logs=logs)`.
        **kwargs: Any other method of `Callback`, such as `on_test_end`.

    Raises:
        TypeError: A name is no method of `Callback`, or a value is no function.

    Example:
        >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
        >>> show.on_epoch_end(3, {"loss": 0.25})
        3 0.25
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        } | kwargs
        for name, function in given.items():
            if name not in _METHODS:
                raise TypeError(unknown_argument("LambdaCallback", name, _METHODS))
            if function is None:
                continue
            if not callable(function):
                takes = "batch, logs" if "batch" in name else "epoch, logs" if "epoch" in name else "logs"
                raise TypeError(
                    explain(
                        f"LambdaCallback got {name}={function!r}, a {type(function).__name__}.",
                        "Expected a function.",
                        f"LambdaCallback({name}=lambda {takes}: ...)",
                    )
                )
            self.__dict__[name] = function
