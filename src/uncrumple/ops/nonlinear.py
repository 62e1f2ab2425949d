"""The nonlinear functions of neural networks."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.errors import explain, warn
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import check_axis, floating, tensor

operation = group("nn")
# fmt: off
__all__ = ["celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
           "leaky_relu", "log_sigmoid", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
           "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish",
           "tanh_shrink", "threshold"]
# fmt: on


@operation()
def relu(x: Any) -> torch.Tensor:
    """Return `x`, and 0 where it is negative."""
    return F.relu(tensor(x))


@operation()
def relu6(x: Any) -> torch.Tensor:
    """Return `x` between 0 and 6."""
    return F.relu6(tensor(x))


@operation()
def sigmoid(x: Any) -> torch.Tensor:
    """Return 1 / (1 + exp(-x))."""
    return torch.sigmoid(tensor(x))


@operation()
def sparse_sigmoid(x: Any) -> torch.Tensor:
    """Return (x + 1) / 2 between 0 and 1."""
    return F.hardtanh(0.5 * (tensor(x) + 1), 0.0, 1.0)


@operation()
def tanh_shrink(x: Any) -> torch.Tensor:
    """Return x - tanh(x)."""
    return F.tanhshrink(tensor(x))


@operation()
def softplus(x: Any) -> torch.Tensor:
    """Return log(1 + exp(x)), a smooth relu."""
    return F.softplus(tensor(x))


@operation()
def softsign(x: Any) -> torch.Tensor:
    """Return x / (1 + |x|)."""
    return F.softsign(tensor(x))


@operation()
def soft_shrink(x: Any, threshold: float = 0.5) -> torch.Tensor:
    """Return `x` moved towards 0 by `threshold`, and 0 if it is nearer than that."""
    return F.softshrink(tensor(x), threshold)


@operation()
def hard_shrink(x: Any, threshold: float = 0.5) -> torch.Tensor:
    """Return `x`, and 0 where it is nearer to 0 than `threshold`."""
    return F.hardshrink(tensor(x), threshold)


@operation()
def sparse_plus(x: Any) -> torch.Tensor:
    """Return 0 below -1, `x` above 1, and (x + 1)^2 / 4 between."""
    x = tensor(x)
    return torch.where(x <= -1, 0, torch.where(x < 1, 0.25 * (x + 1) ** 2, x))


@operation()
def silu(x: Any) -> torch.Tensor:
    """Return x * sigmoid(x)."""
    return F.silu(tensor(x))


swish = silu


@operation()
def squareplus(x: Any, b: Any = 4) -> torch.Tensor:
    """Return (x + sqrt(x^2 + b)) / 2, a smooth relu."""
    x = tensor(x)
    return (x + torch.sqrt(x * x + b)) / 2


@operation()
def log_sigmoid(x: Any) -> torch.Tensor:
    """Return log(sigmoid(x)) without underflow."""
    return F.logsigmoid(tensor(x))


@operation()
def leaky_relu(x: Any, negative_slope: float = 0.2) -> torch.Tensor:
    """Return `x`, and `negative_slope * x` where it is negative."""
    return F.leaky_relu(tensor(x), negative_slope)


@operation()
def hard_sigmoid(x: Any) -> torch.Tensor:
    """Return x / 6 + 1/2 between 0 and 1."""
    return F.hardsigmoid(tensor(x))


@operation()
def hard_silu(x: Any) -> torch.Tensor:
    """Return x * hard_sigmoid(x)."""
    return F.hardswish(tensor(x))


hard_swish = hard_silu


@operation()
def elu(x: Any, alpha: float = 1.0) -> torch.Tensor:
    """Return `x`, and `alpha * (exp(x) - 1)` where it is negative."""
    return F.elu(tensor(x), alpha)


@operation()
def selu(x: Any) -> torch.Tensor:
    """Return a scaled `elu` that keeps mean 0 and variance 1."""
    return F.selu(tensor(x))


@operation()
def celu(x: Any, alpha: float = 1.0) -> torch.Tensor:
    """Return `x`, and `alpha * (exp(x / alpha) - 1)` where it is negative."""
    return F.celu(tensor(x), alpha)


@operation()
def gelu(x: Any, approximate: bool = True) -> torch.Tensor:
    """Return `x` times the share of the normal distribution below it, or its approximation by tanh."""
    return F.gelu(tensor(x), approximate="tanh" if approximate else "none")


@operation()
def glu(x: Any, axis: int = -1) -> torch.Tensor:
    """Return the first half of an axis times the sigmoid of the second half."""
    x = tensor(x)
    check_axis("glu", axis, x.ndim)
    if x.shape[axis] % 2:
        raise ValueError(
            explain(
                f"glu got a tensor of shape {tuple(x.shape)} and axis={axis}.",
                "Expected an even size on this axis: its second half gates the first.",
                f"an output of {x.shape[axis] + 1} before it",
            )
        )
    return F.glu(x, dim=axis)


@operation()
def hard_tanh(x: Any) -> torch.Tensor:
    """Return `x` between -1 and 1."""
    return F.hardtanh(tensor(x))


@operation()
def threshold(x: Any, threshold: float, default_value: float) -> torch.Tensor:
    """Return `x`, and `default_value` where it is not above `threshold`."""
    return F.threshold(tensor(x), threshold, default_value)


def _over_axes(function: Any, owner: str, x: torch.Tensor, axis: Any) -> torch.Tensor:
    """Apply a softmax over one axis, several, or (None) all."""
    check_axis(owner, axis, x.ndim)
    if isinstance(axis, int):
        return function(x, axis)
    axes = tuple(range(x.ndim)) if axis is None else tuple(axis)
    last = tuple(range(x.ndim - len(axes), x.ndim))
    turned = x.movedim(axes, last)
    kept = turned.shape[: x.ndim - len(axes)]
    return (
        function(turned.reshape(*kept, math.prod(turned.shape[len(kept) :])), -1)
        .reshape(turned.shape)
        .movedim(last, axes)
    )


@operation()
def softmax(x: Any, axis: Any = -1) -> torch.Tensor:
    """Return exp(x) divided by its sum over an axis, several axes, or (None) all.

    Example:
        >>> softmax(torch.zeros(4))
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    x = tensor(x)
    if isinstance(axis, int) and -x.ndim <= axis < x.ndim and x.shape[axis] == 1:
        warn(
            f"softmax got a tensor of shape {tuple(x.shape)} and axis={axis}: the result is always 1.",
            "Expected an axis longer than 1.",
            "ops.sigmoid(x), for one number per sample",
        )
    return _over_axes(torch.softmax, "softmax", x, axis)


@operation()
def log_softmax(x: Any, axis: Any = -1) -> torch.Tensor:
    """Return log(softmax(x)) without underflow."""
    return _over_axes(torch.log_softmax, "log_softmax", tensor(x), axis)


@operation()
def sparsemax(x: Any, axis: int = -1) -> torch.Tensor:
    """Return the nearest point to `x` whose numbers are not negative and sum to 1 over an axis.

    Source: Martins and Astudillo, "From Softmax to Sparsemax", ICML 2016.
    """
    x = tensor(x)
    check_axis("sparsemax", axis, x.ndim)
    ordered = torch.sort(x, dim=axis, descending=True).values.movedim(axis, -1)
    if 0 in x.shape:
        return floating(x).clone()
    count = torch.arange(1, ordered.shape[-1] + 1, device=x.device, dtype=x.dtype)
    above = (ordered.cumsum(-1) - 1) / count
    support = (ordered > above).sum(-1, keepdim=True).clamp(min=1)  # none where a row holds no numbers
    return (x - above.gather(-1, support - 1).movedim(-1, axis)).clamp(min=0)
