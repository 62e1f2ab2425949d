"""What every network of this room does alike: read the arguments, make the input, end with a head, fetch weights."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from uncrumple import activations, layers
from uncrumple.core.errors import explain, unknown_name, warn
from uncrumple.core.settings import image_data_format
from uncrumple.layers.symbolic import SymbolicTensor, made_by
from uncrumple.models import Functional

PUBLISHED = "https://storage.googleapis.com/tensorflow/keras-applications/"
_CLASSES = 1000

_ARGUMENTS = {
    "include_top": "Whether the last layers, which name a class, are there; True.",
    "include_preprocessing": "Whether the first layers scale pixels from 0 to 255 themselves; True.",
    "weights": '`"imagenet"` (the default) downloads the published ones, once; None begins at random; '
    "else the path of a file.",
    "input_tensor": "Output of a layer to put the network on; None makes an Input.",
    "input_shape": "Shape of an image, channels last; by default (None, None, 3) without the top, "
    "else the published size.",
    "pooling": 'Without the top: None keeps the feature map, `"avg"` and `"max"` make one vector of it.',
    "classes": "How many classes the top tells apart; 1000, as ImageNet has.",
    "classifier_activation": 'Of the top: `"softmax"`; None for logits.',
    "alpha": "Width of the layers, as a share of the published one; 1.0.",
    "depth_multiplier": "Channels that a depthwise convolution makes of each; 1.",
    "dropout": "Share of features dropped before the top; 0.001.",
    "dropout_rate": "Share of features dropped before the top; 0.2.",
    "minimalistic": "Whether squeeze-and-excitation, hard swish and 5x5 kernels are left out; False.",
    "name": "Of the model.",
}

F = TypeVar("F", bound=Callable[..., Any])


def described(function: F) -> F:
    """Complete the docstring of a network with what all of them share: arguments, shapes, errors."""
    lines = ["", "", "Args:"]
    lines += [f"    {name}: {_ARGUMENTS[name]}" for name in inspect.signature(function).parameters]
    lines += ["", "Input shape: (samples, height, width, channels), values from 0 to 255 after `preprocess_input`."]
    lines += ["Output shape: (samples, classes); without the top, a feature map, or a vector with `pooling`."]
    lines += ["", "Raises:"]
    lines += ["    ValueError: An argument is impossible, or does not go with the published weights."]
    lines += ["    ConnectionError: The weights are not here, and could not be downloaded."]
    text = inspect.cleandoc(function.__doc__ or "")
    first, _, example = text.partition("\n\nExample:")
    function.__doc__ = first + "\n".join(lines) + ("\n\nExample:" + example if example else "")
    return function


@dataclass
class Request:
    """What a caller wants of a network: the arguments that all of them take."""

    network: str
    include_top: bool
    weights: Any
    input_tensor: Any
    input_shape: Any
    pooling: str | None
    classes: int
    classifier_activation: Any
    name: str | None

    def __post_init__(self) -> None:
        if image_data_format() != "channels_last":
            raise ValueError(
                explain(
                    f"{self.network} was called with the image data format '{image_data_format()}'.",
                    "Expected 'channels_last': the published networks are built for it here.",
                    'uncrumple.config.set_image_data_format("channels_last"), and Permute((2, 3, 1)) before the network',
                )
            )
        if self.weights not in ("imagenet", None) and not os.path.exists(self.weights):
            raise ValueError(
                explain(
                    f"{self.network} got weights={self.weights!r}, and there is no such file.",
                    'Expected "imagenet", None, or the path of a file with weights.',
                    f'{self.network}(weights="imagenet")',
                )
            )
        if self.pooling not in (None, "avg", "max"):
            raise ValueError(unknown_name(f"pooling of {self.network}", self.pooling, ("avg", "max")))
        if isinstance(self.classes, bool) or not isinstance(self.classes, int) or self.classes < 1:
            raise ValueError(
                explain(
                    f"{self.network} got classes={self.classes!r}.",
                    "Expected a whole number above 0.",
                    f"{self.network}(weights=None, classes=10)",
                )
            )
        if self.published and self.include_top:
            if self.classes != _CLASSES:
                raise ValueError(
                    explain(
                        f"{self.network} got classes={self.classes} with the weights of ImageNet.",
                        f"Expected {_CLASSES}: those weights tell {_CLASSES} classes apart.",
                        f"{self.network}(include_top=False), and a Dense({self.classes}) of your own on it",
                    )
                )
            if activations.get(self.classifier_activation) not in (activations.softmax, activations.linear):
                raise ValueError(
                    explain(
                        f"{self.network} got classifier_activation={self.classifier_activation!r} "
                        "with the weights of ImageNet.",
                        'Expected "softmax" or None: the weights were trained for them.',
                        f"{self.network}(classifier_activation=None)",
                    )
                )
        if self.input_tensor is not None and not isinstance(self.input_tensor, SymbolicTensor):
            raise ValueError(
                explain(
                    f"{self.network} got a {type(self.input_tensor).__name__} as input_tensor.",
                    "Expected what Input(...) or a layer called on it returns.",
                    f"{self.network}(input_tensor=Input((224, 224, 3)))",
                )
            )

    @property
    def published(self) -> bool:
        """Whether the weights of ImageNet are wanted."""
        return isinstance(self.weights, str) and self.weights == "imagenet"

    def start(self, default_size: int, min_size: int) -> Any:
        """Return the tensor that the network begins with."""
        self.input_shape = self.shape(default_size, min_size)
        return self.begin()

    def begin(self) -> Any:
        """Return the tensor that the network begins with; `input_shape` is final."""
        return layers.Input(shape=self.input_shape) if self.input_tensor is None else self.input_tensor

    def shape(self, default_size: int, min_size: int) -> tuple[int | None, ...]:
        """Return the shape of an image, checked."""
        given = None if self.input_shape is None else tuple(self.input_shape)
        if given is not None and len(given) != 3:
            raise self._wrong_shape(given, "Expected three sizes: height, width, channels.", default_size)
        channels = 3 if given is None else given[2]
        if self.published and channels != 3:
            raise self._wrong_shape(given, "Expected 3 channels: the weights of ImageNet see colours.", default_size)
        if channels not in (1, 3):
            warn(
                f"{self.network} got input_shape={given}, with {channels} channels.",
                "Expected 1 or 3, as images have.",
                "none needed, if this was meant",
            )
        default = (default_size, default_size, channels)
        if self.published and self.include_top:
            if given not in (None, default):
                expected = f"Expected {default}: the weights of ImageNet with the top are for this size."
                raise self._wrong_shape(given, expected, default_size)
            return default
        if given is None:
            return default if self.include_top else (None, None, 3)
        if any(size is not None and size < min_size for size in given[:2]):
            raise self._wrong_shape(given, f"Expected at least {min_size}x{min_size} pixels.", default_size)
        if self.include_top and None in given:
            raise self._wrong_shape(given, "Expected numbers: the top needs a known size.", default_size)
        return given

    def _wrong_shape(self, given: Any, expected: str, size: int) -> ValueError:
        return ValueError(
            explain(
                f"{self.network} got input_shape={given}.", expected, f"{self.network}(input_shape=({size}, {size}, 3))"
            )
        )

    def pool(self, x: Any, named: bool = False) -> Any:
        """Return the end of a network without its top."""
        if self.pooling is None:
            return x
        pool = layers.GlobalAveragePooling2D if self.pooling == "avg" else layers.GlobalMaxPooling2D
        return pool(name=f"{self.pooling}_pool" if named else None)(x)

    def classify(self, x: Any, **dense: Any) -> Any:
        """Return the last layer of the top."""
        return layers.Dense(self.classes, activation=self.classifier_activation, name="predictions", **dense)(x)

    def head(self, x: Any, average: str | None = "avg_pool", named_pooling: bool = False) -> Any:
        """Return the end of most networks: the average over the places, and a Dense; or pooling."""
        if not self.include_top:
            return self.pool(x, named_pooling)
        return self.classify(layers.GlobalAveragePooling2D(name=average)(x))

    def model(self, first: Any, last: Any) -> Functional:
        """Return the model between two tensors."""
        inputs = first if self.input_tensor is None else sources(self.input_tensor)
        return Functional(inputs, last, name=self.name)

    def load(self, model: Functional, url: str, file_hash: str | None, saved_as: str | None = None) -> Functional:
        """Give the model its weights: those at an address, those of a file of the caller's, or none.

        Args:
            model: The model.
            url: Where the published weights are.
            file_hash: Their MD5 or SHA-256; None where none was published.
            saved_as: Name on this machine; by default that in the address.
        """
        if self.weights is None:
            return model
        path = self.weights
        if self.published:
            path = download(saved_as or url.rsplit("/", 1)[1], url, file_hash)
        model.load_weights(path)
        return model


def sources(tensor: Any) -> Any:
    """Return the inputs that a symbolic tensor was made of: one, or a list."""
    found: dict[int, Any] = {}
    waiting, seen = [tensor], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        node = made_by(one)
        if node.is_input:
            found[id(one)] = one
        waiting += node.inputs
    return list(found.values()) if len(found) > 1 else next(iter(found.values()))


def download(name: str, url: str, file_hash: str | None) -> Path:
    """Return a published file's path on this machine, fetched and checked if it is not there."""
    from uncrumple.data.get_file import get_file

    return Path(get_file(name, url, cache_subdir="models", file_hash=file_hash))


def divisible(size: float, by: int = 8, least: int | None = None, keep: float = 0.9) -> int:
    """Return the multiple of `by` that is nearest to a size, and not much below it."""
    rounded = max(least or by, int(size + by / 2) // by * by)
    return rounded + by if rounded < keep * size else rounded


def halving_pad(x: Any, kernel_size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding before a convolution with stride 2 that makes the same places meet for odd and even sizes."""
    half = kernel_size // 2
    odd = [1 if size is None else 1 - size % 2 for size in x.shape[1:3]]
    if x.shape[1] is None:
        odd = [1, 1]
    return (half - odd[0], half), (half - odd[1], half)


def normalized(x: Any, name: str | None = None, **settings: Any) -> Any:
    """Return a tensor after BatchNormalization."""
    return layers.BatchNormalization(name=name, **settings)(x)


def activated(x: Any, name: str | None = None, activation: Any = "relu") -> Any:
    """Return a tensor after Activation."""
    return layers.Activation(activation, name=name)(x)
