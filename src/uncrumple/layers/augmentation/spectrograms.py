"""Sound as pictures: which pitches there are at which time."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple import initializers, ops
from uncrumple.core.errors import explain, warn
from uncrumple.core.promotion import torch_type
from uncrumple.layers import checks
from uncrumple.layers.augmentation.base import is_number
from uncrumple.layers.base import Layer
from uncrumple.layers.input_spec import InputSpec
from uncrumple.ops.tensors import tensor

_EPSILON = 1e-7


def _mel(hertz: torch.Tensor) -> torch.Tensor:
    """Return pitch as it is heard: 1127 ln(1 + f / 700)."""
    return 1127.0 * torch.log(1.0 + hertz / 700.0)


class MelSpectrogram(Layer):
    """Turns sound into the strength of pitches over time, on a scale as it is heard.

    A short-time Fourier transform; its absolute values to the power `mag_exp`;
    sums over triangles that are equally wide in mel, `1127 ln(1 + f / 700)`;
    and decibels, `10 log10`.

    Source: Davis and Mermelstein, "Comparison of Parametric Representations", 1980.

    Args:
        fft_length: Length of a Fourier transform.
        sequence_stride: Steps from one piece of sound to the next.
        sequence_length: Length of a piece; `fft_length` by default, and no longer.
        window: What pieces are weighted with: `"hann"`, `"hamming"`, a tensor, or None.
        sampling_rate: Steps per second.
        num_mel_bins: How many pitches.
        min_freq, max_freq: The lowest and the highest frequency in hertz; by default half the sampling rate.
        power_to_db: Whether the result is in decibels.
        top_db: How far below the loudest, in decibels, the result is cut off.
        mag_exp: 1 for amplitudes, 2 for power.
        min_power: What quieter sounds are taken for.
        ref_power: What counts as 0 decibels.

    Shapes: (samples, steps), or (steps,), to (samples, num_mel_bins, pieces).

    Example:
        >>> MelSpectrogram(fft_length=256, sequence_stride=128, num_mel_bins=16)(torch.rand(2, 1024)).shape
        torch.Size([2, 16, 9])
    """

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = "MelSpectrogram"
        self.fft_length = checks.whole_number(owner, "fft_length", fft_length, example=2048)
        self.sequence_stride = checks.whole_number(owner, "sequence_stride", sequence_stride, example=512)
        self.sequence_length = checks.whole_number(owner, "sequence_length", sequence_length or fft_length)
        if self.fft_length < self.sequence_length:
            raise ValueError(
                explain(
                    f"MelSpectrogram got sequence_length={sequence_length} and fft_length={fft_length}.",
                    "Expected fft_length >= sequence_length.",
                    f"MelSpectrogram(fft_length={self.sequence_length}, sequence_length={self.sequence_length})",
                )
            )
        for argument, value in (("sampling_rate", sampling_rate), ("min_power", min_power)):
            if not is_number(value) or value <= 0:
                raise ValueError(
                    explain(
                        f"MelSpectrogram got {argument}={value!r}.",
                        "Expected a number above 0.",
                        f"MelSpectrogram({argument}={16000 if argument == 'sampling_rate' else 1e-10})",
                    )
                )
        self.window = window
        self.sampling_rate = sampling_rate
        self.num_mel_bins = checks.whole_number(owner, "num_mel_bins", num_mel_bins, example=128)
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        if not 0 <= self.min_freq < self.max_freq:
            raise ValueError(
                explain(
                    f"MelSpectrogram got min_freq={min_freq} and max_freq={self.max_freq}.",
                    "Expected 0 <= min_freq < max_freq.",
                    "MelSpectrogram(min_freq=20.0, max_freq=8000)",
                )
            )
        self.power_to_db = bool(power_to_db)
        self.top_db, self.mag_exp = top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power
        self._matrices: dict[Any, torch.Tensor] = {}
        self.built = True

    def call(self, inputs: Any) -> torch.Tensor:
        wide = self._compute_in is torch.float64
        x = tensor(inputs).to(torch.float64 if wide else torch.float32)
        real, imaginary = ops.stft(x, self.sequence_length, self.sequence_stride, self.fft_length, self.window)
        spectrum = real.square() + imaginary.square()
        spectrum = spectrum if self.mag_exp == 2 else spectrum.sqrt() ** self.mag_exp
        found = spectrum @ self._matrix(spectrum)
        if self.power_to_db:
            found = 10.0 * torch.log10(found.clamp(min=self.min_power))
            found = found - 10.0 * math.log10(max(abs(self.ref_power), self.min_power))
            found = torch.maximum(found, found.amax() - self.top_db)
        return found.transpose(-1, -2).to(self._compute_in)

    def _matrix(self, spectrum: torch.Tensor) -> torch.Tensor:
        key = spectrum.dtype, spectrum.device
        if key not in self._matrices or spectrum.is_meta:
            self._matrices[key] = self.linear_to_mel_weight_matrix(
                self.num_mel_bins, spectrum.shape[-1], self.sampling_rate, self.min_freq, self.max_freq
            ).to(spectrum)
        return self._matrices[key]

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: Any = "float32",
    ) -> torch.Tensor:
        """Return (num_spectrogram_bins, num_mel_bins): how much of each frequency is in each pitch.

        Args:
            num_mel_bins: How many pitches.
            num_spectrogram_bins: How many frequencies, from 0 to half the sampling rate.
            sampling_rate: Steps per second.
            lower_edge_hertz, upper_edge_hertz: The lowest and the highest frequency.
            dtype: Type of the result.
        """
        kind = torch_type(dtype)
        # The first frequency, 0, is in none.
        pitches = _mel(torch.linspace(0.0, sampling_rate / 2.0, num_spectrogram_bins, dtype=kind)[1:])[:, None]
        ends = _mel(torch.tensor([lower_edge_hertz, upper_edge_hertz], dtype=kind))
        steps = torch.linspace(0.0, 1.0, num_mel_bins + 2, dtype=kind)
        edges = ends[0] + steps * (ends[1] - ends[0])
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        weights = torch.minimum((pitches - low) / (middle - low), (high - pitches) / (high - middle)).clamp(min=0)
        return torch.nn.functional.pad(weights, (0, 0, 1, 0))

    def get_config(self) -> dict[str, Any]:
        names = (
            *("fft_length", "sequence_stride", "sequence_length", "window", "sampling_rate", "num_mel_bins"),
            *("min_freq", "max_freq", "power_to_db", "top_db", "mag_exp", "min_power", "ref_power"),
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(Layer):
    """Turns sound into the strength of frequencies over time, by convolutions whose kernels are waves.

    The kernels are weights: they can be trained, or be kept with `trainable=False`.

    Args:
        mode: What is returned of the Fourier transforms: `"log"` and
            `"magnitude"` (absolute values), `"psd"` (their squares), `"real"`,
            `"imag"`, `"angle"`, or `"stft"` (real and imaginary parts one after the other).
        frame_length: Length of a piece.
        frame_step: Steps from one piece to the next; by default half a piece.
        fft_length: Length of a transform; by default the next power of two.
        window: What pieces are weighted with, such as `"hann"`, or None.
        periodic: Whether the window is periodic, in place of symmetric.
        scaling: `"density"`, `"spectrum"`, or None.
        padding: `"valid"` or `"same"`.
        expand_dims: Whether frequencies and channels have axes of their own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Shapes: (samples, steps, channels) to (samples, pieces, frequencies * channels);
    (samples, pieces, frequencies, channels) with `expand_dims`.

    Example:
        >>> STFTSpectrogram(frame_length=64)(torch.rand(2, 256, 1)).shape
        torch.Size([2, 7, 33])
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = "STFTSpectrogram"
        self.mode = checks.one_of(owner, "mode", mode, _MODES)
        self.frame_length = checks.whole_number(owner, "frame_length", frame_length, minimum=2, example=256)
        if frame_step is not None and checks.whole_number(owner, "frame_step", frame_step) > frame_length:
            raise ValueError(
                explain(
                    f"STFTSpectrogram got frame_step={frame_step} and frame_length={frame_length}.",
                    "Expected frame_step <= frame_length: else sound between pieces is lost.",
                    f"STFTSpectrogram(frame_length={frame_length}, frame_step={frame_length // 2})",
                )
            )
        if fft_length is not None and checks.whole_number(owner, "fft_length", fft_length) < frame_length:
            raise ValueError(
                explain(
                    f"STFTSpectrogram got fft_length={fft_length} and frame_length={frame_length}.",
                    "Expected fft_length >= frame_length.",
                    f"STFTSpectrogram(frame_length={frame_length})",
                )
            )
        if fft_length is not None and fft_length & (fft_length - 1):
            warn(
                f"STFTSpectrogram got fft_length={fft_length}.",
                "Expected a power of two, which is usual.",
                f"STFTSpectrogram(fft_length={1 << (fft_length - 1).bit_length()})",
            )
        self.frame_step, self.fft_length = frame_step, fft_length
        self._step = frame_step or self.frame_length // 2
        self._length = fft_length or 1 << (self.frame_length - 1).bit_length()
        self.window, self.periodic = window, bool(periodic)
        self.scaling = checks.one_of(owner, "scaling", scaling, ("density", "spectrum", None))
        # Makes an unknown window known here, and not when weights are made.
        initializers.STFT("real", window, scaling, periodic)((self.frame_length, 1, 2))
        self.padding = checks.one_of(owner, "padding", padding, ("valid", "same"))
        self.expand_dims = bool(expand_dims)
        self.data_format = checks.data_format(owner, data_format)
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape: Any) -> None:
        shape = (self.frame_length, 1, self._length // 2 + 1)
        for side in ("real", "imag"):
            if self.mode != ("imag" if side == "real" else "real"):
                start = initializers.STFT(side, self.window, self.scaling, self.periodic)
                setattr(self, f"{side}_kernel", self.add_weight(name=f"{side}_kernel", shape=shape, initializer=start))

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if not inputs.is_floating_point():
            raise TypeError(
                explain(
                    f"{self._label} got {str(inputs.dtype).removeprefix('torch.')}.",
                    "Expected floats.",
                    'ops.cast(sound, "float32")',
                )
            )
        real = None if self.mode == "imag" else self._waves(inputs, self.real_kernel)
        imaginary = None if self.mode == "real" else self._waves(inputs, self.imag_kernel)
        if real is None:
            return self._arranged(imaginary)
        if imaginary is None:
            return self._arranged(real)
        if self.mode == "angle":
            return self._arranged(torch.arctan2(imaginary, real))
        if self.mode == "stft":
            return self._arranged(torch.cat([real, imaginary], dim=2))
        power = real.square() + imaginary.square()
        if self.mode == "psd":  # all frequencies but the first and the last stand for their negatives too
            power = torch.cat([power[:, :, :1], 2 * power[:, :, 1:-1], power[:, :, -1:]], dim=2)
            return self._arranged(power)
        found = self._arranged(power.clamp(min=_EPSILON).sqrt())
        return found if self.mode == "magnitude" else found.clamp(min=_EPSILON).log()

    def _waves(self, inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """Return (samples, channels, frequencies, pieces)."""
        x = inputs.transpose(1, 2) if self.data_format == "channels_last" else inputs
        samples, channels, steps = x.shape
        found = ops.conv(
            x.reshape(samples * channels, 1, steps),
            kernel.to(x.dtype),
            strides=self._step,
            padding=self.padding,
            data_format="channels_first",
        )
        return found.reshape(samples, channels, *found.shape[1:])

    def _arranged(self, x: Any) -> torch.Tensor:
        """Bring (samples, channels, frequencies, pieces) into the order that is asked for."""
        last = self.data_format == "channels_last"
        if self.expand_dims:
            return x.permute(0, 3, 2, 1) if last else x.transpose(2, 3)
        x = x.flatten(1, 2)
        return x.transpose(1, 2) if last else x

    def get_config(self) -> dict[str, Any]:
        names = (
            *("mode", "frame_length", "frame_step", "fft_length", "window", "periodic", "scaling", "padding"),
            *("data_format", "expand_dims"),
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
