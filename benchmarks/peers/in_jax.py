"""Layers for plain JAX, as functions that make their weights in the first run and take them in order afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

STEPS_AT_ONCE = 4  # of a recurrent layer: unrolled by the compiler


class Functions:
    """The layers of one run.

    Args:
        weights: What is learned, in the order of use.
        moving: Moving statistics, in the order of use.
        key: Randomness for dropout; None for prediction.
        kind: What is computed in.
    """

    def __init__(self, weights: list[Any], moving: list[Any], key: Any, kind: Any, making: Any = None) -> None:
        self.weights, self.moving, self.key, self.kind = weights, moving, key, kind
        self.moved: list[Any] = []
        self._making, self._used, self._drawn = making, 0, 0

    @classmethod
    def started(cls, network: Callable[[Any, Any], Any], x: Any) -> tuple[list[Any], list[Any]]:
        """Return weights and moving statistics as Keras starts them."""
        made = cls([], [], None, jnp.float32, making=np.random.default_rng(0))
        network(made, x)
        return made.weights, made.moving

    # --- weights --------------------------------------------------------------------

    def _weight(self, draw: Callable[[np.random.Generator], Any]) -> Any:
        if self._making is not None:
            self.weights.append(jnp.asarray(draw(self._making), jnp.float32))
            return self.weights[-1]
        self._used += 1
        return self.weights[self._used - 1]

    def _glorot(self, shape: tuple[int, ...]) -> Any:
        places = int(np.prod(shape[:-2]))
        limit = float(np.sqrt(6 / (places * (shape[-2] + shape[-1]))))
        return self._weight(lambda random: random.uniform(-limit, limit, shape))

    def _constant(self, size: int, value: float = 0.0) -> Any:
        return self._weight(lambda random: np.full(size, value))

    def _orthogonal(self, size: int, gates: int) -> Any:
        def draw(random: np.random.Generator) -> Any:
            return np.linalg.qr(random.standard_normal((gates * size, size)))[0].T

        return self._weight(draw)

    def _cast(self, *arrays: Any) -> list[Any]:
        return [one.astype(self.kind) for one in arrays]

    # --- layers ---------------------------------------------------------------------

    def relu(self, x: Any) -> Any:
        return jnp.maximum(x, 0)

    def dense(self, x: Any, units: int) -> Any:
        x, kernel, bias = self._cast(x, self._glorot((x.shape[-1], units)), self._constant(units))
        return x @ kernel + bias

    def dropout(self, x: Any, rate: float) -> Any:
        if self.key is None:
            return x
        self._drawn += 1
        kept = jax.random.bernoulli(jax.random.fold_in(self.key, self._drawn), 1 - rate, x.shape)
        return jnp.where(kept, x / (1 - rate), 0).astype(x.dtype)

    def embedding(self, x: Any, kinds: int, size: int) -> Any:
        table = self._weight(lambda random: random.uniform(-0.05, 0.05, (kinds, size)))
        return table[x].astype(self.kind)

    def places(self, x: Any) -> Any:
        table = self._weight(lambda random: random.uniform(-0.05, 0.05, x.shape[1:]))
        return x + table.astype(self.kind)

    def convolution(
        self,
        x: Any,
        channels: int,
        size: int | tuple[int, int],
        stride: int = 1,
        same: bool = False,
        bias: bool = True,
        gathered: bool = True,
    ) -> Any:
        """XLA's own; or, for training on a CPU, one product over gathered patches, where that is faster."""
        high, wide = (size, size) if isinstance(size, int) else size
        x, kernel = self._cast(x, self._glorot((high, wide, x.shape[-1], channels)))
        if gathered and self.key is not None and jax.default_backend() == "cpu":
            y = _over_patches(x, kernel, stride, same)
        else:
            y = jax.lax.conv_general_dilated(
                x, kernel, (stride, stride), "SAME" if same else "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return y + self._constant(channels).astype(self.kind) if bias else y

    def max_pool(self, x: Any) -> Any:
        samples, rows, columns, channels = x.shape
        return x.reshape(samples, rows // 2, 2, columns // 2, 2, channels).max((2, 4))

    def batch_normalization(self, x: Any) -> Any:
        """Over all axes but the last; the statistics are float32."""
        features = x.shape[-1]
        scale, shift = self._constant(features, 1.0), self._constant(features)
        if self._making is not None:
            self.moving += [jnp.zeros(features), jnp.ones(features)]
        mean, variance = self.moving[len(self.moved) : len(self.moved) + 2] if not self._making else self.moving[-2:]
        if self.key is not None:
            axes, wide = tuple(range(x.ndim - 1)), x.astype(jnp.float32)
            now_mean, now_variance = wide.mean(axes), wide.var(axes)
            self.moved += [0.99 * mean + 0.01 * now_mean, 0.99 * variance + 0.01 * now_variance]
            mean, variance = now_mean, now_variance
        else:
            self.moved += [mean, variance]
        factor = scale * jax.lax.rsqrt(variance + 1e-3)
        return (x * factor + (shift - mean * factor)).astype(self.kind)

    def layer_normalization(self, x: Any) -> Any:
        scale, shift = self._constant(x.shape[-1], 1.0), self._constant(x.shape[-1])
        wide = x.astype(jnp.float32)
        mean, variance = wide.mean(-1, keepdims=True), wide.var(-1, keepdims=True)
        return ((wide - mean) * jax.lax.rsqrt(variance + 1e-3) * scale + shift).astype(self.kind)

    def self_attention(self, x: Any, heads: int, size: int) -> Any:
        samples, steps, features = x.shape
        both = self.dense(x, 3 * heads * size).reshape(samples, steps, 3, heads, size)
        query, key, value = both[:, :, 0], both[:, :, 1], both[:, :, 2]
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key).astype(jnp.float32) / np.sqrt(size)
        seen = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores).astype(self.kind), value)
        return self.dense(seen.reshape(samples, steps, heads * size), features)

    def lstm(self, x: Any, units: int) -> Any:
        """Return the last state; gates in Keras's order."""
        kernel, recurrent = self._glorot((x.shape[-1], 4 * units)), self._orthogonal(units, 4)
        bias = self._weight(lambda random: np.repeat([0.0, 1.0, 0.0, 0.0], units))
        x, kernel, recurrent, bias = self._cast(x, kernel, recurrent, bias)
        inputs = jnp.swapaxes(x @ kernel + bias, 0, 1)

        def step(carry: Any, given: Any) -> Any:
            h, c = carry
            i, f, g, o = jnp.split(given + h @ recurrent, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((x.shape[0], units), self.kind)
        return jax.lax.scan(step, (zero, zero), inputs, unroll=STEPS_AT_ONCE)[0][0]

    def _gru(self, x: Any, units: int, backwards: bool) -> tuple[Any, Any]:
        kernel, recurrent = self._glorot((x.shape[-1], 3 * units)), self._orthogonal(units, 3)
        bias, recurrent_bias = self._constant(3 * units), self._constant(3 * units)
        x, kernel, recurrent, bias, recurrent_bias = self._cast(x, kernel, recurrent, bias, recurrent_bias)
        inputs = jnp.swapaxes(x @ kernel + bias, 0, 1)

        def step(h: Any, given: Any) -> Any:
            own = h @ recurrent + recurrent_bias
            z = jax.nn.sigmoid(given[:, :units] + own[:, :units])
            r = jax.nn.sigmoid(given[:, units : 2 * units] + own[:, units : 2 * units])
            h = z * h + (1 - z) * jnp.tanh(given[:, 2 * units :] + r * own[:, 2 * units :])
            return h, h

        zero = jnp.zeros((x.shape[0], units), self.kind)
        last, states = jax.lax.scan(step, zero, inputs, reverse=backwards, unroll=STEPS_AT_ONCE)
        return last, jnp.swapaxes(states, 0, 1)

    def both_ways(self, x: Any, units: int, sequences: bool) -> Any:
        (forth, all_forth), (back, all_back) = self._gru(x, units, False), self._gru(x, units, True)
        return jnp.concatenate([all_forth, all_back] if sequences else [forth, back], -1)


def _over_patches(x: Any, kernel: Any, stride: int, same: bool) -> Any:
    high, wide, _, channels = kernel.shape
    if same:
        pads = [(0, 0)]
        for length, window in zip(x.shape[1:3], (high, wide)):
            whole = max((-(-length // stride) - 1) * stride + window - length, 0)
            pads.append((whole // 2, whole - whole // 2))
        x = jnp.pad(x, [*pads, (0, 0)])
    rows, columns = (x.shape[1] - high) // stride + 1, (x.shape[2] - wide) // stride + 1
    patches = [
        x[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]
        for i in range(high)
        for j in range(wide)
    ]
    gathered = jnp.concatenate(patches, -1)
    y = gathered.reshape(-1, gathered.shape[-1]) @ kernel.reshape(-1, channels)
    return y.reshape(x.shape[0], rows, columns, channels)
