"""ConvNeXt: a convolutional network with what made transformers good."""

from __future__ import annotations

from typing import Any

from uncrumple import layers
from uncrumple.applications.common import PUBLISHED, Request, activated, described
from uncrumple.applications.imagenet_utils import decode_predictions
from uncrumple.applications.imagenet_utils import same_input as preprocess_input
from uncrumple.layers.published import LayerScale
from uncrumple.models import Functional, Sequential

__all__ = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "decode_predictions",
    "preprocess_input",
]

_HASHES = {
    "convnext_tiny": (
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    "convnext_small": (
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
    "convnext_base": (
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
    "convnext_large": (
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
    "convnext_xlarge": (
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
}
_EPSILON = 1e-6
_FIRST_SCALE = 1e-6
# Of the pictures of ImageNet, red, green and blue.
_MEAN = [0.485 * 255, 0.456 * 255, 0.406 * 255]
_VARIANCE = [(0.229 * 255) ** 2, (0.224 * 255) ** 2, (0.225 * 255) ** 2]


def _block(x: Any, filters: int, name: str) -> Any:
    new = layers.Conv2D(filters, 7, padding="same", groups=filters, name=f"{name}_depthwise_conv")(x)
    new = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_layernorm")(new)
    new = layers.Dense(4 * filters, name=f"{name}_pointwise_conv_1")(new)
    new = activated(new, f"{name}_gelu", "gelu")
    new = layers.Dense(filters, name=f"{name}_pointwise_conv_2")(new)
    new = LayerScale(_FIRST_SCALE, filters, name=f"{name}_layer_scale")(new)
    return x + activated(new, f"{name}_identity", "linear")


def _halving(number: int, filters: int, name: str) -> Sequential:
    """What comes before a stage: a convolution whose windows do not overlap."""
    if number == 0:
        conv = layers.Conv2D(filters, 4, strides=4, name=f"{name}_stem_conv")
        norm = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_stem_layernorm")
        return Sequential([conv, norm], name=f"{name}_stem")
    norm = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_downsampling_layernorm_{number - 1}")
    conv = layers.Conv2D(filters, 2, strides=2, name=f"{name}_downsampling_conv_{number - 1}")
    return Sequential([norm, conv], name=f"{name}_downsampling_block_{number - 1}")


def _network(
    asked: Request, published: str, depths: tuple[int, ...], width: int, include_preprocessing: bool
) -> Functional:
    name = asked.name
    first = x = asked.start(224, 32)
    if include_preprocessing and asked.input_shape[-1] == 3:
        x = layers.Normalization(mean=_MEAN, variance=_VARIANCE, name=f"{name}_prestem_normalization")(x)
    for stage, depth in enumerate(depths):
        x = _halving(stage, width * 2**stage, str(name))(x)
        for number in range(depth):
            x = _block(x, width * 2**stage, f"{name}_stage_{stage}_block_{number}")
    if asked.include_top:
        x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
        x = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_head_layernorm")(x)
        x = layers.Dense(asked.classes, activation=asked.classifier_activation, name=f"{name}_head_dense")(x)
    else:
        x = layers.LayerNormalization(epsilon=_EPSILON)(asked.pool(x))
    url = f"{PUBLISHED}convnext/{published}{'' if asked.include_top else '_notop'}.h5"
    return asked.load(asked.model(first, x), url, _HASHES[published][not asked.include_top])


@described
def ConvNeXtTiny(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "convnext_tiny",
) -> Functional:
    """Return ConvNeXtTiny: 18 blocks in four stages, the first with 96 channels.

    Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022.

    Example:
        >>> model = ConvNeXtTiny(weights=None, input_shape=(32, 32, 3), classes=10)
        >>> model.output_shape
        (None, 10)
    """
    asked = Request(
        "ConvNeXtTiny", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "convnext_tiny", (3, 3, 9, 3), 96, include_preprocessing)


@described
def ConvNeXtSmall(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "convnext_small",
) -> Functional:
    """Return ConvNeXtSmall: 36 blocks in four stages, the first with 96 channels.

    Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022.

    Example:
        >>> model = ConvNeXtSmall(weights=None, input_shape=(32, 32, 3), classes=10)  # doctest: +SKIP
        >>> model.output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "ConvNeXtSmall", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "convnext_small", (3, 3, 27, 3), 96, include_preprocessing)


@described
def ConvNeXtBase(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "convnext_base",
) -> Functional:
    """Return ConvNeXtBase: 36 blocks in four stages, the first with 128 channels.

    Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022.

    Example:
        >>> model = ConvNeXtBase(weights=None, input_shape=(32, 32, 3), classes=10)  # doctest: +SKIP
        >>> model.output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "ConvNeXtBase", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "convnext_base", (3, 3, 27, 3), 128, include_preprocessing)


@described
def ConvNeXtLarge(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "convnext_large",
) -> Functional:
    """Return ConvNeXtLarge: 36 blocks in four stages, the first with 192 channels.

    Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022.

    Example:
        >>> model = ConvNeXtLarge(weights=None, input_shape=(32, 32, 3), classes=10)  # doctest: +SKIP
        >>> model.output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "ConvNeXtLarge", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "convnext_large", (3, 3, 27, 3), 192, include_preprocessing)


@described
def ConvNeXtXLarge(
    include_top: bool = True,
    include_preprocessing: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "convnext_xlarge",
) -> Functional:
    """Return ConvNeXtXLarge: 36 blocks in four stages, the first with 256 channels.

    Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022.

    Example:
        >>> model = ConvNeXtXLarge(weights=None, input_shape=(32, 32, 3), classes=10)  # doctest: +SKIP
        >>> model.output_shape  # doctest: +SKIP
        (None, 10)
    """
    asked = Request(
        "ConvNeXtXLarge", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    return _network(asked, "convnext_xlarge", (3, 3, 27, 3), 256, include_preprocessing)
