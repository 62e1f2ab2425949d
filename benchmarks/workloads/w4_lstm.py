"""W4: words into an LSTM."""

from typing import Any

from workloads import Workload, tokens


def in_keras(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((80,), dtype="int32"), layers.Embedding(20000, 128), layers.LSTM(128), layers.Dense(2)]
    )


def in_torch() -> Any:
    import torch
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(20000, 128)
            self.lstm = nn.LSTM(128, 128, batch_first=True)
            self.head = nn.Linear(128, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(self.embedding(x))[0][:, -1])

    return Recurrent()


def in_jax(f: Any, x: Any) -> Any:
    return f.dense(f.lstm(f.embedding(x, 20000, 128), 128), 2)


WORKLOAD = Workload(
    "W4", "Embedding(20000, 128), LSTM(128), 80 steps", 32, 15, tokens(20000, 80), in_keras, in_torch, in_jax
)
