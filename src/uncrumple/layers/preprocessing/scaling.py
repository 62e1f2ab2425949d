"""Layers that bring raw numbers to a scale that networks learn well from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.core.settings import epsilon
from uncrumple.layers import symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.shapes import shape_of

# Rows that `adapt` turns to float64 at a time.
_ROWS = 65536


class Rescaling(Layer):
    """Multiplies and shifts: `output = input * scale + offset`.

    Args:
        scale: A number, or one per entry of the last axis: `1 / 255` brings bytes to 0...1.
        offset: A number, or one per entry of the last axis.

    Shapes: the output has the shape of the input.

    Example:
        >>> Rescaling(1 / 127.5, offset=-1)(torch.tensor([0.0, 255.0]))
        tensor([-1.,  1.])
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for argument, value in (("scale", scale), ("offset", offset)):
            kind = np.asarray(value).dtype.kind
            if kind not in "iuf":
                raise ValueError(
                    explain(
                        f"Rescaling got {argument}={value!r}.",
                        "Expected a number, or a list of numbers.",
                        "Rescaling(1 / 255)",
                    )
                )
        self.scale = scale
        self.offset = offset
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        x = inputs if inputs.dtype is self._compute_in else inputs.to(self._compute_in)
        if x.is_meta and isinstance(self.scale, (int, float)) and isinstance(self.offset, (int, float)):
            # A number changes no shape; torch would import a library of symbolic algebra (0.3 s) to find that.
            return torch.empty_like(x)
        x = x * self._factor(self.scale, x)
        if isinstance(self.offset, (int, float)) and not self.offset:
            return x
        return x + self._factor(self.offset, x)

    def _factor(self, value: Any, x: torch.Tensor) -> Any:
        return value if isinstance(value, (int, float)) else torch.as_tensor(value, dtype=x.dtype, device=x.device)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": _plain(self.scale), "offset": _plain(self.offset)}


def _plain(value: Any) -> Any:
    """Return numbers, arrays and tensors as Python numbers or lists."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


class Normalization(Layer):
    """Brings features to mean 0 and variance 1: `(x - mean) / max(sqrt(variance), 1e-7)`.

    Mean and variance are measured by `adapt(data)`, or given.

    Args:
        axis: The axis, or axes, with a mean and variance for each entry; None
            takes one mean and variance for all numbers.
        mean, variance: The values, if they are known; both or neither.
        invert: Whether to go the other way: `x * sqrt(variance) + mean`.
        name, dtype, trainable: As for every `Layer`.

    Shapes: the output has the shape of the input.
    Weights (not trained): mean, variance, count; none if the values are given.

    Raises:
        ValueError: Only one of `mean` and `variance` is given; their shapes
            differ; or the layer is used before `adapt`.

    Example:
        >>> layer = Normalization()
        >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], dtype="float32"))
        >>> layer(torch.tensor([[1.0, 30.0]]))
        tensor([[-1.,  1.]])
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        axes = () if axis is None else tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        if any(isinstance(one, bool) or not isinstance(one, (int, np.integer)) for one in axes):
            raise ValueError(
                explain(
                    f"Normalization got axis={axis!r}.", "Expected whole numbers, or None.", "Normalization(axis=-1)"
                )
            )
        self.axis = tuple(int(one) for one in axes)
        self.invert = bool(invert)
        self.input_mean, self.input_variance = _plain(mean), _plain(variance)
        if (mean is None) != (variance is None):
            missing = "variance" if variance is None else "mean"
            raise ValueError(
                explain(
                    f"Normalization got {'mean' if variance is None else 'variance'} without {missing}.",
                    "Expected both, or neither.",
                    "Normalization(mean=..., variance=...), or layer.adapt(data)",
                )
            )
        if mean is not None:
            self._check_given(np.shape(self.input_mean), np.shape(self.input_variance))
        self.supports_masking = True
        self._adapted = mean is not None

    def _check_given(self, mean: tuple[int, ...], variance: tuple[int, ...]) -> None:
        if mean != variance:
            raise ValueError(
                explain(
                    f"Normalization got a mean of shape {mean} and a variance of shape {variance}.",
                    "Expected the same shape.",
                    "Normalization(mean=x.mean(0), variance=x.var(0))",
                )
            )
        if len(mean) > len(self.axis):
            raise ValueError(
                explain(
                    f"Normalization got a mean of shape {mean} for axis={self.axis}.",
                    f"Expected at most {len(self.axis)} axes.",
                    "Normalization(axis=-1, mean=[...], variance=[...])",
                )
            )

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ValueError(
                explain(
                    f"{self._label} got data of shape {input_shape} and has axis={self.axis}.",
                    f"Expected axes from {-rank} to {rank - 1}.",
                    "Normalization(axis=-1)",
                )
            )
        kept = sorted(axis % rank for axis in self.axis)
        if any(input_shape[axis] is None for axis in kept):
            raise ValueError(
                explain(
                    f"{self._label} got data of shape {input_shape} and has axis={self.axis}.",
                    "Expected known sizes on these axes: there is a mean for each entry.",
                    "Normalization(axis=None), for one mean of all numbers"
                    if kept == [0]
                    else "Normalization(axis=-1)",
                )
            )
        self._kept = kept
        self._reduced = [axis for axis in range(rank) if axis not in kept]
        self._sizes = tuple(input_shape[axis] for axis in kept)
        self._broadcast = tuple(size if axis in kept else 1 for axis, size in enumerate(input_shape))
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(name="mean", shape=self._sizes, initializer="zeros", trainable=False)
            self.adapt_variance = self.add_weight(
                name="variance", shape=self._sizes, initializer="ones", trainable=False
            )
            # Keras's files hold this third number.
            self.count = self.add_weight(name="count", shape=(), dtype="int32", initializer="zeros", trainable=False)
            return
        for name, value in (("_given_mean", self.input_mean), ("_given_variance", self.input_variance)):
            given = torch.as_tensor(np.asarray(value), dtype=self._dtype_policy.torch_variable_dtype)
            self.register_buffer(name, given.expand(self._sizes).reshape(self._broadcast), persistent=False)

    @property
    def mean(self) -> torch.Tensor | None:
        """The means, in a shape that broadcasts against the data; None before `build`."""
        return self._statistic("mean")

    @property
    def variance(self) -> torch.Tensor | None:
        """The variances, in a shape that broadcasts against the data; None before `build`."""
        return self._statistic("variance")

    def _statistic(self, name: str) -> torch.Tensor | None:
        if not self.built:
            return None
        if self.input_mean is not None:
            return getattr(self, f"_given_{name}")
        return getattr(self, f"adapt_{name}").detach().reshape(self._broadcast)

    def adapt(self, data: Any) -> None:
        """Measure mean and variance.

        Args:
            data: An array, tensor or table; or anything that yields batches of
                them, alone or as (inputs, targets, ...), such as a data set.

        Raises:
            ValueError: There is no data, or its shape differs from what the layer was built for.
        """
        if self.input_mean is not None:
            raise ValueError(
                explain(
                    f"{self._label} was made with mean and variance, and adapt() was called.",
                    "Expected one of the two.",
                    f"Normalization(axis={self.axis[0] if len(self.axis) == 1 else self.axis}) without mean and variance",
                )
            )
        count, mean, squares = 0.0, torch.zeros(()), torch.zeros(())
        for batch in self._batches(data):
            if not self.built:
                self.build(tuple(size if axis else None for axis, size in enumerate(batch.shape)))
            elif tuple(batch.shape[axis] for axis in self._kept if axis < batch.dim()) != self._sizes:
                raise ValueError(
                    explain(
                        f"{self._label} got a batch of shape {tuple(batch.shape)} in adapt().",
                        f"Expected {', '.join(str(size) for size in self._sizes)} on axis {self._kept}, as before.",
                        "adapt on the data that the model will see",
                    )
                )
            batch = batch.to(torch.float64)
            here = float(np.prod([batch.shape[axis] for axis in self._reduced]))
            variance, centre = (
                torch.var_mean(batch, self._reduced, correction=0)
                if self._reduced
                else (torch.zeros_like(batch), batch)
            )
            if not count:
                count, mean, squares = here, centre, variance * here
                continue
            total = count + here
            step = centre - mean
            squares = squares + variance * here + step.square() * (count * here / total)
            mean = mean + step * (here / total)
            count = total
        if not count:
            raise ValueError(
                explain(
                    f"{self._label} got no data in adapt().", "Expected at least one batch.", "layer.adapt(x_train)"
                )
            )
        self.adapt_mean.assign(mean.to(self.adapt_mean.device))
        self.adapt_variance.assign((squares / count).to(self.adapt_variance.device))
        self._adapted = True

    def _batches(self, data: Any) -> Iterator[torch.Tensor]:
        """Yield tensors with the batch first, a number of rows at a time."""
        whole = _as_tensor(data)
        if whole is not None:
            rank = max(whole.dim(), 1)
            whole = whole.reshape(1) if whole.dim() == 0 else whole
            step = whole.shape[0] if 0 in {axis % rank for axis in self.axis if -rank <= axis < rank} else _ROWS
            for start in range(0, whole.shape[0], max(step, 1)):
                yield whole[start : start + step]
            return
        if not isinstance(data, Iterable):
            raise TypeError(
                explain(
                    f"{self._label} got {type(data).__name__} in adapt().",
                    "Expected an array, a tensor, or a data set that yields batches.",
                    "layer.adapt(x_train)",
                )
            )
        for element in data:
            first = element[0] if isinstance(element, (list, tuple)) and element else element
            batch = _as_tensor(first)
            if batch is None:
                raise TypeError(
                    explain(
                        f"{self._label} got a data set in adapt() that yields {type(first).__name__}.",
                        "Expected batches of numbers.",
                        "layer.adapt(x_train)",
                    )
                )
            yield batch

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self._adapted and not symbolic.state.active and not self._was_set():
            raise ValueError(
                explain(
                    f"{self._label} was used before it knows a mean and a variance (input of shape {shape_of(inputs)}).",
                    "Expected adapt() first.",
                    f"{self.name}.adapt(x_train)",
                )
            )
        x = inputs if inputs.dtype is self._compute_in else inputs.to(self._compute_in)
        if self.input_mean is not None:
            mean, variance = self._given_mean.to(x.device), self._given_variance.to(x.device)
        else:
            mean, variance = self.adapt_mean.view(self._broadcast), self.adapt_variance.view(self._broadcast)
        spread = variance.to(x.dtype).sqrt().clamp(min=epsilon())
        mean = mean.to(x.dtype)
        return x * spread + mean if self.invert else (x - mean) / spread

    def _was_set(self) -> bool:
        """Return whether mean and variance came another way, such as `set_weights` or `load_state_dict`."""
        mean, variance = self._parameters["adapt_mean"], self._parameters["adapt_variance"]
        self._adapted = bool((mean != 0).any()) or bool((variance != 1).any())  # type: ignore[union-attr]
        return self._adapted

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self._adapted = True

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": list(self.axis),
            "mean": self.input_mean,
            "variance": self.input_variance,
            "invert": self.invert,
        }


def _as_tensor(data: Any) -> torch.Tensor | None:
    """Return an array, a tensor, a table or nested lists of numbers as a tensor; None for anything else."""
    if isinstance(data, torch.Tensor):
        return data.detach()
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    if isinstance(data, (list, tuple)) and data and _holds_numbers(data):
        data = np.asarray(data)
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "biuf":
        return torch.as_tensor(np.ascontiguousarray(data))
    return None


def _holds_numbers(data: Any) -> bool:
    """Return whether the first leaf of nested lists is a plain number."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (int, float))
