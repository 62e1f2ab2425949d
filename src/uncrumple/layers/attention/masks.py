"""Masks of attention: of queries, keys and values, and which query sees which key, brought together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.shapes import shape_of


def as_mask(mask: Any) -> torch.Tensor | None:
    """Return a mask as a tensor of booleans: whatever is not 0 counts."""
    if mask is None:
        return None
    mask = mask if isinstance(mask, torch.Tensor) else torch.as_tensor(mask)
    return mask if mask.dtype is torch.bool else mask != 0


def of_steps(mask: torch.Tensor, order: Sequence[int], attended: int, *, queries: bool) -> torch.Tensor:
    """Return a mask of steps as one of pairs of a query and a key.

    Args:
        mask: (samples, steps, ...), as it travels with a tensor; axes may be missing at the end.
        order: The axes of the tensor without features: samples, those apart, those attended over.
        attended: How many axes are attended over.
        queries: Whether it is the queries' mask; else that of keys or values.

    Returns:
        (samples, axes apart, queries, keys), with 1 for whatever the mask does not depend on.

    Example:
        >>> mask = torch.tensor([[True, True, False]])
        >>> of_steps(mask, (0, 1), 1, queries=True).shape, of_steps(mask, (0, 1), 1, queries=False).shape
        (torch.Size([1, 3, 1]), torch.Size([1, 1, 3]))
    """
    mask = mask.reshape(*mask.shape, *(1,) * (len(order) - mask.dim())).permute(tuple(order))
    apart, steps = mask.shape[: len(order) - attended], mask.shape[len(order) - attended :]
    ones = (1,) * attended
    return mask.reshape(*apart, *steps, *ones) if queries else mask.reshape(*apart, *ones, *steps)


def with_heads(mask: torch.Tensor, rank: int, attended: int) -> torch.Tensor:
    """Return a mask with as many axes as the scores: those missing are put where the heads are.

    Example:
        >>> with_heads(torch.ones(2, 5, 4), rank=4, attended=1).shape
        torch.Size([2, 1, 5, 4])
    """
    if mask.dim() >= rank:
        return mask
    place = mask.dim() - 2 * attended
    return mask.reshape(*mask.shape[:place], *(1,) * (rank - mask.dim()), *mask.shape[place:])


def both(one: torch.Tensor | None, other: torch.Tensor | None, attended: int) -> torch.Tensor | None:
    """Return what two masks allow together; None stands for a mask that allows everything."""
    if one is None or other is None:
        return one if other is None else other
    rank = max(one.dim(), other.dim())
    return with_heads(one, rank, attended) & with_heads(other, rank, attended)


def check_pairs(layer: Any, mask: torch.Tensor, scores: Sequence[int], attended: int) -> None:
    """Refuse an attention mask that does not broadcast against scores of this shape.

    Raises:
        ValueError: With the mask's shape, and what would do.
    """
    pairs = tuple(scores[-2 * attended :])
    fits = 2 * attended <= mask.dim() <= len(scores)
    if fits:
        shape = with_heads(mask, len(scores), attended).shape
        fits = all(size in (1, wanted) for size, wanted in zip(shape, scores))
    if fits:
        return
    usual = (scores[0], *pairs)
    spelled = "(samples, query steps, key steps)" if attended == 1 else "(samples, query axes, key axes)"
    raise ValueError(
        explain(
            f"{layer._label} got an attention_mask of shape {shape_of(mask)}.",
            f"Expected {_unknown(layer, usual)}: {spelled}; 1 where it is the same for all, and heads after the samples.",
            _fix(tuple(mask.shape), usual, attended),
        )
    )


def check_steps(layer: Any, name: str, mask: torch.Tensor, shape: Sequence[int]) -> None:
    """Refuse a mask that does not fit the tensor it belongs to; `name` is `"query"`, `"key"` or `"value"`."""
    fits = 2 <= mask.dim() < len(shape) and all(size in (1, wanted) for size, wanted in zip(mask.shape, shape))
    if not fits:
        raise ValueError(
            explain(
                f"{layer._label} got a {name}_mask of shape {shape_of(mask)} "
                f"and a {name} of shape {_unknown(layer, shape)}.",
                f"Expected {_unknown(layer, tuple(shape)[:-1])}: one boolean per step.",
                f"attention_mask=..., for a mask of pairs of steps; or a {name}_mask without the axis of features",
            )
        )


def _unknown(layer: Any, shape: Sequence[int]) -> tuple[int | None, ...]:
    """Return a shape as messages show it, with None for the samples while shapes are being found."""
    return shape_of(torch.empty(tuple(shape), device="meta")) if layer._finding_shapes() else tuple(shape)


def _fix(shape: tuple[int, ...], usual: tuple[int, ...], attended: int) -> str:
    if attended == 1 and len(shape) == 3 and (shape[0], shape[2], shape[1]) == usual:
        return "attention_mask.transpose(1, 2): queries come before keys"
    if attended == 1 and shape == (usual[0], usual[2]):
        return "attention_mask[:, None, :], for a mask of keys that is the same for all queries"
    return f"attention_mask of shape {usual}, true where a query sees a key"
