"""EfficientNet: one network, made wider, deeper and sharper in the same proportion."""

from __future__ import annotations

import math
from typing import Any

from uncrumple import initializers, layers
from uncrumple.applications.common import Request, activated, described, divisible, halving_pad, normalized
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import same_input as preprocess_input
from uncrumple.models import Functional

__all__ = [
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "decode_predictions",
    "preprocess_input",
]

_URL = "https://storage.googleapis.com/keras-applications/"
_HASHES = {
    "b0": ("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"),
    "b1": ("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"),
    "b2": ("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    "b3": ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"),
    "b4": ("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    "b5": ("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"),
    "b6": ("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"),
    "b7": ("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
}
# Kernel, how many blocks, channels in and out, widening, stride.
_STAGES = (
    *((3, 1, 32, 16, 1, 1), (3, 2, 16, 24, 6, 2), (5, 2, 24, 40, 6, 2), (3, 3, 40, 80, 6, 2)),
    *((5, 3, 80, 112, 6, 1), (5, 4, 112, 192, 6, 2), (3, 1, 192, 320, 6, 1)),
)
# Width, depth, size of the image, dropout before the top.
_SCALES = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
}
DROP_CONNECT = 0.2


def convolved(x: Any, filters: int, kernel: int, name: str, strides: int = 1, **settings: Any) -> Any:
    """Return a tensor after a convolution that starts as these networks do."""
    start = initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
    settings = {"padding": "same", "use_bias": False, **settings}
    return layers.Conv2D(filters, kernel, strides=strides, kernel_initializer=start, name=name, **settings)(x)


def depthwise(x: Any, kernel: int, name: str, strides: int, padding: str) -> Any:
    """Return a tensor after a depthwise convolution that starts as these networks do."""
    start = initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
    conv = layers.DepthwiseConv2D(
        kernel, strides=strides, padding=padding, use_bias=False, depthwise_initializer=start, name=name
    )
    return conv(x)


def bent(x: Any, name: str, **settings: Any) -> Any:
    """Return a tensor after normalization and swish."""
    return activated(normalized(x, f"{name}bn", **settings), f"{name}activation", "swish")


def excited(x: Any, squeezed: int, name: str) -> Any:
    """Scale each channel by what a small network makes of the averages of all."""
    filters = x.shape[-1]
    scale = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    scale = layers.Reshape((1, 1, filters), name=f"{name}se_reshape")(scale)
    scale = convolved(scale, squeezed, 1, f"{name}se_reduce", activation="swish", use_bias=True)
    scale = convolved(scale, filters, 1, f"{name}se_expand", activation="sigmoid", use_bias=True)
    return layers.multiply([x, scale], name=f"{name}se_excite")


def joined(x: Any, shortcut: Any, rate: float, name: str) -> Any:
    """Add a block to what it was given; in training, leave it out for some samples."""
    if rate > 0:
        x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.add([x, shortcut], name=f"{name}add")


def top(asked: Request, x: Any, dropout: float) -> Any:
    """Return the end of these networks."""
    if not asked.include_top:
        return asked.pool(x, named=True)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(dropout, name="top_dropout")(x)
    return asked.classify(x, kernel_initializer=initializers.VarianceScaling(1 / 3, "fan_out", "uniform"))


def _block(x: Any, kernel: int, entering: int, filters: int, widening: int, stride: int, rate: float, name: str) -> Any:
    shortcut = x
    if widening != 1:
        x = bent(convolved(x, entering * widening, 1, f"{name}expand_conv"), f"{name}expand_")
    if stride == 2:
        x = layers.ZeroPadding2D(halving_pad(x, kernel), name=f"{name}dwconv_pad")(x)
    x = bent(depthwise(x, kernel, f"{name}dwconv", stride, "valid" if stride == 2 else "same"), name)
    x = excited(x, max(1, entering // 4), name)
    x = normalized(convolved(x, filters, 1, f"{name}project_conv"), f"{name}project_bn")
    return joined(x, shortcut, rate, name) if stride == 1 and entering == filters else x


def _network(asked: Request, published: str) -> Functional:
    width, depth, size, dropout = _SCALES[published]
    first = asked.start(size, 32)
    x = layers.Normalization(axis=3)(layers.Rescaling(1.0 / 255.0)(first))
    if asked.published:  # the published weights were trained so
        x = layers.Rescaling([1.0 / math.sqrt(deviation) for deviation in (0.229, 0.224, 0.225)])(x)
    x = layers.ZeroPadding2D(halving_pad(x, 3), name="stem_conv_pad")(x)
    x = convolved(x, divisible(32 * width), 3, "stem_conv", 2, padding="valid")
    x = bent(x, "stem_")
    counts = [math.ceil(depth * stage[1]) for stage in _STAGES]
    done = 0
    for number, ((kernel, _, entering, filters, widening, stride), count) in enumerate(zip(_STAGES, counts), 1):
        entering, filters = divisible(entering * width), divisible(filters * width)
        for place in range(count):
            name = f"block{number}{chr(ord('a') + place)}_"
            rate = DROP_CONNECT * done / sum(counts)
            if place:
                entering, stride = filters, 1
            x = _block(x, kernel, entering, filters, widening, stride, rate, name)
            done += 1
    x = bent(convolved(x, divisible(1280 * width), 1, "top_conv"), "top_")
    file = f"efficientnet{published}{'' if asked.include_top else '_notop'}.h5"
    model = asked.model(first, top(asked, x, dropout))
    return asked.load(model, _URL + file, _HASHES[published][not asked.include_top])


@described
def EfficientNetB0(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "efficientnetb0",
) -> Functional:
    """Return EfficientNetB0: 1.0 times as wide and 1.0 times as deep as B0, for 224x224 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.

    Example:
        >>> EfficientNetB0(weights=None, input_shape=(32, 32, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "EfficientNetB0", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "b0")


@described
def EfficientNetB1(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "efficientnetb1",
) -> Functional:
    """Return EfficientNetB1: 1.0 times as wide and 1.1 times as deep as B0, for 240x240 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.

    Example:
        >>> EfficientNetB1(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetB1", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "b1")


@described
def EfficientNetB2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "efficientnetb2",
) -> Functional:
    """Return EfficientNetB2: 1.1 times as wide and 1.2 times as deep as B0, for 260x260 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.

    Example:
        >>> EfficientNetB2(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetB2", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "b2")


@described
def EfficientNetB3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "efficientnetb3",
) -> Functional:
    """Return EfficientNetB3: 1.2 times as wide and 1.4 times as deep as B0, for 300x300 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.

    Example:
        >>> EfficientNetB3(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetB3", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "b3")


@described
def EfficientNetB4(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "efficientnetb4",
) -> Functional:
    """Return EfficientNetB4: 1.4 times as wide and 1.8 times as deep as B0, for 380x380 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.

    Example:
        >>> EfficientNetB4(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetB4", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "b4")


@described
def EfficientNetB5(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "efficientnetb5",
) -> Functional:
    """Return EfficientNetB5: 1.6 times as wide and 2.2 times as deep as B0, for 456x456 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.

    Example:
        >>> EfficientNetB5(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetB5", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "b5")


@described
def EfficientNetB6(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "efficientnetb6",
) -> Functional:
    """Return EfficientNetB6: 1.8 times as wide and 2.6 times as deep as B0, for 528x528 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.

    Example:
        >>> EfficientNetB6(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetB6", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "b6")


@described
def EfficientNetB7(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "efficientnetb7",
) -> Functional:
    """Return EfficientNetB7: 2.0 times as wide and 3.1 times as deep as B0, for 600x600 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.

    Example:
        >>> EfficientNetB7(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetB7", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "b7")
