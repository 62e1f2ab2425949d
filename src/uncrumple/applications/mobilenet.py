"""MobileNet: depthwise convolutions, for small machines."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, described, normalized
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import tf_input as preprocess_input
from uncrumple.core.errors import explain, warn
from uncrumple.models import Functional

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

_SIZES = (128, 160, 192, 224)
_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
# Channels and stride of the thirteen blocks.
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)


def published_size(asked: Request, sizes: tuple[int, ...], shape: Any) -> int:
    """Return the size that weights are there for which comes nearest to what was asked: that of the shape, or 224."""
    rows, columns = shape[:2] if shape else (None, None)
    return rows if rows == columns and rows in sizes else 224


def check_width(asked: Request, alpha: float, published: tuple[float, ...]) -> None:
    """Refuse a share of the published width that is impossible, or that no weights are there for."""
    positive = isinstance(alpha, (int, float)) and not isinstance(alpha, bool) and alpha > 0
    if not positive or (asked.published and alpha not in published):
        raise ValueError(
            explain(
                f"{asked.network} got alpha={alpha!r}{' with the weights of ImageNet' * positive}.",
                f"Expected one of {', '.join(map(str, published))}." if positive else "Expected a number above 0.",
                f"{asked.network}(alpha={published[-1]})",
            )
        )


def tell_other_size(asked: Request, size: int) -> None:
    """Warn that the weights were trained on images of another size than is asked for."""
    warn(
        f"{asked.network} got input_shape={asked.input_shape}, for which no weights were trained.",
        f"Expected a square of a published size; the weights for {size}x{size} are taken.",
        f"{asked.network}(input_shape=({size}, {size}, 3)), or none needed",
    )


@described
def MobileNet(
    input_shape: Any = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Functional:
    """Return MobileNet: thirteen blocks of a depthwise and a pointwise convolution.

    Source: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision", 2017.

    Example:
        >>> MobileNet(weights=None, input_shape=(32, 32, 3), alpha=0.25, classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        *("MobileNet", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    )
    check_width(asked, alpha, tuple(_ALPHAS))
    if asked.published and depth_multiplier != 1:
        raise ValueError(
            explain(
                f"MobileNet got depth_multiplier={depth_multiplier} with the weights of ImageNet.",
                "Expected 1: there are no others.",
                "MobileNet(depth_multiplier=1)",
            )
        )
    first = asked.start(published_size(asked, _SIZES, input_shape), 32)
    rows, columns = asked.input_shape[:2]
    if asked.published and (rows != columns or rows not in _SIZES):
        rows = 224
        tell_other_size(asked, rows)
    x = layers.Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(first)
    x = layers.ReLU(6.0, name="conv1_relu")(normalized(x, "conv1_bn"))
    for number, (filters, stride) in enumerate(_BLOCKS, 1):
        if stride == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{number}")(x)
        depthwise = layers.DepthwiseConv2D(
            3,
            strides=stride,
            padding="same" if stride == 1 else "valid",
            depth_multiplier=depth_multiplier,
            use_bias=False,
            name=f"conv_dw_{number}",
        )
        x = layers.ReLU(6.0, name=f"conv_dw_{number}_relu")(normalized(depthwise(x), f"conv_dw_{number}_bn"))
        x = layers.Conv2D(int(filters * alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{number}")(x)
        x = layers.ReLU(6.0, name=f"conv_pw_{number}_relu")(normalized(x, f"conv_pw_{number}_bn"))
    if include_top:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        x = layers.Activation(classifier_activation, name="predictions")(x)
    else:
        x = asked.pool(x)
    asked.name = name or f"mobilenet_{alpha:0.2f}_{rows}"
    file = f"mobilenet_{_ALPHAS.get(alpha)}_{rows}_tf{'' if include_top else '_no_top'}.h5"
    return asked.load(asked.model(first, x), f"{PUBLISHED}mobilenet/{file}", None)
