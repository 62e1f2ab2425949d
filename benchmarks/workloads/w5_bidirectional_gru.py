"""W5: words into two bidirectional GRUs, one upon the other."""

from typing import Any

from workloads import Workload, tokens


def in_keras(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((60,), dtype="int32"),
            layers.Embedding(10000, 64),
            layers.Bidirectional(layers.GRU(64, return_sequences=True)),
            layers.Bidirectional(layers.GRU(64)),
            layers.Dense(2),
        ]
    )


def in_torch() -> Any:
    import torch
    from torch import nn

    class BothWays(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10000, 64)
            self.grus = nn.GRU(64, 64, num_layers=2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(128, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            last = self.grus(self.embedding(x))[1][-2:]  # the last state of each direction
            return self.head(last.transpose(0, 1).flatten(1))

    return BothWays()


def in_jax(f: Any, x: Any) -> Any:
    x = f.embedding(x, 10000, 64)
    x = f.both_ways(x, 64, sequences=True)
    return f.dense(f.both_ways(x, 64, sequences=False), 2)


WORKLOAD = Workload(
    "W5", "Embedding(10000, 64), 2 bidirectional GRU(64)", 32, 8, tokens(10000, 60), in_keras, in_torch, in_jax
)
