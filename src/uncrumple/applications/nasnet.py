"""NASNet: two kinds of cells that a search found, repeated."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, activated, described, halving_pad, normalized
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import tf_input as preprocess_input
from uncrumple.core.errors import explain
from uncrumple.models import Functional

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

_HASHES = {
    "mobile": ("020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63"),
    "large": ("11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5"),
}


def _bn(x: Any, name: str) -> Any:
    return normalized(x, name, momentum=0.9997, epsilon=1e-3)


def _pointwise(x: Any, filters: int, name: str) -> Any:
    """A convolution that looks at one place."""
    conv = layers.Conv2D(filters, 1, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)
    return conv(x)


def _separable(x: Any, filters: int, kernel: int, block: str, strides: int = 1) -> Any:
    """Two separable convolutions, each after an activation; the first may halve the image."""
    x = activated(x)
    if strides == 2:
        x = layers.ZeroPadding2D(halving_pad(x, kernel), name=f"separable_conv_1_pad_{block}")(x)
    for number, stride in ((1, strides), (2, 1)):
        if number == 2:
            x = activated(x)
        padding = "valid" if stride == 2 else "same"
        name = f"separable_conv_{number}_{block}"
        x = layers.SeparableConv2D(filters, kernel, strides=stride, padding=padding, use_bias=False, name=name)(x)
        x = _bn(x, f"separable_conv_{number}_bn_{block}")
    return x


def _adjusted(before: Any, x: Any, filters: int, block: str) -> Any:
    """What the cell before the last one made, in the size of what the last one made."""
    if before is None:
        return x
    if before.shape[-2] != x.shape[-2]:
        before = activated(before, f"adjust_relu_1_{block}")
        one = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_1_{block}")(before)
        one = _pointwise(one, filters // 2, f"adjust_conv_1_{block}")
        two = layers.ZeroPadding2D(((0, 1), (0, 1)))(before)
        two = layers.Cropping2D(((1, 0), (1, 0)))(two)
        two = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_2_{block}")(two)
        two = _pointwise(two, filters // 2, f"adjust_conv_2_{block}")
        return _bn(layers.concatenate([one, two]), f"adjust_bn_{block}")
    if before.shape[-1] != filters:
        before = _pointwise(activated(before), filters, f"adjust_conv_projection_{block}")
        return _bn(before, f"adjust_bn_{block}")
    return before


def _normal_cell(x: Any, before: Any, filters: int, block: str) -> tuple[Any, Any]:
    """A cell that keeps the size of the image; returns what it made, and what it was given."""
    p = _adjusted(before, x, filters, block)
    h = _bn(_pointwise(activated(x), filters, f"normal_conv_1_{block}"), f"normal_bn_1_{block}")

    def average(tensor: Any, name: str) -> Any:
        return layers.AveragePooling2D(3, strides=1, padding="same", name=f"normal_{name}_{block}")(tensor)

    def add(number: int, *parts: Any) -> Any:
        return layers.add(list(parts), name=f"normal_add_{number}_{block}")

    made = [p]
    left = _separable(h, filters, 5, f"normal_left1_{block}")
    made.append(add(1, left, _separable(p, filters, 3, f"normal_right1_{block}")))
    left = _separable(p, filters, 5, f"normal_left2_{block}")
    made.append(add(2, left, _separable(p, filters, 3, f"normal_right2_{block}")))
    made.append(add(3, average(h, "left3"), p))
    made.append(add(4, average(p, "left4"), average(p, "right4")))
    made.append(add(5, _separable(h, filters, 3, f"normal_left5_{block}"), h))
    return layers.concatenate(made, name=f"normal_concat_{block}"), x


def _reduction_cell(x: Any, before: Any, filters: int, block: str) -> tuple[Any, Any]:
    """A cell that halves the image; returns what it made, and what it was given."""
    p = _adjusted(before, x, filters, block)
    h = _bn(_pointwise(activated(x), filters, f"reduction_conv_1_{block}"), f"reduction_bn_1_{block}")
    padded = layers.ZeroPadding2D(halving_pad(h, 3), name=f"reduction_pad_1_{block}")(h)
    left = _separable(h, filters, 5, f"reduction_left1_{block}", 2)
    right = _separable(p, filters, 7, f"reduction_right1_{block}", 2)
    one = layers.add([left, right], name=f"reduction_add_1_{block}")
    left = layers.MaxPooling2D(3, strides=2, name=f"reduction_left2_{block}")(padded)
    right = _separable(p, filters, 7, f"reduction_right2_{block}", 2)
    two = layers.add([left, right], name=f"reduction_add_2_{block}")
    left = layers.AveragePooling2D(3, strides=2, name=f"reduction_left3_{block}")(padded)
    right = _separable(p, filters, 5, f"reduction_right3_{block}", 2)
    three = layers.add([left, right], name=f"reduction_add3_{block}")
    four = layers.AveragePooling2D(3, strides=1, padding="same", name=f"reduction_left4_{block}")(one)
    four = layers.add([two, four])
    left = _separable(one, filters, 3, f"reduction_left4_{block}")
    right = layers.MaxPooling2D(3, strides=2, name=f"reduction_right5_{block}")(padded)
    five = layers.add([left, right], name=f"reduction_add4_{block}")
    return layers.concatenate([two, three, four, five], name=f"reduction_concat_{block}"), x


def _network(asked: Request, kind: str, size: int, last: int, stem: int, repeats: int, skip: bool) -> Functional:
    """`last` channels at the end, `stem` at the beginning, `repeats` normal cells between two that halve.

    With `skip`, a cell after one that halves looks back over it.
    """
    if asked.input_shape is None:
        asked.input_shape = (size, size, 3)
    filters = last // 24
    first = asked.start(size, 32)
    if None in first.shape[1:3]:
        raise ValueError(
            explain(
                f"{asked.network} got images of {first.shape[1]}x{first.shape[2]} pixels.",
                "Expected numbers: a cell fits what came before the last cell to the size that the last one left.",
                f"{asked.network}(include_top=False, input_shape=({size}, {size}, 3))",
            )
        )
    conv = layers.Conv2D(stem, 3, strides=2, use_bias=False, kernel_initializer="he_normal", name="stem_conv1")
    x, before = _bn(conv(first), "stem_bn1"), None
    x, before = _reduction_cell(x, before, filters // 4, "stem_1")
    x, before = _reduction_cell(x, before, filters // 2, "stem_2")
    number = 0
    for stage in range(3):
        wide = filters * 2**stage
        if stage:
            x, given = _reduction_cell(x, before, wide, f"reduce_{stage * repeats}")
            before = before if skip else given
            number = stage * repeats + 1
        for place in range(repeats):
            x, before = _normal_cell(x, before, wide, str(number + place))
    x = asked.head(activated(x), average=None)
    ending = "" if asked.include_top else "-no-top"
    saved_as = f"nasnet_{kind}{ending.replace('-', '_')}.h5"
    url = f"{PUBLISHED}nasnet/NASNet-{kind}{ending}.h5"
    return asked.load(asked.model(first, x), url, _HASHES[kind][not asked.include_top], saved_as)


@described
def NASNetMobile(
    input_shape: Any = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_mobile",
) -> Functional:
    """Return NASNetMobile: twelve normal cells, and four that halve the image.

    Without the top, too, images have 224 x 224 pixels unless `input_shape` gives other numbers.

    Source: Zoph et al., "Learning transferable architectures for scalable image recognition", CVPR 2018.

    Example:
        >>> NASNetMobile(weights=None, input_shape=(32, 32, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "NASNetMobile", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "mobile", 224, 1056, 32, 4, skip=False)


@described
def NASNetLarge(
    input_shape: Any = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_large",
) -> Functional:
    """Return NASNetLarge: eighteen normal cells, and four that halve the image.

    Without the top, too, images have 331 x 331 pixels unless `input_shape` gives other numbers.

    Source: Zoph et al., "Learning transferable architectures for scalable image recognition", CVPR 2018.

    Example:
        >>> NASNetLarge(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "NASNetLarge", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "large", 331, 4032, 96, 6, skip=True)
