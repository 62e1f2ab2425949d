"""Initializers that draw their numbers: from a normal or an even distribution, or as an orthogonal matrix.

The seed starts a generator anew at every call, so that the same instance
gives the same values for the same shape.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core import registry
from uncrumple.core.devices import default_device
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import explain
from uncrumple.core.seeds import generator
from uncrumple.initializers.base import Initializer


class RandomInitializer(Initializer):
    """Base class of the initializers that draw: keeps the seed and starts a generator from it.

    Args:
        seed: A whole number, a seed generator, or None for one drawn from Python's `random`.

    Example:
        >>> issubclass(RandomNormal, RandomInitializer)
        True
    """

    def __init__(self, seed: Any = None) -> None:
        self._init_seed = seed
        if seed is None:
            seed = random.randint(1, 10**9)
        elif isinstance(seed, dict):
            seed = registry.deserialize_keras_object(seed)
        if isinstance(seed, np.integer):
            seed = int(seed)
        if not hasattr(seed, "next") and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValueError(
                explain(
                    f"{type(self).__name__} got seed={seed!r}.",
                    "Expected a whole number, a SeedGenerator, or None.",
                    f"{type(self).__name__}(seed=0)",
                )
            )
        self.seed = seed

    def _draw(self, shape: Sequence[int], dtype: Any, fill: Any) -> torch.Tensor:
        """Return a tensor that `fill(tensor, generator)` has filled; half types are drawn as float32."""
        kind = torch_dtype(dtype)
        device = default_device()
        drawn_as = torch.float32 if kind.itemsize < 4 else kind
        out = torch.empty(tuple(shape), dtype=drawn_as, device=device)
        if device.type != "meta":
            seed = self.seed if isinstance(self.seed, int) else int(sum(int(part) for part in self.seed.next()))
            fill(out, generator(seed, device))
        return out.to(kind)

    def _normal(self, shape: Sequence[int], dtype: Any, mean: float, stddev: float) -> torch.Tensor:
        return self._draw(shape, dtype, lambda out, source: out.normal_(mean, stddev, generator=source))

    def _truncated(self, shape: Sequence[int], dtype: Any, mean: float, stddev: float) -> torch.Tensor:
        low, high = mean - 2 * stddev, mean + 2 * stddev
        return self._draw(
            shape,
            dtype,
            lambda out, source: torch.nn.init.trunc_normal_(out, mean, stddev, low, high, generator=source),
        )

    def _uniform(self, shape: Sequence[int], dtype: Any, low: float, high: float) -> torch.Tensor:
        return self._draw(shape, dtype, lambda out, source: out.uniform_(low, high, generator=source))

    def get_config(self) -> dict[str, Any]:
        return {"seed": registry.serialize_keras_object(self._init_seed)}


def _check_spread(owner: str, name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(explain(f"{owner} got {name}={value!r}.", f"Expected {name} >= 0.", f"{owner}({name}=0.05)"))


class RandomNormal(RandomInitializer):
    """Draw from a normal distribution.

    w ~ N(mean, stddev**2).

    Args:
        mean: Its mean.
        stddev: Its standard deviation.
        seed: Whole number for values that repeat, or None.

    Example:
        >>> bool(abs(RandomNormal(mean=5.0, seed=0)((1000,)).mean() - 5) < 0.01)
        True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        _check_spread(type(self).__name__, "stddev", stddev)
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return self._normal(shape, dtype, self.mean, self.stddev)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Draw from a normal distribution without what is farther than two standard deviations from the mean.

    w ~ N(mean, stddev**2), drawn again where |w - mean| > 2 * stddev.

    Args:
        mean: Mean of the distribution.
        stddev: Its standard deviation before the tails are cut off; what remains has 0.88 times that.
        seed: Whole number for values that repeat, or None.

    Example:
        >>> bool(TruncatedNormal(stddev=1.0, seed=0)((1000,)).abs().max() <= 2)
        True
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return self._truncated(shape, dtype, self.mean, self.stddev)


class RandomUniform(RandomInitializer):
    """Draw evenly between two bounds.

    w ~ U(minval, maxval).

    Args:
        minval: Lower bound.
        maxval: Upper bound.
        seed: Whole number for values that repeat, or None.

    Example:
        >>> values = RandomUniform(seed=0)((1000,))
        >>> bool((values.abs() <= 0.05).all())
        True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        if not minval <= maxval:
            raise ValueError(
                explain(
                    f"RandomUniform got minval={minval!r}, maxval={maxval!r}.",
                    "Expected minval <= maxval.",
                    "RandomUniform(minval=-0.05, maxval=0.05)",
                )
            )
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return self._uniform(shape, dtype, self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class Orthogonal(RandomInitializer):
    """Start from a random matrix whose rows or columns are orthogonal and of length `gain`.

    A shape of more than two axes is filled as the matrix (all but the last, last).

    Args:
        gain: Length of the vectors.
        seed: Whole number for values that repeat, or None.

    Source: Saxe et al., 2014, arXiv:1312.6120.

    Example:
        >>> q = Orthogonal(seed=0)((3, 3))
        >>> torch.allclose(q @ q.T, torch.eye(3), atol=1e-5)
        True
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if len(shape) < 2:
            raise ValueError(
                explain(
                    f"Orthogonal got shape={tuple(shape)}.",
                    "Expected a shape of two axes or more: a vector has nothing to be orthogonal to.",
                    'initializer="zeros" for a bias',
                )
            )
        kind = torch_dtype(dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        # The factorisation exists for float32 and float64 only.
        drawn = self._normal((max(rows, columns), min(rows, columns)), kind, 0.0, 1.0)
        q, r = torch.linalg.qr(drawn.float() if kind.itemsize < 4 else drawn)
        # Fixing the signs makes every orthogonal matrix equally likely.
        q = q * torch.sign(torch.diagonal(r))
        q = q.T if rows < columns else q
        return (self.gain * q).reshape(tuple(shape)).to(kind)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}
