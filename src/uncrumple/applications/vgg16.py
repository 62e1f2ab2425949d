"""VGG16: sixteen layers of small convolutions, and nothing else."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, described
from uncrumple.applications.imagenet_utils import caffe_input as preprocess_input
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.models import Functional

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

_HASHES = {
    "vgg16": ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
}


def vgg(asked: Request, published: str, depths: tuple[int, ...]) -> Functional:
    """Return a VGG network with so many convolutions in each of its five blocks."""
    first = x = asked.start(224, 32)
    for block, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512, 512)), 1):
        for number in range(1, depth + 1):
            x = layers.Conv2D(filters, 3, activation="relu", padding="same", name=f"block{block}_conv{number}")(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    if asked.include_top:
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(4096, activation="relu", name="fc1")(x)
        x = layers.Dense(4096, activation="relu", name="fc2")(x)
        x = asked.classify(x)
    else:
        x = asked.pool(x)
    ending = "" if asked.include_top else "_notop"
    url = f"{PUBLISHED}{published}/{published}_weights_tf_dim_ordering_tf_kernels{ending}.h5"
    return asked.load(asked.model(first, x), url, _HASHES[published][not asked.include_top])


@described
def VGG16(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "vgg16",
) -> Functional:
    """Return VGG16: thirteen 3x3 convolutions and three dense layers.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015.

    Example:
        >>> VGG16(weights=None, input_shape=(32, 32, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "VGG16", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return vgg(asked, "vgg16", (2, 2, 3, 3, 3))
