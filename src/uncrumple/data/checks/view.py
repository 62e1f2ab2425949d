"""One way to look at data of every kind: parts, each with rows, answers, groups, times and files.

What comes in may be arrays, tensors, data frames, lists of texts or paths, a
data set by name, or any object with `raw`, `y` and the like. What the checks
see is a `View`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.checks.clock import CannotRunError

Kind = Literal["table", "images", "text", "series"]
KINDS: tuple[Kind, ...] = ("table", "images", "text", "series")
TASKS = ("classification", "regression", "language")
PARTS = ("train", "validation", "test")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# Numbers that stand for classes: few of them, and whole.
_MOST_NUMBERED_CLASSES = 30


@dataclass(frozen=True)
class Part:
    """The rows of one part of the data.

    Args:
        name: `"data"` if it is undivided, otherwise `"train"`, `"validation"` or `"test"`.
        x: The rows: an array, a list, or for a table a dict of columns. None if only files are given.
        y: The answers, one per row, or None.
        groups: Which group (person, document, day) each row belongs to, or None.
        times: When each row was, as numbers or dates, or None.
        files: The file of each row, or None.
    """

    name: str
    x: Any
    y: np.ndarray | None = None
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    files: tuple[str, ...] | None = None

    def __len__(self) -> int:
        if isinstance(self.x, dict):
            return len(next(iter(self.x.values()))) if self.x else 0
        return len(self.files or ()) if self.x is None else len(self.x)

    def take(self, rows: np.ndarray, name: str) -> Part:
        """Return some of the rows as a part of their own."""
        if isinstance(self.x, dict):
            x: Any = {column: values[rows] for column, values in self.x.items()}
        elif isinstance(self.x, np.ndarray):
            x = self.x[rows]
        else:
            x = None if self.x is None else [self.x[row] for row in rows]

        def chosen(values: Any) -> Any:
            return None if values is None else values[rows]

        files = None if self.files is None else tuple(self.files[row] for row in rows)
        return Part(name, x, chosen(self.y), chosen(self.groups), chosen(self.times), files)


@dataclass
class View:
    """The data as the checks see it.

    Args:
        kind: `"table"`, `"images"`, `"text"` or `"series"`.
        task: `"classification"`, `"regression"`, `"language"`, or None without answers.
        parts: The undivided data alone, or the training part first and what was held back after it.
        class_names: The classes' names where the answers are numbers from 0; may be empty.
        prepared: Whether the data scale and fill themselves before a network sees them.
        accuracy: The score of the user's own model, if it is known.
        seed: For everything that is drawn at random.
    """

    kind: Kind
    task: str | None
    parts: tuple[Part, ...]
    class_names: tuple[str, ...] = ()
    prepared: bool = False
    accuracy: float | None = None
    seed: int = 0
    kept: dict[Any, Any] = field(default_factory=dict)

    @property
    def train(self) -> Part:
        """The rows that a network would learn from."""
        return self.parts[0]

    @property
    def held_back(self) -> tuple[Part, ...]:
        """The validation and test parts that there are."""
        return self.parts[1:]

    def need_parts(self) -> tuple[Part, ...]:
        """Return what is held back, or say that nothing is."""
        if not self.held_back:
            raise CannotRunError("the data are not divided: check(parts), with a train and a test part")
        return self.held_back

    @cached_property
    def classes(self) -> np.ndarray:
        """The different answers of a classification, over all parts, in order."""
        values = [part.y for part in self.parts if part.y is not None]
        if self.task != "classification" or not values:
            raise CannotRunError("there are no classes")
        together = np.concatenate([np.asarray(value) for value in values])
        return np.unique(together[~is_missing(together)])

    def codes(self, part: Part) -> np.ndarray:
        """Return the class of each row as a number from 0; -1 where there is none."""
        classes = self.classes
        if part.y is None:
            raise CannotRunError(f"the {part.name} part has no answers")
        missing = is_missing(part.y)
        codes = np.full(len(part), -1)
        codes[~missing] = np.searchsorted(classes, part.y[~missing])
        return codes

    def class_name(self, code: int) -> str:
        """Return what a class is called."""
        value = self.classes[code]
        if isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_)):
            if float(value).is_integer() and 0 <= value < len(self.class_names):
                return self.class_names[int(value)]
            return f"{value:g}"
        return str(value)

    def numbers(self, part: Part) -> np.ndarray:
        """Return the answers of a regression, one finite number per row."""
        if self.task != "regression" or part.y is None:
            raise CannotRunError("the answers are not numbers to be predicted")
        if part.y.ndim != 1:
            raise CannotRunError(f"there are {part.y.shape[1]} answers per row")
        return part.y.astype(np.float64)

    def described(self) -> str:
        """Return the data in words.

        Example:
            >>> view_of([[1.0, 2.0], [3.0, 4.0]], [0, 1]).described()
            'table of 2 rows and 2 columns, 2 classes'
        """
        rows = sum(len(part) for part in self.parts)
        words = {"table": "table of {} rows", "images": "{} pictures", "text": "{} texts", "series": "{} windows"}
        text = words[self.kind].format(f"{rows:,}")
        if self.kind == "table":
            text += f" and {len(self.train.x)} columns"
        if self.held_back:
            text += f" ({' · '.join(f'{part.name} {len(part):,}' for part in self.parts)})"
        if self.task == "classification":
            text += f", {len(self.classes)} classes"
        return text


# --- from what a user has -----------------------------------------------------------------


def view_of(
    data: Any,
    y: Any = None,
    *,
    parts: Any = None,
    groups: Any = None,
    times: Any = None,
    files: Any = None,
    kind: str | None = None,
    task: str | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    accuracy: float | None = None,
    seed: int = 0,
) -> View:
    """Return the view of whatever a user has; the arguments are those of `check`."""
    for name, value, known in (("kind", kind, KINDS), ("task", task, TASKS)):
        if value is not None and value not in known:
            raise ValueError(unknown_name(name, str(value), known))
    named = _named_parts(data) if y is None and parts is None else None
    pieces = {"data": data} if named is None else named
    first = next(iter(pieces.values()))
    given = {"y": y, "groups": groups, "times": times, "files": files}
    if named is not None and any(value is not None for value in given.values()):
        too_many = " and ".join(f"{name}=" for name, value in given.items() if value is not None)
        raise ValueError(
            explain(
                f"check got data in parts, and {too_many}.",
                "Expected each part to bring its own.",
                "check({'train': (x_train, y_train), 'test': (x_test, y_test)}), or check(x, y, parts=split(y)).",
            )
        )
    kind = kind or _kind(first)
    made = [_part(name, piece, kind, feature_names, **given) for name, piece in pieces.items()]
    if not any(len(part) for part in made):
        raise ValueError(explain("check got no rows.", "Expected at least one row.", "check(x, y)"))
    if class_names is None:
        class_names = getattr(first, "class_names", None) or ()
    test_rows = getattr(first, "test_rows", None)
    if parts is not None:
        made = _divided(made[0], parts)
    elif named is None and test_rows is not None:
        made = _divided(
            made[0], {"train": np.setdiff1d(np.arange(len(made[0])), test_rows), "test": np.asarray(test_rows)}
        )
    made = [part for part in made if len(part)]
    task = task or getattr(first, "task", None) or _task([part.y for part in made])
    prepared = hasattr(first, "preparation")
    view = View(kind, task, tuple(made), tuple(class_names), prepared, accuracy, seed)  # type: ignore[arg-type]
    return replace(view, parts=tuple(_with_single_answers(part, task) for part in view.parts), kept={})


def _named_parts(data: Any) -> dict[str, Any] | None:
    """Return the train, validation and test parts if `data` holds them."""
    if isinstance(data, dict):
        if data and set(data) <= set(PARTS):
            return {name: data[name] for name in PARTS if data.get(name) is not None}
        return None
    # Looking for shared rows tunes no model: a test part that counts its uses need not count this one.
    look = getattr(data, "peek", None)
    named = callable(look) or (hasattr(data, "train") and (hasattr(data, "test") or hasattr(data, "validation")))
    if named and not _has_raw(data):
        found = {name: look(name) if callable(look) else getattr(data, name, None) for name in PARTS}
        train = found["train"]
        if isinstance(train, np.ndarray) and train.ndim == 1 and train.dtype.kind in "iu":
            raise ValueError(
                explain(
                    "check got the row numbers of a split, and no data.",
                    "Expected the data, and the split as parts.",
                    "check(x, y, parts=split(y))",
                )
            )
        return {name: part for name, part in found.items() if part is not None and len(part)}
    return None


def _has_raw(data: Any) -> bool:
    """Return whether data hold raw rows, without asking for them: that would read each of the pictures."""
    return hasattr(type(data), "raw") or "raw" in getattr(data, "__dict__", ())


def _divided(whole: Part, parts: Any) -> list[Part]:
    rows = parts if isinstance(parts, dict) else {name: getattr(parts, name, None) for name in PARTS}
    if not set(rows) <= set(PARTS) or rows.get("train") is None:
        raise ValueError(
            explain(
                f"check got parts={type(parts).__name__}.",
                "Expected row numbers by the names train, validation and test.",
                "check(x, y, parts=split(y))",
            )
        )
    made = []
    for name in PARTS:
        if rows.get(name) is not None:
            chosen = np.asarray(rows[name])
            if chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= len(whole)):
                raise ValueError(
                    explain(
                        f"check got parts with {name} rows of {chosen.dtype} for {len(whole)} rows.",
                        f"Expected row numbers from 0 to {len(whole) - 1}.",
                        "check(x, y, parts=split(y))",
                    )
                )
            made.append(whole.take(chosen.astype(np.int64), name))
    return made


def _part(
    name: str, piece: Any, kind: str, feature_names: Sequence[str] | None, y: Any, groups: Any, times: Any, files: Any
) -> Part:
    x: Any = piece
    if isinstance(piece, tuple) and 1 <= len(piece) <= 2:
        x, y = piece if len(piece) == 2 else (piece[0], None)
    elif _has_raw(piece):
        files = getattr(piece, "files", None) if files is None else files
        # Pictures of files are looked at file by file: one that is broken is a finding.
        x = None if kind == "images" and files is not None else piece.raw
        y, groups, times = (
            getattr(piece, field) if came is None and hasattr(piece, field) else came
            for field, came in (("y", y), ("groups", groups), ("times", times))
        )
    elif hasattr(piece, "x") and hasattr(piece, "y"):
        x, y = piece.x, piece.y if y is None else y
        feature_names = feature_names or getattr(piece, "feature_names", None)
    if hasattr(x, "columns") and hasattr(x, "iloc") and isinstance(y, str) and y in x.columns:
        x, y = x.drop(columns=[y]), x[y]
    rows = _rows(x, kind, feature_names)
    if kind == "images" and isinstance(rows, list) and rows and all(isinstance(r, (str, os.PathLike)) for r in rows):
        rows, files = None, rows if files is None else files
    made = Part(
        name,
        rows,
        None if y is None else _answers(y),
        None if groups is None else _flat(groups),
        None if times is None else _flat(times),
        None if files is None else tuple(os.fspath(path) for path in files),
    )
    for what in ("y", "groups", "times", "files"):
        values = getattr(made, what)
        if values is not None and len(values) != len(made):
            raise ValueError(
                explain(
                    f"check got {len(made)} rows and {len(values)} of {what}.",
                    "Expected one for each row.",
                    f"{what}={what}[:{len(made)}], if the rest is not meant.",
                )
            )
    return made


def array(values: Any) -> np.ndarray:
    """Return tensors, lists and columns of frames as a NumPy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    elif hasattr(values, "to_numpy"):
        values = values.to_numpy()
    return np.asarray(values)


def _flat(values: Any) -> np.ndarray:
    found = array(values)
    return found.reshape(len(found), -1)[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found


def _answers(values: Any) -> np.ndarray:
    found = _flat(values)
    if found.dtype.kind == "O" and all(isinstance(value, (int, float, bool, np.number)) for value in found.flat):
        found = found.astype(np.float64)
    return found


def _rows(x: Any, kind: str, feature_names: Sequence[str] | None) -> Any:
    if kind == "table":
        return _columns(x, feature_names)
    if kind == "text":
        return [str(x)] if isinstance(x, str) else ["" if text is None else str(text) for text in list(array(x))]
    if kind == "images" and isinstance(x, (list, tuple)):
        if all(hasattr(row, "shape") and row.shape == getattr(x[0], "shape", None) for row in x):
            return array([array(row) for row in x])
        return list(x)
    return None if x is None else array(x)


def _columns(x: Any, feature_names: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Return a table as a dict of columns: float64 for numbers, objects for the rest, dates as they are."""
    if isinstance(x, dict):
        found = {str(name): array(values) for name, values in x.items()}
    elif hasattr(x, "columns") and hasattr(x, "__getitem__"):
        found = {str(name): array(x[name]) for name in x.columns}
    else:
        values = array(x)
        values = values[:, None] if values.ndim == 1 else values.reshape(len(values), -1)
        names = list(feature_names or ())
        names = names if len(names) == values.shape[1] else [f"column {place}" for place in range(values.shape[1])]
        found = {str(name): values[:, place] for place, name in enumerate(names)}
    return {name: _column(values) for name, values in found.items()}


def _column(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "iufb":
        return values.astype(np.float64)
    if values.dtype.kind == "M":
        return values
    values = values.astype(object)
    missing = is_missing(values)
    if not missing.all() and all(isinstance(value, (int, float, bool, np.number)) for value in values[~missing]):
        numbers = np.full(len(values), np.nan)
        numbers[~missing] = values[~missing].astype(np.float64)
        return numbers
    return values


def is_missing(values: np.ndarray) -> np.ndarray:
    """Return which values are None, NaN or NaT.

    Example:
        >>> is_missing(np.array([1.0, np.nan])).tolist(), is_missing(np.array(["a", None], object)).tolist()
        ([False, True], [False, True])
    """
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind in "mM":
        return np.isnat(values)
    if values.dtype.kind != "O":
        return np.zeros(values.shape, bool)
    # Only what is no value differs from itself; pandas's own NA refuses to be compared.
    found = [value is None or type(value).__name__ in ("NAType", "NaTType") or value != value for value in values.flat]
    return np.array(found, dtype=bool).reshape(values.shape)


def _kind(data: Any) -> str:
    said = getattr(data, "kind", None)
    for name in (said if isinstance(said, str) else None, type(data).__name__.lower()):
        if name in KINDS:
            return name
    x = data[0] if isinstance(data, tuple) and data else data
    x = getattr(x, "x", x) if hasattr(x, "y") else x
    if isinstance(x, dict) or hasattr(x, "columns"):
        return "table"
    if x is None or (isinstance(x, (list, tuple)) and x and isinstance(x[0], os.PathLike)):
        return "images"
    if isinstance(x, str):
        return "text"
    if isinstance(x, (list, tuple)) and x and hasattr(x[0], "shape") and len(x[0].shape) in (2, 3):
        return "images"
    values = array(x)
    if values.dtype.kind in "US" or (values.dtype.kind == "O" and values.ndim == 1):
        if all(isinstance(value, str) and value.lower().endswith(_SUFFIXES) for value in values.flat):
            return "images"
        return "text"
    if values.ndim <= 2:
        return "table"
    if values.ndim == 4:
        return "images"
    # (samples, height, width) or (samples, steps, features): pictures have whole numbers, and no thin sides.
    square = values.ndim == 3 and min(values.shape[1:]) >= 8 and values.dtype == np.uint8
    return "images" if square else "series"


def _task(answers: list[np.ndarray | None]) -> str | None:
    values = [y for y in answers if y is not None]
    if not values:
        return None
    if any(y.ndim > 1 for y in values):
        return "classification" if all(_is_one_hot(y) for y in values) else "regression"
    if any(y.dtype.kind not in "iufb" for y in values):
        return "classification"
    together = np.concatenate(values).astype(np.float64)
    together = together[np.isfinite(together)]
    if len(together) and (together == np.round(together)).all():
        kinds = len(np.unique(together))
        if kinds <= _MOST_NUMBERED_CLASSES or (together.min() == 0 and together.max() == kinds - 1 < len(together) / 5):
            return "classification"
    return "regression"


def _is_one_hot(y: np.ndarray) -> bool:
    return y.ndim == 2 and y.dtype.kind in "iufb" and bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _with_single_answers(part: Part, task: str | None) -> Part:
    if part.y is not None and task == "classification":
        if part.y.ndim == 2 and _is_one_hot(part.y):
            return replace(part, y=part.y.argmax(axis=1))
        if part.y.dtype.kind == "O":
            missing = is_missing(part.y)
            words = np.array([None if gone else str(value) for value, gone in zip(part.y, missing)], dtype=object)
            return replace(part, y=words)
    return part
