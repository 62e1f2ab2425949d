"""What a divided `Table`, `Images`, `Text` or `Series` is judged on: its raw rows, prepared as for the network."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from uncrumple.judge.rows import Given

_LONGEST_TEXT = 160
_MOST_COLUMNS = 8
# Neighbouring rows of a series err together. Tests and intervals take stretches of so many rows: simulated with errors
# whose neighbours correlate by .8, they then keep their word (benchmarks/judge_statistics.py), and not with 20 rows.
_ROWS_OF_A_STRETCH = 60
_FEWEST_STRETCHES, _MOST_STRETCHES = 10, 50
STRETCHES = "Neighbouring rows err together"


def from_parts(model: Any, data: Any) -> Given:
    """Read parts of raw rows; the sealed test part is opened once.

    Args:
        model: Its preparation of raw rows, if it has one, is used for the classical models too.
        data: With `train` and `test` (and `validation`), each with `raw` and `y`.
    """
    train, test = data.train, data.test
    validation = getattr(data, "validation", None)
    own = preparation_in(model)
    found = Given(
        task=train.task,
        x_train=train.raw,
        y_train=np.asarray(train.y),
        x_test=test.raw,
        y_test=np.asarray(test.y),
        matrix_train=None,
        matrix_test=None,
        class_names=tuple(train.class_names or ()),
        groups=getattr(test, "groups", None),
        groups_train=getattr(train, "groups", None),
        title=str(getattr(train, "name", "") or ""),
        preparation=own,
        shown=_shown(test),
    )
    if validation is not None and len(validation):
        found.x_validation, found.y_validation = validation.raw, np.asarray(validation.y)
    if own is not None:
        found.prepare = lambda rows: train.take(rows).preparation()
    found.uses = _uses_of(data, test)
    if found.task == "language":
        _read_language(found, test)
        return found
    preparation = own or train.preparation()
    found.matrix_train, found.matrix_test = train.matrix(preparation), test.matrix(preparation)
    if found.prepare is not None:
        found.matrices = lambda rows, held: _both(train.take(rows), train.take(held))
    found.remarks.append("The classical models saw the rows as the network's preparation gives them.")
    columns = np.shape(found.matrix_train)[1]
    names = _names_of(train, preparation, columns)
    if len(names) == columns:
        found.feature_names = names
    for column in _columns_of(preparation):
        if column.get("kind") == "number" and "mean" in column and "variance" in column:
            found.units[str(column["name"])] = (float(column["mean"]), float(column["variance"]) ** 0.5 or 1.0)
    kind = getattr(train, "kind", "")
    if kind == "table":
        flags = ((found.matrix_train == 0) | (found.matrix_train == 1)).all(axis=0)
        found.yes_or_no = frozenset(name for name, flag in zip(found.feature_names, flags) if flag)
    elif kind == "text":
        found.scale = False  # a row of word weights has length 1; scaling would make rare words the loudest
        found.remarks.append(
            f"For them a text is how often each of {columns:,} words is in it, rare words weighed more."
        )
    elif kind == "images":
        found.scale = False
        found.pictures = found.x_test
        if columns < np.prod(np.shape(found.x_test)[1:]):
            found.remarks.append("For them pictures were made smaller, to at most 32 pixels a side.")
    elif kind == "series":
        _read_series(found, train, test)
    return found


def preparation_in(model: Any) -> Any:
    """Return the layer of a model that prepares raw rows, or None."""
    modules = model.modules() if hasattr(model, "modules") else ()
    return next((one for one in modules if hasattr(one, "matrix") and hasattr(one, "meaning")), None)


def _both(learnt: Any, held: Any) -> tuple[np.ndarray, np.ndarray]:
    preparation = learnt.preparation()
    return learnt.matrix(preparation), held.matrix(preparation)


def _uses_of(data: Any, test: Any) -> int | None:
    for owner in (data, test):
        for name in ("test_uses", "uses"):
            uses = getattr(owner, name, None)
            uses = uses() if callable(uses) else uses
            if isinstance(uses, int):
                return uses
    return None


def _columns_of(preparation: Any) -> list[Any]:
    columns = getattr(preparation, "columns", ())
    return [one for one in columns if isinstance(one, Mapping)] if isinstance(columns, list) else []


def _names_of(train: Any, preparation: Any, columns: int) -> tuple[str, ...]:
    """Return what the columns of the matrix are called; empty if that is not known."""
    kind = getattr(train, "kind", "")
    if kind == "text":
        return tuple(f"weight of '{word}'" for word in preparation.vocabulary[:columns])
    if kind == "images":
        height, width, channels = np.shape(train.raw)[1:]
        if height * width * channels != columns:  # made smaller, as in the preparation's matrix
            height, width = min(height, 32), min(width, 32)
        colours = {1: ("",), 3: (" red", " green", " blue")}.get(
            channels, tuple(f" {place}" for place in range(channels))
        )
        return tuple(
            f"pixel {down},{across}{colour}" for down in range(height) for across in range(width) for colour in colours
        )
    if kind == "series":
        steps = np.shape(train.raw)[1]
        width = columns // steps
        named = [*train.columns, *(f"gap {place + 1}" for place in range(width - len(train.columns)))]
        return tuple(f"{name}, {steps - step} back" for step in range(steps) for name in named)
    names = getattr(preparation, "feature_names", ())
    return tuple(str(name) for name in (names() if callable(names) else names))


# --- kinds ---------------------------------------------------------------------------


def _read_language(found: Given, test: Any) -> None:
    """Give the Markov chain the characters as the numbers that the answers are."""
    found.symbol = "character"
    if found.groups is None and getattr(test, "times", None) is not None:
        found.groups, _ = _stretches(test.times)
    found.matrix_train, found.matrix_test = (codes_of(raw, found.class_names) for raw in (found.x_train, found.x_test))


def codes_of(texts: Any, characters: tuple[str, ...]) -> np.ndarray:
    """Return texts of one length as rows of the numbers of their characters.

    Args:
        texts: Of equal lengths.
        characters: All characters, in the order of their numbers.

    Example:
        >>> codes_of(["abba", "aaab"], ("a", "b")).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 1]]
    """
    places = np.full(max(map(ord, characters)) + 1, -1, np.int64)
    places[[ord(one) for one in characters]] = np.arange(len(characters))
    rows = [np.frombuffer(str(text).encode("utf-32-le", "surrogatepass"), np.uint32) for text in texts]
    return places[np.stack(rows).astype(np.int64)]


def _read_series(found: Given, train: Any, test: Any) -> None:
    """Take neighbouring windows together, and add the forecast that nothing changes."""
    chosen = [train.columns.index(name) for name in train.targets]
    if chosen:
        # The answers of a row: all columns that are asked for in the next step, then in the one after it.
        steps = found.values_per_row // len(chosen)
        last = _last_known(np.asarray(found.x_test)[:, :, chosen], np.asarray(found.x_train)[:, :, chosen])
        found.last = np.tile(last, (1, steps)) if found.values_per_row > 1 else last[:, 0]
        if found.values_per_row > 1:
            found.target_names = tuple(
                f"{name}{f', step {step + 1}' if steps > 1 else ''}" for step in range(steps) for name in train.targets
            )
    times = getattr(test, "times", None)
    if times is None:
        return
    found.times_train, found.ends_train = train.times, train.ends
    if found.groups is None:
        found.groups, count = _stretches(times)
        found.remarks.append(
            f"{STRETCHES}: tests and intervals take the {len(found.groups):,} test rows in {count} stretches of time."
        )


def _stretches(times: Any) -> tuple[np.ndarray, int]:
    """Return the number of each row's stretch of time, and how many there are."""
    rows = len(times)
    count = max(1, min(_MOST_STRETCHES, max(_FEWEST_STRETCHES, rows // _ROWS_OF_A_STRETCH), rows))
    order = np.argsort(np.argsort(np.asarray(times), kind="stable"), kind="stable")
    return order * count // rows, count


def _last_known(windows: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Return the last value of each column of each window that is known; without one, the middle of the training rows."""
    known = np.isfinite(windows)
    columns = [column[np.isfinite(column)] for column in trained.reshape(-1, windows.shape[2]).T]
    middle = np.array([np.median(column) if len(column) else 0.0 for column in columns])
    back = windows.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1)
    values = np.take_along_axis(windows, back[:, None, :], axis=1)[:, 0]
    return np.where(known.any(axis=1), values, middle)


def _shown(test: Any) -> Callable[[int], str] | None:
    """Return a function that says a row of the test part in words."""
    kind, files = getattr(test, "kind", ""), getattr(test, "files", None)
    if files is not None:
        return lambda row: "/".join(str(files[row]).replace("\\", "/").split("/")[-2:])
    raw = test.raw
    if kind == "text":
        return lambda row: textwrap.shorten(str(raw[row]), _LONGEST_TEXT, placeholder=" …")
    if isinstance(raw, Mapping):
        names = list(raw)[:_MOST_COLUMNS]
        more = ", …" if len(raw) > len(names) else ""
        return lambda row: ", ".join(f"{name} {_cell(np.asarray(raw[name])[row])}" for name in names) + more
    return None


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "–" if np.isnan(value) else f"{value:.4g}"
    return textwrap.shorten(str(value), 24, placeholder="…")
