"""The same model with several seeds: how much of a score is luck?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.imbalance import imbalance_of
from uncrumple.judge.retrain import Make, answers_in, answers_of, score_of, trained
from uncrumple.judge.words import decimals


@dataclass(frozen=True)
class Seeds:
    """The same model trained with several seeds.

    Args:
        headline: What the score is.
        scores: By seed.
    """

    headline: str
    scores: dict[int, float]

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds."""
        return float(np.std(list(self.scores.values()), ddof=1))

    def in_words(self) -> str:
        """Return mean, spread and range in a sentence."""
        values = np.asarray(list(self.scores.values()))
        scale, unit = (1, "") if self.headline == "mean error" else (100, " %")
        places = 1 if scale == 100 else decimals(float(values.mean()))
        mean, spread, low, high = (scale * float(v) for v in (values.mean(), self.spread, values.min(), values.max()))
        return (
            f"{len(values)} seeds: {self.headline} {mean:.{places}f} ± {spread:.{places}f}{unit}, "
            f"from {low:.{places}f} to {high:.{places}f}{unit}. Differences of this size need no other reason than luck."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {"headline": self.headline, "scores": {str(seed): score for seed, score in self.scores.items()},
                "spread": self.spread, "said": self.in_words()}  # fmt: skip


def several_seeds(
    make: Make,
    x: Any,
    y: np.ndarray,
    x_held: Any,
    y_held: np.ndarray,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    task: str = "classification",
    fit: Mapping[str, Any] | None = None,
    headline: str | None = None,
) -> Seeds:
    """Train the same model with several seeds on the same rows, and score each on the same held-back rows.

    Args:
        make: As for `cross_validate`.
        x, y: The rows to learn from.
        x_held, y_held: The rows to score on: those for validation, not the test part, if anything is chosen by it.
        seeds: At least 3 different whole numbers.
        task: `"classification"` or `"regression"`.
        fit: What `fit` is given.
        headline: As for `compare`.

    Example:
        >>> found = Seeds("accuracy", {0: 0.9, 1: 0.92, 2: 0.94})
        >>> found.in_words()[:56]
        '3 seeds: accuracy 92.0 ± 2.0 %, from 90.0 to 94.0 %. Dif'
    """
    if len(set(seeds)) < 3 or len(set(seeds)) != len(list(seeds)):
        raise ValueError(
            explain(f"several_seeds got seeds={list(seeds)}.", "Expected at least 3 different ones.", "seeds=range(5)")
        )
    truth, held = answers_in(y), answers_in(y_held)
    headline = "mean error" if task != "classification" else headline or imbalance_of(held).headline
    every = np.arange(len(truth))
    models = trained(make, x, truth, [every] * len(list(seeds)), fit, seeds)
    scores = [score_of(held, answers_of(model, x_held, task), headline) for model in models]
    return Seeds(headline, {int(seed): score for seed, score in zip(seeds, scores)})
