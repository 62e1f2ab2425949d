"""Batch normalization with what follows it (a shortcut added, relu, dropout) as one differentiable function.

The native kernels read the input once for mean and variance and once to
normalize it; relu and dropout happen on the way and need no memory of their
own, since the backward pass computes again what they cut off. The numbers may
be float32 or bfloat16; statistics and weights are float32.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch

from uncrumple.kernels import native
from uncrumple.kernels.dropout import keep_plain
from uncrumple.kernels.transforms import differentiated, gradients_by_twin, watched


class After(NamedTuple):
    """What follows a normalization, beside the shortcut.

    Attributes:
        relu: Whether negative numbers become 0.
        seed, limit, scale: Of the dropout behind it; a limit of 0 stands for none.
    """

    relu: bool = False
    seed: int = 0
    limit: int = 0
    scale: float = 1.0


class Averages(NamedTuple):
    """The moving averages of mean and variance, which are moved in place: `momentum` of them stays."""

    mean: torch.Tensor
    variance: torch.Tensor
    momentum: float


def takes_normalization(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    averages: Averages,
    shortcut: torch.Tensor | None = None,
) -> bool:
    """Return whether the functions here can run: native kernels, at least two rows, and types that they know."""
    if not native.takes(x, shortcut, half=True) or watched() or x.numel() <= x.shape[-1]:
        return False
    mean, variance, channels = averages.mean, averages.variance, x.shape[-1:]
    if (gamma is not None and gamma.shape != channels) or (beta is not None and beta.shape != channels):
        return False
    dense = mean.shape == variance.shape == channels and mean.is_contiguous() and variance.is_contiguous()
    return dense and native.takes(gamma, beta, mean, variance)


def batch_normalize(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    averages: Averages,
    epsilon: float,
    shortcut: torch.Tensor | None = None,
    after: After = After(),  # noqa: B008
) -> torch.Tensor:
    """Return `gamma * (x - mean) / sqrt(variance + epsilon) + beta` over all but the last axis, plus a shortcut, and what follows.

    The moving averages move. Call it where `takes_normalization` says so.

    Args:
        x: (..., channels).
        gamma, beta: (channels), or None.
        shortcut: Added before relu, of the shape and type of `x`; or None.
    """
    return _BatchNormalization.apply(x.contiguous(), gamma, beta, shortcut, averages, epsilon, after)


def normalize(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    averages: Averages,
    epsilon: float,
    shortcut: torch.Tensor | None = None,
    after: After = After(),  # noqa: B008
) -> torch.Tensor:
    """Do what `batch_normalize` does with the moving averages in place of the batch's. It has no gradient."""
    factor = torch.rsqrt(averages.variance.detach() + epsilon)
    return _run(x, averages.mean.detach(), *_linear(factor, gamma, beta), shortcut, after)


def batch_normalize_plain(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    epsilon: float,
    shortcut: torch.Tensor | None = None,
    after: After = After(),  # noqa: B008
) -> torch.Tensor:
    """Do what `batch_normalize` does with torch's own functions, and leave the averages alone.

    Example:
        >>> batch_normalize_plain(torch.tensor([[1.0], [3.0]]), None, None, epsilon=0.0, after=After(relu=True))
        tensor([[0.],
                [1.]])
    """
    rows = x.reshape(-1, x.shape[-1])
    rows = rows.float() if x.dtype is torch.bfloat16 else rows
    # (Where the weights lie apart in memory, torch gets the gradient of the inputs wrong.)
    gamma = None if gamma is None else gamma.contiguous()
    out = torch.batch_norm(rows, gamma, beta, None, None, True, 0.0, epsilon, False).view(x.shape)
    if shortcut is not None:
        out = out + shortcut
    if after.relu:
        out = out.relu()
    if after.limit:
        out = out * keep_plain(out.numel(), after.seed, after.limit).view(out.shape) * after.scale
    return out.to(x.dtype)


def _room(rows: int, channels: int) -> torch.Tensor:
    """Return memory for the kernels to work in; few channels are looked at several rows at a time."""
    return torch.empty(rows, channels if channels >= 128 else 16 * channels, dtype=torch.float32, device="cpu")


def _linear(
    factor: torch.Tensor, gamma: torch.Tensor | None, beta: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the distance from the mean is multiplied by, and what is added."""
    offset = torch.zeros_like(factor) if beta is None else beta.detach().contiguous()
    return factor if gamma is None else factor * gamma.detach(), offset


def _run(
    x: torch.Tensor,
    mean: torch.Tensor,
    factor: torch.Tensor,
    offset: torch.Tensor,
    shortcut: torch.Tensor | None,
    after: After,
) -> torch.Tensor:
    x = x.detach().contiguous()
    shortcut = None if shortcut is None else shortcut.detach().contiguous()
    out, channels = torch.empty_like(x), x.shape[-1]
    half = x.dtype is torch.bfloat16
    rows, room = x.numel() // channels, _room(3, channels)
    native.call("normalize", rows, channels, *after, half, x, mean, factor, offset, shortcut, out, room)
    return out


class _BatchNormalization(torch.autograd.Function):
    """Of a dense `x`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        gamma: torch.Tensor | None,
        beta: torch.Tensor | None,
        shortcut: torch.Tensor | None,
        averages: Averages,
        epsilon: float,
        after: After,
    ) -> torch.Tensor:
        channels = x.shape[-1]
        rows = x.numel() // channels
        mean, deviation = torch.empty(2, channels, dtype=torch.float32, device="cpu")
        room = _room(2 * torch.get_num_threads() + 2, channels)
        half = x.dtype is torch.bfloat16
        native.call(
            *("batch_moments", rows, channels, averages.momentum, epsilon, half, x),
            *(averages.mean, averages.variance, mean, deviation, room),
        )
        factor, offset = _linear(deviation, gamma, beta)
        out = _run(x, mean, factor, offset, shortcut, after)
        # Without a shortcut what was cut off can be told from the input.
        ctx.save_for_backward(
            x, gamma, beta, shortcut, mean, deviation, factor, offset, out if _looks(shortcut, after) else None
        )
        ctx.epsilon, ctx.after = epsilon, after
        return out

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, gamma, beta, shortcut, mean, deviation, factor, offset, out = ctx.saved_tensors
        after, channels = ctx.after, x.shape[-1]
        if differentiated(d_output):
            twin = functools.partial(_in_order, ctx.epsilon, after)
            return (*gradients_by_twin(twin, (x, gamma, beta, shortcut), [d_output]), None, None, None)
        d_output = d_output.contiguous()
        wanted = ctx.needs_input_grad
        d_x = torch.empty_like(x) if wanted[0] else None
        d_shortcut = None
        if wanted[3]:
            d_shortcut = torch.empty_like(x) if out is not None else d_output
        d_gamma, d_beta = torch.empty(2, channels, dtype=torch.float32, device="cpu")
        room = _room(2 * torch.get_num_threads() + 8, channels)
        native.call(
            *("normalize_backward", x.numel() // channels, channels, *after, x.dtype is torch.bfloat16, x, mean),
            *(deviation, factor, offset, out, d_output, d_shortcut if out is not None else None, d_x),
            *(d_gamma, d_beta, room),
        )
        return d_x, d_gamma if wanted[1] else None, d_beta if wanted[2] else None, d_shortcut, None, None, None


def _looks(shortcut: torch.Tensor | None, after: After) -> bool:
    """Return whether the gradient before what follows is another one than after, and the result is needed to tell."""
    return shortcut is not None and (after.relu or after.limit > 0)


def _in_order(epsilon: float, after: After, x: Any, gamma: Any, beta: Any, shortcut: Any) -> torch.Tensor:
    return batch_normalize_plain(x, gamma, beta, epsilon, shortcut, after)
