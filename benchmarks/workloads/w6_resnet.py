"""W6: a small residual network with batch normalization, for small colour images."""

from typing import Any

from workloads import Workload, numbers

BLOCKS = ((16, 1), (32, 2), (64, 2))  # channels and stride of each


def in_keras(keras: Any) -> Any:
    layers = keras.layers

    def residual(x: Any, channels: int, stride: int) -> Any:
        y = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False)(x)
        y = layers.Activation("relu")(layers.BatchNormalization()(y))
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        shortcut = layers.Conv2D(channels, 1, strides=stride)(x) if stride > 1 else x
        return layers.Activation("relu")(layers.Add()([y, shortcut]))

    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    for channels, stride in BLOCKS:
        x = residual(x, channels, stride)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def in_torch() -> Any:
    import torch
    from torch import nn

    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)  # Keras's settings

    class Residual(nn.Module):
        """Two convolutions with batch normalization, beside a shortcut."""

        def __init__(self, channels_in: int, channels: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
            self.first_norm = norm(channels)
            self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.second_norm = norm(channels)
            self.shortcut = nn.Conv2d(channels_in, channels, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.first_norm(self.first(x)))
            return torch.relu(self.second_norm(self.second(y)) + self.shortcut(x))

    chain: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False), norm(16), nn.ReLU()]
    before = 16
    for channels, stride in BLOCKS:
        chain.append(Residual(before, channels, stride))
        before = channels
    return nn.Sequential(*chain, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def in_jax(f: Any, x: Any) -> Any:
    def convolution(x: Any, channels: int, size: int = 3, stride: int = 1, bias: bool = False) -> Any:
        return f.convolution(x, channels, size, stride, same=True, bias=bias, gathered=False)

    x = f.relu(f.batch_normalization(convolution(x, 16)))
    for channels, stride in BLOCKS:
        y = f.relu(f.batch_normalization(convolution(x, channels, stride=stride)))
        y = f.batch_normalization(convolution(y, channels))
        x = f.relu(y + (convolution(x, channels, 1, stride, bias=True) if stride > 1 else x))
    return f.dense(x.mean((1, 2)), 10)


WORKLOAD = Workload(
    "W6",
    "ResNet 16-32-64 with BatchNormalization",
    128,
    4,
    numbers((32, 32, 3), 10),
    in_keras,
    in_torch,
    in_jax,
    channels_last=("float32", "mixed_bfloat16"),
)
