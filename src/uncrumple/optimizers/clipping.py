"""Making gradients shorter, three ways. Each returns new tensors and leaves the given ones alone."""

from __future__ import annotations

import torch

Tensors = list[torch.Tensor]


def by_norm(gradients: Tensors, longest: float) -> Tensors:
    """Shorten each gradient to at most `longest` (Euclidean length): g * longest / max(|g|, longest).

    Example:
        >>> by_norm([torch.tensor([3.0, 4.0]), torch.tensor([0.5])], 1.0)
        [tensor([0.6000, 0.8000]), tensor([0.5000])]
    """
    scales = torch._foreach_norm(gradients)
    torch._foreach_clamp_min_(scales, longest)
    torch._foreach_reciprocal_(scales)
    torch._foreach_mul_(scales, longest)
    return list(torch._foreach_mul(gradients, scales))


def by_global_norm(gradients: Tensors, longest: float) -> Tensors:
    """Shorten all gradients by one factor, so that together they are at most `longest`.

    A NaN or an infinity in one gradient makes all of them NaN: the step is
    lost in any case, and it should be seen.

    Example:
        >>> by_global_norm([torch.tensor([3.0]), torch.tensor([4.0])], 1.0)
        [tensor([0.6000]), tensor([0.8000])]
    """
    norms = torch._foreach_norm(gradients)
    first = norms[0]
    together = torch.linalg.vector_norm(torch.stack([norm.to(first.device, first.dtype) for norm in norms]))
    scale = longest / together.clamp_min(longest) + (together - together)
    if all(gradient.device == first.device for gradient in gradients):
        return list(torch._foreach_mul(gradients, scale))
    return [gradient * scale.to(gradient.device) for gradient in gradients]


def by_value(gradients: Tensors, largest: float) -> Tensors:
    """Cut every entry to -largest ... largest.

    Example:
        >>> by_value([torch.tensor([-3.0, 0.5])], 1.0)
        [tensor([-1.0000,  0.5000])]
    """
    cut = torch._foreach_clamp_max(gradients, largest)
    torch._foreach_clamp_min_(cut, -largest)
    return list(cut)
