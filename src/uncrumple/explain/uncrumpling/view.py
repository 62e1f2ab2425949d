"""`Uncrumpled`: what every layer makes of the same samples, at one moment or over training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from uncrumple.explain.pictures.picture import Picture, plain
from uncrumple.explain.uncrumpling import words
from uncrumple.explain.uncrumpling.probe import Score
from uncrumple.explain.uncrumpling.probe_set import ProbeSet
from uncrumple.explain.uncrumpling.projection import turn_onto

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class LayerView:
    """What one layer makes of the samples.

    Attributes:
        name: The layer's name; `"the data"` for the samples themselves.
        kind: Its class.
        shape: The shape of what it gives for one sample.
        points: (samples, 2), where each sample lies.
        exact: Whether the points are the layer's two numbers themselves, and no projection.
        variance: Share of the layer's variance that the two dimensions show.
        score: What a straight line finds in the layer's whole output, not only in two dimensions.
        untrained: The same for the untrained network.
        lines: For inputs of two numbers: (lines, points of each, 2), the grid of the plane after the layer.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    points: np.ndarray
    exact: bool
    variance: float
    score: Score | None = None
    untrained: Score | None = None
    lines: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Numbers per sample."""
        return int(np.prod(self.shape, dtype=np.int64))

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "exact": self.exact,
            "variance_shown": self.variance,
            **({} if self.score is None else self.score.to_dict()),
            "untrained": None if self.untrained is None else self.untrained.to_dict(),
            "points": plain(self.points),
        }


@dataclass
class Frame:
    """A moment of training.

    Attributes:
        step: Steps of training so far.
        epoch: Epochs so far; None where nobody counted.
        loss: The loss then, where it is known.
        layers: What each layer makes of the samples, the samples themselves first.
    """

    step: int
    epoch: int | None
    loss: float | None
    layers: list[LayerView] = field(default_factory=list)

    def in_words(self) -> str:
        """Return when it was.

        Example:
            >>> Frame(0, None, None).in_words()
            'before training'
        """
        if not self.step:
            return "before training"
        said = f"step {self.step:,}" if self.epoch is None else f"epoch {self.epoch:,}, step {self.step:,}"
        return said if self.loss is None else f"{said}, loss {self.loss:.3g}"


class Uncrumpled(Picture):
    """What `uc.uncrumple` returns, and `UncrumpleView` over training.

    Attributes:
        frames: The moments, in order; one for a network that is looked at once.
        probe: The samples, with their classes or values.
        title: What is seen, in a sentence.
        notes: What else must be known.
    """

    _other_files = (".html", ".gif", ".json")

    def __init__(self, frames: Sequence[Frame], probe: ProbeSet, model_name: str, notes: Sequence[str] = ()) -> None:
        self.frames = list(frames)
        self.probe = probe
        self.model_name = model_name
        self.notes = tuple(notes)
        self.title = words.finding(self.layers, probe.task, len(probe), self._classes(), self.chance)
        self.note = words.how_to_read(self)

    # --- numbers ---------------------------------------------------------------------------

    @property
    def layers(self) -> list[LayerView]:
        """The layers at the last moment, the samples themselves first."""
        return self.frames[-1].layers

    @property
    def scores(self) -> np.ndarray:
        """(frames, layers): what a straight line finds; NaN without answers."""
        return np.array(
            [[np.nan if one.score is None else one.score.value for one in frame.layers] for frame in self.frames]
        )

    @property
    def chance(self) -> float:
        """What always answering the most frequent class would find; 0 for values."""
        if self.probe.labels is None:
            return 0.0
        return float(np.bincount(self.probe.labels).max() / len(self.probe))

    def _classes(self) -> int:
        return 0 if self.probe.labels is None else len(np.unique(self.probe.labels))

    def layer(self, name: str) -> LayerView:
        """Return a layer at the last moment, by its name."""
        from uncrumple.core.errors import unknown_name

        for one in self.layers:
            if one.name == name:
                return one
        raise ValueError(unknown_name("layer", name, [one.name for one in self.layers]))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, for JSON."""
        probe = self.probe
        return plain(
            {
                "title": self.title,
                "note": self.note,
                "notes": list(self.notes),
                "model": self.model_name,
                "task": probe.task,
                "measure": words.measure(probe.task),
                "chance": self.chance,
                "class_names": list(probe.class_names),
                "rows": probe.rows,
                "labels": probe.labels,
                "values": probe.values,
                "frames": [
                    {"step": one.step, "epoch": one.epoch, "loss": one.loss,
                     "layers": [layer.to_dict() for layer in one.layers]}
                    for one in self.frames
                ],
            }
        )  # fmt: skip

    def _lines(self) -> list[str]:
        return words.table(self)

    # --- drawings --------------------------------------------------------------------------

    def _draw(self, theme: str) -> Figure:
        from uncrumple.explain.uncrumpling.still import film_strip, one_moment

        return one_moment(self, theme) if len(self.frames) == 1 else film_strip(self, theme)

    def at(self, place: int) -> Uncrumpled:
        """Return the view at one moment alone.

        Args:
            place: Which of `frames`; negative ones count from the end.
        """
        return Uncrumpled([self.frames[place]], self.probe, self.model_name, self.notes)

    def to_html(self) -> str:
        """Return a page of its own that loads nothing: pictures that move, the numbers, light and dark."""
        from uncrumple.explain.uncrumpling.page import page

        return page(self)

    def to_gif(self, theme: str = "light", dpi: int = 70, seconds: float = 8.0) -> bytes:
        """Return the moments one after the other as a GIF that repeats.

        Args:
            theme: `"light"` or `"dark"`.
            dpi: Dots per inch.
            seconds: About how long it takes.
        """
        from uncrumple.explain.uncrumpling.moving import gif

        return gif(self, theme, dpi, seconds)

    def _content(self, suffix: str, theme: str, dpi: int) -> bytes | str | None:
        if suffix == ".gif":
            return self.to_gif(theme, min(dpi, 70))
        return super()._content(suffix, theme, dpi)


def aligned(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames whose points are turned onto those of the frame before; in the first, onto the layer before.

    Exact points stay as they are.
    """
    made: list[Frame] = []
    for frame in frames:
        layers: list[LayerView] = []
        for place, layer in enumerate(frame.layers):
            before = None
            if made:
                before = made[-1].layers[place].points
            elif layers:
                before = layers[-1].points
            if before is None or layer.exact:
                layers.append(layer)
                continue
            turn = turn_onto(layer.points, before)
            lines = None if layer.lines is None else layer.lines @ turn
            layers.append(
                LayerView(layer.name, layer.kind, layer.shape, layer.points @ turn, False, layer.variance,
                          layer.score, layer.untrained, lines)
            )  # fmt: skip
        made.append(Frame(frame.step, frame.epoch, frame.loss, layers))
    return made
