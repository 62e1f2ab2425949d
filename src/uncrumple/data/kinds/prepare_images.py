"""The first layer of a model of pictures: pixels are scaled, channel by channel."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.data.kinds.preparation import Preparation, register
from uncrumple.layers import Input, Normalization

# Classical models get at most this many pixels a side: their time grows with the features.
_MATRIX_SIDE = 32
_ROWS = 1024


def fitted(pieces: Iterable[np.ndarray]) -> dict[str, Any]:
    """Return mean and variance of each channel over the training rows, and the shape of a sample.

    Args:
        pieces: The pixels, some rows at a time.
    """
    total: Any = 0.0
    squares: Any = 0.0
    shape: tuple[int, ...] = ()
    count = 0
    for pixels in pieces:
        shape = pixels.shape[1:]
        some = pixels.reshape(-1, shape[-1]).astype(np.float64)
        total = total + some.sum(axis=0)
        squares = squares + np.square(some).sum(axis=0)
        count += len(some)
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0)
    return {
        "sample_shape": list(shape),
        "mean": mean.tolist(),
        "variance": np.where(variance > 1e-12, variance, 1.0).tolist(),
    }


class ImagePreparation(Preparation):
    """Brings each channel of pictures to mean 0 and variance 1, as measured over the training rows.

    Args:
        sample_shape: (height, width, channels).
        mean, variance: Of each channel.
        reading: How files are read: a dict of size, color and fit.
        meaning, name: As for `Preparation`.

    Shapes: (samples, height, width, channels), in and out.

    Example:
        >>> from uncrumple.data import Images
        >>> preparation = Images(np.array([[[0, 20]], [[20, 0]]], "uint8")).preparation()
        >>> preparation.prepare(np.array([[[[0], [40]]]])).ravel().tolist()
        [-1.0, 3.0]
    """

    kind = "images"

    def __init__(
        self,
        sample_shape: Any,
        mean: Any,
        variance: Any,
        reading: dict[str, Any],
        meaning: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(meaning, **kwargs)
        self.sample_shape = tuple(int(size) for size in sample_shape)
        self.mean, self.variance = list(mean), list(variance)
        self.reading = dict(reading)
        self.scale = Normalization(mean=self.mean, variance=self.variance)
        self.scale.build((None, *self.sample_shape))

    def inputs(self) -> Any:
        return Input(self.sample_shape, name="picture")

    def read(self, source: Any) -> np.ndarray:
        """Return a picture file, a list of them, a folder, an array or `Images` as raw rows."""
        from uncrumple.data.kinds.images import ENDINGS, Images, _are_of_any_size
        from uncrumple.data.kinds.pictures import Pictures, as_picture, read_pictures

        if isinstance(source, Images):
            source = source.raw if source.files is None else list(source.files)
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            if path.is_dir():
                source = sorted(str(one) for one in path.rglob("*") if one.suffix.lower() in ENDINGS)
                if not source:
                    raise ValueError(
                        explain(
                            f"{path} holds no pictures.",
                            f"Expected files ending in {', '.join(ENDINGS)}.",
                            "check the path",
                        )
                    )
            else:
                source = [str(path)]
        if isinstance(source, (list, tuple)) and source and isinstance(source[0], (str, os.PathLike)):
            return read_pictures([os.fspath(one) for one in source], self.reading)
        if hasattr(source, "getbands"):
            source = [source]
        if _are_of_any_size(source):
            found = Pictures([as_picture(one, number) for number, one in enumerate(source)], self.reading)
            return found.pixels(np.arange(len(found)), keep=False)
        pixels = np.asarray(source)
        pixels = pixels[..., None] if pixels.ndim == len(self.sample_shape) and self.sample_shape[-1] == 1 else pixels
        if pixels.shape[1:] != self.sample_shape:
            raise ValueError(
                explain(
                    f"The pictures have the shape {pixels.shape}.",
                    f"Expected (samples, {', '.join(map(str, self.sample_shape))}).",
                    "preparation.read([...paths]), which brings files to that size",
                )
            )
        return pixels

    def in_words(self) -> str:
        said = "pixels scaled, channel by channel" if self.sample_shape[-1] > 1 else "pixels scaled"
        return f"{said} (mean {', '.join(f'{mean:.4g}' for mean in self.mean)})"

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.scale(inputs)

    def restore(self, prepared: Any) -> np.ndarray:
        """Return the pixels that were prepared as these numbers."""
        numbers = np.asarray(prepared.detach().cpu() if hasattr(prepared, "detach") else prepared, np.float32)
        return numbers * np.sqrt(np.asarray(self.variance, np.float32)) + np.asarray(self.mean, np.float32)

    def matrix(self, raw: Any) -> np.ndarray:
        """Return pictures as rows of a matrix; larger ones are made smaller first, to 32 pixels a side."""
        if len(self.sample_shape) != 3 or max(self.sample_shape[:2]) <= _MATRIX_SIDE:
            return super().matrix(raw)
        parts = []
        for start in range(0, len(raw), _ROWS):
            with torch.no_grad():
                pixels = self(torch.as_tensor(np.asarray(raw[start : start + _ROWS]))).permute(0, 3, 1, 2)
                side = tuple(min(size, _MATRIX_SIDE) for size in self.sample_shape[:2])
                small = torch.nn.functional.interpolate(pixels, side, mode="area").permute(0, 2, 3, 1)
            parts.append(small.reshape(len(small), -1).numpy())
        return np.concatenate(parts)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sample_shape": list(self.sample_shape),
            "mean": self.mean,
            "variance": self.variance,
            "reading": self.reading,
        }


register([ImagePreparation])
