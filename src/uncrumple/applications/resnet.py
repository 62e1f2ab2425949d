"""Residual networks: blocks that add to what they are given."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, activated, described, normalized
from uncrumple.applications.imagenet_utils import caffe_input as preprocess_input
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.models import Functional

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

_HASHES = {
    "resnet50": ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    "resnet50v2": ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
    "resnet101v2": ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "resnet152v2": ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
}
# How many blocks each of the four stages has.
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_FILTERS = (64, 128, 256, 512)
_EPSILON = 1.001e-5


def _bn(x: Any, name: str, *, then_relu: str | None = None) -> Any:
    x = normalized(x, f"{name}_bn", epsilon=_EPSILON)
    return x if then_relu is None else activated(x, then_relu)


def _block(x: Any, filters: int, stride: int, project: bool, name: str) -> Any:
    """A block of the first version: the activation comes after the sum."""
    shortcut = x
    if project:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = _bn(shortcut, f"{name}_0")
    x = layers.Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = _bn(x, f"{name}_1", then_relu=f"{name}_1_relu")
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = _bn(x, f"{name}_2", then_relu=f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    x = _bn(x, f"{name}_3")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return activated(x, f"{name}_out")


def _block_v2(x: Any, filters: int, stride: int, project: bool, name: str) -> Any:
    """A block of the second version: normalization and activation come first, and the sum is left as it is."""
    ready = _bn(x, f"{name}_preact", then_relu=f"{name}_preact_relu")
    shortcut = x
    if project:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(ready)
    elif stride > 1:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(ready)
    x = _bn(x, f"{name}_1", then_relu=f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = _bn(x, f"{name}_2", then_relu=f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([shortcut, x])


def residual_network(asked: Request, published: str, depths: tuple[int, ...]) -> Functional:
    """Return a network of four stages of residual blocks; of the second version if its name says so."""
    second = published.endswith("v2")
    first = asked.start(224, 32)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(first)
    x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
    if not second:
        x = _bn(x, "conv1", then_relu="conv1_relu")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, (filters, depth) in enumerate(zip(_FILTERS, depths), 2):
        for number in range(1, depth + 1):
            name = f"conv{stage}_block{number}"
            if second:  # the last block of a stage halves the image, but for the last stage
                x = _block_v2(x, filters, 2 if number == depth and stage < 5 else 1, number == 1, name)
            else:  # the first one does, but for the first stage
                x = _block(x, filters, 2 if number == 1 and stage > 2 else 1, number == 1, name)
    if second:
        x = _bn(x, "post", then_relu="post_relu")
    ending = "" if asked.include_top else "_notop"
    url = f"{PUBLISHED}resnet/{published}_weights_tf_dim_ordering_tf_kernels{ending}.h5"
    model = asked.model(first, asked.head(x, named_pooling=True))
    return asked.load(model, url, _HASHES[published][not asked.include_top])


@described
def ResNet50(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "resnet50",
) -> Functional:
    """Return ResNet50: 50 layers in residual blocks.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016.

    Example:
        >>> ResNet50(weights=None, input_shape=(32, 32, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "ResNet50", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return residual_network(asked, "resnet50", DEPTHS[50])


@described
def ResNet101(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "resnet101",
) -> Functional:
    """Return ResNet101: 101 layers in residual blocks.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016.

    Example:
        >>> ResNet101(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "ResNet101", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return residual_network(asked, "resnet101", DEPTHS[101])


@described
def ResNet152(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "resnet152",
) -> Functional:
    """Return ResNet152: 152 layers in residual blocks.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016.

    Example:
        >>> ResNet152(weights=None, input_shape=(32, 32, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "ResNet152", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return residual_network(asked, "resnet152", DEPTHS[152])
