"""InceptionResNetV2: branches side by side, whose sum is added to what they were given."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, activated, described, normalized
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import tf_input as preprocess_input
from uncrumple.layers.published import CustomScaleLayer
from uncrumple.models import Functional

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]

_HASHES = ("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4")
# The branches of each kind of block: filters and kernel of their convolutions.
_BRANCHES: dict[str, tuple[tuple[tuple[int, Any], ...], ...]] = {
    "block35": (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
    "block17": (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))),
    "block8": (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))),
}


def _convolved(
    x: Any, filters: int, kernel: Any, strides: int = 1, padding: str = "same", name: str | None = None
) -> Any:
    x = layers.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=False, name=name)(x)
    x = normalized(x, f"{name}_bn" if name else None, scale=False)
    return activated(x, f"{name}_ac" if name else None)


def _branch(x: Any, *steps: tuple[int, Any], halve: bool = False) -> Any:
    """A chain of convolutions; `halve` lets the last one halve the image."""
    for place, (filters, kernel) in enumerate(steps, 1):
        last = halve and place == len(steps)
        x = _convolved(x, filters, kernel, 2 if last else 1, "valid" if last else "same")
    return x


def _block(x: Any, kind: str, number: int, scale: float, bend: bool = True) -> Any:
    name = f"{kind}_{number}"
    joined = layers.Concatenate(name=f"{name}_mixed")([_branch(x, *steps) for steps in _BRANCHES[kind]])
    change = layers.Conv2D(x.shape[-1], 1, padding="same", name=f"{name}_conv")(joined)
    x = CustomScaleLayer(scale)([x, change])
    return activated(x, f"{name}_ac") if bend else x


def _network(asked: Request) -> Functional:
    first = asked.start(299, 75)
    x = _convolved(first, 32, 3, 2, "valid")
    x = _convolved(x, 32, 3, padding="valid")
    x = _convolved(x, 64, 3)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _convolved(x, 80, 1, padding="valid")
    x = _convolved(x, 192, 3, padding="valid")
    x = layers.MaxPooling2D(3, strides=2)(x)
    branches = [_branch(x, (96, 1)), _branch(x, (48, 1), (64, 5)), _branch(x, (64, 1), (96, 3), (96, 3))]
    pooled = _convolved(layers.AveragePooling2D(3, strides=1, padding="same")(x), 64, 1)
    x = layers.Concatenate(name="mixed_5b")([*branches, pooled])
    for number in range(1, 11):
        x = _block(x, "block35", number, 0.17)
    branches = [_branch(x, (384, 3), halve=True), _branch(x, (256, 1), (256, 3), (384, 3), halve=True)]
    x = layers.Concatenate(name="mixed_6a")([*branches, layers.MaxPooling2D(3, strides=2)(x)])
    for number in range(1, 21):
        x = _block(x, "block17", number, 0.1)
    branches = [
        _branch(x, (256, 1), (384, 3), halve=True),
        _branch(x, (256, 1), (288, 3), halve=True),
        _branch(x, (256, 1), (288, 3), (320, 3), halve=True),
    ]
    x = layers.Concatenate(name="mixed_7a")([*branches, layers.MaxPooling2D(3, strides=2)(x)])
    for number in range(1, 10):
        x = _block(x, "block8", number, 0.2)
    x = _block(x, "block8", 10, 1.0, bend=False)
    x = _convolved(x, 1536, 1, name="conv_7b")
    ending = "" if asked.include_top else "_notop"
    url = f"{PUBLISHED}inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels{ending}.h5"
    return asked.load(asked.model(first, asked.head(x)), url, _HASHES[not asked.include_top])


@described
def InceptionResNetV2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_resnet_v2",
) -> Functional:
    """Return InceptionResNetV2: forty blocks of branches with shortcuts.

    Source: Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections", 2017.

    Example:
        >>> InceptionResNetV2(weights=None, input_shape=(75, 75, 3), classes=10).output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "InceptionResNetV2",
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    return _network(asked)
