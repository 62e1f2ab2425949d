"""W2: a dense network for handwritten digits, with dropout."""

from typing import Any

from workloads import Workload, numbers


def in_keras(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(512, "relu"),
            layers.Dropout(0.2),
            layers.Dense(512, "relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )


def in_torch() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(512, 10),
    )


def in_jax(f: Any, x: Any) -> Any:
    for _ in range(2):
        x = f.dropout(f.relu(f.dense(x, 512)), 0.2)
    return f.dense(x, 10)


WORKLOAD = Workload(
    "W2", "MNIST MLP 784-512-512-10, dropout .2", 128, 40, numbers((784,), 10), in_keras, in_torch, in_jax
)
