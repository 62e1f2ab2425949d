"""One table: the network beside its baselines on the same test rows, and what it means in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.judge.baselines import MAJORITY, Cost, Task
from uncrumple.judge.imbalance import imbalance_of
from uncrumple.judge.intervals import Interval, bootstrap
from uncrumple.judge.paired import against_chance, compare_balanced, compare_errors, compare_right, holm
from uncrumple.judge.scores import balanced_scores, checked_rows, classification_scores, regression_scores
from uncrumple.judge.verdict import verdict
from uncrumple.judge.words import (
    bytes_in_words,
    decimals,
    milliseconds_in_words,
    p_in_words,
    seconds_in_words,
    text_table,
)

_HEADLINES = {"classification": "accuracy", "regression": "mean error", "language": "bits per symbol"}
# What stands beside each score: in full, and as the head of a column.
_SECONDS = {
    "accuracy": ("macro F1", "F1"),
    "balanced accuracy": ("Matthews's correlation", "MCC"),
    "mean error": ("R²", "R²"),
    "bits per symbol": ("perplexity", "perplexity"),
}
# What language is made of differs: bits per symbol, per character.
_LANGUAGE = "bits per "
_TESTS = {
    "accuracy": "McNemar's exact test",
    "balanced accuracy": "a sign-flip test on balanced accuracy",
    "mean error": "a sign-flip test on the absolute errors",
    "bits per symbol": "a sign-flip test on the bits, by documents or stretches of the text,",
}


@dataclass(frozen=True)
class Row:
    """One model of the table.

    Args:
        name: What the model is called.
        score: What the comparison's headline says, such as accuracy, with its 95 % interval.
        second: Macro F1 beside accuracy, Matthews's correlation beside balanced accuracy, R² beside
            the mean error, perplexity beside bits per symbol; with its interval.
        p_value: Of the paired test against the network, corrected by Holm; None for the network itself.
        lead: By how much the network is better, with its 95 % interval: above 0 it is, below 0
            this one is. None for the network itself.
        cost: What it costs; None if it was not measured.
    """

    name: str
    score: Interval
    second: Interval
    p_value: float | None
    lead: Interval | None
    cost: Cost | None


@dataclass(frozen=True)
class Comparison:
    """The network and its baselines on the same test rows; `compare` makes it.

    Args:
        task: `"classification"` or `"regression"`.
        test_rows: How many rows all were tested on.
        rows: The network first, then the others as they were given.
        alpha: From which p-value on a difference counts as shown.
        constant: What the constant baseline always answers, in words; empty if not known.
        headline: What the score is: `"accuracy"`, `"balanced accuracy"`, `"mean error"`, or
            `"bits per symbol"` (or per character); by default accuracy for classes and the mean error for values.
        grouped: Whether rows belong to groups, which intervals and tests then take as one.
        chance: For classes, the p-value of the network's answers having nothing to do with the truth;
            None if that was not tested.
    """

    task: Task
    test_rows: int
    rows: tuple[Row, ...]
    alpha: float = 0.05
    constant: str = ""
    headline: str = ""
    grouped: bool = False
    chance: float | None = None

    def __post_init__(self) -> None:
        if not self.headline:
            object.__setattr__(self, "headline", _HEADLINES[self.task])

    @property
    def shares(self) -> bool:
        """Whether the score is a share, where more is better, and not an error, where less is."""
        return self.headline in ("accuracy", "balanced accuracy")

    @property
    def network(self) -> Row:
        """The row of the network."""
        return self.rows[0]

    @property
    def baselines(self) -> tuple[Row, ...]:
        """The rows of the others."""
        return self.rows[1:]

    def verdict(self) -> str:
        """Return what the numbers say, in one or two plain sentences."""
        return verdict(self)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows as text, for a terminal or a page."""
        shares = self.shares
        header = ["model", self.headline, "95 % interval", _SECONDS[_kind_of(self.headline)][1]]
        header += ["network's lead", "p", "readable", "fit", "ms per row", "size", "training rows"]
        rows = []
        places = 1 if shares else decimals(max(row.score.score for row in self.rows))
        for row in self.rows:
            scale, unit = (100, " %") if shares else (1, "")
            low, high = (f"{scale * end:.{places}f}" for end in (row.score.low, row.score.high))
            lead = "–" if row.lead is None else f"{scale * row.lead.score:+.{places}f}"
            rows.append(
                [
                    row.name,
                    f"{scale * row.score.score:.{places}f}{unit}",
                    f"{low} to {high}{unit}",
                    f"{row.second.score:.3f}",
                    lead,
                    "–" if row.p_value is None else f"{p_in_words(row.p_value)}",
                    *_cost_cells(row.cost),
                ]
            )
        return header, rows

    def notes(self) -> list[str]:
        """Return what a reader of the table must know: how each was set up, and what was cut short."""
        lines = [f"All on the same {self.test_rows:,} test rows."]
        test = _TESTS[_kind_of(self.headline)]
        if self.grouped and self.task != "language":
            test = f"a sign-flip test by whole groups on {self.headline}"
        if self.baselines:
            corrected = f", corrected for {len(self.baselines)} comparisons (Holm)" if len(self.baselines) > 1 else ""
            lines[0] += f" p: {test} against the network{corrected}."
        for row in self.rows:
            said = [] if row.cost is None else [part for part in (row.cost.settings, *row.cost.remarks) if part]
            if said:
                lines.append(f"{row.name}: {'; '.join(said)}.")
        return lines

    def lines(self) -> list[str]:
        """Return the table and its notes as lines of plain text."""
        header, rows = self.table()
        return [*text_table(header, rows), "", *self.notes()]

    def to_dict(self) -> dict[str, Any]:
        """Return the whole, verdict included, as plain data that JSON can hold."""
        return {
            "task": self.task,
            "score": "mean absolute error" if self.headline == "mean error" else self.headline,
            "second": _SECONDS[_kind_of(self.headline)][0],
            "test_rows": self.test_rows,
            "alpha": self.alpha,
            "verdict": self.verdict(),
            "p_of_chance": self.chance,
            "rows": [
                {
                    "name": row.name,
                    "score": _known(row.score),
                    "second": _known(row.second),
                    "p_value": row.p_value,
                    "lead": None if row.lead is None else _known(row.lead),
                    "cost": None if row.cost is None else _plain_cost(row.cost),
                }
                for row in self.rows
            ],
        }


def compare(
    truth: np.ndarray,
    answers: Mapping[str, np.ndarray],
    *,
    task: Task = "classification",
    network: str = "network",
    costs: Mapping[str, Cost] | None = None,
    class_names: Sequence[str] = (),
    alpha: float = 0.05,
    seed: int = 0,
    groups: np.ndarray | None = None,
    headline: str | None = None,
) -> Comparison:
    """Compare a network with its baselines on the same test rows.

    Args:
        truth: The right answer of each test row.
        answers: Each model's answers by its name, in the order of the rows: classes as whole
            numbers, or values.
        task: `"classification"` or `"regression"`.
        network: Which of the names is the network, that the others are compared with.
        costs: What each model costs, by its name; what is not measured may be missing.
        class_names: The names of the classes, so that the verdict can name the most frequent.
        alpha: From which p-value on a difference counts as shown, 0 < alpha < 1.
        seed: For bootstraps and permutations.
        groups: A group for each test row, such as the patient, where rows of one group belong
            together: tests and intervals then take whole groups.
        headline: `"accuracy"` or `"balanced accuracy"`; by default the second where a class is rare
            (`imbalance_of`), because accuracy then says little.

    Raises:
        ValueError: There is no such name, or the answers do not fit the truth.

    Example:
        >>> truth, names = np.repeat([0, 1], 50), ("no", "yes")
        >>> found = compare(truth, {"network": truth, "majority class": np.zeros(100, int)}, class_names=names)
        >>> print(found.verdict())  # doctest: +NORMALIZE_WHITESPACE
        The network is better than always answering 'no': 100.0 % against 50.0 %
        (p < 0.001; its lead is between 38.9 and 59.1 points).
    """
    if task not in ("classification", "regression"):
        raise ValueError(unknown_name("task", str(task), ("classification", "regression")))
    if network not in answers:
        raise ValueError(unknown_name("network among the answers", network, answers))
    if not 0 < alpha < 1:
        raise ValueError(explain(f"compare got alpha={alpha}.", "Expected 0 < alpha < 1.", "alpha=0.05"))
    for name in costs or {}:
        if name not in answers:
            raise ValueError(unknown_name("model in costs", name, answers))
    names = [network, *(name for name in answers if name != network)]
    checked = {name: checked_rows(truth, answers[name]) for name in names}
    right, given = checked[network]
    shares = task == "classification"
    headline = _checked_headline(headline, task, right)
    tests = []
    for name in names[1:]:
        if headline == "balanced accuracy":
            hits = (given == right, checked[name][1] == right)
            found = compare_balanced(right, *hits, groups=groups, seed=seed)
            tests.append((found.p_value, found.difference))
        elif shares:
            found = compare_right(given == right, checked[name][1] == right, groups=groups, seed=seed)
            tests.append((found.p_value, found.difference))
        else:
            errors = (np.abs(given - right), np.abs(checked[name][1] - right))
            found = compare_errors(*errors, seed=seed, groups=groups)
            # Errors are better when smaller: the lead is the other way round.
            gap = found.difference
            tests.append((found.p_value, Interval(-gap.score, -gap.high, -gap.low)))
    corrected = [None, *holm([p_value for p_value, _ in tests])]
    leads = [None, *(lead for _, lead in tests)]
    rows = []
    for name, p_value, lead in zip(names, corrected, leads):
        if headline == "balanced accuracy":
            scores = balanced_scores(*checked[name], seed=seed, groups=groups)
            score, second = scores["balanced_accuracy"], scores["mcc"]
        elif shares:
            scores = classification_scores(*checked[name], seed=seed, groups=groups)
            score, second = scores["accuracy"], scores["macro_f1"]
        else:
            scores = regression_scores(*checked[name], seed=seed, groups=groups)
            score, second = scores["mae"], scores["r2"]
        rows.append(Row(name, score, second, p_value, lead, (costs or {}).get(name)))
    constant = ""
    if shares and MAJORITY in answers and len(class_names):
        constant = str(class_names[int(checked[MAJORITY][1][0])])
    chance = against_chance(right, given, seed=seed) if shares and groups is None else None
    return Comparison(task, len(right), tuple(rows), alpha, constant, headline, groups is not None, chance)


def compare_bits(
    bits: Mapping[str, np.ndarray],
    *,
    network: str = "network",
    costs: Mapping[str, Cost] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    groups: np.ndarray | None = None,
    symbol: str = "symbol",
) -> Comparison:
    """Compare language models by the bits they need for each symbol, `-log2 p(symbol)`.

    Neighbouring symbols are not independent, so rows are taken together: by document if `groups`
    says which, and otherwise in up to 50 stretches of equal length.

    Args:
        bits: For each model by its name, the mean bits per symbol of each test row, in the order of the text.
        network: Which of the names is the network.
        costs: What each model costs, by its name.
        alpha: From which p-value on a difference counts as shown.
        seed: For bootstraps and permutations.
        groups: The document of each row.
        symbol: What the text is made of, such as `"character"`.

    Example:
        >>> random = np.random.default_rng(0)
        >>> chain = random.exponential(2.5, 400)
        >>> found = compare_bits({"network": chain * 0.8, "Markov chain": chain})
        >>> found.headline, found.baselines[0].p_value < 0.01
        ('bits per symbol', True)
    """
    if network not in bits:
        raise ValueError(unknown_name("network among the models", network, bits))
    names = [network, *(name for name in bits if name != network)]
    rows = len(bits[network])
    blocks = np.arange(rows) * min(rows, 50) // max(rows, 1) if groups is None else np.asarray(groups)
    tests = [compare_errors(bits[network], bits[name], seed=seed, groups=blocks) for name in names[1:]]
    corrected = [None, *holm([found.p_value for found in tests])]
    made = []
    for index, name in enumerate(names):
        score = bootstrap(np.mean, np.asarray(bits[name], np.float64), seed=seed, groups=blocks)
        gap = tests[index - 1].difference if index else None
        lead = None if gap is None else Interval(-gap.score, -gap.high, -gap.low)
        perplexity = Interval(*(2.0**end for end in score))
        made.append(Row(name, score, perplexity, corrected[index], lead, (costs or {}).get(name)))
    return Comparison("language", rows, tuple(made), alpha, "", f"{_LANGUAGE}{symbol}", True)


def _checked_headline(headline: str | None, task: Task, truth: np.ndarray) -> str:
    if task != "classification":
        return _HEADLINES[task]
    if headline is None:
        return imbalance_of(truth).headline if truth.dtype.kind in "iub" and truth.min() >= 0 else "accuracy"
    if headline not in ("accuracy", "balanced accuracy"):
        raise ValueError(unknown_name("headline", headline, ("accuracy", "balanced accuracy")))
    return headline


def _kind_of(headline: str) -> str:
    return "bits per symbol" if headline.startswith(_LANGUAGE) else headline


def _cost_cells(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["–"] * 5
    used = f"{cost.rows_used:,}" if cost.rows_used == cost.rows_given else f"{cost.rows_used:,} of {cost.rows_given:,}"
    return [
        "yes" if cost.readable else "no",
        "–" if math.isnan(cost.fit_seconds) else seconds_in_words(cost.fit_seconds),
        milliseconds_in_words(cost.ms_per_row),
        bytes_in_words(cost.size_bytes),
        used,
    ]


def _plain_cost(cost: Cost) -> dict[str, Any]:
    seconds = None if math.isnan(cost.fit_seconds) else cost.fit_seconds
    return asdict(cost) | {"fit_seconds": seconds, "remarks": list(cost.remarks)}


def _known(interval: Interval) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in interval._asdict().items()}
