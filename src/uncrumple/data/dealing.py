"""Rows dealt out to parts: whole groups, with the classes spread evenly; or in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from uncrumple.core.errors import explain


def by_group(
    groups: np.ndarray, labels: np.ndarray | None, shares: Sequence[float], random: np.random.Generator
) -> np.ndarray:
    """Return the part of each row, such that no group is in two parts.

    Groups are dealt out one after another, those whose classes are most
    uneven first: each goes where the counts of the classes come closest to
    what the shares ask for. Parts are as exact as whole groups allow.

    Args:
        groups: The group of each row.
        labels: The class of each row, or None.
        shares: The share of each part; they sum to 1.
        random: Decides between groups that are alike.

    Returns:
        The number of the part of each row.

    Raises:
        ValueError: There are fewer groups than parts.

    Example:
        >>> people = np.array([1, 1, 2, 2, 3, 3, 4, 4])
        >>> part = by_group(people, None, (0.5, 0.5), np.random.default_rng(0))
        >>> sorted(np.bincount(part).tolist())
        [4, 4]
    """
    names, group = np.unique(groups, return_inverse=True)
    codes = np.zeros(len(group), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    wanted = np.asarray(shares, dtype=np.float64)
    parts = np.flatnonzero(wanted > 0)
    if len(names) < len(parts):
        raise ValueError(
            explain(
                f"split got {len(names)} groups for {len(parts)} parts.",
                "Expected at least one group for each part.",
                "more groups, or validation=0",
            )
        )
    counts = np.zeros((len(names), codes.max() + 1))
    np.add.at(counts, (group, codes), 1)
    totals = counts.sum(axis=0)
    # Rows count besides classes, so that parts get their sizes where classes do not decide.
    counts = np.column_stack([counts / totals, counts.sum(axis=1) / len(group)])
    order = random.permutation(len(names))
    order = order[np.argsort(-counts[order].max(axis=1), kind="stable")]
    goal, have = wanted[parts][:, None], np.zeros((len(parts), counts.shape[1]))
    chosen, taken = np.empty(len(names), np.int64), np.zeros(len(parts), np.int64)
    for place, one in enumerate(order):
        cost = (np.square(have + counts[one] - goal) - np.square(have - goal)).sum(axis=1) / goal[:, 0]
        if len(order) - place <= (taken == 0).sum():  # just enough are left for the empty parts
            cost[taken > 0] = np.inf
        best = int(np.argmin(cost))
        chosen[one] = parts[best]
        have[best] += counts[one]
        taken[best] += 1
    return chosen[group]


def by_time(times: np.ndarray, ends: np.ndarray | None, shares: Sequence[float]) -> list[np.ndarray]:
    """Return the rows of each part, the oldest part first; rows of one time stay together.

    Args:
        times: When each row was.
        ends: When the answer of each row was known; rows of a part whose answer was known only in
            the next are in neither. None takes `times`.
        shares: The share of each part, in the order of time.

    Example:
        >>> [rows.tolist() for rows in by_time(np.array([3, 1, 2, 4]), None, (0.5, 0.5))]
        [[1, 2], [0, 3]]
    """
    order = np.argsort(times, kind="stable")
    sizes = np.round(np.cumsum(shares) * len(times)).astype(int)
    cuts = []
    for size in sizes[:-1]:
        cut = int(size)
        # The later part takes all rows of its first time.
        while 0 < cut < len(order) and times[order[cut - 1]] == times[order[cut]]:
            cut -= 1
        cuts.append(cut)
    parts = np.split(order, cuts)
    if ends is not None:
        for place, rows in enumerate(parts[:-1]):
            later = [part for part in parts[place + 1 :] if len(part)]
            if later:
                parts[place] = rows[ends[rows] < times[later[0]].min()]
    return parts


def checked(values: Any, rows: int, name: str) -> np.ndarray | None:
    """Return groups or times as an array with one entry per row."""
    if values is None:
        return None
    found = np.asarray(values)
    if found.shape != (rows,):
        raise ValueError(
            explain(
                f"split got {name} of shape {found.shape} for {rows} rows.",
                "Expected one for each row.",
                f"{name}={name}[:{rows}]",
            )
        )
    if found.dtype.kind == "O":
        found = found.astype(str)
    gone = np.isnan(found) if found.dtype.kind == "f" else np.isnat(found) if found.dtype.kind in "mM" else None
    if gone is not None and gone.any():
        raise ValueError(
            explain(
                f"split got {name} with a gap in row {int(np.argmax(gone))}.",
                "Expected one for each row.",
                "drop these rows",
            )
        )
    return found
