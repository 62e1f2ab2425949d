"""The initializer that makes a convolution compute a short-time Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import explain, unknown_name
from uncrumple.initializers.base import Initializer


class STFT(Initializer):
    """Start from the waves of a short-time Fourier transform, for a convolution of kernel (frame, 1, bins).

    w[n, 0, k] = window[n] * cos(-2 * pi * n * k / fft_length), or sin; fft_length = 2 * (bins - 1).

    Args:
        side: `"real"` for cosines or `"imag"` for sines.
        window: Name of a window of `scipy.signal`, an array of `frame_length` numbers, or None.
        scaling: `"density"`, `"spectrum"` or None: by what the window is divided.
        periodic: Whether a window given by name repeats without a seam.

    Example:
        >>> STFT(window=None)((4, 1, 3))[:, 0, 2]
        tensor([ 1., -1.,  1., -1.])
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(unknown_name("STFT side", side, ("real", "imag")))
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(unknown_name("STFT scaling", str(scaling), ("density", "spectrum")))
        if isinstance(window, str):
            _scipy_window(window, 4, periodic)
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        kind = torch_dtype(dtype)
        frame_length, _, bins = shape
        time = torch.arange(frame_length, dtype=kind).reshape(-1, 1, 1)
        frequency = torch.arange(bins, dtype=kind).reshape(1, 1, -1) / ((bins - 1) * 2)
        angle = -2 * time * frequency * math.pi
        kernel = torch.cos(angle) if self.side == "real" else torch.sin(angle)
        if self.window is not None:
            window = self.window
            if isinstance(window, str):
                window = _scipy_window(window, frame_length, self.periodic)
            window = torch.as_tensor(window, dtype=kind, device=kernel.device)
            if tuple(window.shape) != (frame_length,):
                raise ValueError(
                    explain(
                        f"STFT got a window of shape {tuple(window.shape)}.",
                        f"Expected one number per sample of a frame: ({frame_length},).",
                        'window="hann"',
                    )
                )
            kernel = kernel * window.reshape(-1, 1, 1)
            if self.scaling == "density":
                kernel = kernel / window.square().sum().sqrt()
            elif self.scaling == "spectrum":
                kernel = kernel / window.abs().sum()
        return kernel.expand(tuple(shape)).clone()

    def get_config(self) -> dict[str, Any]:
        return {"side": self.side, "window": self.window, "periodic": self.periodic, "scaling": self.scaling}


def _scipy_window(name: str, length: int, periodic: bool) -> np.ndarray:
    # scipy comes with scikit-learn; importing it here keeps the package's own import quick.
    from scipy.signal import get_window

    return get_window(name, length, periodic)
