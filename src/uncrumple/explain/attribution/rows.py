"""Attribution of rows of numbers: which features, or which steps of a series, an answer rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.explain.attribution.asking import Network
from uncrumple.explain.attribution.control import in_percent
from uncrumple.explain.attribution.maps import Attribution
from uncrumple.explain.attribution.methods import WORDS, Field, integrated_gradients, occlusion, saliency
from uncrumple.explain.attribution.style import headed, number, styled
from uncrumple.explain.rows import rows_at
from uncrumple.explain.style import BLUE, FAINT, RED

_SHOWN, _BARS = 3, 12


@dataclass
class RowAttribution(Attribution):
    """What each feature says for or against an answer: see `Attribution`.

    Args:
        feature_names: A name for each.
        ordered: Whether the features are steps of time, and stay in their order.
        values: What each feature was, as it is shown; None where that would say nothing.
    """

    feature_names: tuple[str, ...] = ()
    ordered: bool = False
    values: Any = None

    def strongest(self, row: int, method: str, count: int = 5) -> list[tuple[str, float]]:
        """Return the features that say most for or against a row's answer, with their numbers."""
        found = self.maps[method][row]
        order = np.argsort(-np.abs(found), kind="stable")[:count]
        return [(self._named(row, place), float(found[place])) for place in order]

    def _named(self, row: int, place: int) -> str:
        name = self.feature_names[place]
        return name if self.values is None else f"{name} = {self.values[row][place]}"

    def lines(self) -> list[str]:
        lines = []
        for row in range(min(len(self.targets), 8)):
            lines.append(f"Row {row}: {self.name_of(row)} ({self.sureness(row)})")
            for method in self.maps:
                said = [
                    f"{name} {'+' if value > 0 else ''}{number(value)}" for name, value in self.strongest(row, method)
                ]
                lines.append(f"  {WORDS[method]}: {', '.join(said)}")
        if len(self.targets) > 8:
            lines.append(f"... and {len(self.targets) - 8} more rows.")
        return lines + self.about()

    @styled
    def plot(self, rows: int = _SHOWN) -> Any:  # type: ignore[override]
        """Draw the first rows as bars by feature (or curves over steps), and the untrained network's in grey.

        Args:
            rows: How many rows, at most.
        """
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        shown, methods = min(rows, len(self.targets)), list(self.maps)
        count = min(_BARS, len(self.feature_names))
        size = (4.1 * len(methods) + 0.6, (2.4 if self.ordered else 0.24 * count + 1.0) * shown + 1.5)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(shown, len(methods), squeeze=False)
        for row in range(shown):
            for place, method in enumerate(methods):
                axes, values, other = grid[row][place], self.maps[method][row], self.control[method][row]
                if self.ordered:
                    steps = np.arange(1, len(values) + 1)
                    axes.bar(steps, values, color=np.where(values >= 0, RED, BLUE))
                    axes.plot(steps, other, color=FAINT, linewidth=1.2)
                    axes.set_xlabel("step")
                else:
                    order = np.argsort(-np.abs(values), kind="stable")[:count][::-1]
                    axes.barh(range(count), values[order], color=np.where(values[order] >= 0, RED, BLUE), height=0.7)
                    axes.plot(other[order], range(count), "o", color=FAINT, markersize=4, fillstyle="none")
                    axes.set_yticks(range(count), [self._named(row, one)[:34] for one in order], fontsize=8.5)
                    axes.set_xlabel("change of the answer's score")
                (axes.axhline if self.ordered else axes.axvline)(0, color=FAINT, linewidth=0.8)
                said = f"{WORDS[method]}, {in_percent(self.alike[method])} like untrained"
                axes.set_title(f"{self.name_of(row)} ({self.sureness(row)})\n{said}", fontsize=9)
        figure.legend(
            handles=[
                Patch(color=RED, label="for the answer"),
                Patch(color=BLUE, label="against it"),
                Line2D(
                    [],
                    [],
                    color=FAINT,
                    marker="" if self.ordered else "o",
                    linestyle="-" if self.ordered else "",
                    fillstyle="none",
                    label="an untrained network's",
                ),
            ],
            loc="outside lower center",
            ncols=3,
            fontsize=9,
        )
        headed(figure, self.title, size[0])
        return figure

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "features": list(self.feature_names)}


def maps_of_rows(
    network: Network,
    inputs: Any,
    targets: np.ndarray,
    methods: Sequence[str],
    *,
    start: torch.Tensor,
    base: torch.Tensor,
    layer: Any,
    groups: list[list[int]],
    window: int,
    steps: int,
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return for each method a number for each group of features, and the gaps of integrated gradients.

    Args:
        start, base: (rows, features), or (rows, steps, channels).
        layer: What gives `start`, if that is not what the model is given; else None.
        groups: The features that count as one; for steps of time, one for each.
        window: How many steps of time are taken away at once.
    """

    def score(points: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        if layer is None:
            return network.chosen(network.scores(points), targets[rows])
        return network.chosen(network.scores(rows_at(inputs, rows), put=(layer, points)), targets[rows])

    field, gaps, found = Field(start, base, score), None, {}
    for method in methods:
        if method == "integrated_gradients":
            made, gaps = integrated_gradients(field, steps)
            found[method] = _grouped(made, groups)
        elif method == "saliency":
            found[method] = _grouped(saliency(field).abs(), groups)
        elif start.ndim == 3:
            found[method] = occlusion(field, (1,), (window,), (max(1, window // 2),)).numpy()
        else:
            found[method] = _without_groups(field, groups)
    return found, gaps


def _grouped(values: torch.Tensor, groups: list[list[int]]) -> np.ndarray:
    made = values.double().cpu().numpy()
    if made.ndim == 3:
        return made.sum(axis=2)
    return np.stack([made[:, group].sum(axis=1) for group in groups], axis=1)


def _without_groups(field: Field, groups: list[list[int]]) -> np.ndarray:
    """Return by how much each score falls when a group of features is put to the base."""
    rows = np.arange(len(field.start))
    falls = np.zeros((len(rows), len(groups)))
    with torch.no_grad():
        whole = field.score(field.start, rows)
        for place, group in enumerate(groups):
            points = field.start.clone()
            points[:, group] = field.base[:, group]
            falls[:, place] = (whole - field.score(points, rows)).double().cpu().numpy()
    return falls


def groups_of(feature_names: Sequence[str], columns: Sequence[str]) -> list[list[int]]:
    """Return which features came of each column of a table.

    Example:
        >>> groups_of(["age", "age is missing", "sex: male"], ["age", "sex"])
        [[0, 1], [2]]
    """
    groups: dict[str, list[int]] = {column: [] for column in columns}
    for place, feature in enumerate(feature_names):
        owners = [
            column
            for column in columns
            if feature == column or feature.startswith(f"{column}: ") or feature == f"{column} is missing"
        ]
        if owners:
            groups[max(owners, key=len)].append(place)
    return list(groups.values())
