"""MobileNetV2: blocks that widen, look and narrow again, with shortcuts between the narrow ends."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, described, divisible, halving_pad, normalized
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import tf_input as preprocess_input
from uncrumple.applications.mobilenet import check_width, published_size, tell_other_size
from uncrumple.core.errors import explain
from uncrumple.models import Functional

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

_SIZES = (96, 128, 160, 192, 224)
_ALPHAS = (0.35, 0.5, 0.75, 1.3, 1.4, 1.0)
# Channels, stride of the first, and how many blocks.
_STAGES = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))


def _bn(x: Any, name: str) -> Any:
    return normalized(x, name, epsilon=1e-3, momentum=0.999)


def _block(x: Any, filters: int, stride: int, number: int) -> Any:
    shortcut, channels = x, x.shape[-1]
    name = f"block_{number}_" if number else "expanded_conv_"
    if number:  # the first one does not widen
        x = layers.Conv2D(6 * channels, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = layers.ReLU(6.0, name=f"{name}expand_relu")(_bn(x, f"{name}expand_BN"))
    if stride == 2:
        x = layers.ZeroPadding2D(halving_pad(x, 3), name=f"{name}pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise")(x)
    x = layers.ReLU(6.0, name=f"{name}depthwise_relu")(_bn(x, f"{name}depthwise_BN"))
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _bn(x, f"{name}project_BN")
    return layers.Add(name=f"{name}add")([shortcut, x]) if channels == filters and stride == 1 else x


@described
def MobileNetV2(
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Functional:
    """Return MobileNetV2: seventeen inverted residual blocks.

    Source: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018.

    Example:
        >>> MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        *("MobileNetV2", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    )
    check_width(asked, alpha, _ALPHAS)
    given = input_shape
    if input_tensor is not None:
        given = input_shape or tuple(input_tensor.shape[1:])
        check_agreement(asked)
    first = asked.start(published_size(asked, _SIZES, given), 32)
    rows, columns = asked.input_shape[:2]
    if asked.published and (rows != columns or rows not in _SIZES):
        rows = 224
        tell_other_size(asked, rows)
    x = layers.Conv2D(divisible(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(first)
    x = layers.ReLU(6.0, name="Conv1_relu")(_bn(x, "bn_Conv1"))
    number = 0
    for filters, stride, count in _STAGES:
        for place in range(count):
            x = _block(x, divisible(int(filters * alpha)), stride if place == 0 else 1, number)
            number += 1
    last = divisible(1280 * alpha) if alpha > 1.0 else 1280
    x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    x = layers.ReLU(6.0, name="out_relu")(_bn(x, "Conv_1_bn"))
    asked.name = name or f"mobilenetv2_{alpha:0.2f}_{rows}"
    ending = "" if include_top else "_no_top"
    file = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{rows}{ending}.h5"
    return asked.load(asked.model(first, asked.head(x, average=None)), f"{PUBLISHED}mobilenet_v2/{file}", None)


def check_agreement(asked: Request) -> None:
    """Refuse an input_tensor whose width is another than input_shape says."""
    if asked.input_shape is not None and asked.input_tensor.shape[2] != asked.input_shape[1]:
        raise ValueError(
            explain(
                f"{asked.network} got input_shape={tuple(asked.input_shape)} "
                f"and an input_tensor of shape {tuple(asked.input_tensor.shape)}.",
                "Expected the same size in both, or only one of them.",
                f"{asked.network}(input_tensor=x)",
            )
        )
