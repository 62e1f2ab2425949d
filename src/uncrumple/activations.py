"""Activations: what a layer does to each number (or each row of numbers) after its weighted sum.

Every activation is a plain function of a tensor that returns a tensor of the
same shape (`glu` halves one axis). A layer takes one by name (`"relu"`), as
the function itself, or as any Python function of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from uncrumple.core import registry
from uncrumple.core.dtypes import floatx, torch_dtype
from uncrumple.core.errors import answer_misspellings

Activation = Callable[..., torch.Tensor]


def _tensor(x: Any) -> torch.Tensor:
    """Return a list, number or array as a tensor; what torch already understands passes through."""
    if isinstance(x, torch.Tensor) or hasattr(type(x), "__torch_function__"):
        return x
    array = np.asarray(x)
    if array.dtype == np.float64:
        return torch.as_tensor(array, dtype=torch_dtype(floatx()))
    return torch.as_tensor(array)


def linear(x: Any) -> Any:
    """Return `x` unchanged: f(x) = x.

    Args:
        x: Tensor of any shape.

    Example:
        >>> linear(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  2.])
    """
    return x


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> torch.Tensor:
    """Cut everything below zero off: f(x) = max(x, 0).

    Args:
        x: Tensor of any shape.
        negative_slope: Slope below the threshold; 0 is the plain rectifier.
        max_value: Largest value to let through; None means no limit.
        threshold: Values at or below it are replaced by `negative_slope * (x - threshold)`.

    Example:
        >>> relu(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([0., 0., 3.])
        >>> relu(torch.tensor([-2.0, 0.0, 9.0]), negative_slope=0.1, max_value=6.0)
        tensor([-0.2000,  0.0000,  6.0000])
    """
    if not isinstance(x, torch.Tensor):
        x = _tensor(x)
    if not negative_slope and not threshold:
        if max_value is None:
            return torch.relu(x)
        return F.relu6(x) if max_value == 6 else x.clamp(0, max_value)
    if not threshold and max_value is None:
        return F.leaky_relu(x, negative_slope)
    out = torch.where(x > threshold, x, 0) if threshold else torch.relu(x)
    if max_value is not None:
        out = out.clamp(0, max_value)
    if negative_slope:
        out = out - negative_slope * torch.relu(threshold - x)
    return out


def leaky_relu(x: Any, negative_slope: float = 0.2) -> torch.Tensor:
    """Let a small slope through below zero: x if x > 0, else negative_slope * x.

    Args:
        x: Tensor of any shape.
        negative_slope: Slope below zero.

    Example:
        >>> leaky_relu(torch.tensor([-1.0, 2.0]))
        tensor([-0.2000,  2.0000])
    """
    return F.leaky_relu(_tensor(x), negative_slope)


def relu6(x: Any) -> torch.Tensor:
    """Cut off below 0 and above 6: min(max(x, 0), 6).

    Args:
        x: Tensor of any shape.

    Example:
        >>> relu6(torch.tensor([-1.0, 3.0, 8.0]))
        tensor([0., 3., 6.])
    """
    return F.relu6(_tensor(x))


def elu(x: Any, alpha: float = 1.0) -> torch.Tensor:
    """Bend smoothly towards -alpha below zero: x if x > 0, else alpha * (exp(x) - 1).

    Args:
        x: Tensor of any shape.
        alpha: What is reached far below zero is -alpha.

    Source: Clevert et al., 2016, arXiv:1511.07289.

    Example:
        >>> elu(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    return F.elu(_tensor(x), alpha)


def selu(x: Any) -> torch.Tensor:
    """Scale `elu` so that deep stacks keep mean 0 and variance 1: 1.0507 * elu(x, 1.6733).

    Use it with `kernel_initializer="lecun_normal"`.

    Args:
        x: Tensor of any shape.

    Source: Klambauer et al., 2017, arXiv:1706.02515.

    Example:
        >>> selu(torch.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])
    """
    return F.selu(_tensor(x))


def celu(x: Any, alpha: float = 1.0) -> torch.Tensor:
    """Join two branches with a continuous slope: max(x, 0) + min(0, alpha * (exp(x / alpha) - 1)).

    Args:
        x: Tensor of any shape.
        alpha: What is reached far below zero is -alpha.

    Source: Barron, 2017, arXiv:1704.07483.

    Example:
        >>> celu(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    return F.celu(_tensor(x), alpha)


def gelu(x: Any, approximate: bool = False) -> torch.Tensor:
    """Weigh each input by how likely a standard normal is below it: x * Phi(x).

    Args:
        x: Tensor of any shape.
        approximate: Use the tanh formula (a little different, used by GPT-2)
            in place of the exact error function.

    Source: Hendrycks and Gimpel, 2016, arXiv:1606.08415.

    Example:
        >>> gelu(torch.tensor([-1.0, 2.0]))
        tensor([-0.1587,  1.9545])
    """
    return F.gelu(_tensor(x), approximate="tanh" if approximate else "none")


def glu(x: Any, axis: int = -1) -> torch.Tensor:
    """Halve an axis: the first half, gated by the sigmoid of the second.

    Args:
        x: Tensor whose size along `axis` is even.
        axis: The axis to halve.

    Source: Dauphin et al., 2017, arXiv:1612.08083.

    Example:
        >>> glu(torch.tensor([[1.0, 2.0, 0.0, 0.0]]))
        tensor([[0.5000, 1.0000]])
    """
    return F.glu(_tensor(x), dim=axis)


def sigmoid(x: Any) -> torch.Tensor:
    """Squeeze into (0, 1): 1 / (1 + exp(-x)).

    Args:
        x: Tensor of any shape.

    Example:
        >>> sigmoid(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([0.1192, 0.5000, 0.8808])
    """
    return torch.sigmoid(_tensor(x))


def log_sigmoid(x: Any) -> torch.Tensor:
    """Return the logarithm of the sigmoid without overflow: -log(1 + exp(-x)).

    Args:
        x: Tensor of any shape.

    Example:
        >>> log_sigmoid(torch.tensor([-100.0, 0.0]))
        tensor([-100.0000,   -0.6931])
    """
    return F.logsigmoid(_tensor(x))


def hard_sigmoid(x: Any) -> torch.Tensor:
    """Approximate the sigmoid by straight lines: relu6(x + 3) / 6.

    Args:
        x: Tensor of any shape.

    Example:
        >>> hard_sigmoid(torch.tensor([-4.0, 0.0, 1.5]))
        tensor([0.0000, 0.5000, 0.7500])
    """
    return F.hardsigmoid(_tensor(x))


def sparse_sigmoid(x: Any) -> torch.Tensor:
    """Return 0 up to -1, 1 from 1 on, and a straight line between: (x + 1) / 2.

    Args:
        x: Tensor of any shape.

    Example:
        >>> sparse_sigmoid(torch.tensor([-2.0, 0.0, 0.5]))
        tensor([0.0000, 0.5000, 0.7500])
    """
    return F.hardtanh(0.5 * (_tensor(x) + 1), 0.0, 1.0)


def tanh(x: Any) -> torch.Tensor:
    """Squeeze into (-1, 1) with the hyperbolic tangent.

    f(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Args:
        x: Tensor of any shape.

    Example:
        >>> tanh(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.7616,  0.0000,  0.7616])
    """
    return torch.tanh(_tensor(x))


def hard_tanh(x: Any) -> torch.Tensor:
    """Cut off below -1 and above 1.

    f(x) = min(max(x, -1), 1).

    Args:
        x: Tensor of any shape.

    Example:
        >>> hard_tanh(torch.tensor([-3.0, 0.5]))
        tensor([-1.0000,  0.5000])
    """
    return F.hardtanh(_tensor(x))


def tanh_shrink(x: Any) -> torch.Tensor:
    """Return what the hyperbolic tangent leaves over: x - tanh(x).

    f(x) = x - tanh(x).

    Args:
        x: Tensor of any shape.

    Example:
        >>> tanh_shrink(torch.tensor([0.0, 2.0]))
        tensor([0.0000, 1.0360])
    """
    return F.tanhshrink(_tensor(x))


def softplus(x: Any) -> torch.Tensor:
    """Round the corner of the rectifier: log(1 + exp(x)).

    Args:
        x: Tensor of any shape.

    Example:
        >>> softplus(torch.tensor([-20.0, 0.0, 20.0]))
        tensor([2.0612e-09, 6.9315e-01, 2.0000e+01])
    """
    return F.softplus(_tensor(x))


def softsign(x: Any) -> torch.Tensor:
    """Squeeze into (-1, 1) more slowly than tanh does: x / (1 + |x|).

    Args:
        x: Tensor of any shape.

    Example:
        >>> softsign(torch.tensor([-1.0, 3.0]))
        tensor([-0.5000,  0.7500])
    """
    return F.softsign(_tensor(x))


def soft_shrink(x: Any, threshold: float = 0.5) -> torch.Tensor:
    """Pull everything towards zero by `threshold`, and what is nearer than that to zero.

    f(x) = x - threshold where x > threshold, x + threshold where x < -threshold, else 0.

    Args:
        x: Tensor of any shape.
        threshold: What every number is moved towards zero by.

    Example:
        >>> soft_shrink(torch.tensor([-2.0, 0.3, 1.0]))
        tensor([-1.5000,  0.0000,  0.5000])
    """
    return F.softshrink(_tensor(x), threshold)


def hard_shrink(x: Any, threshold: float = 0.5) -> torch.Tensor:
    """Set what is within `threshold` of zero to zero, and keep the rest.

    f(x) = x where |x| > threshold, else 0.

    Args:
        x: Tensor of any shape.
        threshold: Numbers up to this size become zero.

    Example:
        >>> hard_shrink(torch.tensor([-2.0, 0.3, 1.0]))
        tensor([-2.,  0.,  1.])
    """
    return F.hardshrink(_tensor(x), threshold)


def threshold(x: Any, threshold: float, default_value: float) -> torch.Tensor:
    """Keep values above `threshold` and replace the others by `default_value`.

    f(x) = x where x > threshold, else default_value.

    Args:
        x: Tensor of any shape.
        threshold: Numbers up to this one are replaced.
        default_value: What they are replaced by.

    Example:
        >>> threshold(torch.tensor([-1.0, 0.5, 2.0]), 0.5, 9.0)
        tensor([9., 9., 2.])
    """
    return F.threshold(_tensor(x), threshold, default_value)


def sparse_plus(x: Any) -> torch.Tensor:
    """Round the rectifier's corner and stay exactly zero below -1.

    Formula: 0 for x <= -1, (x + 1)**2 / 4 for -1 < x < 1, x from 1 on.

    Args:
        x: Tensor of any shape.

    Example:
        >>> sparse_plus(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([0.0000, 0.2500, 2.0000])
    """
    x = _tensor(x)
    return torch.where(x <= -1, 0, torch.where(x < 1, 0.25 * (x + 1) ** 2, x))


def squareplus(x: Any, b: float = 4) -> torch.Tensor:
    """Round the rectifier's corner without an exponential: (x + sqrt(x**2 + b)) / 2.

    Args:
        x: Tensor of any shape.
        b: How wide the rounding is; 0 is the plain rectifier.

    Source: Barron, 2021, arXiv:2112.11687.

    Example:
        >>> squareplus(torch.tensor([0.0, 1.5]))
        tensor([1., 2.])
    """
    x = _tensor(x)
    return (x + torch.sqrt(x * x + b)) / 2


def silu(x: Any) -> torch.Tensor:
    """Gate each input by its own sigmoid: x * sigmoid(x); also called swish.

    Args:
        x: Tensor of any shape.

    Source: Ramachandran et al., 2017, arXiv:1710.05941.

    Example:
        >>> silu(torch.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """
    return F.silu(_tensor(x))


def hard_silu(x: Any) -> torch.Tensor:
    """Gate each input by its hard sigmoid: x * relu6(x + 3) / 6; also called hard swish.

    Args:
        x: Tensor of any shape.

    Source: Howard et al., 2019, arXiv:1905.02244.

    Example:
        >>> hard_silu(torch.tensor([-4.0, 3.0]))
        tensor([-0., 3.])
    """
    return F.hardswish(_tensor(x))


def mish(x: Any) -> torch.Tensor:
    """Gate each input by a tanh of its softplus: x * tanh(softplus(x)).

    Args:
        x: Tensor of any shape.

    Source: Misra, 2019, arXiv:1908.08681.

    Example:
        >>> mish(torch.tensor([-1.0, 2.0]))
        tensor([-0.3034,  1.9440])
    """
    return F.mish(_tensor(x))


def exponential(x: Any) -> torch.Tensor:
    """Return exp(x).

    f(x) = exp(x).

    Args:
        x: Tensor of any shape.

    Example:
        >>> exponential(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """
    return torch.exp(_tensor(x))


def softmax(x: Any, axis: int | None = -1) -> torch.Tensor:
    """Turn scores into probabilities that sum to 1: exp(x_i) / sum_j exp(x_j).

    Args:
        x: Tensor of at least one axis.
        axis: The axis that sums to 1; None means all numbers together.

    Example:
        >>> softmax(torch.tensor([0.0, 0.0, 0.0, 0.0]))
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    x = _tensor(x)
    if axis is None:
        return torch.softmax(x.reshape(-1), 0).reshape(x.shape)
    return torch.softmax(x, axis)


def log_softmax(x: Any, axis: int | None = -1) -> torch.Tensor:
    """Return the logarithm of the softmax without overflow: x_i - log(sum_j exp(x_j)).

    f(x) = x - log(sum(exp(x))).

    Args:
        x: Tensor of at least one axis.
        axis: The axis whose exponentials sum to 1; None means all numbers together.

    Example:
        >>> log_softmax(torch.tensor([0.0, 0.0]))
        tensor([-0.6931, -0.6931])
    """
    x = _tensor(x)
    if axis is None:
        return torch.log_softmax(x.reshape(-1), 0).reshape(x.shape)
    return torch.log_softmax(x, axis)


def sparsemax(x: Any, axis: int = -1) -> torch.Tensor:
    """Turn scores into probabilities of which many are exactly zero.

    It is the point of the probability simplex nearest to `x`: max(x_i - tau, 0)
    with tau chosen so that the result sums to 1.

    Args:
        x: Tensor of one axis or more.
        axis: The axis that becomes probabilities.

    Source: Martins and Astudillo, 2016, arXiv:1602.02068.

    Example:
        >>> sparsemax(torch.tensor([2.0, 1.5, -1.0]))
        tensor([0.7500, 0.2500, 0.0000])
    """
    x = _tensor(x)
    ordered = torch.sort(x, dim=axis, descending=True).values
    total = torch.cumsum(ordered, dim=axis) - 1
    rank_shape = [1] * x.dim()
    rank_shape[axis] = -1
    rank = torch.arange(1, x.shape[axis] + 1, dtype=x.dtype, device=x.device).reshape(rank_shape)
    kept = (ordered * rank > total).sum(dim=axis, keepdim=True).clamp(min=1)  # none where a row holds no numbers
    tau = total.gather(axis, kept - 1) / kept
    return (x - tau).clamp(min=0)


swish = silu
hard_swish = hard_silu

_ALL = (
    *(linear, relu, leaky_relu, relu6, elu, selu, celu, gelu, glu, sigmoid, log_sigmoid, hard_sigmoid, sparse_sigmoid),
    *(tanh, hard_tanh, tanh_shrink, softplus, softsign, soft_shrink, hard_shrink, threshold, sparse_plus, squareplus),
    *(silu, hard_silu, mish, exponential, softmax, log_softmax, sparsemax),
)
registry.add_builtins("activations", _ALL)
_BY_NAME = registry.builtins("activations")
_BY_NAME.update(swish=silu, hard_swish=hard_silu)


def get(identifier: Any) -> Activation:
    """Return the activation that a name, a config or a function stands for; None means `linear`.

    Args:
        identifier: A name, a config, an activation, a class or function, or None.

    Raises:
        ValueError: The name is not known; the message says which is meant.

    Example:
        >>> get("swish") is silu, get(None) is linear
        (True, True)
    """
    if identifier is None:
        return linear
    return registry.get("activation", identifier, _BY_NAME)


def serialize(activation: Activation) -> Any:
    """Return the name of a built-in activation, or the config of a user's own.

    Args:
        activation: An activation.

    Example:
        >>> serialize(relu)
        'relu'
    """
    return registry.serialize_keras_object(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Activation:
    """Return the activation that `serialize` described.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class or function} for what is not built in.

    Example:
        >>> deserialize("tanh") is tanh
        True
    """
    with registry.CustomObjectScope(custom_objects or {}):
        return get(config)


answer_misspellings(__name__)
