"""What every loss does: take y_true and y_pred, give one number per sample, and reduce these to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core import own_parts, registry, tree
from uncrumple.core.arguments import NamesItsArguments
from uncrumple.core.dtypes import floatx, get_policy
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.naming import auto_name
from uncrumple.measures.pairing import as_tensor, join_mask, keras_mask, same_rank, weigh

_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")
_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


class Loss(NamesItsArguments):
    """Base class: subclass it, and return one number per sample from `call`.

    loss = reduction of call(y_true, y_pred) * sample_weight.

    Args:
        name: Its name; by default the class's, in snake case.
        reduction: How the numbers of a batch become one:
            `"sum_over_batch_size"` or `"mean"` divide the weighted sum by
            their number, `"mean_with_sample_weight"` by the sum of the
            weights, `"sum"` does not divide, and `"none"` or None keeps one
            number per sample.
        dtype: Type to compute in; by default `floatx()`.

    Example:
        >>> class Biggest(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return (y_true - y_pred).abs().amax(-1)
        >>> Biggest()(torch.zeros(2, 3), torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]]))
        tensor(2.)
    """

    # Whether labels reach `call` in the type they came in, rather than as real numbers.
    _keeps_label_dtype = False

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction is not None and reduction not in _REDUCTIONS:
            raise ValueError(unknown_name("reduction", str(reduction), _REDUCTIONS))
        self.name = name or auto_name(type(self).__name__)
        self.reduction = reduction
        policy = get_policy(dtype or floatx())
        self._dtype = policy.compute_dtype
        self._torch_dtype = policy.torch_compute_dtype

    @property
    def dtype(self) -> str:
        """Name of the type that the loss is computed in."""
        return self._dtype

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        """Return the loss of a batch.

        Args:
            y_true: What is true.
            y_pred: What the model predicted.
            sample_weight: One weight per sample, or one per number that `call` returns.
        """
        mask = keras_mask(y_pred)
        y_pred = _convert(y_pred, self._torch_dtype)
        y_true = _convert(y_true, None if self._keeps_label_dtype else self._torch_dtype)
        try:
            values = self.call(y_true, y_pred)
        except Exception as error:
            failure = self._failure(y_true, y_pred, error)
            if failure is None:
                raise
            raise failure from None
        return self._reduce(values, sample_weight, mask)

    @property
    def _who(self) -> str:
        """How messages call this loss."""
        fn = getattr(self, "fn", None)
        return own_parts.named("loss", self if fn is None or isinstance(self, BuiltinLoss) else fn, self.name)

    def _failure(self, y_true: Any, y_pred: Any, error: Exception) -> Exception | None:
        """Return what to raise for an error in `call`, if a user wrote it."""
        tensors = tree.flatten([y_true, y_pred])
        own = own_parts.is_own(self) or own_parts.is_own(getattr(self, "fn", Loss))
        # On shapes alone, code that needs numbers fails too; it is tried again with numbers.
        if not own or any(isinstance(one, torch.Tensor) and one.is_meta for one in tensors):
            return None
        return own_parts.failed(
            self._who,
            error,
            on=f" on y of shape {own_parts.shapes_of(tree.flatten(y_true))} "
            f"and y_pred of shape {own_parts.shapes_of(tree.flatten(y_pred))}",
            expected="Expected a loss that works for these shapes.",
            about_shapes=True,
            fix="def call(self, y_true, y_pred): return (y_true - y_pred).square().mean(-1)",
        )

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        """Return the loss of each sample."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no call method.",
                "Expected a loss to return one number per sample.",
                f"add def call(self, y_true, y_pred) to {type(self).__name__}",
            )
        )

    def _reduce(self, values: Any, sample_weight: Any, mask: torch.Tensor | None) -> torch.Tensor:
        if values is None or isinstance(values, (str, bytes, dict, set)):
            where = f"{type(self).__name__}.call" if own_parts.is_own(self) else self.name
            kind = ValueError if values is None else TypeError
            raise kind(
                explain(
                    f"{self._who} returned {own_parts.described(values)}.",
                    "Expected a tensor: one number per sample, or one number.",
                    f"return ... as the last line of {where}"
                    if values is None
                    else f"return (y_true - y_pred).square().mean(-1)  in {where}",
                )
            )
        own_mask = keras_mask(values)
        values = as_tensor(values, self._torch_dtype)
        if own_mask is not None:
            mask = own_mask if mask is None else mask & own_mask
        weights = None
        if sample_weight is not None:
            weights = as_tensor(sample_weight, values.dtype, values.device)
        if mask is not None:
            weights = join_mask(weights, mask, values.dtype, self.reduction in ("mean", "sum_over_batch_size"))
        if weights is not None:
            values, weights = weigh(self.name, values, weights)
        if self.reduction in (None, "none") or values.dim() == 0:
            return values
        if self.reduction == "sum":
            return values.sum()
        if weights is not None and self.reduction == "mean_with_sample_weight":
            total = weights.sum()
            # A division by zero would turn gradients into NaN even where its result is not taken.
            nothing = total == 0
            return torch.where(nothing, 0, values.sum() / torch.where(nothing, 1, total))
        return values.mean() if values.numel() else values.sum()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal loss."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a loss made with the arguments in `config`."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _convert(value: Any, dtype: torch.dtype | None) -> Any:
    """Return `value`, or each part of a dict or list of arrays, as a tensor."""
    if isinstance(value, torch.Tensor):
        return value if dtype is None or value.dtype is dtype else value.to(dtype)
    if isinstance(value, dict):
        return {key: _convert(part, dtype) for key, part in value.items()}
    if isinstance(value, (list, tuple)) and any(isinstance(part, (torch.Tensor, dict)) for part in value):
        return type(value)(_convert(part, dtype) for part in value)
    return as_tensor(value, dtype)


class LossFunctionWrapper(Loss):
    """Make a loss of a function of (y_true, y_pred) that returns one number per sample.

    loss = reduction of fn(y_true, y_pred, **kwargs) * sample_weight.

    Args:
        fn: The function.
        reduction: As in `Loss`.
        name: Its name; by default `loss_function_wrapper`.
        dtype: Type to compute in; by default `floatx()`.
        **kwargs: Further arguments that the function is called with.

    Example:
        >>> loss = LossFunctionWrapper(lambda y_true, y_pred: (y_true - y_pred).abs().mean(-1))
        >>> loss([[1.0, 2.0]], [[1.0, 4.0]])
        tensor(1.)
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        y_true, y_pred = _align(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        arguments = {key: registry.serialize_keras_object(value) for key, value in self._fn_kwargs.items()}
        return {**super().get_config(), "fn": registry.serialize_keras_object(self.fn), **arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = registry.deserialize_keras_object(config)
        if isinstance(config.get("fn"), str):
            known = registry.builtins("losses")
            if config["fn"] not in known:
                raise ValueError(unknown_name("loss function", config["fn"], known))
            config = {**config, "fn": known[config["fn"]]}
        return cls(**config)

    def __repr__(self) -> str:
        return f"<LossFunctionWrapper({self.fn}, kwargs={self._fn_kwargs})>"


def _align(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return both with (samples,) and (samples, 1) brought together, in each part of a structure."""
    if isinstance(y_true, torch.Tensor) and isinstance(y_pred, torch.Tensor):
        return same_rank(y_true, y_pred)
    if isinstance(y_true, dict) and isinstance(y_pred, dict) and y_true.keys() == y_pred.keys():
        pairs = {key: _align(y_true[key], y_pred[key]) for key in y_true}
        return {key: both[0] for key, both in pairs.items()}, {key: both[1] for key, both in pairs.items()}
    if isinstance(y_true, (list, tuple)) and isinstance(y_pred, (list, tuple)) and len(y_true) == len(y_pred):
        both = [_align(*parts) for parts in zip(y_true, y_pred)]
        return [true for true, _ in both], [predicted for _, predicted in both]
    return y_true, y_pred


class BuiltinLoss(LossFunctionWrapper):
    """A loss of this package: a measure, its settings as attributes, and a short way to the mean of a batch."""

    # Whether a y_pred of shape (samples,) holds one prediction per sample, rather than one sample.
    _per_number = True

    def __init__(
        self, fn: Callable[..., Any], reduction: str | None, name: str | None, dtype: Any, **settings: Any
    ) -> None:
        super().__init__(fn, reduction, name, dtype, **settings)
        self.__dict__.update(settings)
        cls = type(self)
        self._takes_short_way = (
            reduction in _MEANS and cls.call is BuiltinLoss.call and cls.batch_mean is not BuiltinLoss.batch_mean
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        if (
            sample_weight is None
            and self._takes_short_way
            and isinstance(y_pred, torch.Tensor)
            and isinstance(y_true, torch.Tensor)
            and y_true.device == y_pred.device
            and keras_mask(y_pred) is None
        ):
            short = self.batch_mean(y_true, _convert(y_pred, self._torch_dtype))
            if short is not None:
                return short
        elif self._per_number and sample_weight is not None:
            # A vector of predictions is a column of samples: each has a weight of its own.
            y_true, y_pred = _column(y_true), _column(y_pred)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def batch_mean(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor | None:
        """Return the mean over a batch in few operations, or None where the long way must be taken.

        Both come on one device, y_pred in the loss's type, without weights or mask.
        """
        return None

    def get_config(self) -> dict[str, Any]:
        settings = {key: registry.serialize_keras_object(value) for key, value in self._fn_kwargs.items()}
        return {**Loss.get_config(self), **settings}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{key: registry.deserialize_keras_object(value) for key, value in config.items()})

    def __repr__(self) -> str:
        return Loss.__repr__(self)


def matched(y_true: torch.Tensor, y_pred: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return both in one shape and type, or None where their shapes do not agree."""
    if y_true.shape != y_pred.shape:
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            return None
    return (y_true if y_true.dtype is y_pred.dtype else y_true.to(y_pred.dtype)), y_pred


def _column(value: Any) -> Any:
    value = _convert(value, None)
    if isinstance(value, torch.Tensor) and value.dim() == 1 and keras_mask(value) is None:
        return value.unsqueeze(-1)
    return value
