"""What a classifier's probabilities are good for: curves, and thresholds chosen on validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.judge.rows import Given
from uncrumple.judge.thresholds import (
    apply_threshold,
    curves_of,
    threshold_for_balance,
    threshold_for_cost,
    threshold_for_recall,
)

_MOST_CURVES = 10


def positive_class(names: tuple[str, ...], positive: str | int | None) -> int:
    """Return the number of the class that counts as yes; by default the second.

    Example:
        >>> positive_class(("no", "yes"), None), positive_class(("no", "yes"), "no")
        (1, 0)
    """
    if positive is None:
        return 1
    if isinstance(positive, str):
        if positive not in names:
            raise ValueError(unknown_name("class", positive, names))
        return names.index(positive)
    if not 0 <= positive < len(names):
        raise ValueError(
            explain(f"judge got positive={positive}.", f"Expected one of {list(names)[:10]}.", f"positive={names[1]!r}")
        )
    return int(positive)


def curves_and_thresholds(
    rows: Given,
    shares: np.ndarray | None,
    validated: np.ndarray | None,
    *,
    positive: str | int | None,
    cost: Mapping[str, float] | None,
    recall: float | None,
    rare: bool,
    seed: int,
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Draw up curves, and choose thresholds on the validation rows for what is asked for.

    Args:
        rows: The rows to judge on.
        shares: The model's probabilities for the test rows; None if it gives none.
        validated: Those for the validation rows; None if there are none.
        positive, cost, recall, seed: As for `judge`.
        rare: Whether a class is so rare that one half is a poor threshold: one that serves both
            classes alike is then chosen, where there are two.

    Returns:
        `curves`, `thresholds` and `positive`; what ran; and what did not.
    """
    if shares is None:
        if cost or recall:
            raise ValueError(
                explain(
                    "judge got a cost or a recall, and a model that gives no probabilities.",
                    "Expected probabilities to set a threshold on.",
                    "a model that ends in softmax or sigmoid.",
                )
            )
        return {}, [], []
    count = len(rows.class_names)
    if count == 2 or positive is not None or cost or recall:
        asked = [positive_class(rows.class_names, positive)]
    else:
        asked = list(range(count))[:_MOST_CURVES]
    curves = []
    for number in asked:
        yes = rows.y_test == number
        if 0 < yes.sum() < len(yes) and number < shares.shape[1]:
            name = rows.class_names[number]
            curves.append(curves_of(yes, shares[:, number], name, seed=seed, groups=rows.groups))
    ran = ["ROC and precision-recall curves"] if curves else []
    if count > len(asked) > 1:
        ran[0] += f" of the first {len(asked)} of {count} classes"
    found: dict[str, Any] = {"curves": tuple(curves)}
    if len(asked) > 1:
        return found, ran, []
    number = asked[0]
    found["positive"] = rows.class_names[number]
    costs = dict(cost or {})
    yes, given = rows.y_test == number, shares[:, number]
    thresholds = [apply_threshold(yes, given, 0.5, why="one half", **costs)]
    not_run = []
    if validated is not None and rows.y_validation is not None:
        chosen = _chosen(rows.y_validation == number, validated[:, number], costs, recall, rare)
        thresholds += [apply_threshold(yes, given, value, why=why, **costs) for value, why in chosen]
        ran += ["thresholds, chosen on the validation rows"] if chosen else []
    elif cost or recall:
        raise ValueError(
            explain(
                "judge got a cost or a recall, and no validation rows.",
                "Expected rows to choose the threshold on: chosen on the test rows it would look better than it is.",
                "judge(model, data, validation=(x_validation, y_validation), ...)",
            )
        )
    elif rare:
        not_run.append("a threshold that serves both classes alike: there are no validation rows (validation=(x, y))")
    found["thresholds"] = tuple(thresholds)
    return found, ran, not_run


def _chosen(
    truth: np.ndarray, given: np.ndarray, costs: Mapping[str, float], recall: float | None, rare: bool
) -> list[tuple[float, str]]:
    """Return thresholds, and what each is for."""
    found: list[tuple[float, str]] = []
    if costs:
        value = threshold_for_cost(truth, given, costs["miss"], costs["false_alarm"])
        found.append((value, f"cheapest at {costs['miss']:g} a miss and {costs['false_alarm']:g} a false alarm"))
    if recall:
        found.append((threshold_for_recall(truth, given, recall), f"recall {100 * recall:g} % wanted"))
    if rare and truth.any() and not truth.all():
        found.append((threshold_for_balance(truth, given), "both classes alike"))
    return found
