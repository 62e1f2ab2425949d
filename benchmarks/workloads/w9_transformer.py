"""W9: words into a transformer encoder of two blocks."""

from typing import Any

from workloads import Workload, tokens


def in_keras(keras: Any) -> Any:
    layers = keras.layers

    class Places(layers.Layer):
        """Adds a learned vector per time step: a layer of a user's own."""

        def build(self, input_shape: Any) -> None:
            self.table = self.add_weight(shape=input_shape[1:], initializer="uniform")

        def call(self, inputs: Any) -> Any:
            return inputs + self.table

    inputs = keras.Input((64,), dtype="int32")
    x = Places()(layers.Embedding(10000, 128)(inputs))
    for _ in range(2):
        seen = layers.MultiHeadAttention(4, 32)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, seen]))
        y = layers.Dense(128)(layers.Dense(256, "relu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def in_torch() -> Any:
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
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

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.places = nn.Embedding(10000, 128), nn.Embedding(64, 128)
            self.blocks = nn.Sequential(Block(), Block())
            self.head = nn.Linear(128, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.embedding(x) + self.places.weight
            return self.head(self.blocks(x).mean(1))

    return Encoder()


def in_jax(f: Any, x: Any) -> Any:
    x = f.places(f.embedding(x, 10000, 128))
    for _ in range(2):
        x = f.layer_normalization(x + f.self_attention(x, heads=4, size=32))
        x = f.layer_normalization(x + f.dense(f.relu(f.dense(x, 256)), 128))
    return f.dense(x.mean(1), 2)


WORKLOAD = Workload(
    "W9", "transformer encoder, 2 blocks of 4 heads", 32, 8, tokens(10000, 64), in_keras, in_torch, in_jax
)
