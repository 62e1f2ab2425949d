"""What the answers alone show: absent classes, spellings, order, imbalance, parts with other shares."""

from __future__ import annotations

import math

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.report import Finding, figure, listed
from uncrumple.data.checks.values import SHOWN
from uncrumple.data.checks.view import View

# A class is rare below this share of what it would have if all were equal.
_RARE = 0.1
_MAJORITY = 0.9
_FEWEST = 5
# Of the changes from row to row that chance would give, how many must be missing.
_ORDERED = 0.5
_ORDER_Z = 6.0
_SHIFT_P = 0.001
_SHIFT_POINTS = 0.05


def absent_classes(view: View, clock: Clock) -> list[Finding]:
    """Find classes that are tested and never learnt, or learnt and never tested."""
    parts, classes = view.need_parts(), view.classes
    there = {part.name: np.bincount(np.maximum(view.codes(part), -1) + 1, minlength=len(classes) + 1)[1:]
             for part in view.parts}  # fmt: skip
    found = []
    for part in parts:
        unlearnt = np.flatnonzero((there[part.name] > 0) & (there[view.train.name] == 0))
        if len(unlearnt):
            names = [view.class_name(int(code)) for code in unlearnt]
            rows = int(there[part.name][unlearnt].sum())
            found.append(
                Finding(
                    "absent-classes",
                    "error",
                    f"The {part.name} part has {rows:,} rows of class {listed(names)}, the training part none.",
                    len(unlearnt),
                    0,
                    "classes",
                    "What was never learnt is always answered wrongly.",
                    "split(y, stratify=True), or leave the class out",
                    tuple(np.flatnonzero(np.isin(view.codes(part), unlearnt))[:SHOWN].tolist()),
                    part.name,
                    details={"classes": names},
                )
            )
        untested = np.flatnonzero((there[part.name] == 0) & (there[view.train.name] > 0))
        if len(untested) and len(part) >= 2 * len(classes):
            names = [view.class_name(int(code)) for code in untested]
            found.append(
                Finding(
                    "absent-classes",
                    "warning",
                    f"The {part.name} part has no row of class {listed(names)}.",
                    len(untested),
                    0,
                    "classes",
                    "The score says nothing about a class that it never met.",
                    "split(y, stratify=True), or more rows of that class",
                    part=part.name,
                    details={"classes": names},
                )
            )
    return found


def class_names(view: View, clock: Clock) -> list[Finding]:
    """Find classes that differ in capitals, spaces or marks only: "Cat", "cat " and "cat"."""
    if view.train.y is None or view.train.y.dtype.kind not in "OUS":
        raise CannotRunError("the classes are not written in words")
    alike: dict[str, list[str]] = {}
    for value in view.classes:
        key = "".join(sign for sign in str(value).casefold() if sign.isalnum()) or str(value)
        alike.setdefault(key, []).append(str(value))
    doubled = [names for names in alike.values() if len(names) > 1]
    if not doubled:
        return []
    return [
        Finding(
            "class-names",
            "error",
            f"These look like one class written in several ways: {'; '.join(listed(names) for names in doubled[:5])}.",
            len(doubled),
            0,
            "classes",
            "The network is punished for a right answer in the other spelling.",
            "y = [name.strip().lower() for name in y]",
            details={"classes": doubled},
        )
    ]


def class_imbalance(view: View, clock: Clock) -> list[Finding]:
    """Find classes that are rare, and show what answering always the same would score."""
    codes = view.codes(view.train)
    counts = np.bincount(codes[codes >= 0], minlength=len(view.classes))
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise CannotRunError("there is only one class")
    shares = counts / counts.sum()
    rarest, majority = int(present[counts[present].argmin()]), int(counts.argmax())
    limit = _RARE / len(present)
    few = int(counts[rarest]) < _FEWEST and counts.sum() >= 4 * _FEWEST
    if shares[rarest] >= limit and shares[majority] < _MAJORITY and not few:
        return []
    bias = [round(math.log(max(share, 1e-9)), 3) for share in shares]
    weights = {int(code): round(float(counts.sum() / (len(present) * counts[code])), 3) for code in present}
    if len(present) == 2 and len(view.classes) == 2:
        odds = round(math.log(shares[1] / shares[0]), 3)
        bias_code = f"Dense(1, activation='sigmoid', bias_initializer=initializers.Constant({odds}))"
    else:
        bias_code = f"Dense({len(shares)}, activation='softmax', bias_initializer=...); its bias: {bias}"
    weights_code = f"fit(..., class_weight={weights})"
    shown = weights_code if len(weights) <= 10 else "fit(..., class_weight=finding.details['class_weight'])"
    by_majority = shares[rarest] >= limit and not few
    return [
        Finding(
            "class-imbalance",
            "warning",
            f"Class '{view.class_name(rarest)}' has {counts[rarest]:,} of {counts.sum():,} rows. "
            f"Always answering '{view.class_name(majority)}' scores {100 * shares[majority]:.1f} %.",
            float(shares[majority] if by_majority else counts[rarest] if few else shares[rarest]),
            _MAJORITY if by_majority else _FEWEST if few else limit,
            "share of the largest class"
            if by_majority
            else "rows of the rarest class"
            if few
            else "share of the rarest class",
            "Accuracy is high without anything learnt: look at recall per class, or balanced accuracy.",
            f"{shown}, and start at the right odds: {bias_code if len(shares) <= 10 else bias_code.split(';')[0]}",
            part=view.train.name,
            details={
                "counts": {view.class_name(int(code)): int(counts[code]) for code in present},
                "class_weight": weights,
                "final_bias": bias,
                "code": {"class_weight": weights_code, "final_bias": bias_code},
            },
        )
    ]


def sorted_labels(view: View, clock: Clock) -> list[Finding]:
    """Find rows that are stored in the order of their answers."""
    part = view.train
    if part.times is not None:
        raise CannotRunError("the rows are in the order of time, where neighbours are alike")
    if len(part) < 20:
        raise CannotRunError("it needs 20 rows")
    if view.task == "classification":
        codes = view.codes(part)
        shares = np.bincount(codes[codes >= 0]) / max(1, (codes >= 0).sum())
        expected = (len(codes) - 1) * (1 - float((shares**2).sum()))
        changes = int((codes[1:] != codes[:-1]).sum())
        if expected < 5:
            raise CannotRunError("almost all rows are of one class")
        z = (expected - changes) / math.sqrt(max(expected * float((shares**2).sum()), 1.0))
        number, limit, found = changes / expected, _ORDERED, changes < _ORDERED * expected and z > _ORDER_Z
        measure = "of the changes of class from row to row that chance would give"
        seen = f"The class changes {changes:,} times from one row to the next; in shuffled rows {expected:,.0f} times."
    else:
        y = view.numbers(part)
        y = y[np.isfinite(y)]
        if y.std() == 0:
            raise CannotRunError("all answers are the same")
        ranks = np.argsort(np.argsort(y, kind="stable"), kind="stable").astype(float)
        number = float(np.corrcoef(ranks[:-1], ranks[1:])[0, 1])
        limit = 0.5
        found, measure = number > limit and number * math.sqrt(len(y)) > _ORDER_Z, "correlation of neighbouring rows"
        seen = "Neighbouring rows have similar answers."
    if not found:
        return []
    return [
        Finding(
            "sorted-labels",
            "note" if view.held_back else "warning",
            seen,
            number,
            limit,
            measure,
            "fit(validation_split=...) takes the last rows as they are: classes that training never met.",
            "split(y), which shuffles, or order = np.random.default_rng(0).permutation(len(y))",
            part=part.name,
        )
    ]


def label_shift(view: View, clock: Clock) -> list[Finding]:
    """Find parts in which the classes, or the values to be predicted, are shared out differently."""
    from scipy.stats import chi2, ks_2samp

    parts = view.need_parts()
    if view.kind == "series":
        raise CannotRunError("neighbouring windows are alike, so any two stretches of time differ")
    found = []
    for part in parts:
        if view.task == "classification":
            train, other = view.codes(view.train), view.codes(part)
            counts = np.stack(
                [np.bincount(codes[codes >= 0], minlength=len(view.classes)) for codes in (train, other)]
            ).astype(float)
            counts = counts[:, counts.sum(axis=0) > 0]
            if counts.sum(axis=1).min() < 20 or counts.shape[1] < 2:
                raise CannotRunError("it needs 20 rows in each part, and two classes")
            shares = counts / counts.sum(axis=1, keepdims=True)
            gap = np.abs(shares[0] - shares[1])
            expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
            # Few expected rows make the approximation jumpy: such classes are counted together.
            small = expected.min(axis=0) < 5
            if small.any():
                counts = np.concatenate([counts[:, ~small], counts[:, small].sum(axis=1, keepdims=True)], axis=1)
                expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
            freedom = counts.shape[1] - 1
            p = float(chi2.sf(((counts - expected) ** 2 / expected).sum(), freedom)) if freedom else 1.0
            worst = int(gap.argmax())
            number, limit, measure = float(gap.max()), _SHIFT_POINTS, f"largest difference of shares, p = {p:.1g}"
            seen = (
                f"Class '{view.class_name(worst)}' is {100 * shares[0, worst]:.1f} % of the training part "
                f"and {100 * shares[1, worst]:.1f} % of the {part.name} part."
            )
        else:
            train, other = view.numbers(view.train), view.numbers(part)
            if min(len(train), len(other)) < 20:
                raise CannotRunError("it needs 20 rows in each part")
            result = ks_2samp(train[np.isfinite(train)], other[np.isfinite(other)])
            p, number, limit = float(result.pvalue), float(result.statistic), 0.1
            measure = f"largest gap between the two distributions, p = {p:.1g}"
            seen = (
                f"The answers' median is {figure(np.nanmedian(train))} in the training part "
                f"and {figure(np.nanmedian(other))} in the {part.name} part."
            )
        if p < _SHIFT_P and number > limit:
            found.append(
                Finding(
                    "label-shift",
                    "note" if view.train.times is not None or view.train.groups is not None else "warning",
                    seen,
                    number,
                    limit,
                    measure,
                    "The split, not the world, may have done this: the score is then that of another task.",
                    "split(y, stratify=True)" if view.task == "classification" else "split(y), which shuffles",
                    part=part.name,
                )
            )
    return found
