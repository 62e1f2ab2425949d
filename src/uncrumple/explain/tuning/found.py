"""What a search found: the winner and its honest estimate, the table of trials, what mattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncrumple.explain.style import BLUE, FAINT, GREEN, INK, RED, plain
from uncrumple.explain.tuning.drawing import Drawn, heading, log_scale, styled
from uncrumple.explain.tuning.words import listed, number, plural, table


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        number: Its place in the search, from 1.
        state: "complete", "pruned" (given up early, as it did worse than most at that point) or "failed".
        settings: What was tried.
        score: The best validation score; of a pruned trial the last one before it was given up; None if it failed.
        epochs: How long it was trained.
        seconds: How long it took.
        why: Why it failed.
    """

    number: int
    state: str
    settings: dict[str, Any]
    score: float | None
    epochs: int
    seconds: float
    why: str = ""


@dataclass(repr=False)
class Tuned(Drawn):
    """The result of `tune`.

    Attributes:
        best: The winner's settings.
        model: The winner, trained on the rows learnt from; choosing and fresh rows were not learnt from.
        metric: What was made better: "loss" or the name of a metric.
        more_is_better: Which way.
        best_score: The winner's validation score, as the search saw it: the best of many, so it is optimistic.
        fresh: The score on rows that no part of the search saw, once for each retraining with another seed; the first
            is `model`'s.
        interval: The 95 % interval of `model`'s score on fresh rows, from resampling them.
        fresh_scores: All of `model`'s metrics on the fresh rows.
        trials: All trials, in order.
        importance: For each setting (low, mean, high) of its share in what made trials differ, over five estimates.
        sizes: Rows learnt from, chosen by, and fresh.
        ended: Why the search ended: "trials", "time" or "Ctrl-C".
        seconds: Of all trials.
        notes: What else a reader must know.
    """

    best: dict[str, Any]
    model: Any
    metric: str
    more_is_better: bool
    best_score: float
    fresh: list[float]
    interval: tuple[float, float]
    fresh_scores: dict[str, float]
    trials: list[TrialRow]
    importance: dict[str, tuple[float, float, float]]
    sizes: tuple[int, int, int]
    ended: str
    seconds: float
    scales: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def optimism(self) -> float:
        """By how much the best validation score was better than that of the same model on fresh rows."""
        gap = self.best_score - self.fresh[0]
        return gap if self.more_is_better else -gap

    def count(self, state: str) -> int:
        """Return how many trials ended so."""
        return sum(row.state == state for row in self.trials)

    def verdict(self) -> str:
        """Return in a sentence what the winner is worth."""
        low, high = self.interval
        shown = f"{number(self.fresh[0])} [{number(low)}–{number(high)}]"
        said = f"The best of {plural(len(self.trials), 'trial')} had a validation {self.metric} of {number(self.best_score)}"
        fresh = f"on {plural(self.sizes[2], 'fresh row')} it has {shown}"
        if low <= self.best_score <= high:
            if self.optimism <= 0:
                return f"{said}; {fresh}: the search's number holds."
            gap = number(self.optimism, 2)
            return f"{said}; {fresh}: worse by {gap}, which may be optimism of the search or luck of these rows."
        if self.optimism > 0:
            return f"{said}; {fresh}: the search's number was optimistic by {number(self.optimism, 2)}."
        return f"{said}; {fresh}, which is better: luck of the division."

    def table(self, most: int | None = None) -> str:
        """Return the trials, the best first, as text.

        Args:
            most: At most so many lines; None for all.
        """
        order = {"complete": 0, "pruned": 1, "failed": 2}
        sign = -1 if self.more_is_better else 1
        rows = sorted(
            self.trials,
            key=lambda row: (order[row.state], math.inf if row.score is None else sign * row.score, row.number),
        )
        names = list(dict.fromkeys(name for row in self.trials for name in row.settings))
        header = ["trial", f"val {self.metric}", *names, "epochs", "s", "state"]
        lines = []
        for row in rows[:most]:
            score = "" if row.score is None else number(row.score, 4)
            settings = [_setting(row.settings[name]) if name in row.settings else "" for name in names]
            state = row.state + (f": {row.why}" if row.why else "")
            lines.append([str(row.number), score, *settings, str(row.epochs), f"{row.seconds:.1f}", state])
        text = "\n".join(table(header, lines))
        return text + (f"\n... and {len(rows) - most} more" if most is not None and len(rows) > most else "")

    def __str__(self) -> str:
        settings = ", ".join(f"{name} {_setting(value)}" for name, value in self.best.items())
        lines = [self.verdict(), f"The winner: {settings}.", ""]
        if len(self.fresh) > 1:
            spread = float(np.std(self.fresh, ddof=1))
            lines.append(
                f"Trained {len(self.fresh)} times with other seeds, it has {number(float(np.mean(self.fresh)))} "
                f"± {number(spread, 2)} on the fresh rows."
            )
        others = [f"{name} {number(value)}" for name, value in self.fresh_scores.items() if name != self.metric]
        if others:
            lines.append(f"Also on the fresh rows: {listed(others)}.")
        if self.importance:
            ranked = sorted(self.importance.items(), key=lambda pair: -pair[1][1])
            shares = [f"{name} {100 * mean:.0f} %" for name, (_, mean, _) in ranked]
            lines.append(f"What made the trials differ: {listed(shares)}.")
        lines += ["", self.table(12), "", self._how()]
        failed = [row for row in self.trials if row.state == "failed"]
        if failed:
            reasons: dict[str, list[int]] = {}
            for row in failed:
                reasons.setdefault(row.why, []).append(row.number)
            for why, places in reasons.items():
                shown = listed([str(one) for one in places[:6]]) + (
                    f" and {len(places) - 6} more" if len(places) > 6 else ""
                )
                lines.append(f"Failed (trial {shown}): {why}")
        return "\n".join(lines + self.notes)

    def _how(self) -> str:
        counts = f"{self.count('complete')} complete, {self.count('pruned')} pruned, {self.count('failed')} failed"
        learnt, chosen, fresh = self.sizes
        ended = {"time": ", until the time was up", "Ctrl-C": ", until Ctrl-C"}.get(self.ended, "")
        return (
            f"{counts} in {self.seconds:.0f} s{ended}. {learnt:,} rows to learn from, {chosen:,} to choose by, "
            f"{fresh:,} fresh."
        )

    def to_dict(self) -> dict[str, Any]:
        return plain(
            {
                "verdict": self.verdict(),
                "best": {name: _plain(value) for name, value in self.best.items()},
                "metric": self.metric,
                "more_is_better": self.more_is_better,
                "best_score": self.best_score,
                "fresh": self.fresh,
                "interval": self.interval,
                "optimism": self.optimism,
                "fresh_scores": self.fresh_scores,
                "importance": self.importance,
                "sizes": self.sizes,
                "ended": self.ended,
                "seconds": self.seconds,
                "notes": self.notes,
                "trials": [
                    {
                        "number": row.number,
                        "state": row.state,
                        "settings": {name: _plain(value) for name, value in row.settings.items()},
                        "score": row.score,
                        "epochs": row.epochs,
                        "seconds": row.seconds,
                        "why": row.why,
                    }
                    for row in self.trials
                ],
            }
        )

    @styled
    def plot(self) -> Any:
        from matplotlib.figure import Figure

        ranked = sorted(self.importance.items(), key=lambda pair: -pair[1][1])
        panels = 1 + bool(ranked) * 2
        figure = Figure(figsize=(5.0 if panels == 1 else 11.0, 3.9), layout="constrained")
        grid = figure.subplots(1, panels, squeeze=False, width_ratios=[1.35, 1, 1.1][:panels])[0]
        self._history(grid[0])
        if ranked:
            self._bars(grid[1], ranked)
            self._against(grid[2], ranked[0][0])
        heading(figure, self.verdict(), self._how())
        return figure

    def _scores(self, state: str) -> tuple[np.ndarray, np.ndarray]:
        rows = [row for row in self.trials if row.state == state and row.score is not None]
        return np.array([row.number for row in rows]), np.array([row.score for row in rows], np.float64)

    def _history(self, axes: Any) -> None:
        """Draw the score of each trial, the best so far, and what the winner has on fresh rows."""
        places, values = self._scores("complete")
        better = np.maximum if self.more_is_better else np.minimum
        low, high = self._limits(values)
        axes.axhspan(*self.interval, color=GREEN, alpha=0.15, linewidth=0)
        axes.axhline(self.fresh[0], color=GREEN, linewidth=2, label="the winner on fresh rows, 95 % interval")
        axes.step(places, better.accumulate(values), where="post", color=INK, linewidth=1.2, label="best so far")
        axes.plot(places, np.clip(values, low, high), "o", color=BLUE, markersize=5.5, mew=0, label="complete")
        pruned = self._scores("pruned")
        if len(pruned[0]):
            axes.plot(pruned[0], np.clip(pruned[1], low, high), "v", color=FAINT, markersize=5, mew=0, label="pruned")
        failed = [row.number for row in self.trials if row.state == "failed"]
        if failed:
            worst = low if self.more_is_better else high
            axes.plot(failed, [worst] * len(failed), "x", color=RED, markersize=7, mew=2, label="failed", clip_on=False)
        room = 0.04 * (high - low)
        axes.set_ylim(low - room, high + room)
        axes.set_xlabel("trial (what lies beyond the scale is at its edge)")
        axes.set_ylabel(f"validation {self.metric}")
        axes.legend(
            fontsize=8.5, frameon=True, framealpha=0.85, edgecolor="none",
            **({"loc": "lower right", "bbox_to_anchor": (1, 0.06)} if self.more_is_better
               else {"loc": "upper right", "bbox_to_anchor": (1, 0.94)}),
        )  # fmt: skip
        axes.set_title("The search", fontweight="bold")

    def _limits(self, values: np.ndarray) -> tuple[float, float]:
        """Return the range to draw: hopeless trials are shown at its edge."""
        ends = [*self.interval, self.best_score, float(np.quantile(values, 0.25 if self.more_is_better else 0.75))]
        low, high = min(ends), max(ends)
        room = 0.35 * (high - low or abs(high) or 1.0)
        if self.more_is_better:
            return max(float(values.min()), low - room), max(high, float(values.max()))
        return min(low, float(values.min())), min(float(values.max()), high + room)

    def _bars(self, axes: Any, ranked: Sequence[tuple[str, tuple[float, float, float]]]) -> None:
        """Draw what made trials differ, with the spread of five estimates."""
        shown = ranked[:10]
        for place, (_, (low, mean, high)) in enumerate(shown):
            axes.barh(place, mean, color=BLUE, height=0.62)
            axes.plot([low, high], [place, place], color=INK, linewidth=1.6)
            axes.annotate(f"{100 * mean:.0f} %", (max(high, mean), place), xytext=(4, 0), textcoords="offset points",
                          va="center", fontsize=9.5)  # fmt: skip
        axes.set_yticks(range(len(shown)), [name for name, _ in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(0, 1.15 * max(high for _, (_, _, high) in shown) + 0.02)
        axes.set_xticks([])
        axes.grid(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("share of the differences (fANOVA)")
        axes.set_title("What made trials differ", fontweight="bold")

    def _against(self, axes: Any, name: str) -> None:
        """Draw the score against the setting that mattered most."""
        rows = [
            row for row in self.trials if row.state == "complete" and name in row.settings and row.score is not None
        ]
        values = np.array([row.score for row in rows], np.float64)
        low, high = self._limits(values)
        settings = [row.settings[name] for row in rows]
        numeric = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in settings)
        if numeric:
            axes.plot(settings, np.clip(values, low, high), "o", color=BLUE, markersize=5.5, mew=0)
            if self.scales.get(name):
                log_scale(axes, "x")
        else:
            kinds = sorted({_setting(one) for one in settings})
            axes.plot(
                [kinds.index(_setting(one)) for one in settings], np.clip(values, low, high), "o", color=BLUE, mew=0
            )
            axes.set_xticks(range(len(kinds)), kinds)
        best = self.best.get(name)
        if numeric and best is not None:
            axes.plot([best], [self.best_score], "o", color=RED, markersize=11, fillstyle="none", mew=2)
        room = 0.04 * (high - low)
        axes.set_ylim(low - room, high + room)
        axes.set_xlabel(name)
        axes.set_ylabel(f"validation {self.metric}")
        axes.set_title(f"By {name}", fontweight="bold")


def _setting(value: Any) -> str:
    if isinstance(value, float):
        return number(value, 3)
    return str(value)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
