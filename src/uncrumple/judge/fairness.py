"""What differs between groups of people: who is answered yes, who is found, who is falsely accused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.judge.intervals import Interval, wilson
from uncrumple.judge.paired import holm
from uncrumple.judge.slices import FEWEST_ROWS, SHUFFLES, cut, known_number, plain
from uncrumple.judge.words import listed, p_in_words


@dataclass(frozen=True)
class Rate:
    """One rate in one group, with Wilson's interval; NaN without rows."""

    group: str
    rows: int
    share: Interval


@dataclass(frozen=True)
class Gap:
    """How far apart the groups are in one rate.

    Args:
        what: `"answered yes"`, `"recall"` or `"false alarms"`.
        rates: Of each group.
        gap: The largest rate less the smallest, of the groups with at least 30 rows, with the 95 %
            interval of the difference between these two; with several groups it is as wide as it has to be
            after choosing the two that are farthest apart.
        p_value: How often a gap this large comes about when the groups are shuffled; corrected by Holm.
    """

    what: str
    rates: tuple[Rate, ...]
    gap: Interval
    p_value: float | None


@dataclass(frozen=True)
class Fairness:
    """What differs between the groups of one column, for a yes-or-no question.

    Equal shares of yes answers are demographic parity; equal recall and equal false alarms are
    equalized odds (M. Hardt et al., 2016). With different shares of true yes they exclude each other:
    which one matters is for people to say.

    Args:
        column: The column.
        positive: What yes means.
        gaps: One for each rate.
        alpha: From which p-value on a gap counts as shown.
    """

    column: str
    positive: str
    gaps: tuple[Gap, ...]
    alpha: float = 0.05

    def in_words(self) -> str:
        """Return what differs, in a sentence."""
        parts = []
        for one in self.gaps:
            if one.p_value is not None and one.p_value < self.alpha:
                known = [rate for rate in one.rates if rate.rows >= FEWEST_ROWS]
                low = min(known, key=lambda rate: rate.share.score)
                high = max(known, key=lambda rate: rate.share.score)
                parts.append(
                    f"{one.what} {100 * low.share.score:.0f} % for {low.group} against "
                    f"{100 * high.share.score:.0f} % for {high.group} (apart by {100 * max(0.0, one.gap.low):.0f} to "
                    f"{100 * one.gap.high:.0f} points)"
                )
        untested = [one.what for one in self.gaps if one.p_value is None]
        if len(untested) == len(self.gaps):
            return f"By {self.column}: fewer than two groups have {FEWEST_ROWS} rows; nothing can be said."
        names = {"answered yes": "answers", "recall": "recall", "false alarms": "false alarms"}
        tested = [names[one.what] for one in self.gaps if one.p_value is not None]
        shown = listed(parts) if parts else f"no difference is shown in {listed(tested, 'or')}"
        if not untested:
            return f"By {self.column}: {shown}."
        were = "was" if untested == ["recall"] else "were"
        few = f"{listed(untested)} {were} not compared: fewer than two groups have {FEWEST_ROWS} such rows"
        return f"By {self.column}: {shown}; {few}."

    def table(self) -> tuple[list[str], list[list[str]], list[bool]]:
        """Return the header, the rows as text, and for each row whether it has too few rows."""
        header = [f"by {self.column}", "group", "rows", "share", "95 % interval", "gap", "p"]
        rows, few = [], []
        for one in self.gaps:
            p = "too few" if one.p_value is None else p_in_words(one.p_value)
            for number, rate in enumerate(one.rates):
                known = not math.isnan(rate.share.score)
                share = f"{100 * rate.share.score:.1f} %" if known else "–"
                between = f"{100 * rate.share.low:.1f} to {100 * rate.share.high:.1f} %" if known else "–"
                ends = [_points(one.gap), p] if number == 0 else ["", ""]
                rows.append([one.what, rate.group, f"{rate.rows:,}", share, between, *ends])
                few.append(rate.rows < FEWEST_ROWS)
        return header, rows, few

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        gaps = [
            {
                "what": one.what,
                "gap": known_number(one.gap.score),
                "gap_low": known_number(one.gap.low),
                "gap_high": known_number(one.gap.high),
                "p_value": one.p_value,
                "rates": [{"group": rate.group, "rows": rate.rows, **plain(rate.share)} for rate in one.rates],
            }
            for one in self.gaps
        ]
        return {"column": self.column, "positive": self.positive, "gaps": gaps, "said": self.in_words()}


def fairness_of(
    column: str,
    groups: np.ndarray,
    truth: np.ndarray,
    answers: np.ndarray,
    *,
    positive: str = "yes",
    alpha: float = 0.05,
    seed: int = 0,
) -> Fairness:
    """Compare groups by how often they are answered yes, found when yes, and accused when no.

    Args:
        column: What the groups are called.
        groups: The group of each test row.
        truth: Whether the right answer is yes.
        answers: Whether the model's is.
        positive: What yes means.
        alpha: From which p-value on a gap counts as shown.
        seed: For the shuffles, of which there are 1,999.

    Example:
        >>> sex = np.repeat(["f", "m"], 100)
        >>> truth = np.tile([True, False], 100)
        >>> found = fairness_of("sex", sex, truth, truth & (sex == "f"))
        >>> [(one.what, round(one.gap.score, 2), round(one.gap.low, 2)) for one in found.gaps]
        [('answered yes', 0.5, 0.4), ('recall', 1.0, 0.9), ('false alarms', 0.0, -0.07)]
    """
    cuts = cut(groups)
    right, said = (np.asarray(values).reshape(-1).astype(bool) for values in (truth, answers))
    everyone = np.ones(len(right), bool)
    chosen = (("answered yes", everyone), ("recall", right), ("false alarms", ~right))
    gaps = []
    raw: list[tuple[int, float]] = []
    for number, (what, asked) in enumerate(chosen):
        rates = []
        for name, mine in cuts:
            rows = int((mine & asked).sum())
            share = wilson(int((mine & asked & said).sum()), rows) if rows else Interval(math.nan, math.nan, math.nan)
            rates.append(Rate(name, rows, share))
        known = [index for index, rate in enumerate(rates) if rate.rows >= FEWEST_ROWS]
        if len(known) < 2:
            gaps.append(Gap(what, tuple(rates), Interval(math.nan, math.nan, math.nan), None))
            continue
        members = np.array([cuts[index][1][asked] for index in known], dtype=np.float64)
        sizes, values = members.sum(axis=1), said[asked].astype(np.float64)
        gap = float(np.ptp(members @ values / sizes))
        random, hits = np.random.default_rng(seed), 0
        for _ in range(SHUFFLES):
            hits += bool(np.ptp(members @ random.permutation(values) / sizes) >= gap - 1e-12)
        raw.append((number, (1 + hits) / (1 + SHUFFLES)))
        gaps.append(Gap(what, tuple(rates), gap_between([rates[index] for index in known]), None))
    for (number, _), p in zip(raw, holm([p for _, p in raw])):
        gaps[number] = Gap(gaps[number].what, gaps[number].rates, gaps[number].gap, p)
    return Fairness(column, positive, tuple(gaps), alpha)


def gap_between(rates: Sequence[Rate]) -> Interval:
    """Return how far apart the highest and the lowest rate are, with Newcombe's interval of their difference.

    It is widened (Bonferroni) for how many pairs of groups these two were chosen from.

    Args:
        rates: At least two, with rows.

    Source: R. Newcombe, 1998, Interval estimation for the difference between independent proportions, method 10.

    Example:
        >>> gap_between([Rate("a", 100, wilson(80, 100)), Rate("b", 100, wilson(60, 100))]).in_words()
        '20.0 % [7.3, 31.9]'
    """
    pairs = len(rates) * (len(rates) - 1) // 2
    ends = (min(rates, key=lambda rate: rate.share.score), max(rates, key=lambda rate: rate.share.score))
    low, high = (wilson(round(rate.share.score * rate.rows), rate.rows, confidence=1 - 0.05 / pairs) for rate in ends)
    gap = high.score - low.score
    below = math.hypot(high.score - high.low, low.high - low.score)
    above = math.hypot(high.high - high.score, low.score - low.low)
    return Interval(gap, gap - below, min(1.0, gap + above))


def _points(gap: Interval) -> str:
    if math.isnan(gap.score):
        return "–"
    return f"{100 * gap.score:.1f} [{100 * gap.low:.1f} to {100 * gap.high:.1f}]"
