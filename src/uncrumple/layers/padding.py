"""Layers that add or cut off the margin of a line, an image or a volume."""

from __future__ import annotations

import numbers
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.kernels.convolution import pad
from uncrumple.layers.spatial import Spatial

Pairs = tuple[tuple[int, int], ...]


def _pairs(owner: str, argument: str, value: Any, rank: int) -> Pairs:
    """Return (before, after) for each axis: 1 becomes ((1, 1), (1, 1)), and (1, 2) becomes ((1, 1), (2, 2))."""

    def whole(number: Any) -> bool:
        return not isinstance(number, bool) and isinstance(number, numbers.Integral) and int(number) >= 0

    parts = list(value) if isinstance(value, (list, tuple)) else [value] * rank
    if rank == 1 and isinstance(value, (list, tuple)) and len(parts) == 2 and all(whole(part) for part in parts):
        parts = [tuple(parts)]  # a line has one axis: two numbers are its two ends
    pairs = [(part, part) if whole(part) else tuple(part) if isinstance(part, (list, tuple)) else () for part in parts]
    if len(pairs) != rank or any(len(pair) != 2 or not all(whole(number) for number in pair) for pair in pairs):
        example = "(1, 2)" if rank == 1 else str(((1, 2),) * rank)
        raise ValueError(
            explain(
                f"{owner} got {argument}={value!r}.",
                "Expected a whole number of at least 0, or (before, after)" + (" for each axis." if rank > 1 else "."),
                f"{owner}({example})",
            )
        )
    return tuple((int(pair[0]), int(pair[1])) for pair in pairs)


class _ZeroPadding(Spatial):
    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pads = _pairs(type(self).__name__, "padding", padding, self.rank)
        self.padding: Any = self._pads[0] if self.rank == 1 else self._pads
        self._set_axes(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return pad(inputs, self._pads, self._channels_last)

    def get_config(self) -> dict[str, Any]:
        pads = [list(pair) for pair in self._pads]
        return {
            **super().get_config(),
            "padding": pads[0] if self.rank == 1 else pads,
            "data_format": self.data_format,
        }


class _Cropping(Spatial):
    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._cuts = _pairs(type(self).__name__, "cropping", cropping, self.rank)
        self.cropping: Any = self._cuts[0] if self.rank == 1 else self._cuts
        self._set_axes(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        self._refuse_smaller(inputs, [sum(pair) + 1 for pair in self._cuts], f"cropping={self.cropping} leaves nothing")
        first = 1 if self._channels_last else 2
        for axis, (before, after) in enumerate(self._cuts, first):
            inputs = inputs.narrow(axis, before, inputs.shape[axis] - before - after)
        return inputs

    def get_config(self) -> dict[str, Any]:
        cuts = [list(pair) for pair in self._cuts]
        config = {**super().get_config(), "cropping": cuts[0] if self.rank == 1 else cuts}
        return config if self.rank == 1 else {**config, "data_format": self.data_format}


class ZeroPadding1D(_ZeroPadding):
    """Adds steps of zeros before and after a sequence.

    output[t] = inputs[t - before], and 0 where there is none; new steps = before + steps + after.

    Args:
        padding: Number of steps at each end, or (before, after).
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, steps, channels).
    Output shape: (samples, before + steps + after, channels).

    Example:
        >>> ZeroPadding1D((2, 0))(torch.ones(4, 10, 8)).shape
        torch.Size([4, 12, 8])
    """

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Adds a margin of zeros around an image.

    output[i, j] = inputs[i - top, j - left], and 0 where there is none.

    Args:
        padding: Width of the margin; or (top and bottom, left and right); or
            ((top, bottom), (left, right)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, top + height + bottom, left + width + right, channels).

    Example:
        >>> ZeroPadding2D(((1, 0), (2, 2)))(torch.ones(4, 10, 10, 3)).shape
        torch.Size([4, 11, 14, 3])
    """

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding3D(_ZeroPadding):
    """Adds a margin of zeros around a volume.

    output[i, j, k] = inputs[i - a, j - b, k - c], and 0 where there is none.

    Args:
        padding: Width of the margin, one number for each axis, or (before, after) for each axis.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: the same with the margin added to depth, height and width.

    Example:
        >>> ZeroPadding3D()(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 6, 8, 8, 2])
    """

    rank = 3

    def __init__(self, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


class Cropping1D(_Cropping):
    """Cuts steps off the ends of a sequence.

    output[t] = inputs[t + before]; new steps = steps - before - after.

    Args:
        cropping: Number of steps at each end, or (before, after).

    Input shape: (samples, steps, channels).
    Output shape: (samples, steps - before - after, channels).

    Example:
        >>> Cropping1D((2, 0))(torch.ones(4, 10, 8)).shape
        torch.Size([4, 8, 8])
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, **kwargs)


class Cropping2D(_Cropping):
    """Cuts the margin off an image.

    output[i, j] = inputs[i + top, j + left]; new height = height - top - bottom.

    Args:
        cropping: Width of the margin; or (top and bottom, left and right); or
            ((top, bottom), (left, right)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, height - top - bottom, width - left - right, channels).

    Example:
        >>> Cropping2D(((1, 0), (2, 2)))(torch.ones(4, 10, 10, 3)).shape
        torch.Size([4, 9, 6, 3])
    """

    rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """Cuts the margin off a volume.

    output[i, j, k] = inputs[i + a, j + b, k + c], where a, b and c is what is cut off before.

    Args:
        cropping: Width of the margin, one number for each axis, or (before, after) for each axis.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Input shape: (samples, depth, height, width, channels).
    Output shape: the same without the margin.

    Example:
        >>> Cropping3D()(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 2, 4, 4, 2])
    """

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)
