"""Rows that are there twice, in one part or in two."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from typing import Any

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.report import Finding, share
from uncrumple.data.checks.values import SHOWN
from uncrumple.data.checks.view import Part, View, is_missing

# How improbable so many equal rows must be, if the columns had nothing to do with each other.
_BY_CHANCE = 0.01
_WITHIN = 0.01


def exact_duplicates(view: View, clock: Clock) -> list[Finding]:
    """Find rows that are in two parts, equal rows with different answers, and many equal rows in one part."""
    prints = {part.name: fingerprints(view, part, clock) for part in view.parts}
    found = []
    train = prints[view.train.name]
    known: dict[bytes, int] = {}
    for row, mark in enumerate(train):
        if mark:
            known.setdefault(mark, row)
    expected = _expected(view, clock)
    for part in view.held_back:
        pairs = [(row, known[mark]) for row, mark in enumerate(prints[part.name]) if mark in known]
        if pairs and _surprising(len(pairs), expected.get(part.name, 0.0)):
            differ = differing(view, part, pairs)
            shown = ", ".join(f"{row} = {twin}" for row, twin in pairs[:5])
            relabelled = f" {differ} of them have another answer there." if differ else ""
            found.append(
                Finding(
                    "exact-duplicates",
                    "error",
                    f"{share(len(pairs), len(part))} rows of the {part.name} part are in the training part as well "
                    f"({part.name} row = training row: {shown}).{relabelled}",
                    len(pairs),
                    math.floor(expected.get(part.name, 0.0)),
                    "shared rows",
                    "The network has learnt these answers by heart: the score is better than it is for new rows.",
                    "leave these rows out of the training part",
                    tuple(row for row, _ in pairs[:SHOWN]),
                    part.name,
                    details={"pairs": [list(pair) for pair in pairs[:SHOWN]], "with_another_answer": differ},
                )
            )
    for part in view.parts:
        groups = _repeated(prints[part.name])
        copies = sum(len(rows) - 1 for rows in groups)
        by_chance = expected.get((part.name, "within"), 0.0)
        if not copies or not _surprising(copies, by_chance):
            continue
        against = [rows for rows in groups if _answers_differ(view, part, rows)]
        if against and part.y is not None:
            found.append(
                Finding(
                    "contradicting-labels",
                    "warning",
                    f"{len(against)} rows of the {part.name} part are there again with another answer, such as rows "
                    f"{' and '.join(map(str, against[0][:2]))}.",
                    len(against),
                    0,
                    "contradictions",
                    "No network can be right about both; and one of the labels is wrong, or a column is missing.",
                    "look at these rows, and correct or leave out the wrong ones",
                    tuple(row for rows in against for row in rows[:2])[:SHOWN],
                    part.name,
                    details={"groups": [list(rows) for rows in against[:SHOWN]]},
                )
            )
        if copies > _WITHIN * len(part):
            found.append(
                Finding(
                    "exact-duplicates",
                    "note",
                    f"{share(copies, len(part))} rows of the {part.name} part are copies of others in it.",
                    copies / len(part),
                    _WITHIN,
                    "share of copies",
                    "A split at random puts copies on both sides; and copied rows weigh more than others.",
                    "leave out the copies before splitting: x.drop_duplicates(), or np.unique(x, axis=0)",
                    tuple(row for rows in groups for row in rows[1:])[:SHOWN],
                    part.name,
                )
            )
    return found


def fingerprints(view: View, part: Part, clock: Clock) -> list[bytes]:
    """Return the SHA-256 of each row in a canonical form; empty where there is nothing to compare."""
    key = ("fingerprints", part.name)
    if key not in view.kept:
        view.kept[key] = _fingerprints(view, part, clock)
    return view.kept[key]


def _fingerprints(view: View, part: Part, clock: Clock) -> list[bytes]:
    if view.kind == "table":
        columns = [_canonical(values) for values in clock.within(list(part.x.values()), at_once=1)]
        return [hashlib.sha256(repr(row).encode()).digest() for row in clock.within(zip(*columns))]
    if view.kind == "text":
        return [
            hashlib.sha256(text.encode()).digest() if (text := _plain_text(raw)) and len(text) > 15 else b""
            for raw in clock.within(part.x, at_once=1024)
        ]
    if part.x is None:
        marks = []
        for place, path in enumerate(part.files or ()):
            if place % 64 == 0:
                clock.need_time()
            try:
                with open(path, "rb") as file:
                    marks.append(hashlib.file_digest(file, "sha256").digest())
            except OSError:
                marks.append(b"")
        return marks
    made = []
    for row in range(len(part)):
        values = np.asarray(part.x[row])
        values = values + 0.0 if values.dtype.kind == "f" else values  # -0.0 is 0.0
        # Equal numbers in other types are equal.
        canonical = np.ascontiguousarray(values, dtype=np.float64)
        made.append(hashlib.sha256(repr(canonical.shape).encode() + canonical.tobytes()).digest())
        if row % 1024 == 0:
            clock.need_time()
    return made


def _canonical(values: np.ndarray) -> list[Any]:
    if values.dtype.kind == "f":
        return [None if gone else value for value, gone in zip((values + 0.0).tolist(), np.isnan(values))]
    gone = is_missing(values)
    return [None if missing else str(value).strip() for value, missing in zip(values, gone)]


def _plain_text(text: str) -> str:
    return " ".join("".join(sign if sign.isalnum() else " " for sign in text.casefold()).split())


def _expected(view: View, clock: Clock) -> dict[Any, float]:
    """Return how many equal rows a table of so few different values has by chance, per part and within it.

    If the columns had nothing to do with each other within a class, two rows of it would be equal
    with the product of the probabilities that two values of a column are. Other kinds have too many
    values per row for coincidences.
    """
    if view.kind != "table":
        return {}
    codes = {}
    for part in view.parts:
        try:
            codes[part.name] = view.codes(part)
        except CannotRunError:
            codes[part.name] = np.zeros(len(part), int)
    all_codes = np.concatenate([codes[part.name] for part in view.parts])
    chance = dict.fromkeys(np.unique(all_codes), 1.0)
    for name in view.train.x:
        together = [repr(value) for part in view.parts for value in clock.within(_canonical(part.x[name]))]
        numbered = np.unique(together, return_inverse=True)[1]
        for kind in chance:
            counts = np.bincount(numbered[all_codes == kind])
            rows = int(counts.sum())
            chance[kind] *= float((counts * (counts - 1.0)).sum() / (rows * (rows - 1))) if rows > 1 else 0.0
    expected: dict[Any, float] = {}
    for part in view.parts:
        ours, theirs = (np.array([(codes[one.name] == kind).sum() for kind in chance]) for one in (view.train, part))
        likely = np.array(list(chance.values()))
        expected[part.name] = float((ours * theirs * likely).sum())
        expected[part.name, "within"] = float((theirs * (theirs - 1) / 2 * likely).sum())
    return expected


def _surprising(count: int, expected: float) -> bool:
    """Return whether so many coincidences are improbable where `expected` are usual (Poisson)."""
    if expected == 0:
        return count > 0
    from scipy.stats import poisson

    return bool(poisson.sf(count - 1, expected) < _BY_CHANCE)


def _repeated(prints: list[bytes]) -> list[list[int]]:
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row, mark in enumerate(prints):
        if mark:
            rows[mark].append(row)
    return [found for found in rows.values() if len(found) > 1]


def _answers_differ(view: View, part: Part, rows: list[int]) -> bool:
    return part.y is not None and len({repr(part.y[row].tolist() if hasattr(part.y[row], "tolist") else part.y[row])
                                       for row in rows}) > 1  # fmt: skip


def differing(view: View, part: Part, pairs: list[tuple[int, int]]) -> int:
    """Return how many rows of a part have another answer than their twins in the training part."""
    if part.y is None or view.train.y is None:
        return 0
    return sum(bool(np.any(part.y[row] != view.train.y[twin])) for row, twin in pairs)
