"""A model's weights as one point: to move it along directions, and to measure the loss there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple import layers
from uncrumple.core import tree
from uncrumple.data.batches import ArrayBatches, Batches, unpack_x_y_sample_weight


class Place:
    """Where a model's weights are; made within `on_trial(model)`, moves them.

    Args:
        model: The model.
        weights: Which weights are meant; by default the trainable ones.

    Attributes:
        weights: The weights, in order.
        here: Their values when this was made.
    """

    def __init__(self, model: Any, weights: Sequence[torch.Tensor] | None = None) -> None:
        self.weights = list(model.trainable_weights if weights is None else weights)
        self.here = [weight.detach().clone() for weight in self.weights]

    def flat(self) -> torch.Tensor:
        """Return the present values as one float32 vector on the CPU."""
        return torch.cat([weight.detach().reshape(-1).float().cpu() for weight in self.weights])

    def unpacked(self, flat: Any) -> list[torch.Tensor]:
        """Return a flat vector in the weights' shapes."""
        values = torch.as_tensor(flat, dtype=torch.float32)
        parts = values.split([weight.numel() for weight in self.weights])
        return [part.reshape(weight.shape).to(weight.device) for part, weight in zip(parts, self.weights)]

    @torch.no_grad()
    def move(self, *steps: tuple[float, list[torch.Tensor]]) -> None:
        """Put the weights at `here` plus the sum of share * direction."""
        for number, (weight, value) in enumerate(zip(self.weights, self.here)):
            moved = value.double()
            for share, direction in steps:
                moved = moved + share * direction[number].double()
            weight.copy_(moved)


def random_directions(model: Any, place: Place, count: int, seed: int) -> list[list[torch.Tensor]]:
    """Return random directions in which each filter is as long as the weight's own; zero for biases and scales.

    A filter is what one unit multiplies its inputs by. Without this, a network whose weights are ten times as large
    (and the next layer's ten times smaller) would seem ten times as flat, though it computes the same.

    Source: H. Li et al., 2018, Visualizing the loss landscape of neural nets.
    """
    axes, generator = _filter_axes(model), torch.Generator().manual_seed(seed)
    return [_random_direction(place, axes, generator) for _ in range(count)]


def _random_direction(place: Place, axes: dict[int, int], generator: torch.Generator) -> list[torch.Tensor]:
    found = []
    for weight, value in zip(place.weights, place.here):
        if weight.ndim < 2:
            found.append(torch.zeros_like(value, requires_grad=False))
            continue
        drawn = torch.randn(tuple(weight.shape), generator=generator, device="cpu").to(value.device)
        axis = axes.get(id(weight), weight.ndim - 1)
        others = [other for other in range(weight.ndim) if other != axis]
        size, own = (torch.linalg.vector_norm(one.float(), dim=others, keepdim=True) for one in (drawn, value))
        found.append(drawn * own / (size + 1e-10))
    return found


def _filter_axes(model: Any) -> dict[int, int]:
    """Return the axis that counts units for weights where it is not the last: torch's modules, and embeddings."""
    found: dict[int, int] = {}
    for module in model.modules():
        first = not isinstance(module, layers.Layer) or isinstance(module, layers.Embedding)
        if first:
            found.update({id(weight): 0 for weight in module.parameters(recurse=False)})
    return found


def some_rows(model: Any, batches: Batches, rows: int, seed: int) -> list[tuple[Any, Any, Any]]:
    """Return at most so many rows as a list of (x, y, sample_weight), drawn at random from arrays."""
    if isinstance(batches, ArrayBatches):
        device = next((weight.device for weight in model.weights), "cpu")
        chosen = np.arange(batches.samples)
        if batches.samples > rows:
            chosen = np.sort(np.random.default_rng(seed).choice(batches.samples, rows, replace=False))
        index = torch.from_numpy(chosen)
        parts = (batches.x, batches.y, batches.sample_weight)
        found = []
        for part in index.split(512):
            taken = tree.map_structure(lambda leaf: None if leaf is None else leaf[part].to(device), parts)  # noqa: B023
            found.append(taken)
        return found
    found, seen = [], 0
    for batch in batches.epoch():
        x, y, sample_weight = unpack_x_y_sample_weight(batch if len(batch) > 1 else batch[0])
        found.append((x, y, sample_weight))
        seen += int(tree.flatten(x)[0].shape[0])
        if seen >= rows:
            break
    return found


@torch.no_grad()
def mean_loss(model: Any, batches: list[tuple[Any, Any, Any]]) -> float:
    """Return what training makes smaller, on rows: the loss of `compile` and penalties, without dropout."""
    model.train(False)
    total, count = 0.0, 0
    for x, y, sample_weight in batches:
        size = int(tree.flatten(x)[0].shape[0])
        loss = model.compute_loss(x, y, model(x), sample_weight, **model._when_testing)
        total, count = total + float(loss) * size, count + size
    return total / count if count else math.nan


def main_directions(points: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the two directions that hold most of what points differ from a center in.

    Args:
        points: (points, numbers), many numbers.
        center: (numbers,).

    Returns:
        Directions (2, numbers) of length 1, the points' coordinates (points, 2), and the share of their squared
        distances that lies in that plane.

    Example:
        >>> points = np.array([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
        >>> _, places, share = main_directions(points, np.zeros(3))
        >>> np.abs(places).round(3).tolist(), round(share, 3)
        ([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], 1.0)
    """
    gaps = points.astype(np.float64) - center
    # The matrix of products is small where the vectors are long.
    values, vectors = np.linalg.eigh(gaps @ gaps.T)
    order = np.argsort(values)[::-1]
    values, vectors = np.maximum(values[order], 0.0), vectors[:, order]
    directions = []
    for number in range(2):
        if number < len(values) and values[number] > 1e-12 * max(values[0], 1e-300):
            directions.append(gaps.T @ vectors[:, number] / math.sqrt(values[number]))
    random = np.random.default_rng(0)
    while len(directions) < 2:  # points on a line, or all at one place: any direction across it
        other = random.normal(size=gaps.shape[1])
        for direction in directions:
            other -= direction * (direction @ other)
        directions.append(other / max(np.linalg.norm(other), 1e-300))
    plane = np.stack(directions)
    places = gaps @ plane.T
    whole = float((gaps**2).sum())
    return plane, places, float((places**2).sum() / whole) if whole > 0 else 1.0
