"""W1: a small dense network, as for the iris flowers."""

from typing import Any

from workloads import Workload, numbers


def in_keras(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(10, "relu"), layers.Dense(10, "relu"), layers.Dense(3)],
    )


def in_torch() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 3))


def in_jax(f: Any, x: Any) -> Any:
    for _ in range(2):
        x = f.relu(f.dense(x, 10))
    return f.dense(x, 3)


WORKLOAD = Workload("W1", "iris MLP 4-10-10-3", 16, 200, numbers((4,), 3, True), in_keras, in_torch, in_jax, tiny=True)
