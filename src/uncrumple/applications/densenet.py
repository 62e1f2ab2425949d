"""Densely connected networks: each convolution sees what all before it in its block have made."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, activated, described, normalized
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import torch_input as preprocess_input
from uncrumple.models import Functional

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

_HASHES = {
    "densenet121": ("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"),
    "densenet169": ("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"),
    "densenet201": ("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"),
}
_GROWTH = 32


def _ready(x: Any, name: str, joint: str = "_") -> Any:
    """Normalization and activation, which come before a convolution here."""
    return activated(normalized(x, f"{name}{joint}bn", epsilon=1.001e-5), f"{name}{joint}relu")


def _grown(x: Any, name: str) -> Any:
    new = layers.Conv2D(4 * _GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(_ready(x, f"{name}_0"))
    new = layers.Conv2D(_GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(_ready(new, f"{name}_1"))
    return layers.Concatenate(name=f"{name}_concat")([x, new])


def _network(asked: Request, published: str, depths: tuple[int, ...]) -> Functional:
    first = asked.start(224, 32)
    x = layers.ZeroPadding2D(3)(first)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = _ready(x, "conv1")
    x = layers.ZeroPadding2D(1)(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, depth in enumerate(depths, 2):
        for number in range(1, depth + 1):
            x = _grown(x, f"conv{stage}_block{number}")
        if stage < 5:
            half = x.shape[-1] // 2
            x = layers.Conv2D(half, 1, use_bias=False, name=f"pool{stage}_conv")(_ready(x, f"pool{stage}"))
            x = layers.AveragePooling2D(2, strides=2, name=f"pool{stage}_pool")(x)
    x = _ready(x, "", "")
    ending = "" if asked.include_top else "_notop"
    url = f"{PUBLISHED}densenet/{published}_weights_tf_dim_ordering_tf_kernels{ending}.h5"
    model = asked.model(first, asked.head(x, named_pooling=True))
    return asked.load(model, url, _HASHES[published][not asked.include_top])


@described
def DenseNet121(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "densenet121",
) -> Functional:
    """Return DenseNet121: 121 layers in four densely connected blocks.

    Source: Huang et al., "Densely connected convolutional networks", CVPR 2017.

    Example:
        >>> DenseNet121(weights=None, input_shape=(32, 32, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "DenseNet121", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "densenet121", (6, 12, 24, 16))


@described
def DenseNet169(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "densenet169",
) -> Functional:
    """Return DenseNet169: 169 layers in four densely connected blocks.

    Source: Huang et al., "Densely connected convolutional networks", CVPR 2017.

    Example:
        >>> DenseNet169(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "DenseNet169", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "densenet169", (6, 12, 32, 32))


@described
def DenseNet201(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "densenet201",
) -> Functional:
    """Return DenseNet201: 201 layers in four densely connected blocks.

    Source: Huang et al., "Densely connected convolutional networks", CVPR 2017.

    Example:
        >>> DenseNet201(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "DenseNet201", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "densenet201", (6, 12, 48, 32))
