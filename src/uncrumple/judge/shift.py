"""Does a picture mean something else one pixel further left? Robustness to a small shift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.intervals import Interval, wilson
from uncrumple.judge.paired import compare_right, holm
from uncrumple.judge.words import p_in_words

_WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


@dataclass(frozen=True)
class Shifted:
    """What a shift in one direction does.

    Args:
        way: The direction.
        accuracy: On the shifted pictures, with Wilson's interval.
        changed: The share of answers that are others than before.
        p_value: McNemar's test against the pictures as they are, corrected by Holm.
    """

    way: str
    accuracy: Interval
    changed: float
    p_value: float


@dataclass(frozen=True)
class Shift:
    """What shifts by a few pixels do to a classifier of pictures.

    Args:
        pixels: How far.
        accuracy: On the pictures as they are.
        ways: One entry for each direction.
        alpha: From which p-value on a loss counts as shown.
    """

    pixels: int
    accuracy: Interval
    ways: tuple[Shifted, ...]
    alpha: float = 0.05

    def in_words(self) -> str:
        """Return what the shifts do, in a sentence."""
        worst = min(self.ways, key=lambda one: one.accuracy.score)
        changed = float(np.mean([one.changed for one in self.ways]))
        by = "one pixel" if self.pixels == 1 else f"{self.pixels} pixels"
        first = f"A shift by {by} changes {100 * changed:.1f} % of the answers"
        said = p_in_words(worst.p_value)
        p = f"p {said}" if said.startswith("<") else f"p = {said}"
        if worst.p_value < self.alpha and worst.accuracy.score < self.accuracy.score:
            return (
                f"{first}; to the worse side ({worst.way}) accuracy falls from {100 * self.accuracy.score:.1f} to "
                f"{100 * worst.accuracy.score:.1f} % ({p})."
            )
        return f"{first}; accuracy is not shown to fall ({100 * worst.accuracy.score:.1f} % at worst, {p})."

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows as text."""
        header = [f"shifted by {self.pixels}", "accuracy", "95 % interval", "answers changed", "p"]
        rows = [["not at all", *_cells(self.accuracy), "–", "–"]]
        rows += [
            [one.way, *_cells(one.accuracy), f"{100 * one.changed:.1f} %", p_in_words(one.p_value)] for one in self.ways
        ]
        return header, rows

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        ways = [
            {"way": one.way, "accuracy": one.accuracy._asdict(), "changed": one.changed, "p_value": one.p_value}
            for one in self.ways
        ]
        return {"pixels": self.pixels, "accuracy": self.accuracy._asdict(), "ways": ways, "said": self.in_words()}


def shift_robustness(
    answer: Callable[[np.ndarray], np.ndarray],
    pictures: np.ndarray,
    truth: np.ndarray,
    *,
    pixels: int = 1,
    alpha: float = 0.05,
    groups: np.ndarray | None = None,
) -> Shift:
    """Shift the test pictures left, right, up and down, and compare the answers.

    What comes in at the edge repeats the picture's edge.

    Args:
        answer: Returns the class of each picture.
        pictures: Of shape (rows, height, width) or (rows, height, width, channels).
        truth: The right class of each.
        pixels: How far to shift, at least 1 and less than the picture's sides.
        alpha: From which p-value on a loss counts as shown.
        groups: A group for each picture, as in `compare_right`.

    Example:
        >>> pictures = np.zeros((40, 4, 4))
        >>> pictures[20:, :, 0] = 1
        >>> brittle = lambda x: (x[:, 0, 1] > 0).astype(int)
        >>> found = shift_robustness(brittle, pictures, np.zeros(40, int))
        >>> {one.way: one.accuracy.score for one in found.ways}
        {'left': 1.0, 'right': 0.5, 'up': 1.0, 'down': 1.0}
    """
    images = np.asarray(pictures)
    if images.ndim not in (3, 4) or not 1 <= pixels < min(images.shape[1:3]):
        raise ValueError(
            explain(
                f"shift_robustness got pictures of shape {images.shape} and pixels={pixels}.",
                "Expected (rows, height, width) or (rows, height, width, channels), and a shift less than its sides.",
                "shift_robustness(answer, x_test, y_test, pixels=1)",
            )
        )
    right = np.asarray(truth).reshape(-1)
    before = np.asarray(answer(images)).reshape(-1)
    found = []
    for way, (down, across) in _WAYS.items():
        after = np.asarray(answer(shifted(images, down * pixels, across * pixels))).reshape(-1)
        hits = after == right
        test = compare_right(before == right, hits, groups=groups)
        found.append((way, wilson(int(hits.sum()), len(hits)), float((after != before).mean()), test.p_value))
    corrected = holm([one[3] for one in found])
    ways = tuple(Shifted(way, share, changed, p) for (way, share, changed, _), p in zip(found, corrected))
    return Shift(pixels, wilson(int((before == right).sum()), len(right)), ways, alpha)


def shifted(pictures: np.ndarray, down: int, across: int) -> np.ndarray:
    """Return the pictures moved by so many pixels; the edge is repeated.

    Example:
        >>> shifted(np.array([[[1, 2], [3, 4]]]), 0, 1).tolist()
        [[[1, 1], [3, 3]]]
    """
    height, width = pictures.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - across, 0, width - 1)
    return pictures[:, rows][:, :, columns]


def _cells(share: Interval) -> list[str]:
    return [f"{100 * share.score:.1f} %", f"{100 * share.low:.1f} to {100 * share.high:.1f} %"]
