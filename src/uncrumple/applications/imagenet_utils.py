"""Images as the published networks want them, and names for what they answer."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import torch

from uncrumple import ops
from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.settings import image_data_format

__all__ = ["decode_predictions", "preprocess_input"]

_CLASS_INDEX = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
_CLASS_INDEX_HASH = "c2c37ea517e94d9795004a39431a14cb"
# Means (and deviations) of the pictures of ImageNet: blue, green, red from 0 to 255; red, green, blue from 0 to 1.
_MEAN_BGR = (103.939, 116.779, 123.68)
_MEAN_RGB, _DEVIATION_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Return images with values from 0 to 255 as a network was trained on them; `x` stays as it is.

    `"tf"`: x / 127.5 - 1. `"torch"`: (x / 255 - mean) / deviation, per channel, over ImageNet.
    `"caffe"`: x - mean, per channel, over ImageNet, with blue before green and red.

    Args:
        x: One image or a batch, as an array or tensor: red, green and blue from 0 to 255.
        data_format: `"channels_last"` or `"channels_first"`; by default the global setting.
        mode: `"caffe"`, `"tf"` or `"torch"`, by where the weights come from.

    Returns:
        An array or a tensor, of floats.

    Raises:
        ValueError: The mode or the order of the axes is none of these, or there are not three colours.

    Example:
        >>> preprocess_input(np.full((1, 1, 3), 255), mode="tf").tolist()
        [[[1.0, 1.0, 1.0]]]
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(unknown_name("mode of preprocess_input", mode, ("caffe", "tf", "torch")))
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(
            unknown_name("data_format of preprocess_input", data_format, ("channels_last", "channels_first"))
        )
    if not isinstance(x, torch.Tensor):
        x = np.asarray(x)
        if x.dtype.kind != "f":
            x = x.astype(floatx())
    elif not x.is_floating_point():
        x = ops.cast(x, floatx())
    if mode == "tf":
        return x / 127.5 - 1.0
    axis = -3 if (data_format or image_data_format()) == "channels_first" else -1
    if len(x.shape) not in (3, 4) or x.shape[axis] != 3:
        raise ValueError(
            explain(
                f"preprocess_input got images of shape {tuple(x.shape)}.",
                "Expected three axes, or four for a batch, with 3 colours.",
                "np.repeat(x, 3, axis=-1) for grey images with one channel",
            )
        )
    if mode == "torch":
        return (x / 255.0 - _channels(x, _MEAN_RGB, axis)) / _channels(x, _DEVIATION_RGB, axis)
    if isinstance(x, np.ndarray):
        x = np.flip(x, axis)
    else:
        places: list[Any] = [slice(None)] * x.ndim
        colours = []
        for channel in (2, 1, 0):
            places[axis] = channel
            colours.append(x[tuple(places)])
        x = ops.stack(colours, axis=axis)
    return x - _channels(x, _MEAN_BGR, axis)


def _channels(x: Any, values: tuple[float, ...], axis: int) -> Any:
    """Return one number per colour, to be taken from or divided into `x`."""
    array = np.array(values, dtype=np.float32 if not isinstance(x, np.ndarray) else x.dtype)
    array = array.reshape(3, *(1,) * (-axis - 1))
    return array if isinstance(x, np.ndarray) else ops.convert_to_tensor(array, dtype=x.dtype)


def tf_input(x: Any, data_format: str | None = None) -> Any:
    """Return images from 0 to 255 scaled to -1 ... 1: x / 127.5 - 1.

    Args:
        x: One image or a batch, as an array or tensor.
        data_format: `"channels_last"` (the default) or `"channels_first"`; the result is the same.

    Example:
        >>> tf_input(np.array([[[0.0, 127.5, 255.0]]])).tolist()
        [[[-1.0, 0.0, 1.0]]]
    """
    return preprocess_input(x, data_format, "tf")


def torch_input(x: Any, data_format: str | None = None) -> Any:
    """Return images from 0 to 255 scaled to 0 ... 1, then normalized: (x / 255 - mean) / deviation over ImageNet.

    Args:
        x: One image or a batch, as an array or tensor.
        data_format: `"channels_last"` or `"channels_first"`; by default the global setting.

    Example:
        >>> torch_input(np.zeros((1, 1, 3))).round(2).tolist()
        [[[-2.12, -2.04, -1.8]]]
    """
    return preprocess_input(x, data_format, "torch")


def caffe_input(x: Any, data_format: str | None = None) -> Any:
    """Return images from 0 to 255 with the order of colours turned round, less the mean over ImageNet: x - mean.

    Args:
        x: One image or a batch, as an array or tensor.
        data_format: `"channels_last"` or `"channels_first"`; by default the global setting.

    Example:
        >>> caffe_input(np.array([[[123.68, 116.779, 103.939]]])).tolist()
        [[[0.0, 0.0, 0.0]]]
    """
    return preprocess_input(x, data_format, "caffe")


def same_input(x: Any, data_format: str | None = None) -> Any:
    """Return images as they are: the network scales them itself.

    Args:
        x: One image or a batch, with values from 0 to 255.
        data_format: `"channels_last"` or `"channels_first"`; by default the global setting.

    Example:
        >>> same_input(np.array([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    return x


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """Return the likeliest of the 1000 classes of ImageNet, in words; the list of names is downloaded once.

    Args:
        preds: Probabilities of shape (samples, 1000), from a network with its top.
        top: How many classes per sample; 5.

    Returns:
        For each sample, [(identifier in WordNet, word, probability)], likeliest first.

    Raises:
        ValueError: The shape is another.
        ConnectionError: The names are not here, and could not be downloaded.

    Example:
        >>> decode_predictions(np.eye(1000)[:1], top=1)  # doctest: +SKIP
        [[('n01440764', 'tench', 1.0)]]
    """
    if len(preds.shape) != 2 or preds.shape[1] != 1000:
        raise ValueError(
            explain(
                f"decode_predictions got an array of shape {tuple(preds.shape)}.",
                "Expected (samples, 1000): what a network with the top of ImageNet answers.",
                "model.predict(images), of a model with include_top=True and classes=1000",
            )
        )
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= 1000:
        raise ValueError(
            explain(
                f"decode_predictions got top={top!r}.",
                "Expected a whole number from 1 to 1000.",
                "decode_predictions(preds, top=5)",
            )
        )
    names = _class_names()
    found = []
    for row in ops.convert_to_numpy(preds):
        best = row.argsort()[-top:][::-1]
        found.append([(*names[index], row[index]) for index in best.tolist()])
    return found


@cache
def _class_names() -> list[tuple[str, str]]:
    from uncrumple.applications.common import download

    with open(download("imagenet_class_index.json", _CLASS_INDEX, _CLASS_INDEX_HASH), encoding="utf-8") as file:
        table = json.load(file)
    return [tuple(table[str(index)]) for index in range(1000)]  # type: ignore[misc]
