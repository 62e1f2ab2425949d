"""Values that no network can learn from: broken files, NaN, constants, inputs of the wrong size."""

from __future__ import annotations

import os

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.pictures import pictures
from uncrumple.data.checks.report import Finding, figure, listed, share
from uncrumple.data.checks.view import Part, View, is_missing

SHOWN = 50
# Deviation of all inputs together, outside of which training was slow or failed.
_DEVIATIONS = (0.1, 10.0)
_DEVIATION_RATIO = 100.0
_PART_RATIO = 10.0
# So many values tell a deviation as well as all of them.
_MOST_VALUES = 1_000_000
# What people write where a value is missing.
_PLACEHOLDERS = {"", "?", "na", "n/a", "nan", "null", "none", "-", "--", "missing", "unknown", "#n/a"}


def corrupt_files(view: View, clock: Clock) -> list[Finding]:
    """Find files that are empty or no pictures, and pictures of one colour."""
    if view.kind != "images":
        missing = [
            (
                part,
                [row for row, path in enumerate(part.files) if not os.path.isfile(path) or not os.path.getsize(path)],
            )
            for part in view.parts
            if part.files is not None
        ]
        if not missing:
            raise CannotRunError("no files were given: check(x, y, files=paths)")
        return [
            _broken(part, [(row, part.files[row]) for row in rows]) for part, rows in missing if rows and part.files
        ]
    found = []
    for part in view.parts:
        seen = pictures(view, part, clock)
        if seen.broken:
            found.append(_broken(part, seen.broken))
        flat = seen.rows[seen.flat]
        if len(flat):
            found.append(
                Finding(
                    "corrupt-files",
                    "warning",
                    f"{share(len(flat), len(seen.rows))} pictures of the {part.name} part are one colour throughout.",
                    len(flat),
                    0,
                    "blank pictures",
                    "They show nothing, and their label teaches the network something that is not there.",
                    "look at them, and leave them out",
                    tuple(flat[:SHOWN].tolist()),
                    part.name,
                )
            )
    if all(part.files is None for part in view.parts):
        clock.remark("arrays, so only blank pictures were looked for")
    return found


def _broken(part: Part, broken: list[tuple[int, str]]) -> Finding:
    return Finding(
        "corrupt-files",
        "error",
        f"{share(len(broken), len(part))} files of the {part.name} part cannot be read, such as: {broken[0][1].rstrip('.')}.",
        len(broken),
        0,
        "broken files",
        "Training stops at the first of them, or goes on without rows that nobody counted.",
        "get these files anew, or leave them out: skip_damaged=True (--skip-damaged)",
        tuple(row for row, _ in broken[:SHOWN]),
        part.name,
        details={"reasons": [why for _, why in broken[:SHOWN]]},
    )


def missing_values(view: View, clock: Clock) -> list[Finding]:
    """Find NaN, infinity, placeholders such as "?", and answers that are missing."""
    found = []
    for part in view.parts:
        if part.y is not None:
            flat = part.y.reshape(len(part), -1)
            gone = is_missing(flat).any(axis=1)
            if flat.dtype.kind == "f":
                gone |= np.isinf(flat).any(axis=1)
            if gone.any():
                found.append(
                    Finding(
                        "missing-values",
                        "error",
                        f"{share(int(gone.sum()), len(part))} answers of the {part.name} part are missing.",
                        int(gone.sum()),
                        0,
                        "rows without an answer",
                        "One such row turns the loss into NaN, and with it every weight.",
                        "leave these rows out",
                        tuple(np.flatnonzero(gone)[:SHOWN].tolist()),
                        part.name,
                    )
                )
        for what, rows, columns, number in _missing_inputs(view, part, clock):
            infinite, named = what == "infinity", f" in column {listed(columns)}" if columns else ""
            # A table that fills its gaps itself does so on purpose.
            harmless = view.prepared and view.kind == "table" and not infinite
            text = what == "a placeholder such as '?'"
            if harmless and part is not view.train:
                # What is missing in training rows too is news once; what is only missing here was never filled.
                columns = [name for name in columns if not is_missing(view.train.x[name]).any()]
                if not columns:
                    continue
            found.append(
                Finding(
                    "missing-values",
                    "note" if harmless else "warning" if text else "error",
                    f"{share(len(rows), len(part))} rows of the {part.name} part hold {what}{named}.",
                    number,
                    0,
                    "values",
                    "The preparation fills what is missing, but a gap may itself tell the answer."
                    if harmless
                    else "The column is read as words, though it is numbers with gaps."
                    if text
                    else "One such value turns the loss into NaN, and with it every weight.",
                    (
                        "see whether gaps are more frequent in one class"
                        if view.task == "classification"
                        else "see whether the answers differ where the gaps are"
                    )
                    if harmless
                    else "read these as missing: pandas.read_csv(path, na_values=['?'])"
                    if text
                    else "find where they come from; then fill them with the training part's median, or leave the rows out",
                    tuple(rows[:SHOWN].tolist()),
                    part.name,
                    tuple(columns),
                )
            )
    return found


def _missing_inputs(view: View, part: Part, clock: Clock) -> list[tuple[str, np.ndarray, list[str], int]]:
    """Return (what, rows, columns, how many values) of every sort of value that is not there."""
    if view.kind == "images":
        bad = pictures(view, part, clock).bad_values
        return [
            (what, np.array(bad_rows), [], len(bad_rows))
            for what in ("NaN", "infinity")
            if (bad_rows := [row for row, kind in bad if kind == what])
        ]
    if view.kind == "text":
        return []
    tables = part.x if view.kind == "table" else {"": np.asarray(part.x).reshape(len(part), -1)}
    sorts: dict[str, list[tuple[str, np.ndarray]]] = {"NaN": [], "infinity": [], "a placeholder such as '?'": []}
    for name, values in clock.within(list(tables.items()), at_once=1):
        sorts["NaN"].append((name, is_missing(values)))
        if values.dtype.kind == "f":
            sorts["infinity"].append((name, np.isinf(values)))
        elif values.dtype.kind == "O":
            sorts["a placeholder such as '?'"].append((name, _placeholders(values)))
    made = []
    for what, marks in sorts.items():
        hit = [(name, mark.reshape(len(part), -1)) for name, mark in marks if mark.any()]
        if hit:
            rows = np.flatnonzero(np.any([mark.any(axis=1) for _, mark in hit], axis=0))
            made.append((what, rows, [name for name, _ in hit if name], int(sum(mark.sum() for _, mark in hit))))
    return made


def _placeholders(values: np.ndarray) -> np.ndarray:
    """Return which texts stand for nothing, in a column that is numbers otherwise."""
    mark = np.array([isinstance(value, str) and value.strip().lower() in _PLACEHOLDERS for value in values])
    for value in values[~mark & ~is_missing(values)]:
        try:
            float(value)
        except (TypeError, ValueError):
            return np.zeros(len(values), bool)
    return mark


def constant_columns(view: View, clock: Clock) -> list[Finding]:
    """Find columns (of windows: channels) that hold one value throughout the training part."""
    part = view.train
    if len(part) < 2:
        raise CannotRunError("it needs two rows")
    if view.kind == "series":
        values = np.asarray(part.x)
        channels = values.reshape(-1, values.shape[-1]) if values.ndim > 2 else values.reshape(-1, 1)
        columns = {f"channel {place}": channels[:, place] for place in range(channels.shape[1])}
    else:
        columns = part.x
    constant = []
    for name, values in clock.within(list(columns.items()), at_once=1):
        there = values[~is_missing(values)]
        if not len(there) or (there == there[0]).all():
            constant.append(name)
    if not constant:
        return []
    one = len(constant) == 1
    return [
        Finding(
            "constant-columns",
            "warning",
            f"{len(constant)} of {len(columns)} columns {'holds' if one else 'hold'} one value in all "
            f"{len(part):,} rows of the {part.name} part: {listed(constant)}.",
            len(constant),
            0,
            "columns",
            "What never changes says nothing about the answer; dividing by its deviation of 0 gives NaN.",
            "leave out these columns, or find out why they are empty",
            part=part.name,
            columns=tuple(constant[:SHOWN]),
        )
    ]


def input_scale(view: View, clock: Clock) -> list[Finding]:
    """Find inputs far from deviation 1, columns of very different size, and parts scaled differently."""
    found = []
    numbers = {part.name: _numbers(view, part) for part in clock.within(view.parts, at_once=1)}
    train = numbers[view.train.name]
    if train.size == 0 or train.shape[1] == 0:
        raise CannotRunError("there are no columns of numbers")
    deviations = _deviations(train)
    whole = float(np.nanstd(np.where(np.isfinite(train), train, np.nan)))
    if view.prepared:
        clock.remark("the data scale themselves, so only differences between parts were looked for")
    else:
        moving = deviations[deviations > 0]
        ratio = float(moving.max() / moving.min()) if len(moving) and view.kind == "table" else 1.0
        if whole > 0 and not _DEVIATIONS[0] <= whole <= _DEVIATIONS[1]:
            limit = _DEVIATIONS[1] if whole > 1 else _DEVIATIONS[0]
            pictures_like = view.kind == "images" and whole > 1
            found.append(
                Finding(
                    "input-scale",
                    "warning",
                    f"The inputs have a deviation of {figure(whole)} (from {figure(np.nanmin(train))} "
                    f"to {figure(np.nanmax(train))}).",
                    whole,
                    limit,
                    "deviation of all inputs",
                    "Initial weights and usual learning rates suppose inputs of about 1: training is slow or diverges.",
                    f"layers.Rescaling(1 / {figure(np.nanmax(train))}) as the first layer"
                    if pictures_like
                    else "layers.Normalization() as the first layer, adapt()ed to the training part",
                    part=view.train.name,
                )
            )
        elif ratio > _DEVIATION_RATIO:
            found.append(
                Finding(
                    "input-scale",
                    "warning",
                    f"The widest column varies {figure(ratio)} times as much as the narrowest.",
                    ratio,
                    _DEVIATION_RATIO,
                    "times, largest to smallest deviation",
                    "The network listens to the largest column, and learns from the small ones late or never.",
                    "layers.Normalization() as the first layer, adapt()ed to the training part",
                    part=view.train.name,
                )
            )
    for part in view.held_back:
        other = float(np.nanstd(np.where(np.isfinite(numbers[part.name]), numbers[part.name], np.nan)))
        if len(part) < 10 or not whole or not other:
            continue
        ratio = max(whole / other, other / whole)
        if ratio > _PART_RATIO:
            found.append(
                Finding(
                    "input-scale",
                    "error",
                    f"The inputs of the {part.name} part have a deviation of {figure(other)}, "
                    f"those of the training part {figure(whole)}.",
                    ratio,
                    _PART_RATIO,
                    "times",
                    "One part was scaled and the other was not, so the score says nothing.",
                    "scale inside the model, so that every part goes through the same numbers",
                    part=part.name,
                )
            )
    return found


def _numbers(view: View, part: Part) -> np.ndarray:
    """Return the numbers of a part, (rows, columns); a sample of them where there are very many."""
    if view.kind == "table":
        columns = [values for values in part.x.values() if values.dtype.kind == "f"]
        step = max(1, len(part) * len(columns) // _MOST_VALUES)
        return np.stack([values[::step] for values in columns], axis=1) if columns else np.zeros((0, 0))
    if isinstance(part.x, np.ndarray) and part.x.dtype.kind in "iufb":
        step = max(1, part.x.size // _MOST_VALUES)
        return np.asarray(part.x[::step], np.float64).reshape(len(part.x[::step]), -1)
    raise CannotRunError("files of pictures are scaled where they are read")


def _deviations(values: np.ndarray) -> np.ndarray:
    finite = np.where(np.isfinite(values), values, np.nan)
    there = np.isfinite(finite).sum(axis=0) > 1
    deviations = np.zeros(values.shape[1])
    deviations[there] = np.nanstd(finite[:, there], axis=0)
    # Below rounding of the mean, a deviation is not one.
    means = np.zeros(values.shape[1])
    means[there] = np.abs(np.nanmean(finite[:, there], axis=0))
    return np.where(deviations <= 1e-7 * means, 0.0, deviations)
