"""Dropout: set a random share of the numbers to zero and scale the others up.

On the CPU most of the time of `torch.nn.functional.dropout` goes into drawing
one random float per number. The native kernel draws one number in all, and
scatters it over the places by a hash: what is kept depends on this seed and on
the place alone, so that the backward pass needs no memory of it.

Without the kernel one 64-bit draw serves four numbers: it is
read as four 16-bit integers, each compared with a threshold. The share that
is dropped is therefore a multiple of 1/65536, and the scale is that of the
share that really is kept. Elsewhere `dropout_plain`, torch's own, is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from uncrumple.kernels import native
from uncrumple.kernels.transforms import differentiated, watched

_LEVELS = 65536
_LOWEST = torch.iinfo(torch.int64).min


def dropout(
    x: torch.Tensor,
    rate: float,
    noise_shape: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Return `x` with about `rate` of its numbers zeroed and the others divided by `1 - rate`.

    Source: Srivastava et al., "Dropout", JMLR 2014.

    Args:
        x: Tensor of floats.
        rate: Share to drop, from 0 to 1.
        noise_shape: Shape of the random decisions, which are broadcast
            against `x`; None decides for every number on its own.
        generator: Where random numbers come from; None means torch's global one.

    Example:
        >>> dropout(torch.ones(2, 3), rate=0.0)
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """
    if rate <= 0 or x.is_meta:
        return x
    if x.device.type != "cpu" or rate >= 1:
        return dropout_plain(x, rate, noise_shape, generator)
    if noise_shape is None and native.takes(x, half=True) and not watched():
        return _Dropout.apply(x, draw_seed(generator), *limit_and_scale(rate))
    dropped = min(max(round(rate * _LEVELS), 1), _LEVELS - 1)
    shape = x.shape if noise_shape is None else torch.Size(noise_shape)
    count = shape.numel()
    draws = torch.empty((count + 3) // 4, dtype=torch.int64, device="cpu")
    draws.random_(_LOWEST, None, generator=generator)
    # In place on 16-bit integers the comparison is several times as fast as one that makes booleans.
    kept = draws.view(torch.int16)[:count].view(shape).ge_(dropped - _LEVELS // 2)
    return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))


def draw_seed(generator: torch.Generator | None = None) -> int:
    """Return a random 63-bit number that dropout can be derived from."""
    return int(torch.empty((), dtype=torch.int64, device="cpu").random_(generator=generator))


def limit_and_scale(rate: float) -> tuple[int, float]:
    """Return which of the 2^32 hashes are dropped (those below), and what the kept numbers are multiplied by.

    Example:
        >>> limit_and_scale(0.5)
        (2147483648, 2.0)
    """
    limit = min(max(round(rate * 2**32), 1), 2**32 - 1)
    return limit, 2**32 / (2**32 - limit)


def keep_plain(count: int, seed: int, limit: int) -> torch.Tensor:
    """Return which of `count` numbers the native kernel keeps: its hash in plain torch, slow.

    Example:
        >>> keep_plain(6, seed=1, limit=2**31)
        tensor([False,  True, False, False,  True,  True])
    """
    place = torch.arange(count, dtype=torch.int64, device="cpu")
    low, whole = (1 << 32) - 1, (1 << 64) - 1
    mixed = (seed + 0x9E3779B97F4A7C15) & whole
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & whole
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & whole
    mixed ^= mixed >> 31
    x = (place + (mixed & low)) & low
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & low
    x = x ^ (mixed >> 32) ^ (place >> 32)
    x = ((x ^ (x >> 15)) * 0xD35A2D97) & low
    return (x ^ (x >> 15)) >= limit


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, seed: int, limit: int, scale: float) -> torch.Tensor:
        ctx.draw = seed, limit, scale
        return _drop(x, *ctx.draw)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if not torch.is_grad_enabled() and differentiated(d_output):  # several gradients at once
            seed, limit, scale = ctx.draw
            kept = keep_plain(d_output.numel(), seed, limit).view(d_output.shape)
            return d_output * kept * scale, None, None, None
        return _Dropout.apply(d_output, *ctx.draw), None, None, None


def _drop(x: torch.Tensor, seed: int, limit: int, scale: float) -> torch.Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    native.call("dropout", x.numel(), seed, limit, scale, x.dtype is torch.bfloat16, x, out)
    return out


def dropout_plain(
    x: torch.Tensor,
    rate: float,
    noise_shape: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Do what `dropout` does with torch's own functions, on any device.

    Example:
        >>> dropout_plain(torch.ones(3), rate=1.0)
        tensor([0., 0., 0.])
    """
    if generator is None and noise_shape is None:
        return functional.dropout(x, rate, training=True)
    if rate >= 1:
        return functional.dropout(x, 1.0, training=True)
    shape = x.shape if noise_shape is None else noise_shape
    kept = torch.empty(tuple(shape), dtype=x.dtype, device=x.device).bernoulli_(1 - rate, generator=generator)
    return x * kept.div_(1 - rate)
