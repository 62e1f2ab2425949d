"""The worst mistakes in two piles: the model is wrong, or the label is suspect.

A row that every model answers alike, surely, and against its label, is more
often a wrong label than a hard row. Nobody is overruled: the second pile is
what a person should look at first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.data.checks.suspects import told_apart
from uncrumple.judge.baselines import MAJORITY
from uncrumple.judge.mistakes import Mistake, class_probabilities, worst_mistakes

# A label is suspected if the network gives it at most this share of what it gives rows labelled so on average.
# A share of it, not a probability: a rare class is given little even where it is the truth.
_HARDLY = 0.1
# Without others to ask, the network must be this sure of another class before a label is suspected.
_SURE_ALONE = 0.99


@dataclass(frozen=True)
class Piles:
    """Mistakes in two piles, the worst first.

    Args:
        model_wrong: Those for which nothing speaks against the label.
        label_suspect: Those in which all models agree against the label.
        suspects: How many rows there are of the second kind in all.
        wrong: How many mistakes there are in all.
        rule: How they were told apart, in words.
        doubtful: Between how many classes a label can be doubted: those that the network tells apart.
        classes: How many classes there are in the test part; 0 where that was not counted.

    Example:
        >>> truth = np.repeat([0, 1], 20)
        >>> shares = np.where(truth[:, None] == [0, 1], 0.9, 0.1)
        >>> shares[0], shares[1] = [0.01, 0.99], [0.4, 0.6]
        >>> others = {name: np.r_[1, truth[1:]] for name in ("tree", "SVM")}
        >>> found = two_piles(truth, shares, ("cat", "dog"), others)
        >>> [one.in_words() for one in found.label_suspect], [one.in_words() for one in found.model_wrong]
        (['cat → dog (99 %)'], ['cat → dog (60 %)'])
    """

    model_wrong: tuple[Mistake, ...]
    label_suspect: tuple[Mistake, ...]
    suspects: int
    wrong: int
    rule: str
    doubtful: int = 0
    classes: int = 0

    def in_words(self) -> str:
        """Return the sizes of the piles in a sentence."""
        if not self.wrong:
            return "No mistakes."
        mistakes = "1 mistake" if self.wrong == 1 else f"{self.wrong:,} mistakes"
        if not self.suspects:
            if self.doubtful or not self.classes:
                return f"{mistakes}; no label is suspect."
            return (
                f"{mistakes}; no label can be called suspect: the network does not tell the classes apart well enough."
            )
        rows = "label is" if self.suspects == 1 else "labels are"
        return f"{mistakes}; {self.suspects:,} {rows} suspect: look at these rows first."

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain data that JSON can hold."""
        return {
            "wrong": self.wrong,
            "suspects": self.suspects,
            "rule": self.rule,
            "doubtful_classes": self.doubtful,
            "classes": self.classes,
            "model_wrong": [one.to_dict() for one in self.model_wrong],
            "label_suspect": [one.to_dict() for one in self.label_suspect],
        }


def two_piles(
    truth: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    others: Mapping[str, np.ndarray] | None = None,
    count: int = 12,
) -> Piles:
    """Sort the wrong answers into those of the model and those whose label is suspect.

    A label is suspect if the network gives it at most a tenth of the probability that it gives rows
    labelled so on average (after confident learning, C. Northcutt et al., 2021), and all but at most
    one of the models, of which there are at least three, give one and the same other answer. Without
    other models the network must be 99 % sure of another answer besides.

    No label is doubted but between classes that the network tells apart on the other rows (an F1 of
    at least 0.85 for each of them, and of 0.9 on average; a class of few rows is taken to be more like
    all rows): where classes overlap, or the network has
    not learnt them, rows that are merely hard look the same.

    Args:
        truth: The label of each test row, a whole number from 0.
        probabilities: What the network gave each class.
        class_names: A name for each class.
        others: The answers of other models by name; one that always answers the same is not asked.
        count: The most mistakes in each pile.
    """
    every = worst_mistakes(truth, probabilities, class_names, count=max(1, len(np.asarray(truth))))
    shares = class_probabilities(probabilities)
    right = np.asarray(truth).reshape(-1)
    answers = shares.argmax(axis=1)
    asked = {name: np.asarray(given).reshape(-1) for name, given in (others or {}).items() if name != MAJORITY}
    usual = np.array(
        [shares[right == kind, kind].mean() if np.any(right == kind) else 0.0 for kind in range(shares.shape[1])]
    )
    hardly = shares[np.arange(len(right)), right] <= _HARDLY * usual[right]
    if len(asked) >= 2:
        votes = np.zeros(shares.shape)
        for given in (answers, *asked.values()):
            votes[np.arange(len(right)), given] += 1
        agreed = votes.max(axis=1) >= max(2, len(asked))
        suspect = agreed & hardly & (votes.argmax(axis=1) == answers)
        rule = (
            "the network gives the label a tenth or less of what it gives rows labelled so on average, and of "
            f"{1 + len(asked)} models all, or all but one, give the same other answer"
        )
    else:
        suspect = hardly & (shares.max(axis=1) >= _SURE_ALONE)
        rule = f"the network is at least {100 * _SURE_ALONE:.0f} % sure; there were no other models to ask"
    apart = told_apart(right, answers, shares.shape[1])
    suspect &= (answers != right) & apart[right] & apart[answers]
    rule += "; and it tells the two classes apart (F1 of 0.85 or more each)"
    # Ordered by how little the truth was believed: the worst first.
    return Piles(
        tuple([one for one in every if not suspect[one.row]][:count]),
        tuple([one for one in every if suspect[one.row]][:count]),
        int(suspect.sum()),
        len(every),
        rule,
        int(apart.sum()),
        len(np.unique(right)),
    )
