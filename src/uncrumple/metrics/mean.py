"""Running means and sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core import own_parts, registry, tree
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.variable import Variable
from uncrumple.measures.pairing import as_tensor, join_mask, keras_mask, same_rank
from uncrumple.metrics.metric import Metric, divide


def _per_sample(
    owner: str, values: torch.Tensor, weights: Any, average: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return one weighted value per sample, and the weights as they were used.

    Args:
        owner: Name of the metric, for messages.
        values: (samples, ...).
        weights: Weights whose axes are the first axes of `values`, or None.
        average: Whether the other axes are averaged; otherwise they are summed.
    """

    def reduce(tensor: torch.Tensor, first: int) -> torch.Tensor:
        axes = tuple(range(first, tensor.dim()))
        return tensor if not axes else tensor.mean(axes) if average else tensor.sum(axes)

    if weights is None:
        return reduce(values, 1), None
    weights = as_tensor(weights, values.dtype, values.device).detach()
    mask = keras_mask(values)
    if mask is not None:
        weights = join_mask(weights, mask, values.dtype, renormalise=False)
    values, weights = same_rank(values, weights)
    values = reduce(values, weights.dim())
    try:
        weights = weights.expand(values.shape)
    except RuntimeError:
        raise ValueError(
            explain(
                f"{owner} got sample weights of shape {tuple(weights.shape)} "
                f"for values of shape {tuple(values.shape)}.",
                "Expected one weight per sample, or one per value.",
                f"sample_weight of shape {tuple(values.shape[:1])}",
            )
        ) from None
    return reduce(values * weights, 1), reduce(weights, 1)


class Sum(Metric):
    """Add up everything it is given, weighted.

    value = sum(values * sample_weight).

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = Sum()
        >>> metric.update_state([1, 3, 5, 7])
        >>> metric.result()
        tensor(16.)
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype=self.dtype, name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values of any shape, each times its weight."""
        given = as_tensor(values).detach()
        mask = keras_mask(values)
        given = given.to(self._torch_dtype)
        if mask is not None and sample_weight is not None:
            given._keras_mask = mask  # type: ignore[attr-defined]
        self._follow(given)
        self.total.add_(_per_sample(self.name, given, sample_weight, average=False)[0].sum())

    def reset_state(self) -> None:
        self.total.zero_()

    def result(self) -> torch.Tensor:
        return self.total.detach().clone()


class Mean(Metric):
    """Average everything it is given, weighted.

    value = sum(values * sample_weight) / sum(sample_weight).

    Args:
        name, dtype: As in `Metric`.

    Example:
        >>> metric = Mean()
        >>> metric.update_state([1, 3, 5, 7])
        >>> metric.result()
        tensor(4.)
        >>> metric.update_state(10.0, sample_weight=4)
        >>> metric.result()
        tensor(7.)
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype=self.dtype, name="total")
        self._count = self.add_variable((), "zeros", dtype=self.dtype, name="count")
        # What was counted without weights: adding to a Python number costs less than adding to a tensor.
        self._counted: float = 0
        # Whether the variable holds something beside that.
        self._count_used = False

    def _settle(self) -> None:
        """Bring the variable `count` up to date."""
        state = self.__dict__
        if self._counted:
            self._count.add_(self._counted)
            state["_counted"] = 0
        state["_count_used"] = True

    @property
    def count(self) -> Variable:
        """The sum of the weights so far."""
        self._settle()
        return self._count

    @property
    def variables(self) -> list[Variable]:
        self._settle()
        return super().variables

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values of shape (samples, ...) in.

        Args:
            values: Numbers; axes after the first are averaged.
            sample_weight: One weight per sample or per value, or one number.
        """
        mask = keras_mask(values)
        values = values.detach() if isinstance(values, torch.Tensor) else as_tensor(values)
        if values.device != self.total.device:
            self.to(values.device)
        if sample_weight is None:
            if values.dim() == 0:
                self._add(values, 1)
            else:
                added = values.sum(dtype=self._torch_dtype)
                samples = values.shape[0]
                self._add(added if values.dim() == 1 else added * (samples / max(values.numel(), 1)), samples)
            return
        if values.dim() == 0 and isinstance(sample_weight, (int, float)):
            self._add(values * sample_weight, sample_weight)
            return
        values = values.to(self._torch_dtype)
        if mask is not None:
            values._keras_mask = mask  # type: ignore[attr-defined]
        values, weights = _per_sample(self.name, values, sample_weight, average=True)
        self.total.add_(values.sum())
        self._count.add_(weights.sum())  # type: ignore[union-attr]
        self.__dict__["_count_used"] = True

    def _add(self, total: torch.Tensor, count: float) -> None:
        """Take in the sum of `count` values, without waiting for the device."""
        self.total.add_(total)
        self.__dict__["_counted"] += count

    def count_in(self, count: float) -> None:
        """Take notice of `count` values that were added to `total` from outside."""
        self.__dict__["_counted"] += count

    def reset_state(self) -> None:
        state = self.__dict__
        self.total.zero_()
        if self._count_used:
            self._count.zero_()
        state["_count_used"] = False
        state["_counted"] = 0

    def result(self) -> torch.Tensor:
        if self._count_used:
            self._settle()
            return divide(self.total, self._count)
        return self.total / self._counted if self._counted else torch.zeros_like(self.total).as_subclass(torch.Tensor)


class MeanMetricWrapper(Mean):
    """Make a metric of a function of (y_true, y_pred): average what it returns.

    value = sum(fn(y_true, y_pred, **kwargs) * sample_weight) / sum(sample_weight).

    Args:
        fn: Function that returns one number per sample, or (samples, ...).
        name, dtype: As in `Metric`.
        **kwargs: Further arguments that the function is called with.

    Example:
        >>> metric = MeanMetricWrapper(lambda y_true, y_pred: (y_true - y_pred).abs(), name="error")
        >>> metric.update_state(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        >>> metric.result()
        tensor(1.)
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        if self._direction is None and _is_loss(fn):
            self._direction = "down"

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Take a batch in.

        Args:
            y_true: What is true.
            y_pred: What was predicted; a mask that a layer left on it is heeded.
            sample_weight: One weight per sample, or one per value that the function returns.
        """
        mask = keras_mask(y_pred)
        if isinstance(y_pred, torch.Tensor):
            y_pred = y_pred.detach()
        try:
            values = self._fn(y_true, y_pred, **self._fn_kwargs)
        except Exception as error:
            failure = self._failure(y_true, y_pred, error)
            if failure is None:
                raise
            raise failure from None
        if values is None or isinstance(values, (str, bytes, dict, set)):
            kind = ValueError if values is None else TypeError
            raise kind(
                explain(
                    f"{self._who} returned {own_parts.described(values)}.",
                    "Expected a tensor: one number per sample, or one number.",
                    f"return ... as the last line of {self.name}"
                    if values is None
                    else f"return (y_true - y_pred).abs().mean(-1)  in {self.name}",
                )
            )
        if mask is not None:
            if sample_weight is not None:
                sample_weight = as_tensor(sample_weight, self._torch_dtype, mask.device)
            sample_weight = join_mask(sample_weight, mask, self._torch_dtype, renormalise=False)
        Mean.update_state(self, values, sample_weight)

    @property
    def _who(self) -> str:
        """How messages call this metric."""
        return own_parts.named("metric", self._fn if own_parts.is_own(self._fn) else self, self.name)

    def _failure(self, y_true: Any, y_pred: Any, error: Exception) -> Exception | None:
        """Return what to raise for an error in the function, if a user wrote it."""
        if not own_parts.is_own(self._fn):
            return None
        shapes = own_parts.shapes_of(tree.flatten(y_true)), own_parts.shapes_of(tree.flatten(y_pred))
        return own_parts.failed(
            self._who,
            error,
            on=f" on y of shape {shapes[0]} and y_pred of shape {shapes[1]}",
            expected="Expected a metric that works for these shapes.",
            about_shapes=True,
            fix="def my_metric(y_true, y_pred): return (y_true - y_pred).abs().mean(-1)",
        )

    def get_config(self) -> dict[str, Any]:
        arguments = {key: registry.serialize_keras_object(value) for key, value in self._fn_kwargs.items()}
        return {**super().get_config(), "fn": registry.serialize_keras_object(self._fn), **arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = registry.deserialize_keras_object(config)
        if isinstance(config.get("fn"), str):
            known = {**registry.builtins("losses"), **registry.builtins("metrics")}
            if config["fn"] not in known:
                raise ValueError(unknown_name("metric function", config["fn"], known))
            config = {**config, "fn": known[config["fn"]]}
        return cls(**config)


def _is_loss(fn: Any) -> bool:
    known = registry.builtins("losses")
    return known.get(getattr(fn, "__name__", "")) is fn or known.get(type(fn).__name__) is type(fn)


class BuiltinMeanMetric(MeanMetricWrapper):
    """A mean of this package: its settings are attributes, and stand in its config in place of a function."""

    def __init__(self, fn: Callable[..., Any], name: str | None, dtype: Any, **settings: Any) -> None:
        super().__init__(fn, name, dtype, **settings)
        self.__dict__.update(settings)

    def get_config(self) -> dict[str, Any]:
        settings = {key: registry.serialize_keras_object(value) for key, value in self._fn_kwargs.items()}
        return {**Metric.get_config(self), **settings}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{key: registry.deserialize_keras_object(value) for key, value in config.items()})
