"""What callbacks that watch one metric share: which way is better, and is this value an improvement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import numpy as np

from uncrumple.callbacks import checks
from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.logs import as_float
from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import closest, explain, warn


def _rounded(value: Any) -> Any:
    """Round to the type that metrics are computed in: what differs by less than that is equal."""
    kind = np.float64 if floatx() == "float64" else np.float32
    with np.errstate(over="ignore"):
        return kind(value)


def less(value: Any, reference: Any) -> bool:
    """Return whether `value` is smaller than `reference`, both rounded to `floatx()`."""
    return bool(_rounded(value) < _rounded(reference))


def greater(value: Any, reference: Any) -> bool:
    """Return whether `value` is larger than `reference`, both rounded to `floatx()`."""
    return bool(_rounded(value) > _rounded(reference))


class MonitorCallback(Callback):
    """Base of callbacks that watch one metric and act when it improves or does not.

    Args:
        monitor: The metric's name as in `History`, such as `"val_loss"`.
        mode: `"min"` if less is better, `"max"` if more is, or `"auto"`: known
            for losses and for metrics of the model.
        baseline: The value to start from as the best; None means the first value seen.
        min_delta: A change must be larger than this to count as an improvement.

    Example:
        >>> watch = MonitorCallback("val_accuracy", mode="max", min_delta=0.01)
        >>> watch._set_monitor_op()
        >>> watch._is_improvement(0.905, 0.90), watch._is_improvement(0.92, 0.90)
        (False, True)
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        if not isinstance(monitor, str):
            raise TypeError(
                explain(
                    f"{owner} got monitor={monitor!r}, a {type(monitor).__name__}.",
                    "Expected the name of a metric.",
                    f"{owner}(monitor='val_loss')",
                )
            )
        if mode not in ("auto", "min", "max"):
            guess = closest(str(mode), ("auto", "min", "max", "minimum", "maximum", "minimize", "maximize")) or "auto"
            warn(
                f"{owner} got mode={mode!r}; it goes on with mode='auto'.",
                "Expected 'auto', 'min' or 'max'.",
                f"{owner}(mode='{guess[:3] if guess != 'auto' else guess}')",
            )
            mode = "auto"
        checks.number(owner, "min_delta", min_delta, example="0.001")
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        # Subtracted from a new value before it is compared, hence negative once less is known to be better.
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[Any, Any], bool] | None = None
        self._warned = False
        self._told = False  # whether that a metric is missing was said before training

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._warned, self._told = self._told, False

    def check_monitor(self, names: list[str]) -> None:
        """Say now, before training, if the metric that is watched will not be among the logs.

        Args:
            names: The metrics that the logs will have.

        Raises:
            ValueError: It will not, and nothing tells whether more or less of it would be better.
        """
        if self.monitor in names or self.monitor == "learning_rate":
            return
        parts = self._say_missing(names, "this training will not log")
        known = {name.removeprefix("val_") for name in names}
        if self.mode == "auto" and self.monitor.removeprefix("val_") not in known:
            raise ValueError(explain(*parts))
        self._told = True
        warn(*parts)

    def _set_monitor_op(self) -> None:
        if self.mode == "auto":
            self.monitor_op = self._infer()
        else:
            self.monitor_op = less if self.mode == "min" else greater
        if self.monitor_op is less:
            self.min_delta = -abs(self.min_delta)

    def _infer(self) -> Callable[[Any, Any], bool]:
        name = self.monitor.removeprefix("val_")
        found = less if name == "loss" else None
        metrics = list(_all_metrics(getattr(self.model, "metrics", ())))
        # Outputs with names put them before their metrics and losses: `price_mae`, `price_loss`.
        names = {name}
        for output in getattr(self.model, "output_names", None) or ():
            names.add(name.removeprefix(f"{output}_"))
            if name == f"{output}_loss":
                found = less
        for metric in metrics:
            direction = getattr(metric, "_direction", None)
            if direction is not None and getattr(metric, "name", None) in names:
                found = greater if direction == "up" else less
        if found is None:
            known = sorted({"loss", *(str(metric.name) for metric in metrics if hasattr(metric, "name"))})
            guess = closest(name, known)
            owner = type(self).__name__
            fix = f"{owner}(monitor={self.monitor!r}, mode='max'), or mode='min' if less is better"
            if guess and guess != name:
                prefix = "val_" if self.monitor.startswith("val_") else ""
                fix += f"; or did you mean monitor='{prefix}{guess}'?"
            raise ValueError(
                explain(
                    f"{owner} watches monitor={self.monitor!r}, and cannot tell whether more or less of it is better.",
                    f"Expected mode='min' or mode='max', or a metric of the model: {', '.join(known)}.",
                    fix,
                )
            )
        return found

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> bool:
        if reference_value is None:
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        better = cast("Callable[[Any, Any], bool]", self.monitor_op)
        return better(monitor_value - self.min_delta, reference_value)

    def get_monitor_value(self, logs: Logs | None) -> Any:
        """Return the watched value, or None, with a warning the first time, if the logs do not have it."""
        value = None if logs is None else logs.get(self.monitor)
        if value is None and not self._warned:
            self._warned = True
            self._warn_missing(logs)
        return as_float(value)

    def _warn_missing(self, logs: Logs | None) -> None:
        known = list(logs) if logs is not None else []
        warn(*self._say_missing(known, "the logs do not have"))

    def _say_missing(self, known: list[str], why: str) -> tuple[str, str, str]:
        fix = "give the model that metric: model.compile(..., metrics=[...])"
        guess = closest(self.monitor, known)
        if self.monitor.startswith("val_") and self.monitor.removeprefix("val_") in known:
            fix = "fit(..., validation_split=0.2), or validation_data=(x, y)"
        elif guess:
            fix = f"{type(self).__name__}(monitor='{guess}')"
        return (
            f"{type(self).__name__} watches monitor={self.monitor!r}, which {why}; {self._consequence}.",
            f"Expected one of: {', '.join(known) or 'nothing was logged'}.",
            fix,
        )

    # What a missing metric means, for the warning.
    _consequence = "it does nothing"


def _all_metrics(metrics: Iterable[Any]) -> Iterator[Any]:
    """Yield metrics, and those inside of metrics that hold others."""
    for metric in metrics:
        inner = getattr(metric, "metrics", None)
        if isinstance(inner, (list, tuple)) and inner:
            yield from _all_metrics(inner)
        yield metric
