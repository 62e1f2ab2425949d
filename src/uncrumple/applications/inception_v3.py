"""InceptionV3: several convolutions side by side, their results joined."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, activated, described, normalized
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import tf_input as preprocess_input
from uncrumple.models import Functional

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

_HASHES = ("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63")
# What a branch is made of: filters and kernel; "/2" halves the image, without padding.
_Step = tuple[int, Any]


def _convolved(x: Any, filters: int, kernel: Any, strides: int = 1, padding: str = "same") -> Any:
    x = layers.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=False)(x)
    return activated(normalized(x, scale=False))


def _branch(x: Any, *steps: _Step, halve: bool = False) -> Any:
    """A chain of convolutions; `halve` lets the last one halve the image."""
    for place, (filters, kernel) in enumerate(steps, 1):
        last = halve and place == len(steps)
        x = _convolved(x, filters, kernel, 2 if last else 1, "valid" if last else "same")
    return x


def _averaged(x: Any, filters: int) -> Any:
    return _convolved(layers.AveragePooling2D(3, strides=1, padding="same")(x), filters, 1)


def _network(asked: Request) -> Functional:
    first = asked.start(299, 75)
    x = _convolved(first, 32, 3, 2, "valid")
    x = _convolved(x, 32, 3, padding="valid")
    x = _convolved(x, 64, 3)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _convolved(x, 80, 1, padding="valid")
    x = _convolved(x, 192, 3, padding="valid")
    x = layers.MaxPooling2D(3, strides=2)(x)
    for number, pooled in enumerate((32, 64, 64)):
        branches = [_branch(x, (64, 1)), _branch(x, (48, 1), (64, 5)), _branch(x, (64, 1), (96, 3), (96, 3))]
        x = layers.concatenate([*branches, _averaged(x, pooled)], name=f"mixed{number}")
    branches = [_branch(x, (384, 3), halve=True), _branch(x, (64, 1), (96, 3), (96, 3), halve=True)]
    x = layers.concatenate([*branches, layers.MaxPooling2D(3, strides=2)(x)], name="mixed3")
    for number, thin in enumerate((128, 160, 160, 192), 4):
        across, down = (1, 7), (7, 1)
        branches = [
            _branch(x, (192, 1)),
            _branch(x, (thin, 1), (thin, across), (192, down)),
            _branch(x, (thin, 1), (thin, down), (thin, across), (thin, down), (192, across)),
        ]
        x = layers.concatenate([*branches, _averaged(x, 192)], name=f"mixed{number}")
    branches = [
        _branch(x, (192, 1), (320, 3), halve=True),
        _branch(x, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3), halve=True),
    ]
    x = layers.concatenate([*branches, layers.MaxPooling2D(3, strides=2)(x)], name="mixed8")
    for number in (9, 10):
        one = _branch(x, (320, 1))
        fork = _branch(x, (384, 1))
        ends = [_convolved(fork, 384, (1, 3)), _convolved(fork, 384, (3, 1))]
        two = layers.concatenate(ends, name=f"mixed9_{number - 9}")
        fork = _branch(x, (448, 1), (384, 3))
        three = layers.concatenate([_convolved(fork, 384, (1, 3)), _convolved(fork, 384, (3, 1))])
        x = layers.concatenate([one, two, three, _averaged(x, 192)], name=f"mixed{number}")
    ending = "" if asked.include_top else "_notop"
    url = f"{PUBLISHED}inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels{ending}.h5"
    return asked.load(asked.model(first, asked.head(x)), url, _HASHES[not asked.include_top])


@described
def InceptionV3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v3",
) -> Functional:
    """Return InceptionV3: eleven blocks of branches.

    Source: Szegedy et al., "Rethinking the inception architecture for computer vision", CVPR 2016.

    Example:
        >>> InceptionV3(weights=None, input_shape=(75, 75, 3), classes=10).output_shape
        (None, 10)
    """
    asked = Request(
        "InceptionV3", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked)
