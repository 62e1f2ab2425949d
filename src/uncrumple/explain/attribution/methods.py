"""The four ways to say what an answer rests on: two by gradients, two by what happens inside or when parts are gone.

Each takes a `Field`: a point for each row (a picture, a vector, the vectors
of a text's words) and the score of the answer at any such point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from uncrumple.core.errors import explain, unknown_name
from uncrumple.explain.attribution.asking import Network
from uncrumple.explain.rows import batches, rows_at

WORDS = {
    "integrated_gradients": "integrated gradients",
    "saliency": "saliency",
    "grad_cam": "Grad-CAM",
    "occlusion": "occlusion",
}
# What a method looks at: two methods of one kind can be wrong together.
KINDS = {"integrated_gradients": "gradient", "saliency": "gradient", "grad_cam": "inside", "occlusion": "change"}


@dataclass
class Field:
    """Where a score is looked at, and how it changes around there.

    Args:
        start: A point for each row.
        base: What it is compared with: nothing there.
        score: Of points and the numbers of their rows, the scores of the rows' targets.
    """

    start: torch.Tensor
    base: torch.Tensor
    score: Callable[[torch.Tensor, np.ndarray], torch.Tensor]


def checked(methods: Any, possible: Sequence[str], why: dict[str, str]) -> tuple[tuple[str, ...], str]:
    """Return the methods to use, of two kinds at least, and what was added to those asked for.

    Args:
        methods: Names; None takes all that are possible.
        possible: Those that can be used here.
        why: Why others cannot.
    """
    if methods is None:
        return tuple(possible), ""
    names = [methods] if isinstance(methods, str) else list(methods)
    names = list(dict.fromkeys("occlusion" if name == "leave_one_out" else name for name in names))
    for name in names:
        if name not in WORDS:
            raise ValueError(unknown_name("method", str(name), WORDS))
        if name not in possible:
            others = ", ".join(repr(one) for one in possible)
            raise ValueError(
                explain(
                    f"attribute got the method {name!r}: {why[name]}.", f"Expected some of {others}.", "methods=None"
                )
            )
    if not names:
        raise ValueError(explain("attribute got no methods.", "Expected two or more.", "methods=None, for all"))
    if len({KINDS[name] for name in names}) > 1:
        return tuple(names), ""
    added = "integrated_gradients" if names[0] == "occlusion" else "occlusion"
    return (*names, added), (f"{WORDS[added].capitalize()} was added: methods of one kind can be wrong together.")


def integrated_gradients(field: Field, steps: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return the gradient along the straight way from the base to the point, times that way; and how much is missing.

    sum over steps of (start - base) * gradient(base + a * (start - base)) * weight,
    at the places and weights of Gauss's rule. In all it is the difference of the
    two scores; how far it is from that is the gap.

    Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017.

    Returns:
        Attributions in the shape of `start`, and for each row the gap as a share of the difference.
    """
    places, weights = np.polynomial.legendre.leggauss(steps)
    way = field.start - field.base
    total = torch.zeros_like(field.start)
    gaps = np.zeros(len(way))
    for some in batches(len(way)):
        rows = np.arange(some.start, some.stop)
        for place, weight in zip(((places + 1) / 2).tolist(), (weights / 2).tolist()):
            point = (field.base[some] + place * way[some]).detach().requires_grad_()
            (slope,) = torch.autograd.grad(field.score(point, rows).sum(), point)
            total[some] += weight * slope
        made = total[some] * way[some]
        total[some] = made
        with torch.no_grad():
            grown = field.score(field.start[some], rows) - field.score(field.base[some], rows)
        parts = made.flatten(1).double().cpu().numpy()
        sums, sizes, rise = parts.sum(axis=1), np.abs(parts).sum(axis=1), grown.double().cpu().numpy()
        # Where the two scores are the same, a share of their difference means nothing.
        gaps[rows] = np.abs(sums - rise) / np.maximum(np.maximum(np.abs(rise), 0.01 * sizes), 1e-12)
    return total.detach(), gaps


def saliency(field: Field) -> torch.Tensor:
    """Return how much the score would change with each number: the gradient at the point.

    Source: Simonyan et al., "Deep Inside Convolutional Networks", 2013.
    """
    parts = []
    for some in batches(len(field.start)):
        point = field.start[some].detach().requires_grad_()
        (slope,) = torch.autograd.grad(field.score(point, np.arange(some.start, some.stop)).sum(), point)
        parts.append(slope.detach())
    return torch.cat(parts)


def windows(size: int, window: int, stride: int) -> list[int]:
    """Return where windows begin, so that every place is covered.

    Example:
        >>> windows(10, 4, 3), windows(3, 4, 2)
        ([0, 3, 6], [0])
    """
    if window >= size:
        return [0]
    starts = list(range(0, size - window + 1, stride))
    return starts if starts[-1] + window == size else [*starts, size - window]


def occlusion(field: Field, axes: Sequence[int], window: Sequence[int], stride: Sequence[int]) -> torch.Tensor:
    """Return by how much the score falls when a part is put to the base, averaged over the windows at each place.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.

    Args:
        field: Where.
        axes: Those along which windows move, the rows' axis being 0.
        window, stride: Along each of these axes.

    Returns:
        Falls, of shape (rows, the sizes of these axes).
    """
    sizes = [field.start.shape[axis] for axis in axes]
    corners = [windows(size, one, step) for size, one, step in zip(sizes, window, stride)]
    boxes: list[Any] = [
        tuple(slice(begin, begin + wide) for begin, wide in zip(corner, window))
        for corner in (np.stack(np.meshgrid(*corners, indexing="ij"), -1).reshape(-1, len(axes)))
    ]
    falls = torch.zeros(len(field.start), *sizes, dtype=torch.float64)
    counts = torch.zeros(*sizes, dtype=torch.float64)
    for box in boxes:
        counts[box] += 1
    with torch.no_grad():
        for row in range(len(field.start)):
            whole = field.score(field.start[row : row + 1], np.array([row]))[0]
            for some in batches(len(boxes)):
                chosen = boxes[some]
                points = field.start[row : row + 1].repeat(len(chosen), *[1] * (field.start.ndim - 1))
                for place, box in enumerate(chosen):
                    where = _within(field.start.ndim - 1, axes, box)
                    points[place][where] = field.base[row][where]
                fall = (whole - field.score(points, np.full(len(chosen), row))).double().cpu()
                for one, box in zip(fall, chosen):
                    falls[(row, *box)] += one
    return falls / counts


def _within(axes_of_a_point: int, axes: Sequence[int], box: Sequence[slice]) -> Any:
    """Return a box along some axes as an index of a point, all of it along the others."""
    where: list[Any] = [slice(None)] * axes_of_a_point
    for axis, part in zip(axes, box):
        where[axis - 1] = part
    return tuple(where)


def grad_cam(
    network: Network, inputs: Any, targets: np.ndarray, layer: Any, first: bool, size: tuple[int, int]
) -> np.ndarray:
    """Return where the channels of a layer are active that raise the score, at the size of the picture.

    relu(sum over channels of mean gradient * activation), enlarged.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017.

    Args:
        network: The network.
        inputs: Pictures, as tensors.
        targets: Which answer, for each.
        layer: A layer whose output has height and width.
        first: Whether its channels come before height and width.
        size: Height and width of the map.
    """
    parts = []
    for some in batches(len(targets), 32):
        scores, made = network.scores(_watched(rows_at(inputs, some)), tap=layer)
        (slope,) = torch.autograd.grad(network.chosen(scores, targets[some]).sum(), made)
        if not first:
            made, slope = made.movedim(-1, 1), slope.movedim(-1, 1)
        weights = slope.flatten(2).mean(2)[:, :, None, None]
        found = torch.relu((weights * made).sum(1, keepdim=True)).float()
        parts.append(functional.interpolate(found, size, mode="bilinear", align_corners=False)[:, 0].detach())
    return torch.cat(parts).double().cpu().numpy()


def _watched(inputs: Any) -> Any:
    """Return inputs that gradients are kept for, so that they reach a layer whose weights are frozen, too."""
    if isinstance(inputs, torch.Tensor) and inputs.is_floating_point():
        return inputs.detach().requires_grad_()
    return inputs


def layers_of_maps(network: Network, inputs: Any) -> Iterator[tuple[str, Any, torch.Size]]:
    """Yield name, layer and output shape of the convolutions that a network ran, the last first."""
    seen: list[tuple[Any, torch.Size]] = []

    def see(part: Any, _: Any, out: Any) -> None:
        if isinstance(out, torch.Tensor) and out.ndim == 4:
            seen.append((part, out.shape))

    names = {part: name for name, part in network.model.named_modules()}
    hooks = [part.register_forward_hook(see) for part in names if "Conv" in type(part).__name__]
    try:
        with torch.no_grad():
            network.run(rows_at(inputs, slice(0, 1)))
    finally:
        for hook in hooks:
            hook.remove()
    for part, shape in reversed(seen):
        yield str(getattr(part, "name", names[part])), part, shape
