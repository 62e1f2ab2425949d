"""Numbers as the number of the range that they fall into."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.layers.preprocessing.values import each_batch, encoded, output_mode, refuse_sparse, values_of
from uncrumple.layers.shapes import shape_of

_MODES = ("int", "one_hot", "multi_hot", "count")


class Discretization(Layer):
    """Replaces each number by the number of the range it falls into.

    Ranges begin at the boundaries: with `[0., 1.]` those below 0 give 0, those
    from 0 to below 1 give 1, and the others 2. Boundaries are given, or found
    by `adapt(data)`, so that about as many numbers fall into each range.

    Args:
        bin_boundaries: The boundaries, growing; or
        num_bins: into how many ranges `adapt` divides the data.
        epsilon: How closely `adapt` follows the data: it keeps a sketch of about 1 / epsilon numbers.
        output_mode: `"int"` gives numbers of ranges; `"one_hot"`,
            `"multi_hot"` and `"count"` give vectors, as in `CategoryEncoding`.
        sparse: Must be False.
        dtype: Type of the vectors.
        name: As for every `Layer`.

    Shapes: the output has the shape of the input in mode `"int"`.

    Raises:
        ValueError: Both or neither of `bin_boundaries` and `num_bins` are
            given, or the layer is used before `adapt`.

    Example:
        >>> Discretization(bin_boundaries=[0.0, 1.0])(np.array([-3.0, 0.0, 0.5, 7.0]))
        tensor([0, 1, 1, 2], dtype=torch.int32)
    """

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: Any = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        refuse_sparse("Discretization", sparse)
        self.output_mode = _mode(output_mode)
        if (num_bins is None) == (bin_boundaries is None):
            raise ValueError(
                explain(
                    f"Discretization got {'neither bin_boundaries nor num_bins' if num_bins is None else 'bin_boundaries and num_bins'}.",
                    "Expected one of them.",
                    "Discretization(num_bins=10), then adapt(data); or Discretization(bin_boundaries=[0.0, 1.0])",
                )
            )
        if num_bins is not None and (
            isinstance(num_bins, bool) or not isinstance(num_bins, numbers.Integral) or num_bins < 1
        ):
            raise ValueError(
                explain(
                    f"Discretization got num_bins={num_bins!r}.",
                    "Expected a whole number of at least 1.",
                    "Discretization(num_bins=10)",
                )
            )
        if isinstance(epsilon, bool) or not isinstance(epsilon, numbers.Real) or not 0 < epsilon <= 1:
            raise ValueError(
                explain(
                    f"Discretization got epsilon={epsilon!r}.",
                    "Expected a number above 0, and at most 1.",
                    "Discretization(num_bins=10, epsilon=0.01)",
                )
            )
        self.bin_boundaries: Any = None if bin_boundaries is None else _boundaries(bin_boundaries)
        self.num_bins: Any = num_bins
        self.epsilon: Any = epsilon
        self.sparse: bool = False
        self.summary: Any = np.zeros((2, 0), dtype="float32")
        self.built = True

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find the boundaries.

        Args:
            data: An array or a tensor; or what hands out batches of them.
            steps: How many batches to look at; None for all.

        Raises:
            ValueError: The layer was made with boundaries, or there is no data.
        """
        if self.num_bins is None:
            raise ValueError(
                explain(
                    f"{self._label} was made with bin_boundaries, and adapt() was called.",
                    "Expected one of the two.",
                    f"Discretization(num_bins={len(self.bin_boundaries or []) + 1})",
                )
            )
        self.reset_state()
        for batch in each_batch(data, steps, lists_at_once=False):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget what `update_state` has seen."""
        self.summary = np.zeros((2, 0), dtype="float32")

    def update_state(self, data: Any) -> None:
        """Take a batch into the sketch of the data."""
        values = data.detach().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)
        sketch = summarize(values.astype("float32"), self.epsilon)
        both = np.concatenate((sketch, self.summary), axis=1)
        self.summary = compress(np.take(both, np.argsort(both[0]), axis=1), self.epsilon)

    def finalize_state(self) -> None:
        """Choose the boundaries from the sketch."""
        if self.num_bins is None:
            return
        if not self.summary.shape[1]:
            raise ValueError(
                explain(
                    f"{self._label} got no data in adapt().", "Expected at least one number.", "layer.adapt(x_train)"
                )
            )
        self.bin_boundaries = compress(self.summary, 1.0 / self.num_bins)[0, :-1].tolist()

    def call(self, inputs: Any) -> torch.Tensor:
        if self.bin_boundaries is None:
            raise ValueError(
                explain(
                    f"{self._label} was used before it knows boundaries (input of shape {shape_of(values_of(inputs, self._label))}).",
                    "Expected adapt() first.",
                    f"{self.name}.adapt(x_train)",
                )
            )
        values = values_of(inputs, self._label)
        boundaries = torch.tensor(self.bin_boundaries, dtype=torch.float32, device=values.device)
        if not values.is_floating_point():
            values = values.to(torch.float32)
        ranges = torch.bucketize(values.contiguous(), boundaries, right=True, out_int32=True)
        if self.output_mode == "int":
            return ranges
        # The second axis holds the entries of a sample, in Keras too.
        depth = len(self.bin_boundaries) + 1
        return encoded(ranges, self.output_mode, depth, self._compute_in, axis=1)

    def load_own_variables(self, store: Any) -> None:
        """Nothing to load: the boundaries are in the config. Older files hold the sketch."""
        if len(store.keys()) == 1:
            self.summary = np.asarray(store["0"])

    def get_config(self) -> dict[str, Any]:
        return {
            "bin_boundaries": self.bin_boundaries,
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        boundaries = config.get("bin_boundaries")
        if boundaries is None or config.get("num_bins") is None:
            return super().from_config(config)
        made = super().from_config({**config, "bin_boundaries": None})  # adapted: the constructor takes one of them
        made.bin_boundaries = _boundaries(boundaries)
        return made


def _mode(value: Any) -> str:
    return output_mode("Discretization", value, _MODES)


def _boundaries(value: Any) -> list[float]:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    array = np.asarray(value) if not isinstance(value, str) else np.asarray([])
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not array.size or (np.diff(array) < 0).any():
        raise ValueError(
            explain(
                f"Discretization got bin_boundaries={value!r}.",
                "Expected growing numbers, at least one.",
                "Discretization(bin_boundaries=[0.0, 1.0, 2.0])",
            )
        )
    return array.tolist()


def summarize(values: np.ndarray, epsilon: float) -> np.ndarray:
    """Return about 1 / epsilon of the numbers, evenly spaced in their order, over how many each stands for."""
    ordered = np.sort(values, axis=None)
    step = max(ordered.size / (1.0 / epsilon), 1)
    kept = ordered[int(step - 1) :: int(step)]
    return np.stack([kept, np.ones_like(kept) * step])


def compress(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """Return a shorter sketch: the numbers at every `epsilon` of the weight, between those that are known."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    weights = summary[1].cumsum()
    known = weights / weights[-1]
    values = np.interp(shares, known, summary[0])
    reached = np.interp(shares, known, weights)
    return np.stack((values, np.diff(reached, prepend=0.0))).astype("float32")
