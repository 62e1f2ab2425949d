"""Which words a network has come to treat alike: the neighbours of its embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from uncrumple.core.errors import unknown_name
from uncrumple.data.kinds.prepare_text import TextPreparation
from uncrumple.explain.asked import check_whole
from uncrumple.explain.pictures.choosing import parts_that
from uncrumple.explain.pictures.picture import Picture, plain, refuse
from uncrumple.explain.uncrumpling.projection import project

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_DOTS = 3000


class EmbeddingNeighbours(Picture):
    """What `embedding_neighbours` returns.

    Attributes:
        name: Of the layer.
        names: What stands in each row of the table.
        nearest: For each word asked for its neighbours, the nearest first, each with its cosine.
        points: (rows, 2), the table in two dimensions.
        variance: Share of the table's variance that they show.
    """

    def __init__(
        self, name: str, names: list[str], nearest: dict[str, list[tuple[str, float]]], points: np.ndarray, variance: float
    ) -> None:  # fmt: skip
        self.name, self.names, self.nearest = name, names, nearest
        self.points, self.variance = points, variance
        word, near = next(iter(nearest.items()))
        said = ", ".join(f"{_quoted(other)} ({cosine:.2f})" for other, cosine in near[:3])
        self.title = f"Nearest to {_quoted(word)} in '{name}': {said}"
        if len(nearest) > 1:
            self.title += f"; and the neighbours of {len(nearest) - 1} more"
        self.note = (
            f"In brackets the cosine of the angle between two rows, 1 for the same direction. Map: {len(names):,} rows "
            f"in the two directions in which they are spread the most, which show {100 * variance:.0f} % of the variance: "
            "neighbours were found in all dimensions, not on the map."
        )

    def _lines(self) -> list[str]:
        return [
            f"{_quoted(word)}: " + ", ".join(f"{_quoted(other)} {cosine:.2f}" for other, cosine in near)
            for word, near in self.nearest.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        nearest = {word: [[other, cosine] for other, cosine in near] for word, near in self.nearest.items()}
        return {**super().to_dict(), "name": self.name, "nearest": plain(nearest), "variance_shown": self.variance,
                "points": plain(dict(zip(self.names, self.points)))}  # fmt: skip

    def _draw(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import class_colours, new_figure, theme_of

        colours = theme_of(theme)
        words = list(self.nearest)
        figure = new_figure(9.6, max(4.6, 0.62 * len(words) + 2.4), self.title, theme, self.note)
        grid = figure.add_gridspec(1, 2, width_ratios=[1.25, 1.0])
        axes = figure.add_subplot(grid[0, 0])
        place = {name: row for row, name in enumerate(self.names)}
        rest = np.arange(len(self.names))
        if len(rest) > _MOST_DOTS:
            rest = np.linspace(0, len(rest) - 1, _MOST_DOTS).astype(int)
        axes.scatter(self.points[rest, 0], self.points[rest, 1], s=4, color=colours["faint"], alpha=0.45, linewidths=0)
        shades = class_colours(len(words), theme)
        written: list[np.ndarray] = []
        span = np.ptp(self.points, axis=0)
        for word, shade in zip(words, shades):
            at = self.points[place[word]]
            for rank, (other, _) in enumerate([(word, 1.0), *self.nearest[word][:4]]):
                there = self.points[place[other]]
                if rank:
                    axes.plot([at[0], there[0]], [at[1], there[1]], color=shade, linewidth=0.8, alpha=0.7)
                axes.scatter(there[0], there[1], s=34 if rank == 0 else 14, color=shade, zorder=3)
                # A word that would be written over another is left out: it stands in the list.
                clear = all(
                    abs(there[0] - w[0]) > 0.13 * span[0] or abs(there[1] - w[1]) > 0.045 * span[1] for w in written
                )
                if rank == 0 or clear:
                    axes.annotate(_shown(other), there, xytext=(4, 3), textcoords="offset points", fontsize=8.5 if rank else 9.5,
                                  fontweight="normal" if rank else "bold", color=colours["ink"], zorder=4)  # fmt: skip
                    written.append(there)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title("The table as a map", fontsize=9.5)
        chart = figure.add_subplot(grid[0, 1])
        chart.set_axis_off()
        chart.set_title("The nearest, by cosine in all dimensions", fontsize=9.5)
        for row, (word, shade) in enumerate(zip(words, shades)):
            height = 1 - (row + 0.5) / len(words)
            chart.text(
                0.0,
                height,
                _shown(word),
                color=shade if theme == "dark" else colours["ink"],
                fontsize=10.5,
                fontweight="bold",
                va="bottom",
                transform=chart.transAxes,
            )
            chart.plot(
                [-0.03], [height + 0.015], "o", color=shade, markersize=5, transform=chart.transAxes, clip_on=False
            )
            said = "  ".join(f"{_shown(other)} {cosine:.2f}" for other, cosine in self.nearest[word][:5])
            chart.text(
                0.0, height - 0.008, said, color=colours["soft"], fontsize=8.5, va="top", transform=chart.transAxes
            )
        chart.set_xlim(0, 1)
        chart.set_ylim(0, 1)
        return figure


def embedding_neighbours(
    model: Any,
    words: Any = None,
    layer: Any = None,
    *,
    vocabulary: Sequence[str] | Mapping[str, int] | None = None,
    most: int = 8,
) -> EmbeddingNeighbours:
    """Show which rows of an embedding lie near each other: what the network has come to treat alike.

    Args:
        model: A model made in any way, or a torch module, with an embedding.
        words: A word, or several; by default six that have the nearest neighbours.
        layer: The name of the embedding, or the layer; by default the first.
        vocabulary: The word of each row: a list, or {word: row}. By default that of a layer of the model which has
            one (`TextVectorization`, `StringLookup`, or a `Text`'s preparation); else rows go by their numbers.
        most: How many neighbours of each.

    Raises:
        ValueError: There is no embedding, or no such word.

    Example:
        >>> from uncrumple.layers import Embedding, Input
        >>> from uncrumple.models import Sequential
        >>> table = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> model = Sequential([Input((4,), dtype="int32"), Embedding(3, 2, weights=[table])])
        >>> shown = embedding_neighbours(model, "cat", vocabulary=["cat", "dog", "car"])
        >>> [(word, round(cosine, 2)) for word, cosine in shown.nearest["cat"]]
        [('dog', 0.99), ('car', 0.0)]
    """
    owner = "embedding_neighbours"
    check_whole(owner, "most", most, 1, "most=8")
    part = parts_that(model, lambda one: _table_of(one) is not None, layer, owner, "embedding", "Embedding(1000, 64)")[
        0
    ]
    table = _table_of(part.module)
    assert table is not None
    names = _names(model, vocabulary, len(table), owner)
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    unit = table / np.where(lengths > 0, lengths, 1.0)
    asked = _asked(words, names, unit, lengths[:, 0], owner)
    nearest = {}
    for row in asked:
        cosines = unit @ unit[row]
        cosines[row] = -np.inf
        order = np.argsort(-cosines, kind="stable")[: min(most, len(table) - 1)]
        nearest[names[row]] = [(names[other], float(cosines[other])) for other in order]
    seen = project(torch.from_numpy(table), exact=False)
    return EmbeddingNeighbours(part.name, names, nearest, seen.points, seen.variance)


def _table_of(module: Any) -> np.ndarray | None:
    if isinstance(module, torch.nn.Embedding):
        return module.weight.detach().float().cpu().numpy()
    if type(module).__name__ in ("Embedding", "ReversibleEmbedding") and getattr(module, "built", False):
        value = getattr(module, "embeddings", None)
        return None if value is None else value.detach().float().cpu().numpy()
    return None


def _names(model: Any, vocabulary: Any, rows: int, owner: str) -> list[str]:
    if vocabulary is None:
        for module in model.modules():
            own = getattr(module, "get_vocabulary", None)
            if isinstance(module, TextPreparation):
                # Its first two places stand for nothing, and for what it has never seen.
                found = ["", "[UNK]", *module.vocabulary]
            else:
                found = own() if callable(own) else []
            if 0 < len(found) <= rows:
                vocabulary = list(found)
                break
    if vocabulary is None:
        return [str(row) for row in range(rows)]
    if isinstance(vocabulary, Mapping):
        by_row = {int(row): str(word) for word, row in vocabulary.items()}
        if by_row and (min(by_row) < 0 or max(by_row) >= rows):
            raise refuse(
                owner, f"a vocabulary with row {max(by_row)}", f"Expected rows from 0 to {rows - 1}.", "the model's own"
            )
        names = [by_row.get(row, f"row {row}") for row in range(rows)]
    else:
        words = [str(word) for word in vocabulary]
        if len(words) > rows:
            raise refuse(
                owner, f"{len(words)} words for {rows} rows", "Expected a word for each row.", f"vocabulary[:{rows}]"
            )
        names = words + [f"row {row}" for row in range(len(words), rows)]
    # A word that stands twice must not hide a row.
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in seen:
            names[row] = f"{name} (row {row})"
        seen[names[row]] = row
    return names


def _asked(words: Any, names: list[str], unit: np.ndarray, lengths: np.ndarray, owner: str) -> list[int]:
    place = {name: row for row, name in enumerate(names)}
    if words is not None:
        given = [words] if isinstance(words, (str, int, np.integer)) else list(words)
        rows = []
        for word in given:
            key = str(word)
            if key not in place:
                raise ValueError(f"{owner}: " + unknown_name("word", key, names))
            rows.append(place[key])
        return list(dict.fromkeys(rows))
    # The words with the nearest neighbour, none twice.
    likeness = np.full(len(names), -np.inf)
    partner = np.zeros(len(names), int)
    for start in range(0, len(names), 512):
        cosines = unit[start : start + 512] @ unit.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -np.inf
        likeness[start : start + 512], partner[start : start + 512] = cosines.max(axis=1), cosines.argmax(axis=1)
    likeness[lengths <= 0] = -np.inf
    chosen: list[int] = []
    taken: set[int] = set()
    for row in np.argsort(-likeness, kind="stable").tolist():
        if row not in taken and np.isfinite(likeness[row]):
            chosen.append(row)
            taken |= {row, int(partner[row])}
        if len(chosen) == 6:
            break
    return chosen or [0]


def _shown(word: str) -> str:
    return {" ": "space", "\n": "newline", "": "(empty)"}.get(word, word if len(word) <= 18 else f"{word[:17]}…")


def _quoted(word: str) -> str:
    return f"'{_shown(word)}'"
