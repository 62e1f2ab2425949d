"""What the data is, in words: shapes, ranges, classes and their balance, gaps.

`facts` gives plain data for a JSON file, `describe` gives lines for a
terminal, and `draw` shows a picture in characters.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.core.shapes import in_words

if TYPE_CHECKING:
    from uncrumple.data.named import Dataset

# A class is rare when it has less than a tenth of an equal share.
_RARE = 0.1
_MOST_CLASSES_SHOWN = 20
_MOST_COLUMNS_SHOWN = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_INK = " ░▒▓█"
_INK_ASCII = " .:oO@"


def facts(dataset: Dataset) -> dict[str, Any]:
    """Return what is to be known about a data set, as plain data that JSON can hold.

    Example:
        >>> from uncrumple.data.named import load
        >>> found = facts(load("iris"))
        >>> found["rows"], found["classes"][0]
        (150, {'name': 'setosa', 'rows': 50, 'share': 0.3333333333333333})
    """
    x, y = dataset.x, dataset.y
    missing = int(np.isnan(x).sum()) if x.dtype.kind == "f" else 0
    found: dict[str, Any] = {
        "name": dataset.name,
        "description": dataset.description,
        "task": dataset.task,
        "target": dataset.target,
        "source": dataset.source,
        "licence": dataset.licence,
        "rows": len(x),
        "shape": list(x.shape),
        "shape_in_words": in_words(x.shape),
        "dtype": x.dtype.name,
        "smallest": float(np.nanmin(x)),
        "largest": float(np.nanmax(x)),
        "missing": missing,
        "test_rows_given": 0 if dataset.test_rows is None else len(dataset.test_rows),
    }
    if dataset.task == "classification":
        counts = np.bincount(y, minlength=len(dataset.class_names))
        found["classes"] = [
            {"name": name, "rows": int(count), "share": float(count / len(y))}
            for name, count in zip(dataset.class_names, counts)
        ]
        found["majority_share"] = float(counts.max() / len(y))
        found["rare_classes"] = [
            name for name, count in zip(dataset.class_names, counts) if count / len(y) < _RARE / len(counts)
        ]
    else:
        low, middle, high = np.quantile(y, [0.25, 0.5, 0.75])
        found["answers"] = {
            "smallest": float(y.min()),
            "lower_quarter": float(low),
            "median": float(middle),
            "upper_quarter": float(high),
            "largest": float(y.max()),
            "mean": float(y.mean()),
        }
    if dataset.feature_names:
        found["features"] = [
            {
                "name": name,
                "smallest": float(np.nanmin(column)),
                "mean": float(np.nanmean(column)),
                "largest": float(np.nanmax(column)),
                "missing": int(np.isnan(column).sum()),
            }
            for name, column in zip(dataset.feature_names, np.asarray(x, dtype=np.float64).T)
        ]
    return found


def describe(dataset: Dataset, width: int = 40, ascii_only: bool = False) -> list[str]:
    """Return lines that say what the data is.

    Args:
        dataset: What `load` returned.
        width: The length of the longest bar, in characters.
        ascii_only: Whether to draw the bars with `#` only.

    Example:
        >>> from uncrumple.data.named import load
        >>> describe(load("iris"), width=9, ascii_only=True)[1]
        'x: (150, 4): samples, features; float32, from 0.1 to 7.9, nothing missing'
    """
    found = facts(dataset)
    gaps = f"{found['missing']:,} values missing" if found["missing"] else "nothing missing"
    lines = [
        f"{dataset.name}: {dataset.description}",
        f"x: {found['shape_in_words']}; {found['dtype']}, from {found['smallest']:g} to {found['largest']:g}, {gaps}",
    ]
    if dataset.task == "classification":
        lines.append(f"y: {dataset.target}; {len(dataset.class_names)} classes")
        lines += balance_bars([(entry["name"], entry["rows"]) for entry in found["classes"]], width, ascii_only)
        most = max(found["classes"], key=lambda entry: entry["rows"])
        share = 100 * found["majority_share"]
        lines.append(f"Always answering {most['name']!r} would be right {share:.1f} % of the time.")
        if found["rare_classes"]:
            lines.append(f"Rare: {', '.join(found['rare_classes'])}. Accuracy alone says little about them.")
    else:
        answers = found["answers"]
        lines.append(f"y: {dataset.target}")
        lines.append(
            f"   from {answers['smallest']:g} to {answers['largest']:g}, half of them between "
            f"{answers['lower_quarter']:g} and {answers['upper_quarter']:g}, median {answers['median']:g}"
        )
    if dataset.feature_names:
        shown = dataset.feature_names[:_MOST_COLUMNS_SHOWN]
        left = len(dataset.feature_names) - len(shown)
        more = f", and {left} more" if left else ""
        lines.append(f"features: {', '.join(shown)}{more}")
    if dataset.test_rows is not None:
        lines.append(f"Its authors set {len(dataset.test_rows):,} rows apart for testing.")
    lines.append(f"source: {dataset.source}")
    lines.append(f"licence: {dataset.licence}")
    return lines


def balance_bars(counts: Sequence[tuple[str, int]], width: int = 40, ascii_only: bool = False) -> list[str]:
    """Return one line with a bar for each (name, rows).

    Example:
        >>> for line in balance_bars([("cat", 30), ("dog", 10)], width=6, ascii_only=True):
        ...     print(line)
          cat  ######  30  75.0 %
          dog  ##      10  25.0 %
    """
    if not counts:
        return []
    total, most = sum(rows for _, rows in counts) or 1, max(rows for _, rows in counts) or 1
    shown = counts[:_MOST_CLASSES_SHOWN]
    longest = max(len(name) for name, _ in shown)
    digits = max(len(f"{rows:,}") for _, rows in shown)
    lines = []
    for name, rows in shown:
        bar = _bar(rows / most, width, ascii_only)
        lines.append(f"  {name:<{longest}}  {bar:<{width}}  {rows:>{digits},}  {100 * rows / total:4.1f} %")
    if len(counts) > len(shown):
        lines.append(f"  and {len(counts) - len(shown)} more classes")
    return lines


def _bar(share: float, width: int, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(share * width)
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def draw(
    picture: np.ndarray,
    columns: int = 28,
    low: float | None = None,
    high: float | None = None,
    ascii_only: bool = False,
) -> list[str]:
    """Return a picture as lines of characters: the higher the value, the more ink.

    Args:
        picture: An array of shape (height, width), (height, width, 1) or (height, width, 3).
        columns: The most characters a line may have; a larger picture is made smaller.
        low: The value drawn as blank; by default the smallest in the picture.
        high: The value drawn as full ink; by default the largest in the picture.
        ascii_only: Whether to use ASCII characters only.

    Returns:
        Lines of equal length, two characters to a cell (one if the picture is wider than half
        of `columns`), so that a square stays nearly square.

    Example:
        >>> draw(np.array([[0.0, 1.0], [1.0, 0.0]]), ascii_only=True)
        ['  @@', '@@  ']
    """
    values = np.asarray(picture, dtype=np.float64)
    if values.ndim == 3:
        values = values.mean(axis=-1)
    if values.ndim != 2 or values.size == 0 or columns < 2:
        raise ValueError(
            explain(
                f"draw got a picture of shape {np.shape(picture)} for {columns} columns.",
                "Expected (height, width), (height, width, 1) or (height, width, 3), and at least 2 columns.",
                "draw(x[0])",
            )
        )
    doubled = values.shape[1] * 2 <= columns
    if not doubled:  # a character is about twice as high as wide: every second line is enough
        wide = min(values.shape[1], columns)
        tall = max(1, round(values.shape[0] * wide / values.shape[1] / 2))
        values = _shrunk(values, tall, wide)
    low = float(np.nanmin(values)) if low is None else low
    high = float(np.nanmax(values)) if high is None else high
    inks = _INK_ASCII if ascii_only else _INK
    share = np.nan_to_num((values - low) / (high - low if high > low else 1.0)).clip(0, 1)
    levels = np.round(share * (len(inks) - 1)).astype(int)
    return ["".join(inks[level] * (2 if doubled else 1) for level in row) for row in levels]


def side_by_side(blocks: Sequence[Sequence[str]], gap: int = 3) -> list[str]:
    """Return several blocks of lines next to each other.

    Example:
        >>> side_by_side([["ab", "cd"], ["x"]], gap=1)
        ['ab x', 'cd']
    """
    height = max((len(block) for block in blocks), default=0)
    widths = [max((len(line) for line in block), default=0) for block in blocks]
    rows = []
    for row in range(height):
        parts = [(block[row] if row < len(block) else "").ljust(width) for block, width in zip(blocks, widths)]
        rows.append((" " * gap).join(parts).rstrip())
    return rows


def _shrunk(values: np.ndarray, tall: int, wide: int) -> np.ndarray:
    """Return the mean over blocks: `tall` by `wide` cells."""
    rows = np.linspace(0, values.shape[0], tall + 1).round().astype(int)
    columns = np.linspace(0, values.shape[1], wide + 1).round().astype(int)
    small = np.empty((tall, wide))
    for row, (top, bottom) in enumerate(itertools.pairwise(rows)):
        for column, (left, right) in enumerate(itertools.pairwise(columns)):
            small[row, column] = values[top : max(bottom, top + 1), left : max(right, left + 1)].mean()
    return small
