"""Pictures that are there again, and only look different to a computer."""

from __future__ import annotations

import math

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.duplicates import differing, fingerprints
from uncrumple.data.checks.pictures import Pictures, pictures, shrunk
from uncrumple.data.checks.report import Finding, share
from uncrumple.data.checks.values import SHOWN
from uncrumple.data.checks.view import View

# Pixel correlation from which on two pictures are one. Pictures of few pixels are alike by chance more often.
_SAME = 0.99
_SAME_SMALL = 0.995
_FEW_PIXELS = 256
# Saving as JPEG takes the noise out of pixels, and leaves copies of half the size alike. Of 1,500 test
# pictures each, neither rule took a MNIST digit (30,000 others) or CIFAR-10 photo (6,500) for a copy; of
# JPEG copies of quality 50 the first finds 95 % and 37 %, both together 100 % and 84 %.
_SAME_HALVED = 0.995
_NEARLY_SAME = 0.95
# Correlation does not see brightness and contrast; copies keep them.
_COLOUR = 26.0  # of 255
_CONTRAST = 1.25
# Candidates are pictures whose 8 x 8 copies correlate so much. A hash of brighter-or-darker bits
# is quicker, and lost all JPEG copies of pictures with plain grounds, where the bits are noise.
_ROUGHLY = 0.97
_ROUGH_SIDE = 8
# Plain strokes are alike now and then: 3 of MNIST's 600,000,000 pairs of a test and a training picture.
_PAIRS_FOR_ONE = 100_000_000
_PAIRS_AT_ONCE = 4_000_000
_MOST_CANDIDATES = 20_000_000


def near_duplicates(view: View, clock: Clock) -> list[Finding]:
    """Find pictures that are there again after saving, resizing or a little noise.

    The correlation of copies of 8 x 8 cells finds candidates, that of up to 32 x 32 decides;
    brightness, colour and contrast must agree. A picture that was moved by a pixel is missed.
    """
    seen = {part.name: pictures(view, part, clock) for part in view.parts}
    clock.remark("a picture that was moved, turned or cut is not recognised")
    train = seen[view.train.name]
    if min(train.small.shape[1:]) < 4 or len(train.rows) < 2:
        raise CannotRunError("it needs pictures of at least 4 x 4 pixels")
    exact = {part.name: fingerprints(view, part, clock) for part in view.parts}
    known = {mark for mark in exact[view.train.name] if mark}
    found = []
    for part in view.held_back:
        pairs = [
            (int(seen[part.name].rows[one]), int(train.rows[other]), correlation)
            for one, other, correlation in _alike(seen[part.name], train, clock)
            if exact[part.name][int(seen[part.name].rows[one])] not in known
        ]
        rows = sorted({row for row, _, _ in pairs})
        usual = _by_chance(len(seen[part.name].rows) * len(train.rows), len(rows), clock)
        if len(rows) > usual:
            differ = sum(differing(view, part, [(row, twin)]) for row, twin, _ in pairs)
            shown = ", ".join(f"{row} = {twin}" for row, twin, _ in pairs[:5])
            relabelled = f" {differ} of them have another answer there." if differ else ""
            found.append(
                Finding(
                    "near-duplicates",
                    "error",
                    f"{share(len(rows), len(part))} pictures of the {part.name} part are copies of training pictures "
                    f"({part.name} row = training row: {shown}).{relabelled}",
                    len(rows),
                    usual,
                    f"pictures with a correlation of {_limit(train.small)} or more",
                    "The network has seen them: the score is better than it is for new pictures.",
                    "look at the pairs, and leave the copies out of the training part",
                    tuple(rows[:SHOWN]),
                    part.name,
                    details={
                        "pairs": [[row, twin, round(like, 4)] for row, twin, like in pairs[:SHOWN]],
                        "with_another_answer": differ,
                    },
                )
            )
    marks = exact[view.train.name]
    within = [
        (int(train.rows[one]), int(train.rows[other]), correlation)
        for one, other, correlation in _alike(train, None, clock)
        if marks[int(train.rows[one])] != marks[int(train.rows[other])]
    ]
    rows = sorted({row for row, _, _ in within})
    usual = _by_chance(len(train.rows) ** 2 // 2, len(rows), clock)
    if len(rows) > usual:
        differ = sum(differing(view, view.train, [(row, twin)]) for row, twin, _ in within)
        found.append(
            Finding(
                "near-duplicates",
                "warning" if differ or not view.held_back else "note",
                f"{share(len(rows), len(view.train))} pictures of the {view.train.name} part are copies of others in it"
                + (f"; {differ} have another answer." if differ else "."),
                len(rows),
                usual,
                f"pictures with a correlation of {_limit(train.small)} or more",
                "A split at random puts copies on both sides, and the test then asks what was learnt by heart.",
                "look at the pairs; leave the copies out, or keep them together: split with groups",
                tuple(rows[:SHOWN]),
                view.train.name,
                details={
                    "pairs": [[row, twin, round(like, 4)] for row, twin, like in within[:SHOWN]],
                    "with_another_answer": differ,
                },
            )
        )
    return found


def _by_chance(pairs: int, rows: int, clock: Clock) -> int:
    """Return how many copies so many pairs of pictures give by chance, and say so where there are no more."""
    usual = pairs // _PAIRS_FOR_ONE
    if 0 < rows <= usual:
        clock.remark(f"{rows} of {pairs:,} pairs are as good as equal, which is no more than chance gives")
    return usual


def _reduced(small: np.ndarray, side: int, clock: Clock) -> np.ndarray:
    side = min(side, *small.shape[1:])
    return np.stack([shrunk(picture, side, side) for picture in clock.within(small)])


def _limit(small: np.ndarray) -> float:
    return _SAME if small[0].size >= _FEW_PIXELS else _SAME_SMALL


def _unit(small: np.ndarray) -> np.ndarray:
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    size = np.linalg.norm(flat, axis=1, keepdims=True)
    # One colour throughout is like nothing, not even like itself.
    return np.where(size > 1e-3 * math.sqrt(flat.shape[1]), flat / np.maximum(size, 1e-12), 0.0)


def _alike(first: Pictures, second: Pictures | None, clock: Clock) -> list[tuple[int, int, float]]:
    """Return (place, place, correlation) of pictures that are one, the best twin for each; within `first` alone
    if there is no second, where a twin comes before its copy."""
    within = second is None
    second = first if second is None else second
    ones, others = first.small, second.small
    if not len(ones) or not len(others):
        return []
    if ones.shape[1:] != others.shape[1:]:
        ones = np.stack([shrunk(picture, *others.shape[1:]) for picture in clock.within(ones)])
    limit = _limit(others)
    units = _unit(ones), _unit(others)
    rough = tuple(_unit(_reduced(small, _ROUGH_SIDE, clock)) for small in (ones, others))
    half = min(others.shape[1:]) // 2
    halved = (
        tuple(_unit(_reduced(small, half, clock)) for small in (ones, others))
        if others[0].size >= _FEW_PIXELS
        else None
    )
    best: dict[int, tuple[int, float]] = {}
    # Half of what is left, so that the checks that follow get their turn.
    until = clock.spent + clock.left / 2
    step, looked_at = max(1, _PAIRS_AT_ONCE // len(others)), 0
    for start in range(0, len(ones), step):
        if clock.spent > until:
            clock.remark(f"compared {start:,} of {len(ones):,} pictures{' within one part' if within else ''} in time")
            break
        near = rough[0][start : start + step] @ rough[1].T >= _ROUGHLY
        if within:
            near &= np.arange(len(others))[None, :] < (start + np.arange(len(near)))[:, None]
        one, other = np.nonzero(near)
        looked_at += len(one)
        if looked_at > _MOST_CANDIDATES:
            clock.remark(f"stopped after {start:,} pictures: too many are alike at a glance")
            break
        for piece in range(0, len(one), 50_000):
            rows, twins = one[piece : piece + 50_000] + start, other[piece : piece + 50_000]
            kept = _same_colours(first.appearance[rows], second.appearance[twins])
            rows, twins = rows[kept], twins[kept]
            likeness = np.einsum("ij,ij->i", units[0][rows], units[1][twins])
            same = likeness >= limit
            if halved is not None:
                coarse = np.einsum("ij,ij->i", halved[0][rows], halved[1][twins])
                same |= (coarse >= _SAME_HALVED) & (likeness >= _NEARLY_SAME)
            for index in np.flatnonzero(same):
                row, twin, value = int(rows[index]), int(twins[index]), float(likeness[index])
                if row not in best or best[row][1] < value:
                    best[row] = (twin, value)
    return [(row, twin, value) for row, (twin, value) in sorted(best.items())]


def _same_colours(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    close = (np.abs(ones[:, 2:] - others[:, 2:]) <= _COLOUR).all(axis=1)
    contrast = np.maximum(ones[:, 1], 1e-6) / np.maximum(others[:, 1], 1e-6)
    return close & (contrast <= _CONTRAST) & (contrast >= 1 / _CONTRAST)
