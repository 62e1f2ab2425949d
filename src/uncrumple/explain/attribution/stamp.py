"""The counterfactual stamp: a piece of one picture put on others, to see whether it is what the answer hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.data.checks.report import Finding
from uncrumple.data.kinds.base import RawData
from uncrumple.data.kinds.preparation import Preparation
from uncrumple.explain.asked import check_seed
from uncrumple.explain.attribution.asking import Network
from uncrumple.explain.attribution.methods import windows
from uncrumple.explain.attribution.pictures import _bare, _picture, channel_axis, shown_pictures
from uncrumple.explain.attribution.style import Result, headed, styled
from uncrumple.explain.keeping import answering
from uncrumple.explain.rows import as_tensors
from uncrumple.explain.style import ORANGE
from uncrumple.explain.untrained import untrained_copy
from uncrumple.layers.base import Layer

_SEARCHED, _MOST, _SHOWN = 48, 1000, 6


@dataclass
class Stamp(Result):
    """What a piece of one picture does on others: see `counterfactual_stamp`.

    Args:
        box: Top, left, height and width of the piece, in pixels.
        answer: What the model answers for the picture that the piece is from.
        share: Of the stamped pictures, the share that is then answered so; none was before.
        interval: Its 95 % interval, Wilson's.
        rows: How many pictures were stamped.
        other: The same share with the same place of other pictures, answered otherwise: the place alone.
        untrained: Of an untrained network: the share that is answered as it answers the source.
        covered: Of the pictures answered so, the share that is answered otherwise once the place is covered with 0.
        covered_rows: How many these are.
        searched: How many pictures the box was chosen by, which are not among the rows; 0 if it was given.
        examples: (before, after, answer before, answer after) of some.
        source: The picture that the piece is from.
        remarks: What a reader must know.
    """

    box: tuple[int, int, int, int]
    answer: str
    share: float
    interval: tuple[float, float]
    rows: int
    other: float
    untrained: float
    covered: float
    covered_rows: int
    searched: int
    examples: tuple[tuple[Any, Any, str, str], ...]
    source: Any
    remarks: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where the piece is, in words."""
        top, left, height, width = self.box
        rows, columns = np.asarray(self.source).shape[:2]
        vertical = "top" if top + height / 2 < rows / 3 else "bottom" if top + height / 2 > 2 * rows / 3 else ""
        side = "left" if left + width / 2 < columns / 3 else "right" if left + width / 2 > 2 * columns / 3 else ""
        if vertical and side:
            return f"{vertical} {side} corner"
        return f"{vertical or side} edge" if vertical or side else "middle"

    @property
    def title(self) -> str:
        share = f"{100 * self.share:.0f} %"
        said = (
            f"Stamping this piece ({self.place}) on {self.rows:,} other pictures makes {share} of them '{self.answer}'"
        )
        if self.share > 0.5 and self.other < self.share / 2:
            return f"{said}: the answer hangs on it, whatever else the picture shows."
        return f"{said}; the same place of other pictures {100 * self.other:.0f} %."

    @property
    def findings(self) -> tuple[Finding, ...]:  # type: ignore[override]
        hangs = self.share > 0.5 and self.other < self.share / 2
        return (
            Finding(
                "answer-hangs-on-a-piece" if hangs else "stamp",
                "warning" if hangs else "note",
                self.title,
                self.share,
                0.5,
                "share of other pictures that get the answer with the stamp",
                "A piece that brings its answer along anywhere is a short cut, not an understanding.",
                "take the mark off the training pictures, or put it on all classes alike",
                details={"box": list(self.box)},
            ),
        )

    def lines(self) -> list[str]:
        top, left, height, width = self.box
        low, high = self.interval
        lines = [
            f"- The piece: {height} x {width} pixels at row {top}, column {left} ({self.place}).",
            f"- Stamped on {self.rows:,} pictures that were answered otherwise: {100 * self.share:.0f} % become "
            f"'{self.answer}' [{100 * low:.0f}–{100 * high:.0f} %].",
            f"- The same place of pictures answered otherwise: {100 * self.other:.0f} %. An untrained network: "
            f"{100 * self.untrained:.0f} %.",
        ]
        if self.covered_rows:
            lines.append(
                f"- Covered on {self.covered_rows:,} pictures answered '{self.answer}': {100 * self.covered:.0f} % are "
                "answered otherwise."
            )
        if self.searched:
            lines.append(f"- The box was found on {self.searched} other pictures, which are not counted here.")
        return lines

    @styled
    def plot(self) -> Any:
        """Draw the source with its box, and some pictures before and after the stamp."""
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        count = len(self.examples)
        size = (1.5 * (count + 1) + 0.5, 4.1)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(2, count + 1)
        top, left, height, width = self.box

        def framed(axes: Any, pixels: Any, said: str, colour: str, title: str = "") -> None:
            axes.imshow(_picture(pixels), cmap="gray", interpolation="nearest")
            axes.add_patch(
                Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=ORANGE, linewidth=1.8)
            )
            _bare(axes)
            axes.set_xlabel(said, fontsize=10, color=colour, fontweight="bold")
            axes.set_title(title, fontsize=9.5)

        framed(figure.add_subplot(grid[0, 0]), self.source, self.answer, "#a35f00", "the piece\nis from here")
        for place, (before, after, was, now) in enumerate(self.examples):
            framed(figure.add_subplot(grid[0, place + 1]), before, was, "#222222", "before" if place == 0 else "")
            colour = "#a35f00" if now == self.answer else "#222222"
            framed(figure.add_subplot(grid[1, place + 1]), after, now, colour, "with the piece" if place == 0 else "")
        headed(figure, self.title, size[0], "Beneath each picture: what the network answers.")
        return figure

    def to_dict(self) -> dict[str, Any]:
        top, left, height, width = self.box
        return {
            "box": {"top": top, "left": left, "height": height, "width": width},
            "place": self.place,
            "answer": self.answer,
            "share": self.share,
            "interval": list(self.interval),
            "rows": self.rows,
            "other_pictures": self.other,
            "untrained": self.untrained,
            "covered": self.covered,
            "covered_rows": self.covered_rows,
            "searched": self.searched,
            "findings": list(self.findings),
            "remarks": list(self.remarks),
        }


def counterfactual_stamp(
    model: Any,
    x: Any,
    source: int = 0,
    *,
    box: Sequence[int] | None = None,
    side: int | None = None,
    class_names: Sequence[str] = (),
    seed: int = 0,
) -> Stamp:
    """Put a piece of one picture on others, and see how many are then answered as that one.

    Without a `box`, the piece is looked for: the square that brings its answer along most often, on pictures that
    are not counted afterwards. Controls are the same place of other pictures, and an untrained network.

    Args:
        model: A classifier of pictures: an uncrumple model or a torch module. It is left as it was.
        x: Pictures (samples, height, width, channels), at least 20; or `Images`. Of more than 1,000, so many
            are drawn.
        source: The number of the picture that the piece is taken from.
        box: (top, left, height, width) of the piece, in pixels; None looks for it.
        side: Of the square that is looked for, in pixels; a seventh of the smaller side by default, at least 3.
        class_names: Names; by default those of the data.
        seed: Of the division of the pictures, and of the untrained network.

    Returns:
        A `Stamp`: `box`, `share`, `interval`, `other`, `untrained`, `covered`; `print` it, `plot` it, `save` it.

    Raises:
        ValueError: The box is not within the picture, or no picture is answered otherwise.

    Example:
        >>> from uncrumple.layers import Dense, Flatten, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((4, 4, 1)), Flatten(), Dense(1, activation="sigmoid")])
        >>> model.set_weights([np.eye(16)[:, :1] * 10, np.array([-5.0])])  # it looks at the first pixel alone
        >>> x = np.zeros((40, 4, 4, 1), "float32")
        >>> x[:10, 0, 0] = 1
        >>> found = counterfactual_stamp(model, x, source=0, box=(0, 0, 1, 1))
        >>> found.share, found.other, found.covered
        (1.0, 0.0, 1.0)
    """
    check_seed("counterfactual_stamp", seed)
    if isinstance(x, RawData):
        class_names = class_names or x.class_names
        x = x.raw
    preparation = next((one for one in model.modules() if isinstance(one, Preparation)), None)
    names = tuple(class_names) or (preparation.class_names if preparation is not None else ())
    draws = np.random.default_rng(seed)
    inputs = as_tensors(x)
    if inputs.ndim not in (3, 4) or len(inputs) < 20:
        raise ValueError(
            explain(
                f"counterfactual_stamp got pictures of shape {tuple(inputs.shape)}.",
                "Expected at least 20 pictures: (samples, height, width, channels).",
                "x_test[:200]",
            )
        )
    if not isinstance(source, (int, np.integer)) or not 0 <= source < len(inputs):
        raise ValueError(
            explain(f"counterfactual_stamp got source={source!r}.", f"Expected 0 to {len(inputs) - 1}.", "source=0")
        )
    remarks = []
    if len(inputs) > _MOST:
        rest = np.setdiff1d(np.arange(len(inputs)), [source])
        inputs, source = inputs[[source, *draws.permutation(rest)[: _MOST - 1]]], 0
        remarks.append(f"{_MOST:,} of the pictures were drawn.")
    axis = channel_axis(inputs, not isinstance(model, Layer))
    spatial = (2, 3) if axis == 1 else (1, 2)
    height, width = (int(inputs.shape[place]) for place in spatial)
    with answering(model):
        network = Network(model, inputs)
        if not network.is_classifier:
            raise ValueError(
                explain(
                    "counterfactual_stamp got a model of values.", "Expected one of classes.", "attribute(model, x)"
                )
            )

        def answers(pictures: torch.Tensor, of: Network = network) -> np.ndarray:
            return of.targets(of.answers(pictures)[0])

        def cut(pictures: torch.Tensor, where: Sequence[int]) -> torch.Tensor:
            return pictures.narrow(spatial[0], where[0], where[2]).narrow(spatial[1], where[1], where[3])

        def stamped(pictures: torch.Tensor, pieces: torch.Tensor, where: Sequence[int]) -> torch.Tensor:
            made = pictures.clone()
            cut(made, where).copy_(pieces)
            return made

        now = answers(inputs)
        wanted = int(now[source])
        others = draws.permutation(np.flatnonzero(now != wanted))
        if len(others) < 4:
            raise ValueError(
                explain(
                    f"counterfactual_stamp found {len(others)} pictures that are answered otherwise than the source.",
                    "Expected at least 4 to stamp.",
                    "x with several classes, or another source",
                )
            )
        first, searched = inputs[source : source + 1], 0
        if box is None:
            side = side or max(3, round(min(height, width) / 7))
            if not 1 <= side <= min(height, width):
                raise ValueError(
                    explain(f"counterfactual_stamp got side={side}.", f"Expected 1 to {min(height, width)}.", "side=5")
                )
            searched = min(_SEARCHED, len(others) // 2)
            looked, others = inputs[others[:searched]], others[searched:]
            step = max(1, side // 2)
            best = (-1.0, -np.inf)
            where: tuple[int, ...] = (0, 0, side, side)
            for top in windows(height, side, step):
                for left in windows(width, side, step):
                    tried = (top, left, side, side)
                    scores, _ = network.answers(stamped(looked, cut(first, tried), tried))
                    made = network.targets(scores)
                    chosen = network.chosen(torch.as_tensor(scores), np.full(len(scores), wanted))
                    # Of boxes that turn equally many, the one that raises the score most.
                    score = (float(np.mean(made == wanted)), float(chosen.mean()))
                    if score > best:
                        best, where = score, tried
        else:
            where = _checked_box(box, height, width)
        rows = inputs[others]
        after_pictures = stamped(rows, cut(first, where), where)
        after = answers(after_pictures)
        donors = inputs[draws.permutation(others)]
        other = answers(stamped(rows, cut(donors, where), where))
        twin = Network(untrained_copy(model, seed).to(network.device), inputs)
        twin.head = network.head
        twin_wanted = int(answers(first, twin)[0])
        plain = answers(rows, twin) != twin_wanted
        twin_after = answers(after_pictures, twin)[plain] == twin_wanted
        same = inputs[np.flatnonzero(now == wanted)]
        covered = answers(stamped(same, torch.zeros_like(cut(same, where)), where))
    from scipy.stats import binomtest

    count = int((after == wanted).sum())
    found = binomtest(count, len(after)).proportion_ci(0.95, method="wilson")
    before_shown, after_shown = shown_pictures(rows, axis), shown_pictures(after_pictures, axis)

    def named(place: int) -> str:
        return str(names[place]) if place < len(names) else str(place)

    shown = sorted(range(len(after)), key=lambda place: after[place] != wanted)
    turned = [place for place in shown if after[place] == wanted]
    # As many turned and unturned pictures as there are, in proportion.
    most = min(_SHOWN, len(after))
    chosen_rows = turned[: max(1 if turned else 0, round(most * count / len(after)))]
    chosen_rows += [place for place in shown if after[place] != wanted][: most - len(chosen_rows)]
    return Stamp(
        (int(where[0]), int(where[1]), int(where[2]), int(where[3])),
        named(wanted),
        count / len(after),
        (float(found.low), float(found.high)),
        len(after),
        float(np.mean(other == wanted)),
        float(np.mean(twin_after)) if len(twin_after) else 0.0,
        float(np.mean(covered != wanted)),
        len(same),
        searched,
        tuple(
            (before_shown[row], after_shown[row], named(int(now[others[row]])), named(int(after[row])))
            for row in chosen_rows
        ),
        shown_pictures(first, axis)[0],
        tuple(remarks),
    )


def _checked_box(box: Sequence[int], height: int, width: int) -> tuple[int, ...]:
    try:
        made = tuple(int(one) for one in box)
    except (TypeError, ValueError):
        made = ()
    if len(made) == 4:
        top, left, high, wide = made
        if top >= 0 and left >= 0 and high >= 1 and wide >= 1 and top + high <= height and left + wide <= width:
            return made
    raise ValueError(
        explain(
            f"counterfactual_stamp got box={box!r}.",
            f"Expected (top, left, height, width) within {height} x {width} pixels.",
            "box=(0, 0, 3, 3)",
        )
    )
