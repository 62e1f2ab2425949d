"""Many callbacks called as one, and batch methods called only where there are any."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.history import History
from uncrumple.callbacks.logs import LazyLogs, plain_logs
from uncrumple.callbacks.progress import ProgbarLogger
from uncrumple.core import own_parts, registry
from uncrumple.core.errors import closest, explain, one_of

_OLDER_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
_NEEDED = ("set_params", "set_model", "on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end")


class CallbackList(Callback):
    """All callbacks of a run, called in their order: the user's, then `History`, then the progress bar.

    `has_train_batch_hooks`, `has_test_batch_hooks` and `has_predict_batch_hooks`
    say whether any callback wants to be called at batches. Read them after
    `on_epoch_begin` (`on_test_begin`, `on_predict_begin`), as a callback may
    want batches in one epoch and not in the next.

    Args:
        callbacks: A callback, or a list of them (lists in lists are fine).
        add_history: Whether to add a `History` unless the list has one.
        add_progbar: Whether to add a `ProgbarLogger` unless the list has one.
        model: The model that they work with.
        **params: Handed to each callback's `set_params`: `verbose`, `epochs`,
            `steps`, and, to show samples per second, `batch_size`.

    Raises:
        TypeError: Something in the list is not a callback; the message names its index.

    Example:
        >>> callbacks = CallbackList([Callback()], add_history=True, verbose=0, epochs=1, steps=2)
        >>> callbacks.has_train_batch_hooks
        False
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Any] = list(_flatten(callbacks, "callbacks"))
        self._open = 0
        self._history = next((one for one in self.callbacks if isinstance(one, History)), None)
        self._progbar = next((one for one in self.callbacks if isinstance(one, ProgbarLogger)), None)
        if add_history and self._history is None:
            self._history = History()
            self.callbacks.append(self._history)
        if add_progbar and self._progbar is None:
            self._progbar = ProgbarLogger()
            self.callbacks.append(self._progbar)
        self.set_model(model)
        self.set_params(params)
        self._find_hooks()

    def append(self, callback: Any) -> None:
        """Add a callback at the end."""
        for one in _flatten(callback, "callback"):
            self.callbacks.append(one)
            if self._model is not None:
                one.set_model(self._model)
            if self.params:
                one.set_params(self.params)
        self._find_hooks()

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        if model is None:
            return
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    # --- which callbacks want batches ---------------------------------------------

    def _find_hooks(self) -> None:
        find = self._hooks
        self._train_begin, self._train_end = find("on_train_batch_begin"), find("on_train_batch_end")
        self._test_begin, self._test_end = find("on_test_batch_begin"), find("on_test_batch_end")
        self._predict_begin, self._predict_end = find("on_predict_batch_begin"), find("on_predict_batch_end")
        self.has_train_batch_hooks = bool(self._train_begin or self._train_end)
        self.has_test_batch_hooks = bool(self._test_begin or self._test_end)
        self.has_predict_batch_hooks = bool(self._predict_begin or self._predict_end)

    def _hooks(self, name: str) -> list[Callable[..., Any]]:
        found = (_wanted(callback, name) for callback in self.callbacks)
        return [method for method in found if method is not None]

    # --- batches: called often, so nothing is done that no callback asked for -----

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self._train_begin:
            _call(self._train_begin, batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._train_end:
            _call(self._train_end, batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self._test_begin:
            _call(self._test_begin, batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._test_end:
            _call(self._test_end, batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        _call(self._predict_begin, batch, {} if logs is None else logs, convert=False)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        # The outputs are handed on as they are: a prediction must not become a float.
        _call(self._predict_end, batch, {} if logs is None else logs, convert=False)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        _call([callback.on_batch_begin for callback in self.callbacks], batch, logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        _call([callback.on_batch_end for callback in self.callbacks], batch, logs)

    # --- epochs, beginnings and ends ----------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._each("on_epoch_begin", epoch, plain_logs(logs))
        self._find_hooks()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        # One dict for all: what a callback adds (the learning rate) those after it see.
        self._each("on_epoch_end", epoch, plain_logs(logs))

    def _each(self, name: str, *args: Any) -> None:
        """Call a method of every callback."""
        for callback in self.callbacks:
            method = getattr(callback, name)
            try:
                method(*args)
            except Exception as error:
                failure = explained(callback, name, method, args, error)
                if failure is None:
                    raise
                raise failure from None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._end("on_train_end", logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._begin("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._end("on_test_end", logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end("on_predict_end", logs)

    def _begin(self, name: str, logs: Logs | None) -> None:
        self._open += 1
        self._each(name, plain_logs(logs))
        self._find_hooks()

    def _end(self, name: str, logs: Logs | None) -> None:
        if self._open < 1:
            raise ValueError(
                explain(
                    f"{name} was called, but nothing had begun.",
                    f"Expected {name.replace('_end', '_begin')} to be called before it.",
                    f"callbacks.{name.replace('_end', '_begin')}()",
                )
            )
        self._each(name, plain_logs(logs))
        self._open -= 1


def _call(methods: list[Callable[..., Any]], batch: int, logs: Logs | None, convert: bool = True) -> None:
    if logs is None:
        logs = {}
    elif convert and type(logs) is dict and logs:
        # A plain dict of tensors, from a loop of the user's own: converted only if someone reads it.
        logs = LazyLogs(logs)
    for method in methods:
        try:
            method(batch, logs=logs)
        except Exception as error:
            owner = getattr(method, "__self__", None)
            failure = explained(owner, getattr(method, "__name__", "method"), method, (batch, logs), error)
            if failure is None:
                raise
            raise failure from None


# --- a callback that fails ------------------------------------------------------------


def explained(callback: Any, name: str, method: Any, args: tuple[Any, ...], error: Exception) -> Exception | None:
    """Return the error to raise in place of one that a user's callback raised; None to leave it as it is.

    Args:
        callback: The callback; None for a function that a `LambdaCallback` holds.
        name: The method's name.
        method: What was called.
        args: What it was called with.
        error: What it raised.
    """
    line = own_parts.line_of_the_user(error)
    function = not hasattr(method, "__self__")
    if line is None and not (function or own_parts.is_own(callback)):
        return None
    who = f"The function {name} of LambdaCallback" if function else type(callback).__name__
    if line is None and type(error) is TypeError and re.search(r"positional arg|keyword arg|unexpected", str(error)):
        return _about_a_signature(who, name, function, method, error)
    on = "" if function else f" in {name}()"
    if "epoch" in name or "batch" in name:
        on += f" at {'epoch' if 'epoch' in name else 'batch'} {args[0]}"
    logs = args[-1]
    came = fix = None
    missed = error.args[0] if type(error) is KeyError and error.args else None
    if isinstance(missed, str) and isinstance(logs, dict) and missed not in logs and _reads_logs(line, missed):
        came = f"logs has no {missed!r}"
        expected = one_of(missed, logs) if logs else f"Expected {name}() to look at nothing in logs: there is nothing."
        guess = closest(missed, logs)
        fix = f"did you mean {guess!r}?" if guess else f"logs.get({missed!r})"
        return own_parts.NoKey(explain(f"{who} failed{on}: {came}.", expected, fix)).with_traceback(error.__traceback__)
    expected = f"Expected {'it' if function else name + '()'} to run without an error."
    return own_parts.failed(who, error, on=on, expected=expected, fix=f"{name} of {who} is where to look")


def _reads_logs(line: str | None, name: str) -> bool:
    """Return whether a line of code looks a name up in the logs."""
    return line is not None and re.search(rf"logs\[\s*(['\"]){re.escape(name)}\1", line) is not None


def _about_a_signature(who: str, name: str, function: bool, method: Any, error: Exception) -> Exception:
    """Return the error for a method that does not take what callbacks are given."""
    base = getattr(Callback, name, None)
    if name == "<lambda>" or base is None:
        takes = "epoch, logs"
        base_names = ["epoch", "logs"]
    else:
        base_names = list(inspect.signature(base).parameters)[1:]
        takes = ", ".join(base_names)
    own = ", ".join(inspect.signature(method).parameters)
    wanted = ", ".join([one if one != "logs" else "logs=None" for one in base_names])
    came = f"{who} takes ({own})" if function else f"{who}: its {name}() takes ({own})"
    fix = f"lambda {takes}: ..." if function else f"def {name}(self, {wanted}): ..."
    text = explain(f"{came}, and is called with ({takes}).", "Expected it to take what callbacks are given.", fix)
    return TypeError(text).with_traceback(error.__traceback__)


def _wanted(callback: Any, name: str) -> Callable[..., Any] | None:
    """Return the callback's method if it does anything, else None."""
    method = getattr(callback, name, None)
    function = getattr(method, "__func__", method)
    if method is None or (isinstance(callback, Callback) and function in callback._idle_batch_hooks()):
        return None
    if getattr(function, "_is_default", False) is True:
        return _wanted(callback, _OLDER_NAMES[name]) if name in _OLDER_NAMES else None
    return method


def _flatten(callbacks: Any, where: str) -> Iterable[Any]:
    if callbacks is None:
        return
    if isinstance(callbacks, CallbackList):
        yield from callbacks.callbacks
    elif isinstance(callbacks, (list, tuple)):
        for index, one in enumerate(callbacks):
            if one is None:
                _refuse(one, f"{where}[{index}]")
            yield from _flatten(one, f"{where}[{index}]")
    elif isinstance(callbacks, type) or not all(callable(getattr(callbacks, name, None)) for name in _NEEDED):
        _refuse(callbacks, where)
    else:
        yield callbacks


def _refuse(thing: Any, where: str) -> None:
    if isinstance(thing, type):
        came, fix = f"{where} is the class {thing.__name__}.", f"{thing.__name__}(), with its arguments in the brackets"
    elif isinstance(thing, str):
        name = closest(thing, registry.builtins("callbacks"))
        came, fix = f"{where} is the string {thing!r}.", f"{name or 'EarlyStopping'}(), the object instead of a name"
    elif callable(thing) and hasattr(thing, "__name__"):
        came, fix = f"{where} is the function {thing.__name__}.", f"LambdaCallback(on_epoch_end={thing.__name__})"
    else:
        came, fix = f"{where} is {thing!r}, a {type(thing).__name__}.", "callbacks=[EarlyStopping(patience=3)]"
    raise TypeError(explain(came, "Expected a callback object.", fix))
