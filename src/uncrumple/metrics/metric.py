"""What every metric is: named numbers that grow with each batch, and a result made of them."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple import initializers
from uncrumple.core import own_parts, tree
from uncrumple.core.arguments import NamesItsArguments
from uncrumple.core.dtypes import floatx, get_policy
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.naming import auto_name
from uncrumple.core.variable import Variable

_AGGREGATIONS = ("none", "mean", "sum", "only_first_replica")


class Metric(NamesItsArguments):
    """Base class: subclass it, make variables in `__init__`, change them in `update_state`, use them in `result`.

    value = result(), after update_state(y_true, y_pred) for each batch since reset_state().

    The variables move to the device of what `update_state` is given.

    Args:
        dtype: Type to compute in; by default `floatx()`.
        name: Its name; by default the class's, in snake case.

    Example:
        >>> class Range(Metric):
        ...     def __init__(self, name="range"):
        ...         super().__init__(name=name)
        ...         self.least = self.add_weight(name="least", initializer="zeros")
        ...         self.greatest = self.add_weight(name="greatest", initializer="zeros")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.least.assign(torch.minimum(self.least, y_pred.amin()))
        ...         self.greatest.assign(torch.maximum(self.greatest, y_pred.amax()))
        ...     def result(self):
        ...         return self.greatest - self.least
        >>> metric = Range()
        >>> metric.update_state(None, torch.tensor([-1.0, 5.0]))
        >>> metric.result()
        tensor(6.)
    """

    # "up" where more is better, "down" where less is: what callbacks go by in mode "auto".
    _direction: str | None = None

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        policy = get_policy(("int32" if dtype in ("int", int) else dtype) or floatx())
        self._dtype = policy.compute_dtype
        self._torch_dtype = policy.torch_compute_dtype
        self._variables: list[Variable] = []
        self._metrics: list[Metric] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # The metrics of this package see to devices and copies themselves, in fewer steps.
        if not cls.__module__.startswith("uncrumple."):
            if "update_state" in cls.__dict__:
                cls.update_state = _following_device(cls.__dict__["update_state"])  # type: ignore[method-assign]
            if "result" in cls.__dict__:
                cls.result = _returning_copy(cls.__dict__["result"])  # type: ignore[method-assign]

    @property
    def dtype(self) -> str:
        """Name of the type that the metric computes in."""
        return self._dtype

    # --- variables ---

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: str | None = "sum", name: str | None = None
    ) -> Variable:
        """Return a new variable of the metric, which `reset_state` sets to zero.

        Args:
            shape: Its shape, such as `()`.
            initializer: Its first value: a name, an initializer or None, which is zeros.
            dtype: Its type; by default `floatx()`.
            aggregation: How copies of it on several devices are joined:
                `"sum"`, `"mean"`, `"only_first_replica"` or `"none"`.
            name: Its name.
        """
        self._check_super_called()
        if aggregation is not None and aggregation not in _AGGREGATIONS:
            raise ValueError(unknown_name("aggregation", str(aggregation), _AGGREGATIONS))
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        made = initializers.get("zeros" if initializer is None else initializer)
        # A metric may make its variables when it sees its first batch, and must be able to change them later.
        with torch.inference_mode(False):
            variable = Variable(made, shape=shape, dtype=dtype or floatx(), trainable=False, name=name)
            if self._variables:  # one that is made late belongs with the others
                variable.data = variable.data.to(self._variables[0].device)
        variable.path = f"{self.name}/{variable.name}"
        variable.aggregation = aggregation  # type: ignore[attr-defined]
        self._variables.append(variable)
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Return a new variable of the metric: `add_variable` by its older name."""
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The metric's variables, and those of metrics that are its attributes."""
        found = list(self._variables)
        for metric in self._metrics:
            found.extend(metric.variables)
        return found

    def to(self, device: torch.device | str) -> Metric:
        """Move the variables to a device; returns the metric."""
        with torch.inference_mode(False):
            for variable in self._variables:
                variable.data = variable.data.to(device)
        for metric in self._metrics:
            metric.to(device)
        return self

    def _follow(self, tensor: torch.Tensor) -> None:
        """Move the variables to where `tensor` is, unless they are there."""
        if self._variables and self._variables[0].device != tensor.device:
            self.to(tensor.device)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Metric, Variable)):
            self._check_super_called()
            tracked: list[Any] = self._metrics if isinstance(value, Metric) else self._variables
            if not any(value is other for other in tracked):
                tracked.append(value)
        object.__setattr__(self, name, value)

    def _check_super_called(self) -> None:
        if "_variables" not in self.__dict__:
            raise RuntimeError(
                explain(
                    f"{type(self).__name__}: its __init__ never ran super().__init__(), or not first.",
                    "Expected super().__init__() to be called first.",
                    "super().__init__(name=name)  as the first line of __init__",
                )
            )

    # --- use ---

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch in: (y_true, y_pred, sample_weight=None) for most metrics."""
        raise NotImplementedError(self._missing("update_state", "self, y_true, y_pred, sample_weight=None"))

    def result(self) -> Any:
        """Return the value so far: a tensor, or a dict of tensors."""
        raise NotImplementedError(self._missing("result", "self"))

    def _missing(self, method: str, arguments: str) -> str:
        cls = type(self).__name__
        return explain(
            f"{cls} has no {method} method.",
            "Expected a metric to have update_state and result.",
            f"add def {method}({arguments}) to {cls}",
        )

    @torch.no_grad()
    def reset_state(self) -> None:
        """Forget everything: set all variables to zero."""
        for variable in self.variables:
            variable.zero_()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch in and return the value so far."""
        self._check_super_called()
        self.update_state(*args, **kwargs)
        return self.result()

    # --- without changing the metric ---

    def stateless_update_state(self, metric_variables: Any, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
        """Return what the variables would be after a batch, starting from `metric_variables`."""
        return self._borrow(metric_variables, lambda: self.update_state(*args, **kwargs))[1]

    def stateless_result(self, metric_variables: Any) -> Any:
        """Return the result that `metric_variables` would give."""
        return self._borrow(metric_variables, self.result)[0]

    def stateless_reset_state(self) -> list[torch.Tensor]:
        """Return what the variables would be after `reset_state`."""
        return self._borrow(self.variables, self.reset_state)[1]

    def _borrow(self, values: Any, use: Callable[[], Any]) -> tuple[Any, list[torch.Tensor]]:
        own = self.variables
        if len(values) != len(own):
            raise ValueError(
                explain(
                    f"{type(self).__name__} got {len(values)} metric variables.",
                    f"Expected {len(own)}, one for each of its variables.",
                    "metric_variables = metric.variables",
                )
            )
        kept = [variable.detach().clone() for variable in own]
        given = [torch.as_tensor(value).detach().clone() for value in values]
        try:
            for variable, value in zip(own, given):
                variable.assign(value)
            out = use()
            return out, [variable.detach().clone() for variable in self.variables]
        finally:
            for variable, value in zip(own, kept):
                variable.assign(value)

    # --- configs ---

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal metric."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a metric made with the arguments in `config`."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _following_device(update: Callable[..., Any]) -> Callable[..., Any]:
    """Return an `update_state` that first moves the metric to where its tensors are."""

    @functools.wraps(update)
    def update_state(self: Metric, *args: Any, **kwargs: Any) -> Any:
        for given in (*args, *kwargs.values()):
            if isinstance(given, torch.Tensor):
                self._follow(given)
                break
        try:
            return update(self, *args, **kwargs)
        except Exception as error:
            failure = own_parts.failed(
                own_parts.named("metric", type(self), self.name),
                error,
                on=f" in update_state(){_on(args, kwargs)}",
                expected="Expected a metric that works for these shapes.",
                about_shapes=True,
                fix="def update_state(self, y_true, y_pred, sample_weight=None): ...",
            )
            if failure is None:
                raise
            raise failure from None

    return update_state


def _on(args: Any, kwargs: dict[str, Any]) -> str:
    """Return the shapes that `update_state` was given, in words."""
    names = ("y", "y_pred")
    found = [(name, own_parts.shapes_of(tree.flatten(one))) for name, one in zip(names, args)]
    found += [(name.replace("y_true", "y"), own_parts.shapes_of(tree.flatten(kwargs[name]))) for name in kwargs]
    words = [f"{name} of shape {shape}" for name, shape in found if shape]
    return f" on {' and '.join(words)}" if words else ""


def _returning_copy(result: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `result` whose value stays as it is when the variables change later."""

    def copied(value: Any) -> Any:
        if isinstance(value, Variable):
            return value.detach().clone().as_subclass(torch.Tensor)
        return {key: copied(part) for key, part in value.items()} if isinstance(value, dict) else value

    @functools.wraps(result)
    def wrapped(self: Metric, *args: Any, **kwargs: Any) -> Any:
        try:
            value = result(self, *args, **kwargs)
        except Exception as error:
            failure = own_parts.failed(
                own_parts.named("metric", type(self), self.name),
                error,
                on=" in result()",
                expected="Expected result() to return the value so far: a number, or a dict of numbers.",
                fix="def result(self): return self.total",
            )
            if failure is None:
                raise
            raise failure from None
        for part in value.values() if isinstance(value, dict) else (value,):
            if not isinstance(part, (torch.Tensor, np.ndarray, np.generic, numbers.Number, list, tuple, dict)):
                raise TypeError(
                    explain(
                        f"{own_parts.named('metric', type(self), self.name)}: its result() returned "
                        f"{own_parts.described(part)}.",
                        "Expected the value so far: a number, or a dict of numbers.",
                        f"return ... as the last line of {type(self).__name__}.result"
                        if part is None
                        else f"return self.total  in {type(self).__name__}.result",
                    )
                )
        return copied(value)

    return wrapped


def divide(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """Return numerator / denominator, and 0 where the denominator is 0.

    Example:
        >>> divide(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 0.0]))
        tensor([0.5000, 0.0000])
    """
    return torch.where(denominator == 0, 0, numerator / denominator)
