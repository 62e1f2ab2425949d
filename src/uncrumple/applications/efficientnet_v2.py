"""EfficientNetV2: EfficientNet with plain convolutions in its first stages, where they are faster."""

from __future__ import annotations

import math
from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, described, divisible, normalized
from uncrumple.applications.efficientnet import DROP_CONNECT, bent, convolved, depthwise, excited, joined, top
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import same_input as preprocess_input
from uncrumple.models import Functional

__all__ = [
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "decode_predictions",
    "preprocess_input",
]

_HASHES = {
    "b0": ("21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"),
    "b1": ("069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"),
    "b2": ("424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"),
    "b3": ("1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"),
    "s": ("e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"),
    "m": ("a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"),
    "l": ("27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"),
}
# How many blocks, channels in and out, widening, stride, and whether the convolution is depthwise. Kernels are 3x3.
_B = (
    *((1, 32, 16, 1, 1, False), (2, 16, 32, 4, 2, False), (2, 32, 48, 4, 2, False)),
    *((3, 48, 96, 4, 2, True), (5, 96, 112, 6, 1, True), (8, 112, 192, 6, 2, True)),
)
_STAGES = {
    **dict.fromkeys(("b0", "b1", "b2", "b3"), _B),
    "s": (
        *((2, 24, 24, 1, 1, False), (4, 24, 48, 4, 2, False), (4, 48, 64, 4, 2, False)),
        *((6, 64, 128, 4, 2, True), (9, 128, 160, 6, 1, True), (15, 160, 256, 6, 2, True)),
    ),
    "m": (
        *((3, 24, 24, 1, 1, False), (5, 24, 48, 4, 2, False), (5, 48, 80, 4, 2, False)),
        *((7, 80, 160, 4, 2, True), (14, 160, 176, 6, 1, True), (18, 176, 304, 6, 2, True)),
        (5, 304, 512, 6, 1, True),
    ),
    "l": (
        *((4, 32, 32, 1, 1, False), (7, 32, 64, 4, 2, False), (7, 64, 96, 4, 2, False)),
        *((10, 96, 192, 4, 2, True), (19, 192, 224, 6, 1, True), (25, 224, 384, 6, 2, True)),
        (7, 384, 640, 6, 1, True),
    ),
}
# Width, depth, size of the image.
_SCALES = {
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "s": (1.0, 1.0, 384),
    "m": (1.0, 1.0, 480),
    "l": (1.0, 1.0, 480),
}
_MOMENTUM = {"momentum": 0.9}


def _rounded(filters: float) -> int:
    return divisible(filters, keep=0)


def _block(
    x: Any, entering: int, filters: int, widening: int, stride: int, is_depthwise: bool, rate: float, name: str
) -> Any:
    shortcut = x
    if widening != 1:
        kernel, strides = (1, 1) if is_depthwise else (3, stride)
        x = convolved(x, entering * widening, kernel, f"{name}expand_conv", strides)
        x = bent(x, f"{name}expand_", **_MOMENTUM)
    if is_depthwise:
        x = bent(depthwise(x, 3, f"{name}dwconv2", stride, "same"), name, **_MOMENTUM)
        x = excited(x, max(1, entering // 4), name)
    if is_depthwise or widening != 1:
        x = convolved(x, filters, 1, f"{name}project_conv")
    else:
        x = convolved(x, filters, 3, f"{name}project_conv", stride)
    if is_depthwise or widening != 1:
        x = normalized(x, f"{name}project_bn", **_MOMENTUM)
    else:
        x = bent(x, f"{name}project_", **_MOMENTUM)
    return joined(x, shortcut, rate, name) if stride == 1 and entering == filters else x


def _network(asked: Request, published: str, include_preprocessing: bool) -> Functional:
    (width, depth, size), stages = _SCALES[published], _STAGES[published]
    first = x = asked.start(size, 32)
    if include_preprocessing and published.startswith("b") and asked.input_shape[-1] == 3:
        x = layers.Rescaling(1.0 / 255)(x)
        variance = [0.229**2, 0.224**2, 0.225**2]
        x = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=variance, axis=3)(x)
    elif include_preprocessing:
        x = layers.Rescaling(1.0 / 128.0, offset=-1)(x)
    x = bent(convolved(x, _rounded(stages[0][1] * width), 3, "stem_conv", 2), "stem_", **_MOMENTUM)
    total, done = sum(stage[0] for stage in stages), 0
    for number, (count, entering, filters, widening, stride, is_depthwise) in enumerate(stages, 1):
        entering, filters = _rounded(entering * width), _rounded(filters * width)
        for place in range(math.ceil(depth * count)):
            name = f"block{number}{chr(ord('a') + place)}_"
            rate = DROP_CONNECT * done / total
            if place:
                entering, stride = filters, 1
            x = _block(x, entering, filters, widening, stride, is_depthwise, rate, name)
            done += 1
    x = bent(convolved(x, _rounded(1280 * width), 1, "top_conv"), "top_", **_MOMENTUM)
    file = f"efficientnetv2-{published}{'' if asked.include_top else '_notop'}.h5"
    model = asked.model(first, top(asked, x, 0.2))
    return asked.load(model, f"{PUBLISHED}efficientnet_v2/{file}", _HASHES[published][not asked.include_top])


@described
def EfficientNetV2B0(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-b0",
) -> Functional:
    """Return EfficientNetV2B0: blocks of plain convolutions, then of depthwise ones.

    Source: Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021.

    Example:
        >>> EfficientNetV2B0(weights=None, input_shape=(32, 32, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "EfficientNetV2B0",
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    return _network(asked, "b0", include_preprocessing)


@described
def EfficientNetV2B1(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-b1",
) -> Functional:
    """Return EfficientNetV2B1: blocks of plain convolutions, then of depthwise ones.

    Source: Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021.

    Example:
        >>> EfficientNetV2B1(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetV2B1",
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    return _network(asked, "b1", include_preprocessing)


@described
def EfficientNetV2B2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-b2",
) -> Functional:
    """Return EfficientNetV2B2: blocks of plain convolutions, then of depthwise ones.

    Source: Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021.

    Example:
        >>> EfficientNetV2B2(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetV2B2",
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    return _network(asked, "b2", include_preprocessing)


@described
def EfficientNetV2B3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-b3",
) -> Functional:
    """Return EfficientNetV2B3: blocks of plain convolutions, then of depthwise ones.

    Source: Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021.

    Example:
        >>> EfficientNetV2B3(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetV2B3",
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    return _network(asked, "b3", include_preprocessing)


@described
def EfficientNetV2S(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-s",
) -> Functional:
    """Return EfficientNetV2S: blocks of plain convolutions, then of depthwise ones.

    Source: Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021.

    Example:
        >>> EfficientNetV2S(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetV2S",
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    return _network(asked, "s", include_preprocessing)


@described
def EfficientNetV2M(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-m",
) -> Functional:
    """Return EfficientNetV2M: blocks of plain convolutions, then of depthwise ones.

    Source: Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021.

    Example:
        >>> EfficientNetV2M(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetV2M",
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    return _network(asked, "m", include_preprocessing)


@described
def EfficientNetV2L(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "efficientnetv2-l",
) -> Functional:
    """Return EfficientNetV2L: blocks of plain convolutions, then of depthwise ones.

    Source: Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021.

    Example:
        >>> EfficientNetV2L(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "EfficientNetV2L",
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    return _network(asked, "l", include_preprocessing)
