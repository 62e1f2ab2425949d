"""Optimizers raced from one start: on a surface of two weights, or on a model and its data."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple import optimizers as optimizers_room
from uncrumple.core.errors import explain
from uncrumple.core.seeds import set_random_seed
from uncrumple.explain.asked import check_whole
from uncrumple.explain.keeping import on_trial
from uncrumple.explain.style import plain
from uncrumple.explain.surfaces import animation
from uncrumple.explain.surfaces.landscapes import Landscape, landscape_of, walk
from uncrumple.explain.surfaces.plane import _grid, colour_bar, contours
from uncrumple.explain.surfaces.weights import Place, main_directions, mean_loss, some_rows
from uncrumple.explain.tuning.drawing import LINES, Drawn, heading, log_scale, styled
from uncrumple.explain.tuning.given import batches_of, prepared
from uncrumple.explain.tuning.rates import _endless, learning_rate
from uncrumple.explain.tuning.words import listed, number, plural, table
from uncrumple.models.model import Model
from uncrumple.training.loop import as_handed

# Rates that each optimizer named by a string is tried with on a surface.
_RATES = tuple(float(f"{rate:.2g}") for rate in np.geomspace(1e-4, 10, 16))
_NEAR = 0.01  # arrived: within this share of the height that the start lies above the deepest minimum


@dataclass
class Runner:
    """One optimizer in the race.

    Attributes:
        name: What it is called.
        rate: Its learning rate at the start.
        places: Where it was, (points, 2), in the coordinates of the picture.
        losses: The loss there.
        arrived: The first step from which on it stays near the deepest minimum; None if it never does, or if
            there is nothing known to arrive at.
    """

    name: str
    rate: float
    places: np.ndarray
    losses: np.ndarray
    arrived: int | None = None

    @property
    def last(self) -> float:
        """The loss at the end; infinite if it left the finite numbers."""
        value = float(self.losses[-1])
        return value if math.isfinite(value) else math.inf


@dataclass(repr=False)
class Race(Drawn):
    """How optimizers got on; `race["Adam"]` is one of them.

    Attributes:
        runners: In the order they were given.
        steps: After which step each of the runners' places was noted; 0 is the start.
        ground: What they ran on, in words.
        across, up, heights: The loss on a grid, for the picture.
        minima: Where it is lowest, where that is known.
        lowest: The loss at the deepest minimum; None if unknown.
        how: How rates were chosen and losses measured.
        share: How much of the ways lies in the plane of the picture; 1 on a surface.
    """

    runners: list[Runner]
    steps: np.ndarray
    ground: str
    across: np.ndarray
    up: np.ndarray
    heights: np.ndarray
    minima: tuple[tuple[float, float], ...]
    lowest: float | None
    how: str
    share: float = 1.0

    _also = ("gif",)

    def __getitem__(self, name: str) -> Runner:
        for runner in self.runners:
            if runner.name == name:
                return runner
        raise KeyError(f"No {name!r} in this race; there are {listed([runner.name for runner in self.runners])}.")

    @property
    def standings(self) -> list[Runner]:
        """The runners, the best first: who arrived, by when; then by the loss at the end."""
        return sorted(
            self.runners,
            key=lambda one: (one.arrived is None, one.arrived if one.arrived is not None else 0, one.last),
        )

    def verdict(self) -> str:
        """Return in a sentence who was fastest."""
        first, *others = self.standings
        end = plural(int(self.steps[-1]), "step")
        if first.arrived is not None:
            said = f"{first.name} arrives first, after {plural(first.arrived, 'step')}"
            late = [one for one in others if one.arrived is not None]
            never = [one.name for one in others if one.arrived is None]
            if late:
                said += f"; {late[-1].name} needs {late[-1].arrived:,}"
            return said + (f"; {listed(never)} {'do' if len(never) > 1 else 'does'} not in {end}." if never else ".")
        if self.lowest is not None:
            return f"None arrives at the deepest minimum in {end}; {first.name} ends lowest, at {number(first.last)}."
        gap = f"{others[-1].name} {number(others[-1].last)}" if others else ""
        return f"After {end} {first.name} has the lowest loss: {number(first.last)}" + (f" ({gap})." if gap else ".")

    def __str__(self) -> str:
        header = ["optimizer", "rate", "loss at the end", *(["arrived"] if self.lowest is not None else [])]
        rows = []
        for one in self.standings:
            row = [
                one.name,
                number(one.rate, 2),
                "left the finite numbers" if one.last == math.inf else number(one.last),
            ]
            if self.lowest is not None:
                row.append("no" if one.arrived is None else f"step {one.arrived:,}")
            rows.append(row)
        return "\n".join([self.verdict(), f"On {self.ground}.", "", *table(header, rows), "", self.how])

    def to_dict(self) -> dict[str, Any]:
        runners = [
            {"name": one.name, "rate": one.rate, "places": one.places, "losses": one.losses, "arrived": one.arrived}
            for one in self.runners
        ]
        return plain(
            {
                "verdict": self.verdict(),
                "ground": self.ground,
                "how": self.how,
                "steps": self.steps,
                "runners": runners,
                "lowest": self.lowest,
                "share": self.share,
            }
        )

    # --- drawing -----------------------------------------------------------------------

    def _map(self, axes: Any) -> Any:
        """Draw the ground without anybody on it; return what a colour bar needs."""
        image, levels = contours(axes, self.across, self.up, self.heights)
        for x, y in self.minima:
            axes.plot(x, y, "*", color="white", markersize=13, mec="#222222", mew=0.8)
        start = self.runners[0].places[0]
        axes.annotate("start", start, xytext=(-6, 7), textcoords="offset points", ha="right", fontsize=9.5,
                      bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8})  # fmt: skip
        names = ("first weight", "second weight") if self.share == 1.0 and self.minima else (
            "first main direction of the weights", "second main direction")  # fmt: skip
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        return image, levels

    def _curve_axes(self, axes: Any) -> None:
        """Make the axes of losses by step, without lines."""
        values = self._heights()
        finite = values[np.isfinite(values) & (values > 0)]
        axes.set_xlim(0, self.steps[-1])
        axes.set_xlabel("step")
        if self.lowest is not None:
            axes.set_ylabel("loss above the deepest minimum")
            finite = finite[finite <= 10 * values[0, 0]]
            low = max(float(finite.min()), values[0, 0] * 1e-6)
            axes.set_ylim(low, float(finite.max()) * 1.5)
            log_scale(axes, "y")
        else:
            axes.set_ylabel("loss")
            finite = finite[finite <= 2.5 * values[0, 0]]
            low, high = float(finite.min()), float(finite.max())
            if high > 20 * low:
                axes.set_ylim(low * 0.8, high * 1.2)
                log_scale(axes, "y")
            else:
                axes.set_ylim(max(0.0, low - 0.05 * (high - low)), high + 0.05 * (high - low))

    def _heights(self) -> np.ndarray:
        """Return what is drawn by step: the loss, above the deepest minimum if that is known."""
        values = np.stack([one.losses for one in self.runners])
        if self.lowest is None:
            return values
        return np.maximum(values - self.lowest, 1e-30)

    @styled
    def plot(self) -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10.6, 4.5), layout="constrained")
        ground, curves = figure.subplots(1, 2, width_ratios=[1.15, 1])
        image, levels = self._map(ground)
        self._curve_axes(curves)
        for one, values, line in zip(self.runners, self._heights(), _lines()):
            ground.plot(*one.places.T, "-", color="white", linewidth=3.4, alpha=0.7)
            ground.plot(*one.places.T, linestyle=line.dash, color=line.colour, linewidth=1.9)
            last = one.places[np.isfinite(one.places).all(axis=1)][-1]
            ground.plot(*last, line.mark, color=line.colour, markersize=9, mec="white", mew=1.2, clip_on=True)
            curves.plot(self.steps, values, linestyle=line.dash, color=line.colour, linewidth=1.9,
                        label=f"{one.name}, rate {number(one.rate, 2)}",
                        marker=line.mark, markevery=[len(values) - 1], markersize=7)  # fmt: skip
        colour_bar(figure, ground, image, levels)
        curves.legend(fontsize=9, loc="best", frameon=True, framealpha=0.8, edgecolor="none")
        heading(figure, self.verdict(), f"On {self.ground}. {self.how}")
        return figure

    def _content(self, ending: str) -> bytes | str:
        if ending == "gif":
            return animation.gif(self)
        if ending == "html":
            return animation.page(self)
        return super()._content(ending)


def _lines() -> list[Any]:
    return [LINES[index % len(LINES)] for index in range(64)]


def race_optimizers(
    on: Any = "ravine",
    data: Any = None,
    *,
    optimizers: Any = None,
    steps: int = 150,
    start: Any = None,
    box: Any = None,
    batch_size: int = 32,
    rows: int = 500,
    seed: int = 0,
) -> Race:
    """Let optimizers run from the same start, on a surface of two weights, or on a model with the same batches.

    Each number is what the optimizer classes of this package do: they take the steps. Those given by name get a rate
    of their own, chosen for this race: on a surface the best of 16, on a model the one that `learning_rate` finds.
    Those given as objects keep theirs. A model is put back afterwards.

    On a model, the picture is the plane that holds most of all the runners' ways; the loss is that of up to `rows` of
    the training rows, without dropout. It is one start and one order of batches: another seed may change places.

    Args:
        on: "bowl", "ravine", "rosenbrock", "saddle" or "several minima"; a function of two tensors, with `start` and
            `box`; or a compiled model, with `data`.
        data: For a model: what `fit` takes; of parts the training part.
        optimizers: Names such as "adam", optimizers, or a dict of a label and one of these, or of a function that
            makes an optimizer of torch from a list of weights. By default SGD without and with momentum, Adagrad,
            RMSprop and Adam.
        steps: How many steps each takes.
        start: On a surface: where to begin, (x, y).
        box: On a surface: what to draw, (lowest x, highest x, lowest y, highest y).
        batch_size: On a model: rows in a batch.
        rows: On a model: most rows to measure the loss on.
        seed: On a model: what batches and dropout are drawn with.

    Returns:
        A `Race`: `save("race.gif")` and `save("race.html")` are animations, `save("race.png")` is a still.

    Example:
        >>> race = race_optimizers("bowl", optimizers=["sgd", "adam"], steps=30)
        >>> race["sgd"].places.shape, bool(race["sgd"].losses[0] == race["adam"].losses[0])
        ((31, 2), True)
    """
    check_whole("race_optimizers", "steps", steps, 2, "steps=150")
    chosen = _named(optimizers)
    if isinstance(on, Model):
        return _on_model(on, data, chosen, int(steps), batch_size, rows, seed)
    if isinstance(on, torch.nn.Module):
        raise TypeError(
            explain(
                f"race_optimizers got a {type(on).__name__} of torch.",
                "Expected a compiled model, or a surface.",
                "model = uncrumple.Sequential([uncrumple.from_torch(module)]); model.compile(...)",
            )
        )
    return _on_surface(landscape_of(on, start, box), chosen, int(steps))


# --- who runs -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """An optimizer that can be made as often as needed, with a rate or with its own."""

    name: str
    given: Any

    @property
    def keeps_rate(self) -> bool:
        return not isinstance(self.given, (str, functools.partial))

    def make(self, rate: float | None = None) -> Any:
        """Return a new optimizer (or a function of weights, for torch's)."""
        given = self.given
        if isinstance(given, str):
            given = optimizers_room.get(given)
        elif isinstance(given, functools.partial):
            given = given()
        elif isinstance(given, optimizers_room.Optimizer):
            given = type(given).from_config(given.get_config())
        if rate is not None and not callable(given):
            given.learning_rate = rate
        return given

    def rate(self) -> float:
        """Return the rate it would begin with."""
        made = self.make()
        if callable(made):
            made = made([torch.nn.Parameter(torch.zeros(2))])
        if hasattr(made, "_current_rate"):
            return float(made._current_rate())
        return float(made.param_groups[0]["lr"])


def _named(given: Any) -> list[_Entry]:
    if given is None:
        return [
            _Entry("SGD", functools.partial(optimizers_room.SGD)),
            _Entry("SGD, momentum 0.9", functools.partial(optimizers_room.SGD, momentum=0.9)),
            _Entry("Adagrad", functools.partial(optimizers_room.Adagrad)),
            _Entry("RMSprop", functools.partial(optimizers_room.RMSprop)),
            _Entry("Adam", functools.partial(optimizers_room.Adam)),
        ]
    if isinstance(given, (str, torch.optim.Optimizer)):
        given = [given]
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, Sequence):
        pairs = [(one if isinstance(one, str) else type(one).__name__, one) for one in given]
    else:
        pairs = []
    names: dict[str, int] = {}
    entries = []
    for name, one in pairs:
        names[name] = names.get(name, 0) + 1
        label = str(name) if names[name] == 1 else f"{name} {names[name]}"
        if isinstance(one, str):
            optimizers_room.get(one)  # raises with did-you-mean
        elif isinstance(one, type) or not (isinstance(one, optimizers_room.Optimizer) or callable(one)):
            shown = f"the class {one.__name__}" if isinstance(one, type) else f"{type(one).__name__}"
            raise ValueError(
                explain(
                    f"race_optimizers got {shown} as the optimizer {label!r}.",
                    "Expected a name, an optimizer of this package, or a function of weights that makes one of torch.",
                    'optimizers=["sgd", uncrumple.optimizers.Adam(0.01)]',
                )
            )
        entries.append(_Entry(label, one))
    if not entries:
        raise ValueError(
            explain(
                f"race_optimizers got optimizers={given!r}.", "Expected at least one.", 'optimizers=["sgd", "adam"]'
            )
        )
    return entries


# --- on a surface -----------------------------------------------------------------------------


def _on_surface(land: Landscape, entries: list[_Entry], steps: int) -> Race:
    lowest = land.lowest if land.minima else None
    x0, x1, y0, y1 = land.box
    across, up = np.linspace(x0, x1, 121), np.linspace(y0, y1, 121)
    heights = land.value(*np.meshgrid(across, up))
    runners = []
    for entry in entries:
        if entry.keeps_rate:
            rate = entry.rate()
            places, losses = walk(entry.make(), land, steps)
        else:
            tried = [(one, *walk(entry.make(one), land, steps)) for one in _RATES]
            rate, places, losses = min(tried, key=lambda one: _cost(one[1], one[2], lowest, land.box))
        runners.append(Runner(entry.name, rate, places, losses, _arrival(losses, lowest)))
    own = [entry.name for entry in entries if entry.keeps_rate]
    best = [entry.name for entry in entries if not entry.keeps_rate]
    how = []
    if best:
        who = "Each has" if not own else f"{listed(best)} {'have' if len(best) > 1 else 'has'}"
        how.append(f"{who} the best of {len(_RATES)} rates that keep it in the picture.")
    if own:
        how.append(f"{listed(own)} with the rate given.")
    if lowest is not None:
        how.append(f"Arrived: within {100 * _NEAR:.0f} % of the start's height above the deepest minimum, to stay.")
    return Race(
        runners, np.arange(steps + 1), f"the surface '{land.name}': {land.said}", across, up, heights, land.minima,
        lowest, " ".join(how),
    )  # fmt: skip


def _arrival(losses: np.ndarray, lowest: float | None) -> int | None:
    """Return the first step from which on the loss stays near the lowest."""
    if lowest is None:
        return None
    near = losses - lowest <= _NEAR * (losses[0] - lowest)
    if not near[-1]:
        return None
    far = np.flatnonzero(~near)
    return int(far[-1]) + 1 if len(far) else 0


def _cost(places: np.ndarray, losses: np.ndarray, lowest: float | None, box: Any) -> tuple[bool, float, float]:
    """Return what makes one rate better than another: staying in the picture, arriving early, a low loss at the end."""
    arrived = _arrival(losses, lowest)
    last = float(losses[-1]) if math.isfinite(losses[-1]) else math.inf
    x0, x1, y0, y1 = box
    with np.errstate(invalid="ignore"):
        inside = bool(((places >= (x0, y0)) & (places <= (x1, y1))).all())
    return not inside, (math.inf if arrived is None else arrived), last


# --- on a model -----------------------------------------------------------------------------------


def _on_model(model: Any, data: Any, entries: list[_Entry], steps: int, batch_size: int, rows: int, seed: int) -> Race:
    owner = "race_optimizers"
    if data is None:
        raise ValueError(
            explain(
                f"race_optimizers got the model '{model.name}' and no data.",
                "Expected what it is to learn.",
                "race_optimizers(model, (x, y))",
            )
        )
    model._require_compiled(owner)
    given, scaled = model.optimizer, model._scales_loss
    noted = np.unique(np.linspace(0, steps, min(steps, 60) + 1).round().astype(int))
    ways: list[tuple[_Entry, float, np.ndarray, np.ndarray]] = []
    try:
        batches = prepared(model, batches_of(data, owner, batch_size), owner)
        measured = some_rows(model, batches_of(data, owner, batch_size, shuffle=False), rows, seed)
        for entry in entries:
            made = entry.make()
            if callable(made):
                made = made(model.trainable_variables)
            model.optimizer, model._scales_loss = made, hasattr(made, "scale_loss")
            rate = entry.rate()
            if not entry.keeps_rate:
                found = learning_rate(model, data, batch_size=batch_size, seed=seed).rate
                rate = rate if found is None else float(f"{found:.2g}")
                made.learning_rate = rate
            ways.append((entry, rate, *_run(model, batches, measured, noted, seed)))
        points = np.concatenate([way[2] for way in ways])
        with on_trial(model):
            place = Place(model)
            center = place.flat().double().numpy()
            usable = points[np.isfinite(points).all(axis=1)]
            directions, places, share = main_directions(usable, center)
            across, up = _grid(places, 31)
            plane = [place.unpacked(direction) for direction in directions]
            heights = np.zeros((len(up), len(across)))
            for row, b in enumerate(up):
                for column, a in enumerate(across):
                    place.move((float(a), plane[0]), (float(b), plane[1]))
                    heights[row, column] = mean_loss(model, measured)
    finally:
        model.optimizer, model._scales_loss = given, scaled
    runners = [Runner(entry.name, rate, (way - center) @ directions.T, losses) for entry, rate, way, losses in ways]
    found_rates = any(not entry.keeps_rate for entry in entries)
    how = "Same start, same batches. " + ("Rates found by the learning-rate finder. " if found_rates else "")
    how += f"The plane holds {100 * share:.0f} % of the ways. One start and one order of batches: another may change places."
    count = sum(int(batch[1].shape[0]) for batch in measured if hasattr(batch[1], "shape"))
    ground = (
        f"'{model.name}' ({sum(w.numel() for w in model.trainable_weights):,} weights), loss of {count:,} training rows"
    )
    return Race(runners, noted, ground, across, up, heights, (), None, how, share)


def _run(model: Any, batches: Any, measured: Any, noted: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Train a model with its optimizer; return its weights and its loss at the noted steps, and put it back."""
    points, losses = [], []
    with on_trial(model):
        set_random_seed(seed)
        source = _endless(batches)
        place = Place(model)
        for step in range(int(noted[-1]) + 1):
            if step in noted:
                points.append(place.flat().numpy())
                losses.append(mean_loss(model, measured))
            if step < noted[-1]:
                model.train(True)
                model.reset_metrics()
                model.train_step(as_handed(next(source)))
    return np.stack(points), np.asarray(losses)
