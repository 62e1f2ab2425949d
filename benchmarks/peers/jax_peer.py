"""Plain JAX: a whole epoch is one compiled function, a scan over its steps that updates everything in place."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from peers.in_jax import Functions
from peers.turns import Turns
from workloads import Arrays, Workload

RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7
# A random generator that costs less than the default on a CPU.
jax.config.update("jax_default_prng_impl", "unsafe_rbg")


class JaxPeer:
    """Adam and cross-entropy by hand, as a practitioner would for speed."""

    def versions(self) -> dict[str, Any]:
        jax.devices()  # fails here and now if there is no such device
        return {"versions": {"jax": jax.__version__}}

    def train(self, workload: Workload, policy: str, arrays: Arrays, batch: int, turns: Turns) -> None:
        kind = jnp.bfloat16 if policy == "mixed_bfloat16" else jnp.float32
        x, y = (jnp.asarray(one) for one in arrays)
        weights, moving = Functions.started(workload.in_jax, x[:2])
        zeros = [jnp.zeros_like(one) for one in weights]
        moments = (zeros, [jnp.zeros_like(one) for one in weights])

        def loss_of(weights: Any, moving: Any, key: Any, x: Any, y: Any) -> Any:
            functions = Functions(weights, moving, key, kind)
            scores = workload.in_jax(functions, x).astype(jnp.float32)
            chosen = jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1)
            return -chosen.mean(), functions.moved

        @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
        def epoch(weights: Any, moving: Any, moments: Any, count: Any, key: Any, x: Any, y: Any) -> Any:
            shuffle_key, dropout_key = jax.random.split(key)
            order = jax.random.permutation(shuffle_key, len(x)).reshape(-1, batch)

            def step(carry: Any, index: Any) -> Any:
                weights, moving, (first, second), count = carry
                part = jax.random.fold_in(dropout_key, count)
                (loss, moving), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                    weights, moving, part, x[index], y[index]
                )
                count = count + 1
                rate = RATE * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
                first = [m + (1 - BETA_1) * (g - m) for m, g in zip(first, gradients)]
                second = [v + (1 - BETA_2) * (g * g - v) for v, g in zip(second, gradients)]
                weights = [w - rate * m / (jnp.sqrt(v) + EPSILON) for w, m, v in zip(weights, first, second)]
                return (weights, moving, (first, second), count), loss

            carry, losses = jax.lax.scan(step, (weights, moving, moments, count), order)
            return *carry, losses

        count, key = jnp.float32(0), jax.random.key(0)
        while turns.begin():
            key, part = jax.random.split(key)
            weights, moving, moments, count, losses = epoch(weights, moving, moments, count, part, x, y)
            losses.block_until_ready(), weights[0].block_until_ready()
            turns.end(lambda losses=losses: float(losses.mean()))

    def predict(self, workload: Workload, policy: str, x: np.ndarray, calls: int, turns: Turns) -> None:
        kind = jnp.bfloat16 if policy == "mixed_bfloat16" else jnp.float32
        samples = jnp.asarray(x)
        weights, moving = Functions.started(workload.in_jax, samples[:1])

        @jax.jit
        def forward(weights: Any, moving: Any, x: Any) -> Any:
            return workload.in_jax(Functions(weights, moving, None, kind), x).astype(jnp.float32)

        while turns.begin():
            for _ in range(calls):
                last = np.asarray(forward(weights, moving, samples))
            turns.end(lambda last=last: float(np.abs(last).mean()))
