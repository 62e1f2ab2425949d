"""Mean 0, variance 1 or length 1: moments, and normalization with them."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import settings
from uncrumple.core.errors import explain, warn
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import as_ints, axes_of, check_axis, floating, positive_axis, tensor, tensors

operation = group("nn")
# fmt: off
__all__ = ["batch_normalization", "layer_normalization", "moments", "normalize", "psnr", "rms_normalization"]
# fmt: on


@operation()
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and variance over axes.

    Args:
        synchronized: Only False: each process looks at its own numbers.
    """
    if synchronized:
        raise NotImplementedError(
            explain(
                "moments got synchronized=True.",
                "Expected False.",
                "torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)",
            )
        )
    x = tensor(x)
    check_axis("moments", axes, x.ndim)
    compute = x.float() if x.dtype in (torch.float16, torch.bfloat16) else floating(x)
    # Not with torch.var_mean, whose mean of infinite numbers is none.
    variance = torch.var(compute, dim=axes_of(axes), keepdim=keepdims, correction=0)
    mean = torch.mean(compute, dim=axes_of(axes), keepdim=keepdims)
    if x.dtype is torch.float16:
        limits = torch.finfo(torch.float16)
        mean, variance = (one.clamp(limits.min, limits.max) for one in (mean, variance))
    kind = x.dtype if x.is_floating_point() else compute.dtype
    return mean.to(kind), variance.to(kind)


@operation()
def normalize(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> torch.Tensor:
    """Return `x` divided by its norm along an axis, so that the norm is 1.

    Args:
        order: 1 for the sum of absolute values, 2 for the length.
        epsilon: A norm below it counts as it; 1e-7 by default.
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(explain(f"normalize got order={order!r}.", "Expected a whole number, 1 or more.", "order=2"))
    epsilon = settings.epsilon() if epsilon is None else epsilon
    x = tensor(x)
    x = x.reshape(1) if x.ndim == 0 else x
    check_axis("normalize", axis, x.ndim)
    if order == 2:
        factor = torch.rsqrt(torch.sum(torch.square(x), dim=axes_of(axis), keepdim=True))
        return x * factor.clamp(max=min(1 / epsilon, torch.finfo(factor.dtype).max))
    lengths = torch.linalg.vector_norm(floating(x), ord=order, dim=axes_of(axis), keepdim=True)
    return x / lengths.clamp(min=epsilon)


@operation("x mean variance offset scale", "BatchNorm")
def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> torch.Tensor:
    """Return (x - mean) / sqrt(variance + epsilon) * scale + offset, with one of each per place on `axis`."""
    x, mean, variance = tensors(x, mean, variance)
    check_axis("batch_normalization", axis, x.ndim)
    around = [1] * x.ndim
    around[axis] = -1
    factor = torch.rsqrt(variance + epsilon)
    if scale is not None:
        factor = factor * tensor(scale, device=x.device)
    out = (x - mean.reshape(around)) * factor.reshape(around)
    return (out if offset is None else out + tensor(offset, device=x.device).reshape(around)).to(x.dtype)


@operation("x gamma beta", "LayerNorm")
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None, **kwargs: Any
) -> torch.Tensor:
    """Return `x` with mean 0 and variance 1 over axes, times `gamma` plus `beta`.

    Args:
        gamma, beta: Of the shape of these axes.
        axis: One or several.
        epsilon: Added to the variance; 1e-7 by default.
        kwargs: `rms_scaling=True`, which Keras gave up: divide by the standard deviation only.
    """
    rms_scaling = kwargs.pop("rms_scaling", False)
    if kwargs:
        raise TypeError(
            explain(f"layer_normalization got {', '.join(kwargs)}.", "Expected axis, epsilon.", "remove it")
        )
    x = tensor(x)
    axes, compute, epsilon = _settings("layer_normalization", x, axis, epsilon)
    data = x.to(compute)
    gamma, beta = (_shaped(part, data, axes) for part in (gamma, beta))
    if rms_scaling:
        warn(
            "layer_normalization got rms_scaling=True, which divides by the standard deviation.",
            "Expected the root of the mean square, if this is meant to be RMS normalization.",
            "ops.rms_normalization(x, scale=gamma)",
        )
        out = data * torch.rsqrt(torch.var(data, dim=axes, keepdim=True, correction=0) + epsilon)
        return (out if gamma is None else out * gamma).to(x.dtype)
    variance, mean = torch.var_mean(data, dim=axes, keepdim=True, correction=0)
    out = (data - mean) * torch.rsqrt(variance + epsilon)
    out = out if gamma is None else out * gamma
    return (out if beta is None else out + beta).to(x.dtype)


@operation("x scale", "RMSNorm")
def rms_normalization(x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None) -> torch.Tensor:
    """Return `x` divided by the root of its mean square over axes, times `scale`.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.
    """
    x = tensor(x)
    x = x.reshape(1) if x.ndim == 0 else x
    axes, compute, epsilon = _settings("rms_normalization", x, axis, epsilon)
    data = x.to(compute)
    out = data * torch.rsqrt(torch.mean(data.square(), dim=axes, keepdim=True) + epsilon)
    scale = _shaped(scale, data, axes)
    return (out if scale is None else out * scale).to(x.dtype)


def _settings(owner: str, x: torch.Tensor, axis: Any, epsilon: Any) -> tuple[tuple[int, ...], torch.dtype, float]:
    check_axis(owner, axis, x.ndim)
    axes = tuple(sorted(positive_axis(one, x.ndim) for one in as_ints(axis)))
    return axes, torch_type(result_type(x.dtype, "float32")), settings.epsilon() if epsilon is None else epsilon


def _shaped(part: Any, x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor | None:
    """Return a scale or an offset with an axis for each of `x`."""
    if part is None:
        return None
    part = tensor(part, device=x.device).to(x.dtype)
    if part.ndim == x.ndim or part.ndim == 0:
        return part
    return part.reshape([size if place in axes else 1 for place, size in enumerate(x.shape)])


@operation(2, "PSNR")
def psnr(x1: Any, x2: Any, max_val: Any) -> torch.Tensor:
    """Return the peak signal-to-noise ratio of two images in decibel: 10 log10(max_val^2 / mean squared error)."""
    x1, x2 = tensors(x1, x2)
    if x1.shape != x2.shape:
        raise ValueError(
            explain(
                f"psnr got shapes {tuple(x1.shape)} and {tuple(x2.shape)}.",
                "Expected equal shapes.",
                "ops.image.resize",
            )
        )
    error = torch.mean(torch.square(x1 - x2))
    peak = tensor(max_val, device=x1.device).to(x1.dtype)
    return 20 * torch.log10(peak) - 10 * torch.log10(error)
