"""MobileNetV3: MobileNetV2's blocks, arranged by a search, with squeeze-and-excitation."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import (
    PUBLISHED,
    Request,
    activated,
    described,
    divisible,
    halving_pad,
    normalized,
)
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import same_input as preprocess_input
from uncrumple.applications.mobilenet import check_width, tell_other_size
from uncrumple.applications.mobilenet_v2 import check_agreement
from uncrumple.models import Functional

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

_HASHES = {
    "large_224_0.75_float": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0_float": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0_float": ("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
    "small_224_0.75_float": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0_float": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0_float": ("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
}
# Widening, channels, kernel, stride, squeeze-and-excitation, hard swish; "minimalistic" has kernels of 3 and neither.
_SMALL = (
    *((1, 16, 3, 2, True, False), (72 / 16, 24, 3, 2, False, False), (88 / 24, 24, 3, 1, False, False)),
    *((4, 40, 5, 2, True, True), (6, 40, 5, 1, True, True), (6, 40, 5, 1, True, True)),
    *((3, 48, 5, 1, True, True), (3, 48, 5, 1, True, True)),
    *((6, 96, 5, 2, True, True), (6, 96, 5, 1, True, True), (6, 96, 5, 1, True, True)),
)
_LARGE = (
    *((1, 16, 3, 1, False, False), (4, 24, 3, 2, False, False), (3, 24, 3, 1, False, False)),
    *((3, 40, 5, 2, True, False), (3, 40, 5, 1, True, False), (3, 40, 5, 1, True, False)),
    *((6, 80, 3, 2, False, True), (2.5, 80, 3, 1, False, True), (2.3, 80, 3, 1, False, True)),
    *((2.3, 80, 3, 1, False, True), (6, 112, 3, 1, True, True), (6, 112, 3, 1, True, True)),
    *((6, 160, 5, 2, True, True), (6, 160, 5, 1, True, True), (6, 160, 5, 1, True, True)),
)


def _bn(x: Any, name: str) -> Any:
    return normalized(x, name, epsilon=1e-3, momentum=0.999)


def _bend(x: Any, hard_swish: bool) -> Any:
    return activated(x, activation="hard_swish") if hard_swish else layers.ReLU()(x)


def _excited(x: Any, filters: int, name: str) -> Any:
    """Scale each channel by what a small network makes of the averages of all."""
    name = f"{name}squeeze_excite_"
    scale = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}avg_pool")(x)
    scale = layers.Conv2D(divisible(filters * 0.25), 1, padding="same", name=f"{name}conv")(scale)
    scale = layers.ReLU(name=f"{name}relu")(scale)
    scale = layers.Conv2D(filters, 1, padding="same", name=f"{name}conv_1")(scale)
    scale = layers.ReLU(6.0)(scale + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{name}mul")([x, scale])


def _block(x: Any, number: int, block: tuple[float, int, int, int, bool, bool], filters: int, plain: bool) -> Any:
    widening, _, kernel, stride, excite, hard_swish = block
    if plain:
        kernel, excite, hard_swish = 3, False, False
    shortcut, channels = x, x.shape[-1]
    name = f"expanded_conv_{number}_" if number else "expanded_conv_"
    wide = divisible(channels * widening)
    if number:
        x = layers.Conv2D(wide, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = _bend(_bn(x, f"{name}expand_bn"), hard_swish)
    if stride == 2:
        x = layers.ZeroPadding2D(halving_pad(x, kernel), name=f"{name}depthwise_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(kernel, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise")(x)
    x = _bend(_bn(x, f"{name}depthwise_bn"), hard_swish)
    if excite:
        x = _excited(x, wide, name)
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _bn(x, f"{name}project_bn")
    return layers.Add(name=f"{name}add")([shortcut, x]) if stride == 1 and channels == filters else x


def _network(
    asked: Request,
    kind: str,
    blocks: tuple[Any, ...],
    last: int,
    alpha: float,
    minimalistic: bool,
    dropout_rate: float,
    include_preprocessing: bool,
) -> Functional:
    check_width(asked, alpha, (1.0,) if minimalistic else (0.75, 1.0))
    if asked.input_tensor is not None:
        check_agreement(asked)
        asked.input_shape = asked.input_shape or tuple(asked.input_tensor.shape[1:])
    given, top = asked.input_shape, asked.include_top
    asked.include_top = False  # the top averages, so that it takes images of any size
    first = asked.start(224, 32)
    asked.include_top = top
    if asked.published and (given is None or tuple(given[:2]) != (224, 224)):
        tell_other_size(asked, 224)
    x = layers.Rescaling(1.0 / 127.5, offset=-1.0)(first) if include_preprocessing else first
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = _bend(_bn(x, "conv_bn"), not minimalistic)
    for number, block in enumerate(blocks):
        x = _block(x, number, block, divisible(block[1] * alpha), minimalistic)
    x = layers.Conv2D(divisible(x.shape[-1] * 6), 1, padding="same", use_bias=False, name="conv_1")(x)
    x = _bend(_bn(x, "conv_1_bn"), not minimalistic)
    if asked.include_top:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Conv2D(divisible(last * alpha) if alpha > 1.0 else last, 1, padding="same", name="conv_2")(x)
        x = _bend(x, not minimalistic)
        if dropout_rate > 0:
            x = layers.Dropout(dropout_rate)(x)
        x = layers.Flatten()(layers.Conv2D(asked.classes, 1, padding="same", name="logits")(x))
        x = layers.Activation(asked.classifier_activation, name="predictions")(x)
    else:
        x = asked.pool(x, named=True)
    published = f"{kind}{'_minimalistic' if minimalistic else ''}_224_{float(alpha)}_float"
    file = f"weights_mobilenet_v3_{published}{'' if top else '_no_top_v2'}.h5"
    hashes = _HASHES.get(published, (None, None))
    return asked.load(asked.model(first, x), f"{PUBLISHED}mobilenet_v3/{file}", hashes[not top])


@described
def MobileNetV3Small(
    input_shape: Any = None,
    alpha: float = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    classes: int = 1000,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "MobileNetV3Small",
) -> Functional:
    """Return MobileNetV3Small: eleven inverted residual blocks.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019.

    Example:
        >>> MobileNetV3Small(weights=None, input_shape=(32, 32, 3), alpha=0.75, classes=10).output_shape
        (None, 10)
    """
    network = "MobileNetV3Small"
    asked = Request(
        *(network, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    )
    return _network(asked, "small", _SMALL, 1024, alpha, minimalistic, dropout_rate, include_preprocessing)


@described
def MobileNetV3Large(
    input_shape: Any = None,
    alpha: float = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    classes: int = 1000,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "MobileNetV3Large",
) -> Functional:
    """Return MobileNetV3Large: fifteen inverted residual blocks.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019.

    Example:
        >>> MobileNetV3Large(weights=None, input_shape=(32, 32, 3), alpha=0.75, classes=10).output_shape
        (None, 10)
    """
    network = "MobileNetV3Large"
    asked = Request(
        *(network, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    )
    return _network(asked, "large", _LARGE, 1280, alpha, minimalistic, dropout_rate, include_preprocessing)
