"""Random numbers under Keras's names.

Each function takes a `seed`: a number (the same result at every call), a
`SeedGenerator` (another result at each call, the same sequence from the same
start), or None (torch's own generator, which `set_random_seed` sets).
"""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import answer_misspellings, explain
from uncrumple.core.promotion import is_float_dtype, is_int_dtype, standardize_dtype, torch_type
from uncrumple.core.seed_generator import SeedGenerator, generator_for
from uncrumple.ops.tensors import as_ints, check_axis, tensor

# fmt: off
__all__ = ["SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "shuffle",
           "truncated_normal", "uniform"]
# fmt: on


def _float(owner: str, dtype: Any) -> torch.dtype:
    if not is_float_dtype(dtype):
        raise ValueError(
            explain(
                f"random.{owner} got dtype={standardize_dtype(dtype)!r}.", "Expected a float type.", 'dtype="float32"'
            )
        )
    return torch_type(dtype)


def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Return numbers from a normal distribution.

    Example:
        >>> normal((2, 3), seed=1).shape
        torch.Size([2, 3])
    """
    kind = _float("normal", dtype)
    return torch.normal(float(mean), float(stddev), as_ints(shape), generator=generator_for(seed), dtype=kind)


def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Return numbers that are equally likely anywhere from `minval` up to, without, `maxval`."""
    kind = _float("uniform", dtype)
    return (maxval - minval) * torch.rand(as_ints(shape), generator=generator_for(seed), dtype=kind) + minval


def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> torch.Tensor:
    """Return whole numbers from `minval` up to, without, `maxval`."""
    if not is_int_dtype(dtype):
        raise ValueError(
            explain(
                f"random.randint got dtype={standardize_dtype(dtype)!r}.", "Expected whole numbers.", 'dtype="int32"'
            )
        )
    low, high = int(minval), int(maxval)
    if low >= high:
        raise ValueError(
            explain(
                f"random.randint got minval={low}, maxval={high}.", "Expected minval < maxval.", f"maxval={low + 1}"
            )
        )
    return torch.randint(low, high, as_ints(shape), generator=generator_for(seed), dtype=torch_type(dtype))


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> torch.Tensor:
    """Return numbers from a normal distribution, of those less than two standard deviations from the mean."""
    kind = _float("truncated_normal", dtype)
    # Of four draws the first that lies within; one in 4,000 times there is none, and then the ends are the limit.
    draws = torch.normal(0.0, 1.0, (*as_ints(shape), 4), generator=generator_for(seed), dtype=kind)
    first = (draws.abs() < 2).int().argmax(-1, keepdim=True)
    return draws.gather(-1, first)[..., 0].clamp(-2, 2) * stddev + mean


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> torch.Tensor:
    """Return class numbers drawn by their scores.

    Args:
        logits: (rows, classes) logarithms of probabilities, up to a constant.
        num_samples: How many to draw for each row.
    """
    logits = tensor(logits)
    if logits.ndim != 2:
        raise ValueError(
            explain(
                f"random.categorical got logits of shape {tuple(logits.shape)}.",
                "Expected (rows, classes).",
                "logits[None]",
            )
        )
    chances = torch.softmax(logits, dim=-1)
    drawn = torch.multinomial(chances, num_samples, replacement=True, generator=generator_for(seed, logits.device))
    return drawn.to(torch_type(dtype))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> torch.Tensor:
    """Return `inputs` with a share of the numbers set to 0, and the others divided by the share that is kept.

    Args:
        rate: The share, 0 to 1.
        noise_shape: The shape of the random decisions, with None for the input's own size.
    """
    if not 0 <= rate <= 1:
        raise ValueError(explain(f"random.dropout got rate={rate}.", "Expected 0 <= rate <= 1.", "rate=0.5"))
    x = tensor(inputs)
    if rate in (0, 1):
        return x if rate == 0 else torch.zeros_like(x)
    shape = x.shape if noise_shape is None else [n or own for n, own in zip(noise_shape, x.shape)]
    kept = torch.full(tuple(shape), 1.0 - rate, device=x.device)
    kept = torch.bernoulli(kept, generator=generator_for(seed, x.device)).bool()
    return torch.where(kept, x / (1.0 - rate), 0)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> torch.Tensor:
    """Return the slices along an axis in random order."""
    x = tensor(x)
    check_axis("random.shuffle", axis, x.ndim)
    draws = torch.rand(x.shape[axis], generator=generator_for(seed, x.device), device=x.device)
    return torch.index_select(x, axis, draws.argsort())


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Return numbers from a gamma distribution of shape `alpha` and scale 1."""
    kind = _float("gamma", dtype)
    alpha = tensor(alpha).float().expand(as_ints(shape))
    return _gamma(alpha, seed).to(kind)


def _gamma(alpha: torch.Tensor, seed: Any) -> torch.Tensor:
    if alpha.is_meta:
        return torch.empty_like(alpha)
    drawn = torch._standard_gamma(alpha, generator=generator_for(seed, alpha.device))  # type: ignore[attr-defined]
    return drawn.clamp(min=torch.finfo(drawn.dtype).tiny)


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Return numbers between 0 and 1 from a beta distribution."""
    kind = _float("beta", dtype)
    sizes = as_ints(shape)
    both = torch.stack([tensor(part).float().expand(sizes) for part in (alpha, beta)])
    one, other = _gamma(both, seed)
    return (one / (one + other)).to(kind)


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Return how many of `counts` trials succeed, each with a probability."""
    kind = _float("binomial", dtype)
    sizes = as_ints(shape)
    trials, chances = (tensor(part).float().expand(sizes).contiguous() for part in (counts, probabilities))
    if trials.is_meta:
        return torch.empty(sizes, dtype=kind)
    return torch.binomial(trials, chances, generator=generator_for(seed, trials.device)).to(kind)


answer_misspellings(__name__)
