"""Whether a part differs from the training part: a classifier tries to tell them apart.

Source: Lopez-Paz and Oquab, 2017, Revisiting classifier two-sample tests. A
random forest learns which part a row is from, in three folds. If it can, the
parts differ, and the columns it used are named.
"""

from __future__ import annotations

import math

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.features import encoded, sample
from uncrumple.data.checks.leaks import names_rows
from uncrumple.data.checks.pictures import APPEARANCE, pictures, shrunk
from uncrumple.data.checks.report import Finding, listed
from uncrumple.data.checks.shortcuts import form_of
from uncrumple.data.checks.view import Part, View

_AREA = 0.6
# Guesses out of fold depend on each other: on 180 pairs of parts that did not differ, the deviation of z
# was 1.3 and not 1, so 2.33 cried wolf in 2 to 7 of 100, and 3 never.
_Z = 3.0
_MOST = 2000
_FOLDS = 3
_TREES = 100
_LEAST = 25
_COLUMN_P = 0.01


def part_difference(view: View, clock: Clock) -> list[Finding]:
    """Find a validation or test part that a random forest can tell from the training part."""
    parts = view.need_parts()
    if view.kind == "series":
        raise CannotRunError("neighbouring windows are alike, so any two stretches of time can be told apart")
    found = []
    small = [part for part in parts if len(part) < _LEAST]
    for part in small:
        clock.remark(f"the {part.name} part has {len(part)} rows, fewer than the {_LEAST} that are needed")
    if len(small) == len(parts) or len(view.train) < _LEAST:
        raise CannotRunError(f"it needs {_LEAST} rows in each part")
    for part in parts:
        if part in small:
            continue
        clock.need_time()
        (ours, theirs), names = _comparable(view, part, clock)
        area, z, weights = _told_apart(ours, theirs, view.seed, clock)
        if z <= _Z or area <= _AREA:
            continue
        columns = _columns(ours, theirs, names, weights)
        expected = view.train.groups is not None or view.train.times is not None
        named = f" It differs in {listed(columns)}." if columns else " It differs in no single column."
        found.append(
            Finding(
                "part-difference",
                "note" if expected else "warning",
                f"A random forest tells rows of the {part.name} part from training rows.{named}",
                area,
                _AREA,
                f"AUC (z = {z:.1f}, limit {_Z:g})",
                "Other groups or a later time are other rows, as they will be in use; the score counts for those."
                if expected
                else "Rows drawn at random do not differ: the split did this, and the score is that of other rows.",
                "compare these columns in both parts; split at random, or say why the parts differ",
                part=part.name,
                columns=tuple(columns),
                details={"z": z},
            )
        )
    return found


def _comparable(view: View, part: Part, clock: Clock) -> tuple[list[np.ndarray], list[str]]:
    """Return numbers for the training part and another, and the column each number comes from."""
    rows = [sample(view, one, clock, _MOST) for one in (view.train, part)]
    if view.kind == "table":
        tables = [
            {name: values[chosen] for name, values in one.x.items()} for one, chosen in zip((view.train, part), rows)
        ]
        # Names of rows differ between any two parts; so does what numbers them, if it was not shuffled.
        named = [name for name in tables[0] if not names_rows(np.concatenate([t[name] for t in tables]))]
        if not named:
            raise CannotRunError("no columns to compare")
        return encoded([{name: table[name] for name in named} for table in tables])
    if view.kind == "images":
        made = []
        for one, chosen in zip((view.train, part), rows):
            seen = pictures(view, one, clock)
            kept = np.isin(seen.rows, chosen)
            cells = _cells(seen.small[kept], clock)
            made.append(np.concatenate([seen.appearance[kept], seen.sizes[kept], cells], axis=1).astype(np.float64))
        names = [*(f"{name} colour" if place > 1 else name for place, name in enumerate(APPEARANCE)), "height", "width"]
        return made, names + [f"cell {place}" for place in range(made[0].shape[1] - len(names))]
    from sklearn.feature_extraction.text import CountVectorizer

    texts = [[one.x[row] for row in chosen] for one, chosen in zip((view.train, part), rows)]
    try:
        words = CountVectorizer(max_features=150, binary=True).fit(texts[0] + texts[1])
    except ValueError:
        raise CannotRunError("the texts share no words") from None
    form = ["characters", "words", "capitals", "digits", "marks", "lines", "other alphabets"]
    counts = [
        np.concatenate([words.transform(some).toarray(), [form_of(t) for t in clock.within(some, 256)]], axis=1)
        for some in texts
    ]
    return counts, [*(f"word '{word}'" for word in words.get_feature_names_out()), *form]


def _cells(small: np.ndarray, clock: Clock) -> np.ndarray:
    side = min(6, *small.shape[1:])
    return np.stack([shrunk(picture, side, side).reshape(-1) for picture in clock.within(small)])


def _told_apart(ours: np.ndarray, theirs: np.ndarray, seed: int, clock: Clock) -> tuple[float, float, np.ndarray]:
    """Return the area under the ROC curve out of fold, how many deviations it is above 0.5, and the columns' weights."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    random = np.random.default_rng(seed)
    # Many training rows against few others add seconds, and little else.
    if len(ours) > 4 * len(theirs):
        ours = ours[np.sort(random.choice(len(ours), 4 * len(theirs), replace=False))]
    x = np.concatenate([ours, theirs])
    side = np.repeat([0, 1], [len(ours), len(theirs)])
    guesses, weights, took = np.zeros(len(x)), np.zeros(x.shape[1]), 0.0
    for learned, held_back in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(x, side):
        clock.need_time(took)
        began = clock.spent
        model = RandomForestClassifier(_TREES, min_samples_leaf=5, class_weight="balanced", random_state=seed)
        model.fit(x[learned], side[learned])
        guesses[held_back] = model.predict_proba(x[held_back])[:, 1]
        weights += model.feature_importances_ / _FOLDS
        took = clock.spent - began
    area = float(roc_auc_score(side, guesses))
    deviation = math.sqrt((len(x) + 1) / (12 * len(ours) * len(theirs)))
    return area, (area - 0.5) / deviation, weights


def _columns(ours: np.ndarray, theirs: np.ndarray, names: list[str], weights: np.ndarray) -> list[str]:
    """Return the columns that differ by themselves (Kolmogorov-Smirnov, Holm), what the forest used most first."""
    from scipy.stats import ks_2samp

    p = np.array([ks_2samp(ours[:, place], theirs[:, place]).pvalue for place in range(ours.shape[1])])
    order = np.argsort(p)
    kept: list[int] = []
    for rank, place in enumerate(order):
        if p[place] * (len(p) - rank) > _COLUMN_P:
            break
        kept.append(int(place))
    kept.sort(key=lambda place: -weights[place])
    return list(dict.fromkeys(names[place] for place in kept))[:8]
