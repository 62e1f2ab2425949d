"""Short cuts: what a network could answer from without looking at what it is meant to look at.

A model that knows only the file's size and format, or only how bright a
picture is, should be hardly better than always answering the largest class.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.features import encoded, features, forest, learnable, linear, out_of_fold, sample
from uncrumple.data.checks.pictures import pictures
from uncrumple.data.checks.report import Finding
from uncrumple.data.checks.view import View

# Of a model's advantage over the largest class, how much a short cut may explain.
SHARE = 0.5
# A model is taken to get at least halfway from the largest class to perfect, so that a hard task is no false alarm.
_LEAST_ADVANTAGE = 0.5
_Z = 3.0
_FOLDS = 3


def file_shortcut(view: View, clock: Clock) -> list[Finding]:
    """Find classes that can be told apart by size, format, folder or EXIF data of their files."""
    if view.kind != "images":
        raise CannotRunError("the data are no files of pictures")
    if view.train.files is None:
        raise CannotRunError("no files were given: check(images, y, files=paths)")
    seen = pictures(view, view.train, clock)
    columns = {name: values for name, values in seen.files.items() if name != "folder" or not _one_each(values)}
    (made,), names = encoded([columns])
    return _found(
        view,
        clock,
        "file-shortcut",
        made,
        names,
        seen.rows,
        "size, format, folder and EXIF data of its file",
        "The classes may come from different cameras or web sites, and the network may learn that instead.",
        "ask where each class came from; save all pictures alike (size, format, quality), or collect anew",
    )


def _one_each(values: np.ndarray) -> bool:
    """Return whether (almost) every row has a value of its own."""
    return len(set(map(str, values))) > 0.5 * len(values)


def appearance_shortcut(view: View, clock: Clock) -> list[Finding]:
    """Find classes that can be told apart by brightness and colour, or by the edge of the picture alone."""
    if view.kind != "images":
        raise CannotRunError("the data are no pictures")
    seen = pictures(view, view.train, clock)
    found = []
    for values, what in ((seen.appearance, "mean brightness and colour"), (seen.background, "colour of its edge")):
        found += _found(
            view,
            clock,
            "appearance-shortcut",
            values.astype(np.float64),
            [what] * values.shape[1],
            seen.rows,
            what,
            "The network may learn light or background, which are other ones in new pictures.",
            "look at one picture of each class; change brightness and background at random while training",
        )
        if found:
            break
    return found


def text_shortcut(view: View, clock: Clock) -> list[Finding]:
    """Find classes that can be told apart by the length and marks of their texts alone."""
    if view.kind != "text":
        raise CannotRunError("the data are no texts")
    rows = sample(view, view.train, clock)
    made = np.array([form_of(view.train.x[row]) for row in clock.within(rows, 256)])
    return _found(
        view,
        clock,
        "text-shortcut",
        made,
        ["form"] * made.shape[1],
        rows,
        "length, capitals, digits and marks of its text",
        "The classes may come from different places, and the network may learn their form instead of their content.",
        "ask where each class came from; cut all texts to one length, and write them alike",
    )


def form_of(text: str) -> list[float]:
    """Return what a text looks like, whatever it says."""
    size = max(1, len(text))
    words = text.split()
    return [
        float(len(text)),
        float(len(words)),
        sum(sign.isupper() for sign in text) / size,
        sum(sign.isdigit() for sign in text) / size,
        sum(not sign.isalnum() and not sign.isspace() for sign in text) / size,
        float(text.count("\n")),
        float(any(ord(sign) > 127 for sign in text)),
    ]


def _found(
    view: View, clock: Clock, name: str, made: np.ndarray, names: list[str], rows: np.ndarray,
    what: str, why: str, try_this: str,
) -> list[Finding]:  # fmt: skip
    if view.task != "classification":
        raise CannotRunError("there are no classes to be told apart")
    kept, codes = learnable(view.codes(view.train)[rows], _FOLDS)
    chosen = rows[kept]
    if len(kept) > 4000:
        pick = np.sort(np.random.default_rng(view.seed).choice(len(kept), 4000, replace=False))
        clock.remark(f"on 4,000 of {len(kept):,} rows, drawn at random")
        again, codes = learnable(codes[pick], _FOLDS)
        kept, chosen = kept[pick][again], chosen[pick][again]
    if not made.size or not made[kept].std(axis=0).any():
        return []
    guesses = out_of_fold(made[kept], codes, [lambda: forest(view.seed, 60, 3)], _FOLDS, view.seed, clock)
    accuracy = float((guesses.argmax(axis=1) == codes).mean())
    majority = float(np.bincount(codes).max() / len(codes))
    # The better of "largest class" and chance alone is not beaten by luck three deviations long.
    z = (accuracy - majority) / math.sqrt(max(majority * (1 - majority), 1e-9) / len(codes))
    if z <= _Z or (accuracy - majority) / (1 - majority) <= SHARE * _LEAST_ADVANTAGE:
        return []
    known = view.accuracy if view.accuracy is not None else reference(view, clock, chosen, codes)
    advantage = max(known - majority, _LEAST_ADVANTAGE * (1 - majority))
    number = (accuracy - majority) / advantage
    if number <= SHARE:
        return []
    # What the share is of: never more than was measured or is said.
    if known - majority < advantage:
        of_whom, right = "the advantage of a model halfway to perfect", majority + advantage
    else:
        whose = "your" if view.accuracy is not None else "a simple"
        of_whom, right = f"the advantage of {whose} model", known
    return [
        Finding(
            name,
            "warning",
            f"A model that knows only the {what} is right {100 * accuracy:.0f} % of the time "
            f"(always the largest class: {100 * majority:.0f} %): {100 * min(number, 1):.0f} % of {of_whom}.",
            number,
            SHARE,
            f"of {of_whom} ({100 * right:.0f} % right)",
            why,
            try_this,
            part=view.train.name,
            columns=tuple(_tellers(made[kept], codes, names, view.seed)),
            details={"accuracy": accuracy, "majority": majority, "model": known},
        )
    ]


def _tellers(made: np.ndarray, codes: np.ndarray, names: list[str], seed: int) -> list[str]:
    """Return the facts that tell most, the first first."""
    weights = forest(seed, 30, 3).fit(made, codes).feature_importances_
    sums: dict[str, float] = {}
    for name, weight in zip(names, weights):
        sums[name] = sums.get(name, 0.0) + float(weight)
    return [name for name, weight in sorted(sums.items(), key=lambda entry: -entry[1]) if weight >= 0.1][:4]


def reference(view: View, clock: Clock, rows: np.ndarray, codes: np.ndarray) -> float:
    """Return the accuracy, out of fold, of a simple model that sees the whole of each row."""
    key = ("reference", len(rows))
    if key not in view.kept:
        made: Any
        made, there = features(view, view.train, rows, clock)
        same = np.isin(rows, there)
        sparse = hasattr(made, "tocsr")
        makers = [lambda: linear(sparse)] if sparse else [lambda: linear(sparse), lambda: forest(view.seed)]
        guesses = out_of_fold(made, codes[same], makers, _FOLDS, view.seed, clock)
        view.kept[key] = float((guesses.argmax(axis=1) == codes[same]).mean())
    return view.kept[key]
