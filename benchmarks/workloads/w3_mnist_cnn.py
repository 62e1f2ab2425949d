"""W3: a convolutional network for handwritten digits."""

from typing import Any

from workloads import Workload, numbers


def in_keras(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, "relu"),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )


def in_torch() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def in_jax(f: Any, x: Any) -> Any:
    x = f.relu(f.convolution(x, 32, 3))
    x = f.relu(f.convolution(x, 64, 3))
    x = f.dropout(f.max_pool(x), 0.25)
    x = f.relu(f.dense(x.reshape(x.shape[0], -1), 128))
    return f.dense(f.dropout(x, 0.5), 10)


WORKLOAD = Workload(
    "W3",
    "MNIST CNN 32-64, pool, dropout, dense 128",
    128,
    6,
    numbers((28, 28, 1), 10),
    in_keras,
    in_torch,
    in_jax,
    channels_last=("mixed_bfloat16",),
)
