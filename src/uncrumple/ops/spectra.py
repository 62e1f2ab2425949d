"""Fourier transforms and sequences cut out of longer ones. Complex numbers come and go as (real, imaginary)."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import name_of, tensor, tensors

operation = group("math")
# fmt: off
__all__ = ["extract_sequences", "fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft"]
# fmt: on

Pair = tuple[torch.Tensor, torch.Tensor]


def complex_of(owner: str, x: Any) -> torch.Tensor:
    """Return (real, imaginary) as one complex tensor."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(
            explain(
                f"{owner} got {type(x).__name__}.",
                "Expected two tensors: the real and the imaginary part.",
                f"ops.{owner}((real, ops.zeros_like(real)))",
            )
        )
    real, imaginary = tensors(*x)
    if real.shape != imaginary.shape or not (real.is_floating_point() and imaginary.is_floating_point()):
        got = " and ".join(f"{tuple(part.shape)} {name_of(part)}" for part in (real, imaginary))
        raise ValueError(
            explain(f"{owner} got parts {got}.", "Expected floats of one shape.", 'ops.cast(x, "float32")')
        )
    return torch.complex(real, imaginary)


@operation("x", "FFT")
def fft(x: Any) -> Pair:
    """Return the Fourier transform along the last axis."""
    out = torch.fft.fft(complex_of("fft", x))
    return out.real, out.imag


@operation("x", "FFT2")
def fft2(x: Any) -> Pair:
    """Return the Fourier transform over the last two axes."""
    out = torch.fft.fft2(complex_of("fft2", x))
    return out.real, out.imag


@operation("x", "IFFT2")
def ifft2(x: Any) -> Pair:
    """Return the inverse of `fft2`."""
    out = torch.fft.ifft2(complex_of("ifft2", x))
    return out.real, out.imag


@operation("x", "RFFT")
def rfft(x: Any, fft_length: int | None = None) -> Pair:
    """Return the Fourier transform of real numbers along the last axis, without the half that mirrors the other."""
    out = torch.fft.rfft(tensor(x), n=fft_length)
    return out.real, out.imag


@operation("x", "IRFFT")
def irfft(x: Any, fft_length: int | None = None) -> torch.Tensor:
    """Return the inverse of `rfft`; `fft_length` numbers, which is even by default."""
    return torch.fft.irfft(complex_of("irfft", x), n=fft_length)


@operation()
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> torch.Tensor:
    """Return pieces of `sequence_length` steps of the last axis, each `sequence_stride` steps after the one before.

    Example:
        >>> extract_sequences(torch.arange(6), 3, 2)
        tensor([[0, 1, 2],
                [2, 3, 4]])
    """
    return torch.unfold_copy(tensor(x), -1, sequence_length, sequence_stride)


def _window(window: Any, length: int, x: torch.Tensor) -> torch.Tensor | None:
    if window is None:
        return None
    if isinstance(window, str):
        made = {"hann": torch.hann_window, "hamming": torch.hamming_window}
        if window not in made:
            raise ValueError(unknown_name("window", window, made))
        return made[window](length, periodic=True, dtype=x.dtype, device=x.device)
    found = tensor(window, x.dtype).to(x.device)
    if tuple(found.shape) != (length,):
        raise ValueError(
            explain(f"The window has shape {tuple(found.shape)}.", f"Expected ({length},): sequence_length.", '"hann"')
        )
    return found


def _check_lengths(owner: str, sequence_length: int, sequence_stride: Any, fft_length: int) -> None:
    if not isinstance(sequence_stride, int) or sequence_stride < 1:
        raise ValueError(
            explain(
                f"{owner} got sequence_stride={sequence_stride!r}.", "Expected a number above 0.", "sequence_stride=256"
            )
        )
    if fft_length < sequence_length:
        raise ValueError(
            explain(
                f"{owner} got sequence_length={sequence_length} and fft_length={fft_length}.",
                "Expected fft_length >= sequence_length.",
                f"fft_length={sequence_length}",
            )
        )


@operation("x", "STFT")
def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> Pair:
    """Return the Fourier transforms of pieces of the last axis (short-time Fourier transform).

    Args:
        x: (..., steps) floats.
        sequence_length, sequence_stride: Length of a piece, and its distance from the next.
        fft_length: Length of a transform; pieces are filled up with zeros.
        window: `"hann"`, `"hamming"`, a tensor of `sequence_length` numbers, or None.
        center: Whether the middle of a piece is at the step it stands for; the
            ends are mirrored then.

    Returns:
        Real and imaginary parts, (..., pieces, fft_length // 2 + 1).
    """
    _check_lengths("stft", sequence_length, sequence_stride, fft_length)
    x = tensor(x)
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(explain(f"stft got {name_of(x)}.", "Expected float32 or float64.", 'ops.cast(x, "float32")'))
    taper = _window(window, sequence_length, x)
    taper = torch.ones(sequence_length, dtype=x.dtype, device=x.device) if taper is None else taper
    out = torch.stft(
        x.reshape(-1, x.shape[-1]),
        n_fft=fft_length,
        hop_length=sequence_stride,
        win_length=sequence_length,
        window=taper,
        center=center,
        return_complex=True,
    ).transpose(-2, -1)
    out = out.reshape(*x.shape[:-1], *out.shape[-2:])
    return out.real, out.imag


@operation("x", "ISTFT")
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> torch.Tensor:
    """Return the inverse of `stft`: pieces transformed back, weighted and added up where they overlap.

    Args:
        x: Real and imaginary parts, (..., pieces, fft_length // 2 + 1).
        length: How many steps to return. The others are as for `stft`.
    """
    _check_lengths("istft", sequence_length, sequence_stride, fft_length)
    spectra = complex_of("istft", x)
    taper = _window(window, sequence_length, spectra.real)
    if taper is not None and center and sequence_length == fft_length and not spectra.is_meta:
        flat = spectra.reshape(-1, *spectra.shape[-2:]).transpose(-2, -1)
        out = torch.istft(
            flat, fft_length, sequence_stride, sequence_length, window=taper, center=center, length=length
        )
        return out.reshape(*spectra.shape[:-2], -1)
    pieces = torch.fft.irfft(spectra, n=fft_length)
    count = pieces.shape[-2]
    if taper is not None:
        pieces = pieces * _made_good(taper, fft_length, sequence_stride)
    out = _overlapped(pieces, sequence_stride)
    start = fft_length // 2 if center else 0
    end = fft_length + sequence_stride * (count - 1)
    if length is not None:
        end = start + length
    elif center:
        end -= fft_length // 2
    return out[..., start:end]


def _made_good(taper: torch.Tensor, fft_length: int, stride: int) -> torch.Tensor:
    """Return the window that makes good for `taper`, once by it and once for pieces that overlap."""
    before = (fft_length - taper.shape[0]) // 2
    taper = torch.nn.functional.pad(taper, (before, fft_length - taper.shape[0] - before))
    overlaps = math.ceil(fft_length / stride)
    squares = torch.nn.functional.pad(taper.square(), (0, overlaps * stride - fft_length))
    total = squares.reshape(overlaps, stride).sum(0).repeat(overlaps)
    return taper / total[:fft_length]


def _overlapped(pieces: torch.Tensor, stride: int) -> torch.Tensor:
    """Return pieces (..., count, length) added up, each `stride` steps after the one before."""
    count, size = pieces.shape[-2:]
    flat = pieces.reshape(-1, count, size).transpose(1, 2)
    total = size + stride * (count - 1)
    out = torch.nn.functional.fold(flat, (1, total), (1, size), stride=(1, stride))
    return out.reshape(*pieces.shape[:-2], total)
