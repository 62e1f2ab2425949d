"""What the columns of a table are: numbers, categories, dates, texts, or nothing to learn from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np

from uncrumple.core.errors import explain

ColumnKind = Literal["number", "category", "date", "text"]
COLUMN_KINDS = ("number", "category", "date", "text")
# What stands for nothing in files.
MISSING = frozenset(["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"])
# Words that repeat are categories; this share of different ones is too much for that.
_MOST_DIFFERENT = 0.5
_WORDS_OF_A_TEXT = 3.0
# A whole number with a comma before three digits may be thousands as well as a fraction.
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,(\d{1,2}|\d{4,})$|[-+]?\d+$")
_YEAR_FIRST = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?(?:Z|[+-]\d{2}:?\d{2})?$"
)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?$")
_ID_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|index|key)$|[a-z](Id|ID)$", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column of the inputs.

    Args:
        name: Its name.
        kind: `"number"`, `"category"`, `"date"` or `"text"`.
        order: For dates, `"ymd"`, `"dmy"` or `"mdy"`.
    """

    name: str
    kind: ColumnKind
    order: str = ""


def plain(values: Any, name: str) -> np.ndarray:
    """Return a column as float64 (NaN where nothing is), or as an array of `str` ("" where nothing is)."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            explain(
                f"The column '{name}' has the shape {array.shape}.",
                "Expected one value per row.",
                "a column of its own for each value",
            )
        )
    if array.dtype.kind in "iufb":
        return array.astype(np.float64)
    if array.dtype.kind == "M":
        seconds = array.astype("datetime64[s]")
        return _objects(["" if np.isnat(one) else str(one) for one in seconds])
    items = array.tolist()
    gone = [_is_nothing(item) for item in items]
    there = [item for item, nothing in zip(items, gone) if not nothing]
    if there and all(isinstance(item, (int, float, np.number)) and not isinstance(item, bool) for item in there):
        return np.array([np.nan if nothing else float(item) for item, nothing in zip(items, gone)])
    return _objects(["" if nothing else word(item) for item, nothing in zip(items, gone)])


def word(value: Any) -> str:
    """Return a value as a category: whole numbers without a fraction, whatever their type."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    found = str(value).strip()
    return "" if found in MISSING else found


def _is_nothing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str):
        return value.strip() in MISSING
    return isinstance(value, (float, np.floating)) and value != value


def _objects(values: list[str]) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def is_missing(values: np.ndarray) -> np.ndarray:
    """Return where a plain column has nothing."""
    return np.isnan(values) if values.dtype.kind == "f" else np.array([value == "" for value in values], bool)


def as_numbers(values: np.ndarray) -> np.ndarray | None:
    """Return a plain column as float64, or None if something in it is no number."""
    if values.dtype.kind == "f":
        return values
    kinds = {value for value in values.tolist() if value not in MISSING}
    found: dict[str, float] = {}
    try:
        found = {value: float(value) for value in kinds}
    except ValueError:
        if not kinds or not all(_DECIMAL_COMMA.match(value) for value in kinds):
            return None
        found = {value: float(value.replace(",", ".")) for value in kinds}
    if not found:
        return None
    made = np.array([found.get(value, np.nan) for value in values.tolist()])
    return np.where(np.isfinite(made), made, np.nan)


def as_words(values: np.ndarray) -> np.ndarray:
    """Return a plain column as words, "" where nothing is."""
    if values.dtype.kind == "f":
        return _objects(["" if value != value else word(value) for value in values.tolist()])
    return _objects([word(value) for value in values.tolist()])


# --- dates ---------------------------------------------------------------------------------


def date_order(values: np.ndarray) -> str | None:
    """Return how a column writes dates: `"ymd"`, `"dmy"`, `"mdy"`; None if it does not.

    Where neither the first nor the second number ever exceeds 12, dots mean
    that the day comes first, and slashes the month.
    """
    kinds = [value for value in dict.fromkeys(values.tolist()) if value not in MISSING]
    if not kinds:
        return None
    if all(_YEAR_FIRST.match(value) for value in kinds):
        return "ymd"
    found = [_YEAR_LAST.match(value) for value in kinds]
    if not all(found):
        return None
    firsts = [int(match[1]) for match in found if match]
    seconds = [int(match[3]) for match in found if match]
    if max(firsts) > 12:
        return "dmy" if max(seconds) <= 12 else None
    if max(seconds) > 12:
        return "mdy"
    return "mdy" if any(match and match[2] == "/" for match in found) else "dmy"


def days(values: Any, order: str) -> np.ndarray:
    """Return dates as days since 1970, with the time of day as a fraction; NaN where there is none.

    Example:
        >>> days(["1970-01-02 06:00", ""], "ymd").tolist()
        [1.25, nan]
    """
    known: dict[str, float] = {}
    for value in dict.fromkeys(np.asarray(values, dtype=object).reshape(-1).tolist()):
        known[value] = _day(str(value).strip(), order)
    return np.array([known[value] for value in np.asarray(values, dtype=object).reshape(-1).tolist()])


_EPOCH = datetime(1970, 1, 1)


def _day(value: str, order: str) -> float:
    match = _YEAR_FIRST.match(value)
    if match:
        year, month, day, *clock = match.groups()
    else:
        match = _YEAR_LAST.match(value)
        if not match:
            return float("nan")
        first, _, second, year, *clock = match.groups()
        month, day = (second, first) if order == "dmy" else (first, second)
    hour, minute, second = (int(part or 0) for part in clock)
    try:
        when = datetime(int(year), int(month), int(day), hour, minute, second)
    except ValueError:
        return float("nan")
    return (when - _EPOCH).total_seconds() / 86400


# --- recognising -----------------------------------------------------------------------------


def recognised(name: str, values: np.ndarray, wanted: str | None = None) -> tuple[Column | None, str]:
    """Return what a plain column is, or None and the reason to leave it out.

    Args:
        name: Its name.
        values: The column.
        wanted: The kind that the user says it is; None finds out.

    Returns:
        (column, note); the note is "" if nothing is to be said.
    """
    if wanted is not None:
        if wanted == "number" and as_numbers(values) is None:
            bad = next(
                value for value in values.tolist() if value not in MISSING and as_numbers(_objects([value])) is None
            )
            raise ValueError(
                explain(f"The column '{name}' holds {bad!r}.", "Expected numbers.", f"categories=[{name!r}]")
            )
        order = date_order(as_words(values)) if wanted == "date" else ""
        if order is None:
            raise ValueError(
                explain(
                    f"The column '{name}' holds {values.tolist()[0]!r}.",
                    "Expected dates: 2024-05-31, 31.05.2024 or 05/31/2024.",
                    f"categories=[{name!r}]",
                )
            )
        return Column(name, wanted, order), ""  # type: ignore[arg-type]
    missing = is_missing(values)
    there = values[~missing]
    if not len(there):
        return None, f"Left out the column '{name}': it is empty."
    kinds = len(set(there.tolist()))
    if kinds == 1 and not missing.any():
        return None, f"Left out the column '{name}': every row has the same value."
    numbers = as_numbers(values)
    if numbers is not None:
        if _numbers_rows(name, numbers, kinds, bool(missing.any())):
            return None, f"Left out the column '{name}': it numbers the rows ({kinds:,} different values)."
        return Column(name, "number"), ""
    order = date_order(values)
    if order is not None:
        said = {"dmy": "day.month.year", "mdy": "month/day/year"}.get(order)
        return Column(name, "date", order), f"Read the dates in '{name}' as {said}." if said else ""
    words_each = np.mean([len(value.split()) for value in there.tolist()])
    if kinds > _MOST_DIFFERENT * len(there) and len(there) > 20:
        if words_each >= _WORDS_OF_A_TEXT:
            return Column(name, "text"), ""
        return (
            None,
            f"Left out the column '{name}': {kinds:,} different values in {len(there):,} rows say who, not what.",
        )
    if kinds > 100 and words_each >= 2 * _WORDS_OF_A_TEXT:
        return Column(name, "text"), ""
    return Column(name, "category"), ""


def _numbers_rows(name: str, numbers: np.ndarray, kinds: int, missing: bool) -> bool:
    """Return whether a column says which row it is: whole numbers, each once, named so or without gaps."""
    if missing or kinds < len(numbers) or len(numbers) < 10 or (numbers != np.floor(numbers)).any():
        return False
    return bool(_ID_NAME.search(name)) or np.ptp(numbers) == len(numbers) - 1
