"""The learning-rate finder: try all rates in one short run, and read off where the loss falls steadily."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncrumple.callbacks.logs import plain_logs
from uncrumple.core.errors import explain
from uncrumple.core.seeds import set_random_seed
from uncrumple.explain.asked import check_whole
from uncrumple.explain.keeping import on_trial
from uncrumple.explain.style import BLUE, FAINT, RED, plain
from uncrumple.explain.tuning.drawing import Drawn, heading, log_scale, styled
from uncrumple.explain.tuning.given import batches_of, prepared
from uncrumple.explain.tuning.words import number
from uncrumple.training.loop import as_handed

_SMOOTHING = 0.95  # share of the former mean that is kept at each step
_LEAST_FALL = 0.005  # a loss that falls by less than this share of its beginning has not fallen
_BLOWN_UP = 4.0  # the run ends when the smoothed loss is so many times its smallest value


@dataclass(repr=False)
class RateCurve(Drawn):
    """The loss at each learning rate, and the rate to take.

    Attributes:
        rate: The rate to take; None if the loss fell at none.
        rates, losses: What was tried, step by step; the loss of each batch before its step.
        smooth: The losses as a moving mean, without what is due to batches that are harder than others.
        valley: The rates between which the loss fell, as (low, high); None if it did not.
        present: The rate that the optimizer has.
        blew_up_at: The rate at which the run ended because the loss exploded; None if it did not.
        optimizer: The class of the optimizer.
        batch_size: Rows in a batch, where that is known.
        seed: What batches and dropout were drawn with.
    """

    rate: float | None
    rates: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    valley: tuple[float, float] | None
    present: float
    blew_up_at: float | None
    optimizer: str
    batch_size: int | None
    seed: int
    several: bool = field(default=False)

    def __str__(self) -> str:
        tried = f"{len(self.rates)} steps of {self.optimizer} from {number(self.rates[0], 2)} to {number(self.rates[-1], 2)}"
        if self.rate is None or self.valley is None:
            return (
                f"No learning rate is proposed: in {tried} the loss fell at no rate "
                f"(it began at {number(float(self.smooth[0]))}).\n"
                "Look for another cause first: labels that do not go with their rows, frozen or dead layers, "
                "a wrong loss."
            )
        low, high = self.valley
        fell = (
            f"In {tried} the loss fell from {number(float(self.smooth[0]))} to {number(float(np.nanmin(self.smooth)))}"
        )
        end = f", and blew up at {number(self.blew_up_at, 2)}" if self.blew_up_at is not None else ""
        lines = [
            f"Take a learning rate of about {number(self.rate, 2)} for {self.optimizer}.",
            f"{fell}, steadily between {number(low, 2)} and {number(high, 2)}{end}; this is the middle of that valley.",
        ]
        if self.several:
            lines.append("The optimizer has several rates: this is the first one's, the others in proportion.")
        times = self.present / self.rate if self.present > 0 else 1.0
        if times > 3:
            lines.append(f"The present rate, {number(self.present, 2)}, is {times:.0f} times as large.")
        elif times < 1 / 3:
            lines.append(f"The present rate, {number(self.present, 2)}, is {1 / times:.0f} times smaller.")
        else:
            lines.append(f"The present rate, {number(self.present, 2)}, is near it: leave it.")
            return "\n".join(lines)
        lines.append(f"Try: model.optimizer.learning_rate = {number(self.rate, 2)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        return plain(
            {
                "rate": self.rate,
                "valley": self.valley,
                "present": self.present,
                "blew_up_at": self.blew_up_at,
                "optimizer": self.optimizer,
                "batch_size": self.batch_size,
                "seed": self.seed,
                "rates": self.rates,
                "losses": self.losses,
                "smooth": self.smooth,
            }
        )

    @styled
    def plot(self) -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.6, 4.0), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlim(self.rates[0], self.rates[-1])
        log_scale(axes, "x")
        axes.plot(self.rates, self.losses, ".", color=FAINT, markersize=4, label="one batch")
        axes.plot(
            self.rates, self.smooth, "-", color=BLUE, linewidth=2.2, label="moving mean, freed of the batches' luck"
        )
        lowest, first = float(np.nanmin(self.losses)), float(self.smooth[0])
        highest = max(first * 1.4 - 0.4 * lowest, float(np.nanquantile(self.losses, 0.75)))
        room = 0.05 * (highest - lowest or 1.0)
        axes.set_ylim(lowest - room, highest + room)
        axes.set_xlabel(f"learning rate of {self.optimizer} (one step each, growing)")
        axes.set_ylabel("loss of the batch")
        if self.rate is not None and self.valley is not None:
            axes.axvspan(*self.valley, color=BLUE, alpha=0.1, linewidth=0, label="the loss falls")
            axes.axvline(self.rate, color=RED, linewidth=2)
            axes.annotate(
                f" {number(self.rate, 2)}", (self.rate, 1), xycoords=("data", "axes fraction"), va="top",
                color=RED, fontweight="bold", xytext=(2, -3), textcoords="offset points",
            )  # fmt: skip
            title = f"A learning rate of {number(self.rate, 2)} lies in the middle of the valley"
        else:
            title = "The loss falls at no learning rate"
        if self.rates[0] <= self.present <= self.rates[-1]:
            axes.axvline(self.present, color=FAINT, linewidth=1.2, linestyle=":")
            axes.annotate(
                f" present {number(self.present, 2)}", (self.present, 0), xycoords=("data", "axes fraction"),
                va="bottom", color="#555555", fontsize=9.5, xytext=(2, 3), textcoords="offset points",
            )  # fmt: skip
        axes.legend(loc="upper left" if self.rate is None or self.rate > 1e-3 else "lower left", fontsize=9.5)
        end = f"it blew up at {number(self.blew_up_at, 2)}" if self.blew_up_at else "it did not blow up"
        batch = f", batches of {self.batch_size}" if self.batch_size else ""
        heading(figure, title, f"{len(self.rates)} steps{batch}; {end}. The model was put back afterwards.")
        return figure


def learning_rate(
    model: Any,
    data: Any,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
    seed: int = 0,
) -> RateCurve:
    """Find a learning rate for a model, its optimizer and its data, in one short run of rates that grow.

    Each step takes the next batch with a larger rate. Where the rate is too small nothing happens, then the loss
    falls, then it explodes. What is proposed is the middle of the fall (the "valley") on a logarithmic scale; this
    varies less with the seed than the steepest point does. Some batches are harder than others: a second run through the
    same batches, at a rate that changes nothing, tells by how much, and that is taken off.

    Whatever happens in between, the model is as before: its weights, optimizer, metrics and random numbers.

    Source: L. Smith, 2017, Cyclical learning rates for training neural networks; the idea of the valley is fastai's.

    Args:
        model: A compiled model with any optimizer of this package or of `torch.optim`.
        data: (x, y), (x, y, sample_weight), a `Table`, `Images`, `Text` or `Series`, their parts (of which the
            training part is used), or what hands out batches.
        low, high: The first and the last rate.
        steps: How many rates, at least 20.
        batch_size: Rows in a batch; 32 by default. Take what `fit` will take: the rate depends on it.
        seed: What batches and dropout are drawn with.

    Returns:
        A `RateCurve`: `rate` is the number, `print` says it in words, `plot()` draws it.

    Raises:
        ValueError: The model is not compiled, an argument is impossible, or data and model do not fit.

    Example:
        >>> import uncrumple as uc
        >>> uc.utils.set_random_seed(0)
        >>> x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
        >>> model = uc.Sequential([uc.Input((8,)), uc.layers.Dense(16, "relu"), uc.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> found = learning_rate(model, (x, x.sum(axis=1)))
        >>> 0.001 < found.rate < 0.3
        True
    """
    _check(low, high, steps, seed)
    batches = prepared(model, batches_of(data, "learning_rate", batch_size), "learning_rate")
    rates = np.geomspace(low, high, int(steps))
    with on_trial(model) as optimizer:
        handles = _handles(optimizer)
        present, several = handles[0].present, len({handle.ratio for handle in handles}) > 1
        found, blew_up_at = _run(model, optimizer, batches, rates, int(seed))
        name = type(getattr(optimizer, "inner_optimizer", optimizer)).__name__
    if not len(found):
        raise ValueError(
            explain(
                "learning_rate: the loss of the first batch is not a finite number.",
                "Expected a model whose loss can be computed before it learns.",
                "look at model.evaluate(x, y) and at the scale of x",
            )
        )
    with on_trial(model) as optimizer:
        still, _ = _run(model, optimizer, batches, np.full(len(found), low), int(seed))
    count = min(len(found), len(still))
    tried, found, still = rates[:count], found[:count], still[:count]
    means = smoothed(found - still) + float(still.mean())
    valley = valley_of(means)
    return RateCurve(
        rate=None if valley is None else float(tried[valley[1]]),
        rates=tried,
        losses=found,
        smooth=means,
        valley=None if valley is None else (float(tried[valley[0]]), float(tried[valley[2]])),
        present=present,
        blew_up_at=blew_up_at,
        optimizer=name,
        batch_size=batches.batch_size,
        seed=int(seed),
        several=several,
    )


def _run(model: Any, optimizer: Any, batches: Any, rates: np.ndarray, seed: int) -> tuple[np.ndarray, float | None]:
    """Train a model with one rate after the other; return the losses, and the rate at which they exploded."""
    handles = _handles(optimizer)
    every = getattr(optimizer, "gradient_accumulation_steps", None) or 1
    set_random_seed(seed)
    model.train(True)
    source = _endless(batches)
    losses: list[float] = []
    total, best = 0.0, math.inf
    for step, rate in enumerate(rates):
        for handle in handles:
            handle.set(rate)
        loss = _step(model, source, every)
        if not math.isfinite(loss):
            return np.asarray(losses), float(rate)
        losses.append(loss)
        total = _SMOOTHING * total + (1 - _SMOOTHING) * loss
        mean = total / (1 - _SMOOTHING ** (step + 1))
        if best > 0 and mean > _BLOWN_UP * best and step > 5:
            return np.asarray(losses), float(rate)
        best = min(best, mean)
    return np.asarray(losses), None


def smoothed(losses: np.ndarray) -> np.ndarray:
    """Return the moving mean of losses, each step weighing 5 %, without the pull of a beginning at zero.

    Example:
        >>> smoothed(np.array([1.0, 1.0, 0.0])).round(2).tolist()
        [1.0, 1.0, 0.65]
    """
    total, means = 0.0, []
    for step, loss in enumerate(losses, start=1):
        total = _SMOOTHING * total + (1 - _SMOOTHING) * float(loss)
        means.append(total / (1 - _SMOOTHING**step))
    return np.asarray(means)


def valley_of(means: np.ndarray) -> tuple[int, int, int] | None:
    """Return where the fall of a loss begins, its middle, and where it is lowest; None where it hardly falls.

    It begins after the last step at which less than 2 % of the fall was done.

    Args:
        means: The smoothed losses.

    Example:
        >>> valley_of(np.array([5.0, 5.0, 4.99, 4.0, 3.0, 2.0, 9.0])), valley_of(np.array([5.0, 5.0, 5.1]))
        ((2, 3, 5), None)
    """
    end = int(np.nanargmin(means))
    fall = float(means[0] - means[end])
    if not fall > _LEAST_FALL * abs(float(means[0])):
        return None
    begin = int(np.flatnonzero(means[: end + 1] > means[0] - 0.02 * fall)[-1])
    return begin, (begin + end) // 2, end


def _step(model: Any, batches: Iterator[Any], every: int) -> float:
    """Do as many of the model's own training steps as make one update; return their mean loss."""
    total = 0.0
    for _ in range(every):
        model.reset_metrics()
        logs = plain_logs(model.train_step(as_handed(next(batches))))
        if "loss" not in logs:
            raise ValueError(
                explain(
                    f"{type(model).__name__}.train_step returned {', '.join(logs) or 'nothing'}.",
                    "Expected a 'loss' among what it returns.",
                    'return {"loss": loss} as the last line of train_step',
                )
            )
        total += float(logs["loss"])
    return total / every


def _endless(batches: Any) -> Iterator[Any]:
    """Hand out batches, one epoch after the other; batches that are smaller than the others are left out."""
    rows, last = getattr(batches, "samples", None), getattr(batches, "batch_size", None)
    while True:
        seen = 0
        for batch in batches.epoch():
            seen += 1
            if rows and last and rows >= last and seen * last > rows:
                continue
            yield batch
        if not seen:
            raise ValueError(
                explain(
                    "learning_rate: the data ran out of batches.",
                    "Expected enough for one batch per step, or data that can be gone through again.",
                    "learning_rate(model, (x, y))",
                )
            )


class _Handle:
    """One learning rate of an optimizer, in proportion to the first one's."""

    def __init__(self, present: float, put: Any, first: float | None = None) -> None:
        self.present, self._put = present, put
        self.ratio = 1.0 if first is None or first <= 0 else present / first

    def set(self, rate: float) -> None:
        self._put(float(rate) * self.ratio)


def _handles(optimizer: Any) -> list[_Handle]:
    """Return the learning rates of any optimizer: of this package, around others, or of torch."""
    inside = getattr(optimizer, "inner_optimizer", None)
    if inside is not None:
        return _handles(inside)
    several = getattr(optimizer, "optimizers", None)
    found: list[_Handle] = []
    if several is not None:
        for one in several:
            if one.built:
                found += _handles(one)
        first = found[0].present
        return [_Handle(one.present, one._put, first) for one in found]
    if hasattr(optimizer, "_current_rate"):
        present = float(optimizer._current_rate())

        def put(rate: float) -> None:
            optimizer._schedule = None
            optimizer._rate = rate

        return [_Handle(present, put)]
    first = float(optimizer.param_groups[0]["lr"])
    for group in optimizer.param_groups:

        def put_group(rate: float, group: Any = group) -> None:
            group["lr"] = rate

        found.append(_Handle(float(group["lr"]), put_group, first))
    return found


def _check(low: Any, high: Any, steps: Any, seed: Any) -> None:
    real = all(isinstance(one, (int, float, np.number)) and not isinstance(one, bool) for one in (low, high))
    if not real or not 0 < low < high or not math.isfinite(high):
        raise ValueError(
            explain(
                f"learning_rate got low={low!r} and high={high!r}.",
                "Expected 0 < low < high, both finite.",
                "learning_rate(model, data, low=1e-7, high=10.0)",
            )
        )
    check_whole(
        "learning_rate", "steps", steps, 20, "learning_rate(model, data, steps=100)", ": each step tries one rate"
    )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(
            explain(
                f"learning_rate got seed={seed!r}.",
                "Expected a whole number from 0 to 2**32 - 1.",
                "learning_rate(model, data, seed=0)",
            )
        )
