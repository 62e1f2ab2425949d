"""VGG19: VGG16 with three more convolutions."""

from __future__ import annotations

from typing import Any

from uncrumple.applications.common import Request, described
from uncrumple.applications.imagenet_utils import caffe_input as preprocess_input
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.vgg16 import vgg
from uncrumple.models import Functional

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]


@described
def VGG19(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "vgg19",
) -> Functional:
    """Return VGG19: sixteen 3x3 convolutions and three dense layers.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015.

    Example:
        >>> VGG19(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "VGG19", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return vgg(asked, "vgg19", (2, 2, 4, 4, 4))
