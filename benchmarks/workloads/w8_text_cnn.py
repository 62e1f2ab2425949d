"""W8: words into a convolution along time, and the greatest of each channel."""

from typing import Any

from workloads import Workload, tokens


def in_keras(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((200,), dtype="int32"),
            layers.Embedding(20000, 128),
            layers.Conv1D(128, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2),
        ]
    )


def in_torch() -> Any:
    import torch
    from torch import nn

    class TextConvolution(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(20000, 128)
            self.convolution = nn.Conv1d(128, 128, 5)
            self.head = nn.Linear(128, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            steps = torch.relu(self.convolution(self.embedding(x).transpose(1, 2)))
            return self.head(steps.amax(2))

    return TextConvolution()


def in_jax(f: Any, x: Any) -> Any:
    x = f.embedding(x, 20000, 128)[:, :, None]  # an image that is one pixel wide
    x = f.relu(f.convolution(x, 128, (5, 1)))
    return f.dense(x.max((1, 2)), 2)


WORKLOAD = Workload(
    "W8", "text CNN: Embedding, Conv1D(128, 5), max", 32, 8, tokens(20000, 200), in_keras, in_torch, in_jax
)
