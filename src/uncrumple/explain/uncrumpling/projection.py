"""From many dimensions to two, so that a picture does not jump from one moment to the next.

Principal components say in which plane the samples are spread the most. Their
signs and order mean nothing, and flip between two steps of training: each
picture is turned onto the one before (orthogonal Procrustes).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch

# Up to this size all eigenvectors are computed; beyond, the first few by iteration from random directions.
_SMALL = 96
_DIRECTIONS = 14
_ROUNDS = 12


@dataclass
class Projection:
    """Two dimensions of a layer.

    Args:
        points: (samples, 2); the root mean square of a point's length is 1, unless `exact`.
        variance: Share of the variance that they show.
        exact: Whether the points are the two numbers that the layer gives, untouched.
        middle: The mean of the features.
        directions: (features, 2): `(features - middle) @ directions` are the points.
    """

    points: np.ndarray
    variance: float
    exact: bool
    middle: np.ndarray
    directions: np.ndarray

    def of(self, features: torch.Tensor) -> np.ndarray:
        """Return where other samples lie in the same plane."""
        return (features.double().numpy() - self.middle) @ self.directions


def project(features: torch.Tensor, exact: bool = True) -> Projection:
    """Return samples in two dimensions.

    Args:
        features: (samples, features).
        exact: Whether a layer of one or two units is shown as it is.

    Example:
        >>> found = project(torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]))
        >>> found.variance, np.abs(found.points[:, 0]).round(3).tolist()
        (1.0, [1.225, 0.0, 1.225])
    """
    values = features.double()
    width = values.shape[1]
    if exact and width <= 2:
        same = np.eye(width, 2)
        return Projection(values.numpy() @ same, 1.0, True, np.zeros(width), same)
    middle = values.mean(dim=0)
    centred = values - middle
    total = float((centred**2).sum())
    if total <= 0:
        return Projection(np.zeros((len(values), 2)), 1.0, False, middle.numpy(), np.zeros((width, 2)))
    if width <= len(values):
        lengths, vectors = _largest(centred.T @ centred)
        directions = vectors
    else:
        gram = centred.float() @ centred.float().T
        lengths, vectors = _largest(gram.double())
        directions = centred.T @ (vectors / lengths.clamp_min(1e-12 * total).sqrt())
    if directions.shape[1] < 2:
        directions = torch.nn.functional.pad(directions, (0, 2 - directions.shape[1]))
    points = centred @ directions
    shown = float((points**2).sum()) / total
    scale = float((points**2).sum(dim=1).mean().sqrt()) or 1.0
    return Projection((points / scale).numpy(), min(1.0, shown), False, middle.numpy(), (directions / scale).numpy())


def _largest(square: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two largest eigenvalues of a symmetric matrix, and their vectors.

    Of a large one by repeated products with a few random directions (Halko, Martinsson and Tropp, "Finding
    structure with randomness", 2011): always the same ones, so that the result repeats itself.
    """
    size = len(square)
    if size <= _SMALL:
        lengths, vectors = torch.linalg.eigh(square)
    else:
        source = torch.Generator().manual_seed(0)
        found = torch.randn(size, _DIRECTIONS, generator=source, dtype=torch.float64, device="cpu")
        for _ in range(_ROUNDS):
            found = torch.linalg.qr(square @ found).Q
        lengths, vectors = torch.linalg.eigh(found.T @ square @ found)
        vectors = found @ vectors
    lengths, vectors = lengths.flip(0)[:2], vectors.flip(1)[:, :2]
    # The sign is free: the largest entry is positive.
    signs = torch.sign(vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True)))
    return lengths, vectors * torch.where(signs == 0, torch.ones_like(signs), signs)


def turn_onto(points: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return the turn (with or without a mirror) that brings points nearest to others: orthogonal Procrustes.

    Args:
        points, before: (samples, 2), the same samples.

    Returns:
        A matrix (2, 2), for `points @ turn`.

    Example:
        >>> square = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
        >>> turn_onto(square @ np.array([[0.0, 1.0], [-1.0, 0.0]]), square).round(6).tolist()
        [[0.0, -1.0], [1.0, 0.0]]
    """
    centred, wanted = points - points.mean(axis=0), before - before.mean(axis=0)
    left, _, right = np.linalg.svd(centred.T @ wanted)
    return left @ right


def jumps(frames: list[np.ndarray]) -> np.ndarray:
    """Return how far the samples move, on average, from each frame to the next."""
    return np.array([np.linalg.norm(b - a, axis=1).mean() for a, b in itertools.pairwise(frames)])
