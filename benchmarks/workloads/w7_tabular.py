"""W7: a wide dense network with batch normalization, for tables."""

from typing import Any

from workloads import Workload, numbers


def in_keras(keras: Any) -> Any:
    layers = keras.layers
    chain: list[Any] = [keras.Input((100,))]
    for _ in range(3):
        chain += [layers.Dense(512), layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(0.2)]
    return keras.Sequential([*chain, layers.Dense(10)])


def in_torch() -> Any:
    from torch import nn

    chain: list[nn.Module] = []
    for features in (100, 512, 512):
        norm = nn.BatchNorm1d(512, eps=1e-3, momentum=0.01)  # Keras's settings
        chain += [nn.Linear(features, 512), norm, nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*chain, nn.Linear(512, 10))


def in_jax(f: Any, x: Any) -> Any:
    for _ in range(3):
        x = f.dropout(f.relu(f.batch_normalization(f.dense(x, 512))), 0.2)
    return f.dense(x, 10)


WORKLOAD = Workload(
    "W7", "MLP 100-3x512-10, BatchNormalization", 256, 20, numbers((100,), 10, True), in_keras, in_torch, in_jax
)
