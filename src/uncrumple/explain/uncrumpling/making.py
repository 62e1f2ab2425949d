"""`uncrumple(model, data)`: looks at every layer once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.explain.rows import rows_at, rows_in
from uncrumple.explain.uncrumpling import words
from uncrumple.explain.uncrumpling.inside import (
    Call,
    Sketches,
    calls_of,
    chosen_parts,
    device_of,
    features_of,
    fixed_batch,
)
from uncrumple.explain.uncrumpling.probe import Score, class_score, folds_of, value_score
from uncrumple.explain.uncrumpling.probe_set import ProbeSet, flat_inputs, probe_set
from uncrumple.explain.uncrumpling.projection import Projection, project
from uncrumple.explain.uncrumpling.view import Frame, LayerView, Uncrumpled, aligned
from uncrumple.explain.untrained import untrained_copy
from uncrumple.layers.embedding import Embedding

# More panels than this are too small to be read.
MOST_LAYERS = 11
_LINES, _ALONG = 13, 41


def uncrumple(
    model: Any,
    data: Any,
    *,
    points: int = 400,
    layers: Any = None,
    untrained: bool = True,
    exact: bool = True,
    task: str | None = None,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
) -> Uncrumpled:
    """Show what every layer makes of the same samples: in two dimensions, and how much of it a straight line finds.

    A network for classes uncrumples the data layer by layer, until a straight line tells the classes
    apart. For each layer there is a picture of the samples (principal components, turned onto the layer before)
    and, as a number, the accuracy of a linear probe: ridge regression of the classes on all that the layer
    gives, asked of samples that it was not fitted on. For values it is R².

    The model is run in inference and stays exactly as it is.

    Args:
        model: A model made in any way, or a torch module.
        data: (x, y), where y may be None; a `Table`, `Images`, `Text` or `Series`; or what `split` made of one.
        points: How many samples are shown, at most; of each class its share.
        layers: Names of layers, or the layers; by default all that change a number, and of a deep network eleven
            evenly spread ones.
        untrained: Whether the same network with first values is probed beside it.
        exact: Whether a layer of two units is shown by its two numbers, without projection.
        task: `"classification"` or `"regression"`; by default told by y.
        class_names: Names for the classes; by default those of the data.
        seed: Of the choice of samples, and of the untrained network.

    Returns:
        An `Uncrumpled`: `print` shows the numbers, `.save("view.html")` writes a page, `.png` and `.svg` a picture.

    Raises:
        ValueError: The data, or a name of a layer, is not what it should be.

    Example:
        >>> from uncrumple.models import Sequential
        >>> from uncrumple.layers import Dense, Input
        >>> x = np.random.default_rng(0).normal(size=(60, 2)).astype("float32")
        >>> model = Sequential([Input((2,)), Dense(8, "tanh", name="hidden"), Dense(1, "sigmoid", name="answer")])
        >>> view = uncrumple(model, (x, (x[:, 0] > 0).astype(int)))
        >>> [layer.name for layer in view.layers]
        ['the data', 'hidden', 'answer']
        >>> view.layers[1].points.shape
        (60, 2)
    """
    probe = probe_set(data, points, task, class_names, seed)
    looker = Looker(model, probe, layers, exact)
    frame = looker.look(model)
    notes = list(looker.notes)
    if untrained and probe.task is not None:
        try:
            scores = looker.scores(untrained_copy(model, seed))
        except Exception as error:  # a part of the user's own that cannot be copied: the view is there all the same
            notes.append(f"The untrained network could not be made: {str(error).splitlines()[0]}")
        else:
            for layer in frame.layers:
                layer.untrained = scores.get(layer.name)
    return Uncrumpled(aligned([frame]), probe, name_of(model), notes)


def name_of(model: Any) -> str:
    """Return what a model is called."""
    name = getattr(model, "name", None)
    return name if isinstance(name, str) else type(model).__name__


class Looker:
    """Looks at the same samples through a model again and again.

    Args:
        model: The model; it must be built.
        probe: The samples.
        layers: Names of layers, or None.
        exact: Whether layers of two units are shown as they are.
    """

    def __init__(self, model: Any, probe: ProbeSet, layers: Any = None, exact: bool = True) -> None:
        self.probe, self.exact = probe, exact
        self.sketches = Sketches()
        self.notes: list[str] = []
        device = device_of(model)
        self.x = tree.map_structure(lambda leaf: leaf.to(device), probe.x)
        self.parts = chosen_parts(model, layers, "uncrumple")
        few = rows_at(self.x, slice(0, min(fixed_batch(model) or 16, rows_in(self.x))))
        calls = calls_of(model, few, self.parts, keep_all=layers is not None)
        if not calls:
            raise ValueError(
                explain(
                    f"uncrumple found no layer in '{name_of(model)}' that gives numbers for each sample.",
                    "Expected at least one.",
                    "layers=['name of a layer']",
                )
            )
        if layers is None and len(calls) > MOST_LAYERS:
            kept = np.unique(np.linspace(0, len(calls) - 1, MOST_LAYERS).round().astype(int))
            self.notes.append(f"{len(kept)} of {len(calls)} layers are shown; layers=[...] chooses others.")
            calls = [calls[place] for place in kept]
        self.calls: list[Call] = calls
        self.folds = folds_of(probe.labels, len(probe))
        self._data, self._grid = self._prepare_data(model)

    def _prepare_data(self, model: Any) -> tuple[LayerView | None, torch.Tensor | None]:
        """Return the samples themselves as a panel, and a grid of the plane if they have two numbers."""
        flat = flat_inputs(self.probe.x)
        reads_numbers_of_words = any(
            isinstance(module, (Embedding, torch.nn.Embedding)) for module in model.modules()
        ) and not all(leaf.is_floating_point() for leaf in tree.flatten(self.probe.x))
        if flat is None or reads_numbers_of_words:
            return None, None
        values, shape = flat
        if self.probe.last_step and len(shape) > 1:
            values, shape = values.reshape(len(values), *shape)[:, -1].reshape(len(values), -1), shape[1:]
        values = self.sketches(words.DATA, values)
        seen = self._projected(values)
        grid = lines = None
        if isinstance(self.x, torch.Tensor) and self.x.ndim == 2 and self.x.shape[1] == 2:
            grid = _grid(values)
            lines = self._lines(seen, grid)
        shown = LayerView(words.DATA, "Input", shape, seen.points.astype(np.float32), seen.exact, seen.variance,
                          self._score(values), lines=lines)  # fmt: skip
        return shown, grid

    def _projected(self, values: torch.Tensor) -> Projection:
        return project(values, self.exact)

    def _lines(self, seen: Projection, features: torch.Tensor) -> np.ndarray:
        return seen.of(features).reshape(2 * _LINES, _ALONG, 2).astype(np.float32)

    def _score(self, values: torch.Tensor) -> Score | None:
        if self.probe.labels is not None:
            return class_score(values, self.probe.labels, self.folds)
        if self.probe.values is not None:
            return value_score(values, self.probe.values, self.folds)
        return None

    def _features(self, model: Any, x: Any) -> dict[str, torch.Tensor]:
        found = features_of(model, x, self.calls, self.parts, self.sketches, self.probe.last_step)
        for name, values in found.items():
            if not bool(torch.isfinite(values).all()):
                said = f"'{name}' gives numbers that are not finite; they are shown as 0."
                if said not in self.notes:
                    self.notes.append(said)
                found[name] = torch.nan_to_num(values, 0.0, 0.0, 0.0)
        return found

    def look(self, model: Any, step: int = 0, epoch: int | None = None, loss: float | None = None) -> Frame:
        """Return what the layers make of the samples now; points are not turned yet: see `aligned`."""
        features = self._features(model, self.x)
        of_grid: dict[str, torch.Tensor] = {}
        if self._grid is not None:
            of_grid = self._features(model, self._grid.to(device_of(model)))
        layers = [] if self._data is None else [self._data]
        for one in self.calls:
            values = features[one.name]
            seen = self._projected(values)
            lines = self._lines(seen, of_grid[one.name]) if one.name in of_grid else None
            points = seen.points.astype(np.float32)
            if seen.exact and values.shape[1] == 1:
                # One number: the height only keeps points from covering each other.
                points[:, 1] = np.random.default_rng(0).uniform(-1, 1, len(points)).astype(np.float32)
                lines = None
            shape = one.shape[1:] if self.probe.last_step and len(one.shape) > 1 else one.shape
            layers.append(
                LayerView(
                    one.name, one.kind, shape, points, seen.exact, seen.variance, self._score(values), lines=lines
                )
            )
        return Frame(step, epoch, loss, layers)

    def scores(self, model: Any) -> dict[str, Score | None]:
        """Return what a straight line finds after each layer of another model of the same make."""
        own = chosen_parts(model, [part.name for part in self.parts], "uncrumple")
        features = features_of(model, self.x, self.calls, own, self.sketches, self.probe.last_step)
        features = {name: torch.nan_to_num(values, 0.0, 0.0, 0.0) for name, values in features.items()}
        found = {} if self._data is None else {words.DATA: self._data.score}
        return {**found, **{one.name: self._score(features[one.name]) for one in self.calls}}


def _grid(values: torch.Tensor) -> torch.Tensor:
    """Return the points of lines across the plane of two inputs, the upright ones first."""
    low, high = values.min(dim=0).values, values.max(dim=0).values
    room = 0.06 * (high - low)
    low, high = low - room, high + room
    across = [torch.linspace(float(low[axis]), float(high[axis]), _LINES) for axis in (0, 1)]
    along = [torch.linspace(float(low[axis]), float(high[axis]), _ALONG) for axis in (0, 1)]
    upright = torch.stack([across[0][:, None].expand(_LINES, _ALONG), along[1].expand(_LINES, _ALONG)], dim=-1)
    level = torch.stack([along[0].expand(_LINES, _ALONG), across[1][:, None].expand(_LINES, _ALONG)], dim=-1)
    return torch.cat([upright, level]).reshape(-1, 2)
