"""What simple models learn from: rows of numbers made of any kind of data, and probabilities out of fold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.pictures import pictures
from uncrumple.data.checks.view import Part, View, is_missing

# More rows than these tell such models little more, and take longer.
MOST_ROWS = 4000
_MOST_CATEGORIES = 30
_MOST_STEPS = 400


def sample(view: View, part: Part, clock: Clock, most: int = MOST_ROWS) -> np.ndarray:
    """Return row numbers in ascending order: all of them, or `most` drawn at random."""
    if len(part) <= most:
        return np.arange(len(part))
    clock.remark(f"on {most:,} of {len(part):,} rows of the {part.name} part, drawn at random")
    return np.sort(np.random.default_rng(view.seed).choice(len(part), most, replace=False))


def encoded(columns: list[dict[str, np.ndarray]]) -> tuple[list[np.ndarray], list[str]]:
    """Return numbers for parts of a table, encoded alike, and the column that each number comes from.

    Missing numbers become the median and a column of their own; words become a column per
    frequent word; dates become numbers.
    """
    made: list[list[np.ndarray]] = [[] for _ in columns]
    names: list[str] = []
    for name in columns[0]:
        parts = [table[name] for table in columns]
        together = np.concatenate([np.asarray(values, dtype=parts[0].dtype) for values in parts])
        ends = np.cumsum([len(values) for values in parts])[:-1]
        gone = is_missing(together)
        if together.dtype.kind == "M":
            together = np.where(gone, np.nan, together.astype("datetime64[s]").astype(np.float64))
        if together.dtype.kind == "f":
            together = np.where(np.isinf(together), np.nan, together)
            gone = np.isnan(together)
            fill = float(np.median(together[~gone])) if not gone.all() else 0.0
            found = [np.where(gone, fill, together)]
        else:
            words, counts = np.unique([str(value) for value in together[~gone]], return_counts=True)
            frequent = words[np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]]
            found = [np.array([str(value) == word for value in together], dtype=float) for word in frequent]
        if gone.any() and not gone.all():
            found.append(gone.astype(float))
        for column in found:
            names.append(name)
            for index, piece in enumerate(np.split(column, ends)):
                made[index].append(piece)
    return [np.stack(part, axis=1) if part else np.zeros((0, 0)) for part in made], names


def features(view: View, part: Part, rows: np.ndarray, clock: Clock) -> tuple[Any, np.ndarray]:
    """Return numbers that a simple model learns from, and the rows they are for (unreadable ones are missing).

    Tables are encoded, pictures become their small grey copies, texts the weights of their words
    (a sparse matrix), windows their values.
    """
    if view.kind == "table":
        (made,), _ = encoded([{name: values[rows] for name, values in part.x.items()}])
        return made, rows
    if view.kind == "images":
        seen = pictures(view, part, clock)
        chosen = np.isin(seen.rows, rows)
        side = min(16, seen.small.shape[1])
        step = max(1, seen.small.shape[1] // side)
        small = seen.small[chosen][:, ::step, ::step] if step == 1 else _halved(seen.small[chosen], step)
        return small.reshape(len(small), -1), seen.rows[chosen]
    if view.kind == "text":
        from sklearn.feature_extraction.text import TfidfVectorizer

        try:
            vectors = TfidfVectorizer(min_df=2, max_features=20_000, sublinear_tf=True)
            return vectors.fit_transform([part.x[row] for row in rows]), rows
        except ValueError:
            raise CannotRunError("the texts share no words") from None
    return flattened(part.x[rows]), rows


def _halved(small: np.ndarray, step: int) -> np.ndarray:
    height, width = (size // step for size in small.shape[1:])
    blocks = small[:, : height * step, : width * step].reshape(len(small), height, step, width, step)
    return blocks.mean(axis=(2, 4))


def flattened(windows: np.ndarray) -> np.ndarray:
    """Return windows as rows of finite numbers: their values, or a summary of each channel if there are too many."""
    windows = np.asarray(windows, np.float64).reshape(len(windows), windows.shape[1] if windows.ndim > 1 else 1, -1)
    windows = np.nan_to_num(windows, posinf=0.0, neginf=0.0)
    if windows[0].size <= _MOST_STEPS:
        return windows.reshape(len(windows), -1)
    return np.concatenate(
        [windows.mean(axis=1), windows.std(axis=1), windows[:, -1], windows[:, -1] - windows[:, 0]], axis=1
    )


def forest(seed: int, trees: int = 100, least: int = 2) -> Any:
    """Return trees grown at random, which need no scaling and no settings."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(trees, min_samples_leaf=least, random_state=seed)


def linear(sparse: bool) -> Any:
    """Return a logistic regression on scaled numbers."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(with_mean=not sparse), LogisticRegression(max_iter=200))


def out_of_fold(
    x: Any, codes: np.ndarray, makers: list[Callable[[], Any]], folds: int, seed: int, clock: Clock
) -> np.ndarray:
    """Return class probabilities for each row from models that did not learn from it: (rows, classes).

    With several models, the mean of what they say. `codes` are whole numbers from 0; classes with
    fewer rows than folds must have been left out before.
    """
    import warnings

    from sklearn.model_selection import StratifiedKFold

    classes = int(codes.max()) + 1
    found = np.zeros((len(codes), classes))
    took = [0.0] * len(makers)
    for learned, held_back in StratifiedKFold(folds, shuffle=True, random_state=seed).split(codes, codes):
        for place, make in enumerate(makers):
            clock.need_time(took[place])
            began = clock.spent
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a model that has not quite settled is good enough here
                model = make().fit(x[learned], codes[learned])
            found[np.ix_(held_back, model.classes_)] += model.predict_proba(x[held_back]) / len(makers)
            took[place] = clock.spent - began
    return found


def learnable(codes: np.ndarray, folds: int, least_rows: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows belong to a class with at least `folds` rows, and their classes numbered anew from 0."""
    counts = np.bincount(codes[codes >= 0]) if (codes >= 0).any() else np.zeros(0, int)
    kept = np.flatnonzero(np.isin(codes, np.flatnonzero(counts >= folds)) & (codes >= 0))
    if len(kept) < least_rows or len(np.unique(codes[kept])) < 2:
        raise CannotRunError(f"it needs at least {least_rows} rows, and two classes with {folds} rows each")
    return kept, np.unique(codes[kept], return_inverse=True)[1]
