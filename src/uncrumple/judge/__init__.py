"""Honest evaluation: a score with its interval, beside simpler models, with a verdict in words.

`judge(model, data)` is the one call for all of it; the room itself can be called:
`uc.judge(model, data)` is `uc.judge.judge(model, data)`. What it puts together takes
arrays, not models, and can be used alone. The pictures are in
`uncrumple.judge.plots` and `uncrumple.judge.figures`, the page in `uncrumple.judge.page`.
"""

import sys
import types
from typing import Any

from uncrumple.core.errors import answer_misspellings
from uncrumple.judge.baselines import Baseline, Cost, fit_baselines, measure_answers
from uncrumple.judge.calibration import Calibration, Temperature, calibration_of, fit_temperature
from uncrumple.judge.confusion import ClassScore, Confusion, confusion_of
from uncrumple.judge.fairness import Fairness, fairness_of
from uncrumple.judge.folds import Folds, corrected_t, cross_validate
from uncrumple.judge.imbalance import Imbalance, imbalance_of
from uncrumple.judge.intervals import Interval, bootstrap, wilson
from uncrumple.judge.judgement import Judgement
from uncrumple.judge.judging import judge
from uncrumple.judge.learning import LearningCurve, learning_curve
from uncrumple.judge.made import how_it_was_made
from uncrumple.judge.markov import MarkovChain, fit_markov
from uncrumple.judge.mistakes import Mistake, class_probabilities, largest_errors, worst_mistakes
from uncrumple.judge.paired import (
    Paired,
    against_chance,
    compare_balanced,
    compare_errors,
    compare_right,
    holm,
    mcnemar,
)
from uncrumple.judge.scores import balanced_scores, classification_scores, regression_scores
from uncrumple.judge.shift import Shift, shift_robustness
from uncrumple.judge.slices import Slices, slices_of
from uncrumple.judge.spread import Seeds, several_seeds
from uncrumple.judge.suspects import Piles, two_piles
from uncrumple.judge.table import Comparison, Row, compare, compare_bits
from uncrumple.judge.thresholds import (
    Curves,
    Threshold,
    apply_threshold,
    curves_of,
    threshold_for_balance,
    threshold_for_cost,
    threshold_for_recall,
)
from uncrumple.judge.trees import Node, tree_lines, tree_of

__all__ = [
    "Baseline",
    "Calibration",
    "ClassScore",
    "Comparison",
    "Confusion",
    "Cost",
    "Curves",
    "Fairness",
    "Folds",
    "Imbalance",
    "Interval",
    "Judgement",
    "LearningCurve",
    "MarkovChain",
    "Mistake",
    "Node",
    "Paired",
    "Piles",
    "Row",
    "Seeds",
    "Shift",
    "Slices",
    "Temperature",
    "Threshold",
    "against_chance",
    "apply_threshold",
    "balanced_scores",
    "bootstrap",
    "calibration_of",
    "class_probabilities",
    "classification_scores",
    "compare",
    "compare_balanced",
    "compare_bits",
    "compare_errors",
    "compare_right",
    "confusion_of",
    "corrected_t",
    "cross_validate",
    "curves_of",
    "fairness_of",
    "fit_baselines",
    "fit_markov",
    "fit_temperature",
    "holm",
    "how_it_was_made",
    "imbalance_of",
    "judge",
    "largest_errors",
    "learning_curve",
    "mcnemar",
    "measure_answers",
    "regression_scores",
    "several_seeds",
    "shift_robustness",
    "slices_of",
    "threshold_for_balance",
    "threshold_for_cost",
    "threshold_for_recall",
    "tree_lines",
    "tree_of",
    "two_piles",
    "wilson",
    "worst_mistakes",
]

answer_misspellings(__name__)


class _Room(types.ModuleType):
    """The room, which can be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Judgement:
        return judge(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
