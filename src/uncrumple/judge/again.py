"""What a judgement learns from training again: folds, seeds, and whether more data would help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from uncrumple.core.errors import explain
from uncrumple.judge.asked import rows_of
from uncrumple.judge.folds import cross_validate
from uncrumple.judge.learning import learning_curve
from uncrumple.judge.retrain import Clones, settings_of
from uncrumple.judge.rows import Given
from uncrumple.judge.spread import several_seeds

_NAMES = {
    "folds": ("k folds", "5"),
    "seeds": ("several seeds", "3"),
    "more_data": ("whether more data would help", "True"),
}


def train_again(
    model: Any,
    rows: Given,
    *,
    matrix: Callable[[], Any],
    folds: int,
    seeds: int | Sequence[int],
    more_data: bool,
    make: Callable[..., Any] | None,
    fit: Mapping[str, Any] | None,
    budget_seconds: float,
    seed: int,
    alpha: float,
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Train models like one again, as often as is asked for.

    Args:
        model: The one that is judged.
        rows: The rows to judge on; what is chosen by nothing is scored on the validation rows, if there are some.
        matrix: Returns the training rows as a table for the classical models.
        folds, seeds, more_data, make, fit, budget_seconds, seed, alpha: As for `judge`.

    Returns:
        `folds`, `seeds` and `learning`, as far as they were asked for; what ran; and what did not.
    """
    wanted = {"folds": bool(folds), "seeds": not isinstance(seeds, int) or bool(seeds), "more_data": more_data}
    found: dict[str, Any] = {}
    ran: list[str] = []
    not_run = [f"{_NAMES[name][0]}: not asked for ({name}={_NAMES[name][1]})" for name in wanted if not wanted[name]]
    if len(not_run) == len(wanted):
        return found, ran, not_run
    if rows.task == "language":
        raise ValueError(
            explain(
                "judge got folds, seeds or more_data for language.",
                "Expected them for classes or values.",
                "judge(model, data) for each of several models.",
            )
        )
    maker = make or Clones(model, rows.preparation, rows.prepare)
    settings = dict(fit) if fit is not None else settings_of(model, rows_of(rows.x_train))
    shared: dict[str, Any] = {"task": rows.task, "fit": settings}
    if folds:
        found["folds"] = cross_validate(
            maker,
            rows.x_train,
            rows.y_train,
            folds=folds,
            matrix=rows.matrices or matrix(),
            budget_seconds=budget_seconds,
            scale=rows.scale,
            groups=rows.groups_train,
            times=None if rows.groups_train is not None else rows.times_train,
            ends=None if rows.groups_train is not None else rows.ends_train,
            seed=seed,
            alpha=alpha,
            **shared,
        )
        how = "stretches of time, each after the rows it was learnt from," if rows.times_train is not None else "folds"
        ran.append(f"{folds} {how} of the training rows with the corrected t-test")
    # Nothing here may be chosen by the test rows, so they are asked only where there are no others.
    held: Any = (rows.x_test, rows.y_test)
    if rows.x_validation is not None:
        held = (rows.x_validation, rows.y_validation)
    if rows.x_validation is None and (wanted["seeds"] or more_data):
        rows.remarks.append("Seeds and learning curve were scored on the test rows: there are no validation rows.")
    groups = rows.groups if rows.x_validation is None else None
    if wanted["seeds"]:
        chosen = range(seed, seed + seeds) if isinstance(seeds, int) else list(seeds)
        found["seeds"] = several_seeds(maker, rows.x_train, rows.y_train, *held, seeds=chosen, **shared)
        ran.append(f"{len(chosen)} seeds")
    if more_data:
        found["learning"] = learning_curve(
            maker, rows.x_train, rows.y_train, *held, groups=groups, seed=seed, alpha=alpha, **shared
        )
        ran.append("learning curve")
    return found, ran, not_run
