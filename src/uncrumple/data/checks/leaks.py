"""Columns that hold the answer, or nothing but the number of the row; groups and times on both sides of a split."""

from __future__ import annotations

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.features import encoded, learnable, sample
from uncrumple.data.checks.report import Finding, listed, share
from uncrumple.data.checks.values import SHOWN
from uncrumple.data.checks.view import View, is_missing

_AUC = 0.99
_TREE = 0.99
_LEAVES = 20
_CORRELATION = 0.99
# Of what always answering the largest class leaves to be won, how much a leaking column wins.
_GAIN = 0.95
_UNIQUE = 0.95
_IN_ORDER = 0.999
_ID_WORDS = {"id", "uuid", "guid", "index", "idx", "rowid", "row", "unnamed: 0", "key", "nr", "no", "number"}


def target_leak(view: View, clock: Clock) -> list[Finding]:
    """Find single columns that tell the answer.

    For two classes the area under the ROC curve of the column, for more a tree of 20 leaves that
    sees this column only (a class in the middle hides from the AUC), for numbers the correlation.
    """
    if view.kind != "table":
        raise CannotRunError("the data have no columns")
    part = view.train
    rows = sample(view, part, clock, 20_000)
    if view.task == "classification":
        kept, codes = learnable(view.codes(part)[rows], 5)
        rows = rows[kept]
        answers: np.ndarray = codes
    else:
        answers = view.numbers(part)[rows]
        rows, answers = rows[np.isfinite(answers)], answers[np.isfinite(answers)]
        if len(rows) < 30 or answers.std() == 0:
            raise CannotRunError("it needs 30 rows with different answers")
    found = []
    for place, (name, values) in enumerate(part.x.items()):
        if clock.left <= 0:
            clock.remark(f"stopped after {place} of {len(part.x)} columns: the budget was spent")
            break
        column = values[rows]
        if names_rows(column):
            continue  # as many words as rows can be learnt by heart only
        (made,), _ = encoded([{name: column}])
        if not made.size or not made.std(axis=0).any():
            continue
        if view.task != "classification":
            number, limit, measure = _correlation(made[:, 0], answers), _CORRELATION, "correlation with the answer"
        elif answers.max() == 1:
            number, limit, measure = _area(made, column, answers), _AUC, "AUC of this column alone"
        else:
            number, limit, measure = _tree(made, answers, view.seed), _TREE, "accuracy of a tree on this column alone"
        if number >= limit:
            found.append((number, limit, measure, name))
    if not found:
        return []
    found.sort(key=lambda entry: -entry[0])
    return [
        Finding(
            "target-leak",
            "warning",
            f"Column '{name}' alone tells the answer. That is a fact, and no accusation: some problems are that easy.",
            number,
            limit,
            measure,
            "A column that is filled in after the answer is known, or made of it, is missing when it counts.",
            f"ask when '{name}' is written down; train once without it",
            part=part.name,
            columns=(name,),
        )
        for number, limit, measure, name in found[:SHOWN]
    ]


def _area(made: np.ndarray, column: np.ndarray, codes: np.ndarray) -> float:
    """Return the AUC of a column, in whichever direction; words count by the share of class 1 that each has."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    areas = [roc_auc_score(codes, made[:, place]) for place in range(made.shape[1])]
    best = max(max(area, 1 - area) for area in areas)
    if best < _AUC and made.shape[1] > 1:
        # Several words, or a number and its gaps: together.
        folds = StratifiedKFold(3, shuffle=True, random_state=0)
        tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, random_state=0)
        best = max(
            best, roc_auc_score(codes, cross_val_predict(tree, made, codes, cv=folds, method="predict_proba")[:, 1])
        )
    return float(best)


def _tree(made: np.ndarray, codes: np.ndarray, seed: int) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    answers = cross_val_predict(
        DecisionTreeClassifier(max_leaf_nodes=_LEAVES, random_state=seed), made, codes, cv=folds
    )
    accuracy, majority = float((answers == codes).mean()), float(np.bincount(codes).max() / len(codes))
    # Where one class is 99 % of the rows, 99 % are no feat.
    return accuracy if accuracy - majority >= _GAIN * (1 - majority) else min(accuracy, _TREE - 1e-3)


def _correlation(column: np.ndarray, answers: np.ndarray) -> float:
    if column.std() == 0:
        return 0.0
    from scipy.stats import rankdata

    plain = np.corrcoef(column, answers)[0, 1]
    ranks = np.corrcoef(rankdata(column), rankdata(answers))[0, 1]
    return float(max(abs(plain), abs(ranks)))


def names_rows(values: np.ndarray) -> bool:
    """Return whether a column of words has a different one in (almost) each row."""
    there = values[~is_missing(values)]
    return values.dtype.kind == "O" and len(there) > 0 and len(set(map(str, there))) > _UNIQUE * len(there)


def identifiers(view: View, clock: Clock) -> list[Finding]:
    """Find columns that number or name the rows."""
    if view.kind != "table":
        raise CannotRunError("the data have no columns")
    if sum(len(part) for part in view.parts) < 20:
        raise CannotRunError("it needs 20 rows")
    found: list[tuple[str, str, float]] = []
    for name in clock.within(list(view.train.x), at_once=1):
        together = np.concatenate([part.x[name] for part in view.parts])
        there = together[~is_missing(together)]
        if len(there) < _UNIQUE * len(together):
            continue
        unique = len({str(value) for value in there} if there.dtype.kind == "O" else np.unique(there)) / len(there)
        if unique < _UNIQUE:
            continue
        if there.dtype.kind == "O":
            if float(np.median([len(str(value).split()) for value in there[:200]])) <= 2:
                found.append((name, "a different word in each row", unique))
        elif there.dtype.kind == "f":
            whole = bool((there == np.round(there)).all())
            span = float(there.max() - there.min()) + 1
            steps = np.diff(view.train.x[name])
            in_order = whole and len(steps) > 0 and (bool((steps > 0).all()) or bool((steps < 0).all()))
            if whole and (span <= 1.5 * len(there) or (in_order and view.train.times is None)):
                found.append((name, "a number for each row", unique))
            elif whole and name.strip().lower().split("_")[-1] in _ID_WORDS:
                found.append((name, "a number for each row, by its name", unique))
    if not found:
        return []
    names = [name for name, _, _ in found]
    return [
        Finding(
            "identifiers",
            "warning",
            f"Column {listed(names)} holds {found[0][1]}.",
            found[0][2],
            _UNIQUE,
            "share of different values",
            "New rows have new numbers: what is learnt from them is learnt by heart, or is the order of the file.",
            "leave the column out; if it names a person or a place, give it as groups=",
            part=view.train.name,
            columns=tuple(names[:SHOWN]),
        )
    ]


def group_leak(view: View, clock: Clock) -> list[Finding]:
    """Find groups (patients, documents, days) with rows in the training part and in another."""
    parts = view.need_parts()
    if view.train.groups is None:
        raise CannotRunError("no groups were given: check(x, y, groups=patient, parts=split(y))")
    found = []
    known = set(map(str, view.train.groups[~is_missing(view.train.groups)]))
    for part in parts:
        if part.groups is None:
            continue
        names = np.array([str(group) for group in part.groups])
        shared = np.isin(names, list(known)) & ~is_missing(part.groups)
        if shared.any():
            groups = sorted(set(names[shared]))
            found.append(
                Finding(
                    "group-leak",
                    "error",
                    f"{len(groups):,} of {len(set(names)):,} groups of the {part.name} part are in the training part "
                    f"too ({listed(groups, 3)}): {share(int(shared.sum()), len(part))} rows.",
                    len(groups),
                    0,
                    "shared groups",
                    "The network knows these people or places already; it will not know new ones.",
                    "split(y, groups=groups), which keeps each group on one side",
                    tuple(np.flatnonzero(shared)[:SHOWN].tolist()),
                    part.name,
                    details={"groups": groups[:SHOWN]},
                )
            )
    return found


def time_leak(view: View, clock: Clock) -> list[Finding]:
    """Find rows to be tested that are from before the last row that was learnt from."""
    parts = view.need_parts()
    if view.train.times is None:
        raise CannotRunError("no times were given: check(x, y, times=when, parts=split(y))")
    train = comparable(view.train.times)
    last = np.nanmax(train)
    found = []
    for part in parts:
        if part.times is None:
            continue
        early = np.flatnonzero(comparable(part.times) <= last)
        if len(early):
            found.append(
                Finding(
                    "time-leak",
                    "error",
                    f"{share(len(early), len(part))} rows of the {part.name} part are not after the last training row.",
                    len(early),
                    0,
                    "rows",
                    "The network has learnt from the future of these rows; in use, there is no future to learn from.",
                    "split by time: the last rows are the test part",
                    tuple(early[:SHOWN].tolist()),
                    part.name,
                )
            )
    return found


def comparable(times: np.ndarray) -> np.ndarray:
    """Return times as float64 numbers in their order: seconds for dates.

    Example:
        >>> np.diff(comparable(np.array(["2024-01-01", "2024-01-02"]))).tolist()
        [86400.0]
    """
    values = np.asarray(times)
    if values.dtype.kind in "iufb":
        return values.astype(np.float64)
    if values.dtype.kind != "M":
        try:
            values = np.array(values, dtype="datetime64[s]")
        except (ValueError, TypeError):
            try:
                import pandas

                values = pandas.to_datetime(values.astype(str), utc=True).tz_localize(None).to_numpy()
            except (ValueError, TypeError):
                raise CannotRunError("the times are neither numbers nor dates") from None
    whole = values.astype("datetime64[us]")
    return np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / 1e6)
