"""Dropout: set a random share of the numbers to zero and scale the others up.

On the CPU most of the time of `torch.nn.functional.dropout` goes into drawing
one random float per number. Here one 64-bit draw serves four numbers: it is
read as four 16-bit integers, each compared with a threshold. The share that
is dropped is therefore a multiple of 1/65536, and the scale is that of the
share that really is kept. Elsewhere `dropout_plain`, torch's own, is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

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
    dropped = min(max(round(rate * _LEVELS), 1), _LEVELS - 1)
    shape = x.shape if noise_shape is None else torch.Size(noise_shape)
    count = shape.numel()
    draws = torch.empty((count + 3) // 4, dtype=torch.int64, device="cpu")
    draws.random_(_LOWEST, None, generator=generator)
    # In place on 16-bit integers the comparison is several times as fast as one that makes booleans.
    kept = draws.view(torch.int16)[:count].view(shape).ge_(dropped - _LEVELS // 2)
    return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))


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
