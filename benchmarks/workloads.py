"""The networks whose training steps are timed, each written twice: with uncrumple and in plain torch.

The torch twins are what a practitioner would write: channels first, torch's
own layers, `scaled_dot_product_attention` for attention. They run as well
under `torch.autocast` for the policy "mixed_bfloat16".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import uncrumple as uc
from uncrumple import layers


@dataclass
class Workload:
    """One network, written twice."""

    name: str
    about: str
    batch: int
    steps: int
    ours: Callable[[], Any]
    theirs: Callable[[], nn.Module]
    data: Callable[[int], tuple[torch.Tensor, torch.Tensor]]
    learning_rate: float = 1e-3


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20000, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.head = nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.embedding(x))[0][:, -1])


class _BothWays(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10000, 64)
        self.grus = nn.GRU(64, 64, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = self.grus(self.embedding(x))[1][-2:]  # the last state of each direction
        return self.head(last.transpose(0, 1).flatten(1))


class _Residual(nn.Module):
    """Two convolutions with batch normalization, beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(y)) + self.shortcut(x))


def _residual(x: Any, channels: int, stride: int) -> Any:
    y = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False)(x)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    shortcut = layers.Conv2D(channels, 1, strides=stride)(x) if stride > 1 else x
    return layers.Activation("relu")(layers.Add()([y, shortcut]))


def _residual_network() -> Any:
    inputs = uc.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        x = _residual(x, channels, stride)
    return uc.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def _wide() -> Any:
    chain: list[Any] = [uc.Input((100,))]
    for _ in range(3):
        chain += [layers.Dense(512), layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(0.2)]
    return uc.Sequential([*chain, layers.Dense(10)])


def _wide_twin() -> nn.Module:
    chain: list[nn.Module] = []
    for features in (100, 512, 512):
        chain += [nn.Linear(features, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*chain, nn.Linear(512, 10))


class _TextConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20000, 128)
        self.convolution = nn.Conv1d(128, 128, 5)
        self.head = nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = torch.relu(self.convolution(self.embedding(x).transpose(1, 2)))
        return self.head(steps.amax(2))


class _Block(nn.Module):
    """Self-attention and two dense layers, each beside a shortcut that is normalized after."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(128, 384)
        self.back = nn.Linear(128, 128)
        self.dense = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 128))
        self.first_norm, self.second_norm = nn.LayerNorm(128, 1e-3), nn.LayerNorm(128, 1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        samples, steps, _ = x.shape
        query, key, value = self.project(x).view(samples, steps, 3, 4, 32).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        x = self.first_norm(x + self.back(seen.transpose(1, 2).reshape(samples, steps, 128)))
        return self.second_norm(x + self.dense(x))


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(10000, 128), nn.Embedding(64, 128)
        self.blocks = nn.Sequential(_Block(), _Block())
        self.head = nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x) + self.places(torch.arange(x.shape[1]))
        return self.head(self.blocks(x).mean(1))


class _Places(layers.Layer):
    """Adds a learned vector per time step: a layer of a user's own."""

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight(shape=input_shape[1:], initializer="uniform")

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + self.table


def _encoder() -> Any:
    inputs = uc.Input((64,), dtype="int64")
    x = _Places()(layers.Embedding(10000, 128)(inputs))
    for _ in range(2):
        seen = layers.MultiHeadAttention(4, 32)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, seen]))
        y = layers.Dense(128)(layers.Dense(256, "relu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    return uc.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def _small_residual_twin() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        _Residual(16, 16, 1),
        _Residual(16, 32, 2),
        _Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def _iris(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 4), torch.randint(0, 3, (count,))


def _flat_digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 784), torch.randint(0, 10, (count,))


def _digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 28, 28, 1), torch.randint(0, 10, (count,))


def _words(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 20000, (count, 80)), torch.randint(0, 2, (count,))


def _tokens(kinds: int, steps: int) -> Callable[[int], tuple[torch.Tensor, torch.Tensor]]:
    return lambda count: (torch.randint(0, kinds, (count, steps)), torch.randint(0, 2, (count,)))


def _images(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 32, 32, 3), torch.randint(0, 10, (count,))


def _table(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 100), torch.randint(0, 10, (count,))


WORKLOADS = [
    Workload(
        "W1",
        "iris MLP 4-10-10-3",
        16,
        200,
        lambda: uc.Sequential([uc.Input((4,)), layers.Dense(10, "relu"), layers.Dense(10, "relu"), layers.Dense(3)]),
        lambda: nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 3)),
        _iris,
    ),
    Workload(
        "W2",
        "MNIST MLP 784-512-512-10, dropout .2",
        128,
        40,
        lambda: uc.Sequential(
            [
                uc.Input((784,)),
                layers.Dense(512, "relu"),
                layers.Dropout(0.2),
                layers.Dense(512, "relu"),
                layers.Dropout(0.2),
                layers.Dense(10),
            ]
        ),
        lambda: nn.Sequential(
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 10),
        ),
        _flat_digits,
    ),
    Workload(
        "W3",
        "MNIST CNN 32-64, pool, dropout, dense 128",
        128,
        6,
        lambda: uc.Sequential(
            [
                uc.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu"),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Dropout(0.25),
                layers.Flatten(),
                layers.Dense(128, "relu"),
                layers.Dropout(0.5),
                layers.Dense(10),
            ]
        ),
        lambda: nn.Sequential(
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
        ),
        _digits,
    ),
    Workload(
        "W4",
        "Embedding(20000, 128), LSTM(128), 80 steps",
        32,
        15,
        lambda: uc.Sequential(
            [uc.Input((80,), dtype="int64"), layers.Embedding(20000, 128), layers.LSTM(128), layers.Dense(2)]
        ),
        _Recurrent,
        _words,
    ),
    Workload(
        "W5",
        "Embedding(10000, 64), 2 bidirectional GRU(64)",
        32,
        8,
        lambda: uc.Sequential(
            [
                uc.Input((60,), dtype="int64"),
                layers.Embedding(10000, 64),
                layers.Bidirectional(layers.GRU(64, return_sequences=True)),
                layers.Bidirectional(layers.GRU(64)),
                layers.Dense(2),
            ]
        ),
        _BothWays,
        _tokens(10000, 60),
    ),
    Workload("W6", "ResNet 16-32-64 with BatchNormalization", 128, 4, _residual_network, _small_residual_twin, _images),
    Workload("W7", "MLP 100-3x512-10, BatchNormalization", 256, 20, _wide, _wide_twin, _table),
    Workload(
        "W8",
        "text CNN: Embedding, Conv1D(128, 5), max",
        32,
        8,
        lambda: uc.Sequential(
            [
                uc.Input((200,), dtype="int64"),
                layers.Embedding(20000, 128),
                layers.Conv1D(128, 5, activation="relu"),
                layers.GlobalMaxPooling1D(),
                layers.Dense(2),
            ]
        ),
        _TextConvolution,
        _tokens(20000, 200),
    ),
    Workload("W9", "transformer encoder, 2 blocks of 4 heads", 32, 8, _encoder, _Encoder, _tokens(10000, 64)),
]
