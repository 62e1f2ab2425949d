"""Capacity against data: networks of several sizes, each trained on few and on many rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.core.seeds import set_random_seed
from uncrumple.explain.asked import check_whole
from uncrumple.explain.keeping import same_randomness
from uncrumple.explain.overfitting.ways import NotPossible, resized
from uncrumple.explain.style import INK, plain
from uncrumple.explain.tuning.drawing import Drawn, heading, styled
from uncrumple.explain.tuning.given import rows_of
from uncrumple.explain.tuning.measure import compiled, first_metric, maker, scores
from uncrumple.explain.tuning.words import number, table
from uncrumple.models.model import Model
from uncrumple.training.many import fit_many

_SHARES = ("accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy")


@dataclass(repr=False)
class Capacity(Drawn):
    """Errors by width and number of rows.

    Attributes:
        widths: The sizes of the network, in ascending order.
        sizes: How many rows were learnt from.
        learnt, fresh: The error on the rows learnt from and on fresh ones: (divisions, widths, sizes).
        measure: What the error is: "wrong answers" as a share, or "loss".
        steps: How many steps each network was trained for.
        fresh_rows: How many rows measured.
        of_size: What the widths are: "width", or "times the size" of a given model.
    """

    widths: tuple[float, ...]
    sizes: tuple[int, ...]
    learnt: np.ndarray
    fresh: np.ndarray
    measure: str
    steps: int
    fresh_rows: int
    of_size: str = "width"

    def _said(self, value: float) -> str:
        return f"{100 * value:.0f} %" if self.measure == "wrong answers" else number(value, 3)

    def verdict(self) -> str:
        """Return in a sentence what more rows and more units did."""
        fresh, learnt = self.fresh.mean(axis=0), self.learnt.mean(axis=0)
        few, many = fresh[-1, 0], fresh[-1, -1]
        gap = f"{self._said(learnt[-1, 0])} on them and {self._said(few)} on fresh ones"
        first = f"With {self.sizes[0]:,} rows the widest network errs by {gap}"
        return f"{first}; with {self.sizes[-1]:,} rows by {self._said(many)}."

    def findings(self) -> list[str]:
        """Return what the grid shows, each with its spread over the divisions."""
        found = []
        for name, one, other in (
            (f"{self.sizes[-1]:,} in place of {self.sizes[0]:,} rows, widest network", (-1, 0), (-1, -1)),
            (f"{self._width(-1)} in place of {self._width(0)}, most rows", (0, -1), (-1, -1)),
            (f"{self._width(-1)} in place of {self._width(0)}, fewest rows", (0, 0), (-1, 0)),
        ):
            change = self.fresh[:, other[0], other[1]] - self.fresh[:, one[0], one[1]]
            mean, spread = float(change.mean()), float(change.std(ddof=1))
            sure = abs(mean) > 2 * spread / math.sqrt(len(change))
            found.append(f"{name}: error on fresh rows {self._change(mean)} (sd {self._change(spread)[1:]})"
                         f"{'' if sure else ', no more than luck'}")  # fmt: skip
        return found

    def _change(self, value: float) -> str:
        return f"{100 * value:+.1f} points" if self.measure == "wrong answers" else f"{value:+.3g}"

    def _width(self, place: int) -> str:
        value = number(float(self.widths[place]), 3) if self.widths[place] % 1 else f"{int(self.widths[place]):,}"
        return f"{value} {self.of_size}" if self.of_size != "width" else f"width {value}"

    def __str__(self) -> str:
        lines = [self.verdict(), ""]
        for name, values in (("on the rows learnt from", self.learnt), ("on fresh rows", self.fresh)):
            lines.append(f"error {name} ({self.measure}, mean ± sd of {len(values)} divisions)")
            header = ["", *(f"{size:,} rows" for size in self.sizes)]
            cells = [
                [self._width(row), *(self._cell(values[:, row, column]) for column in range(len(self.sizes)))]
                for row in range(len(self.widths))
            ]
            lines += [*table(header, cells), ""]
        lines += self.findings()
        lines.append(self._how())
        return "\n".join(lines)

    def _cell(self, values: np.ndarray) -> str:
        mean, spread = float(values.mean()), float(values.std(ddof=1))
        if self.measure == "wrong answers":
            return f"{100 * mean:.1f} ± {100 * spread:.1f} %"
        return f"{number(mean, 3)} ± {number(spread, 2)}"

    def _how(self) -> str:
        return (
            f"Each network took {self.steps:,} steps, however many rows it had; {self.fresh_rows:,} fresh rows measure; "
            f"mean ± standard deviation of {len(self.fresh)} divisions of the data."
        )

    def to_dict(self) -> dict[str, Any]:
        return plain(
            {
                "verdict": self.verdict(),
                "findings": self.findings(),
                "widths": self.widths,
                "sizes": self.sizes,
                "measure": self.measure,
                "error_learnt": self.learnt,
                "error_fresh": self.fresh,
                "steps": self.steps,
                "fresh_rows": self.fresh_rows,
            }
        )

    @styled
    def plot(self) -> Any:
        from matplotlib.figure import Figure

        tall = 0.62 * len(self.widths) + 1.0
        figure = Figure(figsize=(max(7.4, 2 * (1.15 * len(self.sizes) + 1.0)), tall), layout="constrained")
        grid = figure.subplots(1, 2, sharey=True)
        high = float(max(self.learnt.mean(axis=0).max(), self.fresh.mean(axis=0).max())) or 1.0
        image: Any = None
        for axes, name, values in zip(grid, ("rows learnt from", "fresh rows"), (self.learnt, self.fresh)):
            means = values.mean(axis=0)
            image = axes.imshow(means, cmap="cividis_r", vmin=0, vmax=high, aspect="auto")
            for row in range(len(self.widths)):
                for column in range(len(self.sizes)):
                    dark = means[row, column] > 0.55 * high
                    axes.text(
                        column, row, self._cell(values[:, row, column]), ha="center", va="center", fontsize=9,
                        color="white" if dark else INK,
                    )  # fmt: skip
            axes.set_xticks(range(len(self.sizes)), [f"{size:,}" for size in self.sizes])
            axes.set_yticks(range(len(self.widths)), [self._width(row) for row in range(len(self.widths))])
            axes.set_title(f"error on {name}", fontweight="bold")
            axes.set_xlabel("rows to learn from")
            axes.grid(False)
            axes.tick_params(length=0)
        bar = figure.colorbar(image, ax=grid, shrink=0.9, pad=0.01)
        bar.set_ticks([0, high], labels=["0", self._said(high)])
        bar.outline.set_visible(False)
        heading(figure, self.verdict(), self._how())
        return figure


def capacity_and_data(
    build: Callable[..., Any] | Any,
    data: Any,
    *,
    widths: Sequence[float] = (2, 8, 32, 128),
    sizes: Sequence[int] | None = None,
    epochs: int = 60,
    batch_size: int = 32,
    divisions: int = 3,
    seed: int = 0,
    verbose: Any = 0,
) -> Capacity:
    """Train networks of several widths on few and on many rows, and measure each on the same fresh rows.

    Args:
        build: A function of the width that returns a new compiled model; or a compiled model of layers, of which
            `widths` are then multiples, such as (0.25, 1, 4).
        data: (x, y), a `Table`, `Images`, `Text` or `Series`, or their parts, whose test part is left alone.
        widths: At least two.
        sizes: How many rows to learn from, at least two numbers; by default a twentieth, a fifth, and all.
        epochs: How often the largest number of rows is gone through. Smaller ones are gone through more often, so
            that all networks take the same number of steps.
        batch_size: Rows in a batch.
        divisions: How often the data is divided anew, at least 2.
        seed: The first division's.
        verbose: As for `fit_many`.

    Returns:
        A `Capacity`: print it for the tables, `plot()` for the picture.

    Example:
        >>> import uncrumple as uc
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(120, 4)).astype("float32")
        >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)
        >>> def build(width):
        ...     model = uc.Sequential([uc.Input((4,)), uc.layers.Dense(width, "relu"), uc.layers.Dense(2, "softmax")])
        ...     model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        ...     return model
        >>> found = capacity_and_data(build, (x, y), widths=(2, 16), sizes=(20, 80), epochs=5, divisions=2)
        >>> found.fresh.shape, found.measure
        ((2, 2, 2), 'wrong answers')
    """
    owner = "capacity_and_data"
    for name, value, least in (("epochs", epochs, 1), ("divisions", divisions, 2), ("batch_size", batch_size, 1)):
        check_whole(owner, name, value, least, f"{name}={max(least, 5)}")
    rows = rows_of(data, owner)
    shown = tuple(sorted(_checked(owner, "widths", widths)))
    of_size = "width"
    make: Callable[[float], Any]
    if isinstance(build, Model):
        copy_of = maker(build, owner)
        of_size = "times the size"

        def make(width: float) -> Any:
            try:
                return resized(copy_of(), width)
            except NotPossible as why:
                raise ValueError(
                    explain(
                        f"{owner} cannot make '{build.name}' larger or smaller: {why}.",
                        "Expected a model of layers, or a function of the width.",
                        f"{owner}(lambda width: make_model(width), data)",
                    )
                ) from why

    else:
        if isinstance(build, type) or not callable(build):
            maker(build, owner)  # raises
        shown = tuple(int(width) if float(width) == int(width) else float(width) for width in shown)

        def make(width: float) -> Any:
            fix = "model.compile(...); return model, as the last lines of build(width)"
            return compiled(build(width), owner, fix)

    with same_randomness():
        parts = [rows.divide(0.0, 0.25, seed + place) for place in range(divisions)]
        most = len(parts[0].train)
        chosen = _checked(owner, "sizes", (most // 20, most // 5, most) if sizes is None else sizes)
        counts = tuple(sorted({int(size) for size in chosen}))
        if counts[0] < 2 or counts[-1] > most:
            raise ValueError(
                explain(
                    f"{owner} got sizes from {counts[0]} to {counts[-1]}.",
                    f"Expected from 2 to {most} rows: a quarter of {rows.count} is kept to measure on.",
                    f"sizes=({max(2, most // 10)}, {most})",
                )
            )
        steps = epochs * -(-counts[-1] // batch_size)
        learnt: np.ndarray = np.zeros((divisions, len(shown), len(counts)))
        fresh = np.zeros_like(learnt)
        measure = "loss"
        for column, count in enumerate(counts):
            places = [(division, row) for division in range(divisions) for row in range(len(shown))]
            models = []
            for division, row in places:
                set_random_seed((seed + division) % 2**32)
                models.append(make(shown[row]))
            fit_many(
                models,
                rows.x,
                rows.y,
                sample_weight=rows.sample_weight,
                rows=[parts[division].train[:count] for division, _ in places],
                batch_size=batch_size,
                epochs=max(1, round(steps / -(-count // batch_size))),
                seeds=[(seed + division) % 2**32 for division, _ in places],
                verbose=verbose,
            )
            metric = first_metric(models[0])
            measure = "wrong answers" if metric in _SHARES else "loss"
            for (division, row), model in zip(places, models):
                for kind, taken in ((learnt, parts[division].train[:count]), (fresh, parts[division].test)):
                    found = scores(model, rows.take(taken))
                    kind[division, row, column] = 1 - found[str(metric)] if metric in _SHARES else found["loss"]
    return Capacity(shown, counts, learnt, fresh, measure, steps, len(parts[0].test), of_size)


def _checked(owner: str, name: str, given: Any) -> tuple[float, ...]:
    values = tuple(given) if isinstance(given, (tuple, list, range, np.ndarray)) else ()
    real = all(isinstance(one, (int, float, np.number)) and not isinstance(one, bool) and one > 0 for one in values)
    if len(set(values)) < 2 or not real:
        example = "(2, 8, 32, 128)" if name == "widths" else "(50, 200, 800)"
        raise ValueError(
            explain(f"{owner} got {name}={given!r}.", "Expected at least two numbers above 0.", f"{name}={example}")
        )
    return values
