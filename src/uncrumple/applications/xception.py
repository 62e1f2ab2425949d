"""Xception: convolutions that look at places and at channels apart, with shortcuts around them."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, activated, described, normalized
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import tf_input as preprocess_input
from uncrumple.models import Functional

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

_HASHES = ("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97")


def _separable(x: Any, filters: int, name: str) -> Any:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return normalized(x, f"{name}_bn")


def _halving(x: Any, block: int, first: int, second: int) -> Any:
    """Two separable convolutions and a pooling, beside a shortcut with stride 2."""
    shortcut = layers.Conv2D(second, 1, strides=2, padding="same", use_bias=False)(x)
    shortcut = normalized(shortcut)
    if block > 2:  # the second block follows an activation
        x = activated(x, f"block{block}_sepconv1_act")
    x = _separable(x, first, f"block{block}_sepconv1")
    x = activated(x, f"block{block}_sepconv2_act")
    x = _separable(x, second, f"block{block}_sepconv2")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return layers.add([x, shortcut])


def _network(asked: Request) -> Functional:
    first = x = asked.start(299, 71)
    for number, filters, strides in ((1, 32, 2), (2, 64, 1)):
        x = layers.Conv2D(filters, 3, strides=strides, use_bias=False, name=f"block1_conv{number}")(x)
        x = activated(normalized(x, f"block1_conv{number}_bn"), f"block1_conv{number}_act")
    for block, filters in ((2, 128), (3, 256), (4, 728)):
        x = _halving(x, block, filters, filters)
    for block in range(5, 13):
        shortcut = x
        for number in (1, 2, 3):
            x = activated(x, f"block{block}_sepconv{number}_act")
            x = _separable(x, 728, f"block{block}_sepconv{number}")
        x = layers.add([x, shortcut])
    x = _halving(x, 13, 728, 1024)
    for number, filters in ((1, 1536), (2, 2048)):
        x = activated(_separable(x, filters, f"block14_sepconv{number}"), f"block14_sepconv{number}_act")
    ending = "" if asked.include_top else "_notop"
    url = f"{PUBLISHED}xception/xception_weights_tf_dim_ordering_tf_kernels{ending}.h5"
    return asked.load(asked.model(first, asked.head(x)), url, _HASHES[not asked.include_top])


@described
def Xception(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "xception",
) -> Functional:
    """Return Xception: 36 convolutions, nearly all of them separable.

    Source: Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017.

    Example:
        >>> Xception(weights=None, input_shape=(71, 71, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "Xception", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked)
