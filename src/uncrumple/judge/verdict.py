"""What a comparison says, in one or two plain sentences that follow from its numbers.

Three things can be said of the network and another model: it is better, the
other is better, or neither is shown. "Not shown" is not "equal": the sentence
says how far apart the two may still be, and on how many rows that rests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from uncrumple.judge.baselines import BOOSTING, FREQUENCIES, LAST, LOGISTIC, MAJORITY, MARKOV, MEDIAN, RIDGE, SVM, TREE
from uncrumple.judge.words import decimals, listed, p_in_words

if TYPE_CHECKING:
    from uncrumple.judge.table import Comparison, Row

_CONSTANTS = (MAJORITY, MEDIAN, FREQUENCIES)
# The simplest first: of several that do as well, the first is the one to name.
_BY_SIMPLICITY = (LAST, TREE, RIDGE, LOGISTIC, MARKOV, SVM, BOOSTING)
# So little behind, a simpler model is said to do as well: points of accuracy, or a share of the mean error.
_CLOSE_POINTS, _CLOSE_SHARE, _CLOSE_BITS = 0.02, 0.05, 0.02
_WITH_ARTICLE = {
    TREE: "the decision tree",
    RIDGE: "ridge regression",
    LOGISTIC: "logistic regression",
    SVM: "the RBF SVM",
    MARKOV: "the Markov chain",
    LAST: "repeating the last value",
}


def verdict(found: Comparison) -> str:
    """Return the verdict of a comparison; `Comparison.verdict()` is the way to call it."""
    network, say = found.network, _Words(found)
    if not found.baselines:
        return f"The {network.name} reaches {say.score(network)}; it was not compared with anything."
    ahead = [row for row in found.baselines if _shown(found, row) and row.lead.score > 0]  # type: ignore[union-attr]
    behind = [row for row in found.baselines if _shown(found, row) and row.lead.score < 0]  # type: ignore[union-attr]
    level = [row for row in found.baselines if row not in ahead and row not in behind]

    constant = next((row for row in found.baselines if row.name in _CONSTANTS), None)
    if constant is not None and constant not in ahead:
        return _no_better_than_nothing(say, constant, constant in behind, [row for row in behind if row != constant])
    if behind:
        return _beaten(say, behind, [row for row in level if row is not constant])
    if level:
        return _not_shown_better(say, level, [row for row in ahead if row is not constant])
    return _better_than_all(say, ahead, constant)


def finding(found: Comparison) -> str:
    """Return the verdict in a few words, for the title of a picture.

    Example:
        >>> import numpy as np
        >>> from uncrumple.judge.table import compare
        >>> truth = np.repeat([0, 1], 50)
        >>> finding(compare(truth, {"network": truth, "decision tree": 1 - truth}))
        'The network is better than the decision tree'
    """
    network, say = found.network, _Words(found)
    behind = [row for row in found.baselines if _shown(found, row) and row.lead.score < 0]  # type: ignore[union-attr]
    level = [row for row in found.baselines if not _shown(found, row)]
    if behind:
        return f"{say.start(say.best(behind))} is better than the {network.name}"
    if level:
        return f"The {network.name} is not shown better than {say.name(say.best(level))}"
    if not found.baselines:
        return f"The {network.name}"
    count = len(found.baselines)
    every = f"{_all_of(count)} simpler models" if count > 1 else say.name(found.baselines[0])
    return f"The {network.name} is better than {every}"


def _all_of(count: int) -> str:
    return "both" if count == 2 else f"all {count}"


def _shown(found: Comparison, row: Row) -> bool:
    """Whether the network and another model are shown to differ."""
    return row.p_value is not None and row.p_value < found.alpha and row.lead is not None and row.lead.score != 0


def _no_better_than_nothing(say: _Words, constant: Row, worse: bool, behind: list[Row]) -> str:
    network = say.found.network
    first = (
        f"The {network.name} is {'worse than' if worse else 'not shown better than'} {say.name(constant)}: "
        f"{say.against(constant)}{'' if worse else f'; {say.lead(constant)}'})"
    )
    if worse:
        first += ": something is wrong with it."
    elif say.found.chance is not None and say.found.chance < say.found.alpha:
        chance = p_in_words(say.found.chance)
        p = f"p {chance}" if chance.startswith("<") else f"p = {chance}"
        first += f". It has learnt something, for its answers and the truth go together ({p}), but not shown enough."
    else:
        first += f". Nothing on these {say.rows} shows that it has learnt anything."
    if behind:
        best = say.best(behind)
        return f"{first} {say.start(best)} is better ({say.score(best)}, {say.p(best)}): there is something to learn."
    return first


def _beaten(say: _Words, behind: list[Row], level: list[Row]) -> str:
    network, best = say.found.network, say.best(behind)
    first = (
        f"{say.start(best)} is better than the {network.name}: "
        f"{say.score(best)} against {say.number(network)} ({say.p(best)}; {say.lead(best)})."
    )
    others = [f"{say.name(row)} ({say.score(row)})" for row in behind if row is not best]
    if others:
        return f"{first} So {'is' if len(others) == 1 else 'are'} {listed(others)}."
    simple = say.simplest(level)
    if simple is not None:
        return f"{first} {say.start(simple)} ({say.score(simple)}) is not shown worse than the {network.name} either."
    return first


def _not_shown_better(say: _Words, level: list[Row], ahead: list[Row]) -> str:
    network = say.found.network
    shown = listed([f"{say.name(row)} ({say.score(row)}, {say.p(row)})" for row in level], "or")
    if ahead:
        beaten = listed([f"{say.name(row)} ({say.score(row)}, {say.p(row)})" for row in ahead])
        first = f"The {network.name} ({say.score(network)}) is better than {beaten}, but not shown better than {shown}."
    else:
        first = f"The {network.name} ({say.score(network)}) is not shown better than {shown}."
    close = say.simplest([row for row in level if say.is_close(row)])
    if close is None:
        nearest = min(level, key=lambda row: row.lead.score)  # type: ignore[union-attr]
        return f"{first} {say.start(nearest)} is not shown worse either: on {say.rows} {say.lead(nearest)}."
    what = say.start(close)
    if close.cost is not None and close.cost.readable and close.name != LAST:
        what = "A tree that you can read" if close.name == TREE else f"{what}, whose weights you can read,"
    return f"{first} {what} does as well, as far as {say.rows} can tell: {say.lead(close)}."


def _better_than_all(say: _Words, ahead: list[Row], constant: Row | None) -> str:
    network, best = say.found.network, say.best(ahead)
    if best is constant:
        return f"The {network.name} is better than {say.name(best)}: {say.against(best)}; {say.lead(best)})."
    every = f"{_all_of(len(ahead))} baselines" if len(ahead) > 1 else say.name(best)
    closest = f" for {say.name(best)}, the best of them" if len(ahead) > 1 else ""
    first = (
        f"The {network.name} is better than {every}: "
        f"{say.score(network)} against {say.number(best)}{closest} ({say.p(best)}; {say.lead(best)})."
    )
    cost = best.cost
    if cost is not None and cost.rows_used < cost.rows_given:
        used = f"{cost.rows_used:,} of {cost.rows_given:,} rows"
        return f"{first} That one was fitted on {used}; with all of them it might come closer."
    return first


class _Words:
    """How the numbers of one comparison are said."""

    def __init__(self, found: Comparison) -> None:
        self.found = found
        self.shares = found.shares
        self.places = 1 if self.shares else decimals(max(row.score.score for row in found.rows))
        self.rows = f"{found.test_rows:,} test rows"

    def name(self, row: Row) -> str:
        if row.name == MAJORITY:
            constant = self.found.constant
            return f"always answering {constant!r}" if constant else "always answering the most frequent class"
        if row.name == MEDIAN:
            return "always answering the median"
        if row.name == FREQUENCIES:
            return f"knowing no more than how frequent each {self.found.headline.removeprefix('bits per ')} is"
        return _WITH_ARTICLE.get(row.name, row.name)

    def start(self, row: Row) -> str:
        """The name at the start of a sentence."""
        name = self.name(row)
        return name[:1].upper() + name[1:]

    def score(self, row: Row) -> str:
        if self.found.headline == "balanced accuracy":
            return f"balanced accuracy {self.number(row)}"
        if self.found.task == "language":
            return f"{self.number(row)} {self.found.headline}"
        return self.number(row) if self.shares else f"mean error {self.number(row)}"

    def number(self, row: Row) -> str:
        return f"{100 * row.score.score:.1f} %" if self.shares else f"{row.score.score:.{self.places}f}"

    def p(self, row: Row) -> str:
        said = p_in_words(row.p_value or 0.0)
        return f"p {said}" if said.startswith("<") else f"p = {said}"

    def against(self, row: Row) -> str:
        """The two scores and the p-value; the bracket is left open."""
        return f"{self.score(self.found.network)} against {self.number(row)} ({self.p(row)}"

    def lead(self, row: Row) -> str:
        """How far apart the two may be."""
        scale, unit = (100, " points") if self.shares else (1, "")
        low, high = scale * row.lead.low, scale * row.lead.high  # type: ignore[union-attr]
        places = self.places
        if low > 0:
            return f"its lead is between {low:.{places}f} and {high:.{places}f}{unit}"
        if high < 0:
            return f"the lead is between {-high:.{places}f} and {-low:.{places}f}{unit}"
        return f"the {self.found.network.name}'s lead is between {low:+.{places}f} and {high:+.{places}f}{unit}"

    def is_close(self, row: Row) -> bool:
        """Whether this one's score is so little behind the network's that it may be said to do as well."""
        share = _CLOSE_BITS if self.found.task == "language" else _CLOSE_SHARE
        limit = _CLOSE_POINTS if self.shares else share * self.found.network.score.score
        return row.lead.score <= limit  # type: ignore[union-attr]

    def best(self, rows: Sequence[Row]) -> Row:
        return max(rows, key=lambda row: row.score.score if self.shares else -row.score.score)

    def simplest(self, rows: Sequence[Row]) -> Row | None:
        known = [row for row in rows if row.name in _BY_SIMPLICITY]
        return min(known, key=lambda row: _BY_SIMPLICITY.index(row.name)) if known else None
