"""Honest evaluation: a score with its interval, beside simpler models, with a verdict in words.

Everything here takes arrays, not models, so that it judges any model alike.
The pictures are in `uncrumple.judge.plots`, the page in `uncrumple.judge.html`.
"""

from uncrumple.core.errors import answer_misspellings
from uncrumple.judge.baselines import Baseline, Cost, fit_baselines, measure_answers
from uncrumple.judge.confusion import ClassScore, Confusion, confusion_of
from uncrumple.judge.intervals import Interval, bootstrap, wilson
from uncrumple.judge.made import how_it_was_made
from uncrumple.judge.mistakes import Mistake, class_probabilities, largest_errors, worst_mistakes
from uncrumple.judge.paired import Paired, compare_errors, compare_right, holm, mcnemar
from uncrumple.judge.scores import classification_scores, regression_scores
from uncrumple.judge.table import Comparison, Row, compare

__all__ = [
    "Baseline",
    "ClassScore",
    "Comparison",
    "Confusion",
    "Cost",
    "Interval",
    "Mistake",
    "Paired",
    "Row",
    "bootstrap",
    "class_probabilities",
    "classification_scores",
    "compare",
    "compare_errors",
    "compare_right",
    "confusion_of",
    "fit_baselines",
    "holm",
    "how_it_was_made",
    "largest_errors",
    "mcnemar",
    "measure_answers",
    "regression_scores",
    "wilson",
    "worst_mistakes",
]

answer_misspellings(__name__)
