"""Residual networks of the second version: normalization comes before each convolution."""

from __future__ import annotations

from typing import Any

from uncrumple.applications.common import Request, described
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import tf_input as preprocess_input
from uncrumple.applications.resnet import DEPTHS, residual_network
from uncrumple.models import Functional

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]


@described
def ResNet50V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "resnet50v2",
) -> Functional:
    """Return ResNet50V2: 50 layers in residual blocks that normalize first.

    Source: He et al., "Identity mappings in deep residual networks", ECCV 2016.

    Example:
        >>> ResNet50V2(weights=None, input_shape=(32, 32, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "ResNet50V2", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return residual_network(asked, "resnet50v2", DEPTHS[50])


@described
def ResNet101V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "resnet101v2",
) -> Functional:
    """Return ResNet101V2: 101 layers in residual blocks that normalize first.

    Source: He et al., "Identity mappings in deep residual networks", ECCV 2016.

    Example:
        >>> ResNet101V2(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "ResNet101V2", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return residual_network(asked, "resnet101v2", DEPTHS[101])


@described
def ResNet152V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "resnet152v2",
) -> Functional:
    """Return ResNet152V2: 152 layers in residual blocks that normalize first.

    Source: He et al., "Identity mappings in deep residual networks", ECCV 2016.

    Example:
        >>> ResNet152V2(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "ResNet152V2", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return residual_network(asked, "resnet152v2", DEPTHS[152])
